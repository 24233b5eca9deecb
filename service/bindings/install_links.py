"""Who may install an app for which brand: links that only this deployment makes, and the browser that opened one."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from service.sealing import SealBroken, Sealer

LINK, STATE = "install-link", "install-state"
STATE_S = 600.0
"""From opening the link to coming back. Slack's code is good for as long."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link lets its holder do."""

    channel: str
    app: str
    brand: str


def make_link(sealer: Sealer, link: Link, *, until_s: float) -> str:
    """The sealed part of a link's address.

    Args:
        sealer: Of this deployment.
        link: What it is for.
        until_s: When it ends, in seconds since the epoch.
    """
    content = {"channel": link.channel, "app": link.app, "brand": link.brand, "until": until_s}
    return sealer.seal(LINK, content)


def read_link(sealer: Sealer, text: str, channel: str, app: str, *, now_s: float) -> Link:
    """What a link is for.

    Raises:
        SealBroken: Not ours, for another app, or over.
    """
    content = sealer.open(LINK, text)
    if (content["channel"], content["app"]) != (channel, app) or now_s > content["until"]:
        raise SealBroken("The link is for another app, or its time is over.")
    return Link(channel, app, content["brand"])


@dataclass(frozen=True, slots=True)
class Begun:
    """One installation on its way: `state` goes to the platform, `cookie` to the browser, and both must come back."""

    state: str
    cookie: str


def begin(sealer: Sealer, link: Link) -> Begun:
    """A state that nobody can guess, and the cookie that binds it to this browser."""
    state = secrets.token_urlsafe(24)
    content = {"channel": link.channel, "app": link.app, "brand": link.brand, "state": state}
    return Begun(state, sealer.seal(STATE, content))


def came_back(sealer: Sealer, cookie: str, state: str, channel: str, app: str) -> Link:
    """What this browser began.

    Raises:
        SealBroken: Another browser began it, or more than `STATE_S` ago; or it was begun by nobody.
    """
    content = sealer.open(STATE, cookie, max_age_s=STATE_S)
    same = hmac.compare_digest(str(content["state"]).encode(), state.encode(errors="replace"))
    if not same or (content["channel"], content["app"]) != (channel, app):
        raise SealBroken("The state is not the one that this browser was given.")
    return Link(channel, app, content["brand"])
