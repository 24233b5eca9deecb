"""Mutated recorded bodies, made-up headers and odd texts for every parser, signature reader and renderer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.chaos.delivery import App
from benchmarks.chaos.forged import recorded
from benchmarks.chaos.forgeries import SIGNATURE, STAMP
from benchmarks.chaos.rig import rig, sender_of
from benchmarks.chaos.table import Row, Stopwatch
from channels.base import OutboundReply, Source
from channels.errors import ChannelError, DeliveryFailed, PayloadInvalid
from channels.registry import PLATFORMS

PIECES = (
    *("**", "_", "*", "`", "```", "[", "](", ")", "<", ">", "&", "@", "#", "\\", "|", "~~", "![", "\n", "\n\n", "- "),
    *("1. ", "http://x.example/", "javascript:", "[1]", "[2]", "👩🏽‍🚀", "\u200f", "é", "\u0301", "x" * 3000),
)
"""What markup is made of, and what is hard to cut."""


async def fuzz(*, seed: int, runs: int) -> list[Row]:
    """Run all of it.

    Args:
        seed: Of what is tried.
        runs: Of each kind on each channel.
    """
    async with rig() as one:
        apps = one.apps()
    return await asyncio.to_thread(lambda: [row for app in apps for row in _of_channel(app, seed, runs)])


def _of_channel(app: App, number: int, runs: int) -> list[Row]:
    name = app.channel.name
    seeds = [*recorded(app), app.channel.simulate("Hi", account=app.account, message_id="1", sender="15550100001")]
    kinds: Sequence[tuple[str, st.SearchStrategy[object], Callable[[object], None]]] = (
        ("parser", _bodies(seeds), lambda body: _parse(app, body)),
        ("signature reader", _headers(name), lambda headers: _verify(app, headers)),
        ("renderer", st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=40).map("".join),
         lambda text: _render(app, text)),
        ("receipts", st.tuples(st.integers(100, 599), st.binary(max_size=80) | _json(seeds).map(_wire)),
         lambda answer: _receipt(app, answer)),
    )  # fmt: skip
    return [_run(f"fuzz: {name}, {kind}", strategy, check, number, runs) for kind, strategy, check in kinds]


def _run(
    what: str, strategy: st.SearchStrategy[object], check: Callable[[object], None], number: int, runs: int
) -> Row:
    """Any exception that is not one of the channel's own is a crash."""
    watch, tried = Stopwatch(), 0
    checks = list(HealthCheck)

    @seed(number)
    @settings(max_examples=runs, deadline=None, database=None, suppress_health_check=checks, phases=[Phase.generate])
    @given(strategy)
    def one(value: object) -> None:
        nonlocal tried
        tried += 1
        check(value)

    try:
        one()
    except Exception as error:
        return Row(
            what, tried, "0 crashes", f"crashed: {type(error).__name__}: {str(error)[:120]}", False, watch.seconds
        )
    return Row(what, tried, "0 crashes", "0 crashes", tried >= runs * 0.5, watch.seconds)


def _parse(app: App, body: object) -> None:
    assert isinstance(body, bytes)
    try:
        inbound = app.channel.parse(body)
    except PayloadInvalid:
        return
    for message in inbound.messages:
        for text in (message.account, message.message_id, message.conversation_key, message.sender, message.text):
            text.encode()
            if "\x00" in text:
                raise ValueError("NUL in a message")
        json.dumps(dict(message.reply_to)).encode()


def _verify(app: App, headers: object) -> None:
    assert isinstance(headers, dict)
    try:
        app.channel.verify(headers, b"{}")
    except ChannelError:
        return
    if app.channel.name != "teams":
        raise ValueError("a made-up signature was accepted")


def _render(app: App, text: object) -> None:
    assert isinstance(text, str)
    body = app.channel.simulate(
        "Hi", account=app.account, message_id="1", sender=sender_of(app.channel.name, "k00001x00")
    )
    message = app.channel.parse(body).messages[0]
    stand_in = PLATFORMS[app.channel.name].stand_in
    sources = (Source(1, "Returns & <more>", "returns.md"), Source(2, "*@here*", "x.md"))
    try:
        requests = app.channel.render(OutboundReply(message.account, message.reply_to, text, "out-1", sources))
    except DeliveryFailed as error:
        raise ValueError(f"it cannot be rendered: {error}") from error
    for request in requests:
        status, _, answer = stand_in.answer(request, number=1)
        if not 200 <= status < 300 or b'"ok": false' in answer:
            raise ValueError(f"the platform refuses it: {status} {answer[:80]!r}")


def _receipt(app: App, answer: object) -> None:
    assert isinstance(answer, tuple)
    try:
        app.channel.receipt(answer[0], {}, answer[1])
    except DeliveryFailed:
        return


def _bodies(seeds: Sequence[bytes]) -> st.SearchStrategy[object]:
    """Any bytes, a recorded body cut and spliced, and a recorded payload with values replaced or gone."""
    spliced = st.tuples(st.sampled_from(seeds), st.floats(0, 1), st.floats(0, 1), st.binary(max_size=8)).map(_spliced)
    return st.binary(max_size=200) | spliced | _json(seeds).map(_wire)


def _spliced(drawn: tuple[bytes, float, float, bytes]) -> bytes:
    body, first, second, between = drawn
    start, end = sorted((int(first * len(body)), int(second * len(body))))
    return body[:start] + between + body[end:]


def _json(seeds: Sequence[bytes]) -> st.SearchStrategy[object]:
    payloads = []
    for body in seeds:
        try:
            payloads.append(json.loads(body))
        except ValueError:
            payloads.append({"Body": body.decode()})
    return st.sampled_from(payloads).flatmap(_mutated)


def _mutated(payload: object, depth: int = 0) -> st.SearchStrategy[object]:
    """The payload with something else in one place, or without it."""
    other: st.SearchStrategy[object] = (
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just([]) | st.just({})
    )
    if isinstance(payload, dict) and payload and depth < 9:
        return st.sampled_from(sorted(payload)).flatmap(
            lambda key: st.one_of(
                _mutated(payload[key], depth + 1).map(lambda value: {**payload, key: value}),
                st.just({name: value for name, value in payload.items() if name != key}),
            )
        )
    if isinstance(payload, list) and payload and depth < 9:
        return st.integers(0, len(payload) - 1).flatmap(
            lambda at: _mutated(payload[at], depth + 1).map(lambda value: [*payload[:at], value, *payload[at + 1 :]])
        )
    return other


def _wire(payload: object) -> bytes:
    return json.dumps(payload).encode()


def _headers(name: str) -> st.SearchStrategy[object]:
    texts = st.text(max_size=80) | st.text("0123456789abcdef=v.,_- ", max_size=80) | st.just(urlencode({"a": "é"}))
    wanted = [SIGNATURE[name], *([STAMP[name]] if name in STAMP else [])]
    return st.fixed_dictionaries(dict.fromkeys(wanted, texts | texts.map("v0={}".format) | texts.map("sha256={}".format)
                                               | texts.map("Bearer {}".format)))  # fmt: skip
