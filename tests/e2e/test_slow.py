"""Stories that take minutes: a gateway that dies, an engine that never comes, a full disk, a real training."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import BRANDS, SHIPPED, run_cli, start_demo, variables, with_models
from tests.e2e.test_main_job import QUESTION, _hello, _until
from tests.patience import PATIENCE_S

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
VISITORS = 6


async def test_what_was_accepted_is_answered_once_after_kill_nine(tmp_path: Path) -> None:
    home = with_models(tmp_path)
    environment = variables(home)
    first = start_demo(home, environment)
    visitors = []
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"{first.url}/ws/chat") for _ in range(VISITORS)]
        for number, socket in enumerate(sockets):
            visitors.append(await _hello(socket, BRANDS[number % 2]))
            await socket.send_json({"type": "message", "client_id": uuid.uuid4().hex, "text": QUESTION})
        for socket in sockets:
            await _until(socket, "accepted")
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait(PATIENCE_S)
        second = await asyncio.to_thread(start_demo, home, environment)
        try:
            for number, visitor in enumerate(visitors):
                known = {"visitor": visitor["visitor"], "conversation": visitor["conversation"]}
                async with asyncio.timeout(120):
                    while True:
                        async with session.ws_connect(f"{second.url}/ws/chat") as socket:
                            again = await _hello(socket, BRANDS[number % 2], **known)
                        if all(turn["state"] == "done" for turn in again["turns"]):
                            break
                        await asyncio.sleep(1)
                assert [turn["question"] for turn in again["turns"]] == [QUESTION]
                assert "30 days" in again["turns"][0]["text"]
        finally:
            second.interrupt()


def test_an_engine_that_is_never_ready_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    home = with_models(tmp_path)
    environment = variables(home, BRANDVOICE_ENGINE__READY_TIMEOUT_S="3")
    done = run_cli("demo", "--once", QUESTION, environment=environment, timeout_s=180)
    assert done.returncode == 1
    assert "was not ready after 3 s" in done.stderr
    assert "engine.ready_timeout_s" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB; only root may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(path: Path) -> None:
    """Write until nothing more fits."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


def test_a_full_disk_is_told_and_what_served_goes_on_serving(small_disk: Path, tmp_path: Path) -> None:
    environment = variables(with_models(small_disk))
    assert run_cli("kb", "add", "--brand", "velmora", environment=environment).returncode == 0
    page = tmp_path / "page.md"
    page.write_text("# New page\n\nThe house now also lends umbrellas.\n", encoding="utf-8")
    filler = small_disk / "filler"
    _fill(filler)
    done = run_cli("kb", "add", str(page), "--brand", "velmora", environment=environment)
    assert done.returncode == 1
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr
    found = run_cli("kb", "search", "unopened item", "--brand", "velmora", "--json", environment=environment)
    assert json.loads(found.stdout)["passages"][0]["document"] == "returns.md"
    filler.unlink()
    assert run_cli("kb", "add", str(page), "--brand", "velmora", environment=environment).returncode == 0


def test_the_quick_recipe_trains_in_minutes_and_is_skipped_when_nothing_changed(tmp_path: Path) -> None:
    environment = variables(with_models(tmp_path))
    assert run_cli("kb", "add", "--brand", "velmora", environment=environment).returncode == 0
    words = ("train", "--brand", "velmora", "--recipe", "quick_cpu", "--json")
    trained = run_cli(*words, environment=environment, timeout_s=1200)
    assert trained.returncode == 0, trained.stderr[-2000:]
    report = json.loads(trained.stdout)
    assert not report["skipped"]
    again = json.loads(run_cli(*words, environment=environment, timeout_s=120).stdout)
    assert (again["skipped"], again["version"]) == (True, report["version"])


def test_a_better_adapter_is_passed_by_the_gate_and_speaks(tmp_path: Path) -> None:
    """All held-out questions, twice: three quarters of an hour on two cores."""
    configs = tmp_path / "configs"
    shutil.copytree("configs", configs)
    (tmp_path / "samples").symlink_to(Path("samples").absolute())
    for path in configs.glob("brands/*.yaml"):
        # Nothing ships, so that the base model speaks and the adapter is a candidate.
        kept = [line for line in path.read_text().splitlines() if not line.startswith("shipped_adapter")]
        path.write_text("\n".join(kept) + "\n")
    home = tmp_path / "home"
    shutil.copytree("samples/velmora/adapter", home / "adapters/velmora" / SHIPPED)
    environment = variables(with_models(home), BRANDVOICE_CONFIGS=str(configs))

    assert run_cli("adapter", "promote", f"velmora@{SHIPPED}", environment=environment).returncode == 3
    words = ("eval", "--brand", "velmora", "--candidate", SHIPPED, "--json")
    judged = run_cli(*words, environment=environment, timeout_s=4800)
    assert judged.returncode == 0, judged.stderr[-2000:]
    report = json.loads(judged.stdout)
    assert report["verdict"] == "passed", report["reasons"]
    assert report["cases"] >= 150
    assert report["means"][SHIPPED]["voice"]["low"] > report["means"]["base"]["voice"]["high"]
    promoted = run_cli("adapter", "promote", f"velmora@{SHIPPED}", "--json", environment=environment)
    assert promoted.returncode == 0, promoted.stderr
    shown = json.loads(run_cli("adapter", "show", f"velmora@{SHIPPED}", "--json", environment=environment).stdout)
    assert shown["active"]
    assert shown["approvals"][-1]["by"] == "gate"
