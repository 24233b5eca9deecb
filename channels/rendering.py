"""Neutral Markdown to the texts of a platform: marked up in its way, and cut where it says too long.

A cut comes after a paragraph or a sentence where one ends in the second half of what fits, else between words;
inside a word only where the word alone is too long, and then between grapheme clusters. Markup is put on after
the cut, so no part holds half of a bold run, of a link or of an escape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import groupby
from urllib.parse import urlsplit

from channels.base import Source
from channels.graphemes import clusters, length
from channels.markdown import BLANK_LINE, LINE_BREAK, Run, parse_markdown

BLANKS = " \t\r\n\v\f"
"""Where a line may be cut; a no-break space is no such place."""

CJK_ENDS = "\u3002\uff01\uff1f"
"""Full stop, exclamation and question mark of Chinese and Japanese, behind which no blank stands."""

_ENDS = f".!?\u2026\u061f\u06d4\u0964{CJK_ENDS}"
_CLOSERS = "\"')\\]\u201d\u2019\u00bb"
_SENTENCE_END = re.compile(f"[{_ENDS}][{_CLOSERS}]*$")
_CITATION = re.compile(r"(\[\d+\])+[.,;]?$")
_LOOKS_LIKE_ADDRESS = re.compile(r"^(https?://)?([\w-]+\.)+[a-z]{2,}(/\S*)?$", re.IGNORECASE)


def _mirrored(marks: str) -> str:
    return marks[::-1]


@dataclass(frozen=True, slots=True)
class Markup:
    """How one platform writes styles."""

    limit: int
    """Longest text of one message, as `measure` counts it, markup and escapes included."""
    bold: str
    italic: str
    strike: str
    code: str
    escape: Callable[[str], str]
    """Text in which nothing is markup any more, escaped character by character."""
    link: Callable[[str, str], str]
    """A finished link from label and address, both unescaped."""
    close: Callable[[str], str] = _mirrored
    """What ends a style that these marks began."""
    escape_code: Callable[[str], str] | None = None
    """In place of `escape` between code marks, where the platform reads no escapes there; never longer."""
    measure: Callable[[str], int] = length
    """How the platform counts; of two texts side by side it must be the sum. UTF-16 units where it does not say."""


def unescaped(text: str) -> str:
    """The text itself, for platforms where nothing that can be typed calls or tags anyone."""
    return text


def plain_link(label: str, url: str) -> str:
    """Label and address side by side, for platforms that make a link of the address itself."""
    shown = " ".join(label.split())
    address = url.removeprefix("mailto:")
    return address if not shown or shown in (url, address) else f"{shown} ({address})"


def plain(limit: int, *, measure: Callable[[str], int] = length) -> Markup:
    """The way of a platform without marks: they are left out.

    Args:
        limit: Longest text of one message.
        measure: How the platform counts.
    """
    return Markup(limit, bold="", italic="", strike="", code="", escape=unescaped, link=plain_link, measure=measure)


class _Break(IntEnum):
    """How good a place to cut is behind a unit."""

    NONE = 0
    WORD = 1
    SENTENCE = 2
    PARAGRAPH = 3


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is never cut: a word, blanks, a link, a bullet."""

    text: str
    style: Run
    cost: int
    """Most that it adds to the length of a message, as the platform counts."""
    break_after: _Break = _Break.NONE


def render(text: str, sources: Sequence[Source], markup: Markup) -> tuple[str, ...]:
    """The messages that carry this text, in order, each at most `markup.limit` long.

    Args:
        text: Neutral Markdown; citation marks such as [1] stay as they are.
        sources: Listed by number at the end, one a line; none, and no list.
        markup: The platform's way of writing.

    Returns:
        No message for a text with nothing to see in it.
    """
    runs = parse_markdown(text)
    if not any(run.text.strip() for run in runs):
        return ()
    units = [unit for run in (*runs, *_source_runs(sources)) for unit in _units(run, markup)]
    texts = (_write(part, markup) for part in _parts(_with_sentences(units), markup.limit))
    return tuple(text for text in texts if text)


def honest_label(label: str, url: str) -> bool:
    """Whether a label may stand for an address: one that looks like another site's address may not."""
    if not _LOOKS_LIKE_ADDRESS.match(label):
        return True
    shown = urlsplit(label if "://" in label else f"https://{label}").hostname
    return shown == urlsplit(url).hostname


def _source_runs(sources: Sequence[Source]) -> Iterator[Run]:
    """The list has no heading, so that it needs no language."""
    by_number = {source.number: source for source in sources}
    for position, number in enumerate(sorted(by_number)):
        title = " ".join((by_number[number].title or by_number[number].document).split())
        yield LINE_BREAK if position else BLANK_LINE
        yield Run(f"[{number}] {title}")


def _units(run: Run, markup: Markup) -> Iterator[_Unit]:
    if run.raw:
        yield _Unit(run.text, run, markup.measure(run.text))
        return
    if run.link:
        finished = markup.link(run.text, run.link)
        if (cost := markup.measure(finished)) <= markup.limit:
            yield _Unit(finished, replace(run, text="", raw=True), cost)
            return
        run = replace(run, link="")
    marks = sum(
        markup.measure(mark) + markup.measure(markup.close(mark))
        for mark, used in zip(
            (markup.bold, markup.italic, markup.strike, markup.code),
            (run.bold, run.italic, run.strike, run.code),
            strict=True,
        )
        if used
    )

    def unit(text: str, break_after: _Break = _Break.NONE) -> _Unit:
        return _Unit(text, run, markup.measure(markup.escape(text)) + marks, break_after)

    for word in _words(run.text):
        if not word.strip(BLANKS):
            yield _blank(word, run)
        elif (whole := unit(word)).cost <= markup.limit:
            yield replace(whole, break_after=_Break.SENTENCE) if word[-1] in CJK_ENDS else whole
        else:
            yield from (unit(piece) for piece in _pieces(word, markup.limit // 8))


def _words(text: str) -> Iterator[str]:
    """Words and the blanks between them; what is cut is always a boundary of grapheme clusters."""
    for is_blank, group in groupby(clusters(text), key=lambda cluster: not cluster.strip(BLANKS)):
        if is_blank:
            yield "".join(group)
            continue
        word = ""
        for cluster in group:
            word += cluster
            if cluster in CJK_ENDS:
                yield word
                word = ""
        if word:
            yield word


def _blank(text: str, run: Run) -> _Unit:
    """Blanks of any length as one blank, one line end or one empty line."""
    lines = text.count("\n")
    if lines == 0:
        return _Unit(" ", run, 1, _Break.WORD)
    return _Unit("\n" * min(lines, 2), run, 2, _Break.PARAGRAPH if lines > 1 else _Break.SENTENCE)


def _pieces(word: str, most: int) -> Iterator[str]:
    """The clusters of a word that fits into no message; one cluster that is longer than `most` is cut by characters."""
    for cluster in clusters(word):
        if len(cluster) <= most:
            yield cluster
        else:
            yield from cluster


def _with_sentences(units: Sequence[_Unit]) -> list[_Unit]:
    """Mark the blanks behind sentences; a citation mark stays with what it stands behind."""
    marked = list(units)
    ended = False
    for position, unit in enumerate(units):
        if unit.break_after is not _Break.WORD:
            cited = bool(_CITATION.match(unit.text))
            ended = bool(_SENTENCE_END.search(unit.text)) or (cited and ended)
            continue
        following = units[position + 1].text if position + 1 < len(units) else ""
        if _CITATION.match(following):
            marked[position] = replace(unit, break_after=_Break.NONE)
        elif ended:
            marked[position] = replace(unit, break_after=_Break.SENTENCE)
    return marked


def _parts(units: Sequence[_Unit], limit: int) -> Iterator[Sequence[_Unit]]:
    start = 0
    while start < len(units):
        if not units[start].text.strip(BLANKS):
            start += 1
            continue
        used = 0
        end = start
        while end < len(units) and used + units[end].cost <= limit:
            used += units[end].cost
            end += 1
        if end < len(units):
            end = _best_cut(units, start, end, used)
        yield units[start:end]
        start = end


def _best_cut(units: Sequence[_Unit], start: int, end: int, used: int) -> int:
    """Where to end a part whose units fit up to `end`; always behind `start`."""
    found: dict[_Break, int] = {}
    left = used
    for position in range(end, start, -1):
        kind = units[position - 1].break_after
        in_second_half = left * 2 >= used
        if kind and (in_second_half or kind is _Break.WORD):
            found.setdefault(kind, position)
        if not in_second_half and found:
            break
        left -= units[position - 1].cost
    return found[max(found)] if found else max(end, start + 1)


def _write(units: Sequence[_Unit], markup: Markup) -> str:
    groups: list[tuple[Run, str]] = []
    for style, group in groupby(units, key=lambda unit: replace(unit.style, text="")):
        groups.append((style, "".join(unit.text for unit in group)))
    written = ""
    for position, (style, text) in enumerate(groups):
        following = groups[position + 1][1][:1] if position + 1 < len(groups) else ""
        written += text if style.raw else _styled(style, text, markup, before=written[-1:], after=following)
    return written.strip(BLANKS)


def _styled(style: Run, text: str, markup: Markup, *, before: str, after: str) -> str:
    """The text with its marks close around it; platforms read marks as such only at the edges of words."""
    inner = text.strip(BLANKS)
    start = text.index(inner)
    end = start + len(inner)
    in_a_word = (start == 0 and before.isalnum()) or (end == len(text) and after.isalnum())
    marks = "" if in_a_word or not inner else _marks(style, inner, markup)
    escape = markup.escape_code if marks and style.code and markup.escape_code else markup.escape
    return f"{text[:start]}{marks}{escape(inner)}{markup.close(marks)}{text[end:]}"


def _marks(style: Run, inner: str, markup: Markup) -> str:
    if style.code:
        return "" if markup.code in inner else markup.code
    pairs = ((markup.bold, style.bold), (markup.italic, style.italic), (markup.strike, style.strike))
    return "".join(mark for mark, used in pairs if used)
