"""Canned replies: kept by brand, found by title, with places that are filled in."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from service.errors import CannedReplyUnknown, RequestInvalid
from service.people import canned
from service.storage.database import Database


async def write(db: Database, title: str, text: str = "Hello, I am {name}.", **more: Any) -> dict[str, Any]:
    values = {"brand": "velmora", "by": "Eva", **more}
    return await db.write(lambda c: canned.write(c, title=title, text=text, **values))


async def test_replies_are_made_changed_listed_and_deleted(db: Database) -> None:
    first = await write(db, "  Greeting \n of a person ")
    assert (first["title"], first["changed_by"]) == ("Greeting of a person", "Eva")
    other = await write(db, "Greeting of a person", brand="dicehollow")
    second = await write(db, "Apology", "We are sorry.")
    assert [one["title"] for one in await db.read(lambda c: canned.listed(c, ["velmora"]))] == [
        "Apology", "Greeting of a person",
    ]  # fmt: skip
    assert len(await db.read(canned.listed)) == 3
    changed = await write(db, "Sorry", "We are very sorry.", reply=second["id"], by="Ada")
    assert (changed["id"], changed["text"], changed["changed_by"]) == (second["id"], "We are very sorry.", "Ada")
    assert (await db.write(lambda c: canned.remove(c, other["id"])))["brand"] == "dicehollow"
    for gone in (other["id"], "nothing"):
        with pytest.raises(CannedReplyUnknown):
            await db.write(partial(canned.remove, reply=gone))
        with pytest.raises(CannedReplyUnknown):
            await write(db, "New", reply=gone)


async def test_a_title_that_is_taken_is_refused_and_nothing_changes(db: Database) -> None:
    first, second = await write(db, "One", "1"), await write(db, "Two", "2")
    for reply in (None, second["id"]):
        with pytest.raises(RequestInvalid, match="has a canned reply 'One' already"):
            await write(db, "One", "3", reply=reply)
    assert {one["text"] for one in await db.read(canned.listed)} == {first["text"], second["text"]}


@pytest.mark.parametrize(
    ("title", "text", "told"),
    [
        ("", "x", "title of 1 to 100"),
        ("x" * 101, "x", "title of 1 to 100"),
        ("x", " ", "text of 1 to"),
        ("x", "x" * 4001, "text of 1 to"),
        ("x", "Hello {nam}", "did you mean 'name'"),
        ("x", "Hello {}", "stands for nothing here"),
    ],
)
async def test_what_cannot_be_one_is_refused(db: Database, title: str, text: str, told: str) -> None:
    with pytest.raises(RequestInvalid, match=told):
        await write(db, title, text)


def test_places_are_filled_once() -> None:
    text = "I am {name} of {brand}. { } {other}"
    assert canned.filled(text, name="{brand}", brand="Velmora") == "I am {brand} of Velmora. { } {other}"
