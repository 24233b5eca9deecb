"""The check of each generated sentence: may a customer read it, and which passage says so?

A sentence that states something (a claim) is supported when one passage holds all its facts literally (numbers with
their units, prices, times, dates, links, quotes, names), binds them to the same things, does not say the contrary, and
shares its words or its meaning. Style is shown without a source; a promise is never shown.

What this cannot see: a wrong relation made of words that all stand close together in one sentence of the passage
("the buyer informs the giver" for "the giver informs the buyer"), and a true sentence that is misleading here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.encoder import Encoder
from retrieval.grounding import courtesy, reasons, speech, stating, topics
from retrieval.grounding.statements import Claim, claim_of, held_of
from retrieval.grounding.support import Support, support
from retrieval.language.facts import plain
from retrieval.language.sentences import SentenceStream, split_sentences
from retrieval.language.words import meaning, words
from retrieval.passages import Passage

__all__ = ["SentenceCheck", "SentenceStream", "check_sentence", "split_sentences"]

SentenceKind = Literal["claim", "style", "promise", "question"]

MIN_STYLE = 0.6
"""Probability from which a sentence without facts and names is style, whatever its words: of the sentences of public
help pages 1.5 % are taken for it, of our examples that the model did not see 95 %."""
MIN_PROMISE_SUPPORT = 0.5
"""Score from which a sentence in the form of a promise repeats what a passage says; set on the tuning parts."""
MAX_STYLE_TOPICS = 1
"""Unknown words in a sentence of style that has not the form of a courtesy."""


@dataclass(frozen=True, slots=True)
class SentenceCheck:
    """What the check found."""

    kind: SentenceKind
    supported: bool
    source: int | None
    """1-based number of the passage that supports a claim."""
    score: float
    """Coverage or cosine with the source, 0 to 1, whichever is higher; 1 for style."""
    missing: tuple[str, ...] = ()
    """What the best passage lacks, as written: facts first, then words; empty when supported."""
    reason: str = ""
    """Why it may not be shown, in words for people; empty when it may."""


def check_sentence(
    sentence: str,
    passages: Sequence[Passage],
    *,
    question: str,
    encoder: Encoder,
    allowed_names: Sequence[str] = (),
) -> SentenceCheck:
    """Check one sentence of a reply.

    Args:
        sentence: As generated, without citation marks.
        passages: The passages of the prompt, in the order of their numbers; empty where none were given.
        question: What the visitor asked. A fact that stands only there is not supported by it.
        encoder: Compares meanings where words differ.
        allowed_names: Names that need no passage, such as the brand's own.
    """
    text = plain(re.sub(r"\[\d+(?:\s*,\s*\d+)*\]", " ", sentence)).replace("**", "").strip()
    if not words(text):
        return SentenceCheck("style", True, None, 1.0)
    if stating.is_broken(text, encoder.is_word) and not _begins_as(text, passages, question, allowed_names):
        return SentenceCheck("claim", False, None, 0.0, (text,), reasons.BROKEN)
    if stating.goes_round(text):
        # Its words all stand in a passage, so that nothing else would stop it.
        return SentenceCheck("claim", False, None, 0.0, (text,), reasons.ROUND)
    claim = claim_of(text, allowed_names)
    if _is_promise(text, claim, passages):
        # "We'll post it in five working days" is a promise, unless a passage says so.
        found = None if courtesy.speaks_as_one(text) or not claim.facts else support(claim, passages, question, encoder)
        if found is None or found.source is None or found.score < MIN_PROMISE_SUPPORT:
            return SentenceCheck("promise", False, None, 0.0, (text,), reasons.PROMISE)
        return _as_check(found)
    if passages and courtesy.bare_answer(text):
        # "Yes, you can!" cannot be looked up; the sentence after it can.
        return SentenceCheck("claim", False, None, 0.0, (text,), reasons.BARE_ANSWER)
    if not claim.facts and not claim.names and (kind := _not_a_claim(text, claim, passages, encoder)):
        return SentenceCheck(kind, True, None, 1.0)
    return _as_check(support(claim, passages, question, encoder))


def _not_a_claim(
    text: str, claim: Claim, passages: Sequence[Passage], encoder: Encoder
) -> Literal["style", "question"] | None:
    """What a sentence without facts is, when it states nothing."""
    if courtesy.is_question(text):
        return "question"
    if courtesy.is_courtesy(text):
        return "style"
    states = bool(passages) and stating.says_something(text)
    if not states and courtesy.is_cheer(text):
        return "style"
    if not passages:
        # A refusal, a hand-over or small talk: nothing was looked up, so no rule may be stated.
        free = courtesy.refuses(text) or courtesy.speaks_of_person(text) or not topics.rule_stems(text)
        return "style" if free else None
    if states:
        return None
    known = frozenset().union(*(held_of(passage).stems for passage in passages))
    about = {meaning(one) for one in topics.topic_stems(text)}
    topical = topics.shop_topics(about) | (about & known)
    if not topical and len(about) <= MAX_STYLE_TOPICS and not claim.negative:
        return "style"
    return "style" if speech.probability("style", text, encoder) >= MIN_STYLE else None


def _begins_as(text: str, passages: Sequence[Passage], question: str, allowed_names: Sequence[str]) -> bool:
    """Whether the word that a sentence begins with stands in what was read or asked."""
    first = next(iter(words(text)), "")
    return any(first in words(one) for one in (question, *allowed_names, *(passage.text for passage in passages)))


def _is_promise(text: str, claim: Claim, passages: Sequence[Passage]) -> bool:
    """Whether a sentence promises something; without passages, to bring in a person is no promise but the outcome.

    What "we" always do stands in the passages; what "I" will do for this visitor stands nowhere.
    """
    if courtesy.is_question(text):
        return courtesy.promises(text)
    if courtesy.hands_over(text):
        if passages:
            return not _held_by_any(claim, passages)
        return courtesy.promises_more_than_a_person(text)
    return courtesy.promises(text) and (courtesy.speaks_as_one(text) or not _held_by_any(claim, passages))


def _held_by_any(claim: Claim, passages: Sequence[Passage]) -> bool:
    """Whether the words of a sentence stand together in a passage: then it repeats a rule and promises nothing."""
    topics = claim.topics
    return bool(topics) and any(
        len(topics & unit.stems) >= 0.8 * len(topics) for one in passages for unit in held_of(one).units
    )


def _as_check(found: Support) -> SentenceCheck:
    return SentenceCheck("claim", found.source is not None, found.source, found.score, found.missing, found.reason)
