"""A team's channel in Slack: each hand-over is a thread there, and whoever writes in it answers the customer.

A thread is kept as a conversation of its own, with `about` naming the customer's: what is posted there are turns of it,
delivered, repeated and looked up like every reply; what people write there are its messages, known when they come
again.
All of it changes only under the lock of the customer's conversation, so it stands in one order.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, exists, literal, select

from channels.base import Edit, InboundMessage
from configs.brand import Brand
from configs.handover import SlackTeam
from service.conversation import takeover, transcript
from service.conversation.house import Event, House
from service.conversation.takeover import Change
from service.delivery.outbox import OutboxItem, insert_item
from service.delivery.windows import THREAD_OF
from service.errors import ConversationUnknown, NotPossible, RequestInvalid, StorageUnavailable, TakenByAnother
from service.people.desk import Desk
from service.storage.database import Database, now, storable
from service.storage.ids import fresh_id
from service.storage.tables import conversations, handoffs, inbox, outbox, sent_parts, turns

Place = tuple[str, str, str]
"""App, workspace and channel."""

SHOWN_CHARS = 300
"""Of a question in the first message, so that the channel stays readable; the thread has all of it."""
CLOCKS_APART_S = 300
"""A look-up begins so much earlier than we planned the message: Slack's clock is not ours."""
AT_ONCE = 50

_COMMAND = re.compile(r"!(\w+)\s*(.*)", re.DOTALL)
_FORCE = re.compile(r"force\b\s*", re.IGNORECASE)
HELP = (
    "Write here to answer the customer. `!take` takes the conversation, `!back` gives it back to the assistant, "
    "`!close` closes it, `!note ...` keeps a remark for the team. `!take force` takes it from whoever has it."
)


def places(brands: Mapping[str, Brand]) -> frozenset[Place]:
    """Where teams work: no bot answers there."""
    teams = (brand.handover.slack for brand in brands.values())
    return frozenset((one.app, one.team_id, one.channel) for one in teams if one)


class Threads:
    """Plans what is posted to the team, in the transaction that it tells of."""

    def __init__(self, brands: Mapping[str, Brand]) -> None:
        """Open it.

        Args:
            brands: With their teams' channels.
        """
        self._brands = brands

    def plan(self, connection: Connection, event: Event) -> None:
        """One of `House.tells`; its transaction holds the lock of the customer's conversation."""
        if event.kind == "handoff.opened":
            self._begin(connection, event)
            return
        thread = _newest(connection, event.conversation, event.handoff)
        if thread is None:
            return
        match event.kind:
            case "handoff.taken":
                self.post(connection, thread, f"**{event.by}** has this conversation now.")
            case "handoff.closed":
                state = connection.execute(_STATE, {"id": event.conversation}).scalar_one()
                ended = "is closed" if state == "closed" else "is the assistant's again"
                self.post(connection, thread, f"This conversation {ended} ({event.by}).")
            case _:
                words = connection.execute(select(turns.c.question).where(turns.c.id == event.turn)).scalar_one()
                self.post(connection, thread, f"**Customer:** {words or '(something that is no text)'}")

    def post(self, connection: Connection, thread: Row[Any], text: str, *, key: str | None = None) -> None:
        """Plan a message in a thread; a second one with the same key is dropped.

        Args:
            connection: Of the transaction.
            thread: The thread's conversation.
            text: Neutral Markdown.
            key: The message's own.
        """
        same = select(turns.c.id).where(turns.c.conversation_id == thread.id, turns.c.author_key == key)
        team = self._team(thread.brand)
        if team is None or (key and connection.execute(same).first()):
            return
        root = connection.execute(_ROOT, {"thread": thread.id}).one_or_none()
        channel = root.reply_to["channel"] if root else team.channel
        where = {"channel": channel, "asked": f"{now().timestamp() - CLOCKS_APART_S:.6f}"}
        if root:
            where[THREAD_OF] = root.id
        app = root.app if root else team.app
        turn = transcript.new_turn(connection, thread.id, text=storable(text), state="done", key=key)
        connection.execute(insert_item(turn, OutboxItem("slack", app, thread.account, where, text, ())))

    def name_of(self, connection: Connection, thread: Row[Any], message: InboundMessage) -> str:
        """The person's name as the customer reads it; it stays the same in one thread, and is nobody else's there."""
        wrote = (
            select(turns.c.author, inbox.c.sender)
            .join(inbox, inbox.c.turn_id == turns.c.id)
            .where(turns.c.conversation_id == thread.id)
        )
        known = {row.sender: row.author for row in connection.execute(wrote).all()}
        if mine := known.get(message.sender):
            return str(mine)
        team = self._team(thread.brand)
        name = (team.people.get(message.sender) if team else None) or message.name or message.sender
        name = " ".join(storable(name).split())[:80]
        if name in known.values() or name.casefold() in (takeover.BOT, takeover.CUSTOMER):
            return f"{name} ({message.sender})"
        return name

    def _team(self, brand: str) -> SlackTeam | None:
        known = self._brands.get(brand)
        return known.handover.slack if known else None

    def _begin(self, connection: Connection, event: Event) -> None:
        team = self._team(event.brand)
        if team is None:
            return
        found = select(handoffs.c.summary, handoffs.c.reason).where(handoffs.c.id == event.handoff)
        handoff = connection.execute(found).one()
        about = connection.execute(select(conversations).where(conversations.c.id == event.conversation)).one()
        wrote = select(inbox.c.sender).where(inbox.c.conversation_id == about.id).order_by(inbox.c.id.desc()).limit(1)
        row: dict[str, Any] = {
            "id": fresh_id(),
            "brand": event.brand,
            "channel": "slack",
            "account": team.team_id,
        }
        row |= {"external_key": f"handoff:{event.handoff}", "created_at": now(), "state": "closed", "about": about.id}
        connection.execute(conversations.insert(), row)
        thread = connection.execute(select(conversations).where(conversations.c.id == row["id"])).one()
        asked = (handoff.summary or {}).get("asked") or [""]
        who = "a visitor" if about.channel == "web" else connection.execute(wrote).scalar_one_or_none() or "somebody"
        self.post(
            connection,
            thread,
            f"**A person is needed** ({event.brand}): {who} on {about.channel}\n"
            f"**Why:** {_short(handoff.reason)}\n**Asked last:** {_short(asked[-1])}\n"
            f"Write in this thread to answer. Conversation `{about.id}`",
        )
        self.post(connection, thread, f"{_exchanges(handoff.summary or {})}\n\n{HELP}")


class TeamInSlack:
    """What people write in threads of the team's channel."""

    def __init__(self, db: Database, house: House, desk: Desk) -> None:
        """Open it.

        Args:
            db: Holds the conversations.
            house: The deployment.
            desk: What people can do.
        """
        self._db, self._house, self._desk = db, house, desk
        self._threads = Threads(house.brands)

    @property
    def _places(self) -> frozenset[Place]:
        # Each time: brands come, change and go while the gateway runs.
        return places(self._house.brands)

    async def take(self, app: str, message: InboundMessage) -> bool:
        """A message that stands where a team works is the team's, whatever it says and whomever it mentions.

        A command stands in no thread, so it does nothing.

        Returns:
            Whether it was; then no bot answers it.

        Raises:
            StorageUnavailable: It cannot be told yet which thread it stands in; Slack sends it again.
        """
        where = message.reply_to
        place = (app, message.account, where.get("channel", ""))
        if message.channel != "slack" or place not in self._places:
            return False
        if "response_url" in where:
            return True
        root = f"{where['channel']}:{where.get('thread_ts', '')}"
        change = await self._db.write(lambda connection: self._take(connection, app, root, message))
        if change:
            self._desk.announce(change)
        return True

    async def edited(self, edits: Sequence[Edit]) -> None:
        """Say in the thread that a changed or deleted message is with the customer as it was."""
        if not self._places or not edits:
            return

        def work(connection: Connection) -> None:
            for one in edits:
                self._edited(connection, one)

        await self._db.write(work)

    async def tell_failures(self) -> int:
        """Say in the thread which of a person's words a customer does not have, once each; returns how many."""
        if not self._places:
            return 0
        rows = await self._db.read(lambda connection: connection.execute(_FAILED).all())
        for row in rows:
            await self._db.write(lambda connection, row=row: self._tell_failure(connection, row))  # type: ignore[misc]
        return len(rows)

    def _take(self, connection: Connection, app: str, root: str, message: InboundMessage) -> Change | None:
        found = {"account": message.account, "message_id": root, "app": app}
        thread = connection.execute(_THREAD, found).one_or_none()
        if thread is None:
            if _being_posted(connection, app, message):
                raise StorageUnavailable("The thread is only just being posted. Slack sends this again.")
            return None
        try:
            about = takeover.lock(connection, thread.about)
        except ConversationUnknown:
            # Deleted meanwhile; the next pass takes the thread too.
            return None
        key = {"channel": "slack", "account": message.account, "message_id": storable(message.message_id)}
        same = select(inbox.c.id).where(*(inbox.c[name] == value for name, value in key.items()))
        if connection.execute(same).first():
            return None
        name = self._threads.name_of(connection, thread, message)
        text = storable(message.text).strip()
        turn = transcript.new_turn(connection, thread.id, question=text, state="heard", author=name)
        row = {**key, "conversation_id": thread.id, "text": text, "reply_to": dict(message.reply_to), "turn_id": turn}
        connection.execute(inbox.insert(), row | {"received_at": now(), "sender": storable(message.sender)})
        change = None
        try:
            change, answer = self._act(connection, about, name, text, message.message_id)
        except TakenByAnother:
            answer = f"Not done: **{about.owner}** has this conversation. `!take force` takes it from them."
        except (NotPossible, RequestInvalid) as error:
            answer = f"Not done: {error}"
        if answer:
            self._threads.post(connection, thread, answer)
        return change

    def _act(
        self, connection: Connection, about: Row[Any], by: str, text: str, key: str
    ) -> tuple[Change | None, str | None]:
        """What a message does, and what is answered where no event tells of it."""
        house = self._house
        if not text:
            return None, "Not sent: only text can be passed on, no pictures or files."
        command = _COMMAND.fullmatch(text)
        if command is None:
            return takeover.say(connection, about.id, by=by, text=text, key=key[:100], house=house), None
        word, rest = command[1].casefold(), command[2].strip()
        forced = _FORCE.match(rest)
        more: dict[str, Any] = {"by": by, "house": house, "force": bool(forced)}
        if forced and word != "note":
            rest = rest[forced.end() :]
        match word:
            case "take":
                change = takeover.take(connection, about.id, why=rest, **more)
                return change, "You have it already." if takeover.has(about, by) else None
            case "back" | "return":
                change = takeover.give_back(connection, about.id, why=rest, **more)
                return change, None if change.changed and about.state != "closed" else "The assistant has it."
            case "close":
                change = takeover.close(connection, about.id, why=rest, **more)
                return change, None if about.state in ("waiting", "person") else "This conversation is closed."
            case "note" if rest:
                takeover.note(connection, about.id, by=by, text=rest)
                return None, "Noted."
        return None, f"Nothing was sent to the customer. {HELP}"

    def _edited(self, connection: Connection, edit: Edit) -> None:
        key = {"account": storable(edit.account), "message_id": storable(edit.message_id)}
        thread = connection.execute(_WROTE_IN, key).one_or_none()
        if thread is None:
            return
        try:
            takeover.lock(connection, thread.about)
        except ConversationUnknown:
            return
        said = "An edit here changes nothing for the customer: what was sent stays. Write it again if it matters."
        self._threads.post(connection, thread, said, key=f"edit:{edit.message_id}"[:100])

    def _tell_failure(self, connection: Connection, row: Row[Any]) -> None:
        try:
            takeover.lock(connection, row.conversation_id)
        except ConversationUnknown:
            return
        thread = _newest(connection, row.conversation_id)
        if thread is not None:
            what = "did not reach" if row.state == "failed" else "may not have reached"
            said = f"**{row.author}**'s words {what} the customer ({_short(row.last_error or 'no answer')}):\n"
            self._threads.post(connection, thread, said + _short(row.text), key=f"failed:{row.id}")


def _newest(connection: Connection, conversation: str, handoff: str | None = None) -> Row[Any] | None:
    """The thread of a hand-over, or a conversation's newest."""
    query = select(conversations).where(conversations.c.about == conversation)
    if handoff:
        query = query.where(conversations.c.external_key == f"handoff:{handoff}")
    return connection.execute(query.order_by(conversations.c.created_at.desc()).limit(1)).one_or_none()


def threads_about(found: Collection[str]) -> Select[str]:
    """Ids of the threads that tell of these conversations: they go with them."""
    return select(conversations.c.id).where(conversations.c.about.in_(found))


def _being_posted(connection: Connection, app: str, message: InboundMessage) -> bool:
    """Whether a thread may have begun in that channel whose id we do not know yet."""
    found = connection.execute(_BEGINNING, {"app": app, "account": message.account}).all()
    return any(
        row.reply_to.get("channel") == message.reply_to["channel"] and (row.state == "sending" or row.provider_ids)
        for row in found
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]} …"


def _exchanges(summary: Mapping[str, Any]) -> str:
    lines = []
    for one in summary.get("exchanges", ()):
        lines.append(f"**Customer:** {one['question']}")
        if one["answer"]:
            sources = f" ({', '.join(one['sources'])})" if one["sources"] else ""
            lines.append(f"**Assistant:** {one['answer']}{sources}")
    return "\n\n".join(lines) or "Nothing was said before."


_STATE = select(conversations.c.state).where(conversations.c.id == bindparam("id"))
_ROOT = (
    select(outbox.c.id, outbox.c.app, outbox.c.reply_to)
    .join(turns, turns.c.id == outbox.c.turn_id)
    .where(turns.c.conversation_id == bindparam("thread"), turns.c.number == 1)
)
_THREAD = (
    select(conversations)
    .join(turns, turns.c.conversation_id == conversations.c.id)
    .join(outbox, outbox.c.turn_id == turns.c.id)
    .join(sent_parts, sent_parts.c.outbox_id == outbox.c.id)
    .where(
        sent_parts.c.channel == "slack",
        sent_parts.c.account == bindparam("account"),
        sent_parts.c.message_id == bindparam("message_id"),
        outbox.c.app == bindparam("app"),
        turns.c.number == 1,
        conversations.c.about.is_not(None),
    )
)
_BEGINNING = (
    select(outbox.c.state, outbox.c.reply_to, outbox.c.provider_ids)
    .join(turns, turns.c.id == outbox.c.turn_id)
    .join(conversations, conversations.c.id == turns.c.conversation_id)
    .where(
        outbox.c.state.in_(("planned", "sending")),
        outbox.c.channel == "slack",
        outbox.c.account == bindparam("account"),
        outbox.c.app == bindparam("app"),
        turns.c.number == 1,
        conversations.c.about.is_not(None),
    )
)
_WROTE_IN = (
    select(conversations)
    .join(inbox, inbox.c.conversation_id == conversations.c.id)
    .where(
        inbox.c.channel == "slack",
        inbox.c.account == bindparam("account"),
        inbox.c.message_id == bindparam("message_id"),
        conversations.c.about.is_not(None),
    )
)
_TOLD_IN, _TOLD = conversations.alias("told_in"), turns.alias("told")
_FAILED = (
    select(outbox.c.id, outbox.c.state, outbox.c.last_error, outbox.c.text, turns.c.author, turns.c.conversation_id)
    .join(turns, turns.c.id == outbox.c.turn_id)
    .where(outbox.c.state.in_(("failed", "unknown")), turns.c.author.is_not(None))
    .where(exists().where(_TOLD_IN.c.about == turns.c.conversation_id))
    .where(
        ~exists().where(
            _TOLD_IN.c.about == turns.c.conversation_id,
            _TOLD.c.conversation_id == _TOLD_IN.c.id,
            _TOLD.c.author_key == literal("failed:") + outbox.c.id,
        )
    )
    .order_by(outbox.c.next_attempt_at)
    .limit(AT_ONCE)
)
