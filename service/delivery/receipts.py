"""What a platform has of a reply, and how we know.

A part of a reply by its place in `provider_ids` of the outbox row:

    beyond the end      not sent
    IN_DOUBT, last      its call was on its way when the gateway died or the line broke
    UNKNOWN             the same, and nobody can tell
    an id               the platform has it

    in doubt -> the platform told us of it                      -> has it
             -> its call shows once, however often it is made   -> not sent: it is made again
             -> the platform can be asked (`LooksUp`)           -> has it, or not sent
             -> none of these                                   -> unknown
    unknown  -> the platform tells us of it, whenever           -> has it
    has it   -> the platform tells us that it failed            -> failed; not sent, where that passes and none follows
             -> the same, since the window was closed           -> the whole reply is sent once more, by the template

What platforms tell is kept in `sent_parts` at once, also of a part that is still being sent: a status can come before
the answer to the call, and the gateway may die between the two. That nothing was told proves nothing, so a part of
which nothing is heard stays unknown and is not sent again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
from sqlalchemy import Connection, Row, bindparam, select, update

from channels.base import Channel, LooksUp, OutboundReply, Receipt, Request, read_mark
from channels.errors import DeliveryFailed
from service.delivery.schedule import SCHEDULE_S, wait_s
from service.storage.database import Database, insert_new, now, storable
from service.storage.tables import outbox, sent_parts

log = logging.getLogger(__name__)

Send = Callable[[Request], Awaitable[tuple[int, Mapping[str, str], bytes]]]

UNKNOWN = ""
"""Stands in `provider_ids` for a part of which nobody knows whether it arrived."""
IN_DOUBT = "?"
"""Stands there last for a part that was on its way, until its call is looked at again."""
NO_PART = 0
"""In `sent_parts`: a message that failed and was sent anew, so that what is said of it no longer counts."""
MAX_ID_CHARS = 300
"""Of the column; no platform's ids are as long."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a platform told us of the parts of one reply."""

    ids: Mapping[int, str] = field(default_factory=dict)
    """Its ids by the number of the part, from 1; of parts that failed as well."""
    failures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By id."""

    def has(self, part: int) -> str | None:
        """The id of a part that the platform has."""
        found = self.ids.get(part)
        return None if found in self.failures else found


def told(connection: Connection, item: str) -> Told:
    """What is known of a reply."""
    found = connection.execute(_TOLD, {"item": item}).all()
    return Told(
        {row.part: row.message_id for row in found if row.part != NO_PART},
        {row.message_id: row.failure for row in found if row.failure},
    )


def window_was_closed(heard: Told) -> bool:
    """Whether the platform told of a part that it takes no free text for this person any more."""
    return any(failure.get("window_closed") for failure in heard.failures.values())


async def settled(
    channel: Channel, reply: OutboundReply, calls: Sequence[Request], done: list[str], heard: Told, send: Send
) -> tuple[list[str], bool]:
    """Find out about a part in doubt, and skip parts that the platform has already.

    Args:
        channel: Of the reply.
        reply: As it is rendered.
        calls: What delivers it, a part each.
        done: As in `provider_ids`.
        heard: What the platform told us.
        send: Makes one call.

    Returns:
        The parts that are over; and whether the next one, which is to be sent, may be there nevertheless.

    Raises:
        DeliveryFailed: The platform could not be asked.
    """
    doubted = False
    if done[-1:] == [IN_DOUBT]:
        done = done[:-1]
        if (part := len(done) + 1) <= len(calls):
            if (known := heard.ids.get(part)) is not None:
                done.append(known)
            elif calls[part - 1].repeatable:
                doubted = True
            elif (found := await asked(channel, reply, send)) is None:
                done.append(UNKNOWN)
            elif part in found:
                done.append(found[part])
    while len(done) < len(calls) and (known := heard.has(len(done) + 1)):
        done, doubted = [*done, known], False
    return done, doubted


async def asked(channel: Channel, reply: OutboundReply, send: Send) -> Mapping[int, str] | None:
    """What the platform says that it has; None where it cannot be asked."""
    call = channel.look_up(reply) if isinstance(channel, LooksUp) else None
    if call is None or not isinstance(channel, LooksUp):
        return None
    try:
        status, headers, body = await send(call)
    except (OSError, aiohttp.ClientError, TimeoutError) as error:
        raise DeliveryFailed(
            f"The platform cannot be asked whether it has the reply ({type(error).__name__}: {error}).", retryable=True
        ) from error
    try:
        return channel.found(reply, status, headers, body)
    except DeliveryFailed as error:
        if error.retryable:
            raise
        log.warning("look_up_refused", extra={"channel": channel.name, "reason": str(error)[:300]})
        return None
    except Exception as error:
        log.exception("look_up_not_read", extra={"channel": channel.name, "status": status})
        raise DeliveryFailed("The answer to a look-up could not be read; see the log.", retryable=True) from error


def recorded(connection: Connection, row: Row[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Note the ids of parts that were sent, and weigh what the platform has told of them meanwhile.

    Args:
        connection: In the transaction that stores `values`.
        row: The reply's.
        values: To be stored, with `provider_ids`.

    Returns:
        What to store instead.
    """
    ids = list(values["provider_ids"])
    for part, one in enumerate(ids, start=1):
        if one not in (UNKNOWN, IN_DOUBT):
            _note(connection, row, part, one)
    return _weighed(connection, row, {**values, "provider_ids": ids})


async def take(db: Database, channel: str, app: str, receipts: Sequence[Receipt]) -> Mapping[str, int]:
    """Take what a platform told; told twice, it changes nothing more.

    Args:
        db: Holds the replies.
        channel: Whose webhook it came by.
        app: Its app: nobody else can tell of its replies.
        receipts: What was told.

    Returns:
        How many were `news`, `known` already, and of no reply of ours (`unmatched`).
    """

    def work(connection: Connection) -> Counter[str]:
        return Counter(_take(connection, channel, app, one) for one in receipts)

    return await db.write(work, urgent=True)


def _take(connection: Connection, channel: str, app: str, receipt: Receipt) -> str:
    message_id, account = storable(receipt.message_id), storable(receipt.account)
    if not 0 < len(message_id) <= MAX_ID_CHARS:
        return "unmatched"
    found = connection.execute(_NOTED, {"channel": channel, "account": account, "message_id": message_id}).one_or_none()
    item, part = (found.outbox_id, found.part) if found else read_mark(receipt.mark)
    row = connection.execute(_ITEM, {"item": item, "channel": channel, "app": app, "account": account}).one_or_none()
    if row is None:
        return "unmatched"
    failure = _failure(receipt.failure) if receipt.failure else None
    if found is None:
        _note(connection, row, part, message_id, failure)
    elif failure and not found.failure:
        connection.execute(_FAILED, {"of_channel": channel, "of_account": account, "id": message_id, "why": failure})
    else:
        return "known"
    # Of a part that is being sent it is weighed when that is recorded.
    if row.state in ("sent", "unknown"):
        values = {"state": row.state, "attempts": row.attempts, "provider_ids": list(row.provider_ids)}
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(_weighed(connection, row, values)))
    return "news"


def _note(
    connection: Connection, row: Row[Any], part: int, message_id: str, failure: Mapping[str, Any] | None = None
) -> None:
    if len(message_id) <= MAX_ID_CHARS:
        key = {"channel": row.channel, "account": row.account, "message_id": storable(message_id)}
        connection.execute(
            insert_new(connection, sent_parts), {**key, "outbox_id": row.id, "part": part, "failure": failure}
        )


def _weighed(connection: Connection, row: Row[Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values of a reply, after what the platform told of its parts."""
    heard, ids = told(connection, row.id), values["provider_ids"]
    for at, one in enumerate(ids):
        if one in (UNKNOWN, IN_DOUBT) and (known := heard.ids.get(at + 1)):
            ids[at] = known
            if one == IN_DOUBT:
                values |= {"state": "planned", "next_attempt_at": now()}
    if values.get("state") not in ("sent", "unknown"):
        return values
    values["state"] = "unknown" if {UNKNOWN, IN_DOUBT} & set(ids) else "sent"
    for at, one in enumerate(ids):
        if failure := heard.failures.get(one):
            earlier = Told(failures={key: why for key, why in heard.failures.items() if key not in ids})
            if failure.get("window_closed") and not window_was_closed(earlier):
                return values | _begun_anew(connection, row, failure)
            return values | _after_failure(connection, row, values, at, failure)
    return values


def _begun_anew(connection: Connection, row: Row[Any], failure: Mapping[str, Any]) -> dict[str, Any]:
    """None of it arrived: it is rendered once more, for a closed window (`service.delivery.windows`)."""
    connection.execute(_NONE_ANY_LONGER, {"of_item": row.id})
    reason = f"told later: {failure['message']}"
    return {"state": "planned", "provider_ids": [], "next_attempt_at": now(), "last_error": reason}


def _after_failure(
    connection: Connection, row: Row[Any], values: Mapping[str, Any], at: int, failure: Mapping[str, Any]
) -> dict[str, Any]:
    """A message that was taken did not arrive: it is sent anew where that may help and breaks no order."""
    ids, attempts = values["provider_ids"], values["attempts"]
    reason = f"told later: {failure['message']}"
    if not failure["retryable"] or at + 1 < len(ids) or attempts > len(SCHEDULE_S):
        told_of = {"outbox": row.id, "channel": row.channel, "reason": reason[:300]}
        log.error("account_needs_operator" if failure["needs_operator"] else "delivery_failed", extra=told_of)
        return {"state": "failed", "last_error": reason}
    connection.execute(_NO_LONGER, {"of_item": row.id, "of_part": at + 1})
    wait = timedelta(seconds=wait_s(max(attempts, 1), failure["retry_after_s"], failure["backoff_base"]))
    return {"state": "planned", "provider_ids": ids[:at], "next_attempt_at": now() + wait, "last_error": reason}


def _failure(error: DeliveryFailed) -> dict[str, Any]:
    return {
        "message": storable(str(error)),
        "retryable": error.retryable,
        "retry_after_s": error.retry_after_s,
        "code": error.code,
        "backoff_base": error.backoff_base,
        "needs_operator": error.needs_operator,
        "window_closed": error.window_closed,
    }


_TOLD = select(sent_parts).where(sent_parts.c.outbox_id == bindparam("item"))
_NOTED = select(sent_parts).where(
    *(sent_parts.c[name] == bindparam(name) for name in ("channel", "account", "message_id"))
)
_ITEM = (
    select(outbox)
    .where(
        outbox.c.id == bindparam("item"), *(outbox.c[name] == bindparam(name) for name in ("channel", "app", "account"))
    )
    .with_for_update()
)
_FAILED = (
    update(sent_parts)
    .where(
        sent_parts.c.channel == bindparam("of_channel"),
        sent_parts.c.account == bindparam("of_account"),
        sent_parts.c.message_id == bindparam("id"),
    )
    .values(failure=bindparam("why"))
)
_NONE_ANY_LONGER = update(sent_parts).where(sent_parts.c.outbox_id == bindparam("of_item")).values(part=NO_PART)
_NO_LONGER = (
    update(sent_parts)
    .where(sent_parts.c.outbox_id == bindparam("of_item"), sent_parts.c.part == bindparam("of_part"))
    .values(part=NO_PART)
)
