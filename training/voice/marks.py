"""What a text does, counted: length, sentences, contractions, person, marks of tone, how it opens and closes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.language.sentences import split_sentences
from training.voice.masking import EMOJI, words

OPENING = 3
"""Words by which an opener or a closer is known."""
_CONTRACTION = re.compile(
    r"\b(?:[a-z]+n['\u2019]t|[a-z]+['\u2019](?:re|ve|ll|d|m)|"
    r"(?:it|that|there|here|what|who|where|how|when|he|she|let|one|everything|everybody|somebody)['\u2019]s)\b",
    re.IGNORECASE,
)
"""Without the possessive ("the house's"), which every register has."""
_EMOJI = re.compile(EMOJI)
_LIST = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+\S", re.MULTILINE)
_GREETING = re.compile(
    r"\s*(?:hello|hi|hey|hiya|howdy|dear|greetings|good (?:morning|afternoon|evening|day)|welcome)\b", re.IGNORECASE
)
_PERSONS = {
    "i": frozenset(["i", "me", "my", "mine", "myself", "i'm", "i've", "i'll", "i'd"]),
    "we": frozenset(["we", "us", "our", "ours", "ourselves", "we're", "we've", "we'll", "we'd"]),
    "you": frozenset(["you", "your", "yours", "yourself", "yourselves", "you're", "you've", "you'll", "you'd"]),
}


@dataclass(frozen=True, slots=True)
class Marks:
    """Counts of one text."""

    words: int
    sentences: int
    contractions: int
    exclamations: int
    questions: int
    emoji: int
    list_items: int
    i: int
    """Words that speak of the writer alone: I, me, my, ..."""
    we: int
    you: int
    greets: int
    """1 where it begins with a greeting, else 0."""
    opener: str
    """The first words, in lower case."""
    closer: str
    """The first words of the last sentence; empty where there is one sentence only."""

    @property
    def words_per_sentence(self) -> float:
        """Mean length of a sentence; 0 for a text without words."""
        return self.words / self.sentences if self.sentences else 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, read once."""

    text: str
    tokens: tuple[str, ...]
    """Words, numbers and marks of tone, in lower case."""
    line: str
    """The tokens with blanks between and around them, in which a phrase is looked for."""
    marks: Marks

    def holds(self, phrase: str) -> bool:
        """Whether a phrase in lower case stands in the text, word for word."""
        return f" {phrase} " in self.line


def read(text: str) -> Reading:
    """Read a text; any text will do."""
    tokens = tuple(words(text))
    return Reading(text, tokens, f" {' '.join(tokens)} ", _count(text, tokens))


def marks_of(text: str) -> Marks:
    """Count a text; any text will do, an empty one gives zeros."""
    return read(text).marks


def _count(text: str, tokens: Sequence[str]) -> Marks:
    told = [word for word in tokens if word[0].isalnum()]
    sentences = [opening for one in split_sentences(text) if (opening := _opening(one))]
    return Marks(
        words=len(told),
        sentences=len(sentences),
        contractions=len(_CONTRACTION.findall(text)),
        exclamations=text.count("!"),
        questions=text.count("?"),
        emoji=len(_EMOJI.findall(text)),
        list_items=len(_LIST.findall(text)),
        **{person: sum(word in forms for word in told) for person, forms in _PERSONS.items()},
        greets=int(_GREETING.match(text) is not None),
        opener=sentences[0] if sentences else "",
        closer=sentences[-1] if len(sentences) > 1 else "",
    )


def first_contraction(text: str) -> str:
    """The first contraction as written; empty where there is none."""
    found = _CONTRACTION.search(text)
    return found[0] if found else ""


def _opening(sentence: str) -> str:
    return " ".join([word for word in words(sentence) if word[0].isalpha()][:OPENING])
