"""Yes and no: whether a passage says the contrary of a sentence.

Clause by clause, against the clauses that share most with it: "cannot be sent, because it is fragile" holds one of
each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from retrieval.grounding.statements import MIN_CLAUSE_WORDS, Claim, Clause, Held, Unit, clause_of, clause_texts
from retrieval.language.words import fold, stem, words

Overlap = Callable[[Claim, Unit], float]

_SAYS_NO_WITHOUT_NOT = re.compile(
    r"\b(?:without|except|bar|but|off|final|reserved|forbid\w*|prohibit\w*|bann?ed|exclud\w+|reject\w*|refus\w+|"
    r"turned away|turn away|clos\w+|den(?:y|ies|ied)|waived?|lacks?|lacking|stops?|outside|avoid|optional|free|only|"
    r"nowhere|little|hardly|ends?|over|dark|shut|unlocked|miss\w*|fetch|keep|leave|up to you|carry|yourself)\b"
)
"""Words that say no in a clause that has no "not" in it: then yes and no are a matter of wording."""


def contradicted(claim: Claim, helds: Sequence[Held], overlap: Overlap) -> str | None:
    """How the passages contradict a claim: "yes" where only the claim says yes, "no" where only it says no."""
    units = [unit for held in helds for unit in held.units]
    said = {stem(word) for word in words(claim.text)}
    # Among clauses that share as much, the one whose whole sentence is more alike is meant.
    known = [(clause, len(said & unit.stems)) for unit in units for clause in unit.clauses]
    for text in clause_texts(claim.text):
        spoken = clause_of(text)
        shared = [(len(spoken.stems & clause.stems), alike) for clause, alike in known]
        most = max(shared, default=(0, 0))
        if len(spoken.stems) < MIN_CLAUSE_WORDS or most[0] < MIN_CLAUSE_WORDS:
            if spoken.negative and not spoken.hedge and _never_negative(claim, units, overlap):
                return "no"
            continue
        nearest = [clause for (clause, _), number in zip(known, shared, strict=True) if number == most]
        if not any(_agree(spoken, clause) for clause in nearest):
            return "no" if spoken.negative else "yes"
    return None


def opposed(claim: Claim, held: Held, other_kind: Callable[[Claim, Unit], bool], overlap: Overlap) -> bool:
    """Whether the line that is nearest to a claim says the opposite of one of its words: opened, unopened."""
    most = max((overlap(claim, unit) for unit in held.units), default=0.0)
    nearest = [unit for unit in held.units if overlap(claim, unit) >= most]
    return bool(nearest) and all(other_kind(claim, unit) or _negated_word(claim, unit) for unit in nearest)


def _noes(text: str) -> set[str]:
    """The words of a clause that say no, other than "not"."""
    return set(_SAYS_NO_WITHOUT_NOT.findall(text))


def _negated_word(claim: Claim, unit: Unit) -> bool:
    spoken, written = claim.topics - unit.stems, unit.stems
    return any(f"un{word}" in written or (word.startswith("un") and word[2:] in written) for word in spoken)


def _never_negative(claim: Claim, units: Sequence[Unit], overlap: Overlap) -> bool:
    """Whether the line that is nearest to a claim says no to nothing."""
    if not units:
        return False
    nearest = max(units, key=lambda unit: overlap(claim, unit))
    said = _noes(fold(claim.text))
    return not any(clause.negative or _noes(clause.text) - said for clause in nearest.clauses)


def _agree(spoken: Clause, clause: Clause) -> bool:
    if spoken.hedge != clause.hedge:
        # "only if faulty" and "not unless faulty" say the same.
        return True
    if spoken.negative == clause.negative:
        return True
    # "Boats don't qualify" and "boats are excluded" agree; "is not closed" and "is closed" do not.
    positive, negative = (clause, spoken) if spoken.negative else (spoken, clause)
    return bool(_noes(positive.text) - _noes(negative.text))
