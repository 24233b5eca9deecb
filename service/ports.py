"""What the pipeline needs from the world; each has a real side and a fake in `service.testing`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from retrieval.passages import SearchResult
from retrieval.prompt import Message
from retrieval.routing.intents import Intent


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one generation is sampled; units as in OpenAI's API."""

    temperature: float = 0.0
    max_tokens: int = 120
    repetition_penalty: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of generated text: everything that had arrived when it was read."""

    text: str
    prompt_tokens: int = 0
    """Set on the last piece only."""
    completion_tokens: int = 0
    """Set on the last piece only."""
    finish_reason: str | None = None


class Generator(Protocol):
    """Text from messages."""

    def stream(
        self, messages: Sequence[Message], *, model: str, sampling: Sampling, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        """Generate; closing the iterator stops the engine's work.

        Args:
            messages: The prompt.
            model: The engine's name for the weights.
            sampling: How to sample.
            gather_s: Text that comes within this time of the last piece is one piece; 0 hands it on as it comes.

        Raises:
            GenerationError: See `service.errors`.
        """
        ...


class Retriever(Protocol):
    """Passages of one brand. Blocking: the pipeline calls it in a thread."""

    def search(self, question: str, *, history: Sequence[str] = (), top_k: int = 4) -> SearchResult:
        """Find passages for a question; `history` holds earlier user messages, oldest first."""
        ...


class IntentReader(Protocol):
    """What a message of one brand is about. Blocking: the pipeline calls it in a thread."""

    def read(self, text: str) -> Intent:
        """The likeliest intent, with its probability and how likely none fits."""
        ...


@dataclass(frozen=True, slots=True)
class Voice:
    """The weights that speak for a brand."""

    brand: str
    version: str
    model: str
    """The engine's name for them."""


class Voices(Protocol):
    """Which weights speak for a brand."""

    async def voice(self, brand: str, version: str | None = None) -> Voice:
        """The active adapter, or the named one, loaded and ready.

        Raises:
            AdapterUnknown: No such version.
            ModelUnavailable: The engine cannot take it now.
        """
        ...
