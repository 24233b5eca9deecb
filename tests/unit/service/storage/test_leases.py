"""Whoever was taken for dead can neither finish a turn nor send, and nothing falls between two gateways."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, text

from benchmarks.postgres import binaries, emptied, server
from channels.base import Request
from service.conversation import inbox
from service.conversation import store as conversations
from service.delivery import outbox
from service.delivery.receipts import UNKNOWN
from service.errors import LeaseLost
from service.gateways import BEAT_S, Watch
from service.storage import leases
from service.storage.database import Database, now
from service.storage.leases import Unshared
from service.storage.tables import conversations as conversations_table
from service.storage.tables import gateways, turns
from service.storage.tables import outbox as outbox_table
from tests.unit.service.storage.support import BRAND, CHANNELS, Platform, answered, item, message, reply, rows

A, B = "gateway-a", "gateway-b"


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    if binaries() is None:
        pytest.skip("PostgreSQL's server programs (initdb) are not on this machine")
    with server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases: what one of them orders by itself, the other does only where it is asked."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/brandvoice.db"
    address: str = request.getfixturevalue("postgres")
    await emptied(address)
    return address


async def enter(db: Database, *names: str) -> None:
    for name in names:
        values = {"id": name, "started_at": now()}
        await db.write(lambda connection, values=values: connection.execute(insert(gateways), values))  # type: ignore[misc]


async def bury(db: Database, name: str) -> None:
    await db.write(lambda connection: connection.execute(delete(gateways).where(gateways.c.id == name)))


async def begun(db: Database, me: str, message_id: str = "m1") -> inbox.PendingTurn:
    accepted = await inbox.accept(db, BRAND, message(message_id), me=me)
    turn = await inbox.next_turn(db, accepted.conversation_id, me=me)
    assert turn is not None
    return turn


async def holding(db: Database) -> tuple[str | None, int]:
    (row,) = await rows(db, conversations_table)
    return row.gateway, row.fence


async def test_who_accepts_first_has_the_conversation_until_all_is_answered(db: Database) -> None:
    await enter(db, A, B)
    first = await inbox.accept(db, BRAND, message("m1"), me=A)
    second = await inbox.accept(db, BRAND, message("m2"), me=B)
    repeat = await inbox.accept(db, BRAND, message("m1"), me=B)
    assert (first.here, second.here, repeat.here) == (True, False, False)
    assert await inbox.next_turn(db, first.conversation_id, me=B) is None
    turn = await inbox.next_turn(db, first.conversation_id, me=A)
    assert turn is not None
    assert (turn.client_ids, turn.lease) == (("m1", "m2"), leases.Lease(first.conversation_id, A, 1))
    await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None, lease=turn.lease)
    assert await holding(db) == (None, 1)
    assert (await inbox.accept(db, BRAND, message("m3"), me=B)).here
    assert await holding(db) == (B, 2)


async def test_what_came_amid_a_turn_keeps_the_conversation_where_it_is(db: Database) -> None:
    await enter(db, A, B)
    turn = await begun(db, A)
    assert not (await inbox.accept(db, BRAND, message("m2"), me=B)).here
    await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None, lease=turn.lease)
    assert await holding(db) == (A, 1)
    following = await inbox.next_turn(db, turn.conversation_id, me=A)
    assert following is not None
    await conversations.fail(db, following.id, "timeout", "Sorry.", lease=following.lease)
    assert await holding(db) == (None, 1)


async def test_the_conversation_of_a_dead_gateway_is_taken_up_and_its_late_reply_refused(db: Database) -> None:
    await enter(db, A, B)
    turn = await begun(db, A)
    assert await leases.orphans(db) == []
    await bury(db, A)
    assert await leases.orphans(db) == [turn.conversation_id] == await inbox.unfinished(db)
    again = await inbox.next_turn(db, turn.conversation_id, me=B)
    assert again is not None
    assert (again.id, again.taken_up, again.lease) == (turn.id, True, leases.Lease(turn.conversation_id, B, 2))
    for late in (
        conversations.finish(db, turn.id, reply("late"), outbox=item("late"), handoff="a person", lease=turn.lease),
        conversations.fail(db, turn.id, "timeout", "late", outbox=item("late"), lease=turn.lease),
    ):
        with pytest.raises(LeaseLost):
            await late
    assert await rows(db, outbox_table) == []
    await conversations.finish(db, again.id, reply("right"), outbox=item("right"), handoff=None, lease=again.lease)
    assert [row.text for row in await rows(db, turns)] == ["right"]
    assert [row.text for row in await rows(db, outbox_table)] == ["right"]


async def test_a_lease_of_the_same_gateway_from_before_holds_no_more(db: Database) -> None:
    await enter(db, A)
    turn = await begun(db, A)
    await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None, lease=turn.lease)
    newer = await begun(db, A, "m2")
    with pytest.raises(LeaseLost):
        await conversations.finish(db, newer.id, reply("late"), outbox=None, handoff=None, lease=turn.lease)


async def test_only_dead_gateways_orphan_conversations_and_replies(db: Database) -> None:
    await enter(db, A, B)
    await begun(db, A)
    await bury(db, A)
    await answered(db, key="thread-2", text="one\ntwo")
    assert len(await leases.orphans(db)) == 1

    async def never(_: Request) -> tuple[int, dict[str, str], bytes]:
        on_its_way.set()
        return await asyncio.Future()

    on_its_way = asyncio.Event()
    sending = asyncio.create_task(outbox.deliver_due(db, CHANNELS, never, member=Unshared(B)))
    await asyncio.wait_for(on_its_way.wait(), 5)
    assert await outbox.recover(db) == 0, "who lives is sending"
    await bury(db, B)
    assert await outbox.recover(db) == 1
    sending.cancel()
    # An orderly stop waits for the call; this one never comes back.
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_what_a_dead_gateway_sent_is_not_its_to_tell(db: Database) -> None:
    await enter(db, A, B)
    await answered(db, text="one\ntwo")
    taken: list[str] = []

    async def slowly(request: Request) -> tuple[int, dict[str, str], bytes]:
        taken.append(str(request.fields["text"]))
        if taken == ["one"]:
            # While this call is on its way its gateway is stopped, taken for dead, and followed by another.
            await bury(db, A)
            assert await outbox.recover(db) == 1
            assert (await outbox.deliver_due(db, CHANNELS, slowly, member=Unshared(B)))["unknown"] == 1
        return 200, {}, b"id"

    totals = await outbox.deliver_due(db, CHANNELS, slowly, member=Unshared(A))
    assert sum(totals.values()) == 0
    assert taken == ["one", "two"], "each part went out once, though two gateways sent"
    (row,) = await rows(db, outbox_table)
    assert (row.state, row.gateway, row.provider_ids) == ("unknown", B, [UNKNOWN, "id"])


async def test_who_was_taken_for_dead_or_is_not_sure_sends_nothing(db: Database) -> None:
    class Unsure(Unshared):
        def sure(self) -> bool:
            return False

    await enter(db, B)
    await answered(db)
    platform = Platform()
    for member in (Unshared(A), Unsure(B)):
        assert sum((await outbox.deliver_due(db, CHANNELS, platform.send, member=member)).values()) == 0
    assert platform.taken == []
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, member=Unshared(B)))["sent"] == 1


async def test_a_reply_that_was_put_off_is_not_sent_before_its_time_by_another(db: Database) -> None:
    await enter(db, A, B)
    await answered(db)
    (stale,) = await outbox._due(db, now())
    platform = Platform(script=[429], retry_after="77")
    assert (await outbox.deliver_due(db, CHANNELS, platform.send, member=Unshared(A)))["put_off"] == 1
    assert await outbox._claim(db, stale, B, now()) is None


async def test_gateways_that_deliver_side_by_side_keep_the_order(db: Database) -> None:
    chance = random.Random(3)  # noqa: S311
    names = [f"gateway-{at}" for at in range(4)]
    await enter(db, *names)
    for number in range(4):
        for key in ("a", "b", "c"):
            await answered(db, key=key, text=f"{key}{number}.1\n{key}{number}.2")
    taken: list[str] = []

    async def send(request: Request) -> tuple[int, dict[str, str], bytes]:
        await asyncio.sleep(chance.uniform(0, 0.01))
        taken.append(str(request.fields["text"]))
        return 200, {}, b"id"

    async def deliver(name: str) -> None:
        for _ in range(60):
            await outbox.deliver_due(db, CHANNELS, send, member=Unshared(name))
            await asyncio.sleep(0.005)

    await asyncio.gather(*(deliver(name) for name in names))
    for key in ("a", "b", "c"):
        assert [text for text in taken if text[0] == key] == [f"{key}{n}.{part}" for n in range(4) for part in (1, 2)]


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_falls_between_a_last_look_and_letting_go(db: Database, url: str, seed: int) -> None:
    """Two gateways accept and answer one conversation as fast as they can; none is told of the other's news."""
    chance = random.Random(seed)  # noqa: S311
    other = await Database.open(url)
    await enter(db, A, B)
    told: list[str] = []

    async def gateway(mine: Database, me: str) -> None:
        for number in range(12):
            accepted = await inbox.accept(mine, BRAND, message(f"{me}-{number}"), me=me)
            if not accepted.here:
                told.append(me)
            while accepted.here and (turn := await inbox.next_turn(mine, accepted.conversation_id, me=me)):
                await asyncio.sleep(chance.uniform(0, 0.004))
                await conversations.finish(mine, turn.id, reply(), outbox=None, handoff=None, lease=turn.lease)

    await asyncio.gather(gateway(db, A), gateway(other, B))
    assert await inbox.count_waiting(db) == 0, "whoever let go had seen that nothing waits"
    assert (await holding(db))[0] is None
    await other.close()


async def test_a_turn_that_ends_waits_for_the_message_that_is_being_accepted(db: Database, url: str) -> None:
    other = await Database.open(url)
    await enter(db, A, B)
    turn = await begun(db, A)
    stored = asyncio.Event()

    def slowly(connection: Connection) -> inbox.Accepted:
        accepted = inbox._store(connection, BRAND, message("m2"), B)
        stored.set()
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_sleep(0.3)"))
        return accepted

    accepting = asyncio.create_task(other.write(slowly))
    await stored.wait()
    await conversations.finish(db, turn.id, reply(), outbox=None, handoff=None, lease=turn.lease)
    if not (await accepting).here:
        assert await holding(db) == (A, 1), "whoever was told has it still"
        assert await inbox.next_turn(db, turn.conversation_id, me=A) is not None
    await other.close()


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_beat_that_stands_still_for_the_lease_is_silent() -> None:
    clock = Clock()
    watch = Watch(3.0, clock)
    found: list[tuple[float, list[str]]] = []
    for second in range(8):
        clock.at = float(second)
        found.append((clock.at, watch.silent({"lives": second, "dead": min(second, 2)})))
    assert [at for at, silent in found if silent] == [5.0, 6.0, 7.0]
    assert found[5][1] == ["dead"]


def test_beats_come_often_enough_for_any_lease() -> None:
    for lease_s in (2.0, 10.0, 60.0):
        clock, beat_s = Clock(), min(BEAT_S, lease_s / 5)
        watch = Watch(lease_s, clock)
        while not watch.silent({"dead": 1}):
            # As late as a busy machine makes them.
            clock.at += 2 * beat_s
        assert lease_s <= clock.at <= lease_s + 4 * beat_s


def test_a_watcher_who_looked_away_knows_nothing() -> None:
    clock = Clock()
    watch = Watch(3.0, clock)
    assert watch.silent({"other": 7}) == []
    clock.at = 60.0
    assert watch.silent({"other": 7}) == [], "the database may have been away for all of us"
    for second in range(61, 64):
        clock.at = float(second)
        silent = watch.silent({"other": 7})
    assert silent == ["other"]
