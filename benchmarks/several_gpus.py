"""One training on one GPU and on two: the same steps, so the same losses, and how long they take.

    accelerate launch --num_processes 1 -m benchmarks.several_gpus --base FOLDER --accumulate 2 --out one.json
    accelerate launch --num_processes 2 --multi_gpu -m benchmarks.several_gpus --base FOLDER --accumulate 1 ...

The first 4,000 of Bitext's rows, 32 chats a step. `--packed` fills rows of 1,024 tokens, 64 a step, of all its rows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.chats import BITEXT, read_chats
from configs.training import Recipe
from training.progress import LineProgress
from training.recipes import sft
from training.trainer.ranks import is_main, processes

ROWS, STEPS = 4000, 60
PACKED = {"packing": True, "weights": "bfloat16", "fused_lora": True}


def recipe(*, accumulate: int, steps: int, packed: bool) -> Recipe:
    """LoRA r16 with as many chats a step, however many processes share them."""
    return Recipe.model_validate(
        {
            "name": "chats",
            "lora": {"lora_dropout": 0.0},
            "sft": {
                "learning_rate": 4e-3,
                "max_steps": steps,
                "per_device_train_batch_size": 32 if packed else 16,
                "gradient_accumulation_steps": accumulate,
                "held_back": 0.1,
                "evaluate_every": steps,
                "seed": 1,
                **(PACKED if packed else {}),
            },
        }
    )


def main() -> None:
    """Train, and write what one process found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--bitext", type=Path, default=BITEXT)
    parser.add_argument("--accumulate", type=int, required=True, help="batches a step, in each process")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    examples = read_chats(given.bitext)
    with tempfile.TemporaryDirectory() as scratch:
        job = sft.Job(
            recipe(accumulate=given.accumulate, steps=given.steps, packed=given.packed),
            examples if given.packed else examples[:ROWS],
            "0" * 64,
            None,
            given.base,
            Path(scratch) / "adapter" / "1",
            Path(scratch) / "runs",
            progress=LineProgress(),
        )
        trained = sft.main(job)
    if is_main():
        found = {"processes": processes(), "metrics": dict(trained.metrics), "losses": list(trained.losses)}
        given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
