"""Looks at each brand, and starts a training where its file says so: by the desk behind the console's button.

One gateway of several looks (`Place.first`); any of them starts what is wanted, whichever machine is free first. A
start is claimed in the database, and its job is named there in the transaction that makes the job, so that whatever
ends meanwhile, nothing starts twice and nothing is lost. The gate is asked by the desk, as for every training.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from configs.brand import Brand
from configs.errors import ConfigError
from configs.home import Home
from configs.load import Config
from service.engines.adapters import active_version
from service.errors import AdapterUnknown, NotPossible, PromotionRefused, ServiceError, brand_of
from service.retraining import deciding, looking, state
from service.retraining.deciding import Facts
from service.retraining.drift import Drift
from service.retraining.state import Outcome, State, Trigger
from service.storage import audit_rows
from service.storage.database import Database, now
from service.trainings.desk import Trainings
from service.trainings.terms import Choice, Job

log = logging.getLogger(__name__)
LOOK_S = 20.0
HEAR_S = 3600.0
"""Between two looks at a voice: answers of hours are needed to say anything new."""
CLAIM_S = 300.0
"""A start takes seconds; a gateway that died amid one is waited for so long."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a brand's retraining stands."""

    state: State
    fresh: int
    """Accepted corrections that are yet to be learnt."""
    next_at: datetime | None
    """The next moment of the schedule."""
    recipe: str
    """That would be used now."""


class Keeper:
    """Of all brands of a gateway."""

    def __init__(
        self,
        *,
        db: Database,
        home: Home,
        config: Config,
        drift: Drift,
        trainings: Trainings,
        refresh: Callable[[], Awaitable[None]],
        promote: Callable[[Brand, str], Any],
        first: Callable[[], bool],
        tells: bool = False,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """Begin; nothing is looked at yet.

        Args:
            db: Holds what is known.
            home: The state folder.
            config: The deployment.
            drift: Reports on voices.
            trainings: Where trainings are started.
            refresh: Writes accepted corrections for training.
            promote: Lets a version speak that the gate has passed (blocking); raises PromotionRefused where it has not.
            first: Whether this gateway looks.
            tells: Whether somebody outside is told.
            clock: The present moment, with its zone.
        """
        self._db = db
        self._home = home
        self._config = config
        self._drift = drift
        self._trainings = trainings
        self._refresh = refresh
        self._promote = promote
        self._first = first
        self._tells = tells
        self._clock = clock

    async def follow(self) -> None:
        """Look for as long as the gateway runs; the outermost loop, so it survives all."""
        while True:
            # Brands are made while a gateway runs.
            for brand in list(self._config.brands.values()):
                try:
                    await self.look(brand.name)
                except (ConfigError, ServiceError, OSError) as error:
                    log.warning("retraining_not_looked_at", extra={"brand": brand.name, "reason": str(error)})
                except Exception:
                    log.exception("retraining_not_looked_at", extra={"brand": brand.name})
            await asyncio.sleep(LOOK_S)

    async def look(self, brand: str) -> None:
        """Look at one brand, and begin what is wanted."""
        if self._first():
            await self._watch(self.brand(brand))
        await self._begin(self.brand(brand))

    async def standing(self, brand: str) -> Standing:
        """How a brand's retraining stands.

        Raises:
            BrandUnknown: There is no such brand.
        """
        plan = self.brand(brand).retraining
        version, made = await asyncio.to_thread(self._speaks, brand)

        def work(connection: Connection) -> tuple[State, int]:
            return state.read(connection, brand), looking.fresh(connection, brand, version, made)

        found, fresh = await self._db.read(work)
        next_at = plan.schedule.next(self._clock()) if plan.schedule else None
        return Standing(found, fresh, next_at, (await self._choice(self.brand(brand))).recipe)

    async def quiet(self, brand: str, days: int, *, by: str, audit: Callable[[Connection], None]) -> State:
        """No alarm on drift is shown or acted on for some days; 0 ends the quiet.

        Args:
            brand: Whose.
            days: From now.
            by: Who asks for it.
            audit: Notes it in the same transaction.

        Raises:
            BrandUnknown: There is no such brand.
        """
        self.brand(brand)
        until = self._clock() + timedelta(days=days) if days else None

        def work(connection: Connection) -> State:
            audit(connection)
            drop = {"wanted": None, "wanted_at": None}
            return state.change(
                connection,
                brand,
                lambda one: one.with_(
                    quiet_until=until, quiet_by=by, **(drop if until and one.wanted == "drift" else {})
                ),
            )

        return await self._db.write(work)

    def brand(self, name: str) -> Brand:
        """A brand of the deployment.

        Raises:
            BrandUnknown: There is none of this name.
        """
        return brand_of(self._config.brands, name)

    # --- looking -------------------------------------------------------------------------------------------------

    async def _watch(self, brand: Brand) -> None:
        before = await self._db.read(lambda connection: state.read(connection, brand.name))
        facts = await self._facts(brand, before)

        def work(connection: Connection) -> None:
            log_: list[tuple[str, str, Mapping[str, Any]]] = []

            def how(one: State) -> State | None:
                if one != before:
                    # Somebody asked for quiet, or began one, meanwhile: the next look sees it.
                    return None
                done = deciding.step(brand.retraining, one, facts, self._clock())
                log_.extend(done.log)
                return done.state if self._tells else done.state.with_(notes=())

            after = state.change(connection, brand.name, how)
            for action, subject, detail in log_:
                by = before.cause or after.wanted or "retraining"
                audit_rows.add(connection, by=by, brand=brand.name, action=action, subject=subject, detail=detail)

        await self._db.write(work)

    async def _facts(self, brand: Brand, before: State) -> Facts:
        version, made = await asyncio.to_thread(self._speaks, brand.name)
        at = self._clock()
        ended = await self._ended(brand, before.job, before.cause, at) if before.job else None
        if ended and ended.came == "speaks":
            version, made = await asyncio.to_thread(self._speaks, brand.name)
        due = before.looked_at is None or version != before.version
        report = None
        if brand.retraining.drift and (due or at - (before.looked_at or at) >= timedelta(seconds=HEAR_S)):
            report = await self._drift.report(brand.name)
        choice = await self._choice(brand)
        learns = await asyncio.to_thread(self._learns, brand, choice) if before.learnt else ""
        waits = before.outcome.version if before.outcome and before.outcome.came == "waits" else None
        gone = waits is not None and not (self._home.adapters / brand.name / waits).is_dir()

        def work(connection: Connection) -> tuple[int, Job | None]:
            fresh = looking.fresh(connection, brand.name, version, made)
            return fresh, looking.going(connection, brand.name)

        fresh, going = await self._db.read(work)
        same = going is not None and before.job is None and going.chosen == choice
        theirs = await asyncio.to_thread(self._learns, brand, choice) if same else ""
        return Facts(version, fresh, going.id if going else None, theirs, gone, learns, report, ended)

    def _speaks(self, brand: str) -> tuple[str | None, datetime | None]:
        version = active_version(self._home, brand)
        return version, looking.made_at(self._home, brand, version)

    async def _choice(self, brand: Brand) -> Choice:
        return looking.choice_of(brand, await self._trainings.proposed(brand.name))

    def _learns(self, brand: Brand, choice: Choice) -> str:
        return looking.learns(self._home, self._config.folder, brand, choice, self._config.service.models.base)

    async def _ended(self, brand: Brand, job: str, cause: Trigger | None, at: datetime) -> Outcome | None:
        """What came of a training; None while it is under way."""
        found = await self._db.read(lambda connection: looking.job_of(connection, job))
        if found is None:
            return Outcome(came="failed", at=at, job=job, why="Its job is not there any more.")
        if found.state in ("running", "trained"):
            return None
        if found.state != "done":
            why = found.error or {"stopped": "Somebody has stopped it.", "interrupted": "It was interrupted."}.get(
                found.state, ""
            )
            return Outcome(came="failed", at=at, version=found.version, job=job, why=why)
        return await self._judged(brand, found, cause, at)

    async def _judged(self, brand: Brand, job: Job, cause: Trigger | None, at: datetime) -> Outcome:
        version = job.version
        verdict = None if job.discarded_by else await asyncio.to_thread(self._trainings.verdict, job)

        def came(how: state.Came, why: str = "") -> Outcome:
            return Outcome(came=how, at=at, version=version, job=job.id, why=why)

        if version is not None and await asyncio.to_thread(active_version, self._home, brand.name) == version:
            return came("speaks")
        if verdict is None or version is None:
            return came("refused", "It was deleted." if job.discarded_by else "The gate has said nothing.")
        why = "; ".join(verdict.reasons)
        if verdict.verdict != "passed":
            return came("refused", f"{verdict.verdict}: {why}")
        if cause is None or brand.retraining.promote != "passed":
            return came("waits", why)
        try:
            await asyncio.to_thread(self._promote, brand, version)
        except (PromotionRefused, AdapterUnknown, ConfigError) as error:
            return came("refused", str(error))
        note = {"by": cause, "brand": brand.name, "action": "adapter.promoted", "subject": version}
        await self._db.write(lambda c: audit_rows.add(c, **note, detail={"gate": True}))
        return came("speaks", why)

    # --- starting ------------------------------------------------------------------------------------------------

    async def _begin(self, brand: Brand) -> None:
        """Start what is wanted, where this machine is free; else it waits for the next look, or for another machine."""
        if brand.retraining.start != "train":
            return
        wanted = (await self._db.read(lambda connection: state.read(connection, brand.name))).wanted
        if wanted is None or not await self._trainings.free() or not await self._claim(brand.name, wanted):
            return
        try:
            await self._refresh()
            choice = await self._choice(brand)
            learns = await asyncio.to_thread(self._learns, brand, choice)

            def keep(connection: Connection, action: str, job: Job, detail: dict[str, Any]) -> None:
                audit_rows.add(connection, by=wanted, brand=brand.name, action=action, subject=job.id, detail=detail)
                begun = self._clock()
                state.change(connection, brand.name, lambda one: deciding.begun(one, job.id, wanted, learns, begun))

            await self._trainings.start(choice, by=wanted, audit=keep)
        except (ServiceError, OSError) as error:
            # The machine may have been taken between the two looks; that is nobody's failure.
            taken = isinstance(error, NotPossible) and not await self._trainings.free()
            await self._not_begun(brand.name, "" if taken else str(error))

    async def _claim(self, brand: str, wanted: Trigger) -> bool:
        at = self._clock()
        mine = at + timedelta(seconds=CLAIM_S)

        def work(connection: Connection) -> bool:
            if looking.going(connection, brand):
                return False
            claimed = False

            def how(one: State) -> State | None:
                nonlocal claimed
                claimed = one.wanted == wanted and not (one.claimed_until and at < one.claimed_until)
                return one.with_(claimed_until=mine) if claimed else None

            state.change(connection, brand, how)
            return claimed

        return await self._db.write(work)

    async def _not_begun(self, brand: str, why: str) -> None:
        at = self._clock()

        def how(one: State) -> State:
            if not why:
                return one.with_(claimed_until=None)
            log.warning("retraining_not_begun", extra={"brand": brand, "reason": why})
            failed = deciding.led_to_nothing(one, Outcome(came="failed", at=at, why=why))
            return failed.told("retraining.ended", at, came="failed", why=why[:500]) if self._tells else failed

        await self._db.write(lambda connection: state.change(connection, brand, how))
