"""Replies on Telegram: the text, the calls, and what Telegram says to them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Channel, OutboundReply, Request, Source
from channels.errors import ChannelMisconfigured, DeliveryFailed
from channels.graphemes import length
from channels.registry import PLATFORMS, build_channel
from channels.rendering import render
from channels.telegram.rendering import JOINER, MARKUP, close, escape
from channels.testing import FakePlatform

SECRETS = {"bot_token": "7000000001:AA-not-a-token", "secret_token": "word"}
TOPIC = {"chat_id": "-1001234567890", "message_id": "7", "message_thread_id": "42"}
LONG = "A sentence that fills the message. " * 300


def build(**settings: str) -> Channel:
    return build_channel(
        "telegram",
        app="shop",
        secrets=SECRETS,
        settings=settings,
        api_url="https://api.telegram.org",
        clock=lambda: 1_790_000_000.0,
    )


def failure(status: int, answer: object, **headers: str) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        build().receipt(
            status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(answer).encode()
        )
    return caught.value  # fmt: skip


def refused(code: int, description: str, **parameters: int) -> dict[str, object]:
    told = {"ok": False, "error_code": code, "description": description}
    return {**told, "parameters": parameters} if parameters else told


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        pytest.param("**b** *i* ~~s~~ `c`", "<b>b</b> <i>i</i> <s>s</s> <code>c</code>", id="styles"),
        pytest.param("***both***", "<b><i>both</i></b>", id="two styles, closed in their order"),
        pytest.param("**a\nb**", "<b>a</b>\n<b>b</b>", id="no style spans a line"),
        pytest.param("# Head\ntext", "<b>Head</b>\n\ntext", id="heading"),
        pytest.param("- a\n- b\n  1. c", "• a\n• b\n  1. c", id="lists"),
        pytest.param("```\na < b\n\nc\n```", "<code>a &lt; b</code>\n\n<code>c</code>", id="code block"),
        pytest.param("a & <b>b</b> <a href=x>", "a &amp; &lt;b&gt;b&lt;/b&gt; &lt;a href=x&gt;", id="escapes"),
        pytest.param("*a* \\*b\\* \\_c\\_ [d]", "<i>a</i> *b* _c_ [d]", id="Markdown is text"),
        pytest.param('[a "b"](https://a.b/?c&d="e")', '<a href="https://a.b/?c&amp;d=%22e%22">a "b"</a>', id="link"),
        pytest.param(
            "[good.com](https://bad.com)", '<a href="https://bad.com">https://bad.com</a>', id="a false label"
        ),
        pytest.param("[me](mailto:a@b.c)", "me (a@b.c)", id="mail"),
        pytest.param("<a@b.c>", "a@b.c", id="bare mail"),
        pytest.param("[x](tg://user?id=1) [y](javascript:a)", "x [y](javascript:a)", id="no link that calls a person"),
        pytest.param("Yes [1][2].", "Yes [1][2].", id="citation"),
    ],
)
def test_markdown_is_written_as_telegrams_html(markdown: str, html: str) -> None:
    assert render(markdown, (), MARKUP) == (html,)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone @some_bot", "@~everyone @~some_bot"),
        ("(@a) /@b é@c", "(@~a) /~@~b é@~c"),
        ("/start /ban@other_bot", "/~start /~ban@other_bot"),
        ("a.b@c.d and/or https://a.b/c?d=/e 24/7", "a.b@c.d and/or https://a.b/c?d=/~e 24/7"),
    ],
)
def test_nothing_in_a_text_is_a_mention_or_a_command(text: str, shown: str) -> None:
    assert escape(text) == shown.replace("~", JOINER)


def test_sources_are_text() -> None:
    sources = (Source(1, "Bags <b>& @more</b>", "bags.md"),)
    (text,) = render("Yes [1].", sources, MARKUP)
    assert text == f"Yes [1].\n\n[1] Bags &lt;b&gt;&amp; @{JOINER}more&lt;/b&gt;"


def test_tags_are_closed_from_the_inside() -> None:
    assert close("<b><i><s>") == "</s></i></b>"
    assert close("") == ""


class Reader(HTMLParser):
    """Reads the text as a browser would, and checks that each tag is closed in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.is_open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"b", "i", "s", "code", "a"}
        assert [name for name, _ in attrs] == (["href"] if tag == "a" else [])
        self.links += [str(value) for _, value in attrs]
        self.is_open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.is_open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.is_open
    return reader


HOSTILE = st.text(alphabet="<>&/@\"'=*_~`[]()|\\ ab:.1#\n-hrefps", max_size=120)


@given(HOSTILE, st.integers(48, 160))
def test_whatever_is_written_is_sound_html_that_calls_nobody(text: str, limit: int) -> None:
    stand_in = PLATFORMS["telegram"].stand_in
    for html in render(text, (Source(1, text[:50], "a.md"),), replace(MARKUP, limit=limit)):
        assert length(html) <= limit
        shown = read(html)
        # Telegram's own rules for what it marks by itself, save that a web address goes first.
        bare = re.sub(r"https?://\S+", "", shown.text)
        assert not re.search(r"(?<![A-Za-z0-9_])@[A-Za-z0-9_]", bare)
        assert not re.search(r"(?<![A-Za-z0-9_/<>])/[A-Za-z0-9_]", bare)
        assert all(link.startswith(("http://", "https://")) for link in shown.links)
        call = Request("POST", "https://a.b/bot1:A/sendMessage", {}, {"chat_id": 1, "text": html, "parse_mode": "HTML"})
        assert stand_in.answer(call, number=1)[0] == 200


@given(st.text(alphabet="@/(<&]a", min_size=60, max_size=400))
def test_a_word_longer_than_a_message_fits_with_all_that_is_put_into_it(word: str) -> None:
    for html in render(word, (), replace(MARKUP, limit=48)):
        assert length(html) <= 48


def test_a_reply_is_one_message_a_part_in_the_same_topic_and_quotes_once() -> None:
    first, second, third = build().render(OutboundReply("shop", TOPIC, LONG, "out-1"))
    assert (first.method, first.url) == ("POST", "https://api.telegram.org/bot7000000001:AA-not-a-token/sendMessage")
    assert {**first.fields, "text": "..."} == {
        "chat_id": -1001234567890,
        "message_thread_id": 42,
        "text": "...",
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
        "reply_parameters": {"message_id": 7, "allow_sending_without_reply": True},
    }
    for later in (second, third):
        assert later.fields["message_thread_id"] == 42
        assert "reply_parameters" not in later.fields


def test_the_bots_token_shows_in_no_call_that_is_logged() -> None:
    channel = build()
    calls = [*channel.render(OutboundReply("shop", TOPIC, "Hi", "k")), *channel.typing("shop", TOPIC)]
    assert len(calls) == 2
    assert "AA-not-a-token" not in repr(calls)


def test_that_we_write_is_shown_in_the_same_topic() -> None:
    (call,) = build().typing("shop", TOPIC)
    assert call.url.endswith("/sendChatAction")
    assert call.fields == {"chat_id": -1001234567890, "message_thread_id": 42, "action": "typing"}


@pytest.mark.parametrize(
    ("status", "answer", "retryable", "told"),
    [
        pytest.param(403, refused(403, "Forbidden: bot was blocked by the user"), False, "blocked", id="blocked"),
        pytest.param(403, refused(403, "Forbidden: user is deactivated"), False, "account is gone", id="gone"),
        pytest.param(403, refused(403, "Forbidden: bot was kicked from the group chat"), False, "removed", id="kicked"),
        pytest.param(400, refused(400, "Bad Request: chat not found"), False, "no such chat", id="no chat"),
        pytest.param(400, refused(400, "Bad Request: message thread not found"), False, "topic", id="no topic"),
        pytest.param(400, refused(400, "Bad Request: TOPIC_CLOSED"), False, "topic is closed", id="closed topic"),
        pytest.param(400, refused(400, "Bad Request: of tomorrow"), False, "report it", id="another mistake"),
        pytest.param(401, refused(401, "Unauthorized"), False, "token", id="token revoked"),
        pytest.param(404, refused(404, "Not Found"), False, "token", id="token of another form"),
        pytest.param(429, refused(429, "Too Many Requests: retry after 7"), True, "again", id="too many"),
        pytest.param(500, refused(500, "Internal Server Error"), True, "again", id="theirs"),
        pytest.param(502, "<html>", True, "again", id="not Telegram's"),
        pytest.param(200, "welcome to our hotel wireless", True, "again", id="a 200 that is not Telegram's"),
        pytest.param(400, refused(True, "x"), False, "code 400", id="a code that is none"),
    ],
)
def test_a_refusal_is_decided_on_its_code(status: int, answer: object, retryable: bool, told: str) -> None:
    error = failure(status, answer)
    assert error.retryable is retryable
    assert told in str(error)
    assert "Bad Request" not in str(error)


@pytest.mark.parametrize(
    ("parameters", "header", "wait_s"),
    [
        ({"retry_after": 7}, "3", 7.0),
        ({"retry_after": 1.5}, None, 1.5),
        ({"retry_after": 10**9}, None, 24 * 3600.0),
        ({"retry_after": -1}, "3", 3.0),
        ({"retry_after": True}, None, None),
        ({"retry_after": "7"}, None, None),
        ({}, "3", 3.0),
        (None, None, None),
    ],
)
def test_telegram_says_how_long_to_wait(parameters: object, header: str | None, wait_s: float | None) -> None:
    answer = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": parameters}
    error = failure(429, answer, **({"retry_after": header} if header else {}))
    assert (error.retryable, error.retry_after_s) == (True, wait_s)


def test_a_group_that_moved_is_not_written_to_again() -> None:
    moved = refused(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-1001)
    error = failure(400, moved)
    assert (error.retryable, error.code) == (False, "migrated")
    assert "supergroup" in str(error)


def test_the_id_of_a_sent_message_has_the_form_of_ours() -> None:
    sent = {"ok": True, "result": {"message_id": 9, "chat": {"id": -1001}, "text": "Hi"}}
    assert build().receipt(200, {}, json.dumps(sent).encode()) == "-1001:9"
    for odd in ({"ok": True, "result": True}, {"ok": True}, {"ok": True, "result": {"message_id": 9}}):
        assert build().receipt(200, {}, json.dumps(odd).encode()) == ""


@pytest.mark.parametrize("token", ["7000000001", "bot:AA", "7000000001:AA/../x", "7000000001:AA?x", "1:", "٧:AA"])
def test_a_token_of_another_form_keeps_the_channel_off_and_does_not_show(token: str) -> None:
    with pytest.raises(ChannelMisconfigured, match="bot_token") as caught:
        build_channel("telegram", app="shop", secrets=SECRETS | {"bot_token": token}, api_url="https://a.b")
    assert token not in str(caught.value)


@pytest.mark.parametrize("word", ["two words", "ä", "x" * 257, "a:b"])
def test_a_secret_word_that_telegram_refuses_keeps_the_channel_off(word: str) -> None:
    with pytest.raises(ChannelMisconfigured, match="secret_token"):
        build_channel("telegram", app="shop", secrets=SECRETS | {"secret_token": word}, api_url="https://a.b")


def test_a_name_is_taken_with_and_without_its_sign_and_an_impossible_one_is_not() -> None:
    build(username="@shop_bot")
    build(username="shop_bot")
    with pytest.raises(ChannelMisconfigured, match="username"):
        build(username="shop bot")


@pytest.mark.parametrize(
    ("changed", "code", "told"),
    [
        ({"text": ""}, 400, "empty"),
        ({"text": "<b> </b>"}, 400, "empty"),
        ({"text": "x" * 4097}, 400, "too long"),
        ({"text": "😀" * 2049}, 400, "too long"),
        ({"text": "a < b"}, 400, "parse"),
        ({"text": "<b>a"}, 400, "parse"),
        ({"text": "<b><i>a</b></i>"}, 400, "parse"),
        ({"text": "</b>"}, 400, "parse"),
        ({"text": "<script>a</script>"}, 400, "parse"),
        ({"text": "a &copy; b"}, 400, "parse"),
        ({"parse_mode": "MarkdownV2"}, 400, "parse_mode"),
        ({"chat_id": None}, 400, "chat_id"),
        ({"chat_id": "1"}, 400, "chat_id"),
        ({"reply_parameters": {"message_id": "7"}}, 400, "replied"),
        ({"text": f"<b>{'x' * 2048}</b>{'&amp;' * 2048}"}, 200, ""),
    ],
)
def test_the_stand_in_checks_what_telegram_checks(changed: dict[str, object], code: int, told: str) -> None:
    platform = FakePlatform(PLATFORMS["telegram"].stand_in)
    (call,) = build().render(OutboundReply("shop", {"chat_id": "5", "message_id": "7"}, "Hi", "k"))
    status, _, body = platform(replace(call, json={**call.fields, **changed}))
    assert status == code
    assert told in json.loads(body).get("description", "")
    assert len(platform.taken) == (code == 200)


@pytest.mark.parametrize(
    ("method", "url", "code"),
    [
        ("GET", "https://a.b/bot1:A/sendMessage", 404),
        ("POST", "https://a.b/bot1:A/sendDice", 404),
        ("POST", "https://a.b/sendMessage", 404),
        ("POST", "https://a.b/bot1/sendMessage", 401),
        ("POST", "https://a.b/bot1:A/sendMessage", 200),
        ("POST", "https://a.b/bot1:A/sendChatAction", 400),
    ],
)
def test_the_stand_in_knows_its_addresses(method: str, url: str, code: int) -> None:
    call = Request(method, url, {}, {"chat_id": 1, "text": "Hi", "parse_mode": "HTML"})
    assert PLATFORMS["telegram"].stand_in.answer(call, number=1)[0] == code
