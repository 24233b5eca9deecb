"""The voice bench: a question, two to four answers side by side from the same passages, and blind votes on them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, BackgroundTasks, Depends, Path
from fastapi.responses import Response
from sqlalchemy import Connection

from configs.brand import Brand
from service.bootstrap import Gateway
from service.console import audit
from service.console.access import Agent, Needs, Person, Role
from service.console.bench import runs as bench_runs
from service.console.bench import votes
from service.console.bench.offers import offers, score_voice
from service.console.bench.pages import bench_pages
from service.console.bench.runs import Asked, Bench
from service.console.bench.shown import Offers, Results, Run, RunRequest, Vote
from service.console.said import Said, _
from service.console.together import together
from service.errors import BrandUnknown, NotFound, RequestInvalid

AGENT, EDITOR = [Depends(Needs(Role.AGENT))], [Depends(Needs(Role.EDITOR))]
RunId = Annotated[str, Path(max_length=64, description="The run's id.")]
BrandName = Annotated[str, Path(max_length=40)]


def voice_bench_router(gateway: Gateway) -> APIRouter:
    """The pages below `/console/bench` and the routes below `/v1/bench/runs` and `/v1/brands/{brand}/bench`."""
    desk = Desk(gateway)
    return together(_api(desk), bench_pages(desk))


class Desk:
    """What people do on the bench."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.db = gateway.db
        self.bench = Bench(gateway.db, gateway.pipeline, partial(score_voice, gateway.learnt))

    def brand(self, name: str) -> Brand:
        """A brand that is configured."""
        if name not in self.gateway.config.brands:
            raise BrandUnknown(Said(_("There is no brand %(name)s."), name=name))
        return self.gateway.config.brands[name]

    async def ask(self, person: Person, wanted: RunRequest, background: BackgroundTasks) -> str:
        """Begin a run whose voices answer after the response; returns its id."""
        if (wanted.turn is None) == (wanted.question is None):
            raise RequestInvalid(_("Name a question, or a past turn to replay."), param="question")
        if wanted.turn is not None:
            name, question = await bench_runs.replayed(self.db, wanted.turn)
            if wanted.brand not in (None, name):
                raise NotFound(Said(_("There is no turn %(turn)s with a question."), turn=wanted.turn))
        else:
            name, question = wanted.brand or "", self.gateway.clean_text(wanted.question)
        person.must(Role.AGENT, name)
        self.gateway.lanes.admit()
        asked = Asked(
            self.brand(name), question, wanted.contenders, voter(person), wanted.turn, wanted.blind, wanted.served
        )
        run, turns = await self.bench.begin(asked)
        background.add_task(self.bench.answer, run, turns)
        return run

    async def show(self, person: Person, run: str) -> Run:
        """A run, where this person may see its brand."""
        person.must(Role.AGENT, await bench_runs.brand_of(self.db, run))
        return await bench_runs.show(self.db, run, voter(person))

    async def vote(self, person: Person, run: str, vote: Vote) -> Run:
        """Keep a vote; the names are in what is returned."""
        brand = await bench_runs.brand_of(self.db, run)
        person.must(Role.AGENT, brand)

        def work(connection: Connection) -> Run:
            seen = votes.cast(connection, run, voter(person), vote)
            audit.note(connection, by=person, brand=brand, action="bench.voted", subject=run)
            return seen

        return await self.db.write(work)

    async def offers(self, brand: str) -> Offers:
        """What can be asked and who can answer."""
        return await offers(self.db, self.gateway.home, self.brand(brand))

    async def preferences(self, brand: str) -> Response:
        """The votes as a file to learn from."""
        rows = await votes.preference_rows(self.db, self.brand(brand).name)
        text = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        headers = {"Content-Disposition": f'attachment; filename="preferences-{brand}.jsonl"'}
        return Response(text, media_type="application/x-ndjson", headers=headers)


def voter(person: Person) -> str:
    """Under what a vote is kept."""
    return person.id or "api-key"


def _api(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["Bench"])

    @router.get("/brands/{brand}/bench", response_model=Offers, dependencies=AGENT)
    async def offered(brand: BrandName) -> Any:
        """Voices that can answer, questions that can be asked, and past turns that can be replayed."""
        return await desk.offers(brand)

    @router.post("/bench/runs", response_model=Run, status_code=202)
    async def ask(wanted: RunRequest, person: Agent, background: BackgroundTasks) -> Any:
        """Put one question to two to four voices; they answer one by one, from the same passages."""
        return await desk.show(person, await desk.ask(person, wanted, background))

    @router.get("/bench/runs/{run}", response_model=Run)
    async def show(run: RunId, person: Agent) -> Any:
        """A run with the answers that have come. Of a blind one the names are told once you have voted."""
        return await desk.show(person, run)

    @router.post("/bench/runs/{run}/vote", response_model=Run)
    async def cast(run: RunId, vote: Vote, person: Agent) -> Any:
        """Vote on a blind run, once; the answer tells who wrote what."""
        return await desk.vote(person, run, vote)

    @router.get("/brands/{brand}/bench/results", response_model=Results, dependencies=AGENT)
    async def results(brand: BrandName) -> Any:
        """Win rate of each pair of voices with its interval, and a ranking of three or more."""
        return await votes.results(desk.db, desk.brand(brand).name)

    @router.get(
        "/brands/{brand}/bench/preferences",
        dependencies=EDITOR,
        response_class=Response,
        responses={200: {"content": {"application/x-ndjson": {}}, "description": "One pair of replies a line."}},
    )
    async def preferences(brand: BrandName) -> Response:
        """What was voted best beside what was not, as JSON lines that `brandvoice train --recipe dpo` learns from."""
        return await desk.preferences(brand)

    return router
