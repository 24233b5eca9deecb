"""Which fact belongs to which thing: "$6" stands in the passage, but for standard delivery."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from retrieval.encoder import Encoder
from retrieval.grounding.statements import GENERIC, Claim, Held, Unit, claim_of, denied, names_in, stems_of
from retrieval.language.facts import Fact, facts
from retrieval.language.matching import matches, opposite, written_elsewhere
from retrieval.language.words import meaning, stem, word_list, words

_PRONOUN = re.compile(
    r"\W*(?:it|its|it's|that|that's|they|they're|this|these|those|you|you've|you'll|you're|just|only)\b", re.IGNORECASE
)
_FIGURES = re.compile(r"[$€£¥₹]?\d+(?:[.,:]\d+)*%?")
MIN_FACTS_TOGETHER = 2
_CONTRASTS = tuple(
    frozenset(meaning(stem(word)) for word in word_list(group))
    for group in (
        "standard express",
        "opened unopened",
        "used unused",
        "online offline",
        "digital paper physical",
        "wired wireless",
        "domestic international",
        "first last",
        "minimum maximum",
        "buyer recipient",
        "required optional",
        "included excluded",
        "allowed forbidden prohibited",
        "accepted rejected",
        "upload download",
        "increase decrease",
        "incoming outgoing",
        "arrival departure",
        "deposit withdrawal",
    )
)
"""Words of which one excludes the others; a claim about one is not supported by a line about another."""


def wrongly_bound(claim: Claim, held: Held, helds: Sequence[Held], asked: Claim, encoder: Encoder) -> Iterator[Fact]:
    """Facts that the passages hold for something else than what the claim speaks of.

    For each fact, the lines of this passage that hold it compete with the lines of any passage that hold another fact
    of its kind; when the words around the fact fit one of the others better, and its meaning does too, the fact was
    swapped.
    """
    lines = [(unit, unit.stems | one.head, one is held) for one in helds for unit in one.units]
    rarity = _rarity([stems_ for _, stems_, _ in lines])
    for segment in _segments(claim):
        if not segment.topics - GENERIC - held.head or _PRONOUN.match(claim.text):
            # "It costs $6" is about what was asked.
            segment = replace(segment, topics=segment.topics | asked.topics)
        for fact in segment.facts:
            if written_elsewhere(fact, held.folded):
                continue
            if _only_for_others(segment, fact, lines):
                yield fact
                continue
            if _all_in_one_line(segment, held):
                continue
            mine, theirs = _rivals(segment, fact, lines, rarity)
            if (
                theirs
                and theirs[0] > (mine[0] if mine else 0.0)
                and (not mine or _means_rather(segment, theirs[1], mine[1], encoder))
            ):
                yield fact
    yield from _facts_of_another_name(claim, held)
    yield from _names_elsewhere(claim, held, _rarity([unit.stems for unit in held.units]), encoder)
    yield from _of_another_row(claim, held)


def _all_in_one_line(segment: Claim, held: Held) -> bool:
    """Whether one line holds all facts of a claim, two at least: a swapped one would stand in another."""
    if len({fact.value for fact in segment.facts}) < MIN_FACTS_TOGETHER:
        return False
    return any(
        all(any(matches(fact, other, unit.text) for other in unit.facts) for fact in segment.facts)
        for unit in held.units
    )


_Rival = tuple[float, Unit]


def _rivals(
    segment: Claim, fact: Fact, lines: Sequence[tuple[Unit, frozenset[str], bool]], rarity: dict[str, float]
) -> tuple[_Rival | None, _Rival | None]:
    """The best line of this passage that holds a fact, and the best of any that holds another of its kind."""
    mine: _Rival | None = None
    theirs: _Rival | None = None
    for unit, stems_, own in lines:
        fit = _fit(segment, unit, stems_, rarity)
        if any(matches(fact, other, unit.text) for other in unit.facts):
            if own and (mine is None or fit > mine[0]):
                mine = fit, unit
        elif any(_same_kind(fact, other) for other in unit.facts) and (theirs is None or fit > theirs[0]):
            theirs = fit, unit
    return mine, theirs


def _means_rather(segment: Claim, theirs: Unit, mine: Unit, encoder: Encoder) -> bool:
    """Whether a sentence without its figures is nearer to one line than to another, without theirs."""
    spoken, one, other = (
        encoder.encode_query(_without_figures(text)) for text in (segment.text, theirs.text, mine.text)
    )
    return float(spoken @ one) > float(spoken @ other)


def _without_figures(text: str) -> str:
    return _FIGURES.sub("some", text)


def _only_for_others(segment: Claim, fact: Fact, lines: Sequence[tuple[Unit, frozenset[str], bool]]) -> bool:
    """Whether every line of the passage that holds a fact limits it in a way that the claim does not.

    The line speaks of "standard" and the claim of "express"; the line says "before" and the claim "after"; the line
    says "free on orders over $75" and the claim just "free".
    """
    holding = [
        (unit, next(other for other in unit.facts if matches(fact, other, unit.text)))
        for unit, _, own in lines
        if own and any(matches(fact, other, unit.text) for other in unit.facts)
    ]
    return bool(holding) and all(
        opposite(fact, other) or other_kind(segment, unit) or (fact.kind == "free" and _has_condition(segment, unit))
        for unit, other in holding
    )


def other_kind(segment: Claim, unit: Unit) -> bool:
    """Whether claim and line name different members of one set, such as standard and express."""
    for group in _CONTRASTS:
        said, written = (segment.topics - denied(segment.text)) & group, unit.stems & group
        if said and written and not said & written:
            return True
    return False


def _has_condition(segment: Claim, unit: Unit) -> bool:
    """Whether a line gives something free from a sum on that the claim leaves out."""
    sums = [one for one in unit.facts if one.kind == "money" and one.bound == "least"]
    return any(not any(matches(sum_, one, unit.text) for one in segment.facts) for sum_ in sums)


def _names_elsewhere(claim: Claim, held: Held, rarity: dict[str, float], encoder: Encoder) -> Iterator[Fact]:
    """Names whose lines hold little of what the claim says, while other lines hold it and mean it."""
    named = names_in(claim, held)
    all_marks = [stems_of(name.value) for name in named]
    if len(named) >= MIN_FACTS_TOGETHER and any(all(marks <= unit.stems for marks in all_marks) for unit in held.units):
        return
    said = (claim.topics & held.stems) - {one for name in named for one in stems_of(name.value)}
    for name in named:
        marks = stems_of(name.value)
        if not said or not marks or marks <= held.head:
            continue
        holding = [unit for unit in held.units if marks <= unit.stems]
        others = [unit for unit in held.units if not marks <= unit.stems]
        if not holding or not others:
            continue
        mine, my_line = _best(said, holding, rarity)
        theirs, their_line = _best(said, others, rarity)
        nameless = replace(claim, text=claim.text.replace(name.text, "it"))
        if mine < 0.5 * theirs and (
            _has_another_name(claim, their_line, held) or _means_rather(nameless, their_line, my_line, encoder)
        ):
            yield name


def _of_another_row(claim: Claim, held: Held) -> Iterator[Fact]:
    """Facts and names that a table gives in other rows than those the claim is about."""
    said = stems_of(claim.text)
    named = [unit for unit in held.units if unit.row and unit.row <= said]
    if not named:
        return
    for fact in (*claim.facts, *names_in(claim, held)):
        marks = stems_of(fact.value) if fact.kind == "name" else frozenset[str]()
        holding = [
            unit
            for unit in held.units
            if (marks and marks <= unit.stems) or any(matches(fact, other, unit.text) for other in unit.facts)
        ]
        if holding and all(unit.row and unit not in named for unit in holding):
            yield fact


def _facts_of_another_name(claim: Claim, held: Held) -> Iterator[Fact]:
    """Names of a claim whose facts stand only in lines about another name: "the Studio plan costs $29"."""
    hard = [fact for fact in claim.facts if fact.kind != "free"] or claim.facts
    holding = [
        unit
        for unit in held.units
        if hard and all(any(matches(fact, other, unit.text) for other in unit.facts) for fact in hard)
    ]
    for name in names_in(claim, held):
        marks = stems_of(name.value)
        if not holding or not marks or marks <= held.head:
            continue
        if all(not marks <= unit.stems and _has_another_name(claim, unit, held) for unit in holding):
            yield name


def _has_another_name(claim: Claim, unit: Unit, held: Held) -> bool:
    """Whether a line has a name that a claim has not."""
    return bool((set(words(unit.text)) & held.proper) - set(words(claim.text)))


def _best(said: Set[str], units: Sequence[Unit], rarity: dict[str, float]) -> tuple[float, Unit]:
    """The line that holds most of some words, weighed, and how much that is."""
    return max(
        ((sum(rarity.get(word, 0.0) for word in said & unit.stems), unit) for unit in units), key=lambda one: one[0]
    )


def _same_kind(fact: Fact, other: Fact) -> bool:
    if fact.kind != other.kind or fact.value == other.value:
        return False
    # In a table the unit stands in the head.
    return fact.kind != "number" or fact.unit == other.unit or not (other.unit or other.noun)


def _rarity(lines: Sequence[frozenset[str]]) -> dict[str, float]:
    """Weight of each stem: what stands in every line tells none apart."""
    found = Counter(word for line in lines for word in line)
    return {
        word: 0.0 if number >= len(lines) else (0.15 if word in GENERIC else 1.0) / number
        for word, number in found.items()
    }


def _fit(segment: Claim, unit: Unit, stems_: frozenset[str], rarity: dict[str, float]) -> float:
    worded = sum(rarity.get(word, 0.0) for word in segment.topics & stems_)
    held = sum(any(matches(fact, other, unit.text) for other in unit.facts) for fact in segment.facts)
    # The judged fact itself is held by definition on one side; others tell the lines apart as names do.
    return worded + max(0, held - 1)


def _segments(claim: Claim) -> list[Claim]:
    """Parts of a sentence that speak of one thing each: cut where both sides hold facts of one kind."""
    text = claim.text
    cuts = [0]
    for match in re.finditer(r"\s*(?:;|,?\s\b(?:while|whereas|but|and)\b|,(?=\s))\s*", text):
        left = facts(text[cuts[-1] : match.start()])
        right = facts(text[match.end() :])
        if {_kind(one) for one in left} & {_kind(one) for one in right}:
            cuts.append(match.end())
    if len(cuts) == 1:
        return [claim]
    parts = [claim_of(text[start:end], ()) for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    # A part that names nothing, as in "it takes 3 days and costs $6", is about what the whole is about.
    return [part if part.topics - GENERIC else claim for part in parts]


def _kind(fact: Fact) -> tuple[str, str]:
    return fact.kind, fact.unit
