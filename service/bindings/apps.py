"""The channel of a configured app: its secrets read where they stand, then built."""

from __future__ import annotations

from collections.abc import Mapping

from channels.base import Channel
from channels.registry import NOT_INSTALLED, build_channel
from configs.secrets import read_secret
from configs.service import App


def open_app(
    channel: str,
    name: str,
    app: App,
    environment: Mapping[str, str],
    *,
    installed: Mapping[str, Mapping[str, str]] = NOT_INSTALLED,
) -> Channel:
    """Build it.

    Args:
        channel: The platform, such as slack.
        name: The app's, as in `apps.<channel>.<name>`.
        app: What is configured of it.
        environment: Where secrets stand that are variables.
        installed: Secrets of the accounts that installed the app; see `service.bindings.installations`.

    Raises:
        ConfigError: A secret is not where it is said to stand.
        ChannelError: The channel is unknown, or a secret, a setting or the address of no use.
    """
    secrets = {key: read_secret(secret, environment) for key, secret in app.secrets().items()}
    return build_channel(
        channel, app=name, secrets=secrets, settings=app.settings(), installed=installed, api_url=app.api_url
    )
