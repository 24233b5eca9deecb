"""Training and evaluation kept apart: whole conversations and all near questions lie on one side."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from training.data.repeats import question_groups
from training.data.rows import Row
from training.data.similar import NEAR, groups, join, resemblance, root
from training.errors import DataOverlap
from training.examples.rendering import Example

EVALUATION = 0.2
"""Share of the rows that are evaluated on."""


@dataclass(frozen=True, slots=True)
class Split:
    """Two sides, each in the order of the rows."""

    train: tuple[Row, ...]
    evaluation: tuple[Row, ...]
    sha256: str
    """Over what each side holds; the order of the rows leaves it unchanged."""


def split_rows(rows: Sequence[Row], *, share: float = EVALUATION, seed: int = 7) -> Split:
    """Split rows by conversation and by near questions.

    Args:
        rows: Accepted rows.
        share: Of the rows that go to evaluation, at most.
        seed: Another one draws another split.
    """
    together = _together(rows)
    members: dict[int, list[int]] = defaultdict(list)
    for place, first in enumerate(together):
        members[first].append(place)
    digests = [_digest(row) for row in rows]
    # Drawn by what a group holds, so that the order of the files changes nothing.
    keys = {first: min(digests[one] for one in held) for first, held in members.items()}
    order = sorted(members, key=lambda first: hashlib.sha256(f"{seed}:{keys[first]}".encode()).digest())
    room = int(share * len(rows))
    chosen: set[int] = set()
    for first in order:
        if len(members[first]) <= room:
            chosen.update(members[first])
            room -= len(members[first])
    train = tuple(row for place, row in enumerate(rows) if place not in chosen)
    evaluation = tuple(row for place, row in enumerate(rows) if place in chosen)
    sides = sorted(f"{'evaluation' if place in chosen else 'train'} {one}" for place, one in enumerate(digests))
    return Split(train, evaluation, hashlib.sha256("\n".join(sides).encode()).hexdigest())


def assert_no_overlap(train: Sequence[str], evaluation: Sequence[str], *, threshold: float = NEAR) -> None:
    """Make sure that no question of the evaluation is trained on, not even nearly.

    Args:
        train: Questions that are trained on.
        evaluation: Questions that are measured with.
        threshold: Resemblance from which on two questions are one (`training.data.similar`).

    Raises:
        DataOverlap: Some are; they are named.
    """
    found = groups([*evaluation, *train], threshold=threshold)
    trained: dict[int, list[str]] = defaultdict(list)
    for place, question in enumerate(train):
        trained[found[len(evaluation) + place]].append(question)
    pairs = []
    for place, question in enumerate(evaluation):
        near = next((one for one in trained[found[place]] if resemblance(one, question) >= threshold), None)
        if near is not None:
            pairs.append((question, near))
    if pairs:
        raise DataOverlap(pairs)


def near_any(questions: Sequence[str], others: Sequence[str], *, threshold: float = NEAR) -> set[int]:
    """Places of the questions that are near one of the others."""
    found = groups([*others, *questions], threshold=threshold)
    members: dict[int, list[str]] = defaultdict(list)
    for place, other in enumerate(others):
        members[found[place]].append(other)
    return {
        place
        for place, question in enumerate(questions)
        if any(resemblance(question, one) >= threshold for one in members[found[len(others) + place]])
    }


def hold_back(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to learn and examples to watch; all prompts of one conversation, and near questions, are on one side.

    Args:
        examples: In any order.
        share: Of the conversations that are watched, about; 0 watches none.
        seed: Another one draws others.

    Raises:
        DataOverlap: Questions of the two sides are near all the same.
    """
    if not share:
        return list(examples), []
    conversations = [one.id.split("/", maxsplit=1)[0] for one in examples]
    asking = [place for place, one in enumerate(examples) if one.question]
    near = list(range(len(examples)))
    for place, group in zip(asking, groups([examples[place].question for place in asking]), strict=True):
        join(near, place, asking[group])
    first: dict[str, int] = {}
    for place, conversation in enumerate(conversations):
        join(near, place, first.setdefault(conversation, place))
    learnt: list[Example] = []
    watched: list[Example] = []
    for place, one in enumerate(examples):
        named = conversations[root(near, place)]
        drawn = random.Random(f"{seed}:{named}").random()  # noqa: S311  (reproducible, not secret)
        (watched if drawn < share else learnt).append(one)
    assert_no_overlap(*([one.question for one in side if one.question] for side in (learnt, watched)))
    return learnt, watched


def _together(rows: Sequence[Row]) -> list[int]:
    """For each row the first row that must lie on its side."""
    together = question_groups(rows)
    first: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows):
        if row.group is not None:
            join(together, place, first.setdefault((str(row.file), row.group), place))
    return [root(together, place) for place in range(len(rows))]


def _digest(row: Row) -> str:
    held = [[turn.role, turn.content] for turn in row.turns]
    return hashlib.sha256(json.dumps([held, row.rejected]).encode()).hexdigest()
