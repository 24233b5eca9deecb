"""Trainings over HTTP: `/v1/training`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import PlainTextResponse
from sqlalchemy import Connection, select

from service.bootstrap import Gateway
from service.console import audit
from service.console.access import OF_BRAND, Admin, Editor, Needs, Person, Role, author, speaks_as
from service.console.together import together
from service.console.training.shown import (
    ChangedAnswers,
    Chosen,
    CurveShown,
    JobShown,
    JobsShown,
    PlanShown,
    Promotion,
    RecipesShown,
    Signed,
    Speaking,
    StandingShown,
)
from service.engines.adapters import promote, rollback
from service.engines.promotion import Override
from service.errors import NotPossible
from service.storage.tables import training_jobs
from service.trainings import changed, notes
from service.trainings.desk import Audit, Trainings
from service.trainings.terms import Job

AN_EDITOR = [Depends(Needs(Role.EDITOR))]
Id = Annotated[str, Path(max_length=64, description="The job's id.")]
Brand = Annotated[str, Path(max_length=40, description="The brand's name.")]
Version = Annotated[str, Path(max_length=64, description="Of the adapter.")]


def _of_job(connection: Connection, job: str) -> str | None:
    return connection.execute(select(training_jobs.c.brand).where(training_jobs.c.id == job)).scalar()


OF_BRAND["job"] = _of_job


def audited(person: Person, name: str) -> Audit:
    """Notes changes of jobs as this person's."""

    def note(connection: Connection, action: str, job: Job, detail: dict[str, Any]) -> None:
        audit.note(connection, by=author(person, name), brand=job.brand, action=action, subject=job.id, detail=detail)

    return note


class Workshop:
    """What a person does with trainings."""

    def __init__(self, gateway: Gateway) -> None:
        self.desk: Trainings = gateway.trainings
        self.brands = gateway.config.brands
        self.home = gateway.home
        self._db = gateway.db
        self._terms = gateway.terms
        self._refresh = gateway.corrections.refresh

    async def start(self, person: Person, brand: str, given: Chosen) -> Job:
        """Begin a training, with corrections as they are now."""
        name = speaks_as(person, given.by)
        await self._refresh()
        return await self.desk.start(given.of(brand), by=name, audit=audited(person, name))

    def shown(self, job: Job) -> JobShown:
        """A job with where it stands."""
        standing = self.desk.standing(job) if job.state == "running" else None
        shown = JobShown.model_validate(job)
        return shown.model_copy(update={"standing": StandingShown.model_validate(standing) if standing else None})

    async def listed(self, person: Person, brand: str | None) -> list[Job]:
        """Jobs of the brands of which one is an editor."""
        seen = set(person.brands(Role.EDITOR, self.brands))
        return [one for one in await self.desk.listed(brand) if one.brand in seen]

    async def promote(self, person: Person, brand: str, version: str, given: Promotion) -> None:
        """Let a version speak; kept in its manifest and in the log."""
        name = speaks_as(person, given.by)
        override = Override(name, given.reason) if given.reason else None
        await asyncio.to_thread(
            promote, self.home, self.desk.brand(brand), version, terms=self._terms, override=override
        )
        await self._note(person, name, brand, version, "adapter.promoted", {"override": bool(override)})

    async def roll_back(self, person: Person, brand: str, by: str | None) -> str:
        """Let the version speak that did before."""
        name = speaks_as(person, by)
        self.desk.brand(brand)
        version = await asyncio.to_thread(rollback, self.home, brand, terms=self._terms)
        await self._note(person, name, brand, version, "adapter.rolled_back", {})
        return version

    async def _note(
        self, person: Person, name: str, brand: str, version: str, action: str, detail: Mapping[str, Any]
    ) -> None:
        await self._db.write(
            lambda c: audit.note(c, by=author(person, name), brand=brand, action=action, subject=version, detail=detail)
        )

    async def notes(self, brand: str, version: str) -> notes.Notes:
        """The release notes of a version."""
        self.desk.brand(brand)
        jobs = [one for one in await self.desk.listed(brand) if one.version == version]
        return await asyncio.to_thread(notes.notes, self.home, brand, version, jobs[0] if jobs else None)

    async def changed(self, job: Job) -> list[changed.Changed]:
        """The answers that changed most, where the gate asked."""
        verdict = await asyncio.to_thread(self.desk.verdict, job)
        if verdict is None or job.version is None:
            return []
        before = verdict.conditions.current.version
        return await asyncio.to_thread(changed.changed, self.home, job.brand, before, job.version)


def training_api(shop: Workshop) -> APIRouter:
    """The routes `/v1/training`."""
    return together(_before(shop), _jobs(shop), _acts(shop), _versions(shop))


def _before(shop: Workshop) -> APIRouter:
    router, desk = APIRouter(prefix="/v1/training/brands/{brand}", tags=["Training"]), shop.desk

    @router.get("/recipes", response_model=RecipesShown, dependencies=AN_EDITOR)
    async def recipes(brand: Brand) -> Any:
        """The recipes to choose from."""
        desk.brand(brand)
        return {"recipes": await asyncio.to_thread(desk.recipes)}

    @router.post("/plan", response_model=PlanShown, dependencies=AN_EDITOR)
    async def plan(brand: Brand, given: Chosen) -> Any:
        """What a training would do: data, and the exact command; nothing is started."""
        return await desk.plan(given.of(brand))

    @router.post("/check", dependencies=AN_EDITOR)
    async def check(brand: Brand, given: Chosen) -> dict[str, Any]:
        """What the data doctor finds in the data of a choice, as `brandvoice data check` says it; takes seconds."""
        return await desk.check(given.of(brand))

    @router.post("/jobs", response_model=JobShown, status_code=201)
    async def start(person: Editor, brand: Brand, given: Chosen) -> Any:
        """Begin a training; it goes on when this gateway ends, and one at a time runs on a machine."""
        return shop.shown(await shop.start(person, brand, given))

    return router


def _jobs(shop: Workshop) -> APIRouter:
    router, desk = APIRouter(prefix="/v1/training/jobs", tags=["Training"]), shop.desk

    @router.get("", response_model=JobsShown)
    async def listed(
        person: Editor, brand: Annotated[str | None, Query(max_length=40, description="Only of this brand.")] = None
    ) -> Any:
        """Trainings, newest first."""
        return {"jobs": [shop.shown(one) for one in await shop.listed(person, brand)]}

    @router.get("/{job}", response_model=JobShown, dependencies=AN_EDITOR)
    async def one(job: Id) -> Any:
        """One training, and where it stands."""
        await desk.look()
        return shop.shown(await desk.read(job))

    @router.get("/{job}/curve", response_model=CurveShown, dependencies=AN_EDITOR)
    async def curve(job: Id) -> Any:
        """The losses so far."""
        found = await desk.read(job)
        return await asyncio.to_thread(desk.curve, found)

    @router.get("/{job}/log", response_class=PlainTextResponse, dependencies=AN_EDITOR)
    async def log(job: Id) -> str:
        """The end of its log."""
        return desk.said(await desk.read(job))

    @router.get("/{job}/changed", response_model=ChangedAnswers, dependencies=AN_EDITOR)
    async def changed_answers(job: Id) -> Any:
        """The 20 answers that changed most against what speaks, where the gate asked."""
        return {"answers": await shop.changed(await desk.read(job))}

    return router


def _acts(shop: Workshop) -> APIRouter:
    router, desk = APIRouter(prefix="/v1/training/jobs", tags=["Training"]), shop.desk

    @router.post("/{job}/stop", response_model=JobShown)
    async def stop(person: Editor, job: Id, given: Signed) -> Any:
        """Stop it; it can go on from the last state that it kept."""
        return shop.shown(await desk.stop(job, audit=audited(person, speaks_as(person, given.by))))

    @router.post("/{job}/resume", response_model=JobShown)
    async def resume(person: Editor, job: Id, given: Signed) -> Any:
        """Go on, from the last state that was kept, or with the gate."""
        return shop.shown(await desk.resume(job, audit=audited(person, speaks_as(person, given.by))))

    @router.post("/{job}/gate", response_model=JobShown)
    async def gate(person: Editor, job: Id, given: Signed) -> Any:
        """Let the gate judge what was trained."""
        return shop.shown(await desk.ask_gate(job, audit=audited(person, speaks_as(person, given.by))))

    @router.post("/{job}/promote", response_model=Speaking)
    async def promote_job(person: Admin, job: Id, given: Promotion) -> Any:
        """Let what was trained speak; 409 with the gate's reasons where it says no and no reason is given."""
        found = await desk.read(job)
        if found.version is None or found.discarded_by:
            raise NotPossible("It has no version that could speak.")
        await shop.promote(person, found.brand, found.version, given)
        return {"brand": found.brand, "version": found.version}

    @router.post("/{job}/discard", response_model=JobShown)
    async def discard(person: Editor, job: Id, given: Signed) -> Any:
        """Delete the adapter that was trained; not one that speaks or spoke."""
        name = speaks_as(person, given.by)
        return shop.shown(await desk.discard(job, by=name, audit=audited(person, name)))

    return router


def _versions(shop: Workshop) -> APIRouter:
    router = APIRouter(prefix="/v1/training/brands/{brand}", tags=["Training"])

    @router.get("/versions/{version}/notes", response_model=notes.Notes, dependencies=AN_EDITOR)
    async def release_notes(
        brand: Brand, version: Version, form: Annotated[Literal["json", "markdown"], Query()] = "json"
    ) -> Any:
        """Release notes: data, changes, scores, who let it speak; as JSON or as Markdown."""
        found = await shop.notes(brand, version)
        return found if form == "json" else PlainTextResponse(notes.as_text(found), media_type="text/markdown")

    @router.post("/rollback", response_model=Speaking)
    async def roll_back(person: Admin, brand: Brand, given: Signed) -> Any:
        """Let the version speak again that did before."""
        return {"brand": brand, "version": await shop.roll_back(person, brand, given.by)}

    return router
