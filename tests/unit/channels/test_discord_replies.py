"""Replies on Discord: the text, the calls, and what Discord says to them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import FURTHER, Channel, OutboundReply, Request, Source
from channels.discord.channel import EPOCH_MS, TOKEN_LIFE_S
from channels.discord.rendering import MARKUP, escape
from channels.errors import ChannelMisconfigured, DeliveryFailed
from channels.graphemes import length
from channels.registry import PLATFORMS, build_channel
from channels.rendering import render
from channels.testing import FakePlatform

NOW_S = 1_790_000_000.0
APPLICATION = "775799577604522054"
URL = f"https://discord.com/api/v10/webhooks/{APPLICATION}"
LONG = "A sentence that fills the message. " * 150


def build(*, now_s: float = NOW_S, **secrets: str) -> Channel:
    return build_channel(
        "discord",
        app="main",
        secrets={"private_key": "0f" * 32} | secrets,
        api_url="https://discord.com/api/v10",
        clock=lambda: now_s,
    )


def asked(word: str = "a-token", *, age_s: float = 0.0) -> dict[str, str]:
    """What is needed to answer a command that was given so long ago."""
    issued_ms = int((NOW_S - age_s) * 1000)
    return {"interaction_id": str((issued_ms - EPOCH_MS) << 22 | 7), "token": word}


def failure(status: int, answer: object, **headers: str) -> DeliveryFailed:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(DeliveryFailed) as caught:
        build().receipt(status, told, json.dumps(answer).encode())
    return caught.value


@pytest.mark.parametrize(
    ("markdown", "written"),
    [
        pytest.param("**b** *i* ~~s~~ `c`", "**b** _i_ ~~s~~ `c`", id="styles"),
        pytest.param("***both***", "**_both_**", id="two styles"),
        pytest.param("**a\nb**", "**a**\n**b**", id="no style spans a line"),
        pytest.param("# Head\ntext", "**Head**\n\ntext", id="heading"),
        pytest.param("- a\n- b\n  1. c", "• a\n• b\n  1. c", id="lists"),
        pytest.param("> q\n> r", "> q\n> r", id="quote"),
        pytest.param("```\na_b <*>\n\nc\n```", "`a_b <*>`\n\n`c`", id="code block, which needs no escapes"),
        pytest.param("`` a`b_c ``", "a\\`b\\_c", id="a backtick inside code"),
        pytest.param(
            "<@U1> <@&2> <#3> <:a:4> <t:5:R> </ask:6>",
            "\\<@U1\\> \\<@&2\\> \\<\\#3\\> \\<:a:4\\> \\<t:5:R\\> \\</ask:6\\>",
            id="no mention",
        ),
        pytest.param(
            "\\*a\\* \\_b\\_ \\~\\~c\\~\\~ ||d||", "\\*a\\* \\_b\\_ \\~\\~c\\~\\~ \\|\\|d\\|\\|", id="escapes"
        ),
        pytest.param("\\# h\n\\-# s\n\\> q\n\\- l", "\\# h\n\\-\\# s\n\\> q\n\\- l", id="starts of lines"),
        pytest.param("size 5-7, a + b", "size 5-7, a + b", id="not at the start of a line"),
        pytest.param("\\[a\\](https://a.b)", "[a]\\(https://a.b)", id="no link"),
        pytest.param("[us](https://a.b/?c&d)", "[us](<https://a.b/?c&d>)", id="link"),
        pytest.param("[a [b]](https://a.b/(c))", "[a \\[b\\]](<https://a.b/%28c%29>)", id="odd link"),
        pytest.param("[good.com](https://bad.com)", "<https://bad.com>", id="a false label"),
        pytest.param("<https://a.b/c_d>", "<https://a.b/c_d>", id="bare link"),
        pytest.param("[me](mailto:a_b@b.c)", "me (a\\_b@b.c)", id="mail"),
        pytest.param("[x](discord://a) [y](tg://b)", "x y", id="links of other kinds"),
        pytest.param("see https://a.b/c_d/~e#f.", "see https://a.b/c_d/~e#f.", id="an address in a text"),
        pytest.param("Yes [1][2].", "Yes [1][2].", id="citation"),
    ],
)
def test_markdown_is_written_as_discords(markdown: str, written: str) -> None:
    assert render(markdown, (), MARKUP) == (written,)


def test_sources_are_text() -> None:
    sources = (Source(1, "Bags *and* <@1>", "bags.md"), Source(2, "# Top", "top.md"))
    assert render("Yes [1][2].", sources, MARKUP) == (
        "Yes [1][2].\n\n[1] Bags \\*and\\* \\<@1\\>\n[2] \\# Top",
    )  # fmt: skip


_ADDRESS = re.compile(r"https?://[^\s<>()\[\]`*|\\]+")


@given(st.text(alphabet="<>@#&!*_~`|[]()\\-+. \nabhtps:/", max_size=80))
def test_nothing_in_a_text_is_markup_on_discord(text: str) -> None:
    escaped = escape(text)
    # What is behind a backslash is text; so is a web address, and a backslash can stand in none.
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "x", _ADDRESS.sub("x", escaped))
    assert not re.search(r"[\\*_~`|<>#]|\]\(|^[-+]", bare, re.MULTILINE)
    assert re.sub(r"\\([^0-9A-Za-z\s])", r"\1", escaped) == text


@given(st.text(alphabet="<>@#*_~`|[]()\\-+. \nab:/", max_size=200), st.integers(48, 160))
def test_whatever_is_written_fits_and_is_taken(text: str, limit: int) -> None:
    token = json.loads(build().simulate("Hi", account=APPLICATION, message_id="1", sender="1"))["token"]
    for content in render(text, (Source(1, text[:50], "a.md"),), replace(MARKUP, limit=limit)):
        assert length(content) <= limit
        call = Request("POST", f"{URL}/{token}", {}, {"content": content})
        assert PLATFORMS["discord"].stand_in.answer(call, number=1)[0] == 200


@given(st.text(alphabet="_(]<-h", min_size=60, max_size=400))
def test_a_word_longer_than_a_message_fits_with_its_escapes(word: str) -> None:
    for content in render(word, (), replace(MARKUP, limit=48)):
        assert length(content) <= 48


def test_a_reply_replaces_the_line_that_we_are_thinking_and_goes_on_below() -> None:
    first, second, third = build().render(OutboundReply(APPLICATION, asked(), LONG, "out-1"))
    assert (first.method, first.url) == ("PATCH", f"{URL}/a-token/messages/@original")
    assert {(call.method, call.url) for call in (second, third)} == {("POST", f"{URL}/a-token")}
    for call in (first, second, third):
        assert {**call.fields, "content": "..."} == {
            "content": "...",
            "allowed_mentions": {"parse": []},
            "flags": 4,
        }
        assert call.headers["user-agent"].startswith("DiscordBot (")
        assert "authorization" not in call.headers


def test_neither_the_token_nor_the_account_can_lead_a_call_to_another_path() -> None:
    (call,) = build().render(OutboundReply("../1", asked("a/../b?c=#"), "Hi", "k"))
    assert call.url == "https://discord.com/api/v10/webhooks/..%2F1/a%2F..%2Fb%3Fc%3D%23/messages/@original"
    assert PLATFORMS["discord"].stand_in.is_for(call, {"token": "a/../b?c=#"})


def test_the_commands_token_shows_in_no_call_that_is_logged() -> None:
    assert "a-token" not in repr(build().render(OutboundReply(APPLICATION, asked(), LONG, "k")))


def test_a_command_is_answered_for_fifteen_minutes_and_then_never() -> None:
    for age_s in (-60.0, 0.0, TOKEN_LIFE_S):
        assert build().render(OutboundReply(APPLICATION, asked(age_s=age_s), "Hi", "k"))
    with pytest.raises(DeliveryFailed, match=r"16 minutes ago.*must ask again") as caught:
        build().render(OutboundReply(APPLICATION, asked(age_s=TOKEN_LIFE_S + 60), "Hi", "k"))
    assert (caught.value.retryable, caught.value.code) == (False, "50027")


def test_a_simulated_command_can_be_answered_now_and_not_in_an_hour() -> None:
    (message,) = build().parse(build().simulate("Hi", account=APPLICATION, message_id="1", sender="1")).messages
    reply = OutboundReply(message.account, message.reply_to, "Hi", "k")
    assert build(now_s=NOW_S + 1).render(reply)
    with pytest.raises(DeliveryFailed):
        build(now_s=NOW_S + 3600).render(reply)


@pytest.mark.parametrize(
    ("status", "answer", "retryable", "told"),
    [
        pytest.param(404, {"code": 10015}, True, "code 10015", id="a token that Discord does not know yet"),
        pytest.param(401, {"code": 50027}, False, "15 minutes", id="token expired"),
        pytest.param(404, {"code": 10008}, False, "deleted", id="answer deleted"),
        pytest.param(404, {"code": 10062}, False, "3 s", id="answered too late"),
        pytest.param(400, {"code": 50035}, False, "report it", id="a field is wrong"),
        pytest.param(403, {"code": 50013}, False, "may not write", id="permission"),
        pytest.param(403, {"code": 40333}, False, "wall", id="the wall"),
        pytest.param(400, {"code": 999999}, False, "code 999999", id="unknown code, our fault by status"),
        pytest.param(500, {"code": 0}, True, "HTTP 500", id="no code, their fault by status"),
        pytest.param(429, {"code": 40062}, True, "again", id="too many"),
        pytest.param(429, "error code: 1015", True, "again", id="too many, says the wall"),
        pytest.param(404, {"code": True}, False, "HTTP 404", id="a code that is none"),
        pytest.param(200, "welcome to our hotel wireless", True, "again", id="a 200 that is not Discord's"),
    ],
)
def test_a_refusal_is_decided_on_its_code(status: int, answer: object, retryable: bool, told: str) -> None:
    error = failure(status, answer)
    assert error.retryable is retryable
    assert told in str(error)


@pytest.mark.parametrize(
    ("answer", "header", "wait_s"),
    [({"retry_after": 0.65}, "1", 0.65), ({"retry_after": None}, "7", 7.0), ("error", "7", 7.0), ({}, None, None)],
)
def test_discord_says_how_long_to_wait(answer: object, header: str | None, wait_s: float | None) -> None:
    error = failure(429, answer, **({"retry_after": header} if header else {}))
    assert (error.retryable, error.retry_after_s) == (True, wait_s)


def test_the_id_of_the_message_is_kept() -> None:
    assert build().receipt(200, {}, b'{"id":"1041000000000000009"}') == "1041000000000000009"


@pytest.mark.parametrize("key", ["", "replace-me", "0f" * 31, "0f" * 33, "0g" * 32, "٣" * 64])
def test_a_key_of_another_form_keeps_the_channel_off(key: str) -> None:
    with pytest.raises(ChannelMisconfigured, match="public_key"):
        build_channel("discord", app="main", secrets={}, settings={"public_key": key}, api_url="https://a.b")
    with pytest.raises(ChannelMisconfigured, match="private_key"):
        build(private_key=key)


def test_only_the_simulator_can_sign() -> None:
    real = build_channel(
        "discord", app="main", secrets={}, settings={"public_key": "3d" * 32}, api_url="https://discord.com/api/v10"
    )
    with pytest.raises(ChannelMisconfigured, match="Only Discord"):
        real.sign(b"{}")


def test_the_simulators_key_goes_before_the_configured_one() -> None:
    both = build_channel(
        "discord",
        app="main",
        secrets={"private_key": "0f" * 32},
        settings={"public_key": "3d" * 32},
        api_url="https://discord.com/api/v10",
    )
    both.verify(both.sign(b"{}"), b"{}")


def test_what_the_stand_in_makes_up_is_a_key() -> None:
    make = PLATFORMS["discord"].stand_in.made_up["private_key"]
    assert make() != make()
    build(private_key=make())


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"content": ""}, 400, 50006),
        ({"content": " \n "}, 400, 50006),
        ({"content": "x" * 2001}, 400, 50035),
        ({"flags": 1 << 6}, 400, 50035),
        ({"content": "x" * 2000}, 200, None),
    ],
)
def test_the_stand_in_checks_what_discord_checks(changed: dict[str, object], status: int, code: int | None) -> None:
    platform = FakePlatform(PLATFORMS["discord"].stand_in)
    (message,) = build().parse(build().simulate("Hi", account=APPLICATION, message_id="1", sender="1")).messages
    (call,) = build().render(OutboundReply(message.account, message.reply_to, "Hi", "k"))
    answer = platform(replace(call, json={**call.fields, **changed}))
    assert (answer[0], json.loads(answer[2]).get("code")) == (status, code)
    assert len(platform.taken) == (status == 200)


TOKEN = "aW50ZXJhY3Rpb246MTIzOmFiYw"  # interaction:123:abc


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", f"/webhooks/1/{TOKEN}/messages/@original", 200),
        ("POST", f"/webhooks/1/{TOKEN}", 200),
        ("POST", f"/webhooks/1/{TOKEN}/messages/@original", 405),
        ("PATCH", f"/webhooks/1/{TOKEN}", 405),
        ("POST", f"/webhooks/main/{TOKEN}", 400),
        ("POST", "/webhooks/1/another", 401),
        ("POST", "/webhooks/1/bm90LWFuLWludGVyYWN0aW9u", 401),
        ("POST", "/webhooks/1", 404),
    ],
)
def test_the_stand_in_knows_its_addresses(method: str, path: str, status: int) -> None:
    call = Request(method, f"https://discord.com/api/v10{path}", {}, {"content": "Hi"})
    assert PLATFORMS["discord"].stand_in.answer(call, number=1)[0] == status


def test_what_is_said_after_the_answer_stands_beside_it_and_replaces_nothing() -> None:
    (call,) = build().render(OutboundReply(APPLICATION, {**asked(), FURTHER: "yes"}, "Hi", "k"))
    assert (call.method, call.repeatable) == ("POST", False)
