"""What can be asked on the bench, and who can answer there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from configs.brand import Brand
from configs.home import Home
from configs.json_lines import read_rows
from configs.verdict import BASE_VERSION
from service.console.bench.shown import Offers, TurnOffered, VoiceOffered
from service.engines.adapters import list_adapters
from service.storage.database import Database
from service.storage.tables import conversations, turns
from service.turns.side_by_side import NO_GUIDE, NO_KNOWLEDGE
from training.voice import TrainingError
from training.voice.kept import KeptVoices

TURNS = 20
QUESTIONS = 200
"""Held-out questions that are offered; more make a list in which nobody finds anything."""


async def offers(db: Database, home: Home, brand: Brand) -> Offers:
    """Everything that can be chosen for one brand."""
    return Offers(
        brand=brand.name,
        contenders=await asyncio.to_thread(voices_of, home, brand),
        starters=brand.widget.starters,
        questions=await asyncio.to_thread(_held_out, brand),
        turns=await past_turns(db, brand.name),
    )


def voices_of(home: Home, brand: Brand) -> tuple[VoiceOffered, ...]:
    """The ways to answer: the base model, what speaks now, other versions with the newest first (blocking)."""
    usable = [one for one in list_adapters(home, {brand.name: brand}) if one.problem is None]
    speaking = [one for one in usable if one.active]
    others = [one for one in reversed(usable) if not one.active]
    return (
        VoiceOffered(contender=BASE_VERSION, kind="base"),
        *(
            VoiceOffered(
                contender=one.version, kind="active" if one.active else "version", created_at=one.created_at or None
            )
            for one in (*speaking, *others)
        ),
        VoiceOffered(contender=f"{BASE_VERSION}:{NO_GUIDE}", kind="base_bare"),
        VoiceOffered(
            contender=f"{speaking[0].version if speaking else BASE_VERSION}:{NO_KNOWLEDGE}", kind="no_knowledge"
        ),
    )


async def past_turns(db: Database, brand: str, *, words: str = "", most: int = TURNS) -> tuple[TurnOffered, ...]:
    """The latest turns that the bot ended, newest first.

    Args:
        db: Holds them.
        brand: Whose.
        words: Only turns whose question holds this, whatever its case.
        most: How many.
    """
    query = (
        select(turns.c.id, turns.c.question, turns.c.outcome, turns.c.created_at)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .where(conversations.c.brand == brand, turns.c.outcome.is_not(None), turns.c.question != "")
        .order_by(turns.c.created_at.desc(), turns.c.id)
        .limit(most)
    )
    if words:
        query = query.where(turns.c.question.icontains(words, autoescape=True))
    rows = await db.read(lambda connection: connection.execute(query).all())
    return tuple(
        TurnOffered(turn=row.id, question=row.question, outcome=row.outcome, created_at=row.created_at) for row in rows
    )


def score_voice(voices: KeptVoices, brand: Brand, text: str) -> Mapping[str, Any]:
    """How much a text sounds like the brand, by the model that the gate judges with (blocking)."""
    try:
        found = voices.of(brand.name).score(text)
    except (TrainingError, OSError) as error:
        return {"score": None, "reasons": [str(error)]}
    return {"score": found.score, "reasons": list(found.reasons)}


def _held_out(brand: Brand) -> tuple[str, ...]:
    if brand.questions is None:
        return ()
    try:
        return tuple(str(row["question"]) for row in read_rows(brand.questions)[:QUESTIONS])
    except (OSError, ValueError, KeyError, TypeError):
        return ()  # `brandvoice eval` tells what is wrong with the file
