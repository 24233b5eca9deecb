"""Who watches which conversation, and what of a running turn is already on screens."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from service.events import Sentence

Frame = Mapping[str, Any]
"""A message to a widget, ready for JSON."""

MAX_BEHIND = 256
"""Frames a slow reader may be behind; then it is cut off, and gets a whole snapshot when it comes back."""

PIECES = ("token", "sentence")


class Subscription:
    """The frames of one conversation for one socket, in order."""

    def __init__(self) -> None:
        self._frames: list[Frame | None] = []
        self._arrival: asyncio.Future[None] | None = None
        self.overrun = False

    def put(self, frame: Frame | None) -> None:
        """Queue a frame; None ends the subscription."""
        if len(self._frames) >= MAX_BEHIND:
            self.overrun = True
            return
        self._frames.append(frame)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def forget_pieces(self, turn: str) -> None:
        """Drop the words of a turn that wait here: a snapshot that was taken at this moment has them."""
        self._frames = [one for one in self._frames if not (one and one["type"] in PIECES and one["turn"] == turn)]

    async def next(self) -> list[Frame | None]:
        """At least one frame, and all others that wait already; for one reader."""
        if not self._frames:
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        frames, self._frames = self._frames, []
        return frames


@dataclass(slots=True)
class LiveTurn:
    """A turn that is being generated."""

    turn: str
    state: str = "queued"
    sentences: list[Sentence] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    """Tokens, where the brand shows them unchecked."""
    settled: bool = False
    """What it says is decided."""

    @property
    def unheard(self) -> bool:
        """Whether nobody has read a word of it yet."""
        return not (self.settled or self.sentences or self.text)

    @property
    def delayed(self) -> bool:
        """Whether it waits for an engine."""
        return self.state == "delayed"

    def restart(self) -> None:
        """Nothing of the first try is shown any more."""
        self.sentences.clear()
        self.text.clear()
        self.state = "queued"


class Hub:
    """Hands frames of conversations to their sockets, inside one process."""

    def __init__(self) -> None:
        self._subscriptions: defaultdict[str, set[Subscription]] = defaultdict(set)
        self.live: dict[str, LiveTurn] = {}
        """Running turns by conversation, for the snapshot of a socket that comes back."""

    @contextmanager
    def subscribe(self, conversation: str) -> Iterator[Subscription]:
        """Receive the conversation's frames from now on."""
        subscription = Subscription()
        self._subscriptions[conversation].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[conversation].discard(subscription)
            if not self._subscriptions[conversation]:
                del self._subscriptions[conversation]

    def publish(self, conversation: str, frame: Frame) -> None:
        """Send a frame to everyone who watches the conversation."""
        for subscription in self._subscriptions.get(conversation, ()):
            subscription.put(frame)

    def broadcast(self, frame: Frame | None) -> None:
        """Send a frame to every socket; None ends them all."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.put(frame)

    @property
    def sockets(self) -> int:
        """Open sockets, for the metrics."""
        return sum(map(len, self._subscriptions.values()))
