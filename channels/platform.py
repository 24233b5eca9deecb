"""What each platform's folder hands to the registry: how to build its channel, and a stand-in for the platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from channels.base import Capabilities, Channel
from channels.stand_in import StandIn

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class ChannelFactory(Protocol):
    """Builds the channel of one app."""

    @property
    def capabilities(self) -> Capabilities:
        """What the platform can take."""
        ...

    def __call__(
        self,
        *,
        app: str,
        secrets: Mapping[str, str],
        settings: Mapping[str, str],
        api_url: str,
        clock: Callable[[], float],
    ) -> Channel:
        """Build it.

        Args:
            app: Its name here; the account of platforms whose events do not say who received them.
            secrets: By their names in configs/service.yaml, as plain text.
            settings: What else is said of the app there, such as its public id.
            api_url: Where the platform is called.
            clock: Seconds since the epoch.

        Raises:
            ChannelMisconfigured: A secret is blank, a setting or the address of no use.
        """
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform, as brandvoice knows it."""

    build: ChannelFactory
    stand_in: StandIn
