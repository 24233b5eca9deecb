"""The inbox: conversations of all channels, those in which something was said last first, found by what is amiss.

Conversations hold no moment of their last message, which every message would have to write. The newest turns are
walked instead, along their index, until a page is full; what few states and thumbs name is looked up the other way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, exists, func, literal, or_, select, tuple_

from service.conversation.takeover import State
from service.errors import RequestInvalid
from service.storage.tables import Utc, conversations, feedback, handoffs, inbox, turns

Sign = Literal["unanswered", "refused", "low_support", "thumbs_down", "handed_off"]
"""What may be amiss. `unanswered`: it waits for a person, or the person who has it owes an answer."""
SIGNS: tuple[Sign, ...] = get_args(Sign)
LOW_SUPPORT = 0.4
"""An answer whose best citation scores less is worth a look."""
SEARCHED_TURNS = 50_000
"""So many of the newest turns are searched for a text: half a second where nothing is found."""
SHOWN_CHARS = 200

_later = turns.alias("later")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conversations; what is left out asks for nothing."""

    brands: Collection[str] | None = None
    """None: of all brands."""
    state: State | None = None
    channel: str | None = None
    owner: str | None = None
    """The name of the person who has it."""
    owner_id: str | None = None
    """Their account."""
    signs: Collection[Sign] = ()
    """All of them."""
    text: str = ""
    """Said by either side, whatever the case of its letters."""


ALL = Wanted()


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of conversations."""

    conversations: tuple[dict[str, Any], ...]
    next: str | None
    """The cursor of the next page; None where this is the last."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A conversation's place in the list."""

    at: datetime
    conversation: str

    def cursor(self) -> str:
        return f"{self.at.isoformat()}~{self.conversation}"


def listed(connection: Connection, wanted: Wanted, *, cursor: str | None = None, limit: int = 50) -> Listing:
    """One page.

    Args:
        connection: Of the transaction.
        wanted: Which.
        cursor: `next` of the page before.
        limit: At most so many.

    Raises:
        RequestInvalid: The cursor is none of ours.
    """
    if wanted.brands is not None and not wanted.brands:
        return Listing((), None)
    after = _read_cursor(cursor) if cursor else None
    conditions = _conditions(wanted)
    places = [
        _Place(row.at, row.id)
        for query in (_waiting(conditions, after), _walked(wanted, conditions, after))
        for row in connection.execute(query.limit(limit + 1)).all()
    ]
    places.sort(key=lambda one: (one.at, one.conversation), reverse=True)
    page = places[:limit]
    following = page[-1].cursor() if len(places) > limit and page else None
    return Listing(tuple(_described(connection, page)), following)


def count_unanswered(connection: Connection, brands: Collection[str] | None = None) -> int:
    """How many conversations wait for a person's answer."""
    query = select(func.count()).select_from(conversations).where(conversations.c.about.is_(None), _owed())
    if brands is not None:
        query = query.where(conversations.c.brand.in_(brands))
    return int(connection.execute(query).scalar_one())


# --- which -----------------------------------------------------------------------------------------------------------


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [conversations.c.about.is_(None)]
    if wanted.brands is not None:
        found.append(conversations.c.brand.in_(wanted.brands))
    for column, value in (
        (conversations.c.state, wanted.state),
        (conversations.c.channel, wanted.channel),
        (conversations.c.owner, wanted.owner),
        (conversations.c.owner_id, wanted.owner_id),
    ):
        if value:
            found.append(column == value)
    # Of the few that no bot has; said in so many words, so that both databases see that their index fits.
    if wanted.owner or wanted.owner_id or wanted.state in ("waiting", "person"):
        found.append(_held())
    found += [_SIGNS[sign]() for sign in wanted.signs]
    if text := wanted.text.strip():
        found.append(_says(text))
    return found


def _held() -> ColumnElement[bool]:
    held = select(_other.c.id).where(_other.c.state.in_(["waiting", "person"]))
    return conversations.c.id.in_(held)


_other = conversations.alias("other")


def _owed() -> ColumnElement[bool]:
    """A person's turn to answer: it waits for one, or the customer wrote after the last words of the one who has it."""
    mine = _later.c.conversation_id == conversations.c.id
    asked = select(func.max(_later.c.number)).where(mine, _later.c.question != "").scalar_subquery()
    answered = select(func.max(_later.c.number)).where(mine, _later.c.author.is_not(None)).scalar_subquery()
    owes = or_(func.coalesce(asked, 0) > func.coalesce(answered, 0), _pending())
    return and_(_held(), or_(conversations.c.state == "waiting", and_(conversations.c.state == "person", owes)))


def _pending() -> ColumnElement[bool]:
    """Something was said that no turn has taken up."""
    return exists().where(inbox.c.conversation_id == conversations.c.id, inbox.c.turn_id.is_(None), ~inbox.c.withdrawn)


def _refused() -> ColumnElement[bool]:
    return exists().where(_later.c.conversation_id == conversations.c.id, _later.c.outcome == "refused")


def _low_support() -> ColumnElement[bool]:
    return exists().where(_later.c.conversation_id == conversations.c.id, _later.c.support < LOW_SUPPORT)


def _thumbs_down() -> ColumnElement[bool]:
    down = select(_later.c.conversation_id).join(feedback, feedback.c.turn_id == _later.c.id)
    return conversations.c.id.in_(down.where(feedback.c.value == "down"))


def _handed_off() -> ColumnElement[bool]:
    return conversations.c.id.in_(select(handoffs.c.conversation_id).where(handoffs.c.conversation_id.is_not(None)))


_SIGNS: Mapping[Sign, Any] = {
    "unanswered": _owed,
    "refused": _refused,
    "low_support": _low_support,
    "thumbs_down": _thumbs_down,
    "handed_off": _handed_off,
}


def _says(text: str) -> ColumnElement[bool]:
    """Somebody said it, in one of the newest turns or in a message that waits for its own."""
    bound = select(turns.c.created_at).order_by(turns.c.created_at.desc()).offset(SEARCHED_TURNS).limit(1)
    recent = _later.c.created_at > func.coalesce(bound.scalar_subquery(), literal(_BEGINNING, Utc()))
    said = or_(*(column.icontains(text, autoescape=True) for column in (_later.c.question, _later.c.text)))
    waits = select(inbox.c.conversation_id).where(
        inbox.c.turn_id.is_(None), inbox.c.text.icontains(text, autoescape=True)
    )
    return or_(
        conversations.c.id.in_(select(_later.c.conversation_id).where(recent, said)), conversations.c.id.in_(waits)
    )


_BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


# --- in which order --------------------------------------------------------------------------------------------------


def _walked(wanted: Wanted, conditions: Sequence[ColumnElement[bool]], after: _Place | None) -> Select[Any]:
    """Conversations by their last turn, the newest first."""
    last = select(func.max(_later.c.number)).where(_later.c.conversation_id == turns.c.conversation_id)
    query = select(turns.c.conversation_id.label("id"), turns.c.created_at.label("at"))
    if _few(wanted):
        query = query.join(conversations, conversations.c.id == turns.c.conversation_id).where(~_pending(), *conditions)
    else:
        # A condition and not a join: SQLite would begin with all conversations, and sort them.
        query = query.where(exists().where(conversations.c.id == turns.c.conversation_id, ~_pending(), *conditions))
    query = query.where(turns.c.number == last.scalar_subquery())
    query = query.order_by(turns.c.created_at.desc(), turns.c.conversation_id.desc())
    return query if after is None else query.where(_beyond(turns.c.created_at, turns.c.conversation_id, after))


def _few(wanted: Wanted) -> bool:
    """Whether these are never many, so that looking them up is quicker than walking by."""
    return bool(
        wanted.owner
        or wanted.owner_id
        or wanted.state in ("waiting", "person")
        or {"unanswered", "thumbs_down", "handed_off"} & {*wanted.signs}
    )


def _waiting(conditions: Sequence[ColumnElement[bool]], after: _Place | None) -> Select[Any]:
    """Conversations with something that no turn has taken up yet, by the last of it; never many."""
    newest = (
        select(inbox.c.conversation_id, func.max(inbox.c.received_at, type_=Utc()).label("at"))
        .where(inbox.c.turn_id.is_(None), ~inbox.c.withdrawn)
        .group_by(inbox.c.conversation_id)
        .subquery("newest")
    )
    query = (
        select(conversations.c.id, newest.c.at)
        .join(newest, newest.c.conversation_id == conversations.c.id)
        .where(*conditions)
        .order_by(newest.c.at.desc(), conversations.c.id.desc())
    )
    return query if after is None else query.where(_beyond(newest.c.at, conversations.c.id, after))


def _beyond(at: ColumnElement[Any], conversation: ColumnElement[Any], after: _Place) -> ColumnElement[bool]:
    # The first condition lets the index begin at the right place; SQLite does not see that in the pair alone.
    pair = tuple_(at, conversation) < tuple_(literal(after.at, Utc()), literal(after.conversation))
    return and_(at <= literal(after.at, Utc()), pair)


def _read_cursor(cursor: str) -> _Place:
    at, _, conversation = cursor.partition("~")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not conversation:
        raise RequestInvalid("The cursor is not one of ours: give `next` of the page before.", param="cursor")
    return _Place(moment, conversation)


# --- what is shown of each -------------------------------------------------------------------------------------------


def _described(connection: Connection, page: Sequence[_Place]) -> list[dict[str, Any]]:
    ids = [one.conversation for one in page]
    if not ids:
        return []
    rows = {row.id: row for row in connection.execute(select(conversations).where(conversations.c.id.in_(ids))).all()}
    signs = _signs_of(connection, ids)
    last = _last_words(connection, ids)
    asked = select(handoffs.c.conversation_id, handoffs.c.reason).where(
        handoffs.c.conversation_id.in_(ids), handoffs.c.state != "closed"
    )
    reasons = {row.conversation_id: row.reason for row in connection.execute(asked.order_by(handoffs.c.created_at))}
    return [
        summary(rows[place.conversation])
        | {
            "last_at": place.at.isoformat(),
            "last": last.get(place.conversation),
            "signs": signs.get(place.conversation, []),
            "reason": reasons.get(place.conversation),
        }
        for place in page
        if place.conversation in rows
    ]


def summary(row: Row[Any]) -> dict[str, Any]:
    """What every list says of a conversation."""
    return {
        "id": row.id,
        "brand": row.brand,
        "channel": row.channel,
        "account": row.account,
        "state": row.state,
        "owner": row.owner,
        "owner_id": row.owner_id,
        "since": (row.state_at or row.created_at).isoformat(),
        "created_at": row.created_at.isoformat(),
        "identity": row.identity,
    }


def _signs_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[Sign]]:
    def any_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.max(case((condition, 1), else_=0))

    of_turns = (
        select(
            turns.c.conversation_id,
            any_of(turns.c.outcome == "refused").label("refused"),
            any_of(turns.c.support < LOW_SUPPORT).label("low_support"),
            any_of(feedback.c.value == "down").label("thumbs_down"),
        )
        .outerjoin(feedback, feedback.c.turn_id == turns.c.id)
        .where(turns.c.conversation_id.in_(ids))
        .group_by(turns.c.conversation_id)
    )
    owed = set(connection.execute(select(conversations.c.id).where(conversations.c.id.in_(ids), _owed())).scalars())
    handed = select(handoffs.c.conversation_id).where(handoffs.c.conversation_id.in_(ids))
    marks: dict[str, set[Sign]] = {name: set() for name in ids}
    for row in connection.execute(of_turns).all():
        for sign in ("refused", "low_support", "thumbs_down"):
            if getattr(row, sign):
                marks[row.conversation_id].add(sign)
    for name in owed:
        marks[name].add("unanswered")
    for name in connection.execute(handed).scalars():
        marks[name].add("handed_off")
    return {name: [sign for sign in SIGNS if sign in found] for name, found in marks.items()}


def _last_words(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Who said what last: a message that waits, else what the last turn ended with."""
    newest = select(func.max(_later.c.number)).where(_later.c.conversation_id == turns.c.conversation_id)
    query = select(turns.c.conversation_id, turns.c.question, turns.c.text, turns.c.author, turns.c.state).where(
        turns.c.conversation_id.in_(ids), turns.c.number == newest.scalar_subquery()
    )
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query).all():
        who = ("person" if row.author else "bot") if row.text and row.state != "withheld" else "customer"
        text = row.question if who == "customer" else row.text
        found[row.conversation_id] = {"from": who, "name": row.author, "text": text[:SHOWN_CHARS]}
    pending = select(inbox.c.conversation_id, inbox.c.text).where(
        inbox.c.conversation_id.in_(ids), inbox.c.turn_id.is_(None), ~inbox.c.withdrawn
    )
    for name, text in connection.execute(pending.order_by(inbox.c.id)):
        found[name] = {"from": "customer", "name": None, "text": text[:SHOWN_CHARS]}
    return found
