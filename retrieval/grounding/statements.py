"""Texts taken apart for comparison: a passage into lines, a sentence into facts, topics, yes and no."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from retrieval.grounding.units import units
from retrieval.language.facts import Fact, facts, plain
from retrieval.language.matching import name_words
from retrieval.language.measures import SMALL
from retrieval.language.names import names
from retrieval.language.words import STOPWORDS, fold, meaning, stem, word_list, words
from retrieval.passages import Passage


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a sentence that says yes or no to one thing."""

    stems: frozenset[str]
    negative: bool
    hedge: str
    """The "only if", "unless" or the like in it, where yes and no are a matter of wording; else empty."""
    text: str = ""
    conditional: bool = False
    """Whether it says when something holds, not that it does: "if you can't make it"."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, list item or table row of a passage: the smallest thing that binds facts together."""

    text: str
    stems: frozenset[str]
    facts: tuple[Fact, ...]
    clauses: tuple[Clause, ...]
    row: frozenset[str] = frozenset()
    """Of a table row, the stems of its first cell: what the row is about."""


@dataclass(frozen=True, slots=True)
class Held:
    """Everything of a passage that sentences are compared with."""

    units: tuple[Unit, ...]
    stems: frozenset[str]
    facts: tuple[Fact, ...]
    names: str
    proper: frozenset[str]
    """Words that stand as names in it."""
    head: frozenset[str]
    """Stems of title and heading: what every line of it is about."""
    folded: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence taken apart."""

    text: str
    facts: tuple[Fact, ...]
    names: tuple[Fact, ...]
    topics: frozenset[str]
    negative: bool
    allowed: frozenset[str]


_NEGATIVE = re.compile(
    r"\b(?:not|no|never|cannot|can't|don't|doesn't|didn't|isn't|aren't|wasn't|weren't|won't|wouldn't|shouldn't|mustn't|"
    r"couldn't|hasn't|haven't|ain't|none|nor|neither|nobody|nothing|impossible|unable|nope)\b"
)
_HARMLESS_NO = re.compile(
    r"^(?:no|nope|not|yes|yep)\b\s*[,.!:;-]+|\bno (?:worries|problem|rush|stress|sweat|doubt|need|matter|"
    r"strings attached|fuss|hassle|questions asked|kidding|longer than|later than|more than|less than)\b|\b(?:not?|"
    r"never|cannot|\w+n't) (?:be )?(?:above|beyond|over|below|under|more|less|fewer|longer|later|older|younger|"
    r"exceed\w*)\b|\bno-|\b(?:that|who|which) (?:\w+n't|cannot|(?:is|are|was|were|do|does|did|have|has|can|may) not)\b|"
    r"\b(?:not only|why not|(?:do not|don't) hesitate|not to (?:worry|fret)|(?:fear|worry|fret) not|"
    r"(?:don't|do not) (?:worry|forget|fret|panic|fear|stress|sweat|be shy|despair|let that)|no (?:\w+ )?(?:charge|"
    r"cost|fee)s?|(?:not|never|\w+n't) (?:cost|pay|charge)(?: you)? (?:a (?:cent|penny|dime|thing)|anything))\b"
)
"""Noes that deny nothing of what a clause says, or only say which things it is about."""
_HEDGE = re.compile(
    r"\b(?:only (?:if|when|after|before|once|with|where)|unless|except|until(?! (?:\d|noon|midnight|the age))|"
    r"no longer|instead)\b"
)
_CLAUSES = re.compile(
    r"\s*(?:;|:\s|\.\s|,?\s\b(?:because|since|while|whereas|but|although|though|so that|once|if|when|after|before)\b|"
    r",\s(?:and|so|or|which|as)\b|,\s"
    r"|\sand(?=\s(?:\w+\s)?(?:is|are|was|were|can|can't|cannot|may|must|should|shouldn't|will|won't|do|don't|does|"
    r"doesn't|has|have)\b))\s*"
)
_CONDITION = re.compile(r"\s*,?\s*\b(?:if|when|whenever|whatever|whoever|whichever|in case|should (?:you|your))\b")
_SHORTENED = re.compile(
    r"(?:(?:not|never)(?: \w+){1,3}\W*$|(?:is|are|was|were|can|cannot|may|must|will|does|has|have)\b)"
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|can|cannot|may|must|should|will|do|does|has|have|\w+n't|(?:we|you|they|it|i) \w+)\b|\w+ed\b|"
    r"\w+ \w+s\b"
)
_DENIED = re.compile(r"\b(?:not|never|\w+n't) (\w+)")
MIN_CLAUSE_WORDS = 2
GENERIC = frozenset(
    meaning(stem(word))
    for word in word_list(
        """
        cost take last measure make made have come item piece customer order time play work include hold
        available price get say give go use want need buy see like parcel arrive deliver delivery cover
        """
    )
)
_FILLER = frozenset(
    stem(word)
    for word in word_list(
        """
        note confirm explain permit pleased glad happy delighted regret sorry good great news heads easy simple
        sweet nice cool hero adventurer quest friend worries worry gg loot sure thing got gotten hey yes yep
        course remember know tip pro cheat code tell say let please kindly certainly inform advise honour trust
        hope best thank thanks right simply just absolutely well-known lucky yay awesome win usual generally
        naturally sadly luckily happily typically basically definitely actually alas mate dude buddy folks psst yep
        half past quarter clock
        """
    )
)


def claim_of(text: str, allowed_names: Sequence[str] = ()) -> Claim:
    """Take a sentence apart; allowed names are no names of it and no topics."""
    found = facts(text)
    allowed = {word for name in allowed_names for word in words(name)}
    named = tuple(name for name in names(text) if not set(words(name.value)) <= allowed)
    topics = stems_of(text) - _FILLER - {stem(word) for word in allowed}
    low = plain(fold(text))
    negative = bool(_NEGATIVE.search(_HARMLESS_NO.sub(" ", low)))
    return Claim(text, tuple(found), named, frozenset(topics), negative, frozenset(allowed))


def denied(text: str) -> frozenset[str]:
    """Stems of the words that "not" stands before: "that you don't use" is what is unused."""
    return frozenset(stem(word) for word in _DENIED.findall(fold(text)))


def clauses_of(text: str) -> list[Clause]:
    """The clauses of a sentence, taken apart; "only if" and the like stay with what they limit."""
    joined = re.sub(r"\b(only) (if|when|after|before|once)\b", r"\1_\2", text)
    found: list[Clause] = []
    start, mark = 0, ""
    for match in [*_CLAUSES.finditer(joined), None]:
        part = joined[start : match.start() if match else len(joined)].replace("_", " ")
        if match and match[0].strip() == "and" and not _VERB.search(fold(part)):
            # "Boats and trailers are ..." is one clause.
            continue
        if part.strip():
            clause = clause_of(part, conditional=bool(_CONDITION.search(mark) or _CONDITION.match(fold(part))))
            if found and _SHORTENED.match(clause.text):
                # "Guests can comment but not edit": who may not edit stands before.
                clause = replace(clause, stems=clause.stems | found[-1].stems)
            found.append(clause)
        if match:
            start, mark = match.end(), fold(match[0])
    return found


def clause_of(text: str, *, conditional: bool = False) -> Clause:
    """Take a clause apart."""
    low = plain(fold(text))
    hedge = _HEDGE.search(low)
    negative = bool(_NEGATIVE.search(_HARMLESS_NO.sub(" ", low)))
    return Clause(frozenset(stems_of(text) - _FILLER), negative, hedge[0] if hedge else "", low, conditional)


def stems_of(text: str) -> set[str]:
    """Stems of the content words, words of one meaning brought together; numbers are facts, not words."""
    low = re.sub(
        r"\bsen[dt](?:ing)?\b(?=[^.!?]{0,40}\bback\b)|\bgive(?=[^.!?]{0,20}\bback\b)", "return", fold(plain(text))
    )
    low = re.sub(r"\bmoney(?= back\b)", "refund", low)
    found = {
        stem(part)
        for word in words(low)
        for part in word.split("'")[:1]
        if part not in STOPWORDS and word not in STOPWORDS and not part[0].isdigit()
    }
    return {meaning(one) for one in found} - _NUMBER_STEMS


def as_written(text: str, stems: Iterable[str]) -> tuple[str, ...]:
    """The words of a text that these stems stand for, in order: people read words, not stems."""
    wanted = set(stems)
    found = {word: None for word in words(text) if meaning(stem(word)) in wanted}
    return tuple(found)


_NUMBER_STEMS = frozenset(
    stem(word)
    for word in word_list(
        """
        hundred thousand dollar dollars bucks pounds euro euros cent cents penny pence am pm back usd
        """
    )
) | {stem(word) for word in SMALL if word not in ("zero", "one")}


@lru_cache(maxsize=4096)
def _taken_apart(title: str, heading: str, text: str) -> Held:
    head = f"{title} {heading}"
    whole = f"{head}\n{text}"
    units = tuple(_unit(unit, bare) for unit, bare in _unit_texts(text))
    return Held(
        units=units,
        stems=frozenset(stems_of(whole)),
        facts=(*(fact for unit in units for fact in unit.facts), *facts(head)),
        names=name_words(whole),
        proper=frozenset(
            part for unit, bare in _unit_texts(text) for name in names(bare or unit) for part in words(name.value)
        ),
        head=frozenset(stems_of(head)),
        folded=" ".join(fold(plain(whole)).split()),
    )


def held_of(passage: Passage) -> Held:
    """Take a passage apart; the same text is taken apart once."""
    return _taken_apart(passage.title, passage.heading, passage.text)


def _unit(text: str, bare: str) -> Unit:
    cells = bare or text
    # Of a table's head, words such as "Price" help to find a row; the rest would be in every row.
    stems_ = frozenset(stems_of(cells) | {stem(word) for word in words(cells)} | (stems_of(text) & GENERIC))
    clauses = [clause_of(cells)] if bare else clauses_of(text)
    row = frozenset(stems_of(bare.partition(",")[0]))
    return Unit(plain(fold(text)), stems_, tuple(facts(text)), tuple(clauses), row)


def _unit_texts(text: str) -> Iterator[tuple[str, str]]:
    """Sentences, list items, and table rows.

    A row comes with its table's head, and second without it: what stands in the head tells no rows apart.
    """
    for unit in units(plain(text)):
        if isinstance(unit, str):
            yield unit, ""
        else:
            yield ", ".join(f"{name} {cell}" for name, cell in unit.named), ", ".join(unit.cells)


def names_in(claim: Claim, held: Held, helds: Sequence[Held] = ()) -> list[Fact]:
    """The names of a claim; the word it begins with counts where the passage, or one of others, has it as a name."""
    proper = held.proper.union(*(one.proper for one in helds))
    begun = [name for name in names(claim.text, proper) if not set(words(name.value)) <= claim.allowed]
    return begun if proper else list(claim.names)
