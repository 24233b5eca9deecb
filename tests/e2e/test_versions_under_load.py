"""Promoting and rolling back on vLLM while visitors ask, and the set of versions after the death of the engine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import SHIPPED, START_S, Running
from tests.e2e.test_main_job import _hello, _until, engine_url

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BRAND, OTHER = "velmora", "other"
VERSIONS = (SHIPPED, OTHER)
QUESTIONS = (
    "May I open the parcel and still send it back?",
    "How many days does standard delivery take?",
    "For how many years does the warranty cover faults?",
    "What does gift wrapping cost?",
)
ROUNDS = 3
"""Each promotes one version and rolls it back."""
BETWEEN_CHANGES = 2
"""Answers: fewer than visitors, so that each change falls into the midst of some."""
VISITORS = 4
PATIENCE_S = 200.0


@dataclass(frozen=True)
class Said:
    """What a visitor got."""

    question: str
    version: str
    generations: tuple[str, ...]
    """Each text as the model wrote it."""
    tokens: int
    """That the model wrote."""
    text: str


def said(question: str, told: dict[str, Any], generations: list[dict[str, Any]]) -> Said:
    texts = tuple(one["text"] for one in generations)
    return Said(question, told["adapter"]["version"], texts, told["usage"]["completion_tokens"], told["text"])


@pytest.fixture
def other(gateway: Running) -> Iterator[None]:
    """A second version of the brand, with the other house's weights: its every answer differs."""
    folder = gateway.home / "adapters" / BRAND / OTHER
    shutil.copytree("samples/dicehollow/adapter", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "brand": BRAND, "version": OTHER}))
    yield
    while speaking(gateway) != SHIPPED:
        roll_back(gateway)
    shutil.rmtree(folder)


def speaking(gateway: Running) -> str:
    found = gateway.get(f"/v1/brands/{BRAND}/adapters")["adapters"]
    return str(next(one["version"] for one in found if one["active"]))


def promote(gateway: Running) -> None:
    override = {"by": "the tests", "reason": "two versions under load"}
    told = gateway.post(f"/v1/brands/{BRAND}/adapters/{OTHER}/promote", {"override": override})
    assert told.get("active"), told
    assert told["approvals"][-1]["by"] == "the tests"


def roll_back(gateway: Running) -> None:
    told = gateway.post(f"/v1/brands/{BRAND}/adapters/rollback", {})
    assert told.get("version") == SHIPPED, told


def in_quiet(gateway: Running, question: str, version: str) -> Said:
    """What a version says when it is asked nothing else."""
    asked = {"brand": BRAND, "question": question, "versions": [version], "served": True}
    (column,) = gateway.post("/v1/bench", asked)["columns"]
    return said(question, {**column, "adapter": {"version": column["version"]}}, column["generations"])


async def visit(gateway: Running, session: aiohttp.ClientSession, question: str) -> Said:
    """A new visitor asks one question over the widget's socket, and has it answered."""
    async with session.ws_connect(f"{gateway.url}/ws/chat") as socket:
        await _hello(socket, BRAND)
        await socket.send_json({"type": "message", "client_id": uuid.uuid4().hex, "text": question})
        frames = await _until(socket, "reply", "failed", timeout_s=PATIENCE_S)
    assert frames[-1]["type"] == "reply", frames[-1]
    told = await asyncio.to_thread(gateway.get, f"/v1/turns/{frames[-1]['turn']}")
    assert told["state"] == "done"
    assert told["text"] == frames[-1]["text"]
    return said(question, told, told["evidence"]["generations"])


def loaded(gateway: Running) -> set[str]:
    """The adapters that the engine holds."""
    with urllib.request.urlopen(f"{engine_url(gateway)}/v1/models", timeout=30) as answer:
        return {model["id"] for model in json.load(answer)["data"] if "@" in model["id"]}


def until_engine_is_another_than(gateway: Running, dead: int) -> None:
    """Wait until the gateway has started the engine anew."""
    deadline = time.monotonic() + START_S
    while gateway.get("/readyz")["checks"]["engine"] == "ready":
        assert time.monotonic() < deadline, "the gateway did not see that its engine died"
        time.sleep(0.05)
    gateway.wait_ready()
    assert gateway.engine() != dead


async def test_no_answer_fails_or_mixes_versions_that_change_and_an_engine_that_dies_holds_them_again(
    gateway: Running, other: None
) -> None:
    quiet = {(question, one): in_quiet(gateway, question, one) for question in QUESTIONS for one in VERSIONS}
    for question in QUESTIONS:
        first, second = (quiet[question, one] for one in VERSIONS)
        assert (first.version, second.version) == VERSIONS
        assert not set(first.generations) & set(second.generations), "what is said tells who said it"

    answers: list[Said] = []
    answered, changed = asyncio.Semaphore(0), asyncio.Event()

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        while not changed.is_set():
            answers.append(await visit(gateway, session, QUESTIONS[number % len(QUESTIONS)]))
            answered.release()
            number += 1

    async def change() -> None:
        for turn in range(2 * ROUNDS):
            for _ in range(BETWEEN_CHANGES):
                await answered.acquire()
            await asyncio.to_thread(roll_back if turn % 2 else promote, gateway)
        changed.set()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for number in range(VISITORS):
            group.create_task(ask(session, number))
        group.create_task(change())
    assert len(answers) > 2 * ROUNDS * BETWEEN_CHANGES
    assert {one.version for one in answers} == set(VERSIONS)
    # Word for word and token for token: neither the other version's cached prefixes nor its weights had a part in it.
    assert [one for one in answers if one != quiet[one.question, one.version]] == []

    promote(gateway)
    dead = gateway.engine()
    os.kill(dead, signal.SIGKILL)
    await asyncio.to_thread(until_engine_is_another_than, gateway, dead)
    now = {f"{BRAND}@{OTHER}", f"dicehollow@{SHIPPED}"}
    assert loaded(gateway) == now, "what serves now, not what served at the start"
    async with aiohttp.ClientSession() as session:
        again = await asyncio.gather(*(visit(gateway, session, question) for question in QUESTIONS))
        assert list(again) == [quiet[question, OTHER] for question in QUESTIONS]
        # The version that the new engine was not started with comes back as well.
        await asyncio.to_thread(roll_back, gateway)
        assert await visit(gateway, session, QUESTIONS[0]) == quiet[QUESTIONS[0], SHIPPED]
