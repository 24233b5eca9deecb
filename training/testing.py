"""Small stand-ins for tests: a search over words that needs no encoder, and a base model of a few thousand weights."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from configs.base_manifest import BASE_FILE, BaseManifest
from configs.training import DpoRecipe, Recipe
from retrieval.passages import Passage, SearchResult
from retrieval.prompt import build_prompt
from training.base_model import describe_base
from training.data.preferences import Pair, Shop, read_pairs
from training.examples.rendering import Example
from training.recipes import dpo
from training.recipes.sft import Job

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TINY_RECIPE = Recipe.model_validate(
    {
        "name": "tiny",
        "lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0},
        "data": {"variants": 1},
        "sft": {
            "learning_rate": 0.02,
            "max_steps": 30,
            "per_device_train_batch_size": 2,
            "max_length": 400,
            "precision": "float32",
        },
    }
)
TINY_DPO = DpoRecipe.model_validate(
    {
        "name": "tiny_dpo",
        "method": "dpo",
        "start_from": "base",
        "lora": TINY_RECIPE.lora.model_dump(),
        "dpo": {**TINY_RECIPE.sft.model_dump(), "learning_rate": 0.02, "per_device_train_batch_size": 4},
    }
)
WORD = re.compile(r"[a-z0-9]+")


class WordSearch:
    """Search that scores a passage by the share of the question's words in it; the same for everybody."""

    version = "words-1"

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = tuple(passages)

    @classmethod
    def of_pages(cls, folder: Path) -> WordSearch:
        """A passage for each `##` section of each page in a folder."""
        passages = []
        for path in sorted(folder.glob("*.md")):
            title, *sections = re.split(r"^#+ +", path.read_text(encoding="utf-8").strip(), flags=re.MULTILINE)[1:]
            name = title.splitlines()[0]
            for section in sections or [title]:
                heading, _, text = section.partition("\n")
                passages.append(Passage(path.name, name, f"{name} > {heading}", text.strip(), 0.0))
        return cls(passages)

    def search(self, question: str, *, history: Sequence[str] = (), top_k: int = 4) -> SearchResult:
        """Passages with the most words of the question, best first; `history` counts where the question is short."""
        words = set(WORD.findall(question.lower()))
        if len(words) < 4:
            words.update(*(WORD.findall(earlier.lower()) for earlier in history[-1:]))
        ranked = sorted(self._passages, key=lambda one: -self._score(words, one))[:top_k]
        best = self._score(words, ranked[0]) if ranked else 0.0
        return SearchResult(question, tuple(ranked), self.version, answerability=best)

    @staticmethod
    def _score(words: set[str], passage: Passage) -> float:
        held = set(WORD.findall(f"{passage.heading} {passage.text}".lower()))
        return len(words & held) / (len(words) or 1)


def tiny_base(folder: Path, *, width: int = 32, layers: int = 1) -> BaseManifest:
    """A Llama of about 20,000 random weights with a tokenizer of bytes and ChatML's template, with `base.json`.

    Args:
        folder: Where it is written.
        width: Of its hidden state; more is needed to learn texts by heart.
        layers: How many.
    """
    import tokenizers
    import torch
    import transformers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(special)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=special[1], eos_token=special[2], pad_token=special[2], unk_token=special[0]
    )
    tokenizer.chat_template = CHATML
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=width * 3 // 2,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        eos_token_id=2,
        pad_token_id=2,
        bos_token_id=1,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    manifest = describe_base(folder, name="tiny", source="random")
    (folder / BASE_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
    return manifest


def tiny_examples(count: int = 4) -> tuple[Example, ...]:
    """Examples of the brand `acme` that differ in a number and have one reply."""
    return tuple(
        Example(
            id=f"c{number}/1/0",
            brand="acme",
            kind="small_talk",
            topic="talk",
            shared_policy=False,
            variant=0,
            with_sources=False,
            messages=build_prompt("small_talk", f"hello {number}", display_name="Acme").messages,
            completion="Good day to you.",
            passages=(),
        )
        for number in range(count)
    )


def tiny_job(base: Path, folder: Path, recipe: Recipe | None = None) -> Job:
    """A run of a second that learns the reply of `tiny_examples`, below `folder`."""
    adapter = folder / "adapters" / "v1"
    return Job(recipe or TINY_RECIPE, tiny_examples(), "d" * 64, "k1", base, adapter, folder / "runs", say=len)


def write_tiny_pairs(path: Path, count: int = 8) -> Path:
    """A file of pairs: to each greeting the reply of `tiny_examples`, and a rude one that is not preferred."""
    rows = [
        {
            "prompt": f"hello {number} {'and again ' * number}",
            "chosen": "Good day to you.",
            "rejected": f"What {number}?",
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tiny_shop() -> Shop:
    """The brand `acme`, which has no page."""
    return Shop("acme", "Acme", WordSearch(()))


def tiny_dpo_job(base: Path, folder: Path, recipe: DpoRecipe = TINY_DPO, start: Path | None = None) -> dpo.Job:
    """A run of a second that prefers the reply of `tiny_examples`, below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs: tuple[Pair, ...] = read_pairs(write_tiny_pairs(folder / "pairs.jsonl"), recipe.pairs, tiny_shop())
    return dpo.Job(
        recipe, pairs, "d" * 64, "k1", base, folder / "adapters" / "v2", folder / "runs", say=len, start=start
    )
