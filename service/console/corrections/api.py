"""Corrections over HTTP: `/v1/corrections`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from service.bootstrap import Gateway
from service.console import audit
from service.console.access import OF_BRAND, Agent, Editor, Needs, Person, Role, author
from service.console.together import together
from service.corrections.desk import Audit, Corrections
from service.corrections.terms import Change, Correction, Kind, Outcome, Proposal, State, Who
from service.errors import Forbidden
from service.storage.tables import corrections

AN_AGENT, AN_EDITOR = [Depends(Needs(Role.AGENT))], [Depends(Needs(Role.EDITOR))]
Id = Annotated[str, Path(max_length=64, description="The correction's id.")]
Turn = Annotated[str, Path(max_length=64, description="The turn's id.")]
Brand = Annotated[str, Path(max_length=40, description="The brand's name.")]
By = Annotated[
    str | None,
    Field(
        max_length=100, description="Who says it, where an API key asks; who is signed in is known.", examples=["Anna"]
    ),
]
Reply = Annotated[str | None, Field(max_length=4000, description="The reply as it should have been.")]
Text = Annotated[str | None, Field(max_length=400_000, description="All that the page shall say.")]


def _of_correction(connection: Connection, correction: str) -> str | None:
    return connection.execute(select(corrections.c.brand).where(corrections.c.id == correction)).scalar()


OF_BRAND["correction"] = _of_correction


class _From(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ReviewShown(_From):
    """What one person said."""

    by: str
    revision: int = Field(description="Of the words that they looked at.")
    accepts: bool
    note: str
    at: datetime


class CorrectionShown(_From):
    """A correction; personal data is masked in all its texts."""

    id: str
    turn_id: str = Field(description="What was corrected; `/v1/turns/{turn}` explains it.")
    brand: str
    adapter_version: str | None = Field(description="Which spoke.")
    kind: Kind
    state: State
    revision: int = Field(description="Grows with each change of the words, which are then reviewed anew.")
    question: str
    said: str
    corrected: str | None
    outcome: Outcome | None = Field(description="What the corrected reply does.")
    documents: list[str] = Field(description="Pages that the corrected answer rests on.")
    why: str
    document: str | None = Field(description="Of a wrong fact: the page.")
    document_sha256: str | None = Field(description="Digest of the text that was edited.")
    document_text: str | None = Field(description="All that the page shall say.")
    holds: list[str] = Field(description="Strings that a right answer holds.")
    knowledge_version: str | None = Field(description="The version of the knowledge that came of it.")
    keyword: str | None = Field(description="Words that call for a person from now on.")
    masked: int = Field(description="Pieces of personal data that were hidden.")
    proposed_by: str
    proposed_at: datetime
    decided_at: datetime | None
    reviews: list[ReviewShown] = Field(
        description="While it is under review, shown to those only who have reviewed it, so that nobody is led."
    )


class CorrectionsShown(BaseModel):
    """Corrections."""

    corrections: list[CorrectionShown]


class DraftShown(_From):
    """What a correction begins with."""

    turn: str
    brand: str
    question: str
    said: str
    outcome: str | None
    adapter_version: str | None
    documents: list[str] = Field(description="Pages that the answer cited.")
    history: list[dict[str, str]] = Field(description="Messages before, as the model read them.")


class Proposed(BaseModel):
    """What was wrong with an answer, and how it is right."""

    kind: Kind = Field(
        description="fact: a page says it wrong. voice: how it was said. behaviour: what was said or done. refusal: it "
        "should have been refused. handover: a person should have been called."
    )
    by: By = None
    why: str = Field(default="", max_length=2000)
    corrected: Reply = None
    outcome: Outcome | None = Field(default=None, description="What the corrected reply does; as it was where absent.")
    documents: list[str] = Field(default=[], max_length=20, description="Pages that it rests on; those cited if empty.")
    document: str | None = Field(default=None, max_length=400, description="Of a wrong fact: the page.")
    document_sha256: str | None = Field(default=None, max_length=64, description="As the page was given with.")
    document_text: Text = None
    holds: list[str] = Field(default=[], max_length=20, description="Strings that a right answer holds, any case.")
    keyword: str | None = Field(
        default=None, max_length=100, description="Of a missed hand-over: words of the message that call for a person."
    )


class Changed(BaseModel):
    """New words; what is left out stays."""

    corrected: Reply = None
    documents: list[str] | None = Field(default=None, max_length=20)
    document_sha256: str | None = Field(default=None, max_length=64)
    document_text: Text = None
    holds: list[str] | None = Field(default=None, max_length=20)
    keyword: str | None = Field(default=None, max_length=100)


class Reviewed(BaseModel):
    """A reviewer's word."""

    accepts: bool
    note: str = Field(default="", max_length=2000)
    by: By = None


class AgreementShown(BaseModel):
    """How much reviewers agree, and how many corrections there are."""

    both: int = Field(description="Corrections that two people looked at.")
    same: int = Field(description="Of these, how many both accepted or both rejected.")
    share: float | None
    kappa: float | None = Field(description="Cohen's: what is left of the share beyond chance, -1 to 1.")
    counts: dict[str, dict[str, int]] = Field(description="By state and kind.")
    review: Literal["anyone", "another", "two"] = Field(
        description="Who must accept; `corrections.review` of the brand."
    )


class PageShown(_From):
    """A page of the knowledge, to be edited."""

    document: str
    title: str
    text: str
    sha256: str = Field(description="An edit says what it was made of.")
    file: str | None = Field(description="What it was read from; once that changes, its words serve again.")


class PagesShown(BaseModel):
    """Names of pages."""

    documents: list[str]


class Edit(BaseModel):
    """An edit of a page."""

    document: str = Field(max_length=400)
    text: str = Field(max_length=400_000)


class LineShown(_From):
    """A line of a difference."""

    sign: Literal[" ", "-", "+", "…"] = Field(description="… stands for lines that are alike.")
    text: str


class DifferenceShown(BaseModel):
    """What an edit changes."""

    lines: list[LineShown]


def who(person: Person, by: str | None) -> Who:
    """The person who says something; callers with a key name theirs."""
    if person.id is not None:
        return Who(person.name, person.id)
    return Who((by or person.name).strip())


def audited(person: Person, by: Who) -> Audit:
    """Notes changes of corrections as this person's."""

    def note(connection: Connection, action: str, one: Correction, detail: dict[str, Any]) -> None:
        audit.note(
            connection, by=author(person, by.name), brand=one.brand, action=action, subject=one.id, detail=detail
        )

    return note


def blind(one: Correction, by: Who) -> CorrectionShown:
    """A correction as this person may see it."""
    shown = CorrectionShown.model_validate(one)
    open_ = one.state == "proposed" and not any(review.key == by.key for review in one.current_reviews)
    return shown.model_copy(update={"reviews": []}) if open_ else shown


class Counter:
    """What a person does at the desk: each step checks that they may, there."""

    def __init__(self, gateway: Gateway) -> None:
        self.desk: Corrections = gateway.corrections
        self.brands = gateway.config.brands
        self.home = gateway.home

    async def listed(self, person: Person, brand: str | None, **wanted: Any) -> list[Correction]:
        """Corrections of this brand, or of all that they may see."""
        found = await self.desk.listed(brand=brand, **wanted)
        seen = set(person.brands(Role.AGENT, self.brands))
        return [one for one in found if one.brand in seen]

    async def propose(self, person: Person, turn: str, given: Proposed) -> Correction:
        """Keep a proposal."""
        by = who(person, given.by)
        values = given.model_dump(exclude={"by", "documents", "holds"})
        proposal = Proposal(turn, by=by, documents=tuple(given.documents), holds=tuple(given.holds), **values)
        return await self.desk.propose(proposal, audited(person, by))

    async def change(self, person: Person, correction: str, given: Changed) -> Correction:
        """Give a correction other words: editors, and who proposed it."""
        one = await self.desk.read(correction)
        if one.proposed_key != who(person, None).key and not person.may(Role.EDITOR, one.brand):
            raise Forbidden("Only editors change what others proposed.")
        return await self.desk.change(correction, Change(**given.model_dump()), audited(person, who(person, None)))

    async def review(self, person: Person, correction: str, given: Reviewed) -> Correction:
        """Keep a review."""
        by = who(person, given.by)
        return await self.desk.review(
            correction, by=by, accepts=given.accepts, note=given.note, audit=audited(person, by)
        )

    async def withdraw(self, person: Person, correction: str) -> Correction:
        """Take an accepted one back."""
        return await self.desk.withdraw(correction, audited(person, who(person, None)))


def corrections_api(counter: Counter) -> APIRouter:
    """The routes `/v1/corrections`."""
    return together(_before(counter), _review(counter))


def _before(counter: Counter) -> APIRouter:
    router, desk = APIRouter(prefix="/v1/corrections", tags=["Corrections"]), counter.desk

    @router.get("", response_model=CorrectionsShown)
    async def listed(
        person: Agent,
        brand: Annotated[str | None, Query(max_length=40, description="Only of this brand.")] = None,
        state: State | None = None,
        kind: Kind | None = None,
        turn: Annotated[str | None, Query(max_length=64)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Any:
        """Corrections, newest first."""
        found = await counter.listed(person, brand, state=state, kind=kind, turn=turn, limit=limit)
        return {"corrections": [blind(one, who(person, None)) for one in found]}

    @router.post("/turns/{turn}", response_model=CorrectionShown, status_code=201)
    async def propose(person: Agent, turn: Turn, given: Proposed) -> Any:
        """Say what was wrong with an answer; it counts once it is accepted in review.

        Personal data is hidden before anything is kept.
        """
        one = await counter.propose(person, turn, given)
        return blind(one, who(person, given.by))

    @router.get("/turns/{turn}", response_model=DraftShown, dependencies=AN_AGENT)
    async def draft(turn: Turn) -> Any:
        """What a correction of this turn begins with."""
        return await desk.draft(turn)

    @router.get("/brands/{brand}/pages", response_model=PagesShown, dependencies=AN_AGENT)
    async def pages(brand: Brand) -> Any:
        """Names of a brand's pages."""
        return {"documents": await desk.documents(brand)}

    @router.get("/brands/{brand}/page", response_model=PageShown, dependencies=AN_AGENT)
    async def page(brand: Brand, document: Annotated[str, Query(max_length=400)]) -> Any:
        """A page of the knowledge with its whole text, to be edited."""
        return await desk.page(brand, document)

    @router.post("/brands/{brand}/difference", response_model=DifferenceShown, dependencies=AN_AGENT)
    async def difference(brand: Brand, edit: Edit) -> Any:
        """What an edit of a page would change, line by line; nothing is kept."""
        return {"lines": await desk.difference(brand, edit.document, edit.text)}

    return router


def _review(counter: Counter) -> APIRouter:
    router, desk = APIRouter(prefix="/v1/corrections", tags=["Corrections"]), counter.desk

    @router.get("/brands/{brand}/queue", response_model=CorrectionsShown)
    async def queue(
        person: Editor,
        brand: Brand,
        by: Annotated[str | None, Query(max_length=100, description="As in a review.")] = None,
    ) -> Any:
        """What waits for one's review, the oldest first; what others said of it is left out."""
        return {"corrections": await desk.queue(brand, who(person, by))}

    @router.get("/brands/{brand}/agreement", response_model=AgreementShown, dependencies=AN_AGENT)
    async def agreement(brand: Brand) -> Any:
        """How much reviewers agree, and how many corrections there are."""
        found = await desk.agreement(brand)
        return {
            "both": found.both,
            "same": found.same,
            "share": found.share,
            "kappa": found.kappa,
            "counts": await desk.counts(brand),
            "review": desk.brand(brand).corrections.review,
        }

    @router.get("/brands/{brand}/export", response_class=PlainTextResponse, dependencies=AN_EDITOR)
    async def export(brand: Brand, file: Literal["conversations", "pairs", "questions"] = "conversations") -> Response:
        """What accepted corrections became, as JSON lines for training or for the gate; may be empty."""
        await desk.refresh()
        path = getattr(counter.home.corrections(desk.brand(brand).name), file)
        text = path.read_text("utf-8") if path.is_file() else ""
        return PlainTextResponse(text, media_type="application/x-ndjson")

    @router.get("/{correction}", response_model=CorrectionShown)
    async def one(person: Agent, correction: Id) -> Any:
        """One correction."""
        return blind(await counter.desk.read(correction), who(person, None))

    @router.patch("/{correction}", response_model=CorrectionShown)
    async def change(person: Agent, correction: Id, given: Changed) -> Any:
        """Give a correction other words while it is under review; it is reviewed anew."""
        return blind(await counter.change(person, correction, given), who(person, None))

    @router.post("/{correction}/review", response_model=CorrectionShown)
    async def review(person: Editor, correction: Id, given: Reviewed) -> Any:
        """Accept or reject; a wrong fact that is accepted is put right in the knowledge at once."""
        return blind(await counter.review(person, correction, given), who(person, given.by))

    @router.post("/{correction}/withdraw", response_model=CorrectionShown)
    async def withdraw(person: Editor, correction: Id) -> Any:
        """Take an accepted correction back: its training rows and its keyword go, an edited page stays edited."""
        return blind(await counter.withdraw(person, correction), who(person, None))

    return router
