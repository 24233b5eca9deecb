"""A folder that is watched: looked at every second, so that it works on every disk and share.

A folder that is away or empty changes nothing: a share that is not mounted looks like one, and nobody wants to lose
their knowledge to it. Files that are still being written are left until a look finds them as the one before did.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from retrieval.errors import RetrievalError

INTERVAL_S = 1.0
Snapshot = dict[str, tuple[int, int, int]]
"""Path of each file with its time of change in ns, size in bytes and inode."""


def watch(folder: Path, apply: Callable[[], None], say: Callable[[str], None], wait: Callable[[float], bool]) -> None:
    """Call `apply` at once and whenever the files below a folder changed and came to rest.

    Args:
        folder: What is watched; it may vanish and come back.
        apply: Takes in what is there; when it fails with a RetrievalError or OSError, it is called again.
        say: Told of what goes wrong, once.
        wait: Sleeps for so many seconds; returns True to end the watch.
    """
    applied: Snapshot = {}
    seen = snapshot(folder)
    told = ""
    while True:
        now = snapshot(folder)
        trouble = ""
        if not now:
            trouble = f"{folder} is away or empty; the knowledge stays as it is until it is back"
        elif now == seen and now != applied:
            try:
                apply()
                applied = now
            except (RetrievalError, OSError) as error:
                trouble = str(error)
        seen = now
        if trouble and trouble != told:
            say(trouble)
        told = trouble
        if wait(INTERVAL_S):
            return


def snapshot(folder: Path) -> Snapshot:
    """What the files below a folder look like; empty where it is away."""
    found: Snapshot = {}
    _look(str(folder), found, frozenset())
    return found


def _look(folder: str, found: Snapshot, above: frozenset[tuple[int, int]]) -> None:
    """Add the files of a folder; what vanishes meanwhile is skipped, and a link to a folder above ends there."""
    try:
        state = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError:
        return
    key = (state.st_dev, state.st_ino)
    if key in above:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir():
                _look(entry.path, found, above | {key})
            else:
                file = entry.stat()
                found[entry.path] = (file.st_mtime_ns, file.st_size, file.st_ino)
        except OSError:
            continue
