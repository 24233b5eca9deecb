"""Yes and no: whether a passage says the contrary of a sentence.

Clause by clause, against the clauses that share most with it: "cannot be sent, because it is fragile" holds one of
each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from retrieval.grounding.statements import MIN_CLAUSE_WORDS, Claim, Clause, Held, Unit, clauses_of, denied
from retrieval.language.words import STOPWORDS, fold, stem, words

Overlap = Callable[[Claim, Unit], float]

_SAYS_NO_WITHOUT_NOT = re.compile(
    r"\b(?:without|except|bar|but|off|final|reserved|forbid\w*|prohibit\w*|bann?ed|exclud\w+|reject\w*|refus\w+|"
    r"turned away|turn away|clos\w+|den(?:y|ies|ied)|waived?|lacks?|lacking|stops?|outside|avoid|optional|free|only|"
    r"nowhere|little|hardly|ends?|over(?! the)|stays?|remains?|unchanged|dark|shut|unlocked|miss\w*|fetch|keep|leave|"
    r"up to you|carry|yourself|block\w*|fail\w*|declin\w*|void|invalid|disabl\w*|suspend\w*|barred|exempt\w*)\b"
)
_FORBIDS = re.compile(
    r"\b(?:forbid\w*|prohibit\w*|bann?ed|exclud\w+|reject\w*|refus\w+|block\w*|barred|den(?:y|ies|ied))\b"
)
_ALLOWS = re.compile(r"\b(?:can|may|could|allowed|welcome|able|free to|permitted|accept\w*)\b")
_WITHOUT = re.compile(r"\b(?:without|no)((?: [a-z]+){1,3})")
_WITH = re.compile(r"\b(?:with|some)((?: [a-z]+){1,3})")
_SUMS = frozenset(stem(word) for word in ("charge", "fee", "cost"))
"""Words that say no in a clause that has no "not" in it: then yes and no are a matter of wording."""


def contradicted(claim: Claim, helds: Sequence[Held], overlap: Overlap) -> str | None:
    """How the passages contradict a claim: "yes" where only the claim says yes, "no" where only it says no."""
    units = [unit for held in helds for unit in held.units]
    said = {stem(word) for word in words(claim.text)}
    # Among clauses that share as much, the one whose whole sentence is more alike is meant.
    known = [(clause, len(said & unit.stems)) for unit in units for clause in unit.clauses]
    for spoken in clauses_of(claim.text):
        shared = [(len(spoken.stems & clause.stems), alike) for clause, alike in known]
        most = max(shared, default=(0, 0))
        if len(spoken.stems) < MIN_CLAUSE_WORDS or most[0] < MIN_CLAUSE_WORDS:
            if (
                spoken.negative
                and not spoken.hedge
                and not spoken.conditional
                and _never_negative(claim, units, overlap)
            ):
                return "no"
            continue
        nearest = [clause for (clause, _), number in zip(known, shared, strict=True) if number == most]
        if not any(_agree(spoken, clause) for clause in nearest):
            return "no" if spoken.negative else "yes"
    return _with_or_without(claim, units, overlap)


def _with_or_without(claim: Claim, units: Sequence[Unit], overlap: Overlap) -> str | None:
    """Whether the nearest line says "without a PIN" where a claim says "with a PIN", or the other way round."""
    if not units:
        return None
    nearest = max(units, key=lambda unit: overlap(claim, unit))
    low = fold(claim.text)
    without, with_ = _things(_WITHOUT, low), _things(_WITH, low)
    lacked, had = _things(_WITHOUT, nearest.text), _things(_WITH, nearest.text)
    if any(fact.kind == "free" for fact in nearest.facts) and not any(fact.kind == "money" for fact in nearest.facts):
        lacked |= _SUMS
    if with_ & lacked - without - had:
        return "yes"
    return "no" if without & had - lacked - with_ else None


def _things(pattern: re.Pattern[str], text: str) -> set[str]:
    """What stands behind "with" or "without", as stems."""
    return {stem(word) for run in pattern.findall(text) for word in run.split() if word not in STOPWORDS}


def opposed(claim: Claim, held: Held, other_kind: Callable[[Claim, Unit], bool], overlap: Overlap) -> bool:
    """Whether the line that is nearest to a claim says the opposite of one of its words: opened, unopened."""
    most = max((overlap(claim, unit) for unit in held.units), default=0.0)
    nearest = [unit for unit in held.units if overlap(claim, unit) >= most]
    return bool(nearest) and all(other_kind(claim, unit) or _negated_word(claim, unit) for unit in nearest)


def _noes(text: str) -> set[str]:
    """The words of a clause that say no, other than "not"."""
    return set(_SAYS_NO_WITHOUT_NOT.findall(text))


def _negated_word(claim: Claim, unit: Unit) -> bool:
    spoken, written = claim.topics - unit.stems - denied(claim.text), unit.stems
    return any(f"un{word}" in written or (word.startswith("un") and word[2:] in written) for word in spoken)


def _never_negative(claim: Claim, units: Sequence[Unit], overlap: Overlap) -> bool:
    """Whether the line that is nearest to a claim says no to nothing."""
    if not units:
        return False
    nearest = max(units, key=lambda unit: overlap(claim, unit))
    most = overlap(claim, nearest)
    if not most:
        return False
    said = _noes(fold(claim.text))
    return not any(
        clause.negative or clause.hedge or _noes(clause.text) - said
        for unit in units
        if overlap(claim, unit) == most
        for clause in unit.clauses
    )


def _agree(spoken: Clause, clause: Clause) -> bool:
    if spoken.hedge != clause.hedge:
        # "only if faulty" and "not unless faulty" say the same.
        return True
    if spoken.conditional and spoken.negative:
        return True
    if spoken.negative == clause.negative:
        # "You can book" and "booking is blocked" do not agree, though neither says "not".
        forbidden = _FORBIDS.search(clause.text) and not _noes(spoken.text)
        return spoken.negative or not (forbidden and _ALLOWS.search(spoken.text))
    # "Boats don't qualify" and "boats are excluded" agree; "is not closed" and "is closed" do not.
    positive, negative = (clause, spoken) if spoken.negative else (spoken, clause)
    if any(word.startswith("un") and stem(word[2:]) in negative.stems for word in words(positive.text)):
        # "Unused data" and "data that you don't use".
        return True
    return bool(_noes(positive.text) - _noes(negative.text))
