"""Rules over pairs of rows: duplicates, near duplicates, contradictions, and overlap with evaluation data."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from retrieval.language.facts import facts
from retrieval.language.measures import DURATIONS
from retrieval.language.words import content_words, meaning, stem, word_list
from training.data.rows import Finding, Row
from training.data.similar import NEAR, groups, plain, resemblance, without_figures

NEAR_ROWS = 0.75
"""Resemblance of whole rows from which on they are near duplicates; higher than of questions, for they are longer."""
_MOST_COMPARED = 20
"""Earlier rows that a row is compared with; more of one kind say nothing new."""


def question_groups(rows: Sequence[Row]) -> list[int]:
    """For each row the position of the first row whose questions are near its own."""
    return groups(["\n".join(row.questions) for row in rows])


def duplicates(rows: Sequence[Row]) -> Iterator[Finding]:
    """Rows that repeat an earlier one word for word, or nearly."""
    seen: dict[bytes, Row] = {}
    near: dict[int, list[tuple[Row, str]]] = defaultdict(list)
    texts = ["\n".join(turn.content for turn in row.turns if turn.role != "system") for row in rows]
    for row, text, group in zip(rows, texts, groups(texts, threshold=NEAR_ROWS), strict=True):
        said = [*(f"{one.role} {plain(one.content)}" for one in row.turns), plain(row.rejected or "")]
        key = blake2b("\n".join(said).encode()).digest()
        if key in seen:
            yield Finding(row.file, row.line, "duplicate", f"says the same as {_place(seen[key], row)}")
            continue
        seen[key] = row
        for other, their_text in near[group]:
            likeness = resemblance(text, their_text)
            if row.rejected and other.rejected:
                # Pairs of one prompt with several rejected replies are how preferences come.
                likeness = min(likeness, resemblance(row.rejected, other.rejected))
            if likeness >= NEAR_ROWS:
                yield Finding(row.file, row.line, "near_duplicate", f"{likeness:.0%} alike to {_place(other, row)}")
                break
        else:
            if len(near[group]) < _MOST_COMPARED:
                near[group].append((row, text))


def contradictions(rows: Sequence[Row]) -> Iterator[Finding]:
    """Rows that answer the same question with other facts than an earlier row."""
    asked: dict[str, list[tuple[Row, str]]] = defaultdict(list)
    for row in rows:
        exchange = row.first_exchange
        key = topics(exchange[0]) if exchange else ""
        if not key or not exchange:
            continue
        bucket = asked[key]
        for other, reply in bucket:
            if difference := contradiction(reply, exchange[1]):
                reason = f"the question of {_place(other, row)} is answered otherwise: {difference}"
                yield Finding(row.file, row.line, "contradiction", reason)
                break
        if len(bucket) < _MOST_COMPARED:
            bucket.append((row, exchange[1]))


def contradiction(one: str, other: str) -> str | None:
    """How two answers to one question contradict each other; None where they do not."""
    mine, theirs = _single_facts(one), _single_facts(other)
    for key in mine.keys() & theirs.keys():
        if mine[key][0] != theirs[key][0]:
            return f"{mine[key][1]!r} and {theirs[key][1]!r}"
    for first, second in ((mine, theirs), (theirs, mine)):
        gratis, price = (
            [text for key, (_, text) in held.items() if key[0] == kind]
            for held, kind in ((first, "free"), (second, "money"))
        )
        both = {key[0] for key in first} & {"money"} or {key[0] for key in second} & {"free"}
        if gratis and price and not both:
            return f"{gratis[0]!r} and {price[0]!r}"
    if (_YES.match(one) and _NO.match(other)) or (_NO.match(one) and _YES.match(other)):
        return "yes and no"
    return None


def overlaps(rows: Sequence[Row], evaluation: Sequence[str]) -> Iterator[Finding]:
    """Rows that ask what the evaluation asks.

    Args:
        rows: Training data.
        evaluation: Its questions.
    """
    texts = [question for row in rows for question in row.questions]
    owners = [place for place, row in enumerate(rows) for _ in row.questions]
    found = groups([without_figures(one) for one in (*evaluation, *texts)])
    members: dict[int, list[int]] = defaultdict(list)
    for place in range(len(evaluation)):
        members[found[place]].append(place)
    told: set[int] = set()
    for place, owner in enumerate(owners):
        if owner in told:
            continue
        for other in members[found[len(evaluation) + place]]:
            likeness = resemblance(without_figures(texts[place]), without_figures(evaluation[other]))
            if likeness >= NEAR:
                told.add(owner)
                reason = f"asks what the evaluation asks ({likeness:.0%} alike): {evaluation[other][:60]!r}"
                yield Finding(rows[owner].file, rows[owner].line, "overlap", reason)
                break


_YES = re.compile(r"^\W*(?:yes|yep|yeah|sure|of course|certainly|absolutely|definitely|you can\b)", re.IGNORECASE)
_NO = re.compile(
    r"^\W*(?:no\b(?! problem| worries| trouble)|nope|unfortunately|sorry, (?:no|you can|we can)|i'?m afraid|we are "
    r"sorry, but|"
    r"that is not possible|you cannot|you can't)",
    re.IGNORECASE,
)


_LONG_WORD = re.compile(r"\S{60,}")
"""Encoded data and the like; it holds no facts and takes long to search."""


def _single_facts(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Facts of which a text states one value: by kind and unit, the value and how it is written."""
    values: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for fact in facts(_LONG_WORD.sub(" ", text)):
        if fact.kind in ("quote", "link") or (fact.kind == "number" and not (fact.unit or fact.noun)):
            continue
        unit, value = "" if fact.kind == "time" else fact.unit or stem(fact.noun), fact.value
        if fact.kind == "number" and fact.unit in DURATIONS:
            unit, size = DURATIONS[fact.unit]
            value = f"{float(value) * size:g}"
        values[fact.kind, f"{unit}{'/' + fact.per if fact.per else ''}"][value] = fact.text
    return {key: next(iter(held.items())) for key, held in values.items() if len(held) == 1}


_ASKING = frozenset(
    word_list("long many much day days time hours week weeks often soon quickly fast exactly tell know")
)
"""Words that ask for a figure in one wording and are absent in another: the kind of the figure tells more."""


def topics(question: str) -> str:
    """What a question is about, whatever its wording: the stems of its content words, sorted."""
    return " ".join(sorted({meaning(stem(word)) for word in content_words(question) if word not in _ASKING}))


def _place(other: Row, row: Row) -> str:
    return f"line {other.line}" if other.file == row.file else f"{other.file.name}:{other.line}"
