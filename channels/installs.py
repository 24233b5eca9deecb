"""Platforms on which an account (a workspace, a page) installs our app by itself and is then answered too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from channels.base import Request


@dataclass(frozen=True, slots=True)
class Grant:
    """What an account gave us when it installed the app."""

    account: str
    """The identity that its messages will arrive under, as in `InboundMessage.account`."""
    name: str
    """As people know it; may be empty."""
    secrets: Mapping[str, str] = field(repr=False)
    """What to call the platform with for this account; by names of the channel's own."""
    lasts_s: float | None = None
    """After so many seconds the secrets must have been renewed; None where they stay."""


@runtime_checkable
class Installs(Protocol):
    """A channel whose app accounts can install by OAuth; it makes no call itself, as everywhere."""

    def consent_url(self, state: str) -> str:
        """Where the account's owner says yes.

        Args:
            state: Comes back with the answer; safe in an address.

        Raises:
            ChannelMisconfigured: The app has not what it takes.
        """
        ...

    def exchange(self, code: str) -> Request:
        """The call that turns the code of that yes into secrets."""
        ...

    def renewal(self, secrets: Mapping[str, str]) -> Request | None:
        """The call that renews secrets which end; None for those that cannot be renewed."""
        ...

    def granted(self, status: int, body: bytes) -> Grant:
        """Read the answer to either call.

        Raises:
            InstallRefused: There is nothing in it to call the platform with.
        """
        ...
