"""What each platform's folder hands to the registry: how to build its channel, and a stand-in for the platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from channels.base import Capabilities, Channel
from channels.stand_in import StandIn


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSetup:
    """What a channel is built from: one app, as `configs/service.yaml` tells of it."""

    app: str = "main"
    """Its name here; the account of platforms whose events do not say who received them."""
    secrets: Mapping[str, str] = field(repr=False)
    """By their names in the configuration, as plain text."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What else is said of the app there, such as its public id."""
    installed: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Secrets of the accounts that installed the app (see `channels.installs`), by account; it changes at run time."""
    api_url: str
    """Where the platform is called."""
    clock: Callable[[], float]
    """Seconds since the epoch."""


class ChannelFactory(Protocol):
    """Builds the channel of one app."""

    @property
    def capabilities(self) -> Capabilities:
        """What the platform can take."""
        ...

    def __call__(self, setup: AppSetup) -> Channel:
        """Build it.

        Raises:
            ChannelMisconfigured: A secret is blank, a setting or the address of no use.
        """
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform, as brandvoice knows it."""

    build: ChannelFactory
    stand_in: StandIn
