"""Who watches which conversation, and what of a running turn is already on screens."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from service.conversation.events import Sentence
from service.conversation.wire import sentence_json
from service.delivery.growing import Growth

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
        self.asks = False
        """It waits for what a turn that runs elsewhere has said so far."""

    def put(self, frame: Frame | None) -> None:
        """Queue a frame; None ends the subscription."""
        if len(self._frames) >= MAX_BEHIND:
            self.overrun = True
            return
        self._frames.append(frame)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def caught_up(self, turn: str) -> None:
        """Its reader gets what this turn said so far, so words of it that wait here must not come again."""
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
    opening: Frame = field(default_factory=dict)
    """The frame that it begins with."""
    fence: int = 0
    """How often its conversation has changed hands; a turn of a lower one is over, whatever its gateway believes."""
    state: str = "queued"
    sentences: list[Sentence] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    """Tokens, where the brand shows them unchecked."""
    settled: bool = False
    """What it says is decided."""
    growth: Growth | None = None
    """Where the reply is shown while it grows."""

    @property
    def unheard(self) -> bool:
        """Whether nobody has read a word of it yet."""
        return not (self.settled or self.sentences or self.text)

    @property
    def delayed(self) -> bool:
        """Whether it waits for an engine."""
        return self.state == "delayed"

    def grow(self) -> None:
        """Show the sentences so far."""
        if self.growth is not None:
            self.growth.say(" ".join(sentence.text for sentence in self.sentences))

    def restart(self) -> None:
        """Nothing of the first try is shown any more."""
        self.sentences.clear()
        self.text.clear()
        self.state = "queued"


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a running turn has said so far, ready for JSON."""

    turn: str
    sentences: list[dict[str, Any]]
    text: str
    state: str

    @classmethod
    def of(cls, live: LiveTurn) -> SoFar:
        """At this moment."""
        return cls(live.turn, [sentence_json(sentence) for sentence in live.sentences], "".join(live.text), live.state)


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

    def begin(self, conversation: str, live: LiveTurn) -> None:
        """A turn begins, or begins anew: its opening frame goes out, and others follow."""
        self.live[conversation] = live
        self.publish(conversation, live.opening)

    def end(self, conversation: str) -> None:
        """The turn is over, or was given up; its last frame is out."""
        self.live.pop(conversation, None)

    async def so_far(self, conversation: str, subscription: Subscription) -> SoFar | None:
        """What the running turn has said; frames that the subscription gets from now on follow on that.

        Returns:
            None where no turn runs, or none that can be asked: one that begins is told of as ever.
        """
        live = self.live.get(conversation)
        if live is None:
            return None
        subscription.caught_up(live.turn)
        return SoFar.of(live)

    def publish(self, conversation: str, frame: Frame) -> None:
        """Send a frame to everyone who watches the conversation."""
        for subscription in self._subscriptions.get(conversation, ()):
            subscription.put(frame)

    def announce(self, conversation: str, frame: Frame) -> None:
        """As `publish`, for what belongs to no turn that runs here: a person's words, a change of hands."""
        self.publish(conversation, frame)

    def cut(self, conversation: str) -> None:
        """End the conversation's sockets: what they have seen does not hold, and they come back for a snapshot."""
        for subscription in self._subscriptions.get(conversation, ()):
            subscription.put(None)

    def broadcast(self, frame: Frame | None) -> None:
        """Send a frame to every socket; None ends them all."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.put(frame)

    @property
    def sockets(self) -> int:
        """Open sockets, for the metrics."""
        return sum(map(len, self._subscriptions.values()))
