"""Public support chats as examples, one training on them, and how well a trained model replies to those held back."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from configs.training import Recipe
from retrieval.prompt import Message
from training.campaign import likeness
from training.examples.rendering import Example
from training.judging.evaluation import generate
from training.progress import LineProgress
from training.recipes import sft
from training.runs.adapter_run import Metrics

BITEXT = Path("../shared/data/support_chat/bitext_singleturn.jsonl.gz")
SLOT = re.compile(r"\{\{[^{}]*\}\}|\d+(?:[.,:]\d+)*")
"""What a reply must get right: the slots that Bitext leaves open, and figures; not the numbers of a list's lines."""
LIST_NUMBER = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
REPLY_TOKENS = 200
DROPOUT = 0.05
Rows = Sequence[Mapping[str, Any]]
"""What runs found, one of each."""
Page = tuple[str, str, list[str]]
"""End of the file's name, title, Markdown lines."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a table."""

    table: str
    arm: str
    """What is compared, such as `LoRA`."""
    seed: int = 1
    method: str = "lora"
    rate: float = 2e-3
    rank: int = 16
    epochs: float = 2
    dropout: float = DROPOUT
    """Of an adapter."""
    b_rate: float = 1.0
    """How many times faster its second matrix learns (LoRA+)."""

    @property
    def name(self) -> str:
        """Of its folder."""
        how = f"{self.method}-r{self.rank}-lr{self.rate:g}-d{self.dropout:g}-e{self.epochs:g}-s{self.seed}"
        plus = f"-b{self.b_rate:g}" if self.b_rate != 1 else ""
        return re.sub(r"[^\w.-]+", "_", f"{self.table}-{self.arm}-{how}{plus}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark finds things and how much it does."""

    base: Path
    """SmolLM2-135M-Instruct in Hugging Face layout."""
    data: Path
    """What `prepare` wrote, and Bitext."""
    rows: int | None = None
    """That many examples only: a rehearsal."""
    steps: int = -1
    """That many steps only: a rehearsal."""
    keep: Path | None = None
    """Where a trained adapter that is worth keeping is put; None throws it away."""

    @property
    def bitext(self) -> Path:
        """Carried beside the prepared files where `../shared` is not there."""
        carried = self.data / "bitext.gz"
        return carried if carried.is_file() else BITEXT

    def limit(self, count: int) -> int:
        """How many prompts are answered of so many: few in a rehearsal."""
        return count if self.rows is None else min(count, 4)

    def tokens(self, count: int) -> int:
        """How many tokens a reply may have: few in a rehearsal."""
        return count if self.rows is None else min(count, 16)


def read_chats(path: Path) -> list[Example]:
    """Bitext's rows: the customer's words, and the reply to be learnt."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [_example(json.loads(line)) for line in file]


def _example(row: dict[str, Any]) -> Example:
    *before, reply = row["messages"]
    messages = tuple(Message(one["role"], one["content"]) for one in before)
    return Example(
        f"{row['id']}/1/0", "bitext", "small_talk", row["intent"], False, 0, False, messages, reply["content"], ()
    )


def recipe(run: Run, steps: int = -1, *, held_back: float = 0.0, every: int = 10_000) -> Recipe:
    """The run's recipe: 32 chats a step, of like length; two in a rehearsal."""
    halves, row = (2, 16) if steps < 0 else (1, 2)
    return Recipe.model_validate(
        {
            "name": "chats",
            "method": run.method,
            "lora": {"r": run.rank, "lora_alpha": 2 * run.rank, "lora_dropout": run.dropout, "b_rate": run.b_rate},
            "sft": {
                "learning_rate": run.rate,
                "num_train_epochs": run.epochs,
                "max_steps": steps,
                "per_device_train_batch_size": row,
                "gradient_accumulation_steps": halves,
                "max_length": 1024,
                "held_back": held_back,
                "evaluate_every": every if steps < 0 else max(1, steps // 2),
                "seed": run.seed,
            },
        }
    )


def train(
    run: Run,
    place: Place,
    made: Recipe,
    examples: Sequence[Example],
    evaluate: Callable[[Any, Any], Metrics],
) -> dict[str, Any]:
    """Train once, in this process; the weights are thrown away.

    Returns:
        The run with its metrics and, where something is held back, the `curve` of the loss on it by step.
    """
    digest = hashlib.sha256("\n".join(f"{one.messages}{one.completion}" for one in examples).encode()).hexdigest()
    with tempfile.TemporaryDirectory() as scratch:
        trained = sft.main(
            sft.Job(
                made,
                examples,
                digest,
                None,
                place.base,
                Path(scratch) / "adapter" / "1",
                Path(scratch) / "runs",
                progress=LineProgress(),
                evaluate=evaluate,
            )
        )
        rows = [json.loads(line) for line in (trained.run / "losses.jsonl").read_text("utf-8").splitlines()]
    curve = {row["step"]: row["held_back_loss"] for row in rows if "held_back_loss" in row}
    return {**asdict(run), **trained.metrics, "curve": curve}


def load(base: Path) -> tuple[Any, Any]:
    """The untrained model on the machine's device, ready to be asked, and its tokenizer."""
    import torch
    import transformers

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval(), transformers.AutoTokenizer.from_pretrained(base)


def halved(model: Any) -> Any:
    """On a GPU the arithmetic of training: bfloat16 beside float32 weights."""
    import torch

    return torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda")


def task_scores(model: Any, tokenizer: Any, watched: Sequence[Example], tokens: int = REPLY_TOKENS) -> dict[str, float]:
    """How the replies to held-back chats compare with the references.

    Returns:
        `likeness`: F1 of the words; `facts`: F1 of slots and figures, over replies or references that hold any. Means,
        0 to 1. Of a reference as many tokens count as a reply may have.
    """
    with halved(model):
        made = generate(model, tokenizer, [one.messages for one in watched], max_new_tokens=tokens, batch=128)
    cut = [tokenizer(one.completion)["input_ids"][:tokens] for one in watched]
    pairs = list(zip(made, tokenizer.batch_decode(cut), strict=True))
    facts = [found for reply, reference in pairs if (found := facts_f1(reply, reference)) is not None]
    scores = {"likeness": fmean(likeness(*pair) for pair in pairs)}
    if facts:
        scores["facts"] = fmean(facts)
    return {name: round(value, 4) for name, value in scores.items()}


def facts_f1(reply: str, reference: str) -> float | None:
    """F1 of the different slots and figures of two texts, 0 to 1; None where neither holds any."""
    mine, theirs = _facts(reply), _facts(reference)
    return 2 * len(mine & theirs) / (len(mine) + len(theirs)) if mine or theirs else None


def _facts(text: str) -> set[str]:
    return {one.lower() for one in SLOT.findall(LIST_NUMBER.sub("", text))}


def reply_loss(model: Any, tokenizer: Any, examples: Sequence[Example], batch: int = 16) -> float:
    """Mean negative log-likelihood of the tokens of the replies, in nats a token, each token counting the same."""
    import torch

    total, count = 0.0, 0
    rows = [_tokens(one, tokenizer) for one in examples]
    rows.sort(key=lambda row: len(row[0]))
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        width = max(len(ids) for ids, _ in part)
        inputs = torch.full((len(part), width), tokenizer.pad_token_id)
        labels = torch.full((len(part), width), -100)
        mask = torch.zeros((len(part), width), dtype=torch.long)
        for row, (ids, prompt) in enumerate(part):
            inputs[row, : len(ids)] = torch.tensor(ids)
            labels[row, prompt : len(ids)] = torch.tensor(ids[prompt:])
            mask[row, : len(ids)] = 1
        with torch.no_grad(), halved(model):
            scores = model(input_ids=inputs.to(model.device), attention_mask=mask.to(model.device)).logits
        wanted = labels[:, 1:].to(scores.device)
        total += float(
            torch.nn.functional.cross_entropy(
                scores[:, :-1].float().flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum"
            )
        )
        count += int((wanted != -100).sum())
    return total / count


def _tokens(example: Example, tokenizer: Any) -> tuple[list[int], int]:
    """Ids of prompt and reply, and how many of them are the prompt's."""
    prompt = [{"role": one.role, "content": one.content} for one in example.messages]
    whole = [*prompt, {"role": "assistant", "content": example.completion}]
    begins = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    text = tokenizer.apply_chat_template(whole, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids, len(tokenizer(begins, add_special_tokens=False)["input_ids"])
