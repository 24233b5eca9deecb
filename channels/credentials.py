"""Secrets and addresses of an app, checked once when its channel is built, so that nothing fails open later."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from channels.errors import ChannelMisconfigured


def require_secret(secrets: Mapping[str, str], name: str) -> str:
    """The secret of this name.

    Raises:
        ChannelMisconfigured: Missing or blank: anyone could sign with an empty key.
    """
    value = secrets.get(name, "")
    if not value.strip():
        raise ChannelMisconfigured(
            f"The secret {name!r} is empty, so anyone could sign as the platform. "
            "Put the app's value into the variable or file that configs/service.yaml names for it."
        )
    if value != value.strip() or not value.isprintable():
        raise ChannelMisconfigured(
            f"The secret {name!r} has blanks around it or a line break in it. Store the value and nothing else."
        )
    return value


def require_secrets(secrets: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The secrets of this name, the newest first: while one is exchanged, requests come signed with either.

    Raises:
        ChannelMisconfigured: Missing or blank, as a whole or in part.
    """
    return tuple(require_secret({name: one}, name) for one in secrets.get(name, "").split(","))


def require_api_url(url: str) -> str:
    """The address without a slash at its end.

    Raises:
        ChannelMisconfigured: Not an absolute http(s) address.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise ChannelMisconfigured(
            f"api_url {url!r} cannot be called. Write an address like https://slack.com/api, or leave it out."
        )
    return url.rstrip("/")
