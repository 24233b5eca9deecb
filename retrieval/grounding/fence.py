"""Instructions inside documents are data: such sentences are found, and left out of what a model reads.

An injected line gives itself away twice: it tells an assistant what to do, and it has nothing to do with the document
around it. A logistic model looks at both; `python -m retrieval.grounding.fence_fit` makes its coefficients and prints
the shares quoted below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrieval.encoder import Encoder
from retrieval.grounding import speech
from retrieval.language.sentences import split_sentences
from retrieval.language.words import STOPWORDS, stems, words
from retrieval.passages import Passage

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


@dataclass(frozen=True, slots=True)
class Fenced:
    """A passage as a model may read it."""

    passage: Passage
    removed: tuple[str, ...]
    """Sentences that were left out, as written."""


def fence(passage: Passage, encoder: Encoder) -> Fenced:
    """Leave the instructions out of a passage (blocking, milliseconds; vectors are kept by the encoder)."""
    found = instructions(passage.text, encoder, about=f"{passage.title} {passage.heading}".strip())
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
    if not suspects:
        return ()
    return tuple(
        sentences[at]
        for at in suspects
        if _UNMISTAKABLE.search(sentences[at])
        or _probability(features(at, sentences, encoder, about=about)) >= MIN_PROBABILITY
    )


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
        "addressed": float(_ADDRESSED.search(sentence) is not None),
        "close": float(vector @ mean) / (float(np.linalg.norm(mean)) or 1.0),
        "near": float((rest @ vector).max()),
        "shared": len(own & held) / max(1, len(own)),
    }


def _probability(seen: Mapping[str, float]) -> float:
    logit = INTERCEPT + sum(weight * seen[name] for name, weight in COEFFICIENTS.items())
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


def _is_suspect(sentence: str) -> bool:
    """Whether a sentence can be an instruction at all: a question, an order, or one that speaks of replies."""
    if sentence.startswith("|"):
        return False
    first = next(iter(words(sentence)), "")
    return sentence.rstrip("\"'” ").endswith("?") or first not in STOPWORDS or _ADDRESSED.search(sentence) is not None
