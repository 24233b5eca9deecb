"""What people do with a brand's knowledge: look, edit, remove, bring back, try, compare versions, roll back."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from configs.brand import Brand
from retrieval.brand_search import search_encoder
from retrieval.documents.loading import is_address
from retrieval.errors import (
    DocumentChanged,
    DocumentUnknown,
    IndexMismatch,
    RetrievalError,
    VersionChanged,
    VersionUnknown,
)
from retrieval.grounding.fence import Fence
from retrieval.knowledge import inspection, store
from retrieval.knowledge.version import Entry
from service.bootstrap import Gateway
from service.console import audit
from service.console.access import Person, author, speaks_as
from service.console.inspector.inspecting import WhyNot, candidates, why_not
from service.console.inspector.prompt_parts import count_tokens
from service.console.knowledge.shown import (
    ComparedShown,
    DocumentLine,
    DocumentShown,
    DocumentsShown,
    EarlierText,
    IndexShown,
    Origin,
    PassageShown,
    RemovedLine,
    SearchShown,
    VersionLine,
)
from service.console.knowledge.words import GONE
from service.console.said import Said, _
from service.corrections import pages
from service.errors import BrandUnknown, NotFound, NotPossible, RequestInvalid
from service.intake.terms import Job
from service.intake.uploads import Brought, clean

LISTED = 500
"""Documents that a list shows."""
MOST_QUESTION = 2000
T = TypeVar("T")


class Library:
    """The knowledge of this gateway's brands, as people see it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.brands = gateway.config.brands
        self.intakes = gateway.intakes
        self._home = gateway.home
        self._root = gateway.home.knowledge

    def brand(self, name: str) -> Brand:
        """A brand of this gateway; BrandUnknown where there is none."""
        if name not in self.brands:
            raise BrandUnknown(Said(_("There is no brand %(name)s."), name=name))
        return self.brands[name]

    # --- looking -------------------------------------------------------------------------------------------------

    async def state(self, brand: str) -> IndexShown:
        """The state of the index."""
        return await self._do(brand, lambda: self._state(brand))

    def _state(self, brand: str) -> IndexShown:
        knowledge = self.gateway.knowledge[brand]
        current = next((one for one in inspection.versions(self._root, brand) if one.active), None)
        return IndexShown(
            version=current.name if current else None,
            searched=knowledge.version,
            created=datetime.fromisoformat(current.created) if current else None,
            by=current.by if current else "",
            documents=current.documents if current else 0,
            passages=current.chunks if current else 0,
            duplicates=current.duplicates if current else 0,
            encoder=knowledge.encoder.name,
        )

    async def documents(self, brand: str, words: str = "") -> DocumentsShown:
        """Documents whose title or name holds some words; all where there are none."""
        wanted = words.casefold().split()

        def work() -> DocumentsShown:
            found = [
                one
                for one in inspection.list_documents(self._root, brand)
                if all(word in f"{one.title}\n{one.id}".casefold() for word in wanted)
            ]
            return DocumentsShown(documents=tuple(self._line(brand, one) for one in found[:LISTED]), total=len(found))

        return await self._do(brand, work)

    def _line(self, brand: str, one: Entry) -> DocumentLine:
        return DocumentLine(
            document=one.id,
            title=one.title,
            origin=self._origin(brand, one.origin),
            address=one.origin if is_address(one.origin) else None,
            characters=one.chars,
            passages=one.rows,
            audience=one.metadata.audience,
            changed=datetime.fromisoformat(one.changed) if one.changed else None,
            by=one.by,
        )

    def _origin(self, brand: str, origin: str) -> Origin:
        if not origin:
            return "brought"
        if is_address(origin):
            return "web"
        below: Mapping[Origin, object] = {
            "pages": self.brands[brand].pages.resolve(),
            "written": (self._home.pages / brand).resolve(),
        }
        for name, folder in below.items():
            if origin == str(folder) or origin.startswith(f"{folder}/"):
                return name
        return "file"

    async def document(self, brand: str, name: str) -> DocumentShown:
        """One document, its passages as search has them, and what it said before."""

        def work() -> tuple[Entry, Sequence[inspection.ShownChunk], pages.Page, tuple[EarlierText, ...]]:
            entry, chunks = inspection.show_document(self._root, brand, name)
            return entry, chunks, pages.page(self._home, brand, name), self._earlier(brand, entry)

        entry, chunks, page, earlier = await self._do(brand, work)
        settings = self.gateway.config.service
        texts = [one.chunk.text for one in chunks]
        tokens: Sequence[int | None] = await count_tokens(self._home, settings, texts) or [None] * len(texts)
        return DocumentShown(
            **self._line(brand, entry).model_dump(),
            text=page.text,
            sha256=page.sha256,
            details={key: str(value) for key, value in entry.metadata.said().items()},
            cut=tuple(
                PassageShown(
                    id=one.chunk.id, heading=one.chunk.heading, text=one.chunk.text, start=one.chunk.start,
                    page=one.chunk.page, tokens=count, same_as=one.alias_of, left_out=one.instructions or (),
                )
                for one, count in zip(chunks, tokens, strict=True)
            ),
            earlier=earlier,
        )  # fmt: skip

    def _earlier(self, brand: str, now: Entry) -> tuple[EarlierText, ...]:
        """Kept versions in which a document says something else than now, each text once."""
        found, seen = [], {now.sha256}
        for version in inspection.versions(self._root, brand):
            entries = inspection.list_documents(self._root, brand, version.name)
            held = next((one for one in entries if one.id == now.id), None)
            if held is not None and held.sha256 not in seen:
                seen.add(held.sha256)
                said = datetime.fromisoformat(held.changed or version.created)
                found.append(EarlierText(version=version.name, created=said, by=held.by))
        return tuple(found)

    async def difference(
        self, brand: str, document: str, text: str | None = None, *, version: str | None = None,
        against: str | None = None,
    ) -> list[pages.Line]:  # fmt: skip
        """What changes in a document, line by line.

        Args:
            brand: Whose.
            document: Its name.
            text: What it shall say; what it says in `version` where absent.
            version: A kept version; the one that serves where absent.
            against: Likewise; what is compared with.
        """

        def said(which: str | None) -> str:
            # What a version does not hold says nothing there.
            with suppress(DocumentUnknown):
                return inspection.read_document(self._root, brand, document, which).text
            return ""

        def work() -> list[pages.Line]:
            new = said(version) if text is None else pages.normal(document, text)
            return pages.difference(said(against), new)

        return await self._do(brand, work)

    async def removed(self, brand: str) -> tuple[RemovedLine, ...]:
        """Documents that a kept version holds and the one that serves does not."""

        def work() -> tuple[RemovedLine, ...]:
            there = {one.id for one in inspection.list_documents(self._root, brand)}
            found: dict[str, RemovedLine] = {}
            for version in inspection.versions(self._root, brand):
                for one in inspection.list_documents(self._root, brand, version.name):
                    if one.id not in there and one.id not in found:
                        found[one.id] = RemovedLine(document=one.id, title=one.title, version=version.name)
            return tuple(found[name] for name in sorted(found))

        return await self._do(brand, work)

    async def search(self, brand: str, question: str) -> SearchShown:
        """What a question finds, with the scores of each stage."""
        said = " ".join(question.split())
        if not said or len(said) > MOST_QUESTION:
            raise RequestInvalid(_("Type a question of at most 2,000 characters."), param="question")
        settings = self.brand(brand).retrieval
        knowledge = self.gateway.knowledge[brand]

        def work() -> SearchShown:
            knowledge.refresh()
            # As a turn searches; below the cut the probability would count passages that no turn sees.
            result = knowledge.search(said, top_k=settings.top_k)
            return SearchShown(
                question=said,
                query=result.query,
                version=result.knowledge_version,
                answerability=result.answerability,
                min_answerability=settings.min_answerability,
                candidates=candidates(knowledge, self.brands[brand], said),
            )

        return await self._do(brand, work)

    async def why(self, brand: str, question: str, document: str, translate: Callable[[str], str] = str) -> WhyNot:
        """Where the search loses an expected document."""
        if not question.strip() or not document:
            raise RequestInvalid(_("Type a question, and name the page that should be found."), param="document")
        knowledge, shared, about = self.gateway.knowledge[brand], self.gateway.encoder, self.brand(brand)
        return await self._do(brand, lambda: why_not(knowledge, about, shared, question, (), document, translate))

    async def versions(self, brand: str) -> tuple[VersionLine, ...]:
        """The versions that are kept, the newest first."""

        def work() -> tuple[VersionLine, ...]:
            return tuple(VersionLine.model_validate(one) for one in inspection.versions(self._root, brand))

        return await self._do(brand, work)

    async def compare(self, brand: str, version: str, against: str = "") -> ComparedShown:
        """What would change if a version served instead of another one; of what serves, where none is named."""

        def work() -> ComparedShown:
            other = against or inspection.active_version(self._root, brand) or ""
            new = inspection.list_documents(self._root, brand, version)
            apart = inspection.compare(inspection.list_documents(self._root, brand, other), new)
            return ComparedShown(
                version=version, against=other, added=apart.added, changed=apart.changed, removed=apart.removed
            )

        return await self._do(brand, work)

    # --- changing ------------------------------------------------------------------------------------------------

    async def edit(self, person: Person, brand: str, document: str, text: str, sha256: str, by: str | None) -> str:
        """Let a document say something else; NotPossible where it was changed meanwhile."""
        name = speaks_as(person, by)
        about, shared = self.brand(brand), self.gateway.encoder
        if not text.strip():
            raise RequestInvalid(_("A document must say something. Delete it instead."), param="text")
        version = await self._do(
            brand,
            lambda: pages.amend(self._home, about, shared, document, text, expected=sha256, by=name),
        )
        await self._changed(person, name, brand, "knowledge.edited", document, {"version": version})
        return version

    async def write(self, person: Person, brand: str, title: str, text: str, by: str | None) -> Job:
        """Take in a page that was written here; NotPossible where its title names a document already."""
        name, title = speaks_as(person, by), " ".join(title.split())
        document = clean(title.replace("/", " ").replace("\\", " ")).lower().replace(" ", "-")[:60].strip("-.")
        if not document or not text.strip():
            raise RequestInvalid(_("A page needs a title and a text."), param="title")
        held = await self._do(brand, lambda: pages.names(self._home, brand))
        if f"{document}.md" in held:
            said = _("There is a document %(document)s already. Edit it, or choose another title.")
            raise NotPossible(Said(said, document=f"{document}.md"))
        page = Brought(f"{document}.md", io.BytesIO(f"# {title}\n\n{text.strip()}\n".encode()))
        return await self.intakes.upload(brand, [page], by=name, audit=self.audited(person, name))

    async def remove(self, person: Person, brand: str, documents: Sequence[str], by: str | None) -> str:
        """Take documents out."""
        name = speaks_as(person, by)
        encoder, judge = self._intake(brand)
        change = await self._do(brand, lambda: store.remove(self._root, brand, documents, encoder(), judge(), by=name))
        for document in change.removed:
            await self._changed(person, name, brand, "knowledge.removed", document, {"version": change.version})
        return change.version

    async def restore(self, person: Person, brand: str, document: str, version: str, by: str | None) -> str:
        """Let a document say again what it said in a kept version."""
        name = speaks_as(person, by)
        encoder, judge = self._intake(brand)
        change = await self._do(
            brand, lambda: store.restore(self._root, brand, document, version, encoder(), judge(), by=name)
        )
        if change.added or change.changed:
            detail = {"version": change.version, "from": version}
            await self._changed(person, name, brand, "knowledge.restored", document, detail)
        return change.version

    async def roll_back(self, person: Person, brand: str, version: str, expected: str | None, by: str | None) -> str:
        """Let a kept version serve; NotPossible where another one serves than was expected."""
        name = speaks_as(person, by)
        encoder, _judge = self._intake(brand)

        def work() -> tuple[str | None, str]:
            before = inspection.active_version(self._root, brand)
            return before, store.rollback(self._root, brand, encoder(), version, expected=expected)

        before, now = await self._do(brand, work)
        await self._changed(person, name, brand, "knowledge.rolled_back", now, {"before": before})
        return now

    def _intake(self, brand: str) -> tuple[Callable[[], Any], Callable[[], Fence]]:
        about, shared = self.brand(brand), self.gateway.encoder
        return lambda: search_encoder(self._home, about, shared), lambda: Fence(shared)

    async def _changed(
        self, person: Person, name: str, brand: str, action: str, subject: str, detail: Mapping[str, Any]
    ) -> None:
        await self.gateway.db.write(
            lambda c: audit.note(c, by=author(person, name), brand=brand, action=action, subject=subject, detail=detail)
        )
        with suppress(RetrievalError):
            # This gateway would take it up within a second; whoever looks at once shall find it.
            await asyncio.to_thread(self.gateway.knowledge[brand].refresh)

    def audited(self, person: Person, name: str) -> Callable[[Connection, str, Any, dict[str, Any]], None]:
        """Notes the end of jobs as this person's."""

        def note(connection: Connection, action: str, job: Any, detail: dict[str, Any]) -> None:
            audit.note(
                connection, by=author(person, name), brand=job.brand, action=action, subject=job.source, detail=detail
            )

        return note

    async def _do(self, brand: str, work: Callable[[], T]) -> T:
        """Do something with the files, in a thread of its own."""
        self.brand(brand)
        with _told():
            return await asyncio.to_thread(work)


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the knowledge, as errors of a request."""
    try:
        yield
    except DocumentUnknown as error:
        raise NotFound(_("There is no such document any more. Look at the list.")) from error
    except VersionUnknown as error:
        raise NotFound(GONE) from error
    except (DocumentChanged, VersionChanged) as error:
        raise NotPossible(
            _("Somebody has changed the knowledge meanwhile. Look at it again, and decide anew.")
        ) from error
    except IndexMismatch as error:
        raise NotPossible(
            _("This version was made with another encoder and cannot be used. Add the documents again.")
        ) from error
    except RetrievalError as error:
        raise NotPossible(str(error)) from error
