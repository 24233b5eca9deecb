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

import numpy as np

from retrieval import courtesy
from retrieval.binding import other_kind, wrongly_bound
from retrieval.encoder import Encoder
from retrieval.facts import Fact, holds_name, matches, plain
from retrieval.passages import Passage
from retrieval.sentences import SentenceStream, split_sentences
from retrieval.statements import (
    GENERIC,
    MIN_CLAUSE_WORDS,
    Claim,
    Clause,
    Held,
    Unit,
    as_written,
    claim_of,
    clause_of,
    clause_texts,
    held_of,
    names_in,
)
from retrieval.words import meaning, stem, words

__all__ = ["SentenceCheck", "SentenceStream", "check_sentence", "split_sentences"]

SentenceKind = Literal["claim", "style", "promise", "question"]

MIN_COVERAGE = 0.5
"""Share of a claim's topic words that one passage must hold."""
MIN_COVERAGE_WORDS_ONLY = 0.6
"""The same for a claim without any hard fact, where nothing else holds it."""
MIN_COVERAGE_NEAR = 0.3
MIN_COSINE = 0.62
"""With this cosine to a sentence of the passage, `MIN_COVERAGE_NEAR` is enough: other words, same meaning."""
MIN_COSINE_WORDS_ONLY = 0.7
MAX_ENCODED = 2
"""Sentences of a passage that are encoded for one check, best by words first: keeps a check below 10 ms."""
MAX_STYLE_TOPICS = 1
"""Unknown words in a sentence of style that has not the form of a courtesy."""
MIN_UNIT_SHARE = 0.5
"""Share of the words shared with a passage that must stand together in one or two neighbouring sentences of it."""


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
    if _is_promise(text, passages):
        return SentenceCheck("promise", False, None, 0.0, (text,))
    claim = claim_of(text, allowed_names)
    if passages and courtesy.bare_answer(text):
        # "Yes, you can!" cannot be looked up; the sentence after it can.
        return SentenceCheck("claim", False, None, 0.0, (text,))
    if not claim.facts and not claim.names and (kind := _not_a_claim(text, claim, passages)):
        return SentenceCheck(kind, True, None, 1.0)
    return _check_claim(claim, passages, question, encoder)


def _not_a_claim(text: str, claim: Claim, passages: Sequence[Passage]) -> Literal["style", "question"] | None:
    """What a sentence without facts is, when it states nothing."""
    if courtesy.is_question(text):
        return "question"
    if courtesy.is_courtesy(text):
        return "style"
    if courtesy.is_cheer(text):
        return "style"
    if not passages:
        # A refusal, a hand-over or small talk: nothing was looked up, so no rule may be stated.
        free = courtesy.refuses(text) or courtesy.speaks_of_person(text) or not courtesy.rule_stems(text)
        return "style" if free else None
    known = frozenset().union(*(held_of(passage).stems for passage in passages))
    topics = {meaning(one) for one in courtesy.topic_stems(text)}
    topical = courtesy.shop_topics(topics) | (topics & known)
    return "style" if not topical and len(topics) <= MAX_STYLE_TOPICS and not claim.negative else None


def _is_promise(text: str, passages: Sequence[Passage]) -> bool:
    """Whether a sentence promises something; without passages, to bring in a person is no promise but the outcome."""
    if courtesy.is_question(text):
        return courtesy.promises(text)
    if courtesy.hands_over(text):
        if passages:
            return not _held_by_any(text, passages)
        return courtesy.promises_more_than_a_person(text)
    return courtesy.promises(text)


def _held_by_any(text: str, passages: Sequence[Passage]) -> bool:
    """Whether the words of a sentence stand together in a passage: then it repeats a rule and promises nothing."""
    topics = claim_of(text, ()).topics
    return bool(topics) and any(
        len(topics & unit.stems) >= 0.8 * len(topics) for one in passages for unit in held_of(one).units
    )


def _check_claim(claim: Claim, passages: Sequence[Passage], question: str, encoder: Encoder) -> SentenceCheck:
    helds = [held_of(passage) for passage in passages]
    if not claim.topics and not claim.facts and not claim.names:
        return SentenceCheck("claim", False, None, 0.0, (claim.text,))
    asked = claim_of(question, ())
    lacking = [_lacking(claim, held, helds, asked) for held in helds]
    fit = [number for number, missing in enumerate(lacking) if not missing]
    if not fit:
        best = min(range(len(helds)), key=lambda at: (len(lacking[at]), -_coverage(claim, helds[at])), default=None)
        missing = (claim.text,) if best is None else lacking[best]
        score = 0.0 if best is None else _coverage(claim, helds[best])
        return SentenceCheck("claim", False, None, round(score, 4), missing)
    fit.sort(key=lambda at: (-_coverage(claim, helds[at]), -_nearest(claim, helds[at])))
    refused = SentenceCheck(
        "claim",
        False,
        None,
        round(_coverage(claim, helds[fit[0]]), 4),
        as_written(claim.text, claim.topics - helds[fit[0]].stems) or (claim.text,),
    )
    if _contradicted(claim, helds):
        return refused
    fit = [at for at in fit if not _opposed(claim, helds[at])]
    for at in fit:
        if _is_worded(claim, helds[at]):
            return SentenceCheck("claim", True, at + 1, round(_coverage(claim, helds[at]), 4))
    return (_check_meaning(claim, helds[fit[0]], fit[0] + 1, encoder) if fit else None) or refused


def _opposed(claim: Claim, held: Held) -> bool:
    """Whether the line that is nearest to a claim says the opposite of one of its words: opened, unopened."""
    most = _nearest(claim, held)
    nearest = [unit for unit in held.units if _overlap(claim, unit) >= most]
    return bool(nearest) and all(other_kind(claim, unit) or _negated_word(claim, unit) for unit in nearest)


def _negated_word(claim: Claim, unit: Unit) -> bool:
    spoken, written = claim.topics - unit.stems, unit.stems
    return any(f"un{word}" in written or (word.startswith("un") and word[2:] in written) for word in spoken)


def _lacking(claim: Claim, held: Held, helds: Sequence[Held], asked: Claim) -> tuple[str, ...]:
    """Facts of a claim that a passage does not hold, or holds for something else."""
    missing = [fact.text for fact in claim.facts if not _holds(held, fact)]
    missing += [name.text for name in names_in(claim, held) if not holds_name(held.names, name)]
    return tuple(missing) or tuple(wrongly_bound(claim, held, helds, asked))


def _holds(held: Held, fact: Fact) -> bool:
    if fact.kind == "quote":
        return fact.value in held.folded
    return any(matches(fact, other, held.folded) for other in held.facts)


def _is_worded(claim: Claim, held: Held) -> bool:
    """Whether a passage holds the words of a claim, most of them side by side."""
    enough = MIN_COVERAGE if claim.facts or claim.names else MIN_COVERAGE_WORDS_ONLY
    return _coverage(claim, held) >= enough and _together(claim, held) >= MIN_UNIT_SHARE


def _check_meaning(claim: Claim, held: Held, number: int, encoder: Encoder) -> SentenceCheck | None:
    """Compare a claim with the nearest sentences of a passage by meaning."""
    coverage = _coverage(claim, held)
    if coverage < MIN_COVERAGE_NEAR or not held.units:
        return None
    units = sorted(held.units, key=lambda unit: -_overlap(claim, unit))[:MAX_ENCODED]
    spoken = encoder.encode_query(claim.text)
    cosine = max(float(np.dot(spoken, encoder.encode_query(unit.text))) for unit in units)
    if cosine < (MIN_COSINE if claim.facts or claim.names else MIN_COSINE_WORDS_ONLY):
        return None
    return SentenceCheck("claim", True, number, round(max(coverage, cosine), 4))


def _coverage(claim: Claim, held: Held) -> float:
    """Share of the topic words that a passage holds; words that fit any topic count only where there are no others."""
    topics = claim.topics - GENERIC or claim.topics
    return len(topics & held.stems) / len(topics) if topics else 1.0


def _overlap(claim: Claim, unit: Unit) -> float:
    facts_held = sum(any(matches(fact, other, unit.text) for other in unit.facts) for fact in claim.facts)
    return len(claim.topics & unit.stems) + 2.0 * facts_held


def _nearest(claim: Claim, held: Held) -> float:
    return max((_overlap(claim, unit) for unit in held.units), default=0.0)


def _together(claim: Claim, held: Held) -> float:
    """Largest share of the shared words that one unit, or two neighbours, hold."""
    shared = claim.topics & held.stems
    if not shared:
        return 1.0
    pairs = [unit.stems | after.stems for unit, after in zip(held.units, held.units[1:], strict=False)]
    return max((len(shared & one) / len(shared) for one in [*(unit.stems for unit in held.units), *pairs]), default=0.0)


def _contradicted(claim: Claim, helds: Sequence[Held]) -> bool:
    """Whether the passages say no where the claim says yes, or the other way round.

    Clause by clause, against the clauses that share most with it: "cannot be sent, because it is fragile" holds one of
    each.
    """
    units = [unit for held in helds for unit in held.units]
    said = {stem(word) for word in words(claim.text)}
    # Among clauses that share as much, the one whose whole sentence is more alike is meant.
    known = [(clause, len(said & unit.stems)) for unit in units for clause in unit.clauses]
    for text in clause_texts(claim.text):
        spoken = clause_of(text)
        shared = [(len(spoken.stems & clause.stems), alike) for clause, alike in known]
        most = max(shared, default=(0, 0))
        if len(spoken.stems) < MIN_CLAUSE_WORDS or most[0] < MIN_CLAUSE_WORDS:
            if spoken.negative and not spoken.hedge and _never_negative(claim, units):
                return True
            continue
        nearest = [clause for (clause, _), number in zip(known, shared, strict=True) if number == most]
        if not any(_agree(spoken, clause) for clause in nearest):
            return True
    return False


def _never_negative(claim: Claim, units: Sequence[Unit]) -> bool:
    """Whether the line that is nearest to a claim says no to nothing."""
    nearest = max(units, key=lambda unit: _overlap(claim, unit))
    return not any(clause.negative for clause in nearest.clauses)


def _agree(spoken: Clause, clause: Clause) -> bool:
    if spoken.hedge != clause.hedge:
        # "only if faulty" and "not unless faulty" say the same.
        return True
    return spoken.negative == clause.negative
