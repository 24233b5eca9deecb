"""A database from before gateways knew of each other: what was cut off then is nobody's, and is taken up."""

from __future__ import annotations

from service.conversation import inbox
from service.delivery import outbox
from service.delivery.receipts import IN_DOUBT
from service.storage.database import Database
from service.storage.leases import Lease
from service.storage.tables import conversations
from service.storage.tables import outbox as outbox_table
from tests.unit.service.storage.support import at_first_version, rows

OLD = (
    "INSERT INTO conversations (id, brand, channel, account, external_key, created_at) "
    "VALUES ('c', 'harbor', 'slack', 'T1', 'thread-1', '2026-11-01 10:00:00')",
    "INSERT INTO turns (id, conversation_id, number, question, state, text, citations, created_at) "
    "VALUES ('t1', 'c', 1, 'Hello?', 'done', 'Hello.', '[]', '2026-11-01 10:00:00')",
    "INSERT INTO turns (id, conversation_id, number, question, state, text, citations, created_at) "
    "VALUES ('t2', 'c', 2, 'Who?', 'running', '', '[]', '2026-11-01 10:00:01')",
    "INSERT INTO inbox (channel, account, message_id, conversation_id, text, reply_to, received_at, turn_id) "
    "VALUES ('slack', 'T1', 'm2', 'c', 'Who?', '{}', '2026-11-01 10:00:01', 't2')",
    "INSERT INTO outbox (id, turn_id, channel, app, account, reply_to, text, sources, state, attempts, next_attempt_at,"
    " provider_ids) VALUES ('o', 't1', 'slack', 'main', 'T1', '{}', 'Hello.', '[]', 'sending', 0, "
    "'2026-11-01 10:00:00', '[]')",
)


async def test_what_was_cut_off_before_is_taken_up_by_the_first_who_comes(url: str) -> None:
    await at_first_version(url, OLD)
    db = await Database.open(url)
    try:
        assert [(row.gateway, row.fence) for row in await rows(db, conversations)] == [(None, 0)]
        assert await inbox.unfinished(db) == ["c"]
        turn = await inbox.next_turn(db, "c", me="gateway-a")
        assert turn is not None
        assert (turn.id, turn.question, turn.lease) == ("t2", "Who?", Lease("c", "gateway-a", 1))
        assert await outbox.recover(db) == 1
        (reply,) = await rows(db, outbox_table)
        assert (reply.state, reply.provider_ids) == ("planned", [IN_DOUBT])
    finally:
        await db.close()
