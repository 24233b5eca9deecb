"""What somebody who has just set the console up tries first; what is there ticks a step off, not a click."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Select, select

from service.console import audit
from service.console.person import Person, Role
from service.console.said import _
from service.storage.bench_tables import bench_runs
from service.storage.people_tables import people
from service.storage.tables import corrections, training_jobs, turns

ENOUGH = 50
"""Answers after which nobody is new here any more, whatever they left out."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to try."""

    name: str
    title: str
    hint: str
    path: str
    role: Role = Role.AGENT
    done: bool = False


STEPS = (
    Step(
        "talk",
        _("Talk to a brand as a customer does"),
        _("Ask what its pages answer, and something that they do not."),
        "/",
    ),
    Step(
        "compare",
        _("Hear what the voice does"),
        _("One question, the same passages: with the brand's voice, without it, and without knowledge."),
        "/console/bench",
    ),
    Step(
        "correct",
        _("Correct an answer"),
        _("A wrong fact is right for the next customer; a wrong tone is learnt by the next training."),
        "/console/corrections",
    ),
    Step(
        "brand",
        _("Make a brand of your own"),
        _("From a shop, a bank or a software house; it answers at once."),
        "/console/brands",
        Role.ADMIN,
    ),
    Step(
        "pages",
        _("Bring your own pages"),
        _("Files, or the address of your help pages."),
        "/console/knowledge",
        Role.EDITOR,
    ),
    Step(
        "train",
        _("Train its voice"),
        _("Minutes on two CPU cores; then the gate says whether it is better than what speaks now."),
        "/console/training",
        Role.EDITOR,
    ),
    Step(
        "invite",
        _("Let the others in"),
        _("Each gets a link, and a role in one brand or in all."),
        "/console/people",
        Role.ADMIN,
    ),
)


def first_steps(connection: Connection, person: Person, pages: Collection[str]) -> tuple[Step, ...]:
    """The steps that this person may take, none once all are done or `ENOUGH` answers were given.

    Args:
        connection: Of the gateway's database.
        person: Who asks.
        pages: The paths that this gateway has.
    """
    if _some(connection, select(turns.c.id).offset(ENOUGH - 1)):
        return ()
    done: Mapping[str, bool] = {
        "talk": _some(connection, select(turns.c.id)),
        "compare": _some(connection, select(bench_runs.c.id)),
        "correct": _some(connection, select(corrections.c.id)),
        "brand": audit.happened(connection, "brand.made"),
        "pages": audit.happened(connection, "knowledge."),
        "train": _some(connection, select(training_jobs.c.id)),
        "invite": _some(connection, select(people.c.id).offset(1)),
    }
    shown = tuple(
        Step(one.name, one.title, one.hint, one.path, one.role, done[one.name])
        for one in STEPS
        if person.may(one.role) and (one.path in pages or not one.path.startswith("/console"))
    )
    return () if all(one.done for one in shown) else shown


def _some(connection: Connection, query: Select[tuple[object]]) -> bool:
    return connection.execute(query.limit(1)).first() is not None
