"""Forged requests on every channel are refused with nothing stored; genuine recorded bodies, signed, are accepted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.chaos.delivery import App, taken
from benchmarks.chaos.forgeries import SIGNATURE, Forgery, Headers, Target, forgeries
from benchmarks.chaos.rig import Rig, rig
from benchmarks.chaos.table import Row, Stopwatch
from channels.base import Channel
from channels.errors import PayloadInvalid
from service.storage.tables import inbox, unbound_events

WEBHOOKS = Path(__file__).parents[2].parent / "shared" / "data" / "webhooks"
SLACK_FORMS = frozenset({"block_actions", "message_shortcut", "view_submission"})


@dataclass
class Refusals:
    """What became of the forgeries of one channel."""

    tried: int = 0
    kinds: set[str] = field(default_factory=set)
    taken: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Answered 5xx, or not at all."""
    telling: list[str] = field(default_factory=list)
    """Whose answer holds the right signature."""


async def forged(*, seed: int, flips: int) -> list[Row]:
    """Attack every channel.

    Args:
        seed: Of the flipped bits.
        flips: Of each channel's signature, and as many of its body.
    """
    drawn = random.Random(seed)  # noqa: S311 (repeatable, and no secret)
    found: list[Row] = []
    async with rig() as one:
        await one.begin()
        others = {app.channel.name: app for app in one.apps("dicehollow")}
        settings = {(kind, name): app for kind, name, app in one.config.service.apps.each()}
        for at, app in enumerate(one.apps()):
            watch = Stopwatch()
            other = others.get(app.channel.name)
            target = Target(
                app,
                one.body(app, f"k{at:05d}x00"),
                settings[app.channel.name, app.name],
                other if other and other.name != app.name else None,
            )
            refusals = Refusals()
            for forgery in forgeries(target, drawn, flips):
                await _attack(one, target, forgery, refusals)
            stored = len(await one.rows(inbox)) + len(await one.rows(unbound_events))
            result = (
                f"{refusals.tried - len(refusals.taken)} refused, {len(refusals.broken)} 5xx, "
                f"{len(refusals.telling)} tell the signature, {stored} stored"
            )
            met = not (refusals.taken or refusals.broken or refusals.telling or stored)
            status = await taken(one.session, one.url, app, target.body)
            result += f"; then the genuine one: {status}"
            await one.settled()
            # The genuine one is let go of, so that the next channel is counted from nothing.
            what = f"forged: {app.channel.name}, {len(refusals.kinds)} kinds"
            result += "".join(f" [{kind}]" for kind in (*refusals.taken, *refusals.broken, *refusals.telling)[:5])
            met = met and status == 200 and refusals.tried > 30
            found.append(Row(what, refusals.tried, "all refused, 0 5xx, 0 told, 0 stored", result, met, watch.seconds))
            await one.end()
            for file in one.life.home.glob("brandvoice.db*"):
                file.unlink()
            await one.begin()
    return found


async def _attack(one: Rig, target: Target, forgery: Forgery, refusals: Refusals) -> None:
    status, answer = await raw_post(one.url, target.app.path, forgery.headers, forgery.body)
    refusals.tried += 1
    refusals.kinds.add(forgery.kind)
    if 200 <= status < 400:
        refusals.taken.append(forgery.kind)
    elif not 400 <= status < 500:
        refusals.broken.append(f"{status} {forgery.kind}")
    # The right one for what was sent, and the one for the genuine body.
    for body in (target.body, forgery.body):
        # What is no form at all has no signature at Twilio.
        with contextlib.suppress(PayloadInvalid):
            right = target.app.channel.sign(body)[SIGNATURE[target.app.channel.name]]
            if _core(right) in answer:
                refusals.telling.append(forgery.kind)


def _core(signature: str) -> bytes:
    """The part of a signature or token that is a secret."""
    return re.split("[=. ]", signature.rstrip("="))[-1].encode()


async def raw_post(url: str, path: str, headers: Headers, body: bytes) -> tuple[int, bytes]:
    """POST bytes as they are, headers that no client would send included; status 0 where no answer comes."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    head = [f"POST {path} HTTP/1.1".encode(), f"Host: {at.netloc}".encode(), b"Connection: close"]
    head += [name + b": " + value for name, value in headers]
    head.append(f"Content-Length: {len(body)}".encode())
    try:
        writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        async with asyncio.timeout(30):
            answer = await reader.read()
    except (ConnectionError, TimeoutError):
        return 0, b""
    finally:
        writer.close()
    status = answer.split(b" ", 2)[1:2]
    return (int(status[0]) if status else 0), answer


async def genuine() -> list[Row]:
    """Sign every recorded body and deliver it: each is taken, and is a message or ignored for a stated reason."""
    found: list[Row] = []
    async with rig() as one:
        await one.begin()
        for app in one.apps():
            watch = Stopwatch()
            bodies = list(recorded(app))
            seen: Counter[str] = Counter()
            refused = 0
            for body in bodies:
                refused += await taken(one.session, one.url, app, body) != 200
                seen.update(_reading(app.channel, body))
            read = ", ".join(f"{count} {what}" for what, count in seen.most_common())
            result = f"{len(bodies) - refused} accepted: {read}"
            met = bool(bodies) and not refused
            found.append(
                Row(
                    f"recorded: {app.channel.name}",
                    len(bodies),
                    "all accepted",
                    result,
                    met if bodies else None,
                    watch.seconds,
                )
            )
    return found


def _reading(channel: Channel, body: bytes) -> Iterator[str]:
    """What each part of a body is to us."""
    try:
        inbound = channel.parse(body)
    except PayloadInvalid:
        yield "kept aside (not of the platform's shape)"
        return
    for message in inbound.messages:
        yield "messages" if message.text else "messages without text"
    yield from (f"ignored as {reason}" for reason in inbound.ignored)
    if inbound.answer is not None and not inbound.messages and not inbound.ignored:
        yield "checks of our address"


def recorded(app: App) -> Iterator[bytes]:
    """The recorded bodies of a platform, each as it travels; of Twilio there is none."""
    name = app.channel.name
    for path in sorted(WEBHOOKS.glob(f"{name}/*.json")):
        payload = json.loads(path.read_bytes())
        for one in _bodies(name, path.stem, payload):
            yield one if isinstance(one, bytes) else json.dumps(_addressed(app, one)).encode()


def _bodies(name: str, stem: str, payload: Any) -> list[Any]:
    if name == "whatsapp":
        return list(payload.values())
    if name == "line":
        return [{**payload, "events": [event]} for event in payload["events"]]
    if name == "slack" and stem == "slash_command_parsed":
        return [urlencode(payload).encode()]
    if name == "slack" and stem in SLACK_FORMS:
        return [urlencode({"payload": json.dumps(payload)}).encode()]
    return [payload]


def _addressed(app: App, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Teams: a token is made for the activity's serviceUrl, which must be one that the app may answer."""
    if app.channel.name != "teams":
        return payload
    ours = json.loads(app.channel.simulate("x", account=app.account, message_id="1", sender="29:1"))["serviceUrl"]
    return {**payload, "serviceUrl": ours}
