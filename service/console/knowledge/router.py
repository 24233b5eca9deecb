"""Knowledge: what a brand answers from; bring it, read it, edit it, try it, go back."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response

from retrieval.documents.reading import SUFFIXES
from service.bootstrap import Gateway
from service.console.access import CONSOLE, Agent, Editor, Person, Role
from service.console.inspector.words import STAGES, STEPS
from service.console.knowledge.api import crawl, job_of, knowledge_api, upload
from service.console.knowledge.desk import Library
from service.console.knowledge.shown import MOST_CHARS
from service.console.knowledge.words import CHANGED, GONE, INTAKE_STEPS, ORIGINS, OUTCOMES, STATES, note_in, reason_in
from service.console.pages import gettext, page_router, redirect, render
from service.console.said import told
from service.console.together import together
from service.errors import NotFound, NotPossible, RequestInvalid

HERE = f"{CONSOLE}/knowledge"
JOBS = 5
"""Of those that are shown beside the list."""
COMPARED = 20
"""Documents whose lines a page of a version shows."""
Brand = Annotated[str, Path(max_length=40)]
Id = Annotated[str, Path(max_length=64)]
Name = Annotated[str, Query(max_length=400)]
Said = Annotated[str, Form(max_length=2000)]
Long = Annotated[str, Form(max_length=MOST_CHARS)]


def knowledge_router(gateway: Gateway) -> APIRouter:
    """The pages below `/console/knowledge` and the routes below `/v1/brands/{brand}/knowledge`."""
    library = Library(gateway)
    pages = (_list, _bring, _jobs, _document, _edit, _search, _versions)
    return together(knowledge_api(library), *(part(library) for part in pages))


def at(brand: str, document: str) -> str:
    """The page of a document."""
    return f"{HERE}/{brand}/document?{urlencode({'document': document})}"


async def _show(
    request: Request, person: Person, library: Library, brand: str, words: str = "", *, status: int = 200,
    trouble: str = "", address: str = "", title: str = "", text: str = "",
) -> Response:  # fmt: skip
    """The list, with what went wrong where something did."""
    editor = bool(brand) and person.may(Role.EDITOR, brand)
    return render(
        request, person, "knowledge/list.html", status=status,
        brands=person.brands(Role.AGENT, library.brands),
        brand=brand,
        words=words,
        editor=editor,
        state=await library.state(brand) if brand else None,
        found=await library.documents(brand, words) if brand else None,
        jobs=await library.intakes.listed(brand, JOBS) if editor else [],
        removed=await library.removed(brand) if editor else (),
        origins=ORIGINS,
        states=STATES,
        formats=", ".join(sorted(SUFFIXES)),
        trouble=trouble,
        address=address,
        title=title,
        text=text,
    )  # fmt: skip


def _list(library: Library) -> APIRouter:
    router = page_router()

    @router.get("/knowledge")
    async def listed(
        request: Request, person: Agent, brand: Name = "", words: Annotated[str, Query(max_length=200)] = ""
    ) -> Response:
        """The documents of a brand, and how more of them come."""
        brands = person.brands(Role.AGENT, library.brands)
        return await _show(request, person, library, brand or next(iter(brands), ""), words)

    return router


def _bring(library: Library) -> APIRouter:
    router = page_router()

    @router.post("/knowledge/{brand}/files")
    async def files(request: Request, person: Editor, brand: Brand) -> Response:
        """Bring files."""
        try:
            job = await upload(library, request, person, brand)
        except (RequestInvalid, NotPossible) as error:
            return await _show(request, person, library, brand, status=400, trouble=told(error, gettext(person)))
        return redirect(request, f"{HERE}/{brand}/jobs/{job.id}")

    @router.post("/knowledge/{brand}/crawl")
    async def crawled(request: Request, person: Editor, brand: Brand, address: Said = "") -> Response:
        """Fetch a page or a sitemap."""
        try:
            job = await crawl(library, person, brand, address)
        except (RequestInvalid, NotPossible) as error:
            _ = gettext(person)
            return await _show(request, person, library, brand, status=400, trouble=told(error, _), address=address)
        return redirect(request, f"{HERE}/{brand}/jobs/{job.id}")

    @router.post("/knowledge/{brand}/pages")
    async def write(request: Request, person: Editor, brand: Brand, title: Said = "", text: Long = "") -> Response:
        """Write a page."""
        try:
            job = await library.write(person, brand, title, text, None)
        except (RequestInvalid, NotPossible) as error:
            _ = gettext(person)
            return await _show(
                request, person, library, brand, status=400, trouble=told(error, _), title=title, text=text
            )
        return redirect(request, f"{HERE}/{brand}/jobs/{job.id}")

    return router


def _jobs(library: Library) -> APIRouter:
    router = page_router()

    async def about(request: Request, person: Person, brand: str, job: str, template: str) -> Response:
        return render(
            request, person, template, brand=brand, job=await job_of(library, brand, job),
            states=STATES, steps=INTAKE_STEPS, outcomes=OUTCOMES, at=at,
            reason_in=lambda text: reason_in(text, gettext(person)),
            note_in=lambda text: note_in(text, gettext(person)),
        )  # fmt: skip

    @router.get("/knowledge/{brand}/jobs/{intake}")
    async def job(request: Request, person: Editor, brand: Brand, intake: Id) -> Response:
        """How far it is, and what became of each file or page."""
        await library.intakes.look()
        return await about(request, person, brand, intake, "knowledge/job.html")

    @router.get("/knowledge/{brand}/jobs/{intake}/part")
    async def part(request: Request, person: Editor, brand: Brand, intake: Id) -> Response:
        """How far it is, once more; the whole page again once it is over."""
        if (await job_of(library, brand, intake)).state != "running":
            return redirect(request, f"{HERE}/{brand}/jobs/{intake}")
        return await about(request, person, brand, intake, "knowledge/part_job.html")

    @router.post("/knowledge/{brand}/jobs/{intake}/stop")
    async def stop(request: Request, person: Editor, brand: Brand, intake: Id) -> Response:
        """Stop it."""
        await job_of(library, brand, intake)
        await library.intakes.stop(intake)
        _ = gettext(person)
        return redirect(request, f"{HERE}/{brand}/jobs/{intake}", _("It stops; nothing is taken in."))

    return router


def _document(library: Library) -> APIRouter:
    router = page_router()

    @router.get("/knowledge/{brand}/document")
    async def one(request: Request, person: Agent, brand: Brand, document: Name) -> Response:
        """A document: its passages as search has them, its text to edit, what it said before."""
        return render(
            request, person, "knowledge/document.html", brand=brand, one=await library.document(brand, document),
            editor=person.may(Role.EDITOR, brand), origins=ORIGINS, most=MOST_CHARS,
        )  # fmt: skip

    @router.post("/knowledge/{brand}/remove")
    async def remove(request: Request, person: Editor, brand: Brand, document: Said) -> Response:
        """Take a document out."""
        await library.remove(person, brand, [document], None)
        _ = gettext(person)
        said = _("%(document)s is deleted. It can be brought back, for as long as a version holds it.")
        return redirect(request, f"{HERE}?brand={brand}", said % {"document": document})

    @router.post("/knowledge/{brand}/restore")
    async def restore(request: Request, person: Editor, brand: Brand, document: Said, version: Said) -> Response:
        """Bring back what a document said in a version."""
        now = await library.restore(person, brand, document, version, None)
        _ = gettext(person)
        said = _("It says again what it said in version %(version)s; version %(now)s serves.")
        return redirect(request, at(brand, document), said % {"version": version, "now": now})

    return router


def _edit(library: Library) -> APIRouter:
    router = page_router()

    async def review(
        request: Request, person: Person, brand: str, document: str, text: str, trouble: str = "", status: int = 200
    ) -> Response:
        now = await library.document(brand, document)
        return render(
            request, person, "knowledge/review.html", status=status, brand=brand, one=now, text=text, trouble=trouble,
            lines=await library.difference(brand, document, text), at=at,
        )  # fmt: skip

    @router.post("/knowledge/{brand}/review")
    async def look(
        request: Request, person: Editor, brand: Brand, document: Said, sha256: Said, text: Long = ""
    ) -> Response:
        """What an edit changes, before it is kept."""
        _ = gettext(person)
        now = await library.document(brand, document)
        return await review(request, person, brand, document, text, "" if now.sha256 == sha256 else _(CHANGED))

    @router.post("/knowledge/{brand}/edit")
    async def keep(
        request: Request, person: Editor, brand: Brand, document: Said, sha256: Said, text: Long = ""
    ) -> Response:
        """Keep it."""
        _ = gettext(person)
        try:
            version = await library.edit(person, brand, document, text, sha256, None)
        except NotPossible:
            return await review(request, person, brand, document, text, _(CHANGED), 409)
        except RequestInvalid as error:
            return await review(request, person, brand, document, text, told(error, _), 400)
        said = _("Kept. Version %(version)s answers customers now.") % {"version": version}
        return redirect(request, at(brand, document), said)

    return router


def _search(library: Library) -> APIRouter:
    router = page_router()

    @router.get("/knowledge/{brand}/search")
    async def search(
        request: Request, person: Agent, brand: Brand, question: Annotated[str, Query(max_length=2000)] = "",
        expected: Name = "",
    ) -> Response:  # fmt: skip
        """What a question finds, with the scores of each stage; with an expected page, where that is lost."""
        _ = gettext(person)
        library.brand(brand)
        asked = bool(question.strip())
        return render(
            request, person, "knowledge/search.html", brand=brand, question=question, expected=expected,
            seen=await library.search(brand, question) if asked else None,
            why=await library.why(brand, question, expected, _) if asked and expected else None,
            names=[one.document for one in (await library.documents(brand)).documents],
            stages=STAGES, steps=STEPS, told=_, at=at,
        )  # fmt: skip

    return router


def _versions(library: Library) -> APIRouter:
    router = page_router()

    @router.get("/knowledge/{brand}/versions")
    async def versions(request: Request, person: Agent, brand: Brand) -> Response:
        """The versions that are kept."""
        found = await library.versions(brand)
        return render(
            request, person, "knowledge/versions.html", brand=brand, versions=found,
            active=next((one.version for one in found if one.active), ""), editor=person.may(Role.EDITOR, brand),
        )  # fmt: skip

    @router.get("/knowledge/{brand}/versions/{version}")
    async def version(
        request: Request, person: Agent, brand: Brand, version: Id, against: Annotated[str, Query(max_length=64)] = ""
    ) -> Response:
        """What would change if a version served instead of another one; of what serves, what it changed."""
        kept = await library.versions(brand)
        one = next((each for each in kept if each.version == version), None)
        if one is None:
            raise NotFound(GONE)
        if one.active and not against:
            older = [each for each in kept if each.created < one.created]
            against = max(older, default=one, key=lambda each: each.created).version
        seen = await library.compare(brand, version, against)
        shown = seen.changed[:COMPARED]
        lines = {
            name: await library.difference(brand, name, version=version, against=seen.against or None) for name in shown
        }
        return render(
            request, person, "knowledge/version.html", brand=brand, one=one, seen=seen, lines=lines,
            versions=kept, active=next((each.version for each in kept if each.active), ""),
            editor=person.may(Role.EDITOR, brand), at=at,
        )  # fmt: skip

    @router.post("/knowledge/{brand}/versions/{version}/rollback")
    async def roll_back(request: Request, person: Editor, brand: Brand, version: Id, expected: Said = "") -> Response:
        """Let it serve again."""
        await library.roll_back(person, brand, version, expected or None, None)
        _ = gettext(person)
        said = _("Version %(version)s answers customers again.") % {"version": version}
        return redirect(request, f"{HERE}/{brand}/versions", said)

    return router
