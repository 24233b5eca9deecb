"""Where files and addresses are handed in, and how far each job is."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from configs.brand import Brand
from configs.home import Home
from retrieval.documents.fetching import Fetcher
from retrieval.documents.web import MAX_BYTES, SECONDS
from retrieval.encoder import Encoder
from retrieval.errors import RetrievalError
from retrieval.search.knowledge_base import KnowledgeBase
from service.errors import RequestInvalid, ServiceError, brand_of
from service.intake import rows
from service.intake.terms import Job, Kind, Result, State
from service.intake.uploads import Brought, put_aside
from service.intake.work import Run, Stopped, in_thread, take_in
from service.storage.database import Database, now
from service.storage.leases import Membership

log = logging.getLogger(__name__)
LOOK_S = 0.5
"""How often a job's progress is kept, and looked whether it shall stop."""
FOLLOW_S = 5.0
"""How often it is looked for jobs that a gateway left behind."""
CLOSE_S = 5.0
"""How long jobs have to stop when the gateway ends."""
PLACES: Mapping[Kind, int] = {"upload": 1, "crawl": 2}
"""Jobs at one time; a crawl waits for others most of the time."""
MAX_ADDRESS = 2000
SHOWN = 20
Audit = Callable[[Connection, str, Job, dict[str, Any]], None]
"""Notes (action, job, detail) in the transaction that ends a job."""


def no_audit(_connection: Connection, _action: str, _job: Job, _detail: dict[str, Any]) -> None:
    """Nobody notes anything."""


class Intakes:
    """The jobs of a deployment, as this gateway sees them."""

    def __init__(
        self,
        db: Database,
        home: Home,
        brands: Mapping[str, Brand],
        encoder: Encoder,
        knowledge: Mapping[str, KnowledgeBase],
        member: Membership,
    ) -> None:
        """Begin; nothing runs yet.

        Args:
            db: Holds the jobs.
            home: Where files are put aside, and the knowledge lies.
            brands: By name.
            encoder: The deployment's.
            knowledge: What serves each brand; takes a new version up at once.
            member: This gateway among others.
        """
        self.fetcher: Callable[[], Fetcher] = lambda: Fetcher(max_bytes=MAX_BYTES, seconds=SECONDS)
        """Makes what fetches pages, one for each job."""
        self._db = db
        self._home = home
        self._brands = brands
        self._encoder = encoder
        self._knowledge = knowledge
        self._member = member
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: Counter[Kind] = Counter()
        self._closing = False

    async def upload(self, brand: str, brought: Sequence[Brought], *, by: str, audit: Audit = no_audit) -> Job:
        """Take in files; those that cannot be read are named in the results, the others are kept.

        Raises:
            BrandUnknown: There is no such brand.
            RequestInvalid: There are none.
            NotPossible: As many jobs run as may.
        """
        self.brand(brand)
        if not brought:
            raise RequestInvalid("Choose at least one file.", param="files")
        job = self._new(brand, "upload", brought[0].name, by)
        folder = self._home.uploads / job.id
        refused = await asyncio.to_thread(put_aside, folder, brought)
        return await self._begin(Run(job, folder, refused, total=len(brought) - len(refused)), audit)

    async def crawl(self, brand: str, address: str, *, by: str, audit: Audit = no_audit) -> Job:
        """Take in a page, or all pages of a sitemap.

        Raises:
            BrandUnknown: There is no such brand.
            RequestInvalid: It is no address of the web.
            NotPossible: As many jobs run as may.
        """
        self.brand(brand)
        address = address.strip()
        if not address.lower().startswith(("http://", "https://")) or len(address) > MAX_ADDRESS:
            raise RequestInvalid(
                "An address begins with https:// or http:// and has at most 2,000 characters, such as "
                "https://shop.example/help or https://shop.example/sitemap.xml.",
                param="address",
            )
        return await self._begin(Run(self._new(brand, "crawl", address, by), None, []), audit)

    async def read(self, job: str) -> Job:
        """One job.

        Raises:
            NotFound: There is none.
        """
        return await self._db.read(lambda connection: rows.read(connection, job))

    async def listed(self, brand: str, limit: int = SHOWN) -> list[Job]:
        """Jobs of a brand, newest first."""
        self.brand(brand)
        return await self._db.read(lambda connection: rows.listed(connection, brand, limit))

    async def stop(self, job: str) -> Job:
        """Let a job end without a change.

        Raises:
            NotFound: There is none.
            NotPossible: It is over.
        """
        one = await self._db.write(lambda connection: rows.stop(connection, job))
        if run := self._runs.get(job):
            run.stop.set()
        return one

    async def look(self) -> None:
        """See which jobs were left behind by a gateway that ended."""
        left = await self._db.write(
            lambda connection: rows.interrupted(connection, self._member.id, set(self._runs)), durable=False
        )
        for job in left:
            await asyncio.to_thread(shutil.rmtree, self._home.uploads / job, ignore_errors=True)

    async def follow(self) -> None:
        """Look for as long as the gateway runs; the outermost loop, so it survives all."""
        while True:
            try:
                await self.look()
            except ServiceError as error:
                log.warning("intake_not_followed", extra={"reason": str(error)})
            except Exception:
                log.exception("intake_not_followed")
            await asyncio.sleep(FOLLOW_S)

    async def close(self) -> None:
        """Stop what runs."""
        self._closing = True
        for run in self._runs.values():
            run.stop.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def brand(self, name: str) -> Brand:
        """A brand of this gateway.

        Raises:
            BrandUnknown: There is none of this name.
        """
        return brand_of(self._brands, name)

    def _new(self, brand: str, kind: Kind, source: str, by: str) -> Job:
        return Job(
            secrets.token_hex(8), brand, kind, source, "running", "waiting", 0, None, "", (), None, None, False,
            self._member.id, by, now(), None,
        )  # fmt: skip

    async def _begin(self, run: Run, audit: Audit) -> Job:
        # Before the row: who looks for jobs that were left behind must find it here.
        self._runs[run.job.id] = run
        try:
            await self._db.write(lambda connection: rows.begin(connection, run.job))
        except BaseException:
            self._leave(run)
            raise
        task = asyncio.create_task(self._follow_run(run, audit), name=f"intake-{run.job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run.job

    def _leave(self, run: Run) -> None:
        self._runs.pop(run.job.id, None)
        if run.folder is not None:
            shutil.rmtree(run.folder, ignore_errors=True)

    async def _follow_run(self, run: Run, audit: Audit) -> None:
        try:
            await self._end(run, audit, *await self._work(run))
        except ServiceError as error:
            # What it took in serves all the same; only the row does not say so.
            log.warning("intake_not_kept", extra={"job": run.job.id, "reason": str(error)})
        finally:
            await asyncio.to_thread(self._leave, run)

    async def _work(self, run: Run) -> tuple[State, Sequence[Result], str | None, str | None]:
        """How it ended: state, results, version, error."""
        kind = run.job.kind
        while self._busy[kind] >= PLACES[kind]:
            await self._keep(run)
            if run.stop.is_set():
                return self._stopped(), (), None, None
            await asyncio.sleep(LOOK_S)
        self._busy[kind] += 1
        try:
            brand, fetcher = self._brands[run.job.brand], self.fetcher()
            working = in_thread(lambda: take_in(run, self._home, brand, self._encoder, fetcher))
            while not (await asyncio.wait((working,), timeout=LOOK_S))[0]:
                await self._keep(run)
            results, version = working.result()
        except Stopped:
            return self._stopped(), (), None, None
        except (RetrievalError, OSError) as error:
            return "failed", run.refused, None, str(error)
        except Exception as error:
            log.exception("intake_failed")
            return "failed", run.refused, None, f"{type(error).__name__}; the gateway's log says more"
        finally:
            self._busy[kind] -= 1
        with suppress(RetrievalError):
            # Its own loop would take it up within a second; who waits for the job shall find it at once.
            await asyncio.to_thread(self._knowledge[run.job.brand].refresh)
        return "done", results, version, None

    def _stopped(self) -> State:
        return "interrupted" if self._closing else "stopped"

    async def _keep(self, run: Run) -> None:
        """Keep how far it is; what cannot be kept now is kept the next time."""
        values = {"step": run.step, "done": run.done, "total": run.total, "at": run.at[:MAX_ADDRESS]}
        try:
            if await self._db.write(lambda c: rows.keep(c, run.job.id, **values), durable=False):
                run.stop.set()
        except ServiceError as error:
            log.warning("intake_not_kept", extra={"job": run.job.id, "reason": str(error)})

    async def _end(
        self, run: Run, audit: Audit, state: State, results: Sequence[Result], version: str | None, error: str | None
    ) -> None:
        counts = Counter(one.outcome for one in results)
        values: dict[str, Any] = {
            "state": state,
            "results": [one.to_json() for one in results],
            "version": version,
            "error": error,
        }
        # What it read and embedded stands in the results.
        values |= {"ended_at": now(), "at": "", "done": len(results), "total": len(results)}
        job = replace(run.job, state=state, results=tuple(results), version=version, error=error)

        def work(connection: Connection) -> None:
            rows.keep(connection, job.id, **values)
            if version is not None and (counts["added"] or counts["changed"]):
                detail = {"version": version, **{str(name): count for name, count in sorted(counts.items())}}
                audit(connection, "knowledge.uploaded" if job.kind == "upload" else "knowledge.crawled", job, detail)

        await self._db.write(work)
