"""How much a person's words sound like the brand, told while they write: what `brandvoice voice score` says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from configs.brand import Brand
from configs.home import Home
from service.errors import BrandUnknown
from training.voice import TrainingError
from training.voice.brand import voice_of
from training.voice.model import VoiceModel

LEARNT_AGAIN_S = 300.0
"""Conversations may have been added meanwhile; where none were, the kept model is read again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How a text sounds."""

    score: float | None
    """0 to 1: how likely the brand wrote it; None where the brand's voice is not known."""
    reasons: tuple[str, ...]
    """What speaks against the brand, or for it, what tells most first; or why its voice is not known."""


class VoiceLint:
    """Scores texts by brands' voices."""

    def __init__(self, brands: Mapping[str, Brand], home: Home, executor: Executor) -> None:
        """Open it; nothing is learnt yet.

        Args:
            brands: The deployment's.
            home: Where voices are kept.
            executor: The threads that check answers: a score takes some milliseconds of one.
        """
        self._brands = brands
        self._home = home
        self._executor = executor
        self._known: dict[str, tuple[float, VoiceModel | str]] = {}
        self._learning: dict[str, asyncio.Lock] = {}

    async def hear(self, brand: str, text: str) -> Heard:
        """Score one text.

        Raises:
            BrandUnknown: There is no such brand.
        """
        if brand not in self._brands:
            raise BrandUnknown(f"There is no brand {brand!r}.")
        voice = await self._voice(brand)
        if isinstance(voice, str):
            return Heard(None, (voice,))
        found = await asyncio.get_running_loop().run_in_executor(self._executor, voice.score, text)
        return Heard(found.score, found.reasons)

    async def _voice(self, brand: str) -> VoiceModel | str:
        """The brand's voice, or why it has none; learnt once for all who ask meanwhile."""
        async with self._learning.setdefault(brand, asyncio.Lock()):
            since, voice = self._known.get(brand, (float("-inf"), ""))
            if time.monotonic() - since > LEARNT_AGAIN_S:
                # Not in the threads that check answers: learning takes a second or more.
                voice = await asyncio.to_thread(self._learn, brand)
                self._known[brand] = (time.monotonic(), voice)
            return voice

    def _learn(self, brand: str) -> VoiceModel | str:
        try:
            return voice_of(self._brands[brand], self._home)
        except (TrainingError, OSError) as error:
            return f"The voice of {brand} is not known: {error}"
