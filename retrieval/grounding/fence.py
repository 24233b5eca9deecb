"""Instructions inside documents are data: such sentences are found, and left out of what a model reads.

An injected line gives itself away twice: it tells an assistant what to do, and it has nothing to do with the document
around it. A logistic model looks at both; `python -m retrieval.grounding.fence_fit` makes its coefficients and prints
the shares quoted below.

Chunks are judged where they are taken in (`Fence` is the judge of `retrieval.knowledge.noted`), so that a turn only
looks up. What was noted by another encoder, other weights or other rules, or not at all, is judged in the turn.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from retrieval.encoder import Encoder
from retrieval.grounding import speech
from retrieval.language.sentences import split_sentences
from retrieval.language.words import STOPWORDS, stems, words
from retrieval.passages import Chunk, Noted, Passage

FEATURES = ("instruction", "addressed", "close", "near", "shared")
INTERCEPT = -2.973
COEFFICIENTS: Mapping[str, float] = {
    "instruction": 9.917,
    "addressed": 3.961,
    "close": -9.336,
    "near": -6.306,
    "shared": -1.795,
}
"""On kinds of attack and documents that a model did not see, at 0.5: 137 of 150 injected sentences found, 8 of 1717
clean ones by mistake."""
MIN_PROBABILITY = 0.95
"""Above the fitted line, because a short section of a lively help page has little around a line to compare it with."""
FAR = -0.3
"""No cosine of a sentence to those around it is lower: of 2,608 in public help pages and injected documents, the lowest
is -0.08."""

_ADDRESSED = re.compile(
    r"\b(?:(?:your|the|each|every|this) (?:\w+ )?(?:response|reply|replies|responses|answers?|output|completion)\b|"
    r"(?:previous|prior|above|earlier|all|these|following|hidden|system) "
    r"(?:instructions?|prompts?)|system prompt|"
    r"you are (?:now|an? (?:ai|assistant|language model))|as an? (?:ai|assistant|language model)|"
    r"(?:dear|hey|attention),? "
    r"(?:ai|assistant|model|chatbot)|(?:ignore|disregard|forget) (?:\w+ ){0,3}(?:instructions|rules|above|everything))",
    re.IGNORECASE,
)
"""Words for what only an assistant gives or gets."""
_UNMISTAKABLE = re.compile(
    r"\b(?:ignore|disregard|forget|override) (?:\w+ ){0,3}(?:instructions|prompts|rules above)\b|\bsystem prompt\b",
    re.IGNORECASE,
)
"""No page says this to its readers, whatever stands around it."""
_ROOM = Path(__file__).parent
_RULES = (
    Path(__file__),
    _ROOM / "speech.py",
    speech.WEIGHTS_FILE,
    _ROOM.parent / "language" / "sentences.py",
    _ROOM.parent / "language" / "words.py",
)
"""All that decides what is an instruction. By bytes: a change that somebody forgets to declare would leave sentences
unjudged, a change of a comment only costs the turns some milliseconds until the pages are added again."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """A passage as a model may read it."""

    passage: Passage
    removed: tuple[str, ...]
    """Sentences that were left out, as written."""


class Fence:
    """Judges chunks where they are taken in.

    The vectors are those of queries, as in a turn: so both say the same of every chunk, and a sentence costs a third of
    what it costs in full precision.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.fingerprint = fingerprint(encoder)

    def instructions(self, chunk: Chunk) -> tuple[str, ...]:
        """The sentences that instruct an assistant (blocking, about 10 ms)."""
        return instructions(chunk.text, self._encoder, about=_about(chunk))


def fingerprint(encoder: Encoder) -> str:
    """Names the judge: a note by another one does not count (12 hex digits)."""
    return _fingerprint(encoder.name, encoder.sha256)


@lru_cache(maxsize=8)
def _fingerprint(encoder: str, sha256: str) -> str:
    digest = hashlib.sha256(f"{encoder}\0{sha256}\0".encode())
    for file in _RULES:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def fence(passage: Passage, encoder: Encoder, noted: Noted | None = None) -> Fenced:
    """Leave the instructions out of a passage.

    Args:
        passage: What search found.
        encoder: Looks for instructions where nobody did before (blocking, some 10 ms).
        noted: What was noted of the passage when it was taken in; counts only where this very fence did it.
    """
    if noted is not None and noted.by == fingerprint(encoder):
        found = noted.instructions
    else:
        found = instructions(passage.text, encoder, about=_about(passage))
    text = passage.text
    for sentence in found:
        text = text.replace(sentence, "", 1)
    return Fenced(replace(passage, text=text.strip()) if found else passage, found)


def instructions(text: str, encoder: Encoder, *, about: str = "") -> tuple[str, ...]:
    """The sentences of a text that instruct an assistant, in order.

    Args:
        text: A passage or a document.
        encoder: Compares each sentence with the rest.
        about: Title and heading.
    """
    sentences = split_sentences(text)
    suspects = [at for at, one in enumerate(sentences) if _is_suspect(one)]
    return tuple(sentences[at] for at in suspects if _instructs(at, sentences, encoder, about))


def _instructs(at: int, sentences: Sequence[str], encoder: Encoder, about: str) -> bool:
    sentence = sentences[at]
    if _UNMISTAKABLE.search(sentence):
        return True
    instruction = speech.probability("instruction", sentence, encoder)
    # Most are ruled out before anything around them is encoded.
    best = {"instruction": instruction, "addressed": _addressed(sentence), "close": FAR, "near": FAR, "shared": 0.0}
    if _probability(best) < MIN_PROBABILITY:
        return False
    return _probability(features(at, sentences, encoder, about=about, instruction=instruction)) >= MIN_PROBABILITY


def features(
    at: int, sentences: Sequence[str], encoder: Encoder, *, about: str = "", instruction: float | None = None
) -> dict[str, float]:
    """What the model looks at, 0 to 1 each.

    Args:
        at: Which of the sentences.
        sentences: All of the text.
        encoder: Vectors of sentences.
        about: Title and heading: what the rest is about, where there is little of it.
        instruction: The probability by a model other than the shipped one.

    Returns:
        `instruction`, the probability by `retrieval.grounding.speech`; `addressed`, whether it speaks of replies,
        prompts or assistants; `close` and `near`, its cosine to the mean of the other sentences and to the nearest;
        `shared`, the share of its words that the others hold.
    """
    sentence = sentences[at]
    others = [one for number, one in enumerate(sentences) if number != at and one != sentence]
    others += [about] if about else []
    vector = encoder.encode_query(sentence)
    rest = np.stack([encoder.encode_query(one) for one in others]) if others else np.zeros((1, len(vector)), np.float32)
    mean = rest.mean(axis=0)
    own, held = set(stems(sentence)), {word for one in others for word in stems(one)}
    return {
        "instruction": speech.probability("instruction", sentence, encoder) if instruction is None else instruction,
        "addressed": _addressed(sentence),
        "close": float(vector @ mean) / (float(np.linalg.norm(mean)) or 1.0),
        "near": float((rest @ vector).max()),
        "shared": len(own & held) / max(1, len(own)),
    }


def _about(one: Chunk | Passage) -> str:
    return f"{one.title} {one.heading}".strip()


def _addressed(sentence: str) -> float:
    return float(_ADDRESSED.search(sentence) is not None)


def _probability(seen: Mapping[str, float]) -> float:
    logit = INTERCEPT + sum(weight * seen[name] for name, weight in COEFFICIENTS.items())
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


def _is_suspect(sentence: str) -> bool:
    """Whether a sentence can be an instruction at all: a question, an order, or one that speaks of replies."""
    if sentence.startswith("|"):
        return False
    first = next(iter(words(sentence)), "")
    return sentence.rstrip("\"'” ").endswith("?") or first not in STOPWORDS or _ADDRESSED.search(sentence) is not None
