"""The channels there are: one line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Protocol

from channels.base import Channel
from channels.errors import ChannelMisconfigured, ChannelUnknown
from channels.slack import SlackChannel
from channels.whatsapp import WhatsAppChannel


class ChannelFactory(Protocol):
    """Builds the channel of one app."""

    def __call__(self, *, secrets: Mapping[str, str], api_url: str, clock: Callable[[], float]) -> Channel:
        """Build it.

        Args:
            secrets: By their names in configs/service.yaml, as plain text.
            api_url: Where the platform is called.
            clock: Seconds since the epoch.

        Raises:
            ChannelMisconfigured: A secret is blank or the address of no use.
        """
        ...


FACTORIES: Mapping[str, ChannelFactory] = {
    "slack": SlackChannel,
    "whatsapp": WhatsAppChannel,
}


def build_channel(
    name: str,
    *,
    app: str,
    secrets: Mapping[str, str],
    api_url: str,
    clock: Callable[[], float] = time.time,
) -> Channel:
    """The channel of one configured app.

    Raises:
        ChannelUnknown: No such channel.
        ChannelMisconfigured: Names the app and what it lacks.
    """
    factory = FACTORIES.get(name)
    if factory is None:
        near = get_close_matches(name, FACTORIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ChannelUnknown(f"There is no channel {name!r}; there are {', '.join(sorted(FACTORIES))}.{hint}")
    try:
        return factory(secrets=secrets, api_url=api_url, clock=clock)
    except ChannelMisconfigured as error:
        raise ChannelMisconfigured(f"apps.{name}.{app}: {error}") from error
