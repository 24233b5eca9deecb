"""The keeper over a real desk and a real database: the clock, the voice and what is trained are the test's."""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from configs.home import Home
from configs.load import Config, load_config
from configs.retraining import DriftAlarm, Retraining, Schedule
from service.errors import PromotionRefused
from service.retraining import looking, state
from service.retraining.drift import Drift
from service.retraining.keeper import HEAR_S, Keeper
from service.retraining.scores import Scores
from service.retraining.state import State
from service.retraining.telling import notify_due
from service.storage.database import Database
from service.storage.people_tables import audit_log
from service.storage.tables import corrections, training_jobs, turns
from service.trainings import planning, process
from service.trainings.desk import Trainings
from tests.patience import PATIENCE_S
from tests.unit.service.console.test_overview import conversation, turn

BRAND = "velmora"
ROOT = Path(__file__).resolve().parents[4]
RULE = DriftAlarm(answers=20)
MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Read:
    """A voice that reads the score in the text."""

    inputs_sha256 = "a"

    def of(self, brand: str) -> Read:
        assert brand == BRAND
        return self

    def score(self, text: str) -> Any:
        return replace_score(float(text))


class replace_score:
    def __init__(self, score: float) -> None:
        self.score = score


class House:
    """A brand with a plan, and gateways that look at it."""

    def __init__(self, db: Database, home: Home, patch: pytest.MonkeyPatch) -> None:
        self.db, self.home, self.at = db, home, MONDAY
        self.plan = Retraining(drift=RULE)
        self.trains = "import json; print(json.dumps({'version': 'v1', 'run': None}))"
        self.promoted: list[str] = []
        self.started = 0
        patch.setattr(planning, "train_command", lambda *_, **__: self.command())
        patch.setattr(planning, "gate_command", lambda *_, **__: [sys.executable, "-c", "print('{}')"])
        self.speaks("v0")

    def command(self) -> list[str]:
        self.started += 1
        return [sys.executable, "-c", self.trains]

    def speaks(self, version: str) -> None:
        (self.home.adapters / BRAND / version).mkdir(parents=True, exist_ok=True)
        (self.home.adapters / BRAND / "active").write_text(version)

    def config(self) -> Config:
        config = load_config(ROOT / "configs", {})
        return replace(config, brands={BRAND: config.brands[BRAND].model_copy(update={"retraining": self.plan})})

    def gateway(self) -> Keeper:
        """The keeper of a gateway that has just started, beside whichever there are."""
        config = self.config()
        desk = Trainings(self.db, config, self.home)
        desk.url = "http://127.0.0.1:1"
        self.desk = desk
        return Keeper(
            db=self.db, home=self.home, config=config, trainings=desk, refresh=self._nothing, promote=self._promote,
            drift=Drift(self.db, self.home, config.brands, Scores(self.db, Read()), lambda: self.at),  # type: ignore[arg-type]
            first=lambda: True, tells=True, clock=lambda: self.at,
        )  # fmt: skip

    async def _nothing(self) -> None:
        return None

    def _promote(self, _brand: object, version: str) -> None:
        if version == "stale":
            raise PromotionRefused("out of date", ("out of date",))
        self.promoted.append(version)
        self.speaks(version)

    async def state(self) -> State:
        return await self.db.read(lambda connection: state.read(connection, BRAND))

    async def actions(self) -> list[tuple[str, str]]:
        query = select(audit_log.c.action, audit_log.c.by).order_by(audit_log.c.id)
        return [(row.action, row.by) for row in await self.db.read(lambda c: c.execute(query).all())]

    async def answers(self, first: datetime, days: int, score: str, *, version: str = "v0") -> None:
        def work(connection: Connection) -> None:
            for day in range(days):
                for _ in range(5):
                    at = first + timedelta(days=day)
                    made = turn(connection, conversation(connection), 1, at, text=score)
                    connection.execute(turns.update().where(turns.c.id == made).values(adapter_version=version))

        await self.db.write(work)

    async def drifted(self) -> None:
        """A voice that was fine for four weeks, and is not since a week."""
        await self.answers(self.at - timedelta(days=35), 29, "0.9")
        await self.answers(self.at - timedelta(days=6), 7, "0.6")

    async def accept(self, name: str) -> None:
        def work(connection: Connection) -> None:
            of = turn(connection, conversation(connection), 1, self.at)
            row = {
                "id": name, "turn_id": of, "brand": BRAND, "kind": "voice", "state": "accepted", "question": "?",
                "said": "x", "why": "", "proposed_by": "Dewi", "proposed_key": "Dewi", "proposed_at": self.at,
                "decided_at": self.at, "documents": [], "history": [], "holds": [],
            }  # fmt: skip
            connection.execute(insert(corrections).values(row))

        await self.db.write(work)

    async def over(self, keeper: Keeper) -> State:
        """Look until nothing is under way."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            await self.desk.look()
            await self.desk._ask_next()
            await keeper.look(BRAND)
            found = await self.state()
            if found.job is None:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(found)

    def judge(self, verdict: str, version: str = "v1") -> None:
        folder = self.home.evaluations / BRAND / version
        folder.mkdir(parents=True, exist_ok=True)
        side = {"weights_sha256": None}
        told = {
            "schema": 1, "brand": BRAND, "knowledge_version": None, "verdict": verdict, "cases": 150,
            "reasons": ["voice is worse" if verdict == "refused" else "voice is better"], "measures": [],
            "at": MONDAY.isoformat(),
            "conditions": {
                "candidate": {"version": version, **side}, "current": {"version": "v0", **side}, "base_sha256": None,
                "questions_sha256": "0" * 64, "gate_sha256": "0" * 64,
            },
        }  # fmt: skip
        (folder / "verdict.json").write_text(json.dumps(told))
        (self.home.adapters / BRAND / version).mkdir(parents=True, exist_ok=True)


@pytest.fixture
async def house(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    one = House(db, Home(tmp_path), monkeypatch)
    yield one
    for job in await one.gateway()._trainings.listed():
        if job.state == "running":
            process.kill(process.Identity(job.pid or 0, job.pid_began or ""))
    while process._children:
        process.reap()
        await asyncio.sleep(0.02)


async def test_a_fall_raises_an_alarm_that_is_told_once_and_starts_nothing_unless_it_may(house: House) -> None:
    await house.drifted()
    keeper = house.gateway()
    await keeper.look(BRAND)
    found = await house.state()
    assert found.alarm is not None
    assert (round(found.alarm.baseline, 2), round(found.alarm.recent, 2), found.wanted) == (0.9, 0.6, "drift")
    for _ in range(3):
        house.at += timedelta(seconds=HEAR_S)
        await house.gateway().look(BRAND)
    assert (await house.state()).alarm == found.alarm.model_copy(update={"since": found.alarm.since})
    assert [one.kind for one in (await house.state()).notes] == ["drift.alarm", "retraining.wanted"]
    assert await house.actions() == [("drift.alarm", "drift"), ("retraining.wanted", "drift")]
    assert house.started == 0


async def test_an_alarm_is_over_when_the_voice_is_back_or_another_version_speaks(house: House) -> None:
    await house.drifted()
    keeper = house.gateway()
    await keeper.look(BRAND)
    house.at += timedelta(days=7)
    await house.answers(house.at - timedelta(days=6), 7, "0.88")
    await keeper.look(BRAND)
    assert (await house.state()).alarm is None
    assert (await house.actions())[-1][0] == "drift.over"
    house.at += timedelta(days=7)
    await house.answers(house.at - timedelta(days=6), 7, "0.5")
    await keeper.look(BRAND)
    assert (await house.state()).alarm is not None
    house.speaks("v2")
    await keeper.look(BRAND)
    assert (await house.state()).alarm is None


async def test_quiet_shows_and_starts_nothing_until_it_is_over(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train")
    await house.drifted()
    keeper = house.gateway()
    await keeper.quiet(BRAND, 7, by="Anna", audit=lambda _: None)
    await keeper.look(BRAND)
    assert ((await house.state()).alarm is not None, house.started) == (True, 0)
    house.at += timedelta(days=7)
    await house.answers(house.at - timedelta(days=6), 7, "0.6")
    await keeper.look(BRAND)
    assert house.started == 1


async def test_gateways_that_look_at_once_start_one_training_and_the_next_one_goes_on_with_it(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train")
    await house.drifted()
    await asyncio.gather(*(house.gateway().look(BRAND) for _ in range(4)))
    assert house.started == 1
    job = (await house.state()).job
    assert job is not None
    house.judge("passed")
    found = await house.over(house.gateway())
    assert found.outcome is not None
    assert (found.outcome.came, found.outcome.version, found.outcome.job) == ("waits", "v1", job)
    assert house.promoted == []
    house.at += timedelta(days=1)
    await house.gateway().look(BRAND)
    assert (house.started, (await house.state()).held) == (1, "waits")
    assert ("training.started", "drift") in await house.actions()
    house.speaks("v1")
    await house.gateway().look(BRAND)
    found = await house.state()
    assert found.outcome is not None
    assert (found.outcome.came, found.alarm) == ("speaks", None)


async def test_what_the_gate_passed_speaks_by_itself_only_where_the_brand_says_so(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train", promote="passed")
    await house.drifted()
    keeper = house.gateway()
    house.judge("passed")
    await keeper.look(BRAND)
    found = await house.over(keeper)
    assert found.outcome is not None
    assert (house.promoted, found.outcome.came, found.version) == (["v1"], "speaks", "v1")
    assert ("adapter.promoted", "drift") in await house.actions()


async def test_a_verdict_that_no_longer_holds_lets_nothing_speak(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train", promote="passed")
    house.trains = house.trains.replace("v1", "stale")
    await house.drifted()
    keeper = house.gateway()
    house.judge("passed", "stale")
    await keeper.look(BRAND)
    found = await house.over(keeper)
    assert found.outcome is not None
    assert (house.promoted, found.outcome.came, found.outcome.why) == ([], "refused", "out of date")


async def test_a_training_that_breaks_off_is_tried_again_later_each_time(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train")
    house.trains = "raise SystemExit('error: the disk is full')"
    await house.drifted()
    keeper = house.gateway()
    pauses = []
    for attempt in (1, 2, 3):
        await keeper.look(BRAND)
        assert house.started == attempt
        found = await house.over(keeper)
        assert found.outcome is not None
        assert (found.outcome.came, found.outcome.why) == ("failed", "the disk is full")
        assert found.paused_until is not None
        pauses.append((found.paused_until - house.at) / timedelta(hours=1))
        house.at = found.paused_until - timedelta(minutes=1)
        await keeper.look(BRAND)
        assert (house.started, (await house.state()).held) == (attempt, "paused")
        house.at += timedelta(minutes=2)
    assert pauses == [6, 12, 24]


async def test_what_the_gate_refused_is_not_trained_again_from_the_same_data(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train")
    await house.drifted()
    keeper = house.gateway()
    house.judge("refused")
    await keeper.look(BRAND)
    found = await house.over(keeper)
    assert found.outcome is not None
    assert (found.outcome.came, found.outcome.why) == ("refused", "refused: voice is worse")
    house.at += timedelta(days=8)
    await keeper.look(BRAND)
    assert (house.started, (await house.state()).held) == (1, "nothing_new")
    learnt = house.home.corrections(BRAND).conversations
    learnt.parent.mkdir(parents=True)
    learnt.write_text("{}\n")
    await keeper.look(BRAND)
    assert house.started == 2


async def test_a_training_waits_for_a_machine_that_is_free(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train")
    await house.drifted()
    keeper = house.gateway()
    house.desk._lock.parent.mkdir(parents=True, exist_ok=True)
    with house.desk._lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await keeper.look(BRAND)
        assert (house.started, (await house.state()).wanted) == (0, "drift")
    await keeper.look(BRAND)
    assert house.started == 1


async def test_enough_new_corrections_start_one_training_and_the_count_begins_anew(house: House) -> None:
    house.plan = Retraining(drift=None, corrections=2, start="train")
    keeper = house.gateway()
    await house.accept("c1")
    await keeper.look(BRAND)
    assert (house.started, (await keeper.standing(BRAND)).fresh) == (0, 1)
    await house.accept("c2")
    house.judge("refused")
    await keeper.look(BRAND)
    assert house.started == 1
    await house.over(keeper)
    assert (await keeper.standing(BRAND)).fresh == 0
    house.at += timedelta(days=8)
    await house.accept("c3")
    await keeper.look(BRAND)
    assert (house.started, (await keeper.standing(BRAND)).fresh) == (1, 1)


async def test_a_schedule_starts_at_its_moment_and_not_for_moments_before_it_was_set(house: House) -> None:
    house.plan = Retraining(drift=None, schedule=Schedule(days=("tue",), at="03:00"), start="train")
    await house.gateway().look(BRAND)
    assert (await house.gateway().standing(BRAND)).next_at == datetime(2026, 11, 24, 3, tzinfo=UTC)
    house.at = datetime(2026, 11, 24, 2, 59, tzinfo=UTC)
    await house.gateway().look(BRAND)
    assert house.started == 0
    # Nobody served at three; it is made up for.
    house.at = datetime(2026, 11, 24, 9, tzinfo=UTC)
    keeper = house.gateway()
    house.judge("refused")
    await keeper.look(BRAND)
    assert house.started == 1
    await house.over(keeper)
    house.at += timedelta(days=7)
    await keeper.look(BRAND)
    assert house.started == 1, "nothing is new"


async def test_what_a_person_trains_is_followed_and_never_let_speak(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train", promote="passed")
    keeper = house.gateway()
    house.judge("passed")
    await house.desk.start(looking.choice_of(house.config().brands[BRAND], "quick_cpu"), by="Anna")
    await house.drifted()
    await keeper.look(BRAND)
    found = await house.over(keeper)
    assert found.outcome is not None
    assert (house.started, house.promoted, found.outcome.came) == (1, [], "waits")


async def test_a_start_that_died_is_made_again_when_its_claim_is_over(house: House) -> None:
    house.plan = Retraining(drift=RULE, start="train")
    await house.drifted()
    keeper = house.gateway()
    await keeper._watch(keeper.brand(BRAND))
    assert await keeper._claim(BRAND, "drift")
    await keeper.look(BRAND)
    assert house.started == 0
    house.at += timedelta(minutes=6)
    await keeper.look(BRAND)
    assert house.started == 1
    jobs = await house.db.read(lambda c: c.execute(select(training_jobs.c.started_by)).scalars().all())
    assert jobs == ["drift"]


async def test_the_outside_is_told_until_it_takes_it(house: House) -> None:
    await house.drifted()
    await house.gateway().look(BRAND)
    calls: list[tuple[str, dict[str, Any]]] = []
    status = 503

    async def post(url: str, headers: Any, body: bytes) -> int:
        assert headers["webhook-signature"].startswith("v1,")
        calls.append((headers["webhook-id"], json.loads(body)))
        return status

    secret = "whsec_" + "A" * 40
    tell = lambda: notify_due(house.db, "https://example.com", secret, post, clock=lambda: house.at)  # noqa: E731
    assert await tell() == 0
    assert await tell() == 0, "not at once again"
    house.at += timedelta(hours=1)
    status = 200
    assert await tell() == 2
    assert [one[0] for one in calls[:2]] == [one[0] for one in calls[2:]]
    told = calls[0][1]
    assert (told["type"], told["data"]["brand"], told["data"]["recent"]) == ("drift.alarm", BRAND, 0.6)
    assert (await house.state()).notes == ()
