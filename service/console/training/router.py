"""Train: choose, look at the data, start, watch, let it speak or not, go back."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response

from service.bootstrap import Gateway
from service.console import charts
from service.console.access import CONSOLE, Admin, Editor, Person, Role
from service.console.bench.pages import OUTCOMES
from service.console.corrections.router import kinds
from service.console.pages import gettext, page_router, redirect, render
from service.console.said import told
from service.console.together import together
from service.console.training.api import Workshop, audited, training_api
from service.console.training.shown import Chosen, Promotion
from service.console.training_words import MEASURES, RULES
from service.engines.adapters import active_version, list_adapters
from service.errors import AdapterUnknown, NotPossible, PromotionRefused, RequestInvalid
from service.trainings.curve import Curve
from service.trainings.notes import measures
from service.trainings.terms import RESUMABLE, Job, State

HERE = f"{CONSOLE}/training"
Id = Annotated[str, Path(max_length=64)]
Name = Annotated[str, Query(max_length=100)]
Text = Annotated[str, Form(max_length=2000)]
Tick = Annotated[bool, Query()]


def training_router(gateway: Gateway) -> APIRouter:
    """The pages below `/console/training` and the routes below `/v1/training`."""
    shop = Workshop(gateway)
    return together(training_api(shop), _list(shop), _plan(shop), _job(shop), _acts(shop))


def states(person: Person | None) -> dict[State, str]:
    """How far a training is, in the person's language."""
    _ = gettext(person)
    return {
        "running": _("running"),
        "stopped": _("stopped"),
        "interrupted": _("interrupted"),
        "failed": _("failed"),
        "trained": _("waits for the gate"),
        "done": _("done"),
    }


def _list(shop: Workshop) -> APIRouter:
    router, desk = page_router(), shop.desk

    @router.get("/training")
    async def listed(request: Request, person: Editor, brand: Name = "") -> Response:
        """Versions, trainings, and a new one."""
        brands = person.brands(Role.EDITOR, shop.brands)
        chosen = brand or (brands[0] if brands else "")
        found = await asyncio.to_thread(list_adapters, shop.home, {chosen: desk.brand(chosen)}) if chosen else []
        return render(
            request,
            person,
            "training/list.html",
            brands=brands,
            brand=chosen,
            versions=list(reversed(found)),
            jobs=await shop.listed(person, chosen) if chosen else [],
            recipes=await asyncio.to_thread(desk.recipes),
            proposed=await desk.proposed(chosen) if chosen else "",
            states=states(person),
            admin=bool(chosen) and person.may(Role.ADMIN, chosen),
        )

    @router.post("/training/brands/{brand}/rollback")
    async def roll_back(request: Request, person: Admin, brand: Id) -> Response:
        """Let the version speak that did before."""
        _ = gettext(person)
        try:
            version = await shop.roll_back(person, brand, None)
        except AdapterUnknown as error:
            return redirect(request, f"{HERE}?brand={brand}", told(error, _))
        return redirect(request, f"{HERE}?brand={brand}", _("%(version)s speaks now.") % {"version": version})

    @router.get("/training/brands/{brand}/versions/{version}")
    async def release_notes(request: Request, person: Editor, brand: Id, version: Id) -> Response:
        """Release notes of a version."""
        found = await shop.notes(brand, version)
        return render(request, person, "training/notes.html", notes=found, measure_names=MEASURES, kinds=kinds(person))

    return router


def _plan(shop: Workshop) -> APIRouter:
    router, desk = page_router(), shop.desk

    def chosen(recipe: str, changes: str, **ticks: bool) -> Chosen:
        lines = [line.strip() for line in changes.splitlines() if line.strip()][:50]
        return Chosen.model_validate({"recipe": recipe, "changes": lines, **ticks})

    @router.get("/training/brands/{brand}/plan")
    async def plan(
        request: Request, person: Editor, brand: Id, recipe: Name = "quick_cpu",
        changes: Annotated[str, Query(max_length=2000)] = "", corrections: Tick = False, gate: Tick = False,
        general: Tick = False, baseline: Tick = False,
    ) -> Response:  # fmt: skip
        """What a training would do, before it is started."""
        given = chosen(recipe, changes, corrections=corrections, gate=gate, general=general, baseline=baseline)
        found, trouble = None, ""
        try:
            found = await desk.plan(given.of(brand))
        except (RequestInvalid, NotPossible) as error:
            trouble = told(error, gettext(person))
        return render(
            request,
            person,
            "training/plan.html",
            status=400 if trouble else 200,
            brand=brand,
            given=given,
            changes=changes,
            plan=found,
            trouble=trouble,
            kinds=kinds(person),
            names=[(one.name, one.name) for one in await asyncio.to_thread(desk.recipes)],
        )

    @router.post("/training/brands/{brand}/check")
    async def check(
        request: Request, person: Editor, brand: Id, recipe: Text = "quick_cpu",
        corrections: Annotated[bool, Form()] = False,
    ) -> Response:  # fmt: skip
        """What the data doctor finds, as a part of the plan; it takes seconds."""
        given = Chosen(recipe=recipe, corrections=corrections)
        found, trouble = None, ""
        try:
            found = await desk.check(given.of(brand))
        except (RequestInvalid, NotPossible) as error:
            trouble = told(error, gettext(person))
        return render(request, person, "training/part_check.html", check=found, trouble=trouble, rules=RULES)

    @router.post("/training/brands/{brand}/jobs")
    async def start(
        request: Request, person: Editor, brand: Id, recipe: Text = "quick_cpu", changes: Text = "",
        corrections: Annotated[bool, Form()] = False, gate: Annotated[bool, Form()] = False,
        general: Annotated[bool, Form()] = False, baseline: Annotated[bool, Form()] = False,
    ) -> Response:  # fmt: skip
        """Start it."""
        given = chosen(recipe, changes, corrections=corrections, gate=gate, general=general, baseline=baseline)
        job = await shop.start(person, brand, given)
        return redirect(request, f"{HERE}/jobs/{job.id}")

    return router


def _job(shop: Workshop) -> APIRouter:
    router, desk = page_router(), shop.desk

    async def about(person: Person, job: str) -> dict[str, Any]:
        await desk.look()
        found = await desk.read(job)
        curve = await asyncio.to_thread(desk.curve, found)
        verdict = await asyncio.to_thread(desk.verdict, found) if found.state == "done" else None
        return {
            "job": found,
            "states": states(person),
            "standing": desk.standing(found) if found.state == "running" else None,
            "curve": curve,
            "drawing": drawing(curve, gettext(person)("Loss by step")) if curve.losses else "",
            "rows": [(point.step, f"{point.loss:.4f}") for point in curve.losses[-200:]],
            "resumable": found.state in RESUMABLE,
            "verdict": verdict,
            "measures": measures(verdict) if verdict else [],
            "measure_names": MEASURES,
            "outcomes": OUTCOMES,
            "active": _speaks(shop, found),
            "admin": person.may(Role.ADMIN, found.brand),
        }

    @router.get("/training/jobs/{job}")
    async def one(request: Request, person: Editor, job: Id) -> Response:
        """A training: where it stands, what the gate said, what to do with it."""
        values = await about(person, job)
        return render(
            request,
            person,
            "training/job.html",
            changed=await shop.changed(values["job"]) if values["verdict"] else [],
            trouble="",
            reasons=[],
            **values,
        )

    @router.get("/training/jobs/{job}/part")
    async def part(request: Request, person: Editor, job: Id, shown: Name = "running-train") -> Response:
        """Where it stands, once more; the whole page again once that is another stage than the page shows."""
        values = await about(person, job)
        if shown != f"{values['job'].state}-{values['job'].step}":
            return redirect(request, f"{HERE}/jobs/{job}")
        return render(request, person, "training/part_job.html", **values)

    @router.post("/training/jobs/{job}/promote")
    async def promote(request: Request, person: Admin, job: Id, reason: Text = "") -> Response:
        """Let it speak; where the gate says no, its reasons and the way to answer for it."""
        found = await desk.read(job)
        _ = gettext(person)
        try:
            await shop.promote(person, found.brand, found.version or "", Promotion(reason=reason or None))
        except PromotionRefused as error:
            values = await about(person, job)
            return render(
                request,
                person,
                "training/job.html",
                status=409,
                changed=await shop.changed(found),
                trouble=told(error, gettext(person)),
                reasons=error.reasons,
                **values,
            )
        said = _("%(version)s speaks now.") % {"version": found.version}
        return redirect(request, f"{HERE}/jobs/{job}", said)

    return router


def _acts(shop: Workshop) -> APIRouter:
    router, desk = page_router(), shop.desk

    @router.post("/training/jobs/{job}/stop")
    async def stop(request: Request, person: Editor, job: Id) -> Response:
        """Stop it."""
        await desk.stop(job, audit=audited(person, person.name))
        return redirect(request, f"{HERE}/jobs/{job}")

    @router.post("/training/jobs/{job}/resume")
    async def resume(request: Request, person: Editor, job: Id) -> Response:
        """Go on."""
        await desk.resume(job, audit=audited(person, person.name))
        return redirect(request, f"{HERE}/jobs/{job}")

    @router.post("/training/jobs/{job}/gate")
    async def gate(request: Request, person: Editor, job: Id) -> Response:
        """Ask the gate."""
        await desk.ask_gate(job, audit=audited(person, person.name))
        return redirect(request, f"{HERE}/jobs/{job}")

    @router.post("/training/jobs/{job}/discard")
    async def discard(request: Request, person: Editor, job: Id) -> Response:
        """Delete what was trained."""
        _ = gettext(person)
        await desk.discard(job, by=person.name, audit=audited(person, person.name))
        return redirect(request, f"{HERE}/jobs/{job}", _("The new version is deleted."))

    return router


def _speaks(shop: Workshop, job: Job) -> bool:
    return job.version is not None and active_version(shop.home, job.brand) == job.version


def drawing(curve: Curve, title: str) -> Any:
    """The losses as a picture; what is held back as a second line, at its steps."""
    held = {point.step: point.loss for point in curve.held_back}
    steps = sorted({point.step for point in curve.losses} | held.keys())
    losses = {point.step: point.loss for point in curve.losses}
    series: list[tuple[str, list[float | None]]] = [("loss", [losses.get(step) for step in steps])]
    if held:
        series.append(("held back", _joined(steps, held)))
    return charts.lines(series, [str(step) for step in steps], title=title)


def _joined(steps: list[int], known: dict[int, float]) -> list[float | None]:
    """Values at known steps, and on a straight line between them."""
    places = sorted(known)
    found: list[float | None] = []
    for step in steps:
        before = max((one for one in places if one <= step), default=None)
        after = min((one for one in places if one >= step), default=None)
        if before is None or after is None:
            found.append(None)
        elif before == after:
            found.append(known[before])
        else:
            share = (step - before) / (after - before)
            found.append(known[before] + share * (known[after] - known[before]))
    return found
