"""Neutral Markdown on the platforms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Source
from channels.graphemes import clusters, length
from channels.rendering import Markup, plain_link, render, unescaped
from channels.slack.rendering import MARKUP as SLACK
from channels.slack.rendering import escape, plain_text
from channels.whatsapp.rendering import MARKUP as WHATSAPP


def short(limit: int) -> Markup:
    return Markup(limit=limit, bold="*", italic="_", strike="~", code="`", escape=unescaped, link=plain_link)


@pytest.mark.parametrize(
    ("markdown", "slack", "whatsapp"),
    [
        pytest.param("**b** *i* ~~s~~ `c`", "*b* _i_ ~s~ `c`", "*b* _i_ ~s~ `c`", id="styles"),
        pytest.param("***both***", "*_both_*", "*_both_*", id="two styles"),
        pytest.param("un**believ**able", "unbelievable", "unbelievable", id="marks inside a word would show"),
        pytest.param("**a\nb**", "*a*\n*b*", "*a*\n*b*", id="no style spans a line"),
        pytest.param("`` a`b ``", "a`b", "a`b", id="a backtick inside code"),
        pytest.param("# Head\ntext", "*Head*\n\ntext", "*Head*\n\ntext", id="heading"),
        pytest.param("- a\n- b\n  1. c", "• a\n• b\n  1. c", "• a\n• b\n  1. c", id="lists"),
        pytest.param("3. x\n4. y", "3. x\n4. y", "3. x\n4. y", id="numbers are kept"),
        pytest.param("> q\n> r", "> q\n> r", "> q\n> r", id="quote"),
        pytest.param("```\na < b\n\nc\n```", "`a &lt; b`\n\n`c`", "`a < b`\n\n`c`", id="code block"),
        pytest.param("a & <b> <!channel>", "a &amp; &lt;b&gt; &lt;!channel&gt;", "a & <b> <!channel>", id="escapes"),
        pytest.param("<@U1> @here", "&lt;@U1&gt; @here", "<@U1> @here", id="no mention"),
        pytest.param("[us](https://a.b/?c&d)", "<https://a.b/?c&amp;d|us>", "us (https://a.b/?c&d)", id="link"),
        pytest.param("[a|b>](https://a.b/|)", "<https://a.b/%7C|a|b&gt;>", "a|b> (https://a.b/%7C)", id="odd link"),
        pytest.param(
            "[good.com](https://bad.com)", "<https://bad.com>", "good.com (https://bad.com)", id="false label"
        ),
        pytest.param("<https://a.b>", "<https://a.b|https://a.b>", "https://a.b", id="bare link"),
        pytest.param("[m](mailto:a@b.c)", "<mailto:a@b.c|m>", "m (a@b.c)", id="mail"),
        pytest.param("[x](/etc/passwd)", "x", "x", id="relative link"),
        pytest.param("![alt](https://a.b/x.png)", "alt", "alt", id="image"),
        pytest.param("[1]: https://a.b", "[1]: https://a.b", "[1]: https://a.b", id="no definition vanishes"),
        pytest.param("It is $6.50 [1].", "It is $6.50 [1].", "It is $6.50 [1].", id="citation"),
        pytest.param("a  \nb\nc\n\n\n\nd", "a\nb\nc\n\nd", "a\nb\nc\n\nd", id="lines"),
    ],
)
def test_markdown_is_written_in_the_platforms_way(markdown: str, slack: str, whatsapp: str) -> None:
    assert render(markdown, (), SLACK) == (slack,)
    assert render(markdown, (), WHATSAPP) == (whatsapp,)


def test_sources_stand_at_the_end_by_number_and_as_plain_text() -> None:
    sources = (Source(2, "Bags *and* <b>", "bags.md"), Source(1, "", "returns.md"), Source(2, "Bags *and* <b>", "x"))
    assert render("Yes [1][2].", sources, SLACK) == ("Yes [1][2].\n\n[1] returns.md\n[2] Bags *and* &lt;b&gt;",)


def test_a_cut_comes_after_a_paragraph_before_a_sentence_before_a_word() -> None:
    assert render("One two three.\n\nFour five six.", (), short(24)) == ("One two three.", "Four five six.")
    assert render("One two. Three four five.", (), short(15)) == ("One two.", "Three four", "five.")
    assert render("One two three four", (), short(10)) == ("One two", "three four")


def test_a_cut_does_not_waste_more_than_half_a_message_for_a_sentence() -> None:
    assert render("Hi. Three four five six.", (), short(20)) == ("Hi. Three four five", "six.")


def test_a_citation_stays_with_its_sentence() -> None:
    assert render("We open at nine. [1] Yes.", (), short(18)) == ("We open at", "nine. [1] Yes.")
    assert render("We open at nine. [1] We close at six. [2]", (), short(24)) == (
        "We open at nine. [1]",
        "We close at six. [2]",
    )


def test_marks_are_closed_in_each_part() -> None:
    assert render("**one two three four**", (), short(14)) == ("*one two*", "*three four*")


def test_a_link_is_never_cut() -> None:
    parts = render("See [our page](https://shop.example/returns) for more about it.", (), short(48))
    assert parts[0] == "See our page (https://shop.example/returns) for"


def test_a_link_that_fits_into_no_message_becomes_its_label() -> None:
    assert render(f"[here](https://a.b/{'x' * 100})", (), short(64)) == ("here",)


def test_a_word_longer_than_a_message_is_cut_between_clusters() -> None:
    flag = "🇩🇪"
    parts = render(flag * 40, (), short(64))
    assert "".join(parts) == flag * 40
    assert all(len(part) % len(flag) == 0 and length(part) <= 64 for part in parts)


def test_one_cluster_longer_than_a_message_still_gets_through() -> None:
    monster = "a" + "\u0301" * 500
    parts = render(monster, (), short(64))
    assert "".join(parts) == monster
    assert all(length(part) <= 64 for part in parts)


@given(st.text(max_size=400), st.integers(48, 120))
def test_any_text_fits_and_is_never_an_error(text: str, limit: int) -> None:
    for markup in (short(limit), Markup(limit, "*", "_", "~", "`", escape, SLACK.link)):
        for part in render(text, (Source(1, text[:50], "a.md"),), markup):
            assert 0 < length(part) <= limit


WORDS = st.lists(
    st.sampled_from(["we", "open", "9 a.m.", "👩🏽‍🚀👍🏿", "מתי", "é́", "30 €", "。", "ok!"]), min_size=1, max_size=80
)


@given(WORDS, st.integers(48, 120))
def test_no_word_is_lost_and_no_cluster_cut(words: list[str], limit: int) -> None:
    text = " ".join(words)
    parts = render(text, (), short(limit))
    assert " ".join(parts).split() == text.split()
    assert [cluster for part in parts for cluster in clusters(part) if cluster != " "] == [
        cluster for cluster in clusters(text) if cluster != " "
    ]


@given(st.text(alphabet="<>&!@#|UBOT abc;lt", max_size=60))
def test_nothing_that_a_model_writes_becomes_a_mention_on_slack(text: str) -> None:
    escaped = escape(text)
    assert "<" not in escaped
    assert ">" not in escaped
    assert plain_text(escaped, own_ids=frozenset(), addressed=False) == text.strip()
