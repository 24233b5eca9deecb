"""The knowledge over HTTP: `/v1/brands/{brand}/knowledge`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy import Connection, select
from starlette.datastructures import UploadFile

from service.console.access import OF_BRAND, Editor, Needs, Person, Role, check_size, speaks_as
from service.console.inspector.inspecting import WhyNot
from service.console.knowledge.desk import Library
from service.console.knowledge.shown import (
    Address,
    BackTo,
    ComparedShown,
    DocumentShown,
    DocumentsShown,
    Edit,
    IndexShown,
    JobShown,
    JobsShown,
    LineShown,
    LinesShown,
    Named,
    RemovedShown,
    Restored,
    SearchShown,
    Serving,
    ToCompare,
    VersionsShown,
    Written,
)
from service.console.said import Said, _
from service.console.together import together
from service.errors import NotFound, RequestInvalid
from service.intake.terms import Job
from service.intake.uploads import MAX_BYTES, MAX_FILES, Brought
from service.storage.tables import knowledge_jobs

AN_AGENT = [Depends(Needs(Role.AGENT))]
AN_EDITOR = [Depends(Needs(Role.EDITOR))]
PREFIX = "/v1/brands/{brand}/knowledge"
Brand = Annotated[str, Path(max_length=40, description="The brand's name.")]
Version = Annotated[str, Path(max_length=64, description="Of the knowledge.")]
JobId = Annotated[str, Path(max_length=64, description="The job's id.")]
Document = Annotated[str, Query(max_length=400, description="As the list names it.", examples=["returns.md"])]
Question = Annotated[str, Query(max_length=2000, description="What a customer would ask.")]
FILES = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    "by": {"type": "string", "description": "Who does it, where an API key asks."},
                },
            }
        }
    },
}
"""Described here, not by parameters: those would be read before anybody is asked who they are."""


def _of_intake(connection: Connection, job: str) -> str | None:
    return connection.execute(select(knowledge_jobs.c.brand).where(knowledge_jobs.c.id == job)).scalar()


OF_BRAND["intake"] = _of_intake


def knowledge_api(library: Library) -> APIRouter:
    """The routes."""
    return together(*(part(library) for part in (_documents, _changes, _intake, _search, _versions)))


async def upload(library: Library, request: Request, person: Person, brand: str) -> Job:
    """Take in the files of a form.

    Raises:
        RequestInvalid: There are none, too many, or they are too large together.
    """
    check_size(request)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RequestInvalid(_("Send the files as a form (multipart/form-data)."), param="files")
    # What lies on the disk for this form goes when it is closed.
    async with request.form(max_files=MAX_FILES + 1) as form:
        # A form without a chosen file holds one without a name.
        files = [one for one in form.getlist("files") if isinstance(one, UploadFile) and one.filename]
        size = sum(one.size or 0 for one in files)
        if len(files) > MAX_FILES or size > MAX_BYTES:
            text = _("At most %(files)s files and %(size)s MB are taken at once. Send them in parts.")
            raise RequestInvalid(Said(text, files=MAX_FILES, size=MAX_BYTES // 1_000_000), param="files")
        by = form.get("by")
        name = speaks_as(person, by if isinstance(by, str) else None)
        brought = [Brought(one.filename or "", one.file) for one in files]
        return await library.intakes.upload(brand, brought, by=name, audit=library.audited(person, name))


async def crawl(library: Library, person: Person, brand: str, address: str, by: str | None = None) -> Job:
    """Take in what lies at an address."""
    name = speaks_as(person, by)
    return await library.intakes.crawl(brand, address, by=name, audit=library.audited(person, name))


async def job_of(library: Library, brand: str, job: str) -> Job:
    """A job of this brand."""
    one = await library.intakes.read(job)
    if one.brand != brand:
        raise NotFound(_("There is no such job."))
    return one


def _documents(library: Library) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Knowledge"], dependencies=AN_AGENT)

    @router.get("", response_model=IndexShown)
    async def state(brand: Brand) -> Any:
        """The state of what is searched."""
        return await library.state(brand)

    @router.get("/documents", response_model=DocumentsShown)
    async def documents(
        brand: Brand, words: Annotated[str, Query(max_length=200, description="In title or name.")] = ""
    ) -> Any:
        """The documents that a brand answers from."""
        return await library.documents(brand, words)

    @router.get("/document", response_model=DocumentShown)
    async def document(brand: Brand, document: Document) -> Any:
        """One document with its text, and its passages as search has them."""
        return await library.document(brand, document)

    @router.post("/difference", response_model=LinesShown)
    async def difference(brand: Brand, given: ToCompare) -> Any:
        """What other words would change in a document; nothing is kept."""
        return _lines(await library.difference(brand, given.document, given.text))

    @router.get("/removed", response_model=RemovedShown)
    async def removed(brand: Brand) -> Any:
        """Documents that were removed, and can be brought back from a kept version."""
        return RemovedShown(documents=await library.removed(brand))

    return router


def _changes(library: Library) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Knowledge"])

    @router.put("/document", response_model=Serving)
    async def edit(person: Editor, brand: Brand, document: Document, given: Edit) -> Any:
        """Let a document say something else; 409 where somebody has changed it since `sha256`."""
        return Serving(version=await library.edit(person, brand, document, given.text, given.sha256, given.by))

    @router.post("/remove", response_model=Serving)
    async def remove(person: Editor, brand: Brand, given: Named) -> Any:
        """Take documents out; kept versions still hold them."""
        return Serving(version=await library.remove(person, brand, given.documents, given.by))

    @router.post("/restore", response_model=Serving)
    async def restore(person: Editor, brand: Brand, given: Restored) -> Any:
        """Let a document say again what it said in a kept version."""
        return Serving(version=await library.restore(person, brand, given.document, given.version, given.by))

    return router


def _intake(library: Library) -> APIRouter:
    router, intakes = APIRouter(prefix=PREFIX, tags=["Knowledge"]), library.intakes

    @router.post("/files", response_model=JobShown, status_code=202, openapi_extra={"requestBody": FILES})
    async def files(request: Request, person: Editor, brand: Brand) -> Any:
        """Take in files, as a job: 200 at most, 200 MB together. A file that cannot be read is named with its reason.

        Formats and limits of one file: `docs/knowledge.md`.
        """
        return await upload(library, request, person, brand)

    @router.post("/pages", response_model=JobShown, status_code=202)
    async def write(person: Editor, brand: Brand, given: Written) -> Any:
        """Take in a page that is written here, as a job; 409 where its title names a document already."""
        return await library.write(person, brand, given.title, given.text, given.by)

    @router.post("/crawl", response_model=JobShown, status_code=202)
    async def address(person: Editor, brand: Brand, given: Address) -> Any:
        """Take in a page, or all pages of a sitemap, as a job; robots.txt is obeyed."""
        return await crawl(library, person, brand, given.address, given.by)

    @router.get("/jobs", response_model=JobsShown, dependencies=AN_EDITOR)
    async def jobs(brand: Brand) -> Any:
        """The latest jobs."""
        return JobsShown(jobs=tuple(JobShown.model_validate(one) for one in await intakes.listed(brand)))

    @router.get("/jobs/{intake}", response_model=JobShown, dependencies=AN_EDITOR)
    async def job(brand: Brand, intake: JobId) -> Any:
        """A job: how far it is, and what became of each file or page."""
        return await job_of(library, brand, intake)

    @router.post("/jobs/{intake}/stop", response_model=JobShown, dependencies=AN_EDITOR)
    async def stop(brand: Brand, intake: JobId) -> Any:
        """Stop it; nothing is taken in then."""
        await job_of(library, brand, intake)
        return await intakes.stop(intake)

    return router


def _search(library: Library) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Knowledge"], dependencies=AN_AGENT)

    @router.get("/search", response_model=SearchShown)
    async def search(brand: Brand, question: Question) -> Any:
        """The passages that a question finds, with the scores of each stage."""
        return await library.search(brand, question)

    @router.get("/why", response_model=WhyNot)
    async def why(brand: Brand, question: Question, document: Document) -> Any:
        """Where the search loses a document that should have been found."""
        return await library.why(brand, question, document)

    return router


def _versions(library: Library) -> APIRouter:
    router = APIRouter(prefix=f"{PREFIX}/versions", tags=["Knowledge"])

    @router.get("", response_model=VersionsShown, dependencies=AN_AGENT)
    async def versions(brand: Brand) -> Any:
        """The versions that are kept, the newest first, and what each changed against the one before."""
        return VersionsShown(versions=await library.versions(brand))

    @router.get("/{version}", response_model=ComparedShown, dependencies=AN_AGENT)
    async def compare(
        brand: Brand, version: Version,
        against: Annotated[str, Query(max_length=64, description="What serves now where absent.")] = "",
    ) -> Any:  # fmt: skip
        """What would change if a version served."""
        return await library.compare(brand, version, against)

    @router.get("/{version}/difference", response_model=LinesShown, dependencies=AN_AGENT)
    async def difference(
        brand: Brand, version: Version, document: Document,
        against: Annotated[str | None, Query(max_length=64, description="What serves now where absent.")] = None,
    ) -> Any:  # fmt: skip
        """What would change in one document."""
        return _lines(await library.difference(brand, document, version=version, against=against or None))

    @router.post("/{version}/rollback", response_model=Serving)
    async def roll_back(person: Editor, brand: Brand, version: Version, given: BackTo) -> Any:
        """Let a version serve again; 409 where another one serves than `expected`."""
        return Serving(version=await library.roll_back(person, brand, version, given.expected, given.by))

    return router


def _lines(lines: list[Any]) -> LinesShown:
    return LinesShown(lines=tuple(LineShown.model_validate(one) for one in lines))
