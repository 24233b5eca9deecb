"""Accepted corrections as files in the state folder, in the forms that training reads.

A reply becomes a conversation, in which only the corrected reply is learnt, and a pair of what is preferred to what was
said. A fact becomes a held-out question. Every row names its turn, so that a person who is forgotten is found in them.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from configs.corrections import TOPIC, CorrectionFiles
from configs.home import Home
from configs.json_lines import rows_text
from configs.whole_file import replace_text
from service.corrections import reviewing
from service.corrections.terms import MAX_REPLY, Correction
from service.storage.database import Database


async def write_all(db: Database, home: Home, brands: Iterable[str]) -> None:
    """Write the files of all brands anew, from what the database has now.

    Raises:
        StorageUnavailable: It cannot be read; files stay as they were.
        OSError: A file cannot be written.
    """
    every = await db.read(reviewing.accepted)
    for brand in brands:
        write(home.corrections(brand), [one for one in every if one.brand == brand])


def write(files: CorrectionFiles, accepted: Sequence[Correction]) -> None:
    """Write the files of one brand; one that would be empty goes.

    Raises:
        OSError: A file cannot be written.
    """
    taught = [one for one in accepted if one.kind != "fact" and one.corrected]
    wanted = {
        files.conversations: [conversation(one) for one in taught],
        files.pairs: [pair(one) for one in taught if one.corrected != one.said],
        files.questions: [question(one) for one in accepted if one.kind == "fact"],
    }
    if not accepted and not files.folder.is_dir():
        return
    files.folder.mkdir(parents=True, exist_ok=True)
    with (files.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path, rows in wanted.items():
            _replace(path, rows)


def _replace(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = rows_text(rows)
    if not path.is_file() or path.read_text("utf-8") != text:
        replace_text(path, text)


def row_id(one: Correction) -> str:
    """Names a row by its turn."""
    return f"correction.{one.turn_id}"


def conversation(one: Correction) -> dict[str, Any]:
    """A conversation of `training.conversations`, in which the corrected reply alone is learnt."""
    messages: list[dict[str, Any]] = []
    for before in _exchanges(one.history):
        # What was answered then is not looked at, and is not learnt.
        old = {"outcome": "small_talk", "learnt": False} if before["role"] == "assistant" else {}
        messages.append({**before, **old})
    messages.append({"role": "user", "content": one.question})
    reply = {"role": "assistant", "content": one.corrected, "outcome": one.outcome, "documents": list(one.documents)}
    return {"id": row_id(one), "topic": TOPIC, "shared_policy": False, "messages": [*messages, reply]}


def _exchanges(history: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Whole exchanges of a history: what was cut off at its beginning, or has no answer, is left out."""
    whole: list[Mapping[str, str]] = []
    for first, second in pairwise(history):
        if (first["role"], second["role"]) == ("user", "assistant"):
            whole += [first, second]
    # A message that training would not read ends what it can know of the time before.
    long = [at for at, said in enumerate(whole) if not 0 < len(said["content"].strip()) <= MAX_REPLY]
    return whole[(long[-1] // 2 + 1) * 2 :] if long else whole


def pair(one: Correction) -> dict[str, Any]:
    """Two replies to one prompt; the prompt is the one that was served, where an adapter got one."""
    prompt = [dict(said) for said in one.prompt or (*one.history, {"role": "user", "content": one.question})]
    return {"conversation": row_id(one), "prompt": prompt, "chosen": one.corrected, "rejected": one.said}


def question(one: Correction) -> dict[str, Any]:
    """A held-out question of `training.conversations`."""
    row: dict[str, Any] = {"id": row_id(one), "question": one.question, "document": one.document}
    row |= {"answer_contains": list(one.holds)} if one.holds else {}
    return row | ({"reference": one.corrected} if one.corrected else {})
