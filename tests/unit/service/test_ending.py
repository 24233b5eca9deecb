"""SIGTERM: turns that write are finished, what waits is left to the next start, and the end comes in time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.engines.process import free_port
from service.storage.database import Database
from service.storage.tables import turns
from tests.patience import PATIENCE_S
from tests.unit.service.fake_engines import FakeEngine, running, until
from tests.unit.service.standing import QUESTION, SITE_KEY
from tests.unit.service.storage.support import rows

ROOT = Path(__file__).resolve().parents[3]
VISITORS = 24
PLACES = 16

SERVE = """
import sys
from pathlib import Path
import pytest
from tests.unit.service import standing
from configs.home import Home
from service.starting.serve import run, serve
patches = pytest.MonkeyPatch()
standing.furnish(patches)
folder, engine, port = sys.argv[1:]
run(serve(standing.configured(engine, int(port)), Home(Path(folder))))
"""


@pytest.fixture
async def engine() -> Any:
    made = FakeEngine(pace_s=0.02, words=15)
    async with running(made):
        yield made


async def _serve(folder: Path, engine: FakeEngine, port: int) -> asyncio.subprocess.Process:
    words = ("-c", SERVE, str(folder), engine.url, str(port))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, env=environment)
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return process
            except OSError:
                assert process.returncode is None
            await asyncio.sleep(0.05)


async def test_sigterm_loses_no_turn_and_ends_in_time(tmp_path: Path, engine: FakeEngine) -> None:
    port = free_port()
    engine.goes_on.clear()
    first = await _serve(tmp_path, engine, port)
    async with aiohttp.ClientSession() as session:
        sockets = [
            await session.ws_connect(f"http://127.0.0.1:{port}/ws/chat", autoclose=False) for _ in range(VISITORS)
        ]
        for socket in sockets:
            await socket.send_json({"type": "hello", "site_key": SITE_KEY})
            await socket.receive_json(timeout=PATIENCE_S)
            await socket.send_json({"type": "message", "client_id": "client-0001", "text": QUESTION})
        for socket in sockets:
            while (await socket.receive_json(timeout=PATIENCE_S))["type"] != "accepted":
                pass
        await until(lambda: len(engine._open) == PLACES)
        first.send_signal(signal.SIGTERM)
        engine.goes_on.set()
        await asyncio.wait_for(first.wait(), PATIENCE_S)
        closed = [await _closed(socket) for socket in sockets]
    assert len(engine.chats) == PLACES, "what waits for a place is not waited for"
    assert set(closed) == {1012}, "the widget knows that it is worth coming back"
    found = await _stored(tmp_path)
    assert [turn.state for turn in found].count("done") == PLACES
    assert all(len(turn.text.split()) == 15 for turn in found if turn.state == "done")
    second = await _serve(tmp_path, engine, port)
    async with asyncio.timeout(PATIENCE_S):
        while [turn.state for turn in await _stored(tmp_path)].count("done") < VISITORS:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    second.send_signal(signal.SIGTERM)
    await asyncio.wait_for(second.wait(), PATIENCE_S)
    assert len(engine.chats) == VISITORS, "each was generated once"


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> object:
    """What the close frame says."""
    while (message := await socket.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.TEXT:
        pass
    return message.data


async def _stored(folder: Path) -> list[Any]:
    db = await Database.open(f"sqlite:///{folder}/brandvoice.db")
    try:
        return await rows(db, turns)
    finally:
        await db.close()
