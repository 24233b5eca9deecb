"""A person writes the answer that the bot lacked: a page of the brand's knowledge, and a case to judge adapters by."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from configs.brand import Brand
from configs.cases import add_cases
from configs.home import Home
from configs.whole_file import replace_text
from retrieval.brand_search import search_encoder
from retrieval.encoder import Encoder
from retrieval.grounding.fence import Fence
from retrieval.knowledge import store
from retrieval.knowledge.inspection import list_documents
from retrieval.search.knowledge_base import KnowledgeBase
from service.errors import RequestInvalid, brand_of
from service.people.unanswered import asked_among, settle
from service.storage.database import Database, storable

MOST_CHARS = 20_000
PREFIX = "answer-"
"""Begins the names of pages that were written so, beside the brand's own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person wrote."""

    title: str
    """Of the page, such as the question itself."""
    text: str
    """Markdown."""
    question: str
    """What the case asks; empty for no case."""
    holds: tuple[str, ...] = ()
    """Strings that a right answer to it holds, any letter case."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it."""

    document: str
    version: str
    """Of the knowledge base."""
    settled: tuple[str, ...]
    """Turns whose question it answers."""
    found: bool
    """Whether a search for the question finds the page and judges that it holds the answer."""
    answerability: float
    """Probability, 0 to 1, that what the search finds holds the answer."""
    left_out: tuple[str, ...]
    """Sentences that no model will read, because they instruct an assistant."""


Note = Callable[[Connection, str, Sequence[str]], None]
"""Told of document and settled turns in the transaction that settles them."""


class Answering:
    """Writes pages into brands' knowledge."""

    def __init__(
        self,
        db: Database,
        brands: Mapping[str, Brand],
        home: Home,
        encoder: Encoder,
        knowledge: Mapping[str, KnowledgeBase],
    ) -> None:
        self._db = db
        self._brands = brands
        self._home = home
        self._encoder = encoder
        self._knowledge = knowledge

    async def write(
        self, brand: str, answer: Answer, turns: Collection[str], *, by: str, note: Note = lambda *_: None
    ) -> Written:
        """Make the page and the case, and settle the questions; the same once more does nothing again.

        Args:
            brand: Whose knowledge.
            answer: What was written.
            turns: Whose questions it answers; the first gives the case its id.
            by: The person.
            note: Told of it.

        Raises:
            BrandUnknown: There is no such brand.
            ConversationUnknown: One is no turn of this brand's.
            RequestInvalid: The page says nothing, or too much.
            RetrievalError: The knowledge base cannot take it.
        """
        brand_of(self._brands, brand)
        title, text = " ".join(storable(answer.title).split()), storable(answer.text).strip()
        _check(title, text)
        question = " ".join(storable(answer.question).split())
        await self._db.read(lambda connection: asked_among(connection, brand, turns))
        # A thread of its own: embedding a page takes some tenths of a second, and waits where somebody else writes.
        document, change = await asyncio.to_thread(self._take_in, brand, title, text, by)
        if question and turns:
            case: dict[str, Any] = {"id": f"inbox:{next(iter(turns))}", "question": question, "document": document}
            holds = [one.strip() for one in answer.holds if one.strip()]
            case |= {"answer_contains": holds} if holds else {}
            await asyncio.to_thread(add_cases, self._home, brand, [case])

        def work(connection: Connection) -> tuple[str, ...]:
            fresh = settle(connection, brand, turns, by=by, document=document)
            note(connection, document, fresh)
            return fresh

        settled = await self._db.write(work)
        found, answerability = await asyncio.to_thread(self._try, brand, question or title, document)
        left_out = tuple(one.text for one in change.left_out if one.path == document)
        return Written(document, change.version, settled, found, answerability, left_out)

    def _take_in(self, brand: str, title: str, text: str, by: str) -> tuple[str, store.Change]:
        """Write the page beside others that were written so, and let the knowledge base take it in as a new version."""
        held = {one.id for one in list_documents(self._home.knowledge, brand)}
        folder = self._home.pages / brand
        page = f"# {title}\n\n{text}\n"
        path = _free(folder, _slug(title), page, held)
        replace_text(path, page)
        encoder = search_encoder(self._home, self._brands[brand], self._encoder)
        change = store.add(self._home.knowledge, brand, path, encoder, judge=Fence(self._encoder), by=by)
        if change.skipped:
            path.unlink()
            raise RequestInvalid(f"The page cannot be read: {change.skipped[0].reason}", param="text")
        return path.name, change

    def _try(self, brand: str, question: str, document: str) -> tuple[bool, float]:
        knowledge, settings = self._knowledge[brand], self._brands[brand].retrieval
        knowledge.refresh()
        result = knowledge.search(question, top_k=settings.top_k)
        there = any(one.document == document for one in result.passages)
        return there and result.answerability >= settings.min_answerability, round(result.answerability, 4)


def _check(title: str, text: str) -> None:
    if not title or len(title) > 200:
        raise RequestInvalid("A page needs a title of 1 to 200 characters.", param="title")
    if not text or len(text) > MOST_CHARS:
        raise RequestInvalid(f"A page needs a text of 1 to {MOST_CHARS} characters.", param="text")


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return PREFIX + (re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "page")


def _free(folder: Path, slug: str, page: str, held: Collection[str]) -> Path:
    """A name that no other document has, or that of this very page, where somebody pressed twice."""
    number = 1
    while True:
        path = folder / (f"{slug}.md" if number == 1 else f"{slug}-{number}.md")
        if path.is_file() and path.read_text("utf-8") == page:
            return path
        if not path.exists() and path.name not in held:
            return path
        number += 1
