"""Correct: edit an answer of the bot and say what was wrong; review what others say; see what came of it."""

from __future__ import annotations

from typing import Annotated, Any, cast, get_args

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response

from service.bootstrap import Gateway
from service.console.access import CONSOLE, Agent, Editor, Person, Role
from service.console.corrections.api import Changed, Counter, Proposed, Reviewed, blind, corrections_api, who
from service.console.pages import gettext, page_router, redirect, render
from service.console.said import told
from service.console.together import together
from service.corrections import pages as knowledge
from service.corrections.terms import Correction, Kind, Outcome, State
from service.errors import NotPossible, RequestInvalid

HERE = f"{CONSOLE}/corrections"
Text = Annotated[str, Form(max_length=4000)]
Long = Annotated[str, Form(max_length=400_000)]
Name = Annotated[str, Query(max_length=400)]
Id = Annotated[str, Path(max_length=64)]


def corrections_router(gateway: Gateway) -> APIRouter:
    """The pages below `/console/corrections` and the routes below `/v1/corrections`."""
    counter = Counter(gateway)
    return together(corrections_api(counter), _list(counter), _new(counter), _review(counter), _one(counter))


def kinds(person: Person | None) -> dict[Kind, str]:
    """What can be wrong, in the person's language."""
    _ = gettext(person)
    return {
        "fact": _("A fact is wrong"),
        "voice": _("It does not sound like us"),
        "behaviour": _("It says or does the wrong thing"),
        "refusal": _("It should have been refused"),
        "handover": _("A person should have been called"),
    }


def states(person: Person | None) -> dict[State, str]:
    """How far a correction is, in the person's language."""
    _ = gettext(person)
    return {
        "proposed": _("proposed"),
        "accepted": _("accepted"),
        "rejected": _("rejected"),
        "withdrawn": _("taken back"),
    }


def outcomes(person: Person | None) -> dict[Outcome, str]:
    """What a reply does, in the person's language."""
    _ = gettext(person)
    return {
        "answered": _("answers from our pages"),
        "refused": _("says that our pages do not tell"),
        "handed_off": _("calls a person"),
        "small_talk": _("is small talk"),
    }


def _list(counter: Counter) -> APIRouter:
    router, desk = page_router(), counter.desk

    @router.get("/corrections")
    async def listed(request: Request, person: Agent, brand: Name = "", state: Name = "") -> Response:
        """Corrections of a brand, answers to be corrected, and how much reviewers agree."""
        brands = person.brands(Role.AGENT, counter.brands)
        chosen = brand or (brands[0] if brands else "")
        wanted = cast("State", state) if state in get_args(State) else None
        editor = bool(chosen) and person.may(Role.EDITOR, chosen)
        return render(
            request,
            person,
            "corrections/list.html",
            brands=brands,
            brand=chosen,
            state=state,
            found=await counter.listed(person, chosen, state=wanted) if chosen else [],
            answers=await desk.latest(chosen) if chosen else [],
            waiting=len(await desk.queue(chosen, who(person, None))) if editor else 0,
            agreement=await desk.agreement(chosen) if chosen else None,
            counts=await desk.counts(chosen) if chosen else {},
            mode=desk.brand(chosen).corrections.review if chosen else "anyone",
            editor=editor,
            kinds=kinds(person),
            states=states(person),
        )

    return router


def _new(counter: Counter) -> APIRouter:
    router, desk = page_router(), counter.desk

    async def form(
        request: Request, person: Person, turn: str, kind: str, document: str, *, status: int = 200, **typed: Any
    ) -> Response:
        about = await desk.draft(turn)
        chosen: Kind = cast("Kind", kind) if kind in get_args(Kind) else "voice"
        page = None
        documents = await desk.documents(about.brand)
        if chosen == "fact":
            cited = [one for one in about.documents if one in documents]
            named = document or (cited[0] if cited else documents[0] if documents else "")
            page = await desk.page(about.brand, named) if named else None
        words = desk.brand(about.brand).words
        ready = {"refusal": words.refusals[0], "handover": words.handovers[0]}
        values = {"corrected": ready.get(chosen, about.said), "why": "", "keyword": "", "holds": "", "text": None}
        return render(
            request,
            person,
            "corrections/new.html",
            status=status,
            about=about,
            kind=chosen,
            kinds=kinds(person),
            outcomes=outcomes(person),
            documents=documents,
            page=page,
            before=await desk.listed(turn=turn),
            states=states(person),
            **{"trouble": "", "chosen": list(about.documents), "outcome": "", **values, **typed},
        )

    @router.get("/corrections/new/{turn}")
    async def new(request: Request, person: Agent, turn: Id, kind: Name = "voice", document: Name = "") -> Response:
        """Say what was wrong with an answer."""
        return await form(request, person, turn, kind, document)

    @router.post("/corrections/new/{turn}")
    async def propose(
        request: Request,
        person: Agent,
        turn: Id,
        kind: Annotated[Kind, Form()],
        corrected: Text = "",
        why: Text = "",
        outcome: Text = "",
        keyword: Text = "",
        document: Text = "",
        sha256: Text = "",
        text: Long = "",
        holds: Text = "",
        documents: Annotated[list[str] | None, Form(max_length=20)] = None,
    ) -> Response:
        """Keep it for review; what was typed stands there again where that cannot be."""
        given = Proposed(
            kind=kind,
            why=why[:2000],
            corrected=corrected or None,
            outcome=cast("Outcome", outcome) if outcome in get_args(Outcome) else None,
            documents=documents or [],
            document=document or None,
            document_sha256=sha256 or None,
            document_text=text or None,
            holds=_lines(holds),
            keyword=keyword or None,
        )
        try:
            one = await counter.propose(person, turn, given)
        except (RequestInvalid, NotPossible) as error:
            typed: dict[str, Any] = {
                "corrected": corrected,
                "why": why,
                "keyword": keyword,
                "holds": holds,
                "text": text or None,
            }
            typed |= {"trouble": told(error, gettext(person)), "chosen": documents or [], "outcome": outcome}
            return await form(request, person, turn, kind, document, status=400, **typed)
        _ = gettext(person)
        said = _("Thank you. It is kept, and counts once it is accepted in review.")
        return redirect(request, f"{HERE}/{one.id}", said)

    @router.post("/corrections/brands/{brand}/difference")
    async def difference(request: Request, person: Agent, brand: Id, document: Text = "", text: Long = "") -> Response:
        """What an edit of a page would change, as a part of the form."""
        lines = await desk.difference(brand, document, text)
        return render(request, person, "corrections/part_difference.html", lines=lines)

    return router


def _review(counter: Counter) -> APIRouter:
    router, desk = page_router(), counter.desk

    async def show(
        request: Request, person: Person, one: Correction | None, brand: str, *, status: int = 200, **more: Any
    ) -> Response:
        queue = await desk.queue(brand, who(person, None))
        ids = [waiting.id for waiting in queue]
        at = ids.index(one.id) if one is not None and one.id in ids else 0
        lines: list[knowledge.Line] = []
        stale = ""
        if one is not None and one.document and one.document_text:
            lines, stale = await _difference(counter, one)
        return render(
            request,
            person,
            "corrections/review.html",
            status=status,
            one=one,
            brand=brand,
            place=at + 1,
            total=len(ids),
            following=ids[(at + 1) % len(ids)] if len(ids) > 1 else "",
            lines=lines,
            stale=stale,
            kinds=kinds(person),
            outcomes=outcomes(person),
            **{"trouble": "", "edit": False, **more},
        )

    @router.get("/corrections/review/{brand}")
    async def review(
        request: Request, person: Editor, brand: Id, at: Name = "", edit: Annotated[bool, Query()] = False
    ) -> Response:
        """The queue, one at a time."""
        queue = await desk.queue(brand, who(person, None))
        one = next((waiting for waiting in queue if waiting.id == at), queue[0] if queue else None)
        return await show(request, person, one, brand, edit=edit)

    @router.post("/corrections/{correction}/review")
    async def reviewed(
        request: Request, person: Editor, correction: Id, verdict: Text, note: Text = "", following: Text = ""
    ) -> Response:
        """Accept or reject, and go to the next one."""
        one = await desk.read(correction)
        try:
            done = await counter.review(person, correction, Reviewed(accepts=verdict == "accept", note=note[:2000]))
        except (RequestInvalid, NotPossible) as error:
            return await show(request, person, one, one.brand, status=409, trouble=told(error, gettext(person)))
        _ = gettext(person)
        said = {
            "accepted": _("Accepted."),
            "rejected": _("Rejected."),
            "proposed": _("Kept. Another person must look at it too."),
        }
        return redirect(request, f"{HERE}/review/{done.brand}?at={following}", said.get(done.state, ""))

    @router.post("/corrections/{correction}/change")
    async def change(
        request: Request,
        person: Agent,
        correction: Id,
        corrected: Text = "",
        text: Long = "",
        sha256: Text = "",
        holds: Annotated[str | None, Form(max_length=4000)] = None,
        keyword: Text = "",
    ) -> Response:
        """Give it other words, and look at it again."""
        one = await counter.desk.read(correction)
        given = Changed(
            corrected=corrected or None,
            document_text=text or None,
            document_sha256=sha256 or None,
            holds=_lines(holds) if holds is not None else None,
            keyword=keyword or None,
        )
        try:
            await counter.change(person, correction, given)
        except (RequestInvalid, NotPossible) as error:
            return await show(
                request, person, one, one.brand, status=400, trouble=told(error, gettext(person)), edit=True
            )
        _ = gettext(person)
        return redirect(request, f"{HERE}/review/{one.brand}?at={one.id}", _("The words are changed."))

    return router


def _one(counter: Counter) -> APIRouter:
    router = page_router()

    @router.get("/corrections/{correction}")
    async def one(request: Request, person: Agent, correction: Id) -> Response:
        """One correction: what was said, what it became, who said what of it."""
        found = await counter.desk.read(correction)
        lines: list[knowledge.Line] = []
        if found.state == "proposed" and found.document:
            lines, _stale = await _difference(counter, found)
        return render(
            request,
            person,
            "corrections/one.html",
            one=found,
            reviews=blind(found, who(person, None)).reviews,
            lines=lines,
            kinds=kinds(person),
            states=states(person),
            outcomes=outcomes(person),
            editor=person.may(Role.EDITOR, found.brand),
        )

    @router.post("/corrections/{correction}/withdraw")
    async def withdraw(request: Request, person: Editor, correction: Id) -> Response:
        """Take an accepted one back."""
        _ = gettext(person)
        await counter.withdraw(person, correction)
        return redirect(request, f"{HERE}/{correction}", _("It is taken back."))

    return router


async def _difference(counter: Counter, one: Correction) -> tuple[list[knowledge.Line], str]:
    """What a wrong fact would change of its page as it is now; the page's digest where it is not the edited one."""
    try:
        page = await counter.desk.page(one.brand, one.document or "")
    except RequestInvalid:
        return [], ""
    lines = await counter.desk.difference(one.brand, one.document or "", one.document_text or "")
    return lines, page.sha256 if page.sha256 != one.document_sha256 else ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()][:20]
