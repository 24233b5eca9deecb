"""Small files that are replaced whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Replace a small file so that a reader sees the old or the new text, also after a crash.

    It may be read by whom `mode` lets read; without one by whom the process's umask does, like any file that is written
    plainly.

    Raises:
        OSError: It cannot be written; the old one stands, and nothing lies beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        with new.open("x", encoding="utf-8") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
