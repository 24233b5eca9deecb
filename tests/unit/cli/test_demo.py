"""The parts of a start: one at a time, ports, stages, children that end."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import threading
from pathlib import Path

import pytest

from configs.home import Home
from service.cli.failures import Failure
from service.starting.children import Children
from service.starting.demo import LastError, check_port, only_one, training_line
from service.starting.stages import Stages, bar
from tests.patience import PATIENCE_S, until


def test_a_second_start_on_the_same_state_folder_is_refused_with_the_holders_process(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with only_one(home), pytest.raises(Failure, match="another brandvoice runs") as caught, only_one(home):
        pass
    assert str(os.getpid()) in caught.value.why
    assert "BRANDVOICE_HOME" in caught.value.cure


def test_the_state_folder_is_free_again_after_a_crash(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), only_one(Home(tmp_path)):
        raise RuntimeError
    with only_one(Home(tmp_path)):
        pass


def test_a_port_in_use_is_told_before_the_long_work_with_another_to_take() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"port {port} is in use") as caught:
            check_port("127.0.0.1", port)
    assert "BRANDVOICE_SERVICE__PORT=" in caught.value.cure
    check_port("127.0.0.1", port)


def test_each_stage_is_one_line_with_its_seconds_and_is_kept(tmp_path: Path) -> None:
    out = io.StringIO()
    with Stages(out) as stages:
        with stages.stage("encoder") as stage:
            stage.detail = "ready"
        with pytest.raises(RuntimeError), stages.stage("knowledge"):
            raise RuntimeError
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("✓ encoder")
    assert lines[0].endswith("s  ready")
    assert lines[1].startswith("✗ knowledge")
    stages.save(tmp_path / "runs/demo.json", trained=False)
    record = json.loads((tmp_path / "runs/demo.json").read_text())
    assert [(one["name"], one["state"]) for one in record["stages"]] == [("encoder", "done"), ("knowledge", "failed")]
    assert record["machine"]["cpus"]


def test_training_is_shown_with_bar_loss_and_minutes_left() -> None:
    report = {"stage": "training", "step": 20, "total": 80, "loss": 1.23456, "eta_s": 150}
    assert training_line(report) == "training  █████░░░░░░░░░░░░░░░ 20/80  loss 1.235  2.5 min left"
    assert training_line({"stage": "loading", "step": 0, "total": 0, "loss": None, "eta_s": None}) == "loading"
    assert bar(99, 80).endswith("99/80")


def module(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return name


def test_a_child_that_fails_is_told_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import sys\nsys.stderr.write('step 1\\nerror: no network\\nbye\\n')\nsys.exit(4)\n"
    name = module(tmp_path, "failing_child", text, monkeypatch)
    seen: list[str] = []
    with Children() as children, pytest.raises(Failure, match="not prepared") as caught:
        children.run(name, [], what="not prepared", on_line=seen.append)
    assert caught.value.why == "no network"
    assert seen == ["step 1", "error: no network", "bye"]


def test_leaving_ends_children_with_all_that_they_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "sys.stderr.write(f'{child.pid}\\n')\nsys.stderr.flush()\ntime.sleep(60)\n"
    )
    name = module(tmp_path, "sleeping_child", text, monkeypatch)
    grandchild: list[str] = []
    started = threading.Event()

    def on_line(line: str) -> None:
        grandchild.append(line)
        started.set()

    def run() -> None:
        with pytest.raises(Failure):
            children.run(name, [], what="ended", on_line=on_line)

    with Children() as children:
        thread = threading.Thread(target=run)
        thread.start()
        assert started.wait(PATIENCE_S)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    until(lambda: not _lives(int(grandchild[0])))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_why_a_gateway_did_not_open_is_taken_from_what_was_logged() -> None:
    failures = LastError()
    log = logging.getLogger("test.gateway")
    log.propagate = False
    log.addHandler(failures)
    log.error("Application startup failed. Exiting.")
    assert failures.text == ""
    log.error("Traceback (most recent call last):\n  File x\nconfigs.errors.ConfigError: No keys. Set some.\n")
    log.error("Traceback (most recent call last):\nValueError: later")
    assert failures.text == "No keys. Set some."
