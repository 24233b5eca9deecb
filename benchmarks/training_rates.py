"""LoRA against full fine-tuning on support chats: four learning rates and three seeds of each, one table.

    python -m benchmarks.training_rates --base FOLDER [--beside 6] [--out FILE.md]

Bitext's rows (`--data`), one conversation in ten held back; every run is `training.recipes.lora_sft` with
two epochs, and is judged by its best loss on what is held back. The share of full fine-tuning's gain is
(base - LoRA) / (base - full), each at its best rate, means over seeds. A GPU takes minutes, two CPU cores days:
`--rows` and `--steps` make a rehearsal of it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.goals import at_least, goal_table
from configs.training import Recipe
from retrieval.prompt import Message
from training.examples import Example
from training.progress import LineProgress
from training.recipes import lora_sft

DATA = Path("../shared/data/support_chat/bitext_singleturn.jsonl.gz")
RATES = {"lora": (1e-3, 2e-3, 4e-3, 8e-3), "full": (1e-4, 2e-4, 5e-4, 1e-3)}
SEEDS = (1, 2, 3)
GOAL = 0.97


@dataclass(frozen=True, slots=True)
class Run:
    """One training."""

    method: str
    rate: float
    seed: int
    rank: int = 16

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.method}-r{self.rank}-lr{self.rate:g}-s{self.seed}"


def chats(path: Path, rows: int | None) -> list[Example]:
    """Rows as examples: the customer's words, and the reply to be learnt."""
    examples = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            *before, reply = row["messages"]
            messages = tuple(Message(one["role"], one["content"]) for one in before)
            examples.append(
                Example(
                    f"{row['id']}/1/0", "bitext", "small_talk", "chat", False, 0, False, messages, reply["content"], ()
                )
            )
    return examples[:rows]


def recipe(run: Run, steps: int) -> Recipe:
    """The run's recipe: 32 chats a step, of like length."""
    a_look = 40 if steps < 0 else max(1, steps // 2)
    return Recipe.model_validate(
        {
            "name": "rates",
            "method": run.method,
            "lora": {"r": run.rank, "lora_alpha": 2 * run.rank, "lora_dropout": 0.05},
            "sft": {
                "learning_rate": run.rate,
                "num_train_epochs": 2,
                "max_steps": steps,
                "per_device_train_batch_size": 16,
                "gradient_accumulation_steps": 2,
                "max_length": 1024,
                "held_back": 0.1,
                "evaluate_every": a_look,
                "seed": run.seed,
            },
        }
    )


def train(run: Run, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train once, in this process."""
    examples = chats(arguments.data, arguments.rows)
    digest = hashlib.sha256(arguments.data.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as scratch:
        trained = lora_sft.main(
            lora_sft.Job(
                recipe(run, arguments.steps),
                examples,
                digest,
                None,
                arguments.base,
                Path(scratch) / "adapter" / "1",
                Path(scratch) / "runs",
                progress=LineProgress(),
            )
        )
        rows = [json.loads(line) for line in (trained.run / "losses.jsonl").read_text().splitlines()]
    curve = {row["step"]: row["held_back_loss"] for row in rows if "held_back_loss" in row}
    return {**asdict(run), **trained.metrics, "curve": curve}


def in_processes(runs: Sequence[Run], arguments: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Train runs beside each other; one that fails is told and left out."""

    def one(run: Run) -> dict[str, Any] | None:
        command = [sys.executable, "-m", "benchmarks.training_rates", "--one", json.dumps(asdict(run))]
        command += ["--base", str(arguments.base), "--data", str(arguments.data), "--steps", str(arguments.steps)]
        command += ["--rows", str(arguments.rows)] if arguments.rows else []
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "2"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            _say(f"FAILED {run.name}: {done.stderr[-600:]}")
            return None
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if arguments.out:
            # At once: a machine that is lent may be taken back.
            with arguments.out.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        _say(
            f"{run.name:28} held back {result['held_back_loss']:.4f} at step {result['best_step']}, "
            f"{result['train_seconds']:.0f} s"
        )
        return result

    with ThreadPoolExecutor(arguments.beside) as pool:
        return [found for found in pool.map(one, runs) if found]


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Mean and spread over seeds for each method, rank and rate; then the share of the gain."""
    groups: defaultdict[tuple[str, int, float], list[float]] = defaultdict(list)
    for one in results:
        groups[one["method"], one["rank"], one["rate"]].append(one["held_back_loss"])
    lines = ["| method | rank | learning rate | held-back loss, mean of seeds | spread |", "|---|---|---|---|---|"]
    means = {}
    for (method, rank, rate), losses in sorted(groups.items()):
        means[method, rank, rate] = statistics.fmean(losses)
        shown = str(rank) if method == "lora" else "-"
        spread = max(losses) - min(losses)
        lines.append(f"| {method} | {shown} | {rate:g} | {means[method, rank, rate]:.4f} | {spread:.4f} |")
    before = statistics.fmean(one["held_back_loss_before"] for one in results)
    lora = min((loss for (method, rank, _), loss in means.items() if (method, rank) == ("lora", 16)), default=None)
    full = min((loss for (method, _, _), loss in means.items() if method == "full"), default=None)
    lines += ["", f"Before training: {before:.4f}."]
    if lora is not None and full is not None and full < before:
        share = (before - lora) / (before - full)
        lines += ["", *goal_table([at_least("LoRA r16's share of full fine-tuning's gain, best rates", GOAL, share)])]
    return lines


def main() -> int:
    """Train everything, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="SmolLM2-135M-Instruct in Hugging Face layout")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--beside", type=int, default=6, help="runs at one time")
    parser.add_argument("--ranks", type=int, nargs="*", default=[4, 64], help="also these, at three rates and one seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--with-results", type=Path, nargs="*", default=[], help="of an earlier part, for the table")
    parser.add_argument("--rows", type=int, help="that many chats only: a rehearsal")
    parser.add_argument("--steps", type=int, default=-1, help="that many steps only: a rehearsal")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write(json.dumps(train(Run(**json.loads(arguments.one)), arguments)) + "\n")
        return 0
    runs = [Run(method, rate, seed) for method in RATES for rate, seed in product(RATES[method], arguments.seeds)]
    ranks = product(arguments.ranks, RATES["lora"][1:])
    runs += [Run("lora", rate, arguments.seeds[0], rank) for rank, rate in ranks]
    results = [*in_processes(runs, arguments)]
    results += [json.loads(line) for path in arguments.with_results for line in path.read_text("utf-8").splitlines()]
    if not results:
        return 1
    text = (
        f"# Learning rates, {date.today().isoformat()}\n\n`python -m benchmarks.training_rates` on "
        f"{results[0]['train_device']}: SmolLM2-135M-Instruct, {results[0]['examples']} support chats of Bitext, two "
        "epochs, 32 chats a step; loss on the tokens of the replies of one conversation in ten "
        "that was held back, of the best state.\n\n" + "\n".join(table(results)) + "\n"
    )
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
