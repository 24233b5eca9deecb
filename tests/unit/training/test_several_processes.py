"""Several processes that train one model together on the CPU."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from configs.adapter_manifest import read_adapter
from configs.training import Recipe
from training.recipes import sft
from training.testing import TINY_RECIPE, tiny_job

WORKER = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.unit.training.test_dpo import recipe as preferring
from tests.unit.training.test_long_runs import different_examples, recipe
from training.trainer.ranks import is_main
from training.recipes import dpo, sft
from training.testing import tiny_dpo_job, tiny_job

base, folder, start, kind = *map(Path, sys.argv[1:4]), sys.argv[4]
if kind == "sft":
    job = tiny_job(base, folder, recipe(max_steps=6, per_device_train_batch_size=1, held_back=0.3, evaluate_every=3))
    trained = sft.main(replace(job, examples=different_examples(8), say=print))
else:
    job = tiny_dpo_job(base, folder, preferring(max_steps=6, per_device_train_batch_size=1), start)
    trained = dpo.main(replace(job, say=print))
if not is_main():
    assert trained.manifest is None
"""


def launch(tmp_path: Path, *arguments: object) -> str:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    # What `accelerate launch` starts several GPUs with; on a CPU its own options want MPI. Port 0 is a free one.
    options = "--nnodes 1 --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint localhost:0"
    command = [sys.executable, "-m", "torch.distributed.run", *options.split(), str(script)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_two_processes_leave_one_run_and_one_adapter(
    base: Path, tmp_path: Path, trained: sft.Trained, kind: str
) -> None:
    said = launch(tmp_path, base, tmp_path, trained.folder, kind)
    # What is resolved is said once.
    assert said.count("trained weights") == 1
    (run,) = (one for one in (tmp_path / "runs").iterdir() if one.is_dir())
    steps = [row for row in map(json.loads, (run / "losses.jsonl").read_text().splitlines()) if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    (folder,) = (tmp_path / "adapters").iterdir()
    manifest = read_adapter(folder)
    assert manifest.provenance is not None
    assert manifest.provenance.processes == 2
    assert not (run / "trainer").exists()


def test_two_processes_with_half_a_batch_learn_what_one_with_a_whole_one_does(
    base: Path, tmp_path: Path, trained: sft.Trained
) -> None:
    launch(tmp_path, base, tmp_path / "two", trained.folder, "sft")
    (run,) = (one for one in (tmp_path / "two" / "runs").iterdir() if one.is_dir())
    rows = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    from tests.unit.training.test_long_runs import different_examples, recipe

    whole: Recipe = recipe(max_steps=6, per_device_train_batch_size=2, held_back=0.3, evaluate_every=3)
    alone = sft.main(replace(tiny_job(base, tmp_path / "one", whole), examples=different_examples(8)))
    together = [row["loss"] for row in rows if "loss" in row]
    # A step's loss is the mean over its tokens in one process, and over the processes' means in two.
    assert together == pytest.approx(alone.losses, rel=0.02)
    assert TINY_RECIPE.sft.per_device_train_batch_size == 2
