"""Search the learning rate and the number of epochs on one GPU, then train the adapters that ship.

    python -m training.campaign --examples-dir examples --base /tmp/smollm2 --out out \
        --rates 2e-4 5e-4 1e-3 --epochs 3 6 10

The folder holds `<brand>.jsonl` (training.examples) and `<brand>-questions.jsonl` (the same with --questions) for
each brand. One conversation in eight is held back while settings are compared, all of one run beside the other on the
GPU; the best settings of each brand then train on everything. The held-out questions are answered for people to read
and never choose anything.

OUT gets `results.json`, `replies.jsonl`, and a `<brand>-<settings>.tar` for each final adapter.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from configs.base_manifest import BASE_FILE
from configs.training import Recipe, read_recipe
from training.base_model import DEFAULT, PACKAGED, describe_base
from training.errors import TrainingError, TrainingFailed
from training.examples.files import read_examples, read_probes
from training.examples.rendering import Example
from training.judging.evaluation import Judge, generate, score
from training.progress import LineProgress
from training.recipes import sft
from training.recipes.sft import Job
from training.runs.adapter_run import Metrics
from training.runs.beside import Task, keep_result, run_beside
from training.voice import VoiceClassifier, mask

HELD_BACK = 8
"""One conversation in this many."""
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Run:
    """One process: one brand with one pair of settings."""

    brand: str
    rate: float
    epochs: float
    final: bool
    """Train on everything, keep the adapter."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.brand}-{'final' if self.final else 'grid'}-lr{self.rate:g}-e{self.epochs:g}"


def held_back(example: Example) -> bool:
    """Whether the example's conversation is kept from training while settings are compared."""
    conversation = example.id.split("/", maxsplit=1)[0]
    return hashlib.sha256(conversation.encode()).digest()[0] % HELD_BACK == 0


def recipe_of(run: Run, recipe: Recipe, max_steps: int = -1) -> Recipe:
    """The recipe with the run's settings."""
    sft = recipe.sft.model_copy(
        update={"learning_rate": run.rate, "num_train_epochs": run.epochs, "max_steps": max_steps}
    )
    return recipe.model_copy(update={"sft": sft})


def likeness(reply: str, reference: str) -> float:
    """F1 of the words of two texts, 0 to 1."""
    mine, theirs = Counter(reply.lower().split()), Counter(reference.lower().split())
    shared = sum((mine & theirs).values())
    return 2 * shared / (mine.total() + theirs.total()) if shared else 0.0


def facts_kept(reply: str, reference: str) -> float:
    """Whether the reply holds exactly the numbers of the reference: 1 or 0."""
    return float(set(NUMBER.findall(reply)) == set(NUMBER.findall(reference)))


def run_one(run: Run, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one run and write `result.json` and its replies into its folder."""
    folder = arguments.out / "work" / run.name
    folder.mkdir(parents=True, exist_ok=True)
    everything, digest, knowledge = read_examples(arguments.examples_dir / f"{run.brand}.jsonl")
    validation = [one for one in everything if held_back(one) and one.variant == 0 and not one.with_sources]
    probes = read_probes(arguments.examples_dir / f"{run.brand}-questions.jsonl")
    replies: list[dict[str, object]] = []

    def evaluate(model: Any, tokenizer: Any) -> Metrics:
        asked = [one.messages for one in validation[: arguments.limit]]
        made = generate(model, tokenizer, asked, batch=32) if not run.final else []
        pairs = list(zip(made, validation, strict=False))
        answered = [(reply, one) for reply, one in pairs if one.kind == "answer"]
        metrics: dict[str, float | int | str | None] = {}
        if answered:
            metrics["validation_likeness"] = round(mean(likeness(reply, one.completion) for reply, one in pairs), 4)
            metrics["validation_facts"] = round(mean(facts_kept(reply, one.completion) for reply, one in answered), 4)
        known = probes[: arguments.limit]
        said = generate(model, tokenizer, [one.messages for one in known], batch=32)
        metrics.update(score(known, said, judge_of(run.brand, arguments.examples_dir)))
        replies.extend(
            {
                "run": run.name,
                "id": one.id,
                "question": one.messages[-1].content,
                "reference": one.completion,
                "reply": reply,
            }
            for reply, one in pairs
        )
        replies.extend(
            {"run": run.name, "id": one.id, "kind": one.kind, "question": one.question, "reply": reply}
            for reply, one in zip(said, known, strict=True)
        )
        return metrics

    recipe = recipe_of(run, read_recipe(arguments.recipe), arguments.max_steps)
    trained = sft.main(
        Job(
            recipe,
            everything if run.final else [one for one in everything if not held_back(one)],
            digest,
            knowledge,
            arguments.base,
            folder / "adapter",
            folder / "runs",
            progress=LineProgress(),
            evaluate=evaluate,
        )
    )
    result = {**asdict(run), "name": run.name, **trained.metrics}
    (folder / "replies.jsonl").write_text("".join(json.dumps(one) + "\n" for one in replies), encoding="utf-8")
    keep_result(folder, result)
    return result


def brands_of(folder: Path) -> list[str]:
    """Brands with a file of examples in the folder, by name."""
    return sorted(path.stem for path in folder.glob("*.jsonl") if not path.stem.endswith("-questions"))


def judge_of(brand: str, folder: Path) -> Judge:
    """Measures a brand's replies against the authors' replies of all brands, masked by their prompts."""
    examples = {name: read_examples(folder / f"{name}.jsonl")[0] for name in brands_of(folder)}
    # The system message holds the name as customers know it.
    terms = (*examples, *(of_brand[0].messages[0].content for of_brand in examples.values()))
    masked = {
        name: [
            mask(one.completion, brand_terms=terms, passages=[one.messages[-1].content])
            for one in of_brand
            if one.variant == 0 and not one.with_sources
        ]
        for name, of_brand in examples.items()
    }
    return Judge(brand, VoiceClassifier(masked) if len(masked) > 1 else None, terms)


def run_all(runs: Sequence[Run], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Train runs in processes beside each other; one that fails is reported and the others go on."""
    done = []
    for result in run_beside([_task(run, arguments) for run in runs], arguments.beside, say=_say):
        done.append(result)
        _say(_line(result))
    return done


def best(results: Sequence[Mapping[str, Any]], brand: str, keep: int) -> list[Mapping[str, Any]]:
    """The brand's best settings: as many replies as possible with the right numbers, close to the authors' words."""
    mine = [one for one in results if one["brand"] == brand and "validation_facts" in one]
    return sorted(mine, key=lambda one: -(one["validation_facts"] + one["validation_likeness"]))[:keep]


def main(arguments: argparse.Namespace) -> int:
    """The whole campaign."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not (arguments.base / BASE_FILE).is_file():
        manifest = describe_base(arguments.base, name=DEFAULT, source=PACKAGED[DEFAULT].source)
        (arguments.base / BASE_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
        same = manifest.sha256 == PACKAGED[DEFAULT].tensors_sha256
        _say(f"base {manifest.sha256[:12]}: {'the packaged one' if same else 'NOT THE PACKAGED ONE'}")
    brands = brands_of(arguments.examples_dir)
    grid = [
        Run(brand, rate, epochs, False)
        for epochs, rate, brand in product(sorted(arguments.epochs, reverse=True), arguments.rates, brands)
    ]
    _say(f"{len(grid)} runs of {', '.join(brands)}, {arguments.beside} beside each other")
    results = run_all(grid, arguments)
    chosen = [one for brand in brands for one in best(results, brand, arguments.keep)]
    finals = run_all([Run(one["brand"], one["rate"], one["epochs"], True) for one in chosen], arguments)
    replies = "".join(path.read_text(encoding="utf-8") for path in sorted(arguments.out.glob("work/*/replies.jsonl")))
    (arguments.out / "results.json").write_text(
        json.dumps({"grid": results, "final": finals}, indent=1), encoding="utf-8"
    )
    (arguments.out / "replies.jsonl").write_text(replies, encoding="utf-8")
    for one in finals:
        work = arguments.out / "work" / one["name"]
        with tarfile.open(arguments.out / f"{one['name']}.tar", "w") as archive:
            archive.add(work / "adapter", arcname=one["brand"])
            for curve in work.glob("runs/*/loss*"):
                archive.add(curve, arcname=f"{one['brand']}-run/{curve.name}")
    if not finals:
        raise TrainingFailed("no run came to its end; the logs lie in work/*/log")
    return 0


def _task(run: Run, arguments: argparse.Namespace) -> Task:
    given = [
        *("--one", json.dumps(asdict(run)), "--recipe", str(arguments.recipe)),
        *("--examples-dir", str(arguments.examples_dir), "--base", str(arguments.base), "--out", str(arguments.out)),
        *("--max-steps", str(arguments.max_steps)),
    ]
    if arguments.limit is not None:
        given += ["--limit", str(arguments.limit)]
    return Task(run.name, "training.campaign", tuple(given), arguments.out / "work" / run.name)


def _line(result: Mapping[str, Any]) -> str:
    shown = (
        "validation_facts",
        "validation_likeness",
        "answer_hit",
        "grounded",
        "voice_accuracy",
        "reply_words",
        "loss_last",
        "train_seconds",
    )
    return f"{result['name']:36} " + "  ".join(f"{key}={result[key]}" for key in shown if key in result)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.campaign", description=__doc__)
    parser.add_argument("--examples-dir", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="base model in Hugging Face layout")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=Path("configs/training/lora.yaml"))
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-4, 5e-4, 1e-3])
    parser.add_argument("--epochs", type=float, nargs="+", default=[3, 6, 10])
    parser.add_argument("--beside", type=int, default=6, help="runs at one time")
    parser.add_argument("--keep", type=int, default=1, help="final adapters a brand")
    parser.add_argument("--limit", type=int, default=None, help="prompts answered of each set; for a rehearsal")
    parser.add_argument("--max-steps", type=int, default=-1, help="steps of each run; for a rehearsal")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    try:
        if given.one:
            run_one(Run(**json.loads(given.one)), given)
        else:
            sys.exit(main(given))
    except TrainingError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
