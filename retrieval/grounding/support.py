"""Which passage says what a sentence claims, and where none does, why not.

A passage supports a claim when it holds all its facts, bound to the same things, says nothing to the contrary, and
shares its words or its meaning. The steps stand in this order because each is cheaper than the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.encoder import Encoder
from retrieval.grounding import reasons
from retrieval.grounding.binding import other_kind, wrongly_bound
from retrieval.grounding.entailment import coverage, entailment, features
from retrieval.grounding.polarity import contradicted, opposed
from retrieval.grounding.statements import Claim, Held, Unit, as_written, claim_of, held_of, names_in
from retrieval.language.facts import Fact
from retrieval.language.matching import holds_name, matches, written_elsewhere
from retrieval.language.names import unknown_opening
from retrieval.passages import Passage

MIN_COVERAGE = 0.5
"""Share of a claim's topic words that one passage must hold to count as said without a look at the meaning."""
MIN_COVERAGE_WORDS_ONLY = 0.6
"""The same for a claim without any hard fact, where nothing else holds it."""
MIN_SHARED_WORDS = 2
"""Topic words that a claim without any hard fact must share with a passage to count as said without such a look."""
MIN_UNIT_SHARE = 0.5
"""Share of the words shared with a passage that must stand together in one or two neighbouring sentences of it."""
MIN_ENTAILMENT = 0.1
"""Probability for a claim whose facts all stand in the passage."""
MIN_ENTAILMENT_WORDS_ONLY = 0.25
"""The same for a claim without any hard fact. Both set on the parts of the seeded sets that are for tuning: of their
wrong sentences none without a fact reaches 0.21, where the right passage is taken away none reaches 0.17."""
MIN_ENTAILMENT_ADDRESS = 0.03
"""The same for a claim that holds an address of a passage: "give 555-0142 a ring" can be about nothing else."""
ADDRESSES = frozenset({"phone", "email", "link"})
MAX_PASSAGES = 2
"""Passages whose meaning is compared, best by words first."""


@dataclass(frozen=True, slots=True)
class Support:
    """The passage that supports a claim, or what is missing."""

    source: int | None
    """1-based number of the passage."""
    score: float
    """Coverage or probability, 0 to 1."""
    missing: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Lack:
    """A fact that a passage does not hold, or holds for something else."""

    fact: Fact
    elsewhere: bool


def support(claim: Claim, passages: Sequence[Passage], question: str, encoder: Encoder) -> Support:
    """Find the passage that supports a claim.

    Args:
        claim: The sentence, taken apart.
        passages: In the order of their numbers.
        question: What the visitor asked: "it costs $6" is about that.
        encoder: Compares meanings where words differ.
    """
    helds = [held_of(passage) for passage in passages]
    if not helds:
        return Support(None, 0.0, (claim.text,), reasons.NOTHING_LOOKED_UP)
    if not claim.topics and not claim.facts and not claim.names:
        return Support(None, 0.0, (claim.text,), reasons.NOTHING_TO_CHECK)
    asked = claim_of(question, ())
    lacking = [_lacking(claim, held, helds, asked, encoder) for held in helds]
    fit = [at for at, missing in enumerate(lacking) if not missing]
    if not fit:
        return _without(claim, helds, lacking)
    fit.sort(key=lambda at: (-coverage(claim, helds[at]), -_nearest(claim, helds[at])))
    best = helds[fit[0]]
    score = round(coverage(claim, best), 4)
    missing = as_written(claim.text, claim.topics - best.stems) or (claim.text,)
    if turned := contradicted(claim, helds, _overlap):
        return Support(None, score, missing, reasons.YES_FOR_NO if turned == "yes" else reasons.NO_FOR_YES)
    fit = [at for at in fit if not opposed(claim, helds[at], other_kind, _overlap)]
    if not fit:
        return Support(None, score, missing, reasons.OTHER_KIND)
    for at in fit:
        if _is_worded(claim, helds[at]):
            return Support(at + 1, round(coverage(claim, helds[at]), 4))
    found = [(_meant(claim, helds[at], encoder), at) for at in fit[:MAX_PASSAGES]]
    probability, at = max(found, key=lambda one: one[0])
    # A name or "free" is too common to vouch for the rest.
    hard = any(fact.kind != "free" for fact in claim.facts)
    enough = MIN_ENTAILMENT if hard else MIN_ENTAILMENT_WORDS_ONLY
    if any(fact.kind in ADDRESSES for fact in claim.facts):
        enough = MIN_ENTAILMENT_ADDRESS
    if probability >= enough:
        return Support(at + 1, round(max(probability, coverage(claim, helds[at])), 4))
    return Support(None, score, missing, reasons.not_said(as_written(claim.text, claim.topics - best.stems)))


def _lacking(claim: Claim, held: Held, helds: Sequence[Held], asked: Claim, encoder: Encoder) -> tuple[_Lack, ...]:
    """Facts of a claim that a passage does not hold, or holds for something else."""
    missing = [_Lack(fact, False) for fact in claim.facts if not _holds(held, fact)]
    spans = [(fact.start, fact.start + len(fact.text)) for fact in claim.facts if fact.kind == "days"]
    missing += [
        _Lack(name, False)
        for name in names_in(claim, held, helds)
        # "Monday to Friday" was looked up as a whole: it may stand there as "weekdays".
        if not holds_name(held.names, name) and not any(start <= name.start < end for start, end in spans)
    ]
    opening = unknown_opening(claim.text, encoder.is_word)
    if opening and held.names.find(f" {opening.value.removesuffix('s')}") >= 0:
        # "Admins" where the passage speaks of administrators.
        opening = None
    if opening and opening.value not in claim.allowed and not holds_name(held.names, opening):
        missing.append(_Lack(opening, False))
    return tuple(missing) or tuple(_Lack(fact, True) for fact in wrongly_bound(claim, held, helds, asked, encoder))


def _holds(held: Held, fact: Fact) -> bool:
    if fact.kind == "quote":
        return fact.value in held.folded
    currencies = {one.unit for one in held.facts if one.kind == "money"}
    if fact.kind == "money" and currencies and fact.unit not in currencies:
        # "35 cents" is no €0.35 where the other prices are in dollars.
        return fact.unit == "gbp" and _is_weight_or_pounds(fact, held)
    return written_elsewhere(fact, held.folded) or any(matches(fact, other, held.folded) for other in held.facts)


def _is_weight_or_pounds(fact: Fact, held: Held) -> bool:
    return any(one.unit == "lb" and one.value == fact.value for one in held.facts)


def _without(claim: Claim, helds: Sequence[Held], lacking: Sequence[tuple[_Lack, ...]]) -> Support:
    """What the passage that lacks least lacks, and why."""
    at = min(range(len(helds)), key=lambda one: (len(lacking[one]), -coverage(claim, helds[one])))
    first = lacking[at][0]
    prices = [fact for unit in helds[at].units for fact in unit.facts if fact.kind == "money"]
    if first.elsewhere:
        reason = reasons.of_something_else(first.fact)
    elif first.fact.kind == "free" and prices:
        reason = reasons.free_for_price(_price_near(claim, helds[at], prices))
    elif any(first not in missing for missing in lacking):
        reason = reasons.in_another_passage(first.fact)
    else:
        reason = reasons.in_no_passage(first.fact)
    return Support(None, round(coverage(claim, helds[at]), 4), tuple(one.fact.text for one in lacking[at]), reason)


def _price_near(claim: Claim, held: Held, prices: Sequence[Fact]) -> Fact:
    """The price in the line that is nearest to a claim."""
    priced = [unit for unit in held.units if any(fact.kind == "money" for fact in unit.facts)]
    nearest = max(priced, key=lambda unit: _overlap(claim, unit))
    return next((fact for fact in nearest.facts if fact.kind == "money"), prices[0])


def _is_worded(claim: Claim, held: Held) -> bool:
    """Whether a passage holds the words of a claim, most of them side by side."""
    if not claim.facts and not claim.names and len(claim.topics & held.stems) < MIN_SHARED_WORDS:
        return False
    enough = MIN_COVERAGE if claim.facts or claim.names else MIN_COVERAGE_WORDS_ONLY
    return coverage(claim, held) >= enough and _side_by_side(claim, held) >= MIN_UNIT_SHARE


def _meant(claim: Claim, held: Held, encoder: Encoder) -> float:
    """Probability that a passage means what a claim says."""
    if not held.units:
        return 0.0
    return entailment(features(claim, held, nearest_first(claim, held), facts_held(claim, held), encoder))


def nearest_first(claim: Claim, held: Held) -> list[Unit]:
    """The sentences of a passage, those that share most with a claim first."""
    return sorted(held.units, key=lambda unit: -_overlap(claim, unit))


def facts_held(claim: Claim, held: Held) -> int:
    """Facts and names of a claim that one sentence of a passage holds together."""
    return max((_facts_held(claim, unit) for unit in held.units), default=0) + len(claim.names)


def lacks_facts(claim: Claim, held: Held) -> bool:
    """Whether a passage lacks a fact or a name of a claim, whatever the words around it."""
    return not all(_holds(held, fact) for fact in claim.facts) or not all(
        holds_name(held.names, name) for name in names_in(claim, held)
    )


def _facts_held(claim: Claim, unit: Unit) -> int:
    return sum(any(matches(fact, other, unit.text) for other in unit.facts) for fact in claim.facts)


def _overlap(claim: Claim, unit: Unit) -> float:
    return len(claim.topics & unit.stems) + 2.0 * _facts_held(claim, unit)


def _nearest(claim: Claim, held: Held) -> float:
    return max((_overlap(claim, unit) for unit in held.units), default=0.0)


def _side_by_side(claim: Claim, held: Held) -> float:
    """Largest share of the shared words that one unit, or two neighbours, hold."""
    shared = claim.topics & held.stems
    if not shared:
        return 1.0
    pairs = [unit.stems | after.stems for unit, after in zip(held.units, held.units[1:], strict=False)]
    return max((len(shared & one) / len(shared) for one in [*(unit.stems for unit in held.units), *pairs]), default=0.0)
