"""The voices of a deployment's brands for a process that goes on: each is in memory until its files change."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from configs.brand import Brand
from configs.home import Home
from training.voice.brand import voice_of
from training.voice.model import VoiceModel

State = tuple[tuple[str, int, int], ...]


class KeptVoices:
    """What the inbox, the bench, the overview and the alarm on drift judge texts by."""

    def __init__(self, brands: Mapping[str, Brand], home: Home) -> None:
        """Open it; nothing is learnt yet.

        Args:
            brands: The deployment's.
            home: Where voices are kept from one process to the next.
        """
        self._brands = brands
        self._home = home
        self._known: dict[str, tuple[State, VoiceModel]] = {}
        self._learning: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def of(self, brand: str) -> VoiceModel:
        """The voice of a brand as its files stand (blocking: some seconds where it is learnt, else a look at files).

        Raises:
            DataInvalid: The conversations cannot be read.
            VoiceUnlearnable: The brand has none, or too few.
            OSError: A file is gone.
        """
        one = self._brands[brand]
        with self._learning[brand]:
            state = _state(one)
            known = self._known.get(brand)
            if known is None or known[0] != state:
                known = self._known[brand] = state, voice_of(one, self._home)
            return known[1]


def _state(brand: Brand) -> State:
    """Name, size and time of change of everything that a voice is learnt from."""
    files = [path for path in (brand.conversations, brand.voice_guide) if path is not None]
    files += sorted(path for path in brand.pages.rglob("*") if path.is_file())
    return tuple(_of_file(path) for path in files)


def _of_file(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns
