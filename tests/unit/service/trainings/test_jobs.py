"""Jobs as processes: a stand-in command in place of training, everything around it real."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from configs.home import Home
from configs.load import load_config
from service.errors import AdapterUnknown, BrandUnknown, NotPossible, RequestInvalid
from service.storage.database import Database
from service.trainings import planning, process
from service.trainings.desk import Trainings
from service.trainings.terms import Choice, Job
from tests.patience import PATIENCE_S

BRAND = "velmora"
ROOT = Path(__file__).resolve().parents[4]
STAND_IN = """
import json, pathlib, sys, time
run, steps, pace, version = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
run.mkdir(parents=True, exist_ok=True)
losses = run / "losses.jsonl"
done = len(losses.read_text().splitlines()) if losses.exists() else 0
losses.touch()
for step in range(done + 1, steps + 1):
    time.sleep(pace)
    with losses.open("a") as file:
        file.write(json.dumps({"step": step, "loss": 3 / step}) + "\\n")
    told = {"stage": "training", "step": step, "total": steps, "loss": 3 / step, "eta_s": pace * (steps - step)}
    sys.stderr.write(json.dumps(told) + "\\n")
    sys.stderr.flush()
print(json.dumps({"brand": "velmora", "version": version or None, "run": str(run), "skipped": False}))
"""
"""Goes on from the steps that it finds, as training does."""


class Bench:
    """A desk whose commands are the test's."""

    def __init__(self, db: Database, home: Home, patch: pytest.MonkeyPatch) -> None:
        self.db, self.home = db, home
        self.steps, self.pace, self.version = 3, 0.01, "v1"
        self.script = home.root / "stand_in.py"
        self.script.write_text(STAND_IN)
        self.gate = [sys.executable, "-c", "print('{}')"]
        self.noted: list[str] = []
        patch.setattr(planning, "train_command", lambda *_, **__: self.command())
        patch.setattr(planning, "gate_command", lambda *_, **__: self.gate)
        self.desk = self.another()

    def command(self) -> list[str]:
        run = self.home.runs / f"{BRAND}-20261126-110000"
        return [sys.executable, str(self.script), str(run), str(self.steps), str(self.pace), self.version]

    def another(self) -> Trainings:
        """The desk of a gateway that has just started."""
        return Trainings(self.db, load_config(ROOT / "configs", {}), self.home)

    def audit(self, _: Connection, action: str, job: Job, detail: dict[str, Any]) -> None:
        assert job.brand == BRAND
        assert detail
        self.noted.append(action)

    async def start(self, **choice: Any) -> Job:
        return await self.desk.start(Choice(BRAND, "quick_cpu", **choice), by="Anna", audit=self.audit)

    async def until(self, job: Job, *states: str, desk: Trainings | None = None) -> Job:
        return await until(desk or self.desk, job, lambda one: one.state in states)


def wait(holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until something outside this process is so."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        process.reap()
        time.sleep(0.02)


async def until(desk: Trainings, job: Job, holds: Callable[[Job], object]) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        await desk.look()
        found = await desk.read(job.id)
        if holds(found):
            return found
        assert time.monotonic() < deadline, (found.state, desk.said(found))
        await asyncio.sleep(0.05)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    one = Bench(db, Home(tmp_path), monkeypatch)
    yield one
    for job in await one.desk.listed():
        if job.state == "running":
            process.kill(process.Identity(job.pid or 0, job.pid_began or ""))
    process.reap()
    await db.close()


async def test_a_job_runs_to_its_end_and_says_what_came_of_it(bench: Bench) -> None:
    bench.steps, bench.pace = 30, 0.05
    job = await bench.start(gate=False)
    assert (job.state, job.started_by, job.attempts) == ("running", "Anna", 1)
    await until(bench.desk, job, lambda one: one.run and len(bench.desk.curve(one).losses) > 3)
    standing = bench.desk.standing(await bench.desk.read(job.id))
    assert standing is not None
    assert (standing.stage, standing.total) == ("training", 30)
    assert standing.loss is not None
    assert standing.seconds_left is not None
    done = await bench.until(job, "done")
    assert (done.version, done.run, done.error) == ("v1", f"{BRAND}-20261126-110000", None)
    assert done.ended_at is not None
    assert [point.step for point in bench.desk.curve(done).losses] == list(range(1, 31))
    assert bench.noted == ["training.started"]


def test_a_job_goes_on_when_its_gateway_ends_and_the_next_one_finds_it(tmp_path: Path) -> None:
    """The process is started by a process that ends at once, as a gateway that is stopped."""
    folder, lock, script = tmp_path / "one", tmp_path / "lock", tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    command = [sys.executable, str(script), str(tmp_path / "run"), "20", "0.05", "v1"]
    starter = (
        "import json, os, sys; from pathlib import Path; from service.trainings import process\n"
        "folder, lock, command = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])\n"
        "one = process.start(folder, command, lock, dict(os.environ)); print(one.pid, one.began)"
    )
    words = [sys.executable, "-c", starter, str(folder), str(lock), json.dumps(command)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    found = process.Identity(int(told[0]), told[1])
    assert found.alive, "its starter is gone, and it runs"
    wait(lambda: not process.is_free(lock))
    wait(lambda: process.ended(folder) is not None)
    assert process.ended(folder) == 0
    assert (process.result(folder) or {})["version"] == "v1"


async def test_a_gateway_that_starts_anew_watches_stops_and_goes_on_with_the_job_of_the_one_before(
    bench: Bench,
) -> None:
    bench.steps, bench.pace = 200, 0.05
    job = await bench.start(gate=False)
    anew = bench.another()
    await until(anew, job, lambda one: one.run and len(anew.curve(one).losses) > 2)
    stopped = await anew.stop(job.id, audit=bench.audit)
    assert stopped.state == "stopped"
    identity = process.Identity(job.pid or 0, job.pid_began or "")
    wait(lambda: not identity.alive)
    made = len(anew.curve(await anew.read(job.id)).losses)
    assert 2 < made < 200
    bench.steps, bench.pace = made + 5, 0.01
    again = await bench.another().resume(job.id, audit=bench.audit)
    assert (again.state, again.attempts) == ("running", 2)
    done = await bench.until(job, "done")
    steps = [point.step for point in bench.desk.curve(done).losses]
    assert steps == list(range(1, made + 6)), "it went on where it was, and made no step twice"
    assert bench.noted == ["training.started", "training.stopped", "training.resumed"]
    with pytest.raises(NotPossible, match="nothing to go on"):
        await bench.desk.resume(job.id)
    with pytest.raises(NotPossible, match="does not run"):
        await bench.desk.stop(job.id)


async def test_one_training_at_a_time_on_a_machine(bench: Bench) -> None:
    bench.steps, bench.pace = 200, 0.05
    job = await bench.start(gate=False)
    with pytest.raises(NotPossible, match="trains already"):
        await bench.start()
    with pytest.raises(NotPossible, match="trains already"):
        await bench.another().start(Choice(BRAND, "quick_cpu"), by="Ben")
    await bench.desk.stop(job.id)
    wait(bench.desk._free)
    bench.steps = 1
    await bench.until(await bench.start(gate=False), "done")


def test_a_training_that_was_told_to_stop_has_a_moment_to_end(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print(flush=True); time.sleep(1)"
    with subprocess.Popen([sys.executable, "-c", hold, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert not process.waits_until_free(lock, 0.1)
        assert process.waits_until_free(lock, PATIENCE_S)


async def test_a_process_that_is_killed_is_told_from_one_that_failed(bench: Bench) -> None:
    bench.steps, bench.pace = 200, 0.05
    job = await bench.start(gate=False)
    process.kill(process.Identity(job.pid or 0, job.pid_began or ""))
    assert (await bench.until(job, "interrupted", "failed")).state == "interrupted"
    bench.script.write_text("import sys\nsys.stderr.write('error: no such thing:\\nrow 3 is bad\\n')\nsys.exit(1)")
    again = await bench.desk.resume(job.id)
    failed = await bench.until(again, "failed", "interrupted")
    assert (failed.state, failed.error) == ("failed", "no such thing:\nrow 3 is bad")


def test_a_training_stands_behind_those_who_answer_visitors(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import json, os; print(json.dumps({'nice': os.nice(0)}))"]
    one = process.start(tmp_path / "one", command, tmp_path / "lock", os.environ)
    wait(lambda: not one.alive)
    process.reap()
    assert (process.result(tmp_path / "one") or {})["nice"] == min(19, os.nice(0) + process.BEHIND)


def test_a_process_is_known_by_its_beginning_and_not_by_its_number_alone() -> None:
    mine = process.began(os.getpid())
    assert mine is not None
    assert process.Identity(os.getpid(), mine).alive
    assert not process.Identity(os.getpid(), "another boot:1").alive
    # Were the number enough, this would end the tests themselves.
    assert not process.stop(process.Identity(os.getpid(), "another boot:1"))
    process.kill(process.Identity(os.getpid(), "another boot:1"))
    assert process.began(2**22 + 1) is None


async def test_the_gate_is_asked_once_a_version_is_there_also_by_the_next_gateway(bench: Bench) -> None:
    job = await bench.start(gate=True)
    trained = await bench.until(job, "trained")
    assert (trained.step, trained.version) == ("train", "v1")
    anew = bench.another()
    await anew._ask_next()
    assert (await anew.read(job.id)).state == "trained", "not before it listens"
    anew.url = "http://127.0.0.1:1"
    bench.gate = [sys.executable, "-c", "import sys; sys.stderr.write('error: no gateway\\n'); sys.exit(1)"]
    await anew._ask_next()
    failed = await bench.until(job, "failed", desk=anew)
    assert (failed.step, failed.error) == ("gate", "no gateway")
    bench.gate = [sys.executable, "-c", "print('{}')"]
    assert (await anew.resume(job.id)).step == "gate"
    assert (await bench.until(job, "done", desk=anew)).version == "v1"


async def test_a_discarded_version_is_deleted_unless_it_speaks(bench: Bench) -> None:
    folder = bench.home.adapters / BRAND / "v1"
    folder.mkdir(parents=True)
    (bench.home.adapters / BRAND / "active").write_text("v1")
    job = await bench.until(await bench.start(), "done")
    with pytest.raises(NotPossible, match="speaks"):
        await bench.desk.discard(job.id, by="Anna")
    (bench.home.adapters / BRAND / "active").write_text("v0")
    gone = await bench.desk.discard(job.id, by="Anna", audit=bench.audit)
    assert gone.discarded_by == "Anna"
    assert not folder.exists()
    with pytest.raises(NotPossible):
        await bench.desk.ask_gate(job.id)


async def test_what_is_not_there_is_said(bench: Bench) -> None:
    with pytest.raises(AdapterUnknown):
        await bench.desk.read("none")
    with pytest.raises(BrandUnknown):
        await bench.desk.start(Choice("nobody", "quick_cpu"), by="Anna")
    with pytest.raises(RequestInvalid, match="no recipe"):
        await bench.desk.plan(Choice(BRAND, "../../etc/passwd"))
