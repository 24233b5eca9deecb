"""What a brand's own texts do, counted: the part of a voice that needs no training, and the reasons in words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from configs.brand import Strict
from training.voice.marks import OPENING, Marks, Reading, first_contraction
from training.voice.masking import FUNCTION_WORDS, words
from training.voice.neutral import GIVEAWAYS, STOCK

NEVER = 0.02
"""A habit that at most this share of the brand's texts has counts as none of it."""
MOSTLY = 0.6
"""A habit that this share has is missed where it is absent."""
EXPECTED = 2.0
"""Times that a habit would be met in a text of this length, before its absence is worth a word."""
FORBIDDEN = 4.0
"""Weight of what the guide avoids and of what only a machine says."""
SHOWN = 8
RECURS = 3
"""Texts that hold a word or a phrase before it counts as a habit."""
LEXICON = 24
SURE = 1.64
"""z above which a word is the brand's own: 95 % one-sided."""
FREQUENT = 300
_AVOID = re.compile(r"^#+\s.*\b(?:avoid|never say|banned|forbidden)\b.*$", re.IGNORECASE)
_BRACKETS = re.compile(r"\([^)]*\)")


class Spread(Strict):
    """Where the middle 95 % of the brand's texts lie."""

    mean: float
    low: float
    high: float


class Phrase(Strict):
    """A phrase, and the share of texts that have it."""

    text: str
    share: float


class Profile(Strict):
    """The style of a brand, as its own texts show it."""

    texts: int
    words: Spread
    """Length of a text."""
    words_per_sentence: Spread
    sentences: Spread
    exclamations: Spread
    emoji: Spread
    list_items: Spread
    contractions_per_100_words: float
    with_contractions: float
    """Share of the texts that have one; the same for those below."""
    with_exclamations: float
    with_questions: float
    with_emoji: float
    with_lists: float
    with_greeting: float
    with_i: float
    with_we: float
    with_you: float
    openers: tuple[Phrase, ...]
    closers: tuple[Phrase, ...]
    lexicon: tuple[Phrase, ...]
    """Words that the brand uses far more than others do, most of all first."""
    with_lexicon: float
    banned: tuple[str, ...]
    """Words that the voice guide says to avoid, but for those that the brand's own texts use."""
    absent: tuple[str, ...]
    """Phrases of machines and macros that the brand never uses."""
    frequent: tuple[str, ...]
    """Its most frequent words, by which its language is known."""
    frequent_share: float
    """Share of a text's words among them that nearly all texts of the brand reach."""


def learn_profile(texts: Sequence[Reading], guide: str, hidden: frozenset[str], neutral: Sequence[Reading]) -> Profile:
    """Count the brand's texts.

    Args:
        texts: The brand's own; at least one.
        guide: The voice guide in Markdown: the paragraph under a heading with "avoid", "never say", "banned" or
            "forbidden" names words parted by commas.
        hidden: Words that say what the texts are about; they are no style.
        neutral: Nobody's texts, beside which the brand's own words show.
    """
    marks = [one.marks for one in texts]
    told = [one.tokens for one in texts]
    frequent = _frequent(told)
    lexicon = _lexicon(told, hidden, [one.tokens for one in neutral])
    return Profile(
        texts=len(texts),
        words=_spread(one.words for one in marks),
        words_per_sentence=_spread(one.words_per_sentence for one in marks),
        sentences=_spread(one.sentences for one in marks),
        exclamations=_spread(one.exclamations for one in marks),
        emoji=_spread(one.emoji for one in marks),
        list_items=_spread(one.list_items for one in marks),
        contractions_per_100_words=100 * sum(m.contractions for m in marks) / max(1, sum(m.words for m in marks)),
        with_contractions=_share(one.contractions for one in marks),
        with_exclamations=_share(one.exclamations for one in marks),
        with_questions=_share(one.questions for one in marks),
        with_emoji=_share(one.emoji for one in marks),
        with_lists=_share(one.list_items for one in marks),
        with_greeting=_share(one.greets for one in marks),
        with_i=_share(one.i for one in marks),
        with_we=_share(one.we for one in marks),
        with_you=_share(one.you for one in marks),
        openers=_phrases([one.opener for one in marks], hidden),
        closers=_phrases([one.closer for one in marks], hidden),
        lexicon=lexicon,
        with_lexicon=_share(len({one.text for one in lexicon} & set(tokens)) for tokens in told),
        banned=tuple(one for one in avoided(guide) if not any(text.holds(one) for text in texts)),
        absent=tuple(one for one in (*GIVEAWAYS, *STOCK) if not any(text.holds(one) for text in texts)),
        frequent=frequent,
        frequent_share=_quantile(sorted(_known(tokens, frozenset(frequent)) for tokens in told), 0.01),
    )


def avoided(guide: str) -> tuple[str, ...]:
    """Words and phrases under the guide's headings about what to avoid, in lower case; remarks in brackets left out."""
    found: list[str] = []
    listening = False
    for line in guide.splitlines():
        if line.startswith("#"):
            listening = _AVOID.match(line) is not None
        elif listening:
            parts = _BRACKETS.sub("", line.lstrip("-* ")).split(",")
            found += [" ".join(words(part)) for part in parts]
    return tuple(dict.fromkeys(one for one in found if one))


def speaks_the_language(tokens: Sequence[str], profile: Profile) -> bool:
    """Whether a text has enough of the brand's most frequent words; a text of a few words always does."""
    told = [token for token in tokens if token[0].isalpha()]
    return len(told) < 6 or _known(told, frozenset(profile.frequent)) >= profile.frequent_share / 3


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing that a text does otherwise than the brand."""

    reason: str
    """In words."""
    weight: float = 1.0
    """Beside the others: 1 is one habit broken."""


def deviations(text: Reading, profile: Profile) -> list[Deviation]:
    """What a text does otherwise than the brand; what tells most first. Empty where nothing is amiss."""
    found = [
        *_phrases_amiss(text, profile),
        *_persons_amiss(text.marks, profile),
        *_tone_amiss(text, profile),
        *_lengths_amiss(text.marks, profile),
        *_lexicon_amiss(text, profile),
    ]
    return sorted(found, key=lambda one: -one.weight)


def _phrases_amiss(text: Reading, profile: Profile) -> Iterable[Deviation]:
    marks = text.marks
    for banned in profile.banned:
        if text.holds(banned):
            yield Deviation(f"says '{banned}', which the voice guide avoids", FORBIDDEN)
    told = {phrase for phrase in profile.absent if text.holds(phrase)}
    # "feel free to" inside a longer phrase that is told too is told once.
    told -= {phrase for phrase in told if any(phrase != other and f" {phrase} " in f" {other} " for other in told)}
    for phrase in sorted(told, key=text.line.find):
        weight = FORBIDDEN if phrase in GIVEAWAYS else 1.0
        shown = _as_written(phrase)
        if text.line.startswith(f" {phrase} "):
            yield Deviation(f"opens with '{shown}'", weight)
        elif _same_beginning(phrase, marks.closer):
            yield Deviation(f"closes with '{shown}'", weight)
        elif " " in phrase:
            yield Deviation(f"says '{phrase.replace(' ai', ' AI')}', which the brand never does", weight)
    if marks.greets and profile.with_greeting <= NEVER:
        yield Deviation(f"opens with a greeting, '{marks.opener.split(' ')[0].capitalize()}', which the brand does not")


def _persons_amiss(marks: Marks, profile: Profile) -> Iterable[Deviation]:
    for shown, habit, count in (
        ("'I'", profile.with_i, marks.i),
        ("'we'", profile.with_we, marks.we),
        ("'you'", profile.with_you, marks.you),
    ):
        if count and habit <= NEVER:
            yield Deviation(f"says {shown}, which the brand does not")


def _tone_amiss(text: Reading, profile: Profile) -> Iterable[Deviation]:
    marks = text.marks
    expected = profile.contractions_per_100_words * marks.words / 100
    if not marks.contractions and expected >= EXPECTED:
        yield Deviation(f"no contraction in {marks.words} words")
    if marks.contractions and profile.with_contractions <= NEVER:
        yield Deviation(f"contracts '{first_contraction(text.text)}', which the brand does not")
    for count, share, spread, name in (
        (marks.exclamations, profile.with_exclamations, profile.exclamations, "exclamation mark"),
        (marks.emoji, profile.with_emoji, profile.emoji, "emoji"),
        (marks.list_items, profile.with_lists, profile.list_items, "list item"),
    ):
        most = max(1, round(spread.high))
        if count and share <= NEVER:
            yield Deviation(f"{_counted(count, name)}, where the brand has {'hardly any' if share else 'none'}")
        elif count > most:
            yield Deviation(f"{_counted(count, name)}, where the brand has at most {most}")
        elif not count and share >= MOSTLY and marks.words >= 4:
            yield Deviation(f"no {name}, which {share:.0%} of the brand's texts have")


def _lengths_amiss(marks: Marks, profile: Profile) -> Iterable[Deviation]:
    sentence, usual = marks.words_per_sentence, profile.words_per_sentence
    off = round(abs(sentence - usual.mean))
    if off >= 2 and marks.words >= 4 and (beyond := _beyond(sentence, usual)):
        more = "more" if sentence > usual.mean else "fewer"
        yield Deviation(f"{off} words a sentence {more} than the brand", beyond)
    low, high = math.floor(profile.words.low), math.ceil(profile.words.high)
    if beyond := _beyond(marks.words, Spread(mean=profile.words.mean, low=low, high=high)):
        yield Deviation(f"{_counted(marks.words, 'word')} long, where the brand writes {low} to {high}", beyond)


def _lexicon_amiss(text: Reading, profile: Profile) -> Iterable[Deviation]:
    own = [one.text for one in profile.lexicon]
    expected = own and profile.with_lexicon >= MOSTLY and text.marks.words >= profile.words.mean
    if expected and not set(own) & set(text.tokens):
        yield Deviation(f"none of the brand's own words, such as {', '.join(repr(one) for one in own[:3])}")


def _beyond(value: float, usual: Spread) -> float:
    """How far a value lies outside what is usual: 0 inside, 1 at twice the upper or half the lower bound, at most 3."""
    if usual.low <= value <= usual.high:
        return 0.0
    return min(3.0, abs(math.log2(max(value, 0.5) / (usual.high if value > usual.high else max(usual.low, 0.5)))))


def _same_beginning(phrase: str, closer: str) -> bool:
    """Whether both begin with the same words, as many as the shorter one has."""
    pairs = list(zip(phrase.split(), closer.split(), strict=False))
    return bool(pairs) and all(one == other for one, other in pairs)


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1 and name != 'emoji')}"


def _as_written(phrase: str) -> str:
    """A phrase with the capitals of the beginning of a sentence."""
    told = phrase.replace("i'", "I'").replace(" ai", " AI")
    return told[0].upper() + told[1:]


# --- learning -------------------------------------------------------------------------------------------------------


def _lexicon(
    told: Sequence[Sequence[str]], hidden: frozenset[str], neutral: Sequence[Sequence[str]]
) -> tuple[Phrase, ...]:
    """Words in twice as many of the brand's texts as of nobody's, by more than chance; the surest first.

    Source: Monroe, Colaresi, Quinn, "Fightin' Words", Political Analysis 16(4), 2008: z of the log-odds ratio.
    """
    own, others = _text_counts(told), _text_counts(neutral)
    sure: dict[str, float] = {}
    for word, count in own.items():
        if count >= RECURS and word[0].isalpha() and word not in hidden and not _joins(word):
            inside, outside = count + 0.5, others[word] + 0.5
            ratio = math.log(inside / (len(told) - count + 0.5)) - math.log(outside / (len(neutral) - outside + 1))
            if ratio >= math.log(2):
                sure[word] = ratio / math.sqrt(1 / inside + 1 / outside)
    chosen = sorted((word for word in sure if sure[word] >= SURE), key=lambda word: (-sure[word], word))[:LEXICON]
    return tuple(Phrase(text=word, share=round(own[word] / len(told), 4)) for word in chosen)


def _joins(word: str) -> bool:
    """Whether a word is one that holds every sentence together: "of", "is"; "kindly" and "would" are not."""
    return word in FUNCTION_WORDS and len(word) <= 3


def _frequent(told: Sequence[Sequence[str]]) -> tuple[str, ...]:
    counts = Counter({word: count for word, count in _text_counts(told).items() if count > 1 and word[0].isalpha()})
    return tuple(word for word, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:FREQUENT])


def _text_counts(told: Sequence[Sequence[str]]) -> Counter[str]:
    return Counter(word for tokens in told for word in set(tokens))


def _known(tokens: Sequence[str], frequent: frozenset[str]) -> float:
    told = [token for token in tokens if token[0].isalpha()]
    return fmean(token in frequent for token in told) if told else 1.0


def _phrases(found: Sequence[str], hidden: frozenset[str]) -> tuple[Phrase, ...]:
    """The phrases that recur and say nothing of the subject, as long as they recur: three words, else two, else one."""
    texts = [one.split() for one in found]
    seen: Counter[str] = Counter()
    for size in range(OPENING, 0, -1):
        counts = Counter(" ".join(text[:size]) for text in texts if len(text) >= size)
        for phrase, count in counts.items():
            if count >= RECURS and not any(longer.startswith(f"{phrase} ") for longer in seen):
                seen[phrase] = count
    telling = [
        (phrase, count)
        for phrase, count in seen.items()
        if not hidden.intersection(phrase.split()) and phrase not in FUNCTION_WORDS
    ]
    best = sorted(telling, key=lambda one: (-one[1], one[0]))[:SHOWN]
    return tuple(Phrase(text=phrase, share=round(count / len(texts), 4)) for phrase, count in best)


def _share(counts: Iterable[int]) -> float:
    return round(fmean(count > 0 for count in counts), 4)


def _spread(values: Iterable[float]) -> Spread:
    ordered = sorted(values)
    low, high = _quantile(ordered, 0.025), _quantile(ordered, 0.975)
    return Spread(mean=round(fmean(ordered), 2), low=round(low, 2), high=round(high, 2))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The value at a share of the way, between neighbours."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
