"""From a stream of tokens to sentences that may be shown: split, check, cite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from retrieval.encoder import Encoder
from retrieval.grounding.check import SentenceCheck, check_sentence
from retrieval.passages import Passage
from service.conversation.events import Citation, Sentence

_MARK = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")
_END = re.compile(r"([.!?…]+[\"'”’)]*|[^\w\s]*)\s*$")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check said of one sentence; kept as evidence."""

    text: str
    check: SentenceCheck
    shown: bool


@dataclass(slots=True)
class GroundedText:
    """Collects the sentences of one generation and decides which of them are shown.

    Sentences of style are held back until a first claim has passed: an answer without a supported claim is no
    answer, and its pleasantries must not be on the screen before the refusal. With a focus, claims too are held back
    until one says what it says.
    """

    passages: Sequence[Passage]
    question: str
    encoder: Encoder
    brand_name: str
    """May be said without standing in a passage."""
    focus: Passage | None = None
    """Holds the one sentence that an answer must hold; None where any supported claim will do."""
    checked: list[Checked] = field(default_factory=list)
    shown: list[Sentence] = field(default_factory=list)
    has_claim: bool = False
    """Whether it is an answer: a supported claim was made, to the point where there is a focus."""
    _held: list[tuple[str, SentenceCheck]] = field(default_factory=list)

    def add(self, text: str) -> list[Sentence]:
        """Check one sentence (blocking, milliseconds) and return what may be shown now."""
        text = strip_marks(text)
        if not text:
            return []
        check = self._check(text, self.passages)
        passed = check.supported and check.kind != "promise"
        self.checked.append(Checked(text, check, passed))
        if not passed:
            return []
        self._held.append((text, check))
        self.has_claim = self.has_claim or (check.kind == "claim" and self._to_the_point(text))
        if not self.has_claim:
            return []
        released = [self._show(*held) for held in self._held]
        self._held.clear()
        return released

    def opening(self) -> str:
        """The sentence of style that it began with; empty where it began with anything else.

        A question is none: "Shall a colleague help you?" must not stand before the answer.
        """
        return self._held[0][0] if self._held and self._held[0][1].kind == "style" else ""

    def _to_the_point(self, text: str) -> bool:
        return self.focus is None or self._check(text, (self.focus,)).supported

    def _check(self, text: str, passages: Sequence[Passage]) -> SentenceCheck:
        return check_sentence(
            text,
            passages,
            question=self.question,
            encoder=self.encoder,
            allowed_names=(self.brand_name,),
        )

    def citations(self) -> tuple[Citation, ...]:
        """The citations of all shown sentences, each once, by number."""
        return merged(self.shown)

    def _show(self, text: str, check: SentenceCheck) -> Sentence:
        citations: tuple[Citation, ...] = ()
        if check.kind == "claim" and check.source is not None:
            citations = (cite(check, self.passages),)
            text = with_mark(text, check.source)
        sentence = Sentence(len(self.shown), text, citations)
        self.shown.append(sentence)
        return sentence


def cite(claim: SentenceCheck, passages: Sequence[Passage]) -> Citation:
    """The passage that supports a claim; its score is how well, 0 to 1, not how it ranked in the search."""
    if claim.source is None:
        raise ValueError("only a supported claim has a source")
    passage = passages[claim.source - 1]
    return Citation(claim.source, passage.document, passage.title, passage.text, round(claim.score, 4))


def merged(sentences: Iterable[Sentence]) -> tuple[Citation, ...]:
    """The citations of sentences, each passage once, by number, with its best score."""
    found: dict[int, Citation] = {}
    for citation in (citation for sentence in sentences for citation in sentence.citations):
        known = found.get(citation.number)
        if known is None or citation.score > known.score:
            found[citation.number] = citation
    return tuple(found[number] for number in sorted(found))


def strip_marks(text: str) -> str:
    """Remove citation marks that a model wrote: the check places its own, from the evidence."""
    return _MARK.sub("", text).strip()


def with_mark(text: str, number: int) -> str:
    """Put ` [n]` before the closing punctuation, as in `... within 30 days [1]`, full stop."""
    match = _END.search(text)
    at = match.start() if match else len(text)
    return f"{text[:at].rstrip()} [{number}]{text[at:].strip()}"
