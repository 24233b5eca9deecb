"""Fakes behind the pipeline's ports, for unit tests only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from configs.verdict import BASE_VERSION
from retrieval.passages import Passage, SearchResult
from retrieval.prompt import Message
from retrieval.routing.intents import Intent
from service.ports import Piece, Sampling, Voice


@dataclass
class ScriptedGenerator:
    """Says what it is told to, word by word; an exception in the script is raised."""

    script: list[str | Exception]
    """One entry a generation, used in order; the last one is used again."""
    delay_s: float = 0.0
    prompts: list[Sequence[Message]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)
    gathered: list[float] = field(default_factory=list)
    closed: int = 0
    """How many generations were closed before their end."""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    """No word is said while a test has it cleared."""

    def __post_init__(self) -> None:
        self.goes_on.set()

    async def stream(
        self, messages: Sequence[Message], *, model: str, sampling: Sampling, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        """Yield the next entry's words."""
        self.gathered.append(gather_s)
        self.samplings.append(sampling)
        entry = self.script[min(len(self.prompts), len(self.script) - 1)]
        self.prompts.append(messages)
        self.models.append(model)
        if isinstance(entry, Exception):
            raise entry
        words = entry.split(" ")
        finished = False
        try:
            for at, word in enumerate(words):
                await asyncio.sleep(self.delay_s)
                await self.goes_on.wait()
                yield Piece(word if at == 0 else " " + word)
            yield Piece("", prompt_tokens=10, completion_tokens=len(words), finish_reason="stop")
            finished = True
        finally:
            self.closed += not finished


@dataclass
class FixedRetriever:
    """Finds the same passages for every question."""

    passages: tuple[Passage, ...]
    answerability: float = 0.9
    queries: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def search(self, question: str, *, history: Sequence[str] = (), top_k: int = 4) -> SearchResult:
        """Return the passages."""
        self.before()
        self.queries.append((question, tuple(history)))
        return SearchResult(question, self.passages[:top_k], "v-test", self.answerability, {})


@dataclass
class FixedIntents:
    """Sees the same intent in every message."""

    intent: Intent
    texts: list[str] = field(default_factory=list)

    def read(self, text: str) -> Intent:
        """Return it."""
        self.texts.append(text)
        return self.intent


@dataclass
class FixedVoices:
    """Every brand speaks with one version."""

    version: str = "v1"

    async def voice(self, brand: str, version: str | None = None) -> Voice:
        """The fixed version, or the asked one."""
        chosen = version or self.version
        return Voice(brand, chosen, "base" if chosen == BASE_VERSION else f"{brand}@{chosen}")
