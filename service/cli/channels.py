"""`brandvoice channel list` and `channel check`: which platforms this deployment is on, and what keeps one off."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from channels.base import Channel, OutboundReply
from channels.errors import ChannelError, DeliveryFailed
from channels.registry import PLATFORMS
from configs.service import App
from configs.yaml_file import did_you_mean
from service.bindings.apps import open_app
from service.cli import output
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import FAILED, WRONG_USE, Failure
from service.cli.settings import unset_secrets

if TYPE_CHECKING:
    from service.bindings.installations import Known
    from service.storage.database import Database

STRANGER = "nobody"
"""The account that is tried where no brand is bound to an app."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One app, as this deployment has it."""

    channel: str
    app: str
    state: str
    """on, or off."""
    webhook: str
    """What to enter at the platform, behind the gateway's public address."""
    brands: Mapping[str, str]
    """Account to brand."""
    why: str
    """What keeps it off, or what was found; empty where all is well."""


def run_list(*, as_json: bool) -> None:
    """Print every app."""
    deployment = open_deployment()
    installed = _installed(deployment)
    found = [_seen(deployment, *one, installed)[0] for one in deployment.config.service.apps.each()]
    if as_json:
        capabilities = {name: asdict(one.build.capabilities) for name, one in PLATFORMS.items()}
        output.data({"apps": [asdict(one) for one in found], "platforms": capabilities})
        return
    rows = []
    for one in found:
        can = PLATFORMS[one.channel].build.capabilities
        brands = ", ".join(sorted(set(one.brands.values()))) or "-"
        rows.append([one.channel, one.app, one.state, brands, one.webhook, can.max_text_chars, can.idempotency])
    output.table(["channel", "app", "state", "brands", "webhook", "longest", "send again by"], rows)
    if any(one.state == "off" for one in found):
        output.note("`brandvoice channel check` says what keeps an app off")


def run_check(channel: str | None, *, as_json: bool) -> None:
    """Try every app, or those of one platform: its secrets, a signed event, a forged one, a reply."""
    deployment = open_deployment()
    apps = deployment.config.service.apps
    if channel is not None:
        check_name(channel)
    installed = _installed(deployment)
    found = [_checked(deployment, *one, installed) for one in apps.each() if channel in (None, one[0])]
    if as_json:
        output.data({"apps": [asdict(one) for one in found]})
    else:
        for one in found:
            brands = ", ".join(f"{account} speaks as {brand}" for account, brand in one.brands.items())
            output.line(f"{one.channel}/{one.app} is {one.state}: {one.why or 'signature, event and reply tried'}")
            output.line(f"  {one.webhook}; {brands or 'bound to no brand, so its messages would be kept aside'}")
    if channel is not None and not any(one.state == "on" for one in found):
        raise Failure(
            f"no {channel} app is on",
            "; ".join(one.why for one in found) or f"configs/service.yaml names none under apps.{channel}",
            f"see docs/channels.md, or try the channel without an account: brandvoice channel simulate {channel}",
            code=FAILED,
        )


def check_name(channel: str) -> None:
    """Stop where there is no such platform."""
    if channel not in PLATFORMS:
        raise Failure(
            f"there is no channel {channel!r}",
            f"there are {', '.join(sorted(PLATFORMS))}",
            did_you_mean(channel, tuple(PLATFORMS)).removeprefix("; ") or "name one of these",
            code=WRONG_USE,
        )


def _installed(deployment: Deployment) -> list[Known]:
    """Accounts that installed an app themselves; the running gateway answers them like those of the configuration."""
    from service.cli.waiting import in_database

    async def all_of(db: Database) -> list[Known]:
        from service.bindings.installations import known

        return await known(db)

    none: list[Known] = []
    return in_database(deployment, all_of, none)


def _seen(
    deployment: Deployment, channel: str, app: str, settings: App, installed: Sequence[Known]
) -> tuple[Seen, Channel | None]:
    themselves = {one.account: one.brand for one in installed if (one.channel, one.app) == (channel, app)}
    brands = themselves | {
        one.account: name
        for name, brand in deployment.config.brands.items()
        for one in brand.channels
        if (one.channel, one.app) == (channel, app)
    }
    webhook = f"/webhooks/{channel}/{app}"
    if missing := unset_secrets(settings):
        return Seen(channel, app, "off", webhook, brands, f"not set: {', '.join(missing)}"), None
    try:
        built = open_app(channel, app, settings, os.environ)
    except ChannelError as error:
        return Seen(channel, app, "off", webhook, brands, str(error)), None
    return Seen(channel, app, "on", webhook, brands, ""), built


def _checked(deployment: Deployment, channel: str, app: str, settings: App, installed: Sequence[Known]) -> Seen:
    seen, built = _seen(deployment, channel, app, settings, installed)
    if built is None:
        return seen
    account = next(iter(seen.brands), STRANGER)
    found = "; ".join(_trouble(built, channel, account))
    return replace(seen, why=found)


def _trouble(built: Channel, channel: str, account: str) -> Iterator[str]:
    """What is wrong with a channel, tried on an event of our own that nobody gets to see."""
    sender = PLATFORMS[channel].stand_in.somebody()
    body = built.simulate("Hello?", account=account, message_id="check.1", sender=sender)
    try:
        headers = built.sign(body)
    except ChannelError as error:
        # Only the platform has the key.
        yield f"secrets are set; a signed event cannot be tried here ({error})"
        headers = None
    if headers is not None:
        built.verify(headers, body)
    messages = built.parse(body).messages
    if len(messages) != 1:
        yield "an event of our own was not read as one message; please report it"
        return
    (message,) = messages
    try:
        if not built.render(OutboundReply(message.account, message.reply_to, "Hello.", "check")):
            yield "a reply became no call; please report it"
    except DeliveryFailed as error:
        # It needs a token first, which only the gateway fetches.
        yield f"a reply cannot be tried here ({error})"
