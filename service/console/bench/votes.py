"""Votes on blind runs of the bench: who wins, and pairs of replies to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from retrieval.prompt import Message
from service.console.bench.runs import shown
from service.console.bench.shown import LETTERS, PairShown, RankedShown, Results, Run, Vote
from service.console.bench.winning import Ballot, pairs, ranking
from service.console.said import Said, _
from service.conversation import inbox
from service.errors import NotPossible, RequestInvalid
from service.storage.bench_tables import bench_answers, bench_runs, bench_votes
from service.storage.database import Database, now, storable
from service.turns import handover_rules
from service.turns.grounded import strip_marks
from service.turns.lanes import HISTORY_TURNS

TWICE = _("You have voted on this run already; a vote cannot be taken back once the names are known.")


def cast(connection: Connection, run: str, by: str, vote: Vote) -> Run:
    """Keep somebody's vote on a blind run, and show them who wrote what; part of a transaction.

    Raises:
        NotFound: No such run.
        NotPossible: It is not blind, not all have answered, or they voted already.
        RequestInvalid: It has no such answer.
    """
    seen = shown(connection, run, by)
    if not seen.blind:
        raise NotPossible(_("Only a blind run takes votes: who sees the names no longer judges the answers alone."))
    if seen.vote:
        raise NotPossible(TWICE)
    if not seen.votable:
        raise NotPossible(_("Not every voice has answered. Wait for all, or ask again where one failed."))
    place = None if vote.best == "equal" else LETTERS.index(vote.best)
    if place is not None and place >= len(seen.answers):
        raise RequestInvalid(Said(_("This run has no answer %(letter)s."), letter=vote.best), param="best")
    row = {"run_id": run, "by": by, "place": place, "tags": list(vote.tags), "note": storable(vote.note), "at": now()}
    try:
        connection.execute(bench_votes.insert(), row)
    except IntegrityError as error:  # twice at the same moment
        raise NotPossible(TWICE) from error
    return shown(connection, run, by)


async def results(db: Database, brand: str) -> Results:
    """Who wins, by all votes on a brand's voices."""
    ballots = [Ballot(contenders, best) for _, contenders, best in await db.read(lambda one: _ballots(one, brand))]
    return Results(
        brand=brand,
        votes=len(ballots),
        pairs=tuple(PairShown(**asdict(one)) for one in pairs(ballots)),
        ranking=tuple(RankedShown(**asdict(one)) for one in ranking(ballots)),
    )


async def preference_rows(db: Database, brand: str) -> list[dict[str, Any]]:
    """Pairs of replies, as `training.data` reads preferences: what was voted best beside each other reply.

    Where several people voted on a run, a pair stands for what more of them said. Prompts hold what was said, without
    passages: training puts a prompt as service would (`preferences.prompts` of its recipe).

    Args:
        db: Holds the votes.
        brand: Whose.
    """
    runs, votes = await db.read(lambda connection: _voted(connection, brand))
    rows = []
    for run, answers in runs:
        history: Sequence[Message] = ()
        if run.turn_id:
            history = handover_rules.history(await inbox.past_of(db, run.turn_id, past=HISTORY_TURNS))
        prompt = [{"role": one.role, "content": one.content} for one in (*history, Message("user", run.question))]
        for better, worse in _preferred([vote.place for vote in votes[run.id]], len(answers)):
            chosen, rejected = (strip_marks(answers[place].text) for place in (better, worse))
            if not chosen or not rejected or chosen == rejected:
                continue
            rows.append(
                {
                    "id": f"bench-{run.id}",
                    "prompt": prompt,
                    "chosen": chosen,
                    "rejected": rejected,
                    "brand": brand,
                    "turn": run.turn_id,
                    "versions": [answers[better].contender, answers[worse].contender],
                    "passages_sha256": run.passages_sha256,
                    "votes": [
                        {"by": vote.by, "at": vote.at.isoformat(), "tags": vote.tags, "note": vote.note}
                        for vote in votes[run.id]
                        if vote.place == better
                    ],
                }
            )
    return rows


def _preferred(places: Sequence[int | None], answers: int) -> list[tuple[int, int]]:
    """Which answers are better than which, by more votes than say the opposite."""
    said = Counter(place for place in places if place is not None)
    return [(one, other) for one in said for other in range(answers) if said[one] > said[other]]


def _ballots(connection: Connection, brand: str) -> list[tuple[str, tuple[str, ...], int | None]]:
    runs, votes = _voted(connection, brand)
    return [
        (run.id, tuple(one.contender for one in answers), vote.place) for run, answers in runs for vote in votes[run.id]
    ]


def _voted(connection: Connection, brand: str) -> tuple[list[tuple[Any, list[Any]]], dict[str, list[Any]]]:
    """Runs that were voted on, oldest first, each with its answers; and the votes by run."""
    query = (
        select(bench_votes)
        .join(bench_runs, bench_runs.c.id == bench_votes.c.run_id)
        .where(bench_runs.c.brand == brand)
        .order_by(bench_votes.c.at, bench_votes.c.by)
    )
    votes: dict[str, list[Any]] = {}
    for row in connection.execute(query):
        votes.setdefault(row.run_id, []).append(row)
    with_votes = select(bench_votes.c.run_id)
    runs = connection.execute(
        select(bench_runs)
        .where(bench_runs.c.brand == brand, bench_runs.c.id.in_(with_votes))
        .order_by(bench_runs.c.asked_at, bench_runs.c.id)
    ).all()
    answers: dict[str, list[Any]] = {run.id: [] for run in runs}
    ours = select(bench_runs.c.id).where(bench_runs.c.brand == brand, bench_runs.c.id.in_(with_votes))
    every = select(bench_answers).where(bench_answers.c.run_id.in_(ours)).order_by(bench_answers.c.place)
    for row in connection.execute(every):
        answers[row.run_id].append(row)
    return [(run, answers[run.id]) for run in runs], votes
