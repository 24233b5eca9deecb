"""Rules over the data as a whole: kinds of replies, follow-ups, paraphrases, lengths, and replies out of voice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from retrieval.language.sentences import split_sentences
from training.data.repeats import topics
from training.data.rows import Row, Rule
from training.data.similar import groups, plain
from training.voice.masking import CONTRACTION
from training.voice.model import SHORT, VoiceScore

ENOUGH = 50
"""Rows from which on a share says something."""
REFUSALS, HANDOFFS, FOLLOW_UPS, PARAPHRASES = 0.05, 0.02, 0.05, 0.1
"""Lowest shares: replies that refuse, replies that hand over, conversations with a second question, and rows whose
answer is asked for in a second wording. Both sample brands, whose voices are heard, lie above all four."""
SAME = 0.6
"""Resemblance of their longest sentences from which on two replies say the same with other manners."""
_REFUSES = re.compile(
    r"\b(?:(?:have|has|hold|holds|find|found|give|gives|see) no (?:information|details?|answer|record|mention)|"
    r"no (?:information|mention|word) (?:on|about|of)|(?:found |have |is |'s )nothing (?:on|about)|"
    r"(?:do|does|did|could|can)(?: not|n't) (?:have (?:that|this|any|the) (?:info|information|answer|detail|"
    r"details)|find|know|"
    r"answer|help with|say whether)|"
    r"(?:cannot|can't|can not|unable to|not able to) (?:help|answer|say|tell|find|provide|assist)|not sure "
    r"(?:about|whether|if))\b",
    re.IGNORECASE,
)
_PAGES = re.compile(
    r"\b(?:(?:our|the|these|my) (?:help |support )?(?:pages|page|documentation|sources|records|help cent(?:re|er)|"
    r"knowledge base))\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:no|not|nothing|never|silent|empty|outside|beyond|aside|cannot)\b|n't\b", re.IGNORECASE)
_PERSON = re.compile(
    r"\b(?:adviser|advisor|agent|colleague|person|human|representative|specialist|manager|supervisor|team|crew|"
    r"staff)s?\b",
    re.IGNORECASE,
)
_HANDS_OVER = re.compile(
    r"\b(?:pass(?:ed|ing)?|hand(?:ed|ing)?|forward(?:ed|ing)?|transfer(?:red|ring)?|connect(?:ed|ing)?|escalat(?:e|"
    r"ed|ing)|"
    r"entrust(?:ed|ing)?|plac(?:e|ed|ing)|put(?:ting)?|send(?:ing)?|sent|goes|going|moves|tak(?:es?|ing) (?:it |"
    r"this )?over|"
    r"has|have now|needs? to look|has to look|will (?:contact|call|reply|get back|be with|look|take))\b",
    re.IGNORECASE,
)
_OFFERS = re.compile(
    r"\b(?:if you|should (?:you|it)|would you|do you want|want (?:us|a|me)|shall (?:we|i)|whether (?:we|i|a)|we "
    r"would|i would|"
    r"would (?:be|gladly)|pleasure to|happy to|glad to|may (?:be|pass|we)|can (?:take|tell|check|help))\b",
    re.IGNORECASE,
)


def refuses(reply: str) -> bool:
    """Whether a reply says that it does not know."""
    text = reply.replace("\u2019", "'")
    if _REFUSES.search(text):
        return True
    return any(_PAGES.search(one) and _NEGATED.search(one) for one in split_sentences(text))


def hands_over(reply: str) -> bool:
    """Whether a reply gives the conversation to a person, and does not only offer to."""
    text = reply.replace("\u2019", "'")
    said = [one for one in split_sentences(text) if _PERSON.search(one) and _HANDS_OVER.search(one)]
    return any(not _OFFERS.search(one) for one in said) and not refuses(text)


def shares(rows: Sequence[Row]) -> Mapping[str, float]:
    """Shares of refusals, handoffs, follow-ups and paraphrases, 0 to 1; empty without rows."""
    turns = [turn for row in rows for turn in row.turns if turn.role == "assistant" and turn.content]
    if not turns:
        return {}
    refused = sum(one.outcome == "refused" if one.outcome else refuses(one.content) for one in turns)
    handed = sum(one.outcome == "handed_off" if one.outcome else hands_over(one.content) for one in turns)
    return {
        "refusals": refused / len(turns),
        "handoffs": handed / len(turns),
        "followups": sum(len(row.questions) > 1 for row in rows) / len(rows),
        "paraphrases": _paraphrased(rows) / len(rows),
    }


def _paraphrased(rows: Sequence[Row]) -> int:
    """Rows whose answer, or whose matter, is asked for in another wording too; manners of an answer do not count."""
    exchanges = [one for row in rows if (one := row.first_exchange)]
    answers = groups([max(split_sentences(reply), key=len, default="") for _, reply in exchanges], threshold=SAME)
    wordings: dict[int | str, set[str]] = defaultdict(set)
    matters = [topics(question) for question, _ in exchanges]
    for (question, _), answer, matter in zip(exchanges, answers, matters, strict=True):
        wordings[answer].add(plain(question))
        wordings[matter].add(plain(question))
    return sum(
        len(wordings[answer]) > 1 or len(wordings[matter]) > 1 for answer, matter in zip(answers, matters, strict=True)
    )


def balance(rows: Sequence[Row]) -> Iterator[tuple[Rule, str]]:
    """What there is too little of, and lengths that are skewed."""
    if len(rows) < ENOUGH:
        return
    found = shares(rows)
    lowest: tuple[tuple[Rule, str, float, str], ...] = (
        ("few_refusals", "refusals", REFUSALS, "replies refuse; a model that never saw a refusal answers everything"),
        ("few_handoffs", "handoffs", HANDOFFS, "replies hand over to a person"),
        ("few_followups", "followups", FOLLOW_UPS, "conversations go on after the first reply"),
        ("few_paraphrases", "paraphrases", PARAPHRASES, "rows have an answer that is asked for in another wording too"),
    )
    for rule, name, least, what in lowest:
        if found[name] < least:
            yield rule, f"{found[name]:.1%} of the {what} (at least {least:.0%})"
    yield from _lengths(rows)


def _lengths(rows: Sequence[Row]) -> Iterator[tuple[Rule, str]]:
    lengths = sorted(len(reply.split()) for row in rows for reply in row.replies)
    longest = lengths[-max(1, len(lengths) // 20) :]
    if sum(longest) > 0.4 * sum(lengths):
        reason = f"the longest 5 % of the replies hold {sum(longest) / sum(lengths):.0%} of all words"
        yield "skewed_lengths", f"{reason} (median {median(lengths):.0f} words, longest {lengths[-1]})"
    pairs = [(row.replies[-1], row.rejected) for row in rows if row.rejected]
    if len(pairs) >= ENOUGH:
        longer = sum(len(chosen) > len(rejected) for chosen, rejected in pairs) / len(pairs)
        if not 0.2 <= longer <= 0.8:
            yield "skewed_lengths", f"the chosen reply is longer in {longer:.0%} of the pairs, so that length is learnt"


_PICTURE = re.compile(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]")
_SHOUTED = re.compile(r"\b[A-Z]{3,}\b[ ,]+\b[A-Z]{2,}\b[ ,]+\b[A-Z]{2,}\b")
_SLANG = (
    r"\b(?:lol|lmao|omg|wtf|idk|tbh|dude|bro|bruh|yo|gonna|wanna|gotta|kinda|ya|u|ur|thx|pls|plz|nah|sup|dunno|"
    r"ain['\u2019]t)\b"
)
ALWAYS, LONE, PAIRED = 1.0, 0.01, 0.04
"""Share of replies up to which a mark is foreign to a voice: whatever the others do, alone, and beside another one."""
_MARKS: Mapping[str, tuple[float, re.Pattern[str]]] = {
    "words of a language model about itself": (
        ALWAYS,
        re.compile(
            r"\b(?:as an ai|language model|openai|chatgpt|my training data|my knowledge cutoff)\b", re.IGNORECASE
        ),
    ),
    "several words of slang": (LONE, re.compile(rf"{_SLANG}.*{_SLANG}", re.DOTALL | re.IGNORECASE)),
    "an emoji": (LONE, _PICTURE),
    "words in capitals": (LONE, _SHOUTED),
    "officialese": (
        LONE,
        re.compile(
            r"\b(?:hereby|herewith|pursuant to|aforementioned|heretofore|hereinafter|notwithstanding|forthwith|"
            r"esteemed|"
            r"henceforth|thereof|whereby|thou|thee|thy)\b",
            re.IGNORECASE,
        ),
    ),
    "a word of slang": (PAIRED, re.compile(_SLANG, re.IGNORECASE)),
    "no capital at the beginning": (PAIRED, re.compile(r"^[a-z]")),
    "several marks of exclamation": (PAIRED, re.compile(r"!{2,}|(?:![^!]*){3,}")),
    "a mark of exclamation": (PAIRED, re.compile(r"!")),
    "a contraction": (PAIRED, CONTRACTION),
    "three dots": (PAIRED, re.compile(r"\.{3}|…")),
    "a list": (PAIRED, re.compile(r"^\s*(?:[-*•]|\d+[.)]) ", re.MULTILINE)),
}
"""Marks of tone by what they are called. Of those that stand out alone, and of the others, it takes two where they are
not that rare: a voice with an emoji in every fiftieth reply is one with emoji."""


FOREIGN = 0.2
"""Voice score below which a reply is not the brand's: of the sample brands' own replies, scored by a model that did not
see their conversation, 1.4 % lie below, of each other's 96 %, of replies in nobody's voice 92 and 95 % (seen)."""


def foreign(rows: Sequence[Row], voice: Callable[[str], VoiceScore]) -> Iterator[tuple[Row, str]]:
    """Rows with a reply that hardly sounds like the brand.

    Args:
        rows: In its language.
        voice: Scores a text as `training.voice` does.
    """
    for row in rows:
        for reply in row.replies:
            # Of a few words nothing can be told.
            if len(reply.split()) >= SHORT and (found := voice(reply)).score < FOREIGN:
                told = "; ".join(found.reasons[:3])
                yield row, f"a reply hardly sounds like the brand ({found.score:.2f}): {told}"
                break


def off_voice(rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Rows with a reply in a tone that hardly any other reply has."""
    replies = [reply for row in rows for reply in row.replies]
    if len(replies) < ENOUGH:
        return
    held = Counter(name for reply in replies for name in _marks(reply))
    share = {name: held[name] / len(replies) for name in _MARKS}
    for row in rows:
        for reply in row.replies:
            found = [name for name in _marks(reply) if share[name] <= max(PAIRED, _MARKS[name][0])]
            if len(found) > 1 or any(
                _MARKS[name][0] > PAIRED or share[name] <= LONE == _MARKS[name][0] for name in found
            ):
                often = ", ".join(f"{name} (as {held[name]} of {len(replies)} replies)" for name in found)
                yield row, f"a reply has {often}"
                break


def _marks(reply: str) -> list[str]:
    return [name for name, (_, pattern) in _MARKS.items() if pattern.search(reply)]
