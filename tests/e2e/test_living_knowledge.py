"""Knowledge that changes under the running gateway: what is added is cited, what is removed never is again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import Running
from tests.e2e.test_main_job import _hello, _until
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.e2e

BRAND = "velmora"
NAME = "piano-tuning.md"
OLD, NEW = "$410", "$520"
QUESTION = "How much does the tuning of a grand piano cost?"
AGAIN = ("What is the price of tuning a grand piano?", "On which day does the house tune grand pianos?")


class Life:
    """One page of a brand, and what customers get to see of it."""

    def __init__(self, gateway: Running, page: Path) -> None:
        self.gateway = gateway
        self.page = page

    def write(self, price: str) -> None:
        """Add the page, or change it."""
        text = f"# Piano tuning\n\nThe house tunes grand pianos for {price} on Thursdays.\n"
        self.page.write_text(text, encoding="utf-8")
        self.change("add", str(self.page))

    def change(self, *words: str) -> None:
        """Run `brandvoice kb` and wait until the gateway serves what it made."""
        done = self.gateway.cli("kb", *words, "--brand", BRAND, "--json")
        assert done.returncode == 0, done.stderr
        version = json.loads(done.stdout)["version"]
        deadline = time.monotonic() + PATIENCE_S
        while self.serves() != version:
            assert time.monotonic() < deadline, f"{self.serves()} serves, not {version}"
            time.sleep(0.1)

    def serves(self) -> str:
        """The version of the knowledge that the gateway answers from."""
        brands = self.gateway.get("/v1/brands")["brands"]
        return next(str(one["knowledge_version"]) for one in brands if one["name"] == BRAND)

    def cited(self, question: str) -> list[str]:
        """What an answer quotes from the page."""
        body = self.gateway.post(
            "/v1/chat/completions", {"model": BRAND, "messages": [{"role": "user", "content": question}]}
        )
        return [str(one["passage"]) for one in body["brandvoice"]["citations"] if one["document"] == NAME]

    async def turn(self) -> str:
        """Ask in the widget; the name of the turn."""
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{self.gateway.url}/ws/chat") as socket:
                welcome = await _hello(socket, BRAND)
                await socket.send_json({"type": "message", "client_id": uuid.uuid4().hex, "text": QUESTION})
                await _until(socket, "reply", "failed")
            known = {"visitor": welcome["visitor"], "conversation": welcome["conversation"]}
            async with session.ws_connect(f"{self.gateway.url}/ws/chat") as socket:
                return str((await _hello(socket, BRAND, **known))["turns"][0]["turn"])

    def marks(self, turn: str) -> set[str]:
        """How the evidence of a turn marks what it has from the page: `removed`, `changed` or not at all."""
        found: dict[str, Any] = self.gateway.get(f"/v1/turns/{turn}")
        quoted = [*found["citations"], *found["evidence"]["search"]["passages"]]
        own = [one for one in quoted if one["document"] == NAME]
        assert own, "the turn rested on the page"
        return set().union(*({"removed", "changed"} & one.keys() for one in own))


@pytest.fixture
def life(gateway: Running, tmp_path: Path) -> Iterator[Life]:
    yield Life(gateway, tmp_path / NAME)
    gateway.cli("kb", "remove", NAME, "--brand", BRAND)


async def test_a_page_is_cited_when_added_and_changed_never_once_removed_and_again_after_going_back(life: Life) -> None:
    assert life.cited(QUESTION) == [], "the page is not there yet"

    life.write(OLD)
    (quoted,) = set(life.cited(QUESTION))
    assert OLD in quoted
    turn = await life.turn()
    assert life.marks(turn) == set()

    life.write(NEW)
    (quoted,) = set(life.cited(QUESTION))
    assert NEW in quoted and OLD not in quoted
    assert life.marks(turn) == {"changed"}

    life.change("remove", NAME)
    assert [life.cited(question) for question in (QUESTION, *AGAIN)] == [[], [], []]
    assert life.marks(turn) == {"removed"}

    life.change("rollback")
    (quoted,) = set(life.cited(QUESTION))
    assert NEW in quoted
    assert life.marks(turn) == {"changed"}
