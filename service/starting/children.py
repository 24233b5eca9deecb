"""Processes that prepare something: watched line by line, and ended with everything that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence

from service.cli.failures import Failure

LAST_LINES = 12
PATIENCE_S = 5.0


class Children:
    """Runs modules of ours as processes; leaving the block ends those that still run."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ending = False

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(self, module: str, arguments: Sequence[str], *, what: str, on_line: Callable[[str], None]) -> str:
        """Run a module to its end.

        Args:
            module: Such as `training.base_model`.
            arguments: Its own.
            what: Said when it fails.
            on_line: Told each line of its stderr.

        Returns:
            What it wrote to stdout.

        Raises:
            Failure: It ended with an error; `why` is its last line.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # A group of its own: Ctrl-C in the terminal reaches us alone, and we end the whole group.
            start_new_session=True,
        )
        with self._lock:
            self._running.add(process)
            if self._ending:
                _signal(process, signal.SIGKILL)
        last: deque[str] = deque(maxlen=LAST_LINES)
        reader = threading.Thread(target=_read, args=(process, last, on_line), daemon=True)
        reader.start()
        assert process.stdout is not None  # noqa: S101 - piped above; tells the type checker
        out = process.stdout.read()
        code = process.wait()
        reader.join(PATIENCE_S)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        with self._lock:
            self._running.discard(process)
        if code:
            why = next((line for line in reversed(last) if line.startswith("error: ")), last[-1] if last else "")
            raise Failure(
                what,
                why.removeprefix("error: ") or f"`python -m {module}` ended with {code}",
                f"run it alone to see more: python -m {' '.join([module, *arguments])}",
            )
        return out

    def end(self) -> None:
        """End all that run, politely first."""
        with self._lock:
            self._ending = True
            running = list(self._running)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in running:
                _signal(process, number)
            for process in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE_S)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _read(process: subprocess.Popen[str], last: deque[str], on_line: Callable[[str], None]) -> None:
    assert process.stderr is not None  # noqa: S101 - piped by the caller; tells the type checker
    for raw in process.stderr:
        # A progress bar rewrites its line with carriage returns.
        if line := raw.rstrip().rpartition("\r")[2].strip():
            last.append(line)
            on_line(line)
