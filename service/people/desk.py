"""People at work: they look at conversations, take them, write, give them back, close them.

The one door for whoever lets people answer: the HTTP API, the command line, a channel in which a team works. Each call
is one transaction of `service.conversation.takeover`, after which the bot is stopped, widgets are told and platforms
are sent to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from service.conversation import files, takeover
from service.conversation.house import House
from service.conversation.takeover import Change
from service.conversation.wire import said_frame, state_frame, withheld_frame
from service.errors import ConversationUnknown
from service.people import listing
from service.people.listing import ALL, Listing, Wanted, summary
from service.storage.database import Database, now
from service.storage.tables import conversations, feedback, handoffs, inbox, outbox, transitions, turns
from service.turns.handover_rules import open_minutes
from service.turns.hub import Hub

SHOWN_TURNS = 500
AT_ONCE = 200
"""Waiting conversations that are looked at in one go, those that wait longest first."""


async def _nobody_answers(_: str) -> None:
    """Where no gateway runs in this process."""


class Desk:
    """What people can do with conversations."""

    def __init__(
        self,
        db: Database,
        house: House,
        *,
        hub: Hub | None = None,
        hush: Callable[[str], None] = lambda _: None,
        answer: Callable[[str], Awaitable[None]] = _nobody_answers,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """Open it.

        Args:
            db: Holds everything.
            house: The deployment.
            hub: Its widgets; none where no gateway runs in this process.
            hush: Stops what the bot is saying in a conversation.
            answer: Lets it answer what is open in one.
            wake: Says that there is something to send.
        """
        self._db = db
        self._house = house
        self._hub = hub or Hub()
        self._hush = hush
        self._answer = answer
        self._wake = wake

    async def take(
        self, conversation: str, *, by: str, account: str | None = None, force: bool = False, why: str = ""
    ) -> Change:
        """Take a conversation; see `takeover.take` for this and for what it raises."""
        house = self._house
        more: dict[str, Any] = {"by": by, "account": account, "force": force, "why": why}
        return await self._do(lambda c: takeover.take(c, conversation, house=house, **more))

    async def say(
        self, conversation: str, *, by: str, text: str, key: str, account: str | None = None, force: bool = False
    ) -> Change:
        """Write to the customer; see `takeover.say`."""
        house = self._house
        return await self._do(
            lambda c: takeover.say(
                c, conversation, by=by, text=text, key=key, house=house, account=account, force=force
            )
        )

    async def give_back(
        self, conversation: str, *, by: str, account: str | None = None, force: bool = False, why: str = ""
    ) -> Change:
        """Give it back to the bot; see `takeover.give_back`."""
        house = self._house
        more: dict[str, Any] = {"by": by, "account": account, "force": force, "why": why}
        return await self._do(lambda c: takeover.give_back(c, conversation, house=house, **more))

    async def close(
        self, conversation: str, *, by: str, account: str | None = None, force: bool = False, why: str = ""
    ) -> Change:
        """Close it; see `takeover.close`."""
        house = self._house
        more: dict[str, Any] = {"by": by, "account": account, "force": force, "why": why}
        return await self._do(lambda c: takeover.close(c, conversation, house=house, **more))

    async def leave_queue(self, conversation: str) -> Change:
        """The customer does not want to wait; see `takeover.leave_queue`."""
        return await self._do(lambda c: takeover.leave_queue(c, conversation, house=self._house))

    async def note(self, conversation: str, *, by: str, text: str) -> None:
        """A private remark."""
        await self._db.write(lambda c: takeover.note(c, conversation, by=by, text=text))

    async def nobody_came(self, *, clock: Callable[[], datetime] = now) -> int:
        """Tell those who have waited too long that nobody is there; returns how many."""
        rules = {name: brand.handover for name, brand in self._house.brands.items() if brand.handover.nobody_after_min}
        if not rules:
            return 0
        query = (
            select(conversations.c.id, conversations.c.brand, conversations.c.state_at)
            .where(conversations.c.state == "waiting", conversations.c.told < takeover.TOLD_NOBODY)
            .where(conversations.c.brand.in_(rules))
            .order_by(conversations.c.state_at)
            .limit(AT_ONCE)
        )
        told, at = 0, clock()
        for row in await self._db.read(lambda connection: connection.execute(query).all()):
            rule = rules[row.brand]
            if open_minutes(rule.hours, row.state_at, at) < (rule.nobody_after_min or 0):
                continue
            change = await self._db.write(lambda c, row=row: takeover.nobody_came(c, row.id, house=self._house))  # type: ignore[misc]
            if change is not None:
                self.announce(change)
                if change.became == "bot":
                    await self._answer(row.id)
                told += 1
        return told

    async def listed(self, wanted: Wanted = ALL, *, cursor: str | None = None, limit: int = 50) -> Listing:
        """Conversations, those in which something was said last first; see `listing.listed`."""
        return await self._db.read(lambda connection: listing.listed(connection, wanted, cursor=cursor, limit=limit))

    async def shown(self, conversation: str) -> dict[str, Any]:
        """A conversation with who said what, its hand-overs, notes and changes of hands.

        Raises:
            ConversationUnknown: There is none.
        """
        whole = await self._db.read(lambda connection: _read(connection, conversation))
        if whole is None:
            raise ConversationUnknown(
                f"There is no conversation {conversation!r}. See `brandvoice conversations list`."
            )
        return whole

    async def _do(self, work: Callable[[Connection], Change]) -> Change:
        change = await self._db.write(work)
        self.announce(change)
        return change

    def announce(self, change: Change) -> None:
        """What follows a change once it is on disk; for whoever made it in a transaction of their own."""
        if change.became in ("person", "closed"):
            self._hush(change.conversation)
        for turn in change.withheld:
            self._hub.announce(change.conversation, withheld_frame(turn))
        if change.said and not change.said.repeated:
            self._hub.announce(change.conversation, said_frame(change.said))
        if change.changed:
            self._hub.announce(change.conversation, state_frame(change.became, change.owner))
            self._wake()


# Without the evidence, which is long and shown elsewhere.
_SAID = (
    *(turns.c.id, turns.c.number, turns.c.question, turns.c.text, turns.c.state, turns.c.outcome, turns.c.support),
    *(turns.c.citations, turns.c.author, turns.c.created_at, turns.c.finished_at),
)


def _read(connection: Connection, conversation: str) -> dict[str, Any] | None:
    about = connection.execute(select(conversations).where(conversations.c.id == conversation)).one_or_none()
    if about is None:
        return None
    mine = turns.c.conversation_id == conversation
    said = (
        select(*_SAID, outbox.c.state.label("delivery"), feedback.c.value.label("thumb"))
        .outerjoin(outbox, outbox.c.turn_id == turns.c.id)
        .outerjoin(feedback, feedback.c.turn_id == turns.c.id)
        .where(mine)
        .order_by(turns.c.number.desc())
        .limit(SHOWN_TURNS)
    )
    waiting = select(inbox).where(
        inbox.c.conversation_id == conversation, inbox.c.turn_id.is_(None), ~inbox.c.withdrawn
    )
    moved = select(transitions).where(transitions.c.conversation_id == conversation).order_by(transitions.c.id)
    handed = select(handoffs).where(handoffs.c.conversation_id == conversation).order_by(handoffs.c.created_at)
    changes = connection.execute(moved).all()
    sent, unread = files.by_turn(connection, conversation), files.by_message(connection, conversation)
    return {
        **summary(about),
        "messages": [
            *(line for row in reversed(connection.execute(said).all()) for line in _lines(row, sent)),
            *(
                _line("customer", row.text, row.received_at, state="waiting", files=unread.get(row.id, ()))
                for row in connection.execute(waiting.order_by(inbox.c.id)).all()
            ),
        ],
        "handoffs": [
            {
                "id": row.id,
                "state": row.state,
                "reason": row.reason,
                "taken_by": row.taken_by,
                "created_at": row.created_at.isoformat(),
                "summary": row.summary,
            }
            for row in connection.execute(handed).all()
        ],
        "changes": [_change(row) for row in changes if row.became != takeover.NOTE],
        "notes": [
            {"by": row.by, "text": row.why, "at": row.at.isoformat()} for row in changes if row.became == takeover.NOTE
        ],
    }


def _change(row: Row[Any]) -> Mapping[str, Any]:
    return {"from": row.was, "to": row.became, "by": row.by, "why": row.why, "at": row.at.isoformat()}


def _lines(row: Row[Any], sent: Mapping[str, Sequence[Any]]) -> Sequence[dict[str, Any]]:
    """A turn as what the customer said, and what was said to them."""
    found = []
    if row.question or row.id in sent:
        found.append(_line("customer", row.question, row.created_at, turn=row.id, files=sent.get(row.id, ())))
    if row.text:
        state = (
            "withheld" if row.state == "withheld" else row.delivery or ("failed" if row.state == "failed" else "sent")
        )
        found.append(
            _line(
                "person" if row.author else "bot",
                row.text,
                row.finished_at or row.created_at,
                turn=row.id,
                name=row.author,
                state=state,
                outcome=row.outcome,
                support=row.support,
                thumb=row.thumb,
                sources=[f"{one['title']} ({one['document']})" for one in row.citations or ()],
            )
        )
    return found


def _line(who: str, text: str, at: datetime, **more: Any) -> dict[str, Any]:
    blank: dict[str, Any] = {"turn": None, "name": None, "state": None, "outcome": None, "sources": []}
    blank |= {"support": None, "thumb": None, "files": ()}
    return {"from": who, "text": text, "at": at.isoformat(), **blank, **more}
