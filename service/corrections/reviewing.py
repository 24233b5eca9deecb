"""Who looks at a correction, and when it is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, exists, func, select, true, update

from service.corrections.terms import Correction, Kind, Review, State, Who
from service.errors import CorrectionUnknown, NotPossible
from service.storage.database import now
from service.storage.tables import correction_reviews, corrections

Mode = Literal["anyone", "another", "two"]
"""As `configs.corrections.Corrections.review` says it."""


def decided(mode: Mode, reviews: Sequence[Review]) -> bool | None:
    """Whether the reviews of the present words accept them; None where more must look.

    With two reviewers who disagree, the third decides.
    """
    yes = sum(one.accepts for one in reviews)
    no = len(reviews) - yes
    needed = 2 if mode == "two" else 1
    if yes >= needed:
        return True
    return False if no >= needed else None


def may_review(mode: Mode, one: Correction, by: Who) -> str | None:
    """Why a person may not review a correction; None where they may."""
    if one.state != "proposed":
        return f"It is {one.state} already."
    if mode != "anyone" and one.proposed_key == by.key:
        return "Who proposed a correction does not review it here; another person must."
    if any(review.key == by.key for review in one.current_reviews):
        return "You have reviewed it already."
    return None


def read(connection: Connection, correction: str, *, lock: bool = False) -> Correction:
    """One correction with its reviews.

    Raises:
        CorrectionUnknown: There is none.
    """
    query = select(corrections).where(corrections.c.id == correction)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise CorrectionUnknown(f"There is no correction {correction!r}.")
    about = select(correction_reviews).where(correction_reviews.c.correction_id == correction)
    return Correction.of(row, connection.execute(about.order_by(correction_reviews.c.id)).all())


def listed(
    connection: Connection,
    *,
    brand: str | None = None,
    state: State | None = None,
    kind: Kind | None = None,
    turn: str | None = None,
    limit: int = 100,
) -> list[Correction]:
    """Corrections, newest first, with their reviews."""
    wanted: list[ColumnElement[bool]] = [true()]
    wanted += [corrections.c.brand == brand] if brand else []
    wanted += [corrections.c.state == state] if state else []
    wanted += [corrections.c.kind == kind] if kind else []
    wanted += [corrections.c.turn_id == turn] if turn else []
    newest = corrections.c.proposed_at.desc()
    rows = connection.execute(select(corrections).where(*wanted).order_by(newest, corrections.c.id).limit(limit)).all()
    return with_reviews(connection, rows)


def with_reviews(connection: Connection, rows: Sequence[Any]) -> list[Correction]:
    """Rows of corrections as corrections."""
    ids = [row.id for row in rows]
    query = select(correction_reviews).where(correction_reviews.c.correction_id.in_(ids))
    found: dict[str, list[Any]] = {one: [] for one in ids}
    for review in connection.execute(query.order_by(correction_reviews.c.id)).all():
        found[review.correction_id].append(review)
    return [Correction.of(row, found[row.id]) for row in rows]


def queue(connection: Connection, brand: str, mode: Mode, by: Who) -> list[Correction]:
    """What waits for this person, the oldest first."""
    mine = exists().where(
        correction_reviews.c.correction_id == corrections.c.id,
        correction_reviews.c.revision == corrections.c.revision,
        correction_reviews.c.key == by.key,
    )
    query = (
        select(corrections)
        .where(corrections.c.brand == brand, corrections.c.state == "proposed", ~mine)
        .where(true() if mode == "anyone" else corrections.c.proposed_key != by.key)
        .order_by(corrections.c.proposed_at, corrections.c.id)
    )
    return with_reviews(connection, connection.execute(query).all())


def counts(connection: Connection, brand: str) -> dict[str, dict[str, int]]:
    """How many corrections a brand has, by state and kind."""
    query = (
        select(corrections.c.state, corrections.c.kind, func.count())
        .where(corrections.c.brand == brand)
        .group_by(corrections.c.state, corrections.c.kind)
    )
    found: dict[str, dict[str, int]] = {}
    for state, kind, count in connection.execute(query):
        found.setdefault(state, {})[kind] = count
    return found


def reviewed_twice(connection: Connection, brand: str) -> list[list[Review]]:
    """The reviews of each state of the words that two people or more looked at."""
    table = correction_reviews
    several = (
        select(table.c.correction_id, table.c.revision)
        .join(corrections, corrections.c.id == table.c.correction_id)
        .where(corrections.c.brand == brand)
        .group_by(table.c.correction_id, table.c.revision)
        .having(func.count() > 1)
        .subquery()
    )
    same = and_(several.c.correction_id == table.c.correction_id, several.c.revision == table.c.revision)
    found: dict[tuple[str, int], list[Review]] = {}
    for row in connection.execute(select(table).join(several, same).order_by(table.c.id)).all():
        review = Review(row.by, row.key, row.revision, row.accepts, row.note, row.at)
        found.setdefault((row.correction_id, row.revision), []).append(review)
    return list(found.values())


def change(connection: Connection, one: Correction, values: Mapping[str, Any], masked: int) -> None:
    """Give a correction new words, which nobody has reviewed yet."""
    grown = {"revision": one.revision + 1, "masked": one.masked + masked}
    connection.execute(update(corrections).where(corrections.c.id == one.id).values(**values, **grown))


def note(connection: Connection, one: Correction, mode: Mode, *, by: Who, accepts: bool, note: str) -> State:
    """Keep a review, and decide where that is enough.

    Args:
        connection: With the correction locked.
        one: As it stands.
        mode: Who must look.
        by: The reviewer.
        accepts: What they say.
        note: Why.

    Returns:
        The correction's state.

    Raises:
        NotPossible: This person may not review it.
    """
    if reason := may_review(mode, one, by):
        raise NotPossible(reason)
    review = Review(by.name, by.key, one.revision, accepts, note, now())
    row = {"correction_id": one.id, "revision": one.revision, "accepts": accepts, "note": note}
    connection.execute(correction_reviews.insert(), row | {"by": by.name, "key": by.key, "at": review.at})
    verdict = decided(mode, (*one.current_reviews, review))
    if verdict is None:
        return "proposed"
    state: State = "accepted" if verdict else "rejected"
    values = {"state": state, "decided_at": review.at}
    connection.execute(update(corrections).where(corrections.c.id == one.id).values(**values))
    return state


def accepted(connection: Connection, brand: str | None = None) -> list[Correction]:
    """What was accepted and not taken back, the oldest first."""
    ours = corrections.c.brand == brand if brand else true()
    query = select(corrections).where(ours, corrections.c.state == "accepted")
    rows = connection.execute(query.order_by(corrections.c.decided_at, corrections.c.id)).all()
    return with_reviews(connection, rows)


def fingerprint(connection: Connection) -> frozenset[tuple[str, int, int]]:
    """Tells whether the accepted corrections are others than before."""
    # Forgetting one of several people takes what was said before out of the others' corrections.
    kept = func.length(cast(corrections.c.history, Text))
    query = select(corrections.c.id, corrections.c.revision, kept).where(corrections.c.state == "accepted")
    return frozenset((row[0], row[1], row[2]) for row in connection.execute(query))
