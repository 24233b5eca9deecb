"""`brandvoice channel simulate`: the platform's part, played on this machine."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from channels.base import Channel, InboundMessage, Request
from channels.registry import PLATFORMS
from configs.brand import Binding
from service.bindings.apps import open_app
from service.bindings.simulator import PATH, simulated_apps
from service.cli import output
from service.cli.channels import check_name
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import WRONG_USE, Failure
from service.cli.gateway import Gateway

POLL_S = 0.2
QUIET_S = 1.0
"""A long reply comes as several calls; after this long without another one it is whole."""


def run_simulate(
    channel: str, text: str, brand: str, *, sender: str | None, url: str | None, timeout_s: float, as_json: bool
) -> None:
    """Post one event and wait for the reply."""
    deployment = open_deployment()
    binding = _binding(deployment, channel, brand)
    with Gateway.of(deployment.config, url) as gateway:
        platform = _platform(deployment, channel, binding.app, gateway.url)
        body = platform.simulate(
            text,
            account=binding.account,
            message_id=f"wamid.{secrets.token_hex(12).upper()}",
            sender=sender or PLATFORMS[channel].stand_in.somebody(),
        )
        message = platform.parse(body).messages[0]
        began = time.monotonic()
        since = _last_call(gateway, channel)
        status, answer = gateway.deliver(f"/webhooks/{channel}/{binding.app}", body, dict(platform.sign(body)))
        if status != 200:
            raise Failure(
                f"the gateway did not take the {channel} event",
                f"it answered {status}: {answer.strip()[:200]}",
                "run both with the same BRANDVOICE_HOME, so that they share the simulator's secrets",
            )
        acknowledged_ms = round((time.monotonic() - began) * 1000, 1)
        output.note(f"{channel} event taken after {acknowledged_ms} ms, waiting for the reply")
        calls = _reply(gateway, channel, message, since, timeout_s)
    if as_json:
        output.data(
            {
                "channel": channel,
                "account": binding.account,
                "sender": message.sender,
                "event": _shown(body),
                "acknowledged_ms": acknowledged_ms,
                "calls": [{"path": call["path"], "json": call["json"]} for call in calls],
                "text": "\n".join(_texts(calls)),
            }
        )
    else:
        for shown in _texts(calls):
            output.line(shown)


def _binding(deployment: Deployment, channel: str, brand: str) -> Binding:
    check_name(channel)
    for binding in deployment.brand(brand).channels:
        if binding.channel == channel:
            return binding
    raise Failure(
        f"{brand} is not on {channel}",
        f"configs/brands/{brand}.yaml binds no {channel} identity",
        "add one under `channels`, and start the gateway again",
        code=WRONG_USE,
    )


def _platform(deployment: Deployment, channel: str, app: str, url: str) -> Channel:
    service = deployment.config.service
    on = service.model_copy(update={"service": service.service.model_copy(update={"simulator": True})})
    apps = {(kind, name): settings for kind, name, settings in simulated_apps(on, deployment.home, url).apps.each()}
    return open_app(channel, app, apps[channel, app], {})


def _shown(body: bytes) -> Any:
    """The event as JSON, or as the text that it is."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _last_call(gateway: Gateway, channel: str) -> int:
    try:
        last: int = gateway.get(f"{PATH}/{channel}/calls", since=0)["last"]
    except Failure as error:
        if error.code != WRONG_USE:
            raise
        raise Failure(
            "this gateway has no simulator",
            "it would send the reply to the real platform",
            "start it with `brandvoice demo`, or with BRANDVOICE_SERVICE__SIMULATOR=true on loopback",
        ) from error
    return last


def _reply(
    gateway: Gateway, channel: str, message: InboundMessage, since: int, timeout_s: float
) -> list[dict[str, Any]]:
    """The calls that answer our message."""
    deadline = time.monotonic() + timeout_s
    found: list[dict[str, Any]] = []
    quiet_since = time.monotonic()
    while time.monotonic() < deadline:
        answer = gateway.get(f"{PATH}/{channel}/calls", since=since)
        new = [call for call in answer["calls"] if _is_for(channel, call, message.reply_to)]
        since = answer["last"]
        if new:
            found += new
            quiet_since = time.monotonic()
        elif found and time.monotonic() - quiet_since >= QUIET_S:
            return found
        time.sleep(POLL_S)
    if found:
        return found
    raise Failure(
        f"no reply came within {timeout_s:.0f} s",
        "the engine is starting, busy or gone",
        "look at `brandvoice doctor`, or wait longer with --timeout",
    )


def _is_for(channel: str, call: Mapping[str, Any], reply_to: Mapping[str, str]) -> bool:
    """Whether a call tells our person something."""
    made = Request(call["method"], f"{PATH}/{channel}/{call['path']}", {}, call["json"])
    return bool(call["texts"]) and PLATFORMS[channel].stand_in.is_for(made, reply_to)


def _texts(calls: list[dict[str, Any]]) -> list[str]:
    return [text for call in calls for text in call["texts"]]
