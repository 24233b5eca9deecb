from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from configs.brand import Brand, Retention
from service.bindings import unbound
from service.conversation import feedback, inbox
from service.conversation import store as conversations
from service.keeping import retention
from service.people import handoffs
from service.storage import tables as t
from service.storage import tombstones
from service.storage.belonging import belonging, delete_with_all
from service.storage.database import Database, now
from tests.unit.service.storage.support import BRAND, answered, message, rows

LATER = datetime.now(UTC) + timedelta(days=40)
"""When everything that a test stores is older than 30 days."""


def brands(**days: int | None) -> Mapping[str, Brand]:
    """Only what the pass looks at."""
    return {name: Brand.model_construct(name=name, retention=Retention(days=value)) for name, value in days.items()}


async def count(db: Database) -> dict[str, int]:
    """Rows by table, of those that hold any."""

    def look(connection: Connection) -> dict[str, int]:
        found = {
            one.name: connection.execute(select(func.count()).select_from(one)).scalar_one()
            for one in t.metadata.sorted_tables
        }
        return {name: rows for name, rows in found.items() if rows}

    return await db.read(look)


async def sent(db: Database, turn: str, state: str = "sent") -> None:
    change = update(t.outbox).where(t.outbox.c.turn_id == turn).values(state=state)
    await db.write(lambda connection: connection.execute(change))


async def closed_conversation(db: Database, key: str) -> str:
    """A turn with all that can hang on it, and nothing open."""
    turn = await answered(db, key=key, handoff="asked for a person")
    (about,) = [one for one in await rows(db, t.turns) if one.id == turn]
    await feedback.set_feedback(db, turn, "up", conversation_id=about.conversation_id)
    for one in await handoffs.list_handoffs(db, state="open"):
        await handoffs.close_handoff(db, one.id)
    await sent(db, turn)
    return turn


async def test_old_turns_go_with_all_that_hangs_on_them(db: Database) -> None:
    await closed_conversation(db, "one")
    await handoffs.close_handoff(db, await handoffs.open_handoff(db, brand=BRAND, reason="api"))
    await unbound.keep(db, channel="slack", app="main", account="T9", reason="bound to no brand", payload=b"{}")
    dry = await retention.run(db, brands(harbor=30), dry_run=True, at=LATER)
    before = await count(db)
    assert before["turns"] == 1
    done = await retention.run(db, brands(harbor=30), at=LATER)
    assert await count(db) == {}
    gone = {"turns": 1, "inbox": 1, "outbox": 1, "feedback": 1, "handoffs": 2}
    assert dry.rows == {BRAND: gone, "": {"unbound_events": 1}}
    assert done.rows == {BRAND: gone | {"conversations": 1}, "": {"unbound_events": 1}}


async def test_nothing_goes_before_its_time_or_without_a_limit(db: Database) -> None:
    await closed_conversation(db, "one")
    before = await count(db)
    await retention.run(db, brands(harbor=60), at=LATER)
    await retention.run(db, brands(harbor=None), at=LATER)
    await retention.run(db, brands(other=1), at=LATER)
    assert await count(db) == before


async def _unanswered(db: Database) -> None:
    await inbox.accept(db, BRAND, message("waits", key="open"))


async def _running(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("runs", key="open"))
    await inbox.next_turn(db, accepted.conversation_id)


async def _undelivered(db: Database) -> None:
    await answered(db, key="open")


async def _being_sent(db: Database) -> None:
    await sent(db, await answered(db, key="open"), "sending")


async def _handed_over(db: Database) -> None:
    await sent(db, await answered(db, key="open", handoff="asked for a person"))
    await sent(db, await answered(db, key="open"))


@pytest.mark.parametrize("opened", [_unanswered, _running, _undelivered, _being_sent, _handed_over])
async def test_what_is_open_stays_and_goes_once_it_is_closed(db: Database, opened: Any) -> None:
    await opened(db)
    before = await count(db)
    await closed_conversation(db, "closed") if opened is not _handed_over else None
    done = await retention.run(db, brands(harbor=30), at=LATER)
    assert await count(db) == before | ({} if opened is _handed_over else await tombs(db))
    assert done.still_open.get(BRAND, 0) == before.get("turns", 0)
    for one in await handoffs.list_handoffs(db, state="open"):
        await handoffs.close_handoff(db, one.id)
    for turn in await rows(db, t.turns):
        await conversations.fail(db, turn.id, "x", "x")
        await sent(db, turn.id)
    for row in await rows(db, t.inbox):
        if row.turn_id is None:
            turn = await inbox.next_turn(db, row.conversation_id)
            assert turn
            await conversations.fail(db, turn.id, "x", "x")
    await retention.run(db, brands(harbor=30), at=LATER)
    assert set(await count(db)) <= {"tombstones"}


async def tombs(db: Database) -> dict[str, int]:
    found = await count(db)
    return {"tombstones": found["tombstones"]} if "tombstones" in found else {}


async def test_a_given_up_reply_is_not_open(db: Database) -> None:
    await sent(db, await answered(db), "failed")
    await sent(db, await answered(db), "unknown")
    await retention.run(db, brands(harbor=30), at=LATER)
    assert await count(db) == {}


async def test_a_conversation_that_goes_on_keeps_its_young_turns_and_its_numbers(db: Database) -> None:
    old, young = await answered(db), await answered(db)
    for turn in (old, young):
        await sent(db, turn)
    long_ago = update(t.turns).where(t.turns.c.id == old).values(created_at=now() - timedelta(days=31))
    await db.write(lambda connection: connection.execute(long_ago))
    await retention.run(db, brands(harbor=30))
    (left,) = await rows(db, t.turns)
    assert (left.id, left.number) == (young, 2)
    await answered(db)
    assert [row.number for row in await rows(db, t.turns) if row.id != young] == [3]


async def test_each_brand_has_its_own_limit(db: Database) -> None:
    await closed_conversation(db, "one")
    accepted = await inbox.accept(db, "keeps", message("m", account="T2"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn
    await conversations.fail(db, turn.id, "x", "x")
    await retention.run(db, brands(harbor=30, keeps=None), at=LATER)
    assert [row.brand for row in await rows(db, t.conversations)] == ["keeps"]


async def test_a_message_that_went_is_not_answered_again_when_its_platform_repeats_it(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn
    await conversations.fail(db, turn.id, "x", "x")
    soon = now() + timedelta(days=2)
    await retention.run(db, brands(harbor=1), at=soon)
    assert (await count(db)) == {"tombstones": 1}
    assert await inbox.accept(db, BRAND, message("m1")) == inbox.Accepted(inbox.NOWHERE, duplicate=True, here=False)
    assert (await count(db)) == {"tombstones": 1}
    assert not (await inbox.accept(db, BRAND, message("m2"))).duplicate
    await retention.run(db, brands(harbor=1000), at=now() + tombstones.KEPT + timedelta(seconds=5))
    assert "tombstones" not in await count(db)


async def test_many_turns_go_in_small_steps(db: Database) -> None:
    for number in range(3 * retention.STEP + 1):
        await sent(db, await answered(db, key=f"k{number % 7}"))
    done = await retention.run(db, brands(harbor=30), at=LATER)
    assert done.rows[BRAND]["turns"] == 3 * retention.STEP + 1
    assert await count(db) == {}


def test_every_table_of_a_conversation_is_covered_by_its_foreign_keys() -> None:
    """A table that names a conversation or a turn must say so by a foreign key, or deleting leaves it behind."""
    reached = set(belonging(t.conversations, ["c"])) | set(belonging(t.turns, ["t"]))
    for table in t.metadata.sorted_tables:
        keys = {key.parent.name for key in table.foreign_keys}
        for column in table.columns:
            named = column.name.removesuffix("_id") in ("conversation", "turn", "handoff", "inbox", "outbox", "message")
            if named and table.name not in ("conversations", "turns") and column.name != "message_id":
                assert column.name in keys, f"{table.name}.{column.name} has no foreign key"
                assert table in reached, table.name


def test_every_way_to_what_is_deleted_has_an_index() -> None:
    """Without one, each deleted turn would look through the whole table below it."""
    for table in t.metadata.sorted_tables:
        first = {next(iter(index.columns)).name for index in table.indexes}
        first |= {
            next(iter(one.columns)).name
            for one in table.constraints
            if hasattr(one, "columns") and type(one).__name__ in ("UniqueConstraint", "PrimaryKeyConstraint")
        }
        for key in table.foreign_keys:
            assert key.parent.name in first, f"{table.name}.{key.parent.name} begins no index"


async def test_deleting_reaches_what_hangs_on_what_hangs(db: Database) -> None:
    await closed_conversation(db, "one")
    kept = await closed_conversation(db, "two")
    (gone,) = [row.id for row in await rows(db, t.conversations) if row.external_key == "one"]
    counts = await db.write(lambda connection: delete_with_all(connection, t.conversations, [gone]))
    assert counts == {"conversations": 1, "turns": 1, "inbox": 1, "outbox": 1, "feedback": 1, "handoffs": 1}
    assert [row.id for row in await rows(db, t.turns)] == [kept]
