"""Canned replies: what a team says often, written once for each brand. Each function is part of a transaction."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from configs.yaml_file import did_you_mean
from service.errors import CannedReplyUnknown, RequestInvalid
from service.storage.database import now, storable
from service.storage.ids import fresh_id
from service.storage.tables import canned_replies

PLACES = ("name", "brand")
"""`{name}` stands for the name of the person who writes, `{brand}` for the brand's."""
MOST_CHARS = 4000
_PLACE = re.compile(r"\{([^{}\s]*)\}")


def filled(text: str, *, name: str, brand: str) -> str:
    """The text as the customer reads it."""
    values = {"name": name, "brand": brand}
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), text)


def listed(connection: Connection, brands: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The replies of these brands, or of all, by brand and title."""
    query = select(canned_replies).order_by(canned_replies.c.brand, canned_replies.c.title)
    if brands is not None:
        query = query.where(canned_replies.c.brand.in_(brands))
    return [_shown(row) for row in connection.execute(query).all()]


def one(connection: Connection, reply: str) -> dict[str, Any]:
    """One of them.

    Raises:
        CannedReplyUnknown: There is none.
    """
    row = connection.execute(select(canned_replies).where(canned_replies.c.id == reply)).one_or_none()
    if row is None:
        raise CannedReplyUnknown(f"There is no canned reply {reply!r}; somebody may have deleted it.")
    return _shown(row)


def write(
    connection: Connection, *, brand: str, title: str, text: str, by: str, reply: str | None = None
) -> dict[str, Any]:
    """Make one, or change one.

    Args:
        connection: Of the transaction.
        brand: Whose; that of one that is there stays.
        title: By which people find it; no other of the brand has it.
        text: What it says.
        by: Who writes it.
        reply: Which is changed; None makes one.

    Raises:
        RequestInvalid: The title is taken, or a place in the text is unknown.
        CannedReplyUnknown: There is none to change.
    """
    fresh = {"title": " ".join(storable(title).split()), "text": storable(text).strip(), "changed_by": by}
    _check(fresh["title"], fresh["text"])
    values = fresh | {"changed_at": now()}
    try:
        # In a transaction of its own within ours: PostgreSQL takes nothing more after a statement that failed.
        with connection.begin_nested():
            if reply is None:
                reply = fresh_id()
                connection.execute(canned_replies.insert(), values | {"id": reply, "brand": brand})
            elif not connection.execute(update(canned_replies).where(_is(reply)).values(**values)).rowcount:
                raise CannedReplyUnknown(f"There is no canned reply {reply!r}; somebody may have deleted it.")
    except IntegrityError as error:
        raise RequestInvalid(
            f"The brand has a canned reply {fresh['title']!r} already. Change that one, or choose another title.",
            param="title",
        ) from error
    return one(connection, reply)


def remove(connection: Connection, reply: str) -> dict[str, Any]:
    """Delete one; returns what it was.

    Raises:
        CannedReplyUnknown: There is none.
    """
    found = one(connection, reply)
    connection.execute(delete(canned_replies).where(_is(reply)))
    return found


def _is(reply: str) -> Any:
    return canned_replies.c.id == reply


def _check(title: str, text: str) -> None:
    if not title or len(title) > 100:
        raise RequestInvalid("A canned reply needs a title of 1 to 100 characters.", param="title")
    if not text or len(text) > MOST_CHARS:
        raise RequestInvalid(f"A canned reply needs a text of 1 to {MOST_CHARS} characters.", param="text")
    for place in _PLACE.findall(text):
        if place not in PLACES:
            known = " and ".join(f"{{{name}}}" for name in PLACES)
            raise RequestInvalid(
                f"{{{place}}} stands for nothing here{did_you_mean(place, PLACES)}. Known are {known}.", param="text"
            )


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "brand": row.brand,
        "title": row.title,
        "text": row.text,
        "changed_by": row.changed_by,
        "changed_at": row.changed_at.isoformat(),
    }
