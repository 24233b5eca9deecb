"""Where people propose corrections and review them, and what follows from a word of theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, update

from configs.brand import Brand
from configs.home import Home
from retrieval.encoder import Encoder
from service.corrections import agreement, files, pages, proposing, reviewing
from service.corrections.masking import Masker
from service.corrections.proposing import Answer, Draft
from service.corrections.rules import Rules
from service.corrections.terms import Change, Correction, Kind, Proposal, Review, State, Who
from service.errors import NotPossible, RequestInvalid, ServiceError, brand_of
from service.storage.database import Database, now
from service.storage.tables import corrections

log = logging.getLogger(__name__)
FOLLOW_S = 5.0
"""How often it is looked whether another gateway, retention or a person who was forgotten changed anything."""
Audit = Callable[[Connection, str, Correction, dict[str, Any]], None]
"""Notes (action, correction, detail) in the transaction of the change."""


def no_audit(_connection: Connection, _action: str, _one: Correction, _detail: dict[str, Any]) -> None:
    """Nobody notes anything."""


class Corrections:
    """Corrections of all brands of a gateway."""

    def __init__(self, db: Database, home: Home, brands: dict[str, Brand], encoder: Encoder) -> None:
        """Begin; `refresh` brings what was accepted before.

        Args:
            db: Holds them.
            home: Where pages and training files lie.
            brands: By name; keywords that come from corrections are put in here.
            encoder: The deployment's.
        """
        self._db = db
        self._home = home
        self._brands = brands
        self._encoder = encoder
        self._rules = Rules(brands)
        self._seen: frozenset[tuple[str, int, int]] | None = None
        # One decision at a time: a page is edited before its correction counts as accepted.
        self._deciding = asyncio.Lock()

    # --- proposing -----------------------------------------------------------------------------------------------

    async def draft(self, turn: str) -> Draft:
        """What a correction of this turn begins with.

        Raises:
            ConversationUnknown: No such turn.
            NotPossible: The bot has said nothing in it.
        """
        found = await self._db.read(lambda connection: proposing.draft(connection, turn))
        self.brand(found.brand)
        return found

    async def latest(self, brand: str) -> list[Answer]:
        """The bot's last answers of a brand, those with a thumb down first."""
        self.brand(brand)
        return await self._db.read(lambda connection: proposing.latest(connection, brand))

    async def propose(self, proposal: Proposal, audit: Audit = no_audit) -> Correction:
        """Keep what a person says was wrong, with personal data hidden; it waits for review.

        Raises:
            ConversationUnknown: No such turn.
            RequestInvalid: Something is missing or cannot be meant.
            NotPossible: The turn has a correction of this kind already, or its page was changed meanwhile.
        """
        if not proposal.by.name.strip():
            raise RequestInvalid("Say who proposes it.", param="by")
        about = await self.draft(proposal.turn)
        named = await asyncio.to_thread(self._documents, about.brand)
        proposal = proposing.checked(proposal, about, named)
        if proposal.document:
            proposal = await asyncio.to_thread(self._read_edit, about.brand, proposal)
        row = await asyncio.to_thread(lambda: proposing.row_of(proposal, about, Masker(self.brand(about.brand))))

        def keep(connection: Connection) -> Correction:
            proposing.keep(connection, row)
            one = reviewing.read(connection, row["id"])
            audit(connection, "correction.proposed", one, {"kind": one.kind, "turn": one.turn_id})
            return one

        return await self._db.write(keep)

    def _documents(self, brand: str) -> Collection[str]:
        return pages.names(self._home, brand)

    def _read_edit(self, brand: str, proposal: Proposal) -> Proposal:
        """An edit of a page, looked at once more against the page as it stands."""
        name = proposal.document or ""
        page = pages.read(self._home, brand, name)
        if page.sha256 != proposal.document_sha256:
            raise NotPossible(f"{name!r} was changed meanwhile; look at it again, and edit it anew.")
        text = pages.normal(name, proposal.document_text or "")
        if text == page.text:
            raise RequestInvalid("The page says just this already.", param="document_text")
        return replace(proposal, document_text=text)

    async def page(self, brand: str, document: str) -> pages.Page:
        """A page of the knowledge, to be edited.

        Raises:
            RequestInvalid: There is none of this name.
        """
        self.brand(brand)
        return await asyncio.to_thread(lambda: pages.page(self._home, brand, document))

    async def difference(self, brand: str, document: str, text: str) -> list[pages.Line]:
        """What an edit of a page would change.

        Raises:
            RequestInvalid: There is none of this name.
        """
        page = await self.page(brand, document)
        return await asyncio.to_thread(lambda: pages.difference(page.text, pages.normal(document, text)))

    async def documents(self, brand: str) -> list[str]:
        """Names of a brand's pages."""
        self.brand(brand)
        return sorted(await asyncio.to_thread(self._documents, brand))

    # --- reviewing -----------------------------------------------------------------------------------------------

    async def listed(
        self,
        *,
        brand: str | None = None,
        state: State | None = None,
        kind: Kind | None = None,
        turn: str | None = None,
        limit: int = 100,
    ) -> list[Correction]:
        """Corrections, newest first."""
        return await self._db.read(
            lambda connection: reviewing.listed(connection, brand=brand, state=state, kind=kind, turn=turn, limit=limit)
        )

    async def read(self, correction: str) -> Correction:
        """One correction.

        Raises:
            CorrectionUnknown: There is none.
        """
        return await self._db.read(lambda connection: reviewing.read(connection, correction))

    async def queue(self, brand: str, by: Who) -> list[Correction]:
        """What waits for this person's review, the oldest first; what others said of it is left out."""
        mode = self.brand(brand).corrections.review
        found = await self._db.read(lambda connection: reviewing.queue(connection, brand, mode, by))
        return [replace(one, reviews=()) for one in found]

    async def counts(self, brand: str) -> dict[str, dict[str, int]]:
        """How many corrections a brand has, by state and kind."""
        self.brand(brand)
        return await self._db.read(lambda connection: reviewing.counts(connection, brand))

    async def agreement(self, brand: str) -> agreement.Agreement:
        """How much reviewers of a brand agree."""
        self.brand(brand)
        reviewed = await self._db.read(lambda connection: reviewing.reviewed_twice(connection, brand))
        return agreement.agreement(reviewed)

    async def change(self, correction: str, words: Change, audit: Audit = no_audit) -> Correction:
        """Give a correction other words; it is reviewed anew.

        Raises:
            CorrectionUnknown: There is none.
            NotPossible: It is decided already, or its page was changed meanwhile.
            RequestInvalid: The words cannot be meant.
        """
        one = await self.read(correction)
        masker = await asyncio.to_thread(Masker, self.brand(one.brand))
        values = await asyncio.to_thread(self._values, one, words, masker)

        def keep(connection: Connection) -> Correction:
            current = reviewing.read(connection, correction, lock=True)
            if current.state != "proposed" or current.revision != one.revision:
                raise NotPossible("Somebody else has changed or decided it meanwhile; look at it again.")
            if values:
                reviewing.change(connection, current, values, masker.hidden)
                audit(connection, "correction.changed", current, {"fields": sorted(values)})
            return reviewing.read(connection, correction)

        return await self._db.write(keep)

    def _values(self, one: Correction, words: Change, masker: Masker) -> dict[str, Any]:
        """The fields that really change, checked as those of a proposal are."""
        given = proposing.changed(words, masker)
        as_proposed = Proposal(
            one.turn_id,
            one.kind,
            Who(one.proposed_by),
            corrected=given.get("corrected", one.corrected),
            outcome=one.outcome,
            documents=given.get("documents", one.documents),
            document=one.document,
            document_sha256=given.get("document_sha256", one.document_sha256),
            document_text=given.get("document_text", one.document_text),
            holds=given.get("holds", one.holds),
            keyword=given.get("keyword", one.keyword),
        )
        about = Draft(one.turn_id, one.brand, one.question, one.said, one.outcome, None, (), (), (), None)
        kept = proposing.checked(as_proposed, about, self._documents(one.brand))
        if "document_text" in given:
            kept = self._read_edit(one.brand, kept)
        names = ("corrected", "documents", "document_sha256", "document_text", "holds", "keyword")
        fresh = {name: getattr(kept, name) for name in names}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in fresh.items()}
        proposing.fits(values)
        return {name: value for name, value in values.items() if name in given and value != getattr(one, name)}

    async def review(
        self, correction: str, *, by: Who, accepts: bool, note: str = "", audit: Audit = no_audit
    ) -> Correction:
        """Keep what a reviewer says; where that decides it, do what follows.

        Raises:
            CorrectionUnknown: There is none.
            NotPossible: This person may not review it, or the page of a wrong fact was changed meanwhile.
        """
        async with self._deciding:
            one = await self.read(correction)
            mode = self.brand(one.brand).corrections.review
            if reason := reviewing.may_review(mode, one, by):
                raise NotPossible(reason)
            version: str | None = None
            if one.document and accepts and self._would_accept(one, by):
                version = await self._edit_page(one, by.name)

            def keep(connection: Connection) -> Correction:
                current = reviewing.read(connection, correction, lock=True)
                if current.revision != one.revision:
                    raise NotPossible("Somebody has changed it meanwhile; look at it again.")
                state = reviewing.note(connection, current, mode, by=by, accepts=accepts, note=note)
                if version and state == "accepted":
                    kept = update(corrections).where(corrections.c.id == one.id).values(knowledge_version=version)
                    connection.execute(kept)
                done = reviewing.read(connection, correction)
                action = f"correction.{state}" if state != "proposed" else "correction.reviewed"
                detail: dict[str, Any] = {"accepts": accepts, "kind": one.kind, "turn": one.turn_id}
                audit(connection, action, done, detail | ({"knowledge": version} if version else {}))
                return done

            done = await self._db.write(keep)
        if done.state == "accepted":
            await self.refresh()
        return done

    def _would_accept(self, one: Correction, by: Who) -> bool:
        mode = self.brand(one.brand).corrections.review
        return (
            reviewing.decided(mode, (*one.current_reviews, Review(by.name, by.key, one.revision, True, "", now())))
            is True
        )

    async def _edit_page(self, one: Correction, by: str) -> str:
        return await asyncio.to_thread(
            pages.amend,
            self._home,
            self.brand(one.brand),
            self._encoder,
            one.document or "",
            one.document_text or "",
            expected=one.document_sha256 or "",
            by=by,
        )

    async def withdraw(self, correction: str, audit: Audit = no_audit) -> Correction:
        """Take an accepted correction back: its rows and its keyword go; a page stays as it was edited.

        Raises:
            CorrectionUnknown: There is none.
            NotPossible: It is not accepted.
        """

        def keep(connection: Connection) -> Correction:
            one = reviewing.read(connection, correction, lock=True)
            if one.state != "accepted":
                raise NotPossible(f"It is {one.state}; only an accepted correction can be taken back.")
            values = {"state": "withdrawn", "decided_at": now()}
            connection.execute(update(corrections).where(corrections.c.id == correction).values(**values))
            audit(connection, "correction.withdrawn", one, {"kind": one.kind, "turn": one.turn_id})
            return reviewing.read(connection, correction)

        done = await self._db.write(keep)
        await self.refresh()
        return done

    # --- what follows --------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Write the files for training anew and take up keywords, where accepted corrections are others than before.

        Raises:
            StorageUnavailable: They cannot be read.
            OSError: A file cannot be written.
        """
        seen = await self._db.read(reviewing.fingerprint)
        if seen == self._seen:
            return
        accepted = await self._db.read(reviewing.accepted)
        self._rules.take(accepted)
        for name in list(self._brands):
            ours = [one for one in accepted if one.brand == name]
            await asyncio.to_thread(files.write, self._home.corrections(name), ours)
        self._seen = seen

    def rewritten(self, brand: str) -> None:
        """A brand was put in, or replaced, as its file says now; or taken out."""
        self._rules.rewritten(brand)

    async def follow(self) -> None:
        """Refresh for as long as the gateway runs; the outermost loop, so it survives all."""
        while True:
            try:
                await self.refresh()
            except (ServiceError, OSError) as error:
                log.warning("corrections_not_followed", extra={"reason": str(error)})
            except Exception:
                log.exception("corrections_not_followed")
            await asyncio.sleep(FOLLOW_S)

    def brand(self, name: str) -> Brand:
        """A brand of this gateway.

        Raises:
            BrandUnknown: There is none of this name.
        """
        return brand_of(self._brands, name)
