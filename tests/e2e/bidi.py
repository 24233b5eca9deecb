"""Firefox as Debian ships it, over WebDriver BiDi: Playwright drives a build of its own only.

Source: W3C WebDriver BiDi (read 2026-11): session, browsingContext, script, input.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.patience import PATIENCE_S

START_S = 60
ENTER, ESCAPE = "\ue007", "\ue00c"


class Firefox:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._tab = ""

    async def call(self, method: str, **params: object) -> Any:
        """One command and its result."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json(timeout=PATIENCE_S)
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    async def begin(self) -> None:
        """A session and its tab."""
        await self.call("session.new", capabilities={})
        self._tab = (await self.call("browsingContext.getTree"))["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        """Load a page."""
        await self.call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """A value of JSON."""
        answer = await self.call(
            "script.evaluate",
            expression=f"JSON.stringify({expression}) ?? 'null'",
            target={"context": self._tab},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    async def until(self, expression: str, *, within_s: float = PATIENCE_S) -> Any:
        """Wait until it is true."""
        deadline = time.monotonic() + within_s
        while not (found := await self.evaluate(expression)):
            assert time.monotonic() < deadline, expression
            await asyncio.sleep(0.05)
        return found

    async def type(self, text: str) -> None:
        """Press keys."""
        keys = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        await self._act({"type": "key", "id": "keys", "actions": keys})

    async def click(self, x: float, y: float) -> None:
        """Press the mouse at a place of the viewport."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y)}]
        presses = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        await self._act({"type": "pointer", "id": "mouse", "actions": [*moves, *presses]})

    async def _act(self, source: dict[str, object]) -> None:
        await self.call("input.performActions", context=self._tab, actions=[source])


@contextlib.asynccontextmanager
async def firefox(program: str, profile: Path) -> AsyncIterator[Firefox]:
    """A headless Firefox with an empty profile; it ends with the block."""
    words = [program, "--headless", "--remote-debugging-port=0", "--profile", str(profile), "--no-remote"]
    with (profile / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*words, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while not (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", (profile / "log").read_text())):
            assert time.monotonic() < deadline, (profile / "log").read_text()
            assert process.returncode is None, (profile / "log").read_text()
            await asyncio.sleep(0.1)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{found[1]}/session", max_msg_size=0) as socket,
        ):
            tab = Firefox(socket)
            await tab.begin()
            yield tab
    finally:
        process.terminate()
        await process.wait()
