"""One turn answered by several voices from one search, so that what differs is the voice alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from configs.adapter_manifest import VERSION
from configs.verdict import BASE_VERSION
from service.errors import RequestInvalid
from service.turns.pipeline import ChatPipeline, Turn

MOST = 4
"""Voices side by side."""
NO_GUIDE, NO_KNOWLEDGE = "no-guide", "no-knowledge"


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to answer: `base`, `20260101-120000`, `base:no-guide`, `20260101-120000:no-knowledge`.

    `base:no-guide` gets the very prompt that an adapter gets: what the adapter adds is the difference. A voice without
    knowledge gets no passages: what it then knows, it has in its weights.
    """

    version: str
    guide: bool = True
    knowledge: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one.

        Raises:
            RequestInvalid: It is none.
        """
        version, *off = text.split(":")
        if not re.match(VERSION, version) or set(off) - {NO_GUIDE, NO_KNOWLEDGE} or len(set(off)) < len(off):
            raise RequestInvalid(
                f"{text!r} is no way to answer: write a version of the adapter or {BASE_VERSION!r}, and behind it "
                f":{NO_GUIDE} or :{NO_KNOWLEDGE} to leave these out.",
                param="contenders",
            )
        if NO_GUIDE in off and version != BASE_VERSION:
            raise RequestInvalid(f"{text!r}: an adapter never gets the voice guide.", param="contenders")
        return cls(version, NO_GUIDE not in off, NO_KNOWLEDGE not in off)

    def __str__(self) -> str:
        """As `parse` reads it."""
        off = ((NO_GUIDE, self.guide), (NO_KNOWLEDGE, self.knowledge))
        return ":".join((self.version, *(name for name, on in off if not on)))

    def turn(self, asked: Turn, *, served: bool) -> Turn:
        """The turn that it answers.

        Args:
            asked: With what was found for it.
            served: Answer as customers are answered; else all that the model writes stays, with each sentence's check
                beside it. Without knowledge it always does: held against passages that it never saw, hardly a sentence
                would be left.
        """
        brand = asked.brand
        if not (served and self.knowledge):
            brand = brand.model_copy(update={"check": "after"})
        return replace(asked, brand=brand, adapter_version=self.version, guide=self.guide, knowledge=self.knowledge)


async def turns_of(pipeline: ChatPipeline, turn: Turn, voices: Sequence[Contender], *, served: bool) -> list[Turn]:
    """The turn of each voice, routed and searched once for all of them."""
    asked = replace(turn, look=await pipeline.look(turn))
    return [one.turn(asked, served=served) for one in voices]
