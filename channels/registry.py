"""The channels there are: one line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from channels.base import Channel
from channels.discord import DISCORD
from channels.errors import ChannelMisconfigured, ChannelUnknown
from channels.instagram import INSTAGRAM
from channels.line import LINE
from channels.messenger import MESSENGER
from channels.platform import AppSetup, Platform
from channels.slack import SLACK
from channels.teams import TEAMS
from channels.telegram import TELEGRAM
from channels.twilio import TWILIO
from channels.whatsapp import WHATSAPP

PLATFORMS: Mapping[str, Platform] = {
    "slack": SLACK,
    "whatsapp": WHATSAPP,
    "discord": DISCORD,
    "instagram": INSTAGRAM,
    "line": LINE,
    "messenger": MESSENGER,
    "teams": TEAMS,
    "telegram": TELEGRAM,
    "twilio": TWILIO,
}
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
NOT_INSTALLED: Mapping[str, Mapping[str, str]] = MappingProxyType({})


def build_channel(
    name: str,
    *,
    app: str,
    secrets: Mapping[str, str],
    settings: Mapping[str, str] = NO_SETTINGS,
    installed: Mapping[str, Mapping[str, str]] = NOT_INSTALLED,
    api_url: str,
    clock: Callable[[], float] = time.time,
) -> Channel:
    """The channel of one configured app.

    Args:
        name: The platform's, such as slack.
        app: The app's name here.
        secrets: As plain text, by their names in configs/service.yaml.
        settings: What else is said of the app there.
        installed: Secrets of the accounts that installed the app, by account; it may change afterwards.
        api_url: Where the platform is called.
        clock: Seconds since the epoch.

    Raises:
        ChannelUnknown: No such channel.
        ChannelMisconfigured: Names the app and what it lacks.
    """
    platform = PLATFORMS.get(name)
    if platform is None:
        near = get_close_matches(name, PLATFORMS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ChannelUnknown(f"There is no channel {name!r}; there are {', '.join(sorted(PLATFORMS))}.{hint}")
    try:
        setup = AppSetup(app=app, secrets=secrets, settings=settings, installed=installed, api_url=api_url, clock=clock)
        return platform.build(setup)
    except ChannelMisconfigured as error:
        raise ChannelMisconfigured(f"apps.{name}.{app}: {error}") from error
