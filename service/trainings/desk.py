"""Where trainings are started, watched, stopped and gone on with."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from configs.brand import Brand
from configs.home import Home
from configs.load import Config
from configs.verdict import RecordedVerdict, read_verdict
from service.engines.adapters import active_version
from service.engines.promotion import evaluation_folder
from service.errors import NotPossible, ServiceError, brand_of
from service.storage.database import Database, now
from service.storage.ids import fresh_id
from service.storage.tables import training_jobs
from service.trainings import curve, ending, planning, process, rows
from service.trainings.process import Identity
from service.trainings.terms import RESUMABLE, Choice, Job

log = logging.getLogger(__name__)
FOLLOW_S = 1.0
KEPT_IN_MIND = 200
"""Jobs that a list shows."""
Audit = Callable[[Connection, str, Job, dict[str, Any]], None]
"""Notes (action, job, detail) in the transaction of the change."""


def no_audit(_connection: Connection, _action: str, _job: Job, _detail: dict[str, Any]) -> None:
    """Nobody notes anything."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training would do."""

    command: str
    """As it would run, but for the name of the version where none is given."""
    files: tuple[str, ...]
    corrections: Mapping[str, int]
    """Accepted ones, by kind."""
    free: bool
    """Whether nothing is trained on this machine now."""


class Trainings:
    """The trainings of a deployment, as this machine's gateway sees them."""

    def __init__(
        self, db: Database, config: Config, home: Home, *, environment: Mapping[str, str] | None = None, key: str = ""
    ) -> None:
        """Begin; nothing is looked at yet.

        Args:
            db: Holds the jobs.
            config: The deployment.
            home: Where runs and adapters lie.
            environment: For the processes; that of this one where absent.
            key: An API key of this gateway, with which the gate asks it.
        """
        self.url = ""
        """Of this gateway, once it listens: there the gate asks."""
        self._db = db
        self._config = config
        self._home = home
        given = dict(os.environ if environment is None else environment)
        named = {"BRANDVOICE_HOME": str(home.root), "BRANDVOICE_CONFIGS": str(config.folder)}
        self._environment = given | named | ({"BRANDVOICE_API_KEY": key} if key else {})
        self._host = socket.gethostname()
        self._looking = asyncio.Lock()

    # --- before --------------------------------------------------------------------------------------------------

    def recipes(self) -> list[planning.RecipeInfo]:
        """The recipes to choose from."""
        return planning.recipes(self._config.folder)

    async def proposed(self, brand: str) -> str:
        """The recipe to propose for a brand."""
        counts = await self._db.read(lambda connection: rows.accepted(connection, brand))
        corrected = any(kind != "fact" for kind in counts)
        goes_on = corrected and active_version(self._home, brand) is not None
        return planning.proposed(self._config.folder, goes_on=goes_on)

    async def plan(self, choice: Choice) -> Plan:
        """What a choice would do.

        Raises:
            RequestInvalid: There is no such recipe, or a value does not fit it.
            NotPossible: There is nothing to learn from.
        """
        brand = self.brand(choice.brand)
        recipe, _ = await asyncio.to_thread(planning.resolved, self._config.folder, choice)
        learnt = await asyncio.to_thread(planning.files, self._home, brand, recipe, choice)
        command = planning.train_command(
            self._home, self._config.folder, brand, choice, new_version(), program="python"
        )
        counts = await self._db.read(lambda connection: rows.accepted(connection, choice.brand))
        kinds = {kind: len(ids) for kind, ids in counts.items()}
        return Plan(shlex.join(command), tuple(self._shown(one) for one in learnt), kinds, self._free())

    def _shown(self, path: Path) -> str:
        """A file as a person knows it: below the state folder, or by its name."""
        inside = path.is_relative_to(self._home.root)
        return str(path.relative_to(self._home.root)) if inside else path.name

    async def check(self, choice: Choice) -> dict[str, Any]:
        """What the data doctor finds in the data of a choice.

        Raises:
            RequestInvalid: As `plan`.
            NotPossible: There is nothing to learn from, or it cannot be looked at.
        """
        brand = self.brand(choice.brand)
        recipe, _ = planning.resolved(self._config.folder, choice)
        learnt = planning.files(self._home, brand, recipe, choice)
        return await planning.check(learnt, brand.name, self._environment)

    # --- running -------------------------------------------------------------------------------------------------

    async def start(self, choice: Choice, *, by: str, audit: Audit = no_audit) -> Job:
        """Begin a training.

        Raises:
            RequestInvalid: There is no such recipe, or a value does not fit it.
            NotPossible: There is nothing to learn from, or this machine trains already.
        """
        brand = self.brand(choice.brand)
        version = new_version()
        command = await asyncio.to_thread(
            planning.train_command, self._home, self._config.folder, brand, choice, version
        )
        async with self._looking:
            await self._must_be_free()
            learnt = await self._db.read(lambda connection: rows.accepted(connection, brand.name))
            job = fresh_id(9)
            identity = await asyncio.to_thread(self._begin, job, command)
            at = now()
            row = {
                "id": job,
                "brand": brand.name,
                "state": "running",
                "step": "train",
                "choice": choice.to_json(),
                "data": {"corrections": learnt if choice.corrections else {}},
                "version": version,
                "host": self._host,
                "pid": identity.pid,
                "pid_began": identity.began,
                "started_by": by,
                "started_at": at,
                "attempt_at": at,
            }

            def keep(connection: Connection) -> Job:
                connection.execute(training_jobs.insert(), row)
                kept = rows.read(connection, job)
                audit(connection, "training.started", kept, {"recipe": choice.recipe, "version": version})
                return kept

            return await self._keep_or_kill(keep, identity)

    async def stop(self, job: str, *, audit: Audit = no_audit) -> Job:
        """Stop what a job runs; it can go on from the last state that it kept.

        Raises:
            AdapterUnknown: There is no such job.
            NotPossible: It does not run, or on another machine.
        """
        await self.look()
        async with self._looking:
            found = await self.read(job)
            if found.state != "running":
                raise NotPossible(f"It does not run: it is {found.state}.")
            if found.host != self._host:
                raise NotPossible(f"It runs on {found.host}; stop it at a gateway there.")

            def keep(connection: Connection) -> Job:
                rows.change(connection, job, state="stopped", ended_at=now(), error=None)
                kept = rows.read(connection, job)
                audit(connection, "training.stopped", kept, {"version": kept.version})
                return kept

            kept = await self._db.write(keep)
            process.stop(ending.identity(found))
            return kept

    async def resume(self, job: str, *, audit: Audit = no_audit) -> Job:
        """Go on with a job: with its training from the last state that was kept, or with the gate.

        Raises:
            AdapterUnknown: There is no such job.
            NotPossible: It runs, is done, or this machine trains already.
        """
        await self.look()
        async with self._looking:
            found = await self.read(job)
            if found.state not in RESUMABLE:
                raise NotPossible(f"It is {found.state}; there is nothing to go on with.")
            await self._must_be_free()
            return await self._again(found, audit)

    async def ask_gate(self, job: str, *, audit: Audit = no_audit) -> Job:
        """Let the gate judge what a job trained, once more where it did already.

        Raises:
            AdapterUnknown: There is no such job.
            NotPossible: Nothing was trained, or this machine trains already.
        """
        await self.look()
        async with self._looking:
            found = await self.read(job)
            if found.state not in ("trained", "done") or found.version is None or found.discarded_by:
                raise NotPossible("There is no new version to judge.")
            await self._must_be_free()
            return await self._again(found, audit, step="gate")

    async def _again(self, found: Job, audit: Audit, *, step: str | None = None) -> Job:
        step = step or ("gate" if found.state == "trained" else found.step)
        command = await asyncio.to_thread(self._command, found, step)
        identity = await asyncio.to_thread(self._begin, found.id, command)
        begun = {"pid": identity.pid, "pid_began": identity.began, "host": self._host, "attempt_at": now()}

        def keep(connection: Connection) -> Job:
            values = {"state": "running", "step": step, "error": None, "ended_at": None}
            rows.change(connection, found.id, **values, **begun, attempts=found.attempts + 1)
            kept = rows.read(connection, found.id)
            audit(connection, "training.resumed", kept, {"step": step, "version": kept.version})
            return kept

        return await self._keep_or_kill(keep, identity)

    def _command(self, job: Job, step: str) -> list[str]:
        brand, choice = self.brand(job.brand), job.chosen
        if step == "train":
            version = job.version or new_version()
            return planning.train_command(self._home, self._config.folder, brand, choice, version)
        if not self.url:
            raise NotPossible("This gateway does not listen yet; ask the gate again in a moment.")
        return planning.gate_command(choice, job.version or "", self.url)

    def _begin(self, job: str, command: list[str]) -> Identity:
        folder = self.folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        return process.start(folder, command, self._lock, self._environment)

    async def _keep_or_kill(self, keep: Callable[[Connection], Job], identity: Identity) -> Job:
        try:
            return await self._db.write(keep)
        except BaseException:
            # A process that no row knows could not be stopped any more.
            process.kill(identity)
            raise

    @property
    def _lock(self) -> Path:
        # One a machine: hosts that share the state folder have each their own.
        return self._home.runs / f".training-{self._host}.lock"

    def _free(self) -> bool:
        return process.is_free(self._lock)

    async def free(self) -> bool:
        """Whether a training could begin on this machine now."""
        running = await self._db.read(lambda connection: rows.running(connection, self._host))
        return not running and await asyncio.to_thread(self._free)

    async def _must_be_free(self) -> None:
        running = await self._db.read(lambda connection: rows.running(connection, self._host))
        if running or not await asyncio.to_thread(process.waits_until_free, self._lock):
            which = f" ({running[0].brand})" if running else ""
            raise NotPossible(f"This machine trains already{which}: wait for it, or stop it.")

    # --- watching ------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Notice what ended, for as long as the gateway runs; the outermost loop, so it survives all."""
        while True:
            try:
                await self.look()
                await self._ask_next()
            except (ServiceError, OSError) as error:
                log.warning("trainings_not_followed", extra={"reason": str(error)})
            except Exception:
                log.exception("trainings_not_followed")
            await asyncio.sleep(FOLLOW_S)

    async def look(self) -> None:
        """Notice which of this machine's jobs have ended, also those of a gateway before this one."""
        process.reap()
        async with self._looking:
            for job in await self._db.read(lambda connection: rows.running(connection, self._host)):
                values = await asyncio.to_thread(ending.ended, self._home, self.folder(job.id), job)
                if values:
                    await self._db.write(partial(rows.change, job=job.id, **values))
                    log.info("training_looked_at", extra={"job": job.id, **values})

    async def _ask_next(self) -> None:
        """Let the gate judge what was trained last, where that was asked for and nothing else runs."""
        if not self.url:
            return
        async with self._looking:
            waiting = await self._db.read(lambda connection: rows.waiting(connection, self._host))
            if waiting and self._free():
                await self._again(waiting[0], no_audit, step="gate")

    async def read(self, job: str) -> Job:
        """One job.

        Raises:
            AdapterUnknown: There is none.
        """
        return await self._db.read(lambda connection: rows.read(connection, job))

    async def listed(self, brand: str | None = None) -> list[Job]:
        """Jobs, newest first."""
        await self.look()
        newest = select(training_jobs).order_by(training_jobs.c.started_at.desc(), training_jobs.c.id)
        query = newest.where(training_jobs.c.brand == brand) if brand else newest
        found = await self._db.read(lambda connection: connection.execute(query.limit(KEPT_IN_MIND)).all())
        return [Job.of(row) for row in found]

    def standing(self, job: Job) -> curve.Standing | None:
        """Where the command of a job stands, by its own last word."""
        return curve.standing(self.folder(job.id) / process.LOG)

    def curve(self, job: Job) -> curve.Curve:
        """The losses of a job's training so far."""
        return curve.curve(self._home.runs / job.run) if job.run else curve.Curve()

    def said(self, job: Job) -> str:
        """The end of a job's log."""
        return curve.tail(self.folder(job.id) / process.LOG)

    def verdict(self, job: Job) -> RecordedVerdict | None:
        """What the gate said of the job's version."""
        if job.version is None:
            return None
        return read_verdict(evaluation_folder(self._home, job.brand, job.version))

    # --- what came of it -----------------------------------------------------------------------------------------

    async def discard(self, job: str, *, by: str, audit: Audit = no_audit) -> Job:
        """Delete the adapter that a job trained; what the gate said of it stays.

        Raises:
            AdapterUnknown: There is no such job.
            NotPossible: It speaks, or one may go back to it.
        """
        async with self._looking:
            found = await self.read(job)
            if found.state not in ("trained", "done") or not found.version:
                raise NotPossible("It has made no version.")
            if found.version in (active_version(self._home, found.brand), *self._history(found.brand)):
                raise NotPossible("It speaks or has spoken, so that one may go back to it; promote another first.")

            def keep(connection: Connection) -> Job:
                rows.change(connection, job, state="done", discarded_by=by)
                kept = rows.read(connection, job)
                audit(connection, "training.discarded", kept, {"version": kept.version})
                return kept

            kept = await self._db.write(keep)
            folder = self._home.adapters / found.brand / found.version
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            return kept

    def _history(self, brand: str) -> list[str]:
        path = self._home.adapters / brand / "history"
        return path.read_text("utf-8").split() if path.is_file() else []

    def folder(self, job: str) -> Path:
        """Where a job's command, log and result lie."""
        return self._home.runs / "jobs" / job

    def brand(self, name: str) -> Brand:
        """A brand of the deployment.

        Raises:
            BrandUnknown: There is none of this name.
        """
        return brand_of(self._config.brands, name)


def new_version() -> str:
    """A name for a version: the moment."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
