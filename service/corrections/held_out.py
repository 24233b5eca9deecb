"""A brand's held-out questions: what a new voice is judged by, what is missing, and what customers asked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, select

from configs.brand import Brand
from configs.cases import MIN_CASES_A_MEASURE, add_cases, added_file, case_files, remove_case
from configs.home import Home
from configs.json_lines import read_rows
from service.corrections.masking import Masker
from service.errors import NotFound, NotPossible, RequestInvalid, brand_of
from service.storage.database import Database, storable
from service.storage.tables import conversations, turns
from service.turns.grounded import strip_marks

Kind = Literal["page", "none", "person"]
"""Who has the answer: a page, nobody, or a person."""
MOST_AT_ONCE = 200
MOST_CHARS = 500
LOOKED_AT = 500
"""Conversations whose first question is looked at, the newest."""
KIND_OF: Mapping[str | None, Kind] = {"answered": "page", "handed_off": "person"}
"""What a question probably is, by what became of it; what was refused has no page."""


@dataclass(frozen=True, slots=True)
class Case:
    """A held-out question."""

    id: str
    question: str
    document: str | None
    holds: tuple[str, ...]
    kind: Kind
    removable: bool
    """Whether it lies in the state folder; what a deployment's file names is the deployment's."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is, and what the gate wants."""

    cases: tuple[Case, ...]
    wanted: int
    wanted_a_kind: int
    """Of a kind with fewer, the gate does not judge how the voice does."""
    gate: bool
    """Whether the brand has questions of its own, without which there is no gate."""

    def count(self, kind: Kind) -> int:
        """How many there are of a kind."""
        return sum(one.kind == kind for one in self.cases)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a customer asked first, and what became of it; personal data is hidden."""

    turn: str
    question: str
    said: str
    kind: Kind
    document: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class New:
    """A question that shall be one."""

    question: str
    kind: Kind
    document: str | None = None
    holds: tuple[str, ...] = ()
    turn: str | None = None
    """Where a customer asked it."""


Note = Callable[[Connection, str, str, Mapping[str, Any]], None]
"""Told of what was done, to which, and how many, in a transaction of its own."""


class HeldOut:
    """Held-out questions of all brands of a gateway."""

    def __init__(
        self, db: Database, home: Home, brands: Mapping[str, Brand], documents: Callable[[str], Collection[str]]
    ) -> None:
        """Open it.

        Args:
            db: Holds what customers asked.
            home: The state folder.
            brands: By name.
            documents: Names of the documents of a brand's knowledge.
        """
        self._db = db
        self._home = home
        self._brands = brands
        self._documents = documents

    async def standing(self, brand: str) -> Standing:
        """All of a brand's, and what the gate wants.

        Raises:
            BrandUnknown: There is no such brand.
            NotPossible: A file of them cannot be read.
        """
        known = brand_of(self._brands, brand)
        cases = await asyncio.to_thread(self._read, known)
        gate = known.questions is not None and known.questions.is_file()
        return Standing(cases, known.gate.min_cases, MIN_CASES_A_MEASURE, gate)

    async def asked(self, brand: str, standing: Standing, *, skip: int, count: int) -> list[Asked]:
        """First questions of conversations that are no held-out ones yet, the newest first."""
        there = {_plain(one.question) for one in standing.cases}
        rows = await self._db.read(lambda connection: _first_questions(connection, brand))
        return (await asyncio.to_thread(self._fit, brand, rows, there, skip + count))[skip:]

    async def add(self, brand: str, new: Sequence[New], note: Note) -> int:
        """Add those that are not there yet; personal data in them is hidden.

        Returns:
            How many were added.

        Raises:
            BrandUnknown: There is no such brand.
            RequestInvalid: One says nothing, or names a page that is not there.
        """
        known = brand_of(self._brands, brand)
        if not new or len(new) > MOST_AT_ONCE:
            raise RequestInvalid(f"Give 1 to {MOST_AT_ONCE} questions.", param="questions")
        named = {one.turn for one in new if one.turn}
        if named - await self._db.read(lambda connection: _turns_of(connection, brand, named)):
            raise RequestInvalid("A turn that is named is none of this brand's.", param="turn")
        added = await asyncio.to_thread(self._keep, known, new)
        if added:
            await self._db.write(lambda connection: note(connection, "added", brand, {"questions": added}))
        return added

    async def remove(self, brand: str, case: str, note: Note) -> None:
        """Take one out.

        Raises:
            NotFound: There is none with this id.
            NotPossible: It stands in a file that is the deployment's.
        """
        found = next((one for one in (await self.standing(brand)).cases if one.id == case), None)
        if found is not None and not found.removable:
            raise NotPossible("It stands in a file of the deployment; take it out there, or correct what it came from.")
        files = self._ours(self._brands[brand])
        if not await asyncio.to_thread(lambda: any(remove_case(path, case) for path in files)):
            raise NotFound("There is no such held-out question; somebody may have taken it out.")
        await self._db.write(lambda connection: note(connection, "removed", case, {}))

    def _ours(self, brand: Brand) -> tuple[Path, ...]:
        """Files that people write into here; what corrections made goes with its correction."""
        own = brand.questions
        made_here = own is not None and own.absolute().is_relative_to(self._home.root.absolute())
        return (*((own,) if own is not None and made_here else ()), added_file(self._home, brand.name))

    def _keep(self, brand: Brand, new: Sequence[New]) -> int:
        documents, masker = set(self._documents(brand.name)), Masker(brand)
        rows = [_row(one, documents, masker) for one in new]
        there = {_plain(one.question) for one in self._read(brand)}
        fresh = {_plain(row["question"]): row for row in rows if _plain(row["question"]) not in there}
        return add_cases(self._home, brand.name, fresh.values())

    def _read(self, brand: Brand) -> tuple[Case, ...]:
        ours = self._ours(brand)
        found: dict[str, Case] = {}
        for path in case_files(brand, self._home):
            try:
                found |= {str(row["id"]): _case(row, path in ours) for row in read_rows(path)}
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise NotPossible(f"The held-out questions cannot be read: {path.name}: {error}") from error
        return tuple(found.values())

    def _fit(self, brand: str, rows: Sequence[Any], there: set[str], most: int) -> list[Asked]:
        known = self._brands[brand]
        masker, documents, found = Masker(known), set(self._documents(brand)), list[Asked]()
        for row in rows:
            question = masker.customer(" ".join(row.question.split()))
            if len(question) > MOST_CHARS or _plain(question) in there:
                continue
            there.add(_plain(question))
            cited = next((one["document"] for one in row.citations if one.get("document") in documents), None)
            kind = KIND_OF.get(row.outcome, "none")
            said = masker.reply(strip_marks(row.text))
            found.append(Asked(row.id, question, said, kind, cited, row.created_at))
            if len(found) >= most:
                break
        return found


def _first_questions(connection: Connection, brand: str) -> Sequence[Any]:
    """Later ones lean on what was said before, and say little by themselves."""
    return connection.execute(
        select(turns.c.id, turns.c.question, turns.c.text, turns.c.outcome, turns.c.citations, turns.c.created_at)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(conversations.c.brand == brand, turns.c.number == 1, turns.c.question != "")
        .where(turns.c.outcome.in_(("answered", "refused", "handed_off")))
        .order_by(turns.c.created_at.desc())
        .limit(LOOKED_AT)
    ).all()


def _turns_of(connection: Connection, brand: str, which: Collection[str]) -> set[str]:
    query = select(turns.c.id).join(conversations, conversations.c.id == turns.c.conversation_id)
    return set(connection.execute(query.where(turns.c.id.in_(which), conversations.c.brand == brand)).scalars())


def _row(new: New, documents: Collection[str], masker: Masker) -> dict[str, Any]:
    question = masker.customer(" ".join(storable(new.question).split()))
    if not 3 <= len(question) <= MOST_CHARS:
        raise RequestInvalid(f"A question has 3 to {MOST_CHARS} characters.", param="question")
    row: dict[str, Any] = {
        "id": f"turn:{new.turn}" if new.turn else f"person:{secrets.token_hex(6)}",
        "question": question,
        "document": None,
    }
    if new.kind == "person":
        return row | {"handoff": True}
    if new.kind == "none":
        return row
    if new.document not in documents:
        raise RequestInvalid("Choose the page that answers it.", param="document")
    holds = [one for line in new.holds if (one := storable(line).strip())]
    return row | {"document": new.document} | ({"answer_contains": holds} if holds else {})


def _case(row: Mapping[str, Any], removable: bool) -> Case:
    document = row.get("document")
    kind: Kind = "person" if row.get("handoff") else "page" if document else "none"
    return Case(str(row["id"]), str(row["question"]), document, tuple(row.get("answer_contains", ())), kind, removable)


def _plain(question: str) -> str:
    return "".join(one for one in question.casefold() if one.isalnum())
