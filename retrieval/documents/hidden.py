"""Text that a person does not see and a model would read: taken out, and counted.

A document can carry instructions in characters without a shape or in comments; what customers are told must stand where
a person who proof-reads the page can see it. Marks that letters need are kept: the joiners of Persian, of the Indic
scripts and of emoji, the right-to-left and left-to-right marks, a single variation selector.
"""

from __future__ import annotations

import re
from collections import Counter

ZERO_WIDTH = "zero-width characters"
TAGS = "tag characters"
BIDI = "bidi controls"
COMMENTS = "HTML comments"
ELEMENTS = "hidden elements"

_TAGS = re.compile("[\U000e0000-\U000e007f]")
# Embeddings, overrides and isolates change the order in which text is shown, so that it reads otherwise than it is.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
# A joiner shapes letters from Hebrew on and pictures; after Latin, Greek, Cyrillic or a blank it only hides.
_SHAPED = "\u0590-\u1cff\u200d\u2190-\u2bff\ua800-\uabff\ufb1d-\ufdff\ufe0f\ufe70-\ufefc\U0001f000-\U0001faff"
_ZERO_WIDTH = re.compile(
    f"[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0]"
    f"|(?<![{_SHAPED}])[\u200c\u200d]"
    # One selector chooses a shape; a row of them spells bytes.
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}"
)
# Fenced code shows what it holds, its comments too.
_CODE = r"(?P<code>^ {0,3}(?P<fence>```+|~~~+).*?(?:^ {0,3}(?P=fence)|\Z))"
# What is never closed hides everything after it, as in a browser.
_COMMENT = re.compile(rf"{_CODE}|<!--.*?(?:-->|\Z)", re.DOTALL | re.MULTILINE)
HIDING_STYLE = (
    r"(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?:\.0+)?(?![.\d])"
    r"|opacity\s*:\s*0?(?:\.0+|0)(?![.\d])|(?:left|right|top|text-indent)\s*:\s*-\d{3,}|color\s*:\s*transparent)"
)
"""Declarations that hide an element from everybody who looks."""
_OPENING = re.compile(
    rf"{_CODE}|<(?P<tag>[a-zA-Z]{{1,20}})\b[^<>]{{0,500}}?"
    rf"(?:\shidden(?=[\s=/>])|style\s*=\s*[\"'][^<>\"']{{0,300}}?(?<![\w-]){HIDING_STYLE})[^<>]{{0,500}}>",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


def strip_hidden(text: str, *, markup: bool) -> tuple[str, Counter[str]]:
    """Take out what cannot be seen.

    Args:
        text: Any text.
        markup: Whether the text is Markdown, in which HTML comments and hidden HTML elements are not shown either.

    Returns:
        The text without it, and how many pieces of each kind were taken out; empty where there were none.
    """
    found: Counter[str] = Counter()
    for kind, pattern in ((TAGS, _TAGS), (BIDI, _BIDI), (ZERO_WIDTH, _ZERO_WIDTH)):
        text, found[kind] = pattern.subn("", text)
    if markup:
        text, found[COMMENTS] = _without_comments(text)
        text, found[ELEMENTS] = _without_elements(text)
    return text, +found


def _without_comments(text: str) -> tuple[str, int]:
    count = 0

    def kept(match: re.Match[str]) -> str:
        nonlocal count
        count += match["code"] is None
        return match["code"] or ""

    return _COMMENT.sub(kept, text), count


def _without_elements(text: str) -> tuple[str, int]:
    """Take out each hidden element up to the next end tag of its name; one that never ends is left."""
    pieces: list[str] = []
    endless: set[str] = set()
    at = count = 0
    for opening in _OPENING.finditer(text):
        tag = (opening["tag"] or "").lower()
        # What was looked for in vain once is not looked for again: that would take quadratic time.
        if not tag or tag in endless or opening.start() < at:
            continue
        end = re.compile(rf"</{tag}\s*>", re.IGNORECASE).search(text, opening.end())
        if end is None:
            endless.add(tag)
            continue
        pieces.append(text[at : opening.start()])
        at = end.end()
        count += 1
    return "".join([*pieces, text[at:]]), count
