"""A fetcher's calls, and the replies and signs that wait for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from aiohttp import web

from channels.base import Capabilities, Channel, OutboundReply, Request
from channels.errors import DeliveryFailed, NotReady
from service.delivery import outbox
from service.delivery.fetching import Fetcher
from service.delivery.sending import outside_session, sender
from service.delivery.typing import Typing
from service.storage.database import Database
from service.storage.tables import outbox as outbox_table
from tests.unit.service.storage.support import Clock, LinesChannel, answered, rows


class Needy(LinesChannel):
    """Needs a word before it verifies or sends."""

    capabilities = Capabilities(max_text_chars=100, ack_deadline_s=1.0)

    def __init__(self) -> None:
        self.word = ""
        self.error: Exception | None = None

    def needs(self) -> Sequence[Request]:
        return () if self.word else (Request("GET", "https://platform.test/word", {}),)

    def learn(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if self.error:
            raise self.error
        if status != 200:
            raise DeliveryFailed("no word", retryable=True)
        self.word = body.decode()

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        if not self.word:
            raise NotReady("no word")

    def render(self, outbound: OutboundReply) -> Sequence[Request]:
        if not self.word:
            raise DeliveryFailed("no word yet", retryable=True)
        return super().render(outbound)

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        return (Request("POST", "https://platform.test/typing", {}, {"text": self.word}),)


class Line:
    """Takes texts and gives the word, after a while; counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.texts: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        if not request.url.endswith("word"):
            self.texts.append(str(request.fields["text"]))
            return 200, {}, b"id"
        self.asked += 1
        await self.open.wait()
        if self.status == 0:
            raise ConnectionRefusedError(111, "refused")
        return self.status, {}, b"word"


def as_channel(needy: Needy) -> Channel:
    return cast("Channel", needy)


async def test_many_at_once_wait_for_one_fetch() -> None:
    line, needy = Line(), Needy()
    fetcher = Fetcher(line.send)
    line.open.clear()
    waiting = [asyncio.create_task(fetcher.verify(as_channel(needy), {}, b"")) for _ in range(20)]
    await asyncio.sleep(0.01)
    line.open.set()
    await asyncio.gather(*waiting)
    assert (line.asked, needy.word) == (1, "word")


async def test_a_caller_that_goes_away_leaves_the_fetch_to_the_next() -> None:
    line, needy = Line(), Needy()
    fetcher = Fetcher(line.send)
    line.open.clear()
    first = asyncio.create_task(fetcher.ready(as_channel(needy)))
    second = asyncio.create_task(fetcher.ready(as_channel(needy)))
    await asyncio.sleep(0.01)
    first.cancel()
    line.open.set()
    await second
    assert (line.asked, needy.word, first.cancelled()) == (2, "word", True)


async def test_one_channel_does_not_wait_for_another() -> None:
    line, stuck, needy = Line(), Needy(), Needy()
    fetcher = Fetcher(line.send)
    line.open.clear()
    waiting = asyncio.create_task(fetcher.ready(as_channel(stuck)))
    await asyncio.sleep(0.01)
    other = asyncio.create_task(fetcher.ready(as_channel(needy)))
    await asyncio.sleep(0.01)
    assert line.asked == 2
    line.open.set()
    await asyncio.gather(waiting, other)


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("another")])
async def test_a_channel_that_cannot_read_an_answer_breaks_nothing(error: Exception) -> None:
    line, needy = Line(), Needy()
    needy.error = error
    with pytest.raises(NotReady):
        await Fetcher(line.send).verify(as_channel(needy), {}, b"")


async def test_a_channel_that_needs_nothing_is_left_alone() -> None:
    line = Line()
    await Fetcher(line.send).ready(cast("Channel", LinesChannel()))
    assert line.asked == 0


async def test_replies_wait_for_what_their_channel_needs_and_then_go_out(db: Database) -> None:
    line, needy, clock, moments = Line(), Needy(), Clock(), [0.0]
    channels = {("slack", "main"): as_channel(needy)}
    fetcher = Fetcher(line.send, clock=lambda: moments[0])
    for key in ("thread-1", "thread-2"):
        await answered(db, key=key)
    line.status = 0
    totals = await outbox.deliver_due(db, channels, line.send, ready=fetcher.ready, clock=clock)
    assert (totals["put_off"], line.asked, line.texts) == (2, 1, [])
    assert {row.state for row in await rows(db, outbox_table)} == {"planned"}
    line.status = 200
    clock.advance(60)
    moments[0] += 60
    totals = await outbox.deliver_due(db, channels, line.send, ready=fetcher.ready, clock=clock)
    assert (totals["sent"], line.asked, len(line.texts)) == (2, 2, 2)


async def test_the_sign_of_writing_waits_for_what_its_channel_needs() -> None:
    line, needy = Line(), Needy()
    typing = Typing({("slack", "main"): as_channel(needy)}, line.send, ready=Fetcher(line.send).ready)
    async with typing.shown("slack", "main", "T1", {}):
        await asyncio.sleep(0.05)
    assert line.texts == ["word"]


async def test_an_answer_that_a_platform_compresses_is_read() -> None:
    async def compressed(request: web.Request) -> web.Response:
        answer = web.json_response({"ok": True})
        answer.enable_compression()
        return answer

    app = web.Application()
    app.router.add_get("/", compressed)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with outside_session() as session:
            call = Request("GET", f"http://127.0.0.1:{runner.addresses[0][1]}/", {})
            status, headers, body = await sender(session)(call)
    finally:
        await runner.cleanup()
    assert (status, json.loads(body)) == (200, {"ok": True})
    assert headers["content-encoding"] in {"deflate", "gzip"}
