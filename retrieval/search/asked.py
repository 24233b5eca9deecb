"""What a brand was asked before, and whether its pages answered it: one more sign for `answerability`.

Search sees how near a question lies to the pages; "may I lease a watch" lies as near to those of a watchmaker as "may I
engrave a watch". The brand's own conversations know which of the two is refused. Kernel ridge regression on the
questions' vectors learns it in a second; far from all of them it says 0, and search alone decides.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.encoder import Encoder, Vectors
from retrieval.kernel_ridge import fit, kernel
from retrieval.search.condense import condense

RIDGE = 1.0
"""Of .1, .3 and 1 the one that tells the turns of the sample brands apart best, each judged by all others."""
BOUND = 0.5
"""Of a score. Of 504 turns six get more from the others: a page may answer today what was refused before."""
MIN_REFUSED = 10
MAX_ANSWERED = 2000
"""More add seconds to a start and little else; they are taken at equal distances."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that a brand answered or refused."""

    question: str
    history: tuple[str, ...]
    """What the visitor said before, oldest first."""
    answered: bool


class Asked:
    """What the turns of one brand taught."""

    def __init__(self, rows: Vectors, weights: Vectors, encoder: Encoder) -> None:
        self._rows = rows
        self._weights = weights
        self._encoder = encoder

    @classmethod
    def learn(cls, turns: Sequence[Turn], encoder: Encoder) -> tuple[Asked, Vectors]:
        """Learn from turns, at least one of each kind.

        Returns:
            What was learnt, and what each turn gets from all others, float32 [turns].
        """
        rows = np.stack([encoder.encode_query(condense(one.question, one.history)) for one in turns])
        targets = np.array([[1.0 if one.answered else -1.0] for one in turns], np.float32)
        fitted = fit(rows, targets - targets.mean(), RIDGE)
        return cls(rows, fitted.weights[:, 0], encoder), fitted.left_out[:, 0]

    def score(self, query: str) -> float:
        """Above 0 where questions like this one were answered, below 0 where they were refused; within `BOUND`."""
        found = float(kernel(self._rows @ self._encoder.encode_query(query)) @ self._weights)
        return max(-BOUND, min(BOUND, found))


def read_turns(file: Path) -> Iterator[Turn]:
    """The answered and refused turns of a brand's conversations (JSON lines, as training reads them).

    Raises:
        OSError: The file cannot be read.
        ValueError, KeyError, TypeError: A row is no conversation.
    """
    with file.open(encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            said: list[str] = []
            for one in json.loads(line)["messages"]:
                if one["role"] == "user":
                    said.append(one["content"])
                elif said and one.get("outcome") in ("answered", "refused"):
                    yield Turn(said[-1], tuple(said[:-1]), one["outcome"] == "answered")


def open_asked(file: Path | None, encoder: Encoder) -> Asked | None:
    """What a brand's conversations teach; None, with a line in the log, where they cannot be read or refuse too little.

    Args:
        file: The conversations; absent where the brand has none.
        encoder: Of the deployment: the weight of `answerability` was fitted on its vectors.
    """
    if file is None:
        return None
    try:
        turns = list(read_turns(file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("asked_off", extra={"file": str(file), "reason": repr(error)})
        return None
    refused = [one for one in turns if not one.answered]
    answered = [one for one in turns if one.answered]
    if len(refused) < MIN_REFUSED or not answered:
        log.info("asked_off", extra={"file": str(file), "reason": f"{len(refused)} refused turns"})
        return None
    step = -(-len(answered) // MAX_ANSWERED)
    return Asked.learn([*answered[::step], *refused[:MAX_ANSWERED]], encoder)[0]
