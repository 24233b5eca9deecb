"""Questions that the bot refused, alike ones together: what the next page of the knowledge base should answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, exists, func, select

from retrieval.clustering import clusters
from retrieval.encoder import Encoder, Vectors
from service.errors import ConversationUnknown
from service.storage.database import Database, insert_new, now
from service.storage.tables import conversations, settled_questions, turns

MOST = 500
"""Questions that are looked at, the newest."""
DAYS = 90
SHOWN = 20
"""Questions of a group that are told in words; the count is of all."""
AT_ONCE = 16
"""Questions that are embedded in one go, about 40 ms, so that answers' checks come in between."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was refused."""

    turn: str
    conversation: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that ask much the same; the first says it best."""

    questions: tuple[Asked, ...]

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        first = self.questions[0]
        return {
            "question": first.text,
            "count": len(self.questions),
            "conversations": len({one.conversation for one in self.questions}),
            "last_at": max(one.at for one in self.questions).isoformat(),
            "turns": [one.turn for one in self.questions],
            "questions": [
                {"turn": one.turn, "conversation": one.conversation, "text": one.text, "at": one.at.isoformat()}
                for one in self.questions[:SHOWN]
            ],
        }


class Unanswered:
    """Finds and groups refused questions."""

    def __init__(self, db: Database, encoder: Encoder, executor: Executor) -> None:
        """Open it.

        Args:
            db: Holds the turns.
            encoder: The deployment's.
            executor: The threads that check answers.
        """
        self._db = db
        self._encoder = encoder
        self._executor = executor

    async def groups(self, brand: str) -> list[Group]:
        """A brand's refused questions that nobody settled, the largest group first."""
        found = await self._db.read(lambda connection: asked(connection, brand))
        texts = [one.text for one in found]
        parts = [await self._in_thread(self._embed, texts[at : at + AT_ONCE]) for at in range(0, len(texts), AT_ONCE)]
        if not parts:
            return []
        grouped = await self._in_thread(clusters, np.vstack(parts))
        return [Group(tuple(found[place] for place in group)) for group in grouped]

    async def busiest(self, brands: Collection[str]) -> str | None:
        """The brand with the most of such questions; None where no brand has any."""
        return await self._db.read(lambda connection: most_asked(connection, brands))

    def _embed(self, texts: Sequence[str]) -> Vectors:
        return np.vstack([self._encoder.encode_query(text) for text in texts])

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)


def most_asked(connection: Connection, brands: Collection[str]) -> str | None:
    """The brand with the most refused questions that nobody settled."""
    query = (
        _open(select(conversations.c.brand))
        .where(conversations.c.brand.in_(brands))
        .group_by(conversations.c.brand)
        .order_by(func.count().desc(), conversations.c.brand)
        .limit(1)
    )
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def asked(connection: Connection, brand: str) -> list[Asked]:
    """A brand's refused questions of the last weeks that nobody settled, the newest first."""
    what = select(turns.c.id, turns.c.conversation_id, turns.c.question, turns.c.created_at)
    query = _open(what).where(conversations.c.brand == brand).order_by(turns.c.created_at.desc()).limit(MOST)
    return [
        Asked(row.id, row.conversation_id, " ".join(row.question.split()), row.created_at)
        for row in connection.execute(query).all()
    ]


def _open(query: Select[Any]) -> Select[Any]:
    """Of refused questions that nobody settled. Where the bot asked what the customer means, nothing was refused."""
    decided = func.coalesce(turns.c.evidence["decision"]["kind"].as_string(), "")
    return (
        query.select_from(turns)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.outcome == "refused", turns.c.question != "", turns.c.created_at > now() - timedelta(days=DAYS))
        .where(decided != "ask_back", ~exists().where(settled_questions.c.turn_id == turns.c.id))
    )


def asked_among(connection: Connection, brand: str, which: Collection[str]) -> tuple[str, ...]:
    """These turns, where each is one of the brand's.

    Raises:
        ConversationUnknown: One is not.
    """
    query = (
        select(turns.c.id)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.id.in_(which), conversations.c.brand == brand)
    )
    found = tuple(connection.execute(query).scalars())
    if unknown := sorted(set(which) - set(found)):
        raise ConversationUnknown(f"The brand {brand!r} has no turn {unknown[0]!r}; it may have been deleted.")
    return found


def settle(
    connection: Connection, brand: str, which: Collection[str], *, by: str, document: str | None
) -> tuple[str, ...]:
    """Note that questions were seen to; one that is settled already stays as it is.

    Args:
        connection: Of the transaction.
        brand: Whose.
        which: Their turns.
        by: Who saw to them.
        document: What answers them now; None where no page shall.

    Returns:
        Those that were not settled before.

    Raises:
        ConversationUnknown: One is no turn of this brand's.
    """
    row = {"by": by, "at": now(), "document": document}
    return tuple(
        turn
        for turn in asked_among(connection, brand, which)
        if connection.execute(insert_new(connection, settled_questions), row | {"turn_id": turn}).rowcount
    )
