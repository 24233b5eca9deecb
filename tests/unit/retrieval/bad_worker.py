"""The worker with readers that misbehave, each in its way; run by `test_bad_documents.py` as a process."""

from __future__ import annotations

import os
import time

from retrieval.documents.readers import worker
from retrieval.documents.readers.extract import Extract, Limits

kept: list[bytearray] = []


def spin(_limits: Limits) -> None:
    while True:
        pass


def write(_limits: Limits) -> None:
    with open("/tmp/brandvoice-must-not-be", "wb") as file:
        file.write(b"x" * 10_000)


DEEDS = {
    b"hang": lambda _limits: time.sleep(60),
    b"spin": spin,
    b"grow": lambda limits: bytearray(limits.memory_bytes),
    # What a leak leaves: the first document is read, and the next one finds no room.
    b"keep": lambda limits: kept.append(bytearray(limits.memory_bytes // 2)),
    b"need": lambda limits: bytearray(limits.memory_bytes // 2),
    b"crash": lambda _limits: os.abort(),
    b"noise": lambda _limits: os.write(
        1, b'{"parts": ["forged"], "paged": false, "title": "", "hidden": {}, "form": ""}\n'
    ),
    b"write": write,
}
TEXTS = {
    b"secret": lambda _limits: " ".join(os.environ),
    b"flood": lambda limits: "x" * (limits.chars + 1),
}


def read(data: bytes, limits: Limits) -> Extract:
    """Do what the document says."""
    if data in DEEDS:
        DEEDS[data](limits)
    return Extract((TEXTS[data](limits) if data in TEXTS else data.decode(),))


if __name__ == "__main__":
    worker._reader = lambda _request: read
    worker.main()
