"""A platform's own side of a channel, for the simulator and for tests: nothing here speaks with the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from channels.base import Request

PlatformAnswer = tuple[int, Mapping[str, str], bytes]
"""Status, headers with names in lower case, body."""


class StandIn(Protocol):
    """Takes a channel's calls with the checks that the platform makes first, and answers as it would."""

    made_up: ClassVar[Mapping[str, Callable[[], str]]]
    """Secrets that must have a certain form, such as a private key, by their names; any word will do for the others."""

    def answer(self, call: Request, *, number: int) -> PlatformAnswer:
        """Answer one call.

        Args:
            call: Its address is below the app's `api_url`.
            number: Of the message that it would post, from 1.
        """
        ...

    def texts(self, call: Request) -> tuple[str, ...]:
        """What a person would read of this call, a text each message, in the platform's markup; none of a signal."""
        ...

    def is_for(self, call: Request, reply_to: Mapping[str, str]) -> bool:
        """Whether this call goes where a message with this `reply_to` came from."""
        ...

    def somebody(self) -> str:
        """The id of a person who was never here."""
        ...


def headers_of(call: Request) -> Mapping[str, str]:
    """A call's headers, by their names in lower case."""
    return {name.lower(): value for name, value in call.headers.items()}


def bearer(call: Request) -> bool:
    """Whether a call carries an access token."""
    kind, _, token = headers_of(call).get("authorization", "").partition(" ")
    return kind == "Bearer" and bool(token.strip()) and " " not in token
