"""`brandvoice channel send`: an operator's test message, by the way that replies take."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from channels.base import Channel, Fetches, Request, Template
from channels.errors import DeliveryFailed
from configs.brand import Binding
from configs.secrets import read_secret
from configs.service import App
from service.bindings.apps import open_app
from service.bindings.simulator import simulated_apps
from service.cli import output
from service.cli.channels import check_name
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import FAILED, WRONG_USE, Failure
from service.cli.gateway import Gateway
from service.cli.settings import unset_secrets
from service.delivery.windows import late_templates
from service.people import sending
from service.storage.database import Database, now

POLL_S = 0.2
MASK = "***"
PASSING_SECRETS = ("token", "reply_token")
"""Entries of `reply_to` by which anyone could answer in our name."""


def run_send(
    target: str,
    text: str,
    *,
    account: str | None,
    to: str,
    dry_run: bool,
    url: str | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Send it, or show the calls that would send it."""
    deployment = open_deployment()
    channel, _, app = target.partition("/")
    check_name(channel)
    brand, binding = _binding(deployment, channel, app, account)
    with Gateway.of(deployment.config, url) as gateway:
        settings = _settings(deployment, channel, binding.app, gateway.url)
        built = open_app(channel, binding.app, settings, os.environ)
        template = late_templates(deployment.config.brands).get((channel, binding.app, binding.account))
        if not dry_run and not gateway.alive():
            raise Failure(
                f"no gateway answers at {gateway.url}",
                "the gateway delivers, and a message left behind would go out whenever one starts",
                "start it, name another with --url, or look at the calls with --dry-run",
                code=FAILED,
            )
        found = asyncio.run(
            _send(deployment, built, template, brand, binding, to, text, timeout_s=0 if dry_run else timeout_s)
        )
    if dry_run:
        hidden = [read_secret(secret, os.environ) for secret in settings.secrets().values()]
        shown = [_shown(call, hidden, found["reply_to"]) for call in found["calls"]]
        output.data({"calls": shown}) if as_json else output.line(json.dumps(shown, indent=2, ensure_ascii=False))
    elif as_json:
        output.data({"state": found["state"], "reason": found["reason"], "ids": found["ids"], "turn": found["turn"]})
    else:
        output.line(f"{channel} has it: {', '.join(found['ids'])}")


async def _send(
    deployment: Deployment,
    built: Channel,
    template: Template | None,
    brand: str,
    binding: Binding,
    to: str,
    text: str,
    *,
    timeout_s: float,
) -> Mapping[str, Any]:
    url = deployment.config.service.database.url
    if url is None and not deployment.home.database.exists():
        raise _stranger(to, binding)
    db = await Database.open(url or f"sqlite:///{deployment.home.database}")
    try:
        whom = await sending.find(db, brand=brand, channel=binding.channel, account=binding.account, who=to)
        if whom is None:
            raise _stranger(to, binding)
        calls = _rendered(built, sending.as_reply(whom, text, at=now(), template=template), dry_run=not timeout_s)
        if not timeout_s:
            return {"calls": calls, "reply_to": whom.reply_to}
        turn = await sending.plan(db, whom, channel=binding.channel, app=binding.app, text=text)
        return await _delivered(db, turn, timeout_s)
    finally:
        await db.close()


async def _delivered(db: Database, turn: str, timeout_s: float) -> Mapping[str, Any]:
    deadline = time.monotonic() + timeout_s
    state, reason, ids = "planned", "", list[str]()
    while time.monotonic() < deadline:
        state, reason, ids = await sending.outcome(db, turn)
        if state == "sent":
            return {"state": state, "reason": reason, "ids": ids, "turn": turn}
        if state not in ("planned", "sending"):
            break
        await asyncio.sleep(POLL_S)
    waits = state in ("planned", "sending")
    raise Failure(
        f"the message is {'not sent yet' if waits else state}",
        reason or (f"no gateway took it up within {timeout_s:.0f} s" if waits else "nobody knows whether it arrived"),
        "it is tried again by itself; `brandvoice outbox list` shows it if it is given up" if waits
        else "brandvoice outbox list",
        code=FAILED,
    )  # fmt: skip


def _rendered(built: Channel, reply: Any, *, dry_run: bool) -> list[Request]:
    try:
        calls = list(built.render(reply))
    except DeliveryFailed as error:
        if error.retryable and isinstance(built, Fetches) and not dry_run:
            return []  # only the gateway fetches the token that it needs
        what, cure = "the message cannot be sent now", "wait until the person writes again"
        if error.retryable:
            what, cure = "the calls cannot be shown here", "send it: the gateway fetches what it needs"
        raise Failure(what, str(error), cure, code=FAILED) from error
    if not calls:
        raise Failure("there is nothing to send", "the text is empty", "write one", code=WRONG_USE)
    return calls


def _binding(deployment: Deployment, channel: str, app: str, account: str | None) -> tuple[str, Binding]:
    bound = [
        (name, binding)
        for name, brand in deployment.config.brands.items()
        for binding in brand.channels
        if binding.channel == channel and app in ("", binding.app) and account in (None, binding.account)
    ]
    if len(bound) == 1:
        return bound[0]
    named = f"{channel}/{app}" if app else channel
    if not bound:
        raise Failure(
            f"{account or named} speaks as no brand",
            f"no brand's file binds {'this account to ' if account else ''}{named}",
            "`brandvoice channel list --json` names accounts and brands",
            code=WRONG_USE,
        )
    raise Failure(
        f"it is not clear from whom to send on {named}",
        ", ".join(f"{one.channel}/{one.app} --account {one.account} is {name}" for name, one in bound),
        "name the app and the account",
        code=WRONG_USE,
    )


def _settings(deployment: Deployment, channel: str, app: str, url: str) -> App:
    service = simulated_apps(deployment.config.service, deployment.home, url)
    apps = {(kind, name): settings for kind, name, settings in service.apps.each()}
    settings = apps.get((channel, app))
    missing = unset_secrets(settings) if settings else []
    if settings is None or missing:
        raise Failure(
            f"{channel}/{app} is off",
            f"not set: {', '.join(missing)}" if missing else "configs/service.yaml does not name it",
            f"brandvoice channel check {channel}",
            code=FAILED,
        )
    return settings


def _stranger(to: str, binding: Binding) -> Failure:
    return Failure(
        f"{to} has not written to {binding.account}",
        "a message goes to people who wrote first: it is answered where they wrote, and platforms allow no more",
        f"write to it once, or play a customer with `brandvoice channel simulate {binding.channel}`",
        code=FAILED,
    )


def _shown(call: Request, hidden: list[str], reply_to: Mapping[str, str]) -> dict[str, Any]:
    """A call without what must stay secret, wherever that stands in it."""
    shown = json.dumps(
        {"method": call.method, "url": call.url, "headers": dict(call.headers), "body": call.fields},
        ensure_ascii=False,
        default=dict,
    )
    secret = [part for one in hidden for part in one.split(",")]
    for one in (*secret, *(reply_to[name] for name in PASSING_SECRETS if name in reply_to)):
        if one.strip():
            shown = shown.replace(json.dumps(one.strip(), ensure_ascii=False)[1:-1], MASK)
    found: dict[str, Any] = json.loads(shown)
    found["headers"] = {
        name: MASK if name.lower() == "authorization" else value for name, value in found["headers"].items()
    }
    return found
