"""Runs of the bench: one question, its passages, and the answers of two to four voices, kept as each of them comes.

A run lies in the database, so that a page which is loaded again, or asks another gateway, finds it. The order of a
blind run is shuffled here, and who wrote what stays here until the reader has voted.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from configs.brand import Brand
from retrieval.passages import Passage
from service.console.bench.shown import LETTERS, Best, Run, ShownAnswer, Vote
from service.console.said import Said, _
from service.conversation import inbox
from service.conversation.wire import citations_json
from service.errors import GenerationError, NotFound, RequestInvalid
from service.storage.belonging import delete_with_all
from service.storage.bench_tables import bench_answers, bench_runs, bench_votes
from service.storage.database import Database, now, storable
from service.storage.ids import fresh_id
from service.storage.tables import conversations, turns
from service.turns import handover_rules
from service.turns.grounded import strip_marks
from service.turns.lanes import HISTORY_TURNS
from service.turns.pipeline import ChatPipeline, Turn
from service.turns.side_by_side import MOST, Contender, turns_of
from service.turns.support import sentences_of

log = logging.getLogger(__name__)

LEAST = 2
NO_RUN = _("There is no run %(run)s of the bench.")
LOST_AFTER = timedelta(minutes=15)
"""An answer that has not come by then never will: its gateway was stopped."""

KEPT = timedelta(days=30)
"""How long a run is kept that nobody voted on; its passages and prompts take some 50 kB."""
OPEN = ("version", "voice", "prompt", "prompt_tokens", "completion_tokens", "timings_ms", "ms", "error")
"""What tells who wrote an answer, or might."""
ScoreVoice = Callable[[Brand, str], Mapping[str, Any]]
"""What a text scores against a brand's voice, as `told.voice` keeps it. Blocking."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What shall be compared."""

    brand: Brand
    question: str
    """Of a replayed turn its own."""
    contenders: tuple[str, ...]
    by: str
    turn: str | None = None
    """A past turn that is replayed with its history."""
    blind: bool = False
    served: bool = False


class Bench:
    """Begins runs, and lets their voices answer."""

    def __init__(self, db: Database, pipeline: ChatPipeline, score: ScoreVoice) -> None:
        self._db = db
        self._pipeline = pipeline
        self._score = score
        self._shuffle = secrets.SystemRandom().shuffle

    async def begin(self, asked: Asked) -> tuple[str, list[Turn]]:
        """Search once, and keep the run; nobody has answered yet.

        Returns:
            The run's id, and the turn of each voice for `answer`, in the order that is shown.

        Raises:
            RequestInvalid: Too few voices, too many, or one twice.
            ConversationUnknown: No such turn of this brand.
        """
        voices = [Contender.parse(one) for one in asked.contenders]
        if not LEAST <= len(voices) <= MOST or len(set(voices)) < len(voices):
            raise RequestInvalid(_("Choose two to four voices."), param="contenders")
        if asked.blind:
            self._shuffle(voices)
        turns_ = await turns_of(self._pipeline, await self._turn(asked), voices, served=asked.served)
        look = turns_[0].look
        assert look is not None  # noqa: S101  (`turns_of` made it)
        passages = [_passage(one) for one in look.found.passages] if look.found else []
        run = fresh_id()
        row = {
            "id": run,
            "brand": asked.brand.name,
            "turn_id": asked.turn,
            "question": storable(asked.question),
            "blind": asked.blind,
            "served": asked.served,
            "decision": asdict(look.way),
            "knowledge_version": look.found.knowledge_version if look.found else None,
            "passages": passages,
            "passages_sha256": _digest(passages),
            "asked_by": asked.by,
            "asked_at": now(),
        }
        waiting = [
            {"run_id": run, "place": place, "contender": str(one), "state": "waiting", "text": ""}
            for place, one in enumerate(voices)
        ]

        def store(connection: Connection) -> None:
            _forget_old(connection)
            connection.execute(bench_runs.insert(), row)
            connection.execute(bench_answers.insert(), waiting)

        await self._db.write(store)
        return run, turns_

    async def answer(self, run: str, asked: Sequence[Turn]) -> None:
        """Let all voices of a run answer, and keep each answer when it comes; one that fails is kept as failed."""
        await asyncio.gather(*(self._answer(run, place, turn) for place, turn in enumerate(asked)))

    async def _turn(self, asked: Asked) -> Turn:
        if asked.turn is None:
            return Turn(asked.brand, asked.question)
        past = await inbox.past_of(self._db, asked.turn, past=HISTORY_TURNS)
        earlier = tuple(one.question for one in past if one.counts and one.question)
        return Turn(asked.brand, asked.question, handover_rules.history(past), since_return=earlier)

    async def _answer(self, run: str, place: int, turn: Turn) -> None:
        since = time.perf_counter()
        values: dict[str, Any]
        try:
            reply = await self._pipeline.reply(turn)
            ms = round((time.perf_counter() - since) * 1000, 1)
            citations = citations_json(reply.citations)
            said = sentences_of(reply.text, citations, reply.evidence)
            own_words = any(one.basis == "own_words" for one in said)
            generations: Any = reply.evidence.get("generations") or ()
            # As the gate does: what the model wrote first, before anything of it was held back.
            heard = strip_marks(reply.text if own_words or not generations else generations[0]["text"])
            told = {
                "version": reply.adapter["version"],
                "outcome": reply.outcome,
                "sentences": [asdict(one) for one in said],
                "citations": citations,
                "voice": await asyncio.to_thread(self._score, turn.brand, heard),
                "prompt": reply.evidence.get("prompt", []),
                "prompt_tokens": reply.usage["prompt_tokens"],
                "completion_tokens": reply.usage["completion_tokens"],
                "timings_ms": dict(reply.timings_ms),
                "ms": ms,
            }
            values = {"state": "done", "text": reply.text, "told": told}
        except GenerationError as error:
            values = {"state": "failed", "told": {"error": str(error)}}
        except Exception:
            log.exception("bench_failed", extra={"run": run})
            values = {"state": "failed", "told": {"error": "Something broke inside the gateway; its log says what."}}
        this = (bench_answers.c.run_id == run, bench_answers.c.place == place)
        await self._db.write(lambda connection: connection.execute(update(bench_answers).where(*this).values(**values)))


def _forget_old(connection: Connection) -> None:
    voted = select(bench_votes.c.run_id)
    old = select(bench_runs.c.id).where(bench_runs.c.asked_at < now() - KEPT, bench_runs.c.id.not_in(voted)).limit(100)
    delete_with_all(connection, bench_runs, connection.execute(old).scalars().all())


async def replayed(db: Database, turn: str) -> tuple[str, str]:
    """Brand and question of a past turn.

    Raises:
        NotFound: No such turn.
    """
    query = (
        select(conversations.c.brand, turns.c.question)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.id == turn)
    )
    row = await db.read(lambda connection: connection.execute(query).one_or_none())
    if row is None or not row.question:
        raise NotFound(Said(_("There is no turn %(turn)s with a question."), turn=turn))
    return row.brand, row.question


async def brand_of(db: Database, run: str) -> str:
    """Whose run it is.

    Raises:
        NotFound: No such run.
    """
    query = select(bench_runs.c.brand).where(bench_runs.c.id == run)
    found = await db.read(lambda connection: connection.execute(query).scalar_one_or_none())
    if found is None:
        raise NotFound(Said(NO_RUN, run=run))
    return str(found)


async def show(db: Database, run: str, by: str) -> Run:
    """A run as somebody may see it.

    Args:
        db: Holds it.
        run: Its id.
        by: Who looks: of a blind run they learn who wrote what when they have voted.

    Raises:
        NotFound: No such run.
    """
    return await db.read(lambda connection: shown(connection, run, by))


def shown(connection: Connection, run: str, by: str) -> Run:
    """As `show`, within a transaction."""
    row = connection.execute(select(bench_runs).where(bench_runs.c.id == run)).one_or_none()
    if row is None:
        raise NotFound(Said(NO_RUN, run=run))
    answers = connection.execute(
        select(bench_answers).where(bench_answers.c.run_id == run).order_by(bench_answers.c.place)
    ).all()
    mine = (bench_votes.c.run_id == run, bench_votes.c.by == by)
    vote = connection.execute(select(bench_votes).where(*mine)).one_or_none()
    lost = now() - row.asked_at > LOST_AFTER
    states = ["failed" if one.state == "waiting" and lost else one.state for one in answers]
    # Where all failed there is nothing to judge and nothing to recognise, and the reason helps.
    hidden = row.blind and vote is None and set(states) != {"failed"}
    if hidden and "waiting" in states:
        # All at once: which comes first tells who has no passages to read.
        states = ["waiting"] * len(states)
    return Run(
        id=row.id,
        brand=row.brand,
        question=row.question,
        turn=row.turn_id,
        blind=row.blind,
        served=row.served,
        hidden=hidden,
        knowledge_version=row.knowledge_version,
        passages=row.passages,
        passages_sha256=row.passages_sha256,
        asked_at=row.asked_at,
        answers=tuple(_answer(one, state, hidden=hidden) for one, state in zip(answers, states, strict=True)),
        vote=_vote(vote) if vote else None,
    )


def _answer(row: Row[Any], state: Any, *, hidden: bool) -> ShownAnswer:
    """An answer; of one that is hidden only what both its writer and all others could have: no name, pace, prompt."""
    if state == "waiting":
        return ShownAnswer(letter=LETTERS[row.place], state=state, contender=None if hidden else row.contender)
    told = row.told or {}
    seen = {"sentences": told.get("sentences", ()), "outcome": told.get("outcome")}
    if not hidden:
        seen |= {key: told.get(key) for key in OPEN} | {"contender": row.contender}
    return ShownAnswer(letter=LETTERS[row.place], state=state, text=row.text, **seen)


def _vote(row: Row[Any]) -> Vote:
    best: Best = "equal" if row.place is None else LETTERS[row.place]
    return Vote(best=best, tags=tuple(row.tags), note=row.note)


def _passage(passage: Passage) -> dict[str, Any]:
    text = hashlib.sha256(passage.text.encode()).hexdigest()
    return asdict(replace(passage, scores={})) | {"scores": dict(passage.scores), "sha256": text}


def _digest(passages: Sequence[Mapping[str, Any]]) -> str:
    """Of what all voices were given, in its order."""
    return hashlib.sha256(json.dumps([(one["document"], one["sha256"]) for one in passages]).encode()).hexdigest()
