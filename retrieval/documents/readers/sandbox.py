"""Parsing at arm's length: one worker process reads file after file, and is ended and started again on a limit.

A worker takes 0.1 s to start and up to 0.8 s to load a library, more than most files take to read; that is why it is
kept (docs/knowledge.md has the figures).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from retrieval.documents.readers.extract import Extract, Limits, Refused

_ROOT = Path(__file__).parents[3]
_WORKER = "retrieval.documents.readers.worker"
_JSON_PER_CHAR = 12
"""Bytes that one character may take in JSON: two escapes of six."""
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
"""All that a worker sees of the environment, in which secrets may stand."""


class Sandbox:
    """Reads documents in a process of its own. A context manager; the process starts with the first document.

    Args:
        limits: What one document may cost.
        module: The module that runs as the worker.
    """

    def __init__(self, limits: Limits | None = None, *, module: str = _WORKER) -> None:
        self.limits = limits or Limits()
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0
        """Documents that the present worker has read."""

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        process, self._process, self._read = self._process, None, 0
        if process is not None:
            process.kill()
            process.communicate()

    def read(self, data: bytes, form: str, *, charset: str | None = None) -> Extract:
        """Read one document.

        Args:
            data: The bytes of the file.
            form: The format: `html`, `pdf`, `office`, `csv`, `json` or `sitemap`.
            charset: Of HTML, as the server named it.

        Raises:
            Refused: It cannot be read, or it went over a limit; the message is the reason.
        """
        if len(data) > self.limits.file_bytes:
            raise Refused(f"larger than {self.limits.file_bytes // 1_000_000} MB ({len(data) / 1e6:.1f} MB); split it")
        try:
            return self._read_once(data, form, charset)
        except _Spent as spent:
            # What earlier documents left behind in the worker must not decide over this one.
            if spent.alone:
                raise Refused(str(spent)) from None
        try:
            return self._read_once(data, form, charset)
        except _Spent as spent:
            raise Refused(str(spent)) from None

    def _read_once(self, data: bytes, form: str, charset: str | None) -> Extract:
        process = self._process or self._start()
        alone, self._read = self._read == 0, self._read + 1
        answer, late = self._ask(process, data, form, charset)
        if answer is None:
            self.close()
            reason = self._why(process.returncode, late=late)
            raise _Spent(reason, alone=alone or late or process.returncode == -signal.SIGXCPU)
        if answer.get("spent"):
            self.close()
            raise _Spent(answer["refused"], alone=alone)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return Extract(
            tuple(answer["parts"]), answer["paged"], answer["title"], Counter(answer["hidden"]), answer["form"]
        )

    def _start(self) -> subprocess.Popen[bytes]:
        self._read = 0
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-m", self._module, json.dumps(asdict(self.limits))],
            cwd=_ROOT,  # first on the worker's path
            env={"LC_ALL": "C.UTF-8"} | {name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C goes to the command, which then ends the worker
        )
        return self._process

    def _ask(
        self, process: subprocess.Popen[bytes], data: bytes, form: str, charset: str | None
    ) -> tuple[dict[str, Any] | None, bool]:
        """The answer, or None where none came; and whether the time was up."""
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.limits.wall_seconds, end)
        timer.start()
        try:
            request = {"format": form, "size": len(data), "charset": charset}
            into, out = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            into.write(json.dumps(request).encode() + b"\n")
            into.write(data)
            into.flush()
            line = out.readline(self.limits.chars * _JSON_PER_CHAR)
            answer = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            answer = None
        finally:
            timer.cancel()
        return (answer if isinstance(answer, dict) else None), late.is_set()

    def _why(self, code: int, *, late: bool) -> str:
        if late:
            return f"took more than {self.limits.wall_seconds:g} s to read"
        if code == -signal.SIGXCPU:
            return f"took more than {self.limits.cpu_seconds} s of processor time to read"
        return "the parser crashed over it"


class _Spent(Exception):
    """The worker is gone; `alone` says that no earlier document can be to blame."""

    def __init__(self, reason: str, *, alone: bool) -> None:
        super().__init__(reason)
        self.alone = alone
