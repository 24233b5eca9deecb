"""Who has a conversation: the bot, nobody yet, a person, or nobody any more. Each function is part of a transaction.

    bot ──────► waiting ──────► person
     ▲  ◄──────────┘   ◄────────┘ │      every state but `closed` may become `closed`;
     └────────── closed ◄─────────┘      a customer's next message opens it again

Every change locks the conversation's row first, as does every transaction that begins or finishes a turn. So one of
the two comes first: a reply that was finished before is withdrawn while no call has been made for it, and one that
would be finished after is withheld. Only in the state `bot` may a bot's words go out (and while waiting, where the
brand says so).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, select, update

from service.conversation import transcript
from service.conversation.house import Event, EventKind, House
from service.conversation.transcript import Said
from service.errors import ConversationUnknown, NotPossible, RequestInvalid, TakenByAnother
from service.storage.database import now, storable
from service.storage.ids import fresh_id
from service.storage.tables import conversations, handoffs, hooks, inbox, is_running, outbox, transitions, turns

State = Literal["bot", "waiting", "person", "closed"]
STATES: tuple[State, ...] = ("bot", "waiting", "person", "closed")
ALLOWED: Mapping[str, frozenset[str]] = {
    "bot": frozenset({"waiting", "person", "closed"}),
    "waiting": frozenset({"bot", "person", "closed"}),
    "person": frozenset({"bot", "person", "closed"}),
    "closed": frozenset({"bot", "person"}),
}
"""What may follow what. From person to person: another one takes it by force."""
BOT, CUSTOMER = "bot", "customer"
"""Who changes states beside people."""
NOTE = "note"
"""Stands in place of a new state, where a person only remarks something."""
TOLD_TO_WAIT, TOLD_NOBODY = 1, 2
"""What a waiting customer has been told already; the second also while the bot has it back because of that."""
SUMMARY_TURNS = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What a transition did."""

    conversation: str
    was: str
    became: str
    owner: str | None
    withheld: tuple[str, ...] = ()
    """Turns of the bot whose words do not go out any more."""
    said: Said | None = None
    moved: bool = False
    """Somebody else has it now: also one person after another, where `was` and `became` are the same."""

    @property
    def changed(self) -> bool:
        """Whether anything is other than before."""
        return self.moved or bool(self.withheld) or self.said is not None


def lock(connection: Connection, conversation: str) -> Row[Any]:
    """The conversation's row, locked until the transaction ends (in PostgreSQL; SQLite has one writer).

    Raises:
        ConversationUnknown: There is none.
    """
    query = select(conversations).where(conversations.c.id == conversation).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ConversationUnknown(f"There is no conversation {conversation!r}. See `brandvoice conversations list`.")
    return row


def may_speak(about: Row[Any], house: House) -> bool:
    """Whether a bot's words may go out in this conversation now."""
    return about.state == "bot" or (about.state == "waiting" and house.answers_while_waiting(about.brand))


def has(about: Row[Any], by: str, account: str | None = None) -> bool:
    """Whether a person has it: by account where either has one, since names may be alike; else by name."""
    if about.state != "person":
        return False
    return bool(about.owner_id == account if about.owner_id or account else about.owner == by)


def take(
    connection: Connection,
    conversation: str,
    *,
    by: str,
    house: House,
    account: str | None = None,
    force: bool = False,
    why: str = "",
) -> Change:
    """A person takes the conversation; whose it is already, changes nothing.

    Args:
        connection: Of the transaction.
        conversation: Which.
        by: The person's name.
        house: The deployment.
        account: Of the console, where they have one.
        force: Also where another person has it.
        why: For the record.

    Raises:
        ConversationUnknown: There is none.
        TakenByAnother: Somebody else has it, and `force` is not given.
    """
    return _take(connection, lock(connection, conversation), _name(by), house, account=account, force=force, why=why)


def _take(
    connection: Connection, about: Row[Any], by: str, house: House, *, account: str | None, force: bool, why: str
) -> Change:
    _own(about, by, account, force=force)
    if has(about, by, account):
        return Change(about.id, "person", "person", by)
    withheld = _silence(connection, about.id)
    change = _move(
        connection, about, "person", by=by, why=why or "takes over", owner=by, owner_id=account, withheld=withheld
    )
    _hear(connection, about, house, now_with=by)
    fresh = {"state": "taken", "taken_by": by, "taken_at": now()}
    found = _handoffs(connection, about.id, ("open", "taken"))
    for handoff in found:
        connection.execute(update(handoffs).where(handoffs.c.id == handoff).values(**fresh))
    # A person may come without having been asked for.
    for one in (*found,) or (None,):
        house.tell(connection, Event("handoff.taken", about.id, about.brand, handoff=one, by=by))
    return change


def give_back(
    connection: Connection,
    conversation: str,
    *,
    by: str,
    house: House,
    account: str | None = None,
    force: bool = False,
    why: str = "",
) -> Change:
    """The bot has the conversation again, from the customer's next message on; rules count anew from here.

    Raises:
        ConversationUnknown: There is none.
        TakenByAnother: Somebody else has it, and `force` is not given.
    """
    about, by = _owned(connection, conversation, by, account, force=force)
    return _give_back(connection, about, by, house, why or "gives it back")


def _give_back(connection: Connection, about: Row[Any], by: str, house: House, why: str) -> Change:
    if about.state == "bot":
        return Change(about.id, "bot", "bot", None)
    if not may_speak(about, house):
        # What the customer said until now was said to a person: it is over, and hands over nothing again.
        _hear(connection, about, house)
    change = _move(connection, about, "bot", by=by, why=why, anew=True)
    _close_handoffs(connection, about, by, house)
    return change


def close(
    connection: Connection,
    conversation: str,
    *,
    by: str,
    house: House,
    account: str | None = None,
    force: bool = False,
    why: str = "",
) -> Change:
    """Nothing is left to do; the customer's next message opens it again, as the bot's.

    Raises:
        ConversationUnknown: There is none.
        TakenByAnother: Somebody else has it, and `force` is not given.
    """
    about, by = _owned(connection, conversation, by, account, force=force)
    if about.state == "closed":
        return Change(about.id, "closed", "closed", None)
    withheld = _silence(connection, about.id)
    _hear(connection, about, house)
    change = _move(connection, about, "closed", by=by, why=why or "done", withheld=withheld)
    _close_handoffs(connection, about, by, house)
    return change


def leave_queue(connection: Connection, conversation: str, *, house: House) -> Change:
    """The customer waits no longer and goes on with the bot; where a person is there already, nothing happens.

    Raises:
        ConversationUnknown: There is none.
    """
    about = lock(connection, conversation)
    if about.state != "waiting":
        return Change(about.id, about.state, about.state, about.owner)
    return _give_back(connection, about, CUSTOMER, house, "does not want to wait")


def say(
    connection: Connection,
    conversation: str,
    *,
    by: str,
    text: str,
    key: str,
    house: House,
    account: str | None = None,
    force: bool = False,
) -> Change:
    """A person writes to the customer: it is theirs from then on, and goes the way of every reply.

    Args:
        connection: Of the transaction.
        conversation: To whom.
        by: The person's name, as the customer reads it.
        text: What they say.
        key: The caller's own id of this message; a second one with the same id changes nothing.
        house: The deployment.
        account: Of the console, where they have one.
        force: Also where another person has it.

    Raises:
        ConversationUnknown: There is none.
        TakenByAnother: Somebody else has it, and `force` is not given.
    """
    about = lock(connection, conversation)
    by = _name(by)
    same = select(turns).where(turns.c.conversation_id == about.id, turns.c.author_key == storable(key))
    if before := connection.execute(same).one_or_none():
        said = Said(before.id, before.text, before.author, before.created_at, repeated=True)
        return Change(about.id, about.state, about.state, about.owner, said=said)
    change = _take(connection, about, by, house, account=account, force=force, why="writes")
    # Also what came since they took it: it stands before their answer.
    _hear(connection, about, house, now_with=by)
    said = transcript.say(connection, about, text, author=by, key=key, house=house)
    return replace(change, said=said)


def note(connection: Connection, conversation: str, *, by: str, text: str) -> None:
    """A private remark for the team, kept beside the transitions.

    Raises:
        ConversationUnknown: There is none.
    """
    about = lock(connection, conversation)
    _record(connection, about.id, about.state, NOTE, by=_name(by), why=storable(text))


def hand_over(
    connection: Connection, about: Row[Any], turn: str, why: str, house: House, *, waits: bool = True
) -> str | None:
    """A turn ends with a hand-over: it is noted with a summary, and the conversation waits for a person.

    Args:
        connection: Of the transaction that finishes the turn.
        about: The conversation, locked.
        turn: Which turn.
        why: What led to it.
        house: The deployment.
        waits: Whether the bot is silent from now on; else the hand-over is open, and the bot answers on.

    Returns:
        Its id; None where one is open already.
    """
    if about.state != "bot":
        return None
    fresh = fresh_id()
    row = {"id": fresh, "brand": about.brand, "conversation_id": about.id, "turn_id": turn, "reason": why}
    summary = summarise(connection, about.id, why, since=about.rules_from)
    connection.execute(
        handoffs.insert(), row | {"state": "open", "created_at": now(), "attempts": 0, "summary": summary}
    )
    if waits:
        _move(connection, about, "waiting", by=BOT, why=why)
    house.tell(connection, Event("handoff.opened", about.id, about.brand, handoff=fresh, turn=turn))
    return fresh


def summarise(connection: Connection, conversation: str, why: str, *, since: int = 0) -> dict[str, Any]:
    """What a person must know: why it came to this, and the last exchanges, each answer with its sources.

    Args:
        connection: Of the transaction.
        conversation: Whose.
        why: What led to the hand-over.
        since: Turns after this number only.
    """
    query = (
        select(turns)
        .where(turns.c.conversation_id == conversation, turns.c.number > since)
        .order_by(turns.c.number.desc())
        .limit(SUMMARY_TURNS)
    )
    found = list(reversed(connection.execute(query).all()))
    return {
        "why": why,
        "asked": [row.question for row in found if row.question],
        "exchanges": [
            {
                "turn": row.id,
                "question": row.question,
                "answer": row.text if row.state == "done" else "",
                "outcome": row.outcome,
                "sources": [f"{one['title']} ({one['document']})" for one in row.citations or ()],
            }
            for row in found
        ],
    }


def heard(connection: Connection, about: Row[Any], waiting: Sequence[Any], house: House) -> tuple[str, Said | None]:
    """Put a customer's messages into the transcript, where no bot may answer them.

    Args:
        connection: Of the transaction.
        about: The conversation, locked.
        waiting: The messages, in order; at least one.
        house: The deployment.

    Returns:
        The turn that holds them, and the line that a waiting customer is told once.
    """
    turn = transcript.heard_turn(connection, about.id, waiting)
    kind: EventKind = "message.received" if about.state == "person" else "message.heard"
    house.tell(connection, Event(kind, about.id, about.brand, turn=turn, by=about.owner))
    brand = house.brands.get(about.brand)
    if about.state != "waiting" or about.told or brand is None:
        return turn, None
    connection.execute(_of(about.id).values(told=TOLD_TO_WAIT))
    return turn, transcript.say(connection, about, brand.handover.words.waiting, author=None, key=None, house=house)


def reopen(connection: Connection, about: Row[Any]) -> None:
    """A customer writes in a closed conversation."""
    _move(
        connection,
        about,
        "bot",
        by=CUSTOMER,
        why="writes again",
        anew=True,
    )


def nobody_came(connection: Connection, conversation: str, *, house: House) -> Change | None:
    """Tell a waiting customer that nobody is there, once; the bot answers again where the brand says so.

    What they wrote while they waited is then the bot's to answer: its lane must look at the conversation.

    Returns:
        What changed; None where a person was quicker, or it was told already.
    """
    about = lock(connection, conversation)
    brand = house.brands.get(about.brand)
    if about.state != "waiting" or about.told >= TOLD_NOBODY or brand is None:
        return None
    back = brand.handover.then == "bot"
    if not (back or may_speak(about, house)):
        _hear(connection, about, house)
    said = transcript.say(connection, about, brand.handover.words.nobody, author=None, key=None, house=house)
    if back:
        _unhear(connection, about)
        # The hand-over stays open: the team still sees that somebody asked for them.
        change = _move(
            connection,
            about,
            "bot",
            by=BOT,
            why="nobody came in time",
            anew=True,
        )
        connection.execute(_of(about.id).values(told=TOLD_NOBODY))
        return replace(change, said=said)
    connection.execute(_of(about.id).values(told=TOLD_NOBODY))
    return Change(about.id, "waiting", "waiting", None, said=said)


# --- parts -----------------------------------------------------------------------------------------------------------


def _owned(
    connection: Connection, conversation: str, by: str, account: str | None, *, force: bool
) -> tuple[Row[Any], str]:
    """The conversation, locked, where this person may do something with it, and their name."""
    about, name = lock(connection, conversation), _name(by)
    _own(about, name, account, force=force)
    return about, name


def _own(about: Row[Any], by: str, account: str | None, *, force: bool) -> None:
    if about.state == "person" and not force and not has(about, by, account):
        raise TakenByAnother(
            f"{about.owner} has this conversation, and keeps it unless it is taken from them by force.",
            owner=about.owner,
        )


def _name(by: str) -> str:
    name = " ".join(storable(by).split())
    if not name or len(name) > 100 or name.casefold() in (BOT, CUSTOMER):
        raise RequestInvalid(
            "A person needs a name of 1 to 100 characters, and neither `bot` nor `customer`.", param="by"
        )
    return name


def _of(conversation: str) -> Any:
    return update(conversations).where(conversations.c.id == conversation)


def _move(
    connection: Connection,
    about: Row[Any],
    to: State,
    *,
    by: str,
    why: str,
    owner: str | None = None,
    owner_id: str | None = None,
    withheld: tuple[str, ...] = (),
    anew: bool = False,
) -> Change:
    if to not in ALLOWED[about.state]:
        raise NotPossible(f"A conversation that is `{about.state}` cannot become `{to}`.")
    values: dict[str, Any] = {"state": to, "owner": owner, "owner_id": owner_id, "state_at": now(), "told": 0}
    if anew:  # what was said until now leads to no hand-over again
        values["rules_from"] = transcript.last_number(connection, about.id)
    connection.execute(_of(about.id).values(**values))
    _record(connection, about.id, about.state, to, by=by, why=why)
    return Change(about.id, about.state, to, owner, withheld, moved=True)


def _record(connection: Connection, conversation: str, was: str, became: str, *, by: str, why: str) -> None:
    row = {"conversation_id": conversation, "was": was, "became": became, "by": by, "why": storable(why), "at": now()}
    connection.execute(transitions.insert(), row)


def _silence(connection: Connection, conversation: str) -> tuple[str, ...]:
    """End the turn that runs without a reply, and take back replies of the bot for which no call was made yet."""
    query = select(turns.c.id).where(turns.c.conversation_id == conversation, is_running).with_for_update()
    withheld = list(connection.execute(query).scalars())
    if withheld:
        over = {"state": "withheld", "finished_at": now()}
        connection.execute(update(turns).where(turns.c.id.in_(withheld)).values(**over))
    planned = (
        select(outbox.c.id, outbox.c.turn_id, outbox.c.provider_ids)
        .join(turns, turns.c.id == outbox.c.turn_id)
        .where(turns.c.conversation_id == conversation, turns.c.author.is_(None), outbox.c.state == "planned")
        .with_for_update(of=outbox)
    )
    for row in connection.execute(planned).all():
        if row.provider_ids:  # a part of it is with the customer, or may be
            continue
        reason = {"state": "withheld", "last_error": "a person took over before this was sent"}
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(**reason))
        connection.execute(update(turns).where(turns.c.id == row.turn_id).values(state="withheld"))
        withheld.append(row.turn_id)
    return tuple(withheld)


def _hear(connection: Connection, about: Row[Any], house: House, *, now_with: str | None = None) -> None:
    """Put into the transcript what the customer said and no turn has taken up, so that it keeps its place."""
    query = (
        select(inbox.c.id, inbox.c.text)
        .where(inbox.c.conversation_id == about.id, inbox.c.turn_id.is_(None), ~inbox.c.withdrawn)
        .order_by(inbox.c.id)
    )
    if waiting := connection.execute(query).all():
        turn = transcript.heard_turn(connection, about.id, waiting)
        kind: EventKind = "message.received" if now_with else "message.heard"
        house.tell(connection, Event(kind, about.id, about.brand, turn=turn, by=now_with))


def _unhear(connection: Connection, about: Row[Any]) -> None:
    """What the customer said since the hand-over, and nobody answered, is unanswered again."""
    of_handoffs = select(turns.c.number).join(handoffs, handoffs.c.turn_id == turns.c.id)
    since = connection.execute(
        of_handoffs.where(turns.c.conversation_id == about.id).order_by(turns.c.number.desc()).limit(1)
    ).scalar_one_or_none()
    heard = select(turns.c.id).where(
        turns.c.conversation_id == about.id, turns.c.state == "heard", turns.c.number > (since or 0)
    )
    found = list(connection.execute(heard).scalars())
    for table in (inbox, hooks):
        connection.execute(update(table).where(table.c.turn_id.in_(found)).values(turn_id=None))
    connection.execute(delete(turns).where(turns.c.id.in_(found)))


def _handoffs(connection: Connection, conversation: str, states: Sequence[str]) -> list[str]:
    query = select(handoffs.c.id).where(handoffs.c.conversation_id == conversation, handoffs.c.state.in_(states))
    return list(connection.execute(query.order_by(handoffs.c.created_at)).scalars())


def _close_handoffs(connection: Connection, about: Row[Any], by: str, house: House) -> None:
    found = _handoffs(connection, about.id, ("open", "taken"))
    for handoff in found:
        closed = {"state": "closed", "closed_at": now()}
        connection.execute(update(handoffs).where(handoffs.c.id == handoff).values(**closed))
    # A person who took it without a hand-over before gives it back all the same.
    for one in (*found,) or ((None,) if about.state == "person" else ()):
        house.tell(connection, Event("handoff.closed", about.id, about.brand, handoff=one, by=by))
