"""A hub whose sockets may be at one gateway while the turn that they watch runs at another.

Where a turn begins, its gateway says so to all. One that has sockets of the conversation asks to follow it, and gets
what the turn said so far and then each frame, in order. One whose socket comes while a turn runs elsewhere asks the
gateway that has the conversation. In between nothing is lost: a turn's first commit comes before its word to all, and
a socket subscribes before it reads the conversation, so whoever missed the word reads of the turn.
See docs/adr/0013.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from service.storage.line import EVERYONE, Message
from service.turns.hub import Frame, Hub, LiveTurn, SoFar, Subscription

ASK_S = 1.0
"""How long a socket waits for the gateway that runs its turn, which may be dead."""
LAST = ("reply", "failed", "withheld")
"""Frames that end a turn."""


@dataclass(slots=True)
class _Followed:
    """The newest turn of a conversation that this gateway knows of."""

    at: str
    """The gateway that runs it."""
    age: tuple[int, int]
    """Fence, and number among the turns of its gateway: what is older than this is over."""
    over: bool = False


class SharedHub(Hub):
    """Hands frames to sockets here, and to the gateways that follow a turn which runs here."""

    def __init__(
        self,
        me: Callable[[], str],
        post: Callable[[str, Message], None],
        holder: Callable[[str], Awaitable[str | None]],
    ) -> None:
        """See `service.gateways`.

        Args:
            me: This gateway's id.
            post: Sends a message to a gateway, in order with all others.
            holder: The gateway that has a conversation.
        """
        super().__init__()
        self._me = me
        self._post = post
        self._holder = holder
        self._began = 0
        self._number: dict[str, int] = {}
        """Of the turns that run here, by conversation."""
        self._followers: dict[str, set[str]] = {}
        """Gateways that follow a turn that runs here."""
        self._followed: dict[str, _Followed] = {}
        """Of conversations with sockets here."""
        self._asked: dict[str, asyncio.Future[SoFar | None]] = {}

    @contextmanager
    def subscribe(self, conversation: str) -> Iterator[Subscription]:
        """Receive the conversation's frames from now on."""
        try:
            with super().subscribe(conversation) as subscription:
                yield subscription
        finally:
            if conversation not in self._subscriptions:
                self._followed.pop(conversation, None)

    def begin(self, conversation: str, live: LiveTurn) -> None:
        """A turn begins here."""
        self._began += 1
        self._number[conversation] = self._began
        if conversation in self._subscriptions:
            self._follow(conversation, self._me(), (live.fence, self._began))
        super().begin(conversation, live)
        told = {"kind": "begin", "conversation": conversation, "fence": live.fence, "number": self._began}
        self._post(EVERYONE, told)

    def end(self, conversation: str) -> None:
        """It is over here."""
        super().end(conversation)
        if conversation in self._followed:
            self._followed[conversation].over = True
        self._followers.pop(conversation, None)
        self._number.pop(conversation, None)

    def publish(self, conversation: str, frame: Frame) -> None:
        """Send a frame to everyone who watches the conversation, wherever."""
        super().publish(conversation, frame)
        for gateway in self._followers.get(conversation, ()):
            self._post(gateway, {"kind": "frame", "conversation": conversation, "frame": frame})

    def announce(self, conversation: str, frame: Frame) -> None:
        """Whoever watches, wherever: no gateway is asked first whether it has such sockets."""
        super().publish(conversation, frame)
        self._post(EVERYONE, {"kind": "announce", "conversation": conversation, "frame": frame})

    async def so_far(self, conversation: str, subscription: Subscription) -> SoFar | None:
        """What the running turn has said, here or elsewhere."""
        if conversation in self.live:
            return await super().so_far(conversation, subscription)
        holder = await self._holder(conversation)
        if conversation in self.live:
            return await super().so_far(conversation, subscription)
        if holder is None or holder == self._me():
            return None
        answer = self._asked.get(conversation)
        if answer is None:
            answer = self._asked[conversation] = asyncio.get_running_loop().create_future()
        subscription.asks = True
        self._post(holder, {"kind": "follow", "conversation": conversation})
        try:
            async with asyncio.timeout(ASK_S):
                return await asyncio.shield(answer)
        except TimeoutError:
            return answer.result() if answer.done() else None
        finally:
            subscription.asks = False

    def hear(self, sender: str, message: Message) -> None:
        """Take a message of another gateway."""
        match message["kind"]:
            case "begin":
                self._heard_of(sender, message)
            case "follow":
                self._add_follower(sender, message["conversation"])
            case "so_far":
                self._catch_up(sender, message)
            case "announce":
                super().publish(message["conversation"], message["frame"])
            case "frame":
                self._pass_on(sender, message["conversation"], message["frame"])

    def reset(self) -> None:
        """What others said was lost, or they took us for dead: every socket comes back for a snapshot."""
        self._followers.clear()
        self._followed.clear()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(None)
        self._asked.clear()
        self.broadcast(None)

    def _heard_of(self, sender: str, message: Message) -> None:
        """A turn began elsewhere."""
        conversation, age = message["conversation"], (message["fence"], message["number"])
        known = self._followed.get(conversation)
        if conversation in self._subscriptions and (known is None or known.age < age):
            self._post(sender, {"kind": "follow", "conversation": conversation})

    def _add_follower(self, gateway: str, conversation: str) -> None:
        live = self.live.get(conversation)
        answer: dict[str, Any] = {"kind": "so_far", "conversation": conversation, "said": None}
        if live is not None:
            # Whatever is published from here on goes to the follower, after this.
            self._followers.setdefault(conversation, set()).add(gateway)
            answer |= {"fence": live.fence, "number": self._number[conversation]}
            answer |= {"opening": live.opening, "said": asdict(SoFar.of(live))}
        self._post(gateway, answer)

    def _catch_up(self, sender: str, message: Message) -> None:
        """What a turn that runs elsewhere said so far; its frames come next."""
        conversation = message["conversation"]
        so_far = SoFar(**message["said"]) if message["said"] else None
        if so_far is not None:
            age = (message["fence"], message["number"])
            known = self._followed.get(conversation)
            if known is not None and known.age > age:
                return
            fresh = known is None or known.age != age
            if fresh and conversation in self._subscriptions:
                self._follow(conversation, sender, age)
            for subscription in self._subscriptions.get(conversation, ()):
                if subscription.asks:
                    subscription.asks = False
                    subscription.caught_up(so_far.turn)
                elif fresh:
                    for frame in _frames(message["opening"], so_far):
                        subscription.put(frame)
        answer = self._asked.pop(conversation, None)
        if answer is not None and not answer.done():
            answer.set_result(so_far)

    def _pass_on(self, sender: str, conversation: str, frame: Frame) -> None:
        followed = self._followed.get(conversation)
        if followed is None or followed.at != sender:
            return
        super().publish(conversation, frame)
        followed.over = followed.over or frame["type"] in LAST

    def _follow(self, conversation: str, gateway: str, age: tuple[int, int]) -> None:
        """From now on this turn is the conversation's; sockets that saw half of another one's come back for it."""
        known = self._followed.get(conversation)
        self._followed[conversation] = _Followed(gateway, age)
        if known is not None and not known.over and known.at != gateway:
            self.cut(conversation)


def _frames(opening: Frame, so_far: SoFar) -> Iterator[Mapping[str, Any]]:
    """What a socket would have got, had it been there from the beginning."""
    yield opening
    for sentence in so_far.sentences:
        yield {"type": "sentence", "turn": so_far.turn, **sentence}
    if so_far.text:
        yield {"type": "token", "turn": so_far.turn, "text": so_far.text}
