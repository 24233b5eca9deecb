"""How much a person's words sound like the brand, told while they write: what `brandvoice voice score` says."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import Executor
from dataclasses import dataclass

from service.errors import BrandUnknown
from training.voice import TrainingError
from training.voice.kept import KeptVoices


@dataclass(frozen=True, slots=True)
class Heard:
    """How a text sounds."""

    score: float | None
    """0 to 1: how likely the brand wrote it; None where the brand's voice is not known."""
    reasons: tuple[str, ...]
    """What speaks against the brand, or for it, what tells most first; or why its voice is not known."""


class VoiceLint:
    """Scores texts by brands' voices."""

    def __init__(self, brands: Collection[str], voices: KeptVoices, executor: Executor) -> None:
        """Open it; nothing is learnt yet.

        Args:
            brands: The deployment's, by name.
            voices: Theirs.
            executor: The threads that check answers: a score takes some milliseconds of one.
        """
        self._brands = brands
        self._voices = voices
        self._executor = executor
        self._learning: dict[str, asyncio.Lock] = {}

    async def hear(self, brand: str, text: str) -> Heard:
        """Score one text.

        Raises:
            BrandUnknown: There is no such brand.
        """
        if brand not in self._brands:
            raise BrandUnknown(f"There is no brand {brand!r}.")
        try:
            # One thread waits for a voice that is being learnt, whoever asks meanwhile; and not one of those that
            # check answers, since that takes a second or more.
            async with self._learning.setdefault(brand, asyncio.Lock()):
                voice = await asyncio.to_thread(self._voices.of, brand)
        except (TrainingError, OSError) as error:
            return Heard(None, (f"The voice of {brand} is not known: {error}",))
        found = await asyncio.get_running_loop().run_in_executor(self._executor, voice.score, text)
        return Heard(found.score, found.reasons)
