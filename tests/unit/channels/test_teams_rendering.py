"""Neutral Markdown in Teams' own."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from channels.base import Source
from channels.graphemes import length
from channels.rendering import render
from channels.teams.rendering import MARKUP, MAX_ACTIVITY_BYTES, MAX_TEXT_CHARS, escape, with_line_ends

PIECES = (
    "[a]",
    "(https://a.b)",
    ": https://a.b",
    "**b**",
    "https://a.b/_x_y__z",
    "~",
    "_",
    "~~c~~",
    "\n",
    " ",
    "| a |",
    "|---|",
    "# ",
    "- ",
    "<b>",
    "&lt;",
)
NUMBERED = {"ordered_list_open", "ordered_list_close", "list_item_open", "list_item_close"}
"""A numbered list looks as it was written."""


def written(markdown: str, *sources: Source) -> str:
    (text,) = render(markdown, sources, MARKUP)
    return with_line_ends(text)


@pytest.mark.parametrize(
    ("markdown", "teams"),
    [
        pytest.param("**b** *i* ~~s~~ `c`", "**b** _i_ ~~s~~ `c`", id="styles"),
        pytest.param("***both***", "**_both_**", id="two styles"),
        pytest.param("un**believ**able", "unbelievable", id="marks inside a word would show"),
        pytest.param("**a\nb**", "**a**  \n**b**", id="no style spans a line"),
        pytest.param("# Head\ntext", "**Head**\n\ntext", id="heading"),
        pytest.param("- a\n- b\n  1. c", "• a  \n• b  \n  1. c", id="lists"),
        pytest.param("> q\n> r", "> q  \n> r", id="quote"),
        pytest.param("```\na < b * c\n```", "`a < b * c`", id="code block"),
        pytest.param("a & <b> &amp;", "a &amp; &lt;b&gt; &amp;", id="tags and entities"),
        pytest.param("<at>Anna</at> @everyone", "&lt;at&gt;Anna&lt;/at&gt; @everyone", id="no mention"),
        pytest.param("\\*not bold\\* snake_case a~b", "\\*not bold\\* snake\\_case a\\~b", id="literal marks"),
        pytest.param("\\# one\n\n\\- two\n\n\\+ three", "\\# one\n\n\\- two\n\n\\+ three", id="literal blocks"),
        pytest.param("[us](https://a.b/?c&d)", "[us](https://a.b/?c&amp;d)", id="link"),
        pytest.param("[a](https://a.b/x_\\(y\\))", "[a](https://a.b/x_%28y%29)", id="odd link"),
        pytest.param("[\\[x\\]\\(y](https://a.b)", "[\\[x\\]\\(y](https://a.b)", id="odd label"),
        pytest.param("[good.com](https://bad.com)", "[https://bad.com](https://bad.com)", id="false label"),
        pytest.param("[m](mailto:a@b.c)", "[m](mailto:a@b.c)", id="mail"),
        pytest.param("[x](/etc/passwd)", "x", id="relative link"),
        pytest.param("![alt](https://a.b/x.png)", "alt", id="image"),
        pytest.param("\\[x](https://a.b)", "[x]\\(https://a.b)", id="no link out of text"),
        pytest.param("[1]: https://a.b", "[1]\\: https://a.b", id="no definition vanishes"),
        pytest.param("See https://a.b/x_y_z now", "See https://a.b/x_y_z now", id="bare link"),
        pytest.param("https://a.b/\\_x\\_/~~c~~", "https://a.b/\\_x\\_/~~c~~", id="marks in a bare link"),
        pytest.param("It is $6.50 [1].", "It is $6.50 [1].", id="citation"),
        pytest.param("a  \nb\n\n\n\nc", "a  \nb\n\nc", id="lines"),
    ],
)
def test_markdown_is_written_in_teams_way(markdown: str, teams: str) -> None:
    assert written(markdown) == teams


@pytest.mark.parametrize(
    ("text", "teams"),
    [
        ("https://a.b/~me_x", "https://a.b/~me_x"),
        ("https://a.b/~~x~~", "https://a.b/\\~\\~x\\~\\~"),
        ("https://a.b/_x y_", "https://a.b/\\_x y\\_"),
        ("https://a.b/x__y", "https://a.b/x\\_\\_y"),
    ],
)
def test_marks_in_a_bare_address_are_kept_only_where_they_mark_nothing(text: str, teams: str) -> None:
    assert escape(text) == teams


def test_sources_stand_on_lines_of_their_own() -> None:
    sources = (Source(2, "Bags *and* <b>", "bags.md"), Source(1, "", "returns.md"))
    assert written("Yes [1][2].", *sources) == ("Yes [1][2].\n\n[1] returns.md  \n[2] Bags \\*and\\* &lt;b&gt;")


@given(
    st.text("ab 1*_~`|\\[]()<>&#+-=!:@./\n", max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
)
def test_nothing_that_is_written_as_text_becomes_markup(text: str) -> None:
    """A reader of CommonMark with tables and strikethrough sees the very text, in paragraphs."""
    text = "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip())
    reader = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough", "table"])
    tokens = reader.parse(with_line_ends(escape(text)))
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"} | NUMBERED
    if any(token.type in NUMBERED for token in tokens):
        return
    inner = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inner} <= {"text", "text_special", "hardbreak", "softbreak"}
    assert "".join(child.content or "\n" for child in inner) == text


@given(st.text(max_size=300), st.integers(1, 40))
def test_no_activity_is_too_large(text: str, times: int) -> None:
    for part in render(text * times, (), MARKUP):
        assert length(with_line_ends(part)) <= MAX_TEXT_CHARS


def test_the_worst_text_fits_however_it_is_counted() -> None:
    for text in ("😀" * 20_000, "a\nb\n" * 9_000, "é" * 20_000, "*" * 20_000):
        for part in render(text, (), MARKUP):
            body = {"text": with_line_ends(part), "conversation": {"id": "x" * 512}, "replyToId": "x" * 512}
            assert len(json.dumps(body).encode()) < MAX_ACTIVITY_BYTES
            assert len(json.dumps(body, ensure_ascii=False).encode("utf-16-le")) < MAX_ACTIVITY_BYTES
