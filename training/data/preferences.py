"""Pairs of replies to one prompt, one of them preferred: read from any file, put as service would ask."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.training import Preferences
from retrieval.errors import BadLine
from retrieval.prompt import Message, build_prompt
from training.data.doctor import read_rows
from training.data.rows import Finding, Row
from training.data.split import split_rows
from training.errors import DataInvalid, RecipeInvalid
from training.examples.rendering import Searcher


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt with two replies."""

    brand: str
    row: Row
    """As it was read."""
    messages: tuple[Message, ...]
    """The prompt, which ends with the customer's message."""
    chosen: str
    rejected: str

    @property
    def place(self) -> str:
        """File and line, for an error."""
        return f"{self.row.file.name}:{self.row.line}"


@dataclass(frozen=True, slots=True)
class Shop:
    """What service knows of a brand when it builds a prompt."""

    brand: str
    display_name: str
    knowledge: Searcher
    top_k: int = 4
    min_answerability: float = 0.5

    def prompt(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The prompt of service for a conversation that ends with a customer's message."""
        *history, last = messages
        asked_before = [one.content for one in history if one.role == "user"]
        found = self.knowledge.search(last.content, history=asked_before, top_k=self.top_k)
        answerable = found.passages and found.answerability >= self.min_answerability
        return build_prompt(
            "answer" if answerable else "refuse",
            last.content,
            display_name=self.display_name,
            history=history,
            passages=found.passages,
        ).messages


def pairs_sha256(path: Path) -> str:
    """Digest of a file of pairs.

    Raises:
        DataInvalid: It cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataInvalid([BadLine(path, 0, f"cannot be read ({error.strerror or error})")]) from error


def read_pairs(path: Path, preferences: Preferences, shop: Shop) -> tuple[Pair, ...]:
    """Read pairs in the order of the file.

    Args:
        path: In any form that `training.data` reads as preferences.
        preferences: How many, and what prompts become.
        shop: The brand.

    Raises:
        DataInvalid: Rows are broken or no pairs; all of them are listed.
    """
    rows: list[Row] = []
    bad: list[BadLine] = []
    for one in read_rows(path):
        if isinstance(one, Finding):
            bad.append(BadLine(path, one.line, one.reason))
        elif reason := _no_pair(one):
            bad.append(BadLine(path, one.line, reason))
        else:
            rows.append(one)
    if bad or not rows:
        raise DataInvalid(bad or [BadLine(path, 0, "the file holds no pairs")])
    if preferences.max_pairs is not None and preferences.max_pairs < len(rows):
        rng = random.Random(preferences.seed)  # noqa: S311  (reproducible, not secret)
        rows = [rows[place] for place in sorted(rng.sample(range(len(rows)), preferences.max_pairs))]
    return tuple(_pair(row, preferences, shop) for row in rows)


def hold_pairs_back(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn and pairs to watch; a conversation and near questions are on one side.

    Raises:
        RecipeInvalid: One side would be empty.
    """
    if not share:
        return list(pairs), []
    split = split_rows([one.row for one in pairs], share=share, seed=seed)
    watched = set(split.evaluation)
    sides = [one for one in pairs if one.row not in watched], [one for one in pairs if one.row in watched]
    if not all(sides):
        raise RecipeInvalid(
            f"held_back {share:g} of {len(pairs)} pairs leaves nothing to {'learn' if sides[1] else 'watch'}: give "
            "more pairs, another held_back, or 0 to watch none"
        )
    return sides


def _no_pair(row: Row) -> str | None:
    """Why a row cannot be learnt from as a pair."""
    if row.rejected is None:
        return "no pair: it has no rejected reply beside the chosen one"
    if any(turn.role == "tool" or turn.acts for turn in row.turns):
        return "it holds calls of tools, which service makes none of; leave it out"
    if row.turns[-2].role != "user":
        return "the prompt must end with a message of the customer, and each reply be one message"
    return None


def _pair(row: Row, preferences: Preferences, shop: Shop) -> Pair:
    messages = tuple(Message(turn.role, turn.content) for turn in row.turns[:-1] if turn.role != "tool")
    if preferences.prompts == "service" and messages[0].role != "system":
        messages = shop.prompt(messages)
    return Pair(shop.brand, row, messages, row.turns[-1].content.strip(), (row.rejected or "").strip())
