"""A command as a process of its own, which goes on when the gateway that started it ends.

    python -m service.trainings.process FOLDER

runs what `FOLDER/command.json` says and writes beside it: `log` (its stderr), `result.json` (its stdout) and, last,
`ended.json` with its exit code. While it runs it holds a lock of this machine, so that two trainings do not share it.
The page knows a process by its number and the moment it began: a number alone is given to another one some day.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.whole_file import replace_text

COMMAND, LOG, RESULT, ENDED = "command.json", "log", "result.json", "ended.json"
BUSY = 75
"""Exit code where another training has the machine (EX_TEMPFAIL of sysexits.h)."""
ENDS_S = 10.0
"""In which a training that is told to stop has ended: libraries that compute hear of it between two of their calls."""
BEHIND = 10
"""By how much a training stands behind the gateway and its engine for a core (nice(2)): visitors wait for those."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, and no other one ever."""

    pid: int
    began: str
    """The boot of the machine and the clock ticks since then."""

    @property
    def alive(self) -> bool:
        """Whether just this process runs."""
        return began(self.pid) == self.began


def began(pid: int) -> str | None:
    """When a process began, in a form that no other process of this number shares; None where none runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
        boot = BOOT.read_text("utf-8").strip()
    except OSError:
        return None
    # The name of the program, in brackets, may hold anything. Field 3 is the state, field 22 the beginning (proc(5)).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def start(folder: Path, command: Sequence[str], lock: Path, environment: Mapping[str, str]) -> Identity:
    """Begin a command, apart from this process and its terminal.

    Args:
        folder: Gets log, result and exit code; those of an earlier attempt are replaced, its log goes on.
        command: Program and arguments.
        lock: Held as long as it runs.
        environment: The whole of it.

    Raises:
        OSError: It cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ENDED).unlink(missing_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    replace_text(folder / COMMAND, json.dumps({"command": list(command), "lock": str(lock)}, indent=1))
    runner = subprocess.Popen(
        [sys.executable, "-m", "service.trainings.process", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,
    )
    _children.append(runner)
    return Identity(runner.pid, began(runner.pid) or "")


_children: list[subprocess.Popen[bytes]] = []


def reap() -> None:
    """Take leave of children that have ended, which the kernel keeps until then."""
    _children[:] = [one for one in _children if one.poll() is None]


def stop(identity: Identity) -> bool:
    """Ask a process and its children to end; returns whether it was there."""
    if not identity.alive:
        return False
    with contextlib.suppress(ProcessLookupError):
        # It leads a session of its own: everything that it started is in its group.
        os.killpg(identity.pid, signal.SIGTERM)
    return True


def kill(identity: Identity) -> None:
    """End a process and its children at once."""
    if identity.alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(identity.pid, signal.SIGKILL)


def ended(folder: Path) -> int | None:
    """The exit code of a command; None while there is none."""
    try:
        return int(json.loads((folder / ENDED).read_text("utf-8"))["code"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def result(folder: Path) -> dict[str, Any] | None:
    """What a command wrote to stdout; None where that is no JSON object."""
    try:
        found = json.loads((folder / RESULT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def is_free(lock: Path) -> bool:
    """Whether no training of this machine holds its lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def waits_until_free(lock: Path, seconds: float = ENDS_S) -> bool:
    """Whether no training holds the lock of this machine; one that was just told to stop has a moment to end."""
    deadline = time.monotonic() + seconds
    while not (free := is_free(lock)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return free


def main(arguments: Sequence[str]) -> int:
    """Run the command of a folder, and keep its exit code."""
    folder = Path(arguments[0])
    os.nice(BEHIND)
    told = json.loads((folder / COMMAND).read_text("utf-8"))
    with Path(told["lock"]).open("a") as lock, (folder / LOG).open("ab") as log:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.write(b"error: another training has this machine; wait for it, or stop it\n")
            return _end(folder, BUSY)
        with (folder / RESULT).open("wb") as out:
            child = subprocess.Popen(told["command"], stdin=subprocess.DEVNULL, stdout=out, stderr=log)
            # Whoever stops us reaches the child too, and we tell how it ended.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            code = child.wait()
    return _end(folder, code)


def _end(folder: Path, code: int) -> int:
    replace_text(folder / ENDED, json.dumps({"code": code, "at": datetime.now(UTC).isoformat()}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
