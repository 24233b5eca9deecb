"""Names in a sentence: what has a capital, or is no word of the language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from retrieval.language.facts import MONTHS, SHORT_NAMES, WEEKDAYS, Fact, plain
from retrieval.language.words import STOPWORDS, fold, word_list

ALIASES = {"us": "united states", "u.s": "united states", "usa": "united states", "u.s.a": "united states"}
ALIASES |= {"uk": "united kingdom", "u.k": "united kingdom", "amex": "american express"}
_CALENDAR = frozenset([*MONTHS, *WEEKDAYS]) - {"may", "march", "august"}
_NAME = re.compile(r"(?<![\w@./-])[A-Z][\w'&-]*(?:\.[A-Z]\b)*")
_TITLE = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St)\.(?= )")
"""The full stop of these ends no sentence: what follows is a name."""
_NOT_NAMES = frozenset(
    word_list(
        """
        i i'm i'd i'll i've ok okay gg glhf lol faq faqs psa fyi tldr yes no not never and or but only free new now you
        your yay woohoo nice good great sweet oh hi hey hello ps id qr pdf tv xp hp npc
        """
    )
)


def names(text: str, proper: frozenset[str] = frozenset()) -> list[Fact]:
    """Capitalised words, each run of them one name, with a house number before it.

    Args:
        text: One sentence.
        proper: Words known as names; one of them counts even where it begins the sentence.
    """
    text = plain(text)
    found: list[Fact] = []
    for match in _NAME.finditer(text):
        word = _name_form(match[0])
        if word is None or (_begins(text, match.start()) and word not in proper and not _is_calendar(word)):
            continue
        before = found[-1] if found else None
        if before and text[before.start + len(before.text) : match.start()] == " ":
            found[-1] = Fact(
                "name", f"{before.value} {word}", text=text[before.start : match.end()], start=before.start
            )
        elif number := re.search(r"\b\d+ $", text[: match.start()]):
            value = f"{number[0]}{word}"
            found.append(Fact("name", value, text=text[number.start() : match.end()], start=number.start()))
        else:
            found.append(Fact("name", word, text=match[0], start=match.start()))
    return found


def _name_form(written: str) -> str | None:
    """A capitalised word as a name; None for those that are none."""
    word = fold(written).removesuffix("'s").rstrip("'.-")
    if word in _NOT_NAMES or (word in STOPWORDS and written != "US"):
        return None
    return SHORT_NAMES.get(word, ALIASES.get(word, word))


def unknown_opening(text: str, is_word: Callable[[str], bool]) -> Fact | None:
    """The word that a sentence begins with, where it is no word of the language: then it is a name all the same.

    Args:
        text: One sentence.
        is_word: Knows the words of the language in their plain form.
    """
    match = re.match(r"[^\w]*([A-Z][a-z]{3,})\b(?! ?[,!.…])", text)
    if match is None or not is_word("and"):
        # What a comma sets apart is a call: "Psst, ...".
        return None
    word = fold(match[1])
    if word in STOPWORDS or is_form_of_word(word, is_word):
        return None
    return Fact("name", word, text=match[1], start=match.start(1))


def is_form_of_word(word: str, is_word: Callable[[str], bool]) -> bool:
    """Whether a folded word is a word of the language or a form of one."""
    return is_word(word) or any(is_word(base) for base in _bases(word))


def _bases(word: str) -> Iterator[str]:
    """What a word may be a form of."""
    for ending in ("s", "es", "ed", "d", "ing", "ly", "er", "ers", "est", "ness", "y", "able"):
        if word.endswith(ending):
            base = word.removesuffix(ending)
            yield from (base, f"{base}e", base[:-1], f"{base[:-1]}y")
    for beginning in ("un", "re", "non", "over", "pre", "mis"):
        if word.startswith(beginning):
            yield word.removeprefix(beginning)


def _is_calendar(word: str) -> bool:
    """Whether a word is the name of a day or month and nothing else."""
    return word.removesuffix("s") in _CALENDAR


def _begins(text: str, start: int) -> bool:
    """Whether a word stands where any word has a capital: at the start, after a full stop or a colon."""
    before = _TITLE.sub("of", text[:start])
    return not re.search(r"\w", before) or bool(re.search(r"[.!?:]\s*[\"'(*]*$", before))
