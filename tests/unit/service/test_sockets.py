"""The widget's socket on a whole gateway: limits, a stop, a reader who comes back, one who reads slowly, an end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from configs.service import Limits
from service.storage.tables import inbox, turns
from service.turns.hub import MAX_BEHIND
from tests.unit.service.fake_engines import FakeEngine, running, until
from tests.unit.service.standing import QUESTION, SITE_KEY, Visitor, furnish, standing, visiting
from tests.unit.service.storage.support import rows


@pytest.fixture(autouse=True)
def furnished(monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(monkeypatch)


async def answered(url: str, known: Any, count: int, first: int = 0) -> Any:
    """Let a visitor have that many turns; returns the welcome of a fresh socket and the last turn's id."""
    async with visiting(url, known) as visitor:
        for number in range(first, first + count):
            await visitor.say(f"{QUESTION} ({number})", f"client-{number:04}")
            reply = await visitor.until("reply")
        return visitor.welcome, reply["turn"]


# -------------------------------------------------------------- limits


async def test_who_writes_faster_than_anybody_types_is_told_when_to_go_on(tmp_path: Path) -> None:
    engine = FakeEngine()
    limits = Limits(visitor_per_minute=6)
    async with running(engine), standing(tmp_path, engine.url, service={"limits": limits}) as (url, gateway):
        async with visiting(url) as visitor, visiting(url) as other:
            for number in range(7):
                await visitor.say(f"line {number}", f"client-{number:04}")
            refused = await visitor.until("error")
            assert (refused["code"], refused["client_id"]) == ("slow_down", "client-0005")
            assert 1 <= refused["retry_after_s"] <= 10
            await other.say(QUESTION, "client-9999")
            await other.until("reply")
        assert len(await rows(gateway.db, inbox)) == 6


async def test_the_api_answers_429_with_the_seconds_to_wait(tmp_path: Path) -> None:
    engine = FakeEngine()
    limits = Limits(account_per_minute=6)
    body = {"model": "velmora", "messages": [{"role": "user", "content": QUESTION}]}
    async with running(engine), standing(tmp_path, engine.url, service={"limits": limits}) as (url, _):
        async with aiohttp.ClientSession() as session:
            for _ in range(5):
                async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                    assert answer.status == 200
            async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                assert answer.status == 429
                assert 1 <= int(answer.headers["retry-after"]) <= 10
                assert (await answer.json())["error"]["code"] == "slow_down"


# -------------------------------------------------------------- a stop


async def _writing(engine: FakeEngine) -> None:
    await until(lambda: len(engine._open) == 1)
    await asyncio.sleep(0.1)


async def test_a_stop_ends_the_engines_work_and_what_was_shown_stays(tmp_path: Path) -> None:
    engine = FakeEngine(pace_s=0.02, words=5000)
    async with running(engine), standing(tmp_path, engine.url) as (url, gateway), visiting(url) as visitor:
        await visitor.say(QUESTION, "client-0001")
        turn = (await visitor.until("turn"))["turn"]
        await visitor.until("token")
        await visitor.socket.send_json({"type": "stop", "turn": turn})
        await until(lambda: engine.cut)
        written = engine.written
        assert written < engine.words
        reply = await visitor.until("reply")
        assert reply["outcome"] == "stopped"
        shown = "".join(frame["text"] for frame in visitor.frames if frame["type"] == "token")
        assert reply["text"] == shown.strip() or reply["text"] == shown
        await asyncio.sleep(0.2)
        assert engine.written == written, "no token is made after"
        (stored,) = await rows(gateway.db, turns)
        assert (stored.state, stored.outcome, stored.text) == ("done", "stopped", reply["text"])
        engine.words = 6
        await visitor.say(QUESTION, "client-0002")
        assert (await visitor.until("reply"))["outcome"] == "answered"


async def test_a_stop_of_a_turn_that_is_over_or_of_another_conversation_does_nothing(tmp_path: Path) -> None:
    engine = FakeEngine(pace_s=0.02, words=30)
    async with running(engine), standing(tmp_path, engine.url) as (url, _), visiting(url) as visitor:
        await visitor.say(QUESTION, "client-0001")
        turn = (await visitor.until("turn"))["turn"]
        async with visiting(url) as stranger:
            await stranger.socket.send_json({"type": "stop", "turn": turn})
            await stranger.socket.send_json({"type": "ping"})
            await stranger.until("pong")
        assert (await visitor.until("reply"))["outcome"] == "answered"
        await visitor.socket.send_json({"type": "stop", "turn": turn})
        await visitor.socket.send_json({"type": "ping"})
        await visitor.until("pong")
        assert visitor.frames[-1]["type"] == "pong"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_of_the_api_who_hangs_up_ends_the_engines_work(tmp_path: Path, stream: bool) -> None:
    engine = FakeEngine(pace_s=0.02, words=5000)
    body = {"model": "velmora", "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
    async with running(engine), standing(tmp_path, engine.url) as (url, _):
        session = aiohttp.ClientSession()
        calling = asyncio.create_task(_read(session, url, body))
        await _writing(engine)
        calling.cancel()
        await asyncio.wait({calling})
        await session.close()
        await until(lambda: engine.cut)
        written = engine.written
        assert written < engine.words
        await asyncio.sleep(0.2)
        assert engine.written == written


async def _read(session: aiohttp.ClientSession, url: str, body: Any) -> None:
    async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
        await answer.read()


async def test_a_page_that_closes_loses_nothing(tmp_path: Path) -> None:
    engine = FakeEngine(pace_s=0.02, words=20)
    async with running(engine), standing(tmp_path, engine.url) as (url, _):
        async with visiting(url) as visitor:
            await visitor.say(QUESTION, "client-0001")
            await visitor.until("token")
        await until(lambda: not engine._open)
        await asyncio.sleep(0.1)
        async with visiting(url, visitor.welcome) as again:
            (turn,) = again.welcome["turns"]
            assert (turn["state"], len(turn["text"].split())) == ("done", 20)
        assert engine.cut == 0


# -------------------------------------------------------------- coming back


async def test_who_comes_back_gets_only_what_came_after_also_from_another_process(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(engine):
        async with standing(tmp_path, engine.url) as (url, _):
            known, last = await answered(url, None, 3)
            async with visiting(url, known, after=last) as back:
                assert (back.welcome["resumed"], back.welcome["turns"]) == (True, [])
            await answered(url, known, 2, first=3)
            async with visiting(url, known, after=last) as back:
                assert [turn["question"] for turn in back.welcome["turns"]] == [f"{QUESTION} (3)", f"{QUESTION} (4)"]
        async with standing(tmp_path, engine.url) as (url, _):
            async with visiting(url, known, after=last) as back:
                assert (back.welcome["resumed"], len(back.welcome["turns"])) == (True, 2)
            async with visiting(url, known) as back:
                assert (back.welcome["resumed"], len(back.welcome["turns"])) == (False, 5)


async def test_what_is_not_known_here_is_answered_with_the_whole(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(engine), standing(tmp_path, engine.url) as (url, _):
        known, _ = await answered(url, None, 2)
        _, foreign = await answered(url, None, 1)
        for after in ("", "no-such-turn", foreign, "x" * 300):
            async with visiting(url, known, after=after) as back:
                assert (back.welcome["resumed"], len(back.welcome["turns"])) == (False, 2), after


async def test_a_turn_that_runs_comes_whole_and_goes_on(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(engine), standing(tmp_path, engine.url) as (url, _):
        known, last = await answered(url, None, 1)
        engine.pace_s, engine.words = 0.02, 40
        async with visiting(url, known, after=last) as visitor:
            await visitor.say(QUESTION, "client-1001")
            turn = (await visitor.until("turn"))["turn"]
            for _ in range(5):
                await visitor.until("token")
        async with visiting(url, known, after=turn) as early:
            assert early.welcome["resumed"] is False, "it runs: a claim to have it whole is not believed"
        async with visiting(url, known, after=last) as back:
            (running_now,) = back.welcome["turns"]
            assert (running_now["turn"], running_now["state"]) == (turn, "running")
            text = running_now["text"]
            while (frame := await back.next())["type"] != "reply":
                text += frame.get("text", "")
            assert text == frame["text"]
            assert len(text.split()) == 40


# -------------------------------------------------------------- bytes


async def test_the_bytes_of_a_reply_grow_linearly_with_its_length(tmp_path: Path) -> None:
    engine = FakeEngine(pace_s=0.005)
    sizes = {}
    async with running(engine), standing(tmp_path, engine.url) as (url, _):
        for words in (50, 100, 200, 400):
            engine.words = words
            async with visiting(url) as visitor:
                await visitor.say(QUESTION, "client-0001")
                await visitor.until("reply")
                sizes[words] = sum(len(str(frame)) for frame in visitor.frames[1:])
    per_word = [(sizes[b] - sizes[a]) / (b - a) for a, b in ((50, 100), (100, 200), (200, 400))]
    assert max(per_word) < 2 * min(per_word), per_word


async def test_a_reader_of_a_byte_a_second_cannot_grow_memory(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(engine), standing(tmp_path, engine.url) as (url, gateway), visiting(url) as visitor:
        conversation = visitor.welcome["conversation"]
        async with _slow_reader(url, visitor.welcome):
            watchers = gateway.hub._subscriptions[conversation]
            await until(lambda: len(watchers) == 2)
            reader = asyncio.create_task(_drink(visitor))
            held = 0
            for number in range(4 * MAX_BEHIND):
                gateway.hub.publish(conversation, {"type": "token", "turn": "t", "text": "x" * 4000})
                held = max(held, *(len(one._frames) for one in watchers))
                await asyncio.sleep(0 if number % 8 else 0.001)
            # Four megabytes were said; what waits for the slow one is bounded, and the other read all of it.
            assert held <= MAX_BEHIND
            slow = next(one for one in watchers if one.overrun)
            await until(lambda: sum(frame["type"] == "token" for frame in visitor.frames) == 4 * MAX_BEHIND)
            assert len(slow._frames) <= MAX_BEHIND
            reader.cancel()
            await asyncio.wait({reader})


async def _drink(visitor: Visitor) -> None:
    while True:
        await visitor.next()


@asynccontextmanager
async def _slow_reader(url: str, known: Any) -> AsyncIterator[None]:
    """A WebSocket that says hello and reads one byte a second, with a small buffer in the kernel."""
    host, port = url.removeprefix("http://").split(":")
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(line, (host, int(port)))
    hello = orjson.dumps({"type": "hello", "site_key": SITE_KEY, **{k: known[k] for k in ("visitor", "conversation")}})
    head = (
        f"GET /ws/chat HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    # A text frame, masked with zeros (RFC 6455, 5.2).
    frame = bytes([0x81, 0xFE, *len(hello).to_bytes(2, "big"), 0, 0, 0, 0]) + hello
    await loop.sock_sendall(line, head.encode())
    await asyncio.sleep(0.1)
    await loop.sock_sendall(line, frame)

    async def sip() -> None:
        while await loop.sock_recv(line, 1):  # noqa: ASYNC110 - the pace of a bad line
            await asyncio.sleep(1)

    sipping = asyncio.create_task(sip())
    try:
        yield
    finally:
        sipping.cancel()
        await asyncio.gather(sipping, return_exceptions=True)
        line.close()
