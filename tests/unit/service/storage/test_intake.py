"""Jobs that take files into the knowledge, beside two gateways on one database and one state folder."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert

from configs.home import Home
from configs.load import load_config
from retrieval.knowledge import store
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.testing import HashEncoder, write_pages
from service.errors import NotPossible
from service.intake import rows
from service.intake.desk import Intakes
from service.intake.terms import Job
from service.intake.uploads import Brought, clean
from service.intake.work import Run, Stopped
from service.storage.database import Database, now
from service.storage.leases import Unshared
from service.storage.tables import gateways
from tests.patience import PATIENCE_S

BRAND = "velmora"
GIFTS = b"# Gift wrapping\n\nGift wrapping costs four dollars."


class Two:
    """Two gateways."""

    def __init__(self, db: Database, home: Home) -> None:
        self.db = db
        self.home = home
        brands = load_config(Path("configs"), {}).brands
        encoder = HashEncoder()
        self.knowledge = [KnowledgeBase.open(home.knowledge, BRAND, encoder) for _ in range(2)]
        self.desks = [
            Intakes(db, home, brands, encoder, {BRAND: knowledge}, Unshared(name))
            for name, knowledge in zip("ab", self.knowledge, strict=True)
        ]


@pytest.fixture
async def two(db: Database, tmp_path: Path) -> AsyncIterator[Two]:
    home = Home(tmp_path)
    store.add(home.knowledge, BRAND, write_pages(tmp_path / "sources"), HashEncoder())
    living = [{"id": name, "started_at": now(), "beat": 0} for name in "ab"]
    await db.write(lambda connection: connection.execute(insert(gateways), living))
    one = Two(db, home)
    yield one
    for desk in one.desks:
        await desk.close()


def slow(run: Run, *_: object) -> Any:
    """Reads until it is stopped."""
    run.reading("slow.pdf")
    assert run.stop.wait(PATIENCE_S)
    raise Stopped


async def seen(desk: Intakes, job: str, wanted: Callable[[Job], bool]) -> Job:
    """A job, once it is as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if wanted(found := await desk.read(job)):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def test_another_gateway_shows_a_job_stops_it_and_searches_what_came_of_one(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two.desks
    with monkeypatch.context() as patch:
        patch.setattr("service.intake.desk.take_in", slow)
        job = await first.upload(BRAND, [Brought("slow.pdf", io.BytesIO(b"%PDF-"))], by="Cleo")
        await seen(second, job.id, lambda one: one.step == "reading" and one.at == "slow.pdf")
        await second.look()
        assert (await second.stop(job.id)).stopping
        await seen(second, job.id, lambda one: one.state == "stopped")
    job = await first.upload(BRAND, [Brought("gifts.md", io.BytesIO(GIFTS))], by="Cleo")
    done = await seen(second, job.id, lambda one: one.state == "done")
    assert [(one.name, one.outcome) for one in done.results] == [("gifts.md", "added")]
    assert two.knowledge[0].version == done.version
    assert two.knowledge[1].refresh(), "the other one follows the pointer"
    assert two.knowledge[1].search("gift wrapping").passages[0].document == "gifts.md"


async def test_a_job_of_a_gateway_that_died_is_interrupted_and_its_files_go(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two.desks
    monkeypatch.setattr("service.intake.desk.take_in", slow)
    job = await first.upload(BRAND, [Brought("slow.pdf", io.BytesIO(b"%PDF-"))], by="Cleo")
    await second.look()
    assert (await second.read(job.id)).state == "running", "whoever lives goes on"
    await two.db.write(lambda connection: connection.execute(delete(gateways).where(gateways.c.id == "a")))
    await second.look()
    assert (await second.read(job.id)).state == "interrupted"
    assert not (two.home.uploads / job.id).exists()


async def test_a_gateway_that_ends_in_order_stops_its_jobs(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two.desks
    monkeypatch.setattr("service.intake.desk.take_in", slow)
    job = await first.upload(BRAND, [Brought("slow.pdf", io.BytesIO(b"%PDF-"))], by="Cleo")
    await seen(second, job.id, lambda one: one.step == "reading")
    await first.close()
    assert (await second.read(job.id)).state == "interrupted"


async def test_so_many_jobs_of_a_brand_and_no_more(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.intake.desk.take_in", slow)
    for _ in range(rows.AT_ONCE):
        await two.desks[0].crawl(BRAND, "https://shop.example/", by="Cleo")
    with pytest.raises(NotPossible, match="Wait until one is done"):
        await two.desks[1].upload(BRAND, [Brought("gifts.md", io.BytesIO(GIFTS))], by="Ben")
    assert len(list(two.home.uploads.glob("*"))) == 0, "nothing of it is left"


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("returns.md", "returns.md"),
        ("C:\\texts\\returns.md", "returns.md"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("a/..", ".."),
        ("line\nbreak\x00 \u202egpj.md", "linebreak gpj.md"),
        ("caf\u0065\u0301.md", "caf\u00e9.md"),
    ],
)
def test_a_document_is_called_by_the_last_part_of_its_name(name: str, document: str) -> None:
    assert clean(name) == document
