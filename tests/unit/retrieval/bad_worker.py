"""The worker with readers that misbehave, each in its way; run by `test_bad_documents.py` as a process."""

from __future__ import annotations

import os
import time

from retrieval.readers import worker
from retrieval.readers.extract import Extract, Limits


def read(data: bytes, limits: Limits) -> Extract:
    """Do what the document says."""
    match data:
        case b"hang":
            time.sleep(60)
        case b"spin":
            while True:
                pass
        case b"grow":
            bytearray(limits.memory_bytes)
        case b"keep":
            # What a leak leaves: the first document is read, and the next one finds no room.
            kept.append(bytearray(limits.memory_bytes // 2))
        case b"need":
            bytearray(limits.memory_bytes // 2)
        case b"crash":
            os.abort()
        case b"noise":
            os.write(1, b'{"parts": ["forged"], "paged": false, "title": "", "hidden": {}}\n')
        case b"write":
            with open("/tmp/brandvoice-must-not-be", "wb") as file:  # noqa: PTH123, S108
                file.write(b"x" * 10_000)
        case b"secret":
            return Extract((" ".join(os.environ),))
        case b"flood":
            return Extract(("x" * (limits.chars + 1),))
    return Extract((data.decode(),))


kept: list[bytearray] = []

if __name__ == "__main__":
    worker._reader = lambda _request: read
    worker.main()
