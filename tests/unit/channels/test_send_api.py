"""Replies on Messenger and Instagram: how they are written, sent, and what Meta says to them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Channel, OutboundReply, Request, Source
from channels.errors import DeliveryFailed, SignatureInvalid
from channels.graphemes import length
from channels.instagram.channel import MARKUP as INSTAGRAM
from channels.instagram.channel import utf8_bytes
from channels.messenger.channel import MARKUP as MESSENGER
from channels.registry import PLATFORMS, build_channel
from channels.rendering import plain, render

URLS = {"messenger": "https://graph.facebook.com/v23.0", "instagram": "https://graph.instagram.com/v23.0"}
BOTH = pytest.mark.parametrize("name", ["messenger", "instagram"])
BEARER = {"authorization": "Bearer EAA"}


def build(name: str) -> Channel:
    secrets = {"app_secret": "s" * 32, "verify_token": "token", "access_token": "EAA"}
    return build_channel(name, app="main", secrets=secrets, api_url=URLS[name], clock=lambda: 1_790_000_000.0)


def failure(name: str, status: int, body: object) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        build(name).receipt(status, {}, json.dumps(body).encode())
    return caught.value


# How they are written.


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        pytest.param("**b** *i* ~~s~~ `c`", "b i s c", id="styles"),
        pytest.param("***both*** un**believ**able", "both unbelievable", id="styles side by side"),
        pytest.param("`` a`b ``", "a`b", id="a backtick inside code"),
        pytest.param("# Head\ntext", "Head\n\ntext", id="heading"),
        pytest.param("- a\n- b\n  1. c", "• a\n• b\n  1. c", id="lists"),
        pytest.param("> q\n> r", "> q\n> r", id="quote"),
        pytest.param("```\na < b\n\nc\n```", "a < b\n\nc", id="code block"),
        pytest.param("a & <b> @everyone #tag", "a & <b> @everyone #tag", id="nothing to escape"),
        pytest.param("[us](https://a.b/?c&d)", "us (https://a.b/?c&d)", id="link"),
        pytest.param("[good.com](https://bad.com)", "good.com (https://bad.com)", id="false label"),
        pytest.param("<https://a.b>", "https://a.b", id="bare link"),
        pytest.param("[m](mailto:a@b.c)", "m (a@b.c)", id="mail"),
        pytest.param("[x](/etc/passwd)", "x", id="relative link"),
        pytest.param("![alt](https://a.b/x.png)", "alt", id="image"),
        pytest.param("It is **$6.50** [1].", "It is $6.50 [1].", id="citation"),
        pytest.param("a  \nb\nc\n\n\n\nd", "a\nb\nc\n\nd", id="lines"),
        pytest.param("**مرحبا** 👩🏽‍🚀", "مرحبا 👩🏽‍🚀", id="right to left, and emoji"),
    ],
)
def test_marks_are_left_out(markdown: str, text: str) -> None:
    assert render(markdown, (), MESSENGER) == render(markdown, (), INSTAGRAM) == (text,)


def test_sources_stand_at_the_end() -> None:
    sources = (Source(2, "Bags *and* <b>", "bags.md"), Source(1, "", "returns.md"))
    assert render("Yes [1][2].", sources, INSTAGRAM) == ("Yes [1][2].\n\n[1] returns.md\n[2] Bags *and* <b>",)


def test_instagram_counts_bytes_where_messenger_counts_characters() -> None:
    text = "Ждём вас в субботу. " * 40
    assert len(render(text, (), MESSENGER)) == 1
    first, second = render(text, (), INSTAGRAM)
    assert 900 < utf8_bytes(first) <= 1000
    assert first.endswith("субботу.")
    assert f"{first} {second}" == text.strip()


def test_a_text_of_just_the_limit_is_one_message() -> None:
    for markup, letter in ((MESSENGER, "a"), (INSTAGRAM, "é")):
        most = markup.limit // markup.measure(letter)
        assert len(render(letter * most, (), markup)) == 1
        assert len(render(letter * (most + 1), (), markup)) > 1


def test_a_link_that_is_too_long_in_bytes_becomes_its_label() -> None:
    link = "[доставка и возврат](https://a.b/c)"
    assert render(link, (), plain(48)) == ("доставка и возврат (https://a.b/c)",)
    assert render(link, (), plain(48, measure=utf8_bytes)) == ("доставка и возврат",)


def test_bullets_and_quote_marks_count_too() -> None:
    for markdown in ("- ab\n" * 100, "> ab\n" * 100):
        for measure in (length, utf8_bytes):
            parts = render(markdown, (), plain(48, measure=measure))
            assert max(measure(part) for part in parts) <= 48
            assert sum(part.count("ab") for part in parts) == 100


@given(st.text(max_size=400), st.integers(48, 120))
def test_any_text_fits_by_each_measure_and_is_never_an_error(text: str, limit: int) -> None:
    for measure in (length, utf8_bytes):
        for part in render(text, (Source(1, text[:50], "a.md"),), plain(limit, measure=measure)):
            assert 0 < measure(part) <= limit


# How they are sent.

LONG = "A sentence that fills the message. " * 100
REPLY = OutboundReply("1089", {"recipient": "6250"}, LONG, "out-1")


def test_a_messenger_reply_says_that_it_answers_and_marks_each_part() -> None:
    first, second = build("messenger").render(REPLY)
    assert (first.method, first.url) == ("POST", "https://graph.facebook.com/v23.0/1089/messages")
    assert first.headers["authorization"] == "Bearer EAA"
    assert {key: value for key, value in first.fields.items() if key != "message"} == {
        "recipient": {"id": "6250"},
        "messaging_type": "RESPONSE",
    }
    messages = [request.fields["message"] for request in (first, second)]
    assert [message["metadata"] for message in messages if isinstance(message, dict)] == ["out-1", "out-1:2"]
    assert build("messenger").capabilities.idempotency == "look-up"


def test_an_instagram_reply_carries_nothing_but_text() -> None:
    requests = build("instagram").render(REPLY)
    assert len(requests) == 4
    for request in requests:
        assert request.url == "https://graph.instagram.com/v23.0/1089/messages"
        assert request.fields.keys() == {"recipient", "message"}
        message = request.fields["message"]
        assert isinstance(message, dict) and message.keys() == {"text"}
    assert build("instagram").capabilities.idempotency == "none"


@BOTH
def test_a_reply_to_nobody_is_an_error_and_not_silence(name: str) -> None:
    with pytest.raises(KeyError):
        build(name).render(OutboundReply("1089", {}, "Hi", "out-1"))


@BOTH
def test_a_message_is_seen_and_then_written_to(name: str) -> None:
    seen, typing = build(name).typing("1089", {"recipient": "6250"})
    assert seen.fields == {"recipient": {"id": "6250"}, "sender_action": "mark_seen"}
    assert typing.fields == {"recipient": {"id": "6250"}, "sender_action": "typing_on"}
    assert seen.url == typing.url == f"{URLS[name]}/1089/messages"


@BOTH
def test_the_token_is_in_no_address(name: str) -> None:
    assert all("EAA" not in request.url for request in build(name).render(REPLY))


@BOTH
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"hub.mode": "subscribe", "hub.verify_token": "toke", "hub.challenge": "1"},
        {"hub.mode": "unsubscribe", "hub.verify_token": "token", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "token"},
    ],
)
def test_a_handshake_needs_token_mode_and_challenge(name: str, query: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        build(name).handshake(query)


def test_each_says_where_its_secret_stands() -> None:
    with pytest.raises(SignatureInvalid, match="Basic settings"):
        build("messenger").verify({}, b"{}")
    with pytest.raises(SignatureInvalid, match="Instagram app secret"):
        build("instagram").verify({}, b"{}")


@BOTH
def test_the_older_signature_is_never_looked_at(name: str) -> None:
    channel, body = build(name), b"{}"
    right = channel.sign(body)["x-hub-signature-256"]
    older = "sha1=" + hmac.new(b"s" * 32, body, hashlib.sha1).hexdigest()
    for headers in ({"x-hub-signature": right}, {"x-hub-signature": older}, {"x-hub-signature-256": older}):
        with pytest.raises(SignatureInvalid):
            channel.verify(headers, body)


@BOTH
def test_a_simulated_body_is_in_metas_spelling(name: str) -> None:
    body = build(name).simulate("é a/b", account="1089", message_id="m_1", sender="6250")
    assert b"\\u00e9 a\\/b" in body


# What Meta says to them.


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        pytest.param(400, {"code": 613}, True, id="rate of calls"),
        pytest.param(403, {"code": 4}, True, id="rate of the app"),
        pytest.param(400, {"code": 32}, True, id="rate of the page"),
        pytest.param(400, {"code": 80006}, True, id="rate of the account"),
        pytest.param(400, {"code": 1200}, True, id="passing trouble with this message"),
        pytest.param(400, {"code": 2, "is_transient": True}, True, id="passing trouble"),
        pytest.param(500, {"code": 10, "error_subcode": 2018278}, False, id="window closed, whatever the status"),
        pytest.param(400, {"code": 2, "error_subcode": 2534022}, False, id="window closed, whatever the code"),
        pytest.param(400, {"code": 551, "error_subcode": 1545041}, False, id="person cannot be reached"),
        pytest.param(400, {"code": 100, "error_subcode": 2018001}, False, id="no such person"),
        pytest.param(500, {"code": 190}, False, id="token expired, whatever the status"),
        pytest.param(503, {"code": 230}, False, id="permission"),
        pytest.param(400, {"code": 999999}, False, id="unknown code, our fault by status"),
        pytest.param(503, {"code": 999999}, True, id="unknown code, their fault by status"),
        pytest.param(400, {"code": 999999, "is_transient": True}, True, id="unknown code that Meta says will pass"),
    ],
)
@BOTH
def test_an_error_is_decided_on_its_code(name: str, status: int, error: dict[str, object], retryable: bool) -> None:
    failed = failure(name, status, {"error": {"message": "to 6250000000000001", **error}})
    assert (failed.retryable, failed.code) == (retryable, str(error["code"]))
    assert "6250" not in str(failed)


def test_a_closed_window_is_told_from_a_missing_permission() -> None:
    assert "24 hours" in str(failure("messenger", 400, {"error": {"code": 10, "error_subcode": 2018278}}))
    assert "24 hours" in str(failure("instagram", 400, {"error": {"code": 10, "error_subcode": 2534022}}))
    assert "permission" in str(failure("messenger", 400, {"error": {"code": 10}}))


@BOTH
@pytest.mark.parametrize("body", [{"error": 7}, {"error": {"code": "190"}}, {"error": {"code": True}}, [], 7, "hotel"])
def test_an_answer_of_another_shape_is_decided_on_the_status(name: str, body: object) -> None:
    assert failure(name, 503, body).retryable
    assert not failure(name, 404, body).retryable


def test_a_200_that_is_not_metas_is_tried_again() -> None:
    assert failure("messenger", 200, "welcome to our hotel wireless").retryable


# What the stand-in checks.


@BOTH
@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"recipient": {}}, "recipient"),
        ({"recipient": {"id": ""}}, "recipient"),
        ({"recipient": "6250"}, "recipient"),
        ({"message": {"text": " "}}, "empty"),
        ({"message": "Hi"}, "empty"),
        ({"message": {"text": "é" * 2001}}, "less than or equal"),
        ({"message": {"text": "Hi", "metadata": "x" * 1001}}, "metadata"),
        ({"message": {"text": "Hi", "metadata": 7}}, "metadata"),
        ({"sender_action": "typing_on"}, "same time"),
        ({"message": None, "sender_action": "wave"}, "same time"),
    ],
)
def test_the_stand_in_refuses_what_meta_would(name: str, changed: dict[str, object], says: str) -> None:
    good = {"recipient": {"id": "6250"}, "messaging_type": "RESPONSE", "message": {"text": "Hi"}}
    assert answer(name, good)[0] == 200
    status, said = answer(name, {**good, **changed})
    assert status == 400
    assert json.loads(said)["error"]["code"] == 100
    assert says in json.loads(said)["error"]["message"]


def test_each_stand_in_knows_its_platforms_own_rules() -> None:
    untyped = {"recipient": {"id": "6250"}, "message": {"text": "Hi"}}
    assert answer("instagram", untyped)[0] == 200
    assert answer("messenger", untyped)[0] == 400
    for text, taken in (("é" * 500, True), ("é" * 501, False), ("a" * 1001, False)):
        wordy = {**untyped, "messaging_type": "RESPONSE", "message": {"text": text}}
        assert (answer("instagram", wordy)[0] == 200) is taken
        assert answer("messenger", wordy)[0] == 200


@BOTH
def test_a_signal_must_be_one_that_there_is(name: str) -> None:
    assert answer(name, {"recipient": {"id": "6250"}, "sender_action": "mark_seen"})[0] == 200
    assert answer(name, {"recipient": {"id": "6250"}, "sender_action": "wave"})[0] == 400


@BOTH
def test_a_call_without_a_token_or_to_elsewhere_is_refused(name: str) -> None:
    good = {"recipient": {"id": "6250"}, "messaging_type": "RESPONSE", "message": {"text": "Hi"}}
    assert answer(name, good, headers={})[0] == 401
    assert answer(name, good, url="https://graph.example/v23.0/me/photos")[0] == 404


def answer(
    name: str,
    fields: Mapping[str, object],
    *,
    url: str = "https://graph.example/v23.0/1/messages",
    headers: object = None,
) -> tuple[int, bytes]:
    """What the stand-in says: status and body."""
    made = Request("POST", url, BEARER if headers is None else {}, fields)
    status, _, body = PLATFORMS[name].stand_in.answer(made, number=1)
    return status, body
