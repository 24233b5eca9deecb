"""People write a thought in several messages: how long to wait for the next one before answering."""

from __future__ import annotations

import asyncio

from channels.base import InboundMessage

ENDED_S = 0.4
"""After a message that ends as a sentence does."""
OPEN_S = 1.2
"""After one that does not, and after a picture, whose question often follows."""
LONGEST_S = 5.0
"""From the first message on: whoever writes without a pause is answered all the same."""

_ENDS = tuple(".!?…؟۔।。！？")


def patience_s(message: InboundMessage) -> float:
    """Seconds to wait for more after this message; none in the widget, whose visitor watches us wait."""
    if message.channel == "web":
        return 0.0
    return ENDED_S if message.text.rstrip("\"')»”’ ").endswith(_ENDS) else OPEN_S


class Bursts:
    """Which conversations have said something just now."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._latest: dict[str, float] = {}

    def heard(self, conversation: str, wait_s: float) -> None:
        """Something was said; more may follow within `wait_s` seconds."""
        if wait_s <= 0 and conversation not in self._until:
            return
        at = asyncio.get_running_loop().time()
        latest = self._latest.setdefault(conversation, at + LONGEST_S)
        self._until[conversation] = min(at + wait_s, latest)

    async def over(self, conversation: str) -> None:
        """Wait until nothing more is to be expected."""
        clock = asyncio.get_running_loop().time
        try:
            while (left_s := self._until.get(conversation, 0.0) - clock()) > 0:  # noqa: ASYNC110 (it moves meanwhile)
                # Also to an earlier time: after "Hi", a whole question is not made to wait for more.
                await asyncio.sleep(min(left_s, ENDED_S / 2))
        finally:
            self._until.pop(conversation, None)
            self._latest.pop(conversation, None)
