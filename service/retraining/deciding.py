"""What follows from what is known of a brand: an alarm, a wish for a training, a pause. Plain functions, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from configs.retraining import Retraining
from service.retraining.drift import Report
from service.retraining.state import Alarm, Held, Outcome, State, Trigger

PAUSE_S = 6 * 3600
"""After an attempt that led to nothing; doubled by each further one."""
LONGEST_PAUSE_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out of a brand just now."""

    version: str | None
    """That speaks."""
    fresh: int = 0
    """Accepted corrections that neither it nor a later version was trained on."""
    going: str | None = None
    """A training of the brand that runs, or waits for the gate; whoever started it."""
    going_learns: str = ""
    """As `learns`, where it is what we would train ourselves."""
    deleted: bool = False
    """Whether the version that waits for a person is gone."""
    learns: str = ""
    """Digest of what a training would learn from; empty where nobody has to know."""
    report: Report | None = None
    """None where the voice was not looked at this time."""
    ended: Outcome | None = None
    """What came of the training that was under way; None while it is."""


@dataclass(slots=True)
class Step:
    """A new state, and what the log shall say of it."""

    state: State
    log: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """Action, subject and detail."""

    def note(self, action: str, at: datetime, *, subject: str = "", **detail: Any) -> None:
        """Keep it in the log, and tell the outside."""
        self.log.append((action, subject, detail))
        self.state = self.state.told(action, at, **detail, **({"subject": subject} if subject else {}))


def step(plan: Retraining, state: State, facts: Facts, at: datetime) -> Step:
    """Go from one look to the next.

    Args:
        plan: What the brand's file says.
        state: As it was after the last look.
        facts: What was found out since.
        at: The moment of this look.
    """
    # What was before the first look is not made up for.
    done = Step(state if state.schedule_from else state.with_(schedule_from=at, version=facts.version))
    _other_version(done, facts)
    _ended(done, facts, at)
    if done.state.job is None and facts.going:
        # One that a person started is followed like our own, so that ours does not repeat it; it is not let speak.
        done.state = begun(done.state, facts.going, None, facts.going_learns, at)
    _heard(done, plan, facts, at)
    _wish(done, plan, facts, at)
    return done


def begun(state: State, job: str, cause: Trigger, learns: str, at: datetime) -> State:
    """A training is under way."""
    return state.with_(
        job=job,
        cause=cause,
        learnt=learns,
        wanted=None,
        wanted_at=None,
        held=None,
        claimed_until=None,
        schedule_from=at,
    )


def led_to_nothing(state: State, outcome: Outcome) -> State:
    """The state after an attempt that brought no version; the next one waits, longer each time."""
    failures = state.failures + 1
    pause = timedelta(seconds=min(LONGEST_PAUSE_S, PAUSE_S * 2 ** (failures - 1)))
    # What the gate refused would come out the same from the same data; what broke off may be tried again.
    learnt = state.learnt if outcome.came == "refused" else ""
    return state.with_(
        outcome=outcome, failures=failures, paused_until=outcome.at + pause, learnt=learnt, job=None, cause=None,
        wanted=None, wanted_at=None, claimed_until=None,
    )  # fmt: skip


def candidate(plan: Retraining, state: State, fresh: int, at: datetime) -> Trigger | None:
    """What speaks for a training, whatever stands against it."""
    if state.alarm and not state.quiet(at):
        return "drift"
    if plan.corrections and fresh >= plan.corrections:
        return "corrections"
    if plan.schedule and state.schedule_from and plan.schedule.last(at) > state.schedule_from:
        return "schedule"
    return None


def _other_version(done: Step, facts: Facts) -> None:
    state = done.state
    if state.version == facts.version:
        return
    outcome = state.outcome
    if outcome and outcome.came == "waits" and outcome.version == facts.version:
        outcome = outcome.model_copy(update={"came": "speaks"})
    elif outcome and outcome.came == "waits":
        outcome = None
    # Another voice has another baseline.
    done.state = state.with_(
        version=facts.version, alarm=None, quiet_until=None, quiet_by="", failures=0, paused_until=None, outcome=outcome
    )


def _ended(done: Step, facts: Facts, at: datetime) -> None:
    ended = facts.ended
    if ended is None:
        if facts.deleted and done.state.outcome and done.state.outcome.came == "waits":
            done.state = done.state.with_(outcome=done.state.outcome.model_copy(update={"came": "refused"}))
        return
    if ended.came in ("waits", "speaks"):
        done.state = done.state.with_(outcome=ended, failures=0, paused_until=None, job=None, cause=None)
    else:
        done.state = led_to_nothing(done.state, ended)
    done.note(
        "retraining.ended", at, subject=ended.job or "", came=ended.came, version=ended.version, why=ended.why[:500]
    )


def _heard(done: Step, plan: Retraining, facts: Facts, at: datetime) -> None:
    """The alarm comes and goes."""
    if plan.drift is None:
        done.state = done.state.with_(alarm=None)
        return
    if facts.report is None:
        return
    done.state = done.state.with_(looked_at=at)
    finding, before = facts.report.finding, done.state.alarm
    if finding is None:
        return
    if not finding.alarm(raised=before is not None):
        if before is not None:
            done.state = done.state.with_(alarm=None, quiet_until=None, quiet_by="")
            done.note("drift.over", at, recent=round(finding.recent.mean, 3))
        return
    done.state = done.state.with_(
        alarm=Alarm(
            since=before.since if before else at,
            recent=finding.recent.mean,
            baseline=finding.baseline.mean,
            limit=finding.limit,
            answers=finding.recent.answers,
        )
    )
    if before is None:
        numbers = {"recent": round(finding.recent.mean, 3), "baseline": round(finding.baseline.mean, 3)}
        done.note("drift.alarm", at, subject=facts.version or "", **numbers, answers=finding.recent.answers)


def _wish(done: Step, plan: Retraining, facts: Facts, at: datetime) -> None:
    """Whether a training should begin."""
    state = done.state
    why = candidate(plan, state, facts.fresh, at)
    held = _held(state, facts, at) if why else None
    if why == "schedule" and held == "nothing_new":
        # Its moment has passed; the next one comes.
        state = state.with_(schedule_from=at)
    if why is None or held:
        done.state = state.with_(wanted=None, wanted_at=None, held=held)
        return
    done.state = state.with_(wanted=why, wanted_at=state.wanted_at if state.wanted == why else at, held=None)
    if state.wanted != why:
        done.note("retraining.wanted", at, cause=why, corrections=facts.fresh)


def _held(state: State, facts: Facts, at: datetime) -> Held | None:
    """What stands against a training."""
    if state.job or facts.going:
        return "busy"
    if state.outcome and state.outcome.came == "waits":
        return "waits"
    if state.paused_until and at < state.paused_until:
        return "paused"
    if state.learnt and state.learnt == facts.learns:
        return "nothing_new"
    return None
