from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Connection, text
from sqlalchemy.engine import make_url

from service.bindings import unbound
from service.conversation import feedback, inbox
from service.conversation import store as conversations
from service.errors import StorageError, StorageUnavailable
from service.keeping.copying import Held, copy_database, database_url, look, opened, together
from service.storage import tables as t
from service.storage.database import Database, storable
from tests.unit.service.storage.support import BRAND, answered, message, reply, rows

ODD = ["é 🙂 \u202eשלום", 'quote " back \\ slash', "line\nbreak\ttab", "\x7f\x01", ""]


async def filled(db: Database) -> None:
    """A row at least in most tables, with values that travel badly."""
    for number, words in enumerate(ODD):
        await inbox.accept(db, BRAND, message(f"odd{number}", words, key=f"k{number % 2}"))
    for one in await rows(db, t.conversations):
        turn = await inbox.next_turn(db, one.id)
        assert turn
        evidence = {"numbers": [1.5, 1e300, -0.0, None, True], "words": ODD, "deep": {"a": {"b": []}}}
        await conversations.finish(db, turn.id, reply(ODD[0], evidence=evidence), outbox=None, handoff="asked")
    await feedback.set_feedback(db, turn.id, "down", conversation_id=turn.conversation_id)
    await answered(db)
    await inbox.accept(db, BRAND, message("waits", key="k9"))
    await unbound.keep(db, channel="slack", app="main", account="T", reason="bound to no brand", payload=b'{"a": 1}')
    row = {"digest": "0" * 64, "until": datetime.now(UTC)}
    await db.write(lambda connection: connection.execute(t.tombstones.insert(), row))


async def held(url: URL) -> dict[str, Held]:
    async with opened(url) as side:
        return await together(lambda: look(side.connection), side)


@pytest.fixture
async def source(db: Database, url: str) -> URL:
    await filled(db)
    await db.close()
    return make_url(url)


@pytest.fixture
def file(tmp_path: Path) -> URL:
    return make_url(f"sqlite:///{tmp_path}/other.db")


async def test_there_and_back_gives_the_same_rows(source: URL, file: URL) -> None:
    before = await held(source)
    assert sum(one.rows for one in before.values()) >= 20
    seen: list[tuple[int, int]] = []
    assert await copy_database(source, file, progress=lambda *now: seen.append(now)) == before
    assert seen[-1][0] == seen[-1][1] == sum(one.rows for one in before.values())
    assert await copy_database(file, source, replace=True) == before
    assert await held(source) == before
    db = await Database.open(source.render_as_string(hide_password=False))
    found = {row.text for row in await rows(db, t.inbox)}
    assert set(ODD) - {""} <= found
    # The next id comes after all that were copied.
    await inbox.accept(db, BRAND, message("next"))
    newest = [row.id for row in await rows(db, t.inbox)]
    assert newest == sorted(set(newest))
    await db.close()


async def test_a_target_that_holds_rows_is_refused_and_stays_as_it_was(source: URL, file: URL) -> None:
    await copy_database(source, file)
    before = await held(file)
    with pytest.raises(StorageError, match="holds rows already, in conversations"):
        await copy_database(source, file)
    assert await held(file) == before


async def test_a_database_that_a_gateway_has_open_is_refused(source: URL, file: URL) -> None:
    gateway = await Database.open(source.render_as_string(hide_password=False))
    await gateway.ping()
    with pytest.raises(StorageError, match="open"):
        await copy_database(source, file)
    with pytest.raises(StorageError, match="open"):
        await copy_database(file, source, replace=True)
    await inbox.accept(gateway, BRAND, message("goes on"))
    await gateway.close()
    await copy_database(source, file, replace=True)


async def test_another_process_is_seen_too(source: URL, file: URL) -> None:
    if source.get_backend_name() != "sqlite":
        pytest.skip("about SQLite")
    code = (
        "import asyncio, sys\nfrom service.storage.database import Database\n"
        "async def main():\n"
        f"    db = await Database.open({source.render_as_string()!r})\n"
        "    await db.ping()\n    print('open', flush=True)\n    sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"open\n"
    try:
        with pytest.raises(StorageError, match="open in another process"):
            await copy_database(source, file)
    finally:
        other.kill()
        await other.wait()
    await copy_database(source, file)


async def test_an_error_in_the_middle_leaves_nothing(source: URL, file: URL) -> None:
    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise RuntimeError("pulled")

    with pytest.raises(RuntimeError, match="pulled"):
        await copy_database(source, file, progress=stop)
    assert sum(one.rows for one in (await held(file)).values()) == 0
    assert await copy_database(source, file) == await held(source)


async def test_a_row_that_is_lost_on_the_way_is_seen(source: URL, file: URL) -> None:
    """A trigger of the target's stands for whatever may go wrong there."""
    db = await Database.open(file.render_as_string())
    trigger = "CREATE TRIGGER forget AFTER INSERT ON feedback BEGIN DELETE FROM feedback; END"
    await db.write(lambda connection: connection.execute(text(trigger)))
    await db.close()
    with pytest.raises(StorageError, match="feedback is not what was sent"):
        await copy_database(source, file)
    assert sum(one.rows for one in (await held(file)).values()) == 0


async def test_what_the_target_cannot_hold_is_told_by_its_words(url: str, db: Database, file: URL) -> None:
    if url.startswith("sqlite"):
        pytest.skip("about PostgreSQL, which holds texts to their length")
    small = await Database.open(file.render_as_string())
    await inbox.accept(small, BRAND, message("m", key="k" * 400))
    await small.close()
    await db.close()
    with pytest.raises(StorageError, match=r"refused a row.*too long"):
        await copy_database(file, make_url(url))
    assert sum(one.rows for one in (await held(make_url(url))).values()) == 0


def test_urls_as_people_write_them() -> None:
    assert database_url("postgresql://me@host/x").drivername == "postgresql+asyncpg"
    assert database_url("sqlite:///x.db").drivername == "sqlite"
    with pytest.raises(StorageError, match="mysql is not supported"):
        database_url("mysql://host/x")
    with pytest.raises(StorageError, match="no database URL"):
        database_url("nonsense")


async def test_a_server_that_is_away_is_told(file: URL) -> None:
    with pytest.raises(StorageUnavailable):
        await copy_database(file, database_url("postgresql://me@127.0.0.1:9/x"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(max_size=30), min_size=1, max_size=6), data=st.data())
async def test_any_text_and_any_json_travels(words: list[str], data: st.DataObject, tmp_path: Path) -> None:
    import tempfile

    values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        one, two, three = (make_url(f"sqlite:///{folder}/{name}.db") for name in "abc")
        db = await Database.open(one.render_as_string())
        for number, word in enumerate(words):
            accepted = await inbox.accept(db, BRAND, message(f"m{number}", word, key=f"k{number}"))
            turn = await inbox.next_turn(db, accepted.conversation_id)
            assert turn
            evidence = data.draw(st.dictionaries(st.text(max_size=5), values, max_size=3))
            await conversations.finish(db, turn.id, reply(storable(word), evidence=evidence), outbox=None, handoff=None)
        stored = await rows(db, t.turns)
        await db.close()
        await copy_database(one, two)
        assert await copy_database(two, three) == await held(one)
        back = await Database.open(three.render_as_string())
        assert await rows(back, t.turns) == stored
        await back.close()


async def test_null_and_json_null_stay_apart(db: Database, url: str, file: URL) -> None:
    """A turn that runs has no evidence; one that failed has none either, and neither may become the word null."""
    accepted = await inbox.accept(db, BRAND, message("m"))
    await inbox.next_turn(db, accepted.conversation_id)

    def kinds(connection: Connection) -> list[bool]:
        return [bool(one) for one in connection.execute(text("SELECT evidence IS NULL FROM turns")).scalars()]

    before = await db.read(kinds)
    await db.close()
    await copy_database(make_url(url), file)
    other = await Database.open(file.render_as_string())
    assert await other.read(kinds) == before
    await other.close()
