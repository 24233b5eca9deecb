"""Rules on the words of one row: cut turns, placeholders left over, wrong language."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from retrieval.language.words import word_list
from training.data.rows import Row, Rule

Said = Iterator[tuple[Rule, str]]
_ENDED = re.compile(r"(?:[.!?…:;)\]}>\"'\u2019\u201d»*_`~|=]|[^\w\s,(\[{<-])\s*$|\S+(?:@|://|www\.)\S+\s*$")
_LIST_LINE = re.compile(r"^\s*(?:[-*•\u2013]|\d+[.)]|\|)\s*\S")
_LABELLED = re.compile(r":\s*(?:\S+\s+){0,2}\S+$")
"""An end such as `Time: 3 pm`."""
_GOES_ON = frozenset(
    word_list("""
    the a an and or but because if my your our their his its of to with for from by at in into than that which who when
    while where every each very as is are was were will would can could should be been has have had not
    """)
)
_NEVER_LAST = frozenset(word_list("the a an and or because my your our their every"))
"""Words that no message ends with, however sloppily it was typed."""
_LONG_ENOUGH = 8
"""Words from which on a reply without a full stop is cut rather than curt."""
_TAIL = 200
"""Characters of a reply that its end is told by."""
_RECURS = 3
_PUNCTUATED = 0.94
"""Share of the replies with a mark at the end from which on one without is cut: people in a hurry leave it out."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the replies of a set of data end."""

    marks: bool = True
    """Whether in a mark, so that a missing one says something."""
    usual: frozenset[str] = frozenset()
    """Ends without a mark that recur: "has a rating of 4" is a template, not a cut."""


def manner(rows: Sequence[Row]) -> Manner:
    """How the replies of these rows end."""
    long = [reply for row in rows for reply in row.replies if len(reply.split()) >= _LONG_ENOUGH]
    bare = Counter(_end(reply) for reply in long if not _ENDED.search(reply[-_TAIL:]))
    usual = frozenset(end for end, count in bare.items() if count >= _RECURS)
    cut = sum(count for end, count in bare.items() if end not in usual)
    return Manner(len(long) - cut >= _PUNCTUATED * len(long), usual)


def _end(text: str) -> str:
    """The last three words, figures looking alike."""
    return re.sub(r"\d", "0", " ".join(text.lower().split()[-3:]))


def cut(row: Row, how: Manner) -> Said:
    """Turns that end in the middle, and conversations whose last word is the customer's.

    Args:
        row: One row.
        how: What `manner` says of the whole data.
    """
    for number, turn in enumerate(row.turns, start=1):
        if turn.role not in ("user", "assistant") or not turn.content.strip():
            continue
        if turn.role == "assistant" and _breaks_off(turn.content, how):
            yield "cut", f"reply {number} breaks off: ...{_tail(turn.content)}"
        elif turn.role == "user" and len(turn.content.split()) > 2 and _last_word(turn.content) in _NEVER_LAST:
            yield "cut", f"message {number} of the user breaks off: ...{_tail(turn.content)}"
    if row.turns[-1].role == "user":
        yield "cut", "the last message is the user's, so that it has no reply to learn"


def _breaks_off(text: str, how: Manner) -> bool:
    text = text.rstrip()
    if text.count("```") % 2:
        return True
    if text.endswith((",", "(", "[", "{", " -", "\u2013", "\u2014")):
        return True
    if _ENDED.search(text[-_TAIL:]):
        return False
    if _last_word(text) in _GOES_ON and len(text.split()) > 2:
        return True
    last_line = text.splitlines()[-1]
    if (
        not how.marks
        or _end(text) in how.usual
        or _LIST_LINE.match(last_line)
        or _LABELLED.search(last_line)
        or text.isupper()
    ):
        return False
    # Shorter ones may be curt.
    return len(text.split()) >= _LONG_ENOUGH


def _last_word(text: str) -> str:
    """The last word, folded; empty where something else ends the text."""
    last = text.split()[-1] if text.split() else ""
    return last.lower() if last.isalpha() else ""


def _tail(text: str) -> str:
    return " ".join(text.split())[-30:]


_FILLER = "|".join(
    word_list("""
    your name number email e-mail address company brand insert customer client order date time product item agent phone
    link url website site city country amount price first last full user username account tracking code title
    placeholder
    """)
)
_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]+`|<(?:title|link|address|code|time)>", re.DOTALL)
"""Code, and elements of HTML that are named like slots."""
_PLACEHOLDERS = (
    re.compile(r"\{\{[^{}\n]{1,80}\}\}"),
    re.compile(r"(?<![\w$}])\{[A-Za-z_][A-Za-z0-9_ .-]{0,40}\}(?!\})"),
    re.compile(r"\[[A-Z][A-Z0-9]*(?:[ _/-][A-Z0-9]+)*(?<=[A-Z]{2})[A-Z0-9_]*\](?<!\[[IVX]{2}\])(?!\()"),
    re.compile(rf"\[(?:{_FILLER})(?:['\u2019]s)?\b[^\[\]\n]{{0,60}}\](?!\()", re.IGNORECASE),
    re.compile(rf"<(?:{_FILLER})\b(?![^<>\n]*=)[^<>\n/]{{0,60}}>", re.IGNORECASE),
    re.compile(r"<[A-Z][A-Z0-9]*(?:[ _-][A-Z0-9]+)*>"),
    re.compile(r"\blorem ipsum\b", re.IGNORECASE),
    re.compile(r"\b(?:TODO|TBD|FIXME|TBC)\b|\bXXX+\b"),
    re.compile(r"%[A-Z][A-Z_]{2,}%|\$\{[A-Za-z_]\w*\}|(?<![\w|])_{4,}(?![\w|])"),
)


def placeholders(row: Row) -> Said:
    """Slots that nobody filled."""
    for number, turn in enumerate(row.turns, start=1):
        if turn.role in ("user", "assistant") and (found := placeholders_in(turn.content)):
            shown = ", ".join(dict.fromkeys(found[:4]))
            yield "placeholder", f"message {number} ({turn.role}) holds {shown}"
    if row.rejected and (found := placeholders_in(row.rejected)):
        yield "placeholder", f"the rejected reply holds {found[0]}"


def placeholders_in(text: str) -> list[str]:
    """The slots of a text, as written; what stands in code is no slot."""
    text = _CODE.sub(" ", text)
    return [match[0] for pattern in _PLACEHOLDERS for match in pattern.finditer(text)]


_MARGIN = 15.0
"""Natural logarithm by which another language must be likelier: one message of eight words, or two of four."""
_FEWEST_LETTERS = 24
_LIKE = {"en": ("pcm", "sco", "jam"), "de": ("bar", "gsw"), "it": ("scn", "vec", "nap", "lij")}
"""Languages that a hurried message in the first one is easily taken for."""
_IDENTIFIER_LOCK = threading.Lock()


def language(row: Row, wanted: str) -> Said:
    """A text in another language than the brand's.

    Args:
        row: One row.
        wanted: BCP 47 tag.
    """
    for text, whose in ((" ".join(row.replies), "replies"), (" ".join(row.questions), "the user's messages")):
        other = other_language(text, wanted)
        if other:
            yield "language", f"{whose}: written in {other!r}, not {wanted!r}"
            return


def other_language(text: str, wanted: str) -> str | None:
    """The language that a text is clearly in, where it is not the wanted one.

    Source: Lui and Baldwin, langid.py, ACL 2012 demonstrations; by the package py3langid.
    """
    text = re.sub(r"https?://\S+|\S+@\S+|\{\{?[^{}]*\}?\}|[\d_#<>\[\]]+", " ", text)
    text = " ".join(dict.fromkeys(text.split()))
    if sum(letter.isalpha() for letter in text) < _FEWEST_LETTERS:
        return None
    with _IDENTIFIER_LOCK:
        ranked: dict[str, float] = dict(_identifier().rank(text[:2000]))
    best = max(ranked, key=ranked.__getitem__)
    code = wanted.split("-")[0].lower()
    if best == code or best in _LIKE.get(code, ()) or code not in ranked or ranked[best] - ranked[code] < _MARGIN:
        return None
    return best


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
