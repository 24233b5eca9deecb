"""Files of the widget's visitors: told by content, kept by digest, given to nobody else, gone when they must be."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from sqlalchemy import make_url, update

from configs.brand import Files
from configs.home import Home
from configs.load import Config
from service.bootstrap import Gateway
from service.conversation.files import kind_of
from service.keeping import attachments, retention
from service.keeping.erasure import erase
from service.storage.database import now
from service.storage.tables import files, turns
from tests.unit.service import standing
from tests.unit.service.fake_engines import FakeEngine, running
from tests.unit.service.standing import QUESTION, furnish, visiting
from tests.unit.service.storage.support import rows

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
RULES = Files(max_mb=0.01, max_count=2)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0" + bytes(9), "jpeg"),
        (b"GIF89a" + bytes(9), "gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "webp"),
        (b"%PDF-1.7\n", "pdf"),
        ("Grüße\n\tund mehr".encode(), "text"),
        (b"", None),
        (b"MZ\x90\x00", None),
        (b"PK\x03\x04\x14\x00", None),
        (b"words \x00 and more", None),
        (b"\xff\xfe words", None),
    ],
)
def test_a_file_is_what_is_in_it(content: bytes, kind: str | None) -> None:
    assert kind_of(content) == kind


@pytest.fixture
def takes_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A brand that takes small files, from one site besides our own; what is put in here changes its hand-over."""
    furnish(monkeypatch)
    plain, handover = standing.configured, dict[str, object]()

    def configured(*words: object, **more: object) -> Config:
        config = plain(*words, **more)  # type: ignore[arg-type]
        brand = config.brands["velmora"]
        widget = brand.widget.model_copy(update={"files": RULES, "origins": ("https://shop.example",)})
        changed = {"widget": widget, "handover": brand.handover.model_copy(update=handover)}
        return replace(config, brands={**config.brands, "velmora": brand.model_copy(update=changed)})

    monkeypatch.setattr(standing, "configured", configured)
    return handover


@asynccontextmanager
async def house(tmp_path: Path) -> AsyncIterator[tuple[str, Gateway, aiohttp.ClientSession]]:
    engine = FakeEngine()
    async with running(engine), standing.standing(tmp_path, engine.url) as (url, gateway):
        async with aiohttp.ClientSession() as session:
            yield url, gateway, session


async def bring(
    session: aiohttp.ClientSession, url: str, ticket: str, content: bytes = PNG, name: str = "a.png", **headers: str
) -> tuple[int, Any, Mapping[str, str]]:
    path = f"{url}/v1/widget/files?ticket={quote(ticket)}&name={quote(name)}"
    async with session.post(path, data=content, headers=headers) as answer:
        return answer.status, await answer.json(), answer.headers


async def status(session: aiohttp.ClientSession, address: str) -> int:
    async with session.get(address) as answer:
        return answer.status


@pytest.mark.usefixtures("takes_files")
async def test_a_visitor_sends_a_file_and_only_they_and_people_get_it(tmp_path: Path) -> None:
    async with house(tmp_path) as (url, gateway, session), visiting(url) as visitor, visiting(url) as stranger:
        offer = visitor.welcome["files"]
        assert (offer["max_bytes"], offer["max_count"]) == (10_000, 2)
        assert "image/png" in offer["types"]
        code, kept, _ = await bring(session, url, offer["ticket"], name="../../<b>My parcel</b>.exe")
        assert (code, kept["kind"], kept["size"]) == (201, "png", len(PNG))
        assert "/" not in kept["name"]
        assert "<" not in kept["name"]
        frame = {"type": "message", "client_id": "client-0001", "text": "", "files": [kept["id"]]}
        await visitor.socket.send_json(frame)
        reply = await visitor.until("reply")
        assert "text only" in reply["text"], "the bot says that it cannot read it"
        async with visiting(url, visitor.welcome) as again:
            (turn,) = again.welcome["turns"]
            assert turn["files"] == [kept]

        mine = f"{url}/v1/widget/files/{kept['id']}?ticket="
        async with session.get(mine + quote(offer["ticket"])) as answer:
            assert await answer.read() == PNG
            assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-type"] == "image/png"
            assert "sandbox" in answer.headers["content-security-policy"]
        assert await status(session, mine + quote(stranger.welcome["files"]["ticket"])) == 404
        assert await status(session, mine + quote(visitor.welcome["visitor"])) == 401
        assert await status(session, mine + "x") == 401

        conversation = visitor.welcome["conversation"]
        async with session.get(f"{url}/v1/conversations/{conversation}") as answer:
            assert (await answer.json())["messages"][0]["files"] == [kept]
        theirs = f"{url}/v1/conversations/{{}}/files/{kept['id']}"
        async with session.get(theirs.format(conversation)) as answer:
            assert await answer.read() == PNG
        assert await status(session, theirs.format(stranger.welcome["conversation"])) == 404
        gateway.keys._keys = (b"k" * 16,)
        assert await status(session, theirs.format(conversation)) == 401


@pytest.mark.usefixtures("takes_files")
async def test_what_the_brand_does_not_take_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with house(tmp_path) as (url, gateway, session), visiting(url) as visitor:
        ticket = visitor.welcome["files"]["ticket"]
        for content, code in ((b"MZ\x90\x00", "bad_file"), (b"GIF89a" + bytes(9), "bad_file"), (b"", "bad_file")):
            status_, body, _ = await bring(session, url, ticket, content, "fine.png")
            assert (status_, body["error"]["code"]) == (400, code)
        status_, body, _ = await bring(session, url, ticket, PNG + bytes(10_000))
        assert (status_, body["error"]["code"]) == (400, "too_large")
        assert not list(gateway.home.files.rglob("*.*"))
        for number in range(4):
            assert (await bring(session, url, ticket, PNG + bytes([number])))[0] == 201
        status_, body, _ = await bring(session, url, ticket)
        assert (status_, body["error"]["code"]) == (400, "too_many_files")
        ids = [row.id for row in await rows(gateway.db, files)]
        frame = {"type": "message", "client_id": "client-0001", "text": "x", "files": ids[:3]}
        await visitor.socket.send_json(frame)
        assert (await visitor.until("error"))["code"] == "too_many_files"


@pytest.mark.usefixtures("takes_files")
@pytest.mark.parametrize(
    ("origin", "taken"),
    [(None, True), ("https://shop.example", True), ("https://evil.example", False), ("null", False)],
)
async def test_files_are_taken_from_listed_origins_only(tmp_path: Path, origin: str | None, taken: bool) -> None:
    async with house(tmp_path) as (url, _, session), visiting(url) as visitor:
        ticket = visitor.welcome["files"]["ticket"]
        headers = {"Origin": origin} if origin else {}
        code, _, got = await bring(session, url, ticket, **headers)
        assert code == (201 if taken else 401)
        assert got.get("access-control-allow-origin") == (origin if taken else None)
        async with session.options(f"{url}/v1/widget/files?ticket={quote(ticket)}", headers=headers) as answer:
            assert answer.status == (204 if taken else 401)


async def test_a_message_takes_only_files_of_its_own_conversation_along(
    tmp_path: Path, takes_files: dict[str, object]
) -> None:
    takes_files["files"] = True
    async with house(tmp_path) as (url, gateway, session), visiting(url) as visitor, visiting(url) as stranger:
        _, theirs, _ = await bring(session, url, stranger.welcome["files"]["ticket"])
        frame = {"type": "message", "client_id": "client-0001", "text": QUESTION, "files": [theirs["id"]]}
        await visitor.socket.send_json(frame)
        assert (await visitor.until("reply"))["outcome"] == "answered"
        (row,) = await rows(gateway.db, files)
        assert row.inbox_id is None
        _, mine, _ = await bring(session, url, visitor.welcome["files"]["ticket"])
        frame |= {"client_id": "client-0002", "files": [mine["id"]]}
        await visitor.socket.send_json(frame)
        reply = await visitor.until("reply")
        assert reply["outcome"] == "handed_off", "the brand's rule: a file goes to a person"


async def test_files_are_off_where_the_brand_does_not_take_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(monkeypatch)
    async with house(tmp_path) as (url, gateway, session), visiting(url) as visitor:
        assert "files" not in visitor.welcome
        ticket = gateway.visitors.ticket("velmora", visitor.welcome["conversation"])
        assert (await bring(session, url, ticket))[0] == 401
        frame = {"type": "message", "client_id": "client-0001", "text": "x", "files": ["f"]}
        await visitor.socket.send_json(frame)
        assert (await visitor.until("error"))["code"] == "too_many_files"


async def sent(url: str, session: aiohttp.ClientSession, content: bytes, client_id: str) -> dict[str, Any]:
    """A visitor sends a file; returns their welcome."""
    async with visiting(url) as visitor:
        _, kept, _ = await bring(session, url, visitor.welcome["files"]["ticket"], content)
        await visitor.socket.send_json(
            {"type": "message", "client_id": client_id, "text": "Look", "files": [kept["id"]]}
        )
        await visitor.until("reply")
        return visitor.welcome


@pytest.mark.usefixtures("takes_files")
async def test_a_file_goes_with_the_last_conversation_that_names_it(tmp_path: Path) -> None:
    async with house(tmp_path) as (url, gateway, session):
        one = await sent(url, session, PNG, "client-0001")
        two = await sent(url, session, PNG, "client-0002")
        alone = await sent(url, session, PNG + b"!", "client-0003")
        kept = lambda: len(list(gateway.home.files.glob("*/*")))  # noqa: E731
        assert kept() == 2, "the same content is kept once"
        database = make_url(f"sqlite:///{gateway.home.database}")
        brands, digest = gateway.config.brands, lambda _path: None
        for who, left in ((one, 2), (alone, 1), (two, 0)):
            receipt = await erase(brands, gateway.home, database, who["conversation"], digest=digest)
            assert receipt.rows["files"] == 1
            assert kept() == left


@pytest.mark.usefixtures("takes_files")
async def test_old_files_go_by_retention_and_those_nobody_sent_after_a_day(tmp_path: Path) -> None:
    async with house(tmp_path) as (url, gateway, session):
        await sent(url, session, PNG, "client-0001")
        async with visiting(url) as visitor:
            await bring(session, url, visitor.welcome["files"]["ticket"], PNG + b"!")
        home, db = Home(tmp_path), gateway.db
        old = now() - timedelta(days=3)
        await db.write(lambda c: c.execute(update(files).where(files.c.inbox_id.is_(None)).values(created_at=old)))
        assert await attachments.sweep(db, home) == 0, "too young to be sure that no row is being written"
        for path in home.files.glob("*/*"):
            os.utime(path, (time.time() - 7200,) * 2)
        assert await attachments.sweep(db, home) == 1
        await db.write(lambda c: c.execute(update(turns).values(created_at=old)))
        brand = gateway.config.brands["velmora"]
        keep = brand.retention.model_copy(update={"days": 1})
        await retention.run(db, {"velmora": brand.model_copy(update={"retention": keep})})
        assert await rows(db, files) == []
        assert await attachments.sweep(db, home) == 1
        assert list(home.files.glob("*/*")) == []
