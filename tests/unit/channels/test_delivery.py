"""Calls that deliver, and what the platforms say to them."""

from __future__ import annotations

import json

import pytest

from channels.answers import MAX_RETRY_AFTER_S, retry_after_s
from channels.base import Channel, OutboundReply, Request
from channels.errors import ChannelMisconfigured, ChannelUnknown, DeliveryFailed, SignatureInvalid
from channels.registry import PLATFORMS, build_channel
from channels.testing import FakePlatform

NOW_S = 1_790_000_000.0
SECRETS = {
    "line": {"channel_secret": "s" * 32, "access_token": "token"},
    "slack": {"signing_secret": "s" * 32, "bot_token": "xoxb-1"},
    "twilio": {"auth_token": "s" * 32},
    "discord": {"private_key": "0f" * 32},
    "telegram": {"bot_token": "7000000001:AA-x", "secret_token": "word"},
    "teams": {"app_password": "s" * 32},
    "whatsapp": {"app_secret": "s" * 32, "verify_token": "token", "access_token": "EAA"},
    "instagram": {"app_secret": "s" * 32, "verify_token": "token", "access_token": "EAA"},
    "messenger": {"app_secret": "s" * 32, "verify_token": "token", "access_token": "EAA"},
}
URLS = {"slack": "https://slack.com/api", "whatsapp": "https://graph.facebook.com/v23.0"}


def build(name: str) -> Channel:
    return build_channel(name, app="main", secrets=SECRETS[name], api_url=URLS[name], clock=lambda: NOW_S)


def failure(name: str, status: int, body: object) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        build(name).receipt(status, {}, json.dumps(body).encode())
    return caught.value


LONG = "A sentence that fills the message. " * 300


def test_a_slack_reply_is_one_post_a_part_in_the_same_thread() -> None:
    reply = OutboundReply("T1", {"channel": "C1", "thread_ts": "1.2", "other": "x"}, LONG, "out-1")
    first, second, third, fourth = build("slack").render(reply)
    assert first.url == "https://slack.com/api/chat.postMessage"
    assert first.headers["authorization"] == "Bearer xoxb-1"
    assert {**first.fields, "text": "..."} == {
        "channel": "C1",
        "thread_ts": "1.2",
        "text": "...",
        "mrkdwn": True,
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {
            "event_type": "brandvoice_reply",
            "event_payload": {"idempotency_key": "out-1", "part": 1, "parts": 4},
        },
    }
    assert [request.fields["thread_ts"] for request in (second, third, fourth)] == ["1.2"] * 3


def test_a_whatsapp_reply_quotes_once_and_marks_each_part() -> None:
    reply = OutboundReply("1122", {"to": "1555", "message_id": "wamid.1"}, LONG, "out-1")
    first, second, third = build("whatsapp").render(reply)
    assert first.url == "https://graph.facebook.com/v23.0/1122/messages"
    assert first.fields["context"] == {"message_id": "wamid.1"}
    assert "context" not in second.fields
    marks = [request.fields["biz_opaque_callback_data"] for request in (first, second, third)]
    assert marks == ["out-1", "out-1:2", "out-1:3"]


def test_an_account_cannot_lead_a_call_to_another_path() -> None:
    (request,) = build("whatsapp").render(OutboundReply("../me?x=", {"to": "1"}, "Hi", "k"))
    assert request.url == "https://graph.facebook.com/v23.0/..%2Fme%3Fx%3D/messages"


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("ratelimited", True),
        ("internal_error", True),
        ("invalid_auth", False),
        ("channel_not_found", False),
        ("is_archived", False),
        ("a_code_of_tomorrow", False),
    ],
)
def test_slack_says_no_with_a_200(code: str, retryable: bool) -> None:
    error = failure("slack", 200, {"ok": False, "error": code})
    assert (error.retryable, error.code) == (retryable, code)
    assert code in str(error)


def test_a_200_that_is_not_slacks_is_tried_again() -> None:
    assert failure("slack", 200, "welcome to our hotel wireless").retryable


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        pytest.param(400, 131056, True, id="pair rate"),
        pytest.param(400, 130429, True, id="throughput"),
        pytest.param(400, 80007, True, id="account rate"),
        pytest.param(500, 131000, True, id="something went wrong"),
        pytest.param(400, 131047, False, id="window closed"),
        pytest.param(500, 131026, False, id="undeliverable, whatever the status"),
        pytest.param(401, 190, False, id="token expired"),
        pytest.param(403, 230, False, id="permission"),
        pytest.param(429, 131048, False, id="spam, whatever the status"),
        pytest.param(400, 999999, False, id="unknown code, our fault by status"),
        pytest.param(503, 999999, True, id="unknown code, their fault by status"),
    ],
)
def test_whatsapp_is_decided_on_the_code(status: int, code: int, retryable: bool) -> None:
    error = failure("whatsapp", status, {"error": {"code": code, "message": "to 15550100001"}})
    assert (error.retryable, error.code) == (retryable, str(code))
    assert "1555" not in str(error)


def test_a_pair_rate_without_a_time_waits_for_the_pair_rate() -> None:
    assert failure("whatsapp", 400, {"error": {"code": 131056}}).retry_after_s == 6.0


@pytest.mark.parametrize("body", [{"error": 7}, {"error": {"code": "190"}}, {"error": {"code": True}}, [], 7])
def test_a_whatsapp_answer_of_another_shape_is_decided_on_the_status(body: object) -> None:
    assert failure("whatsapp", 503, body).retryable
    assert not failure("whatsapp", 404, body).retryable


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 30 ", 30.0),
        ("999999999999", MAX_RETRY_AFTER_S),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, wait_s: float | None) -> None:
    assert retry_after_s({"retry-after": value}, now_s=1_790_000_000.0) == wait_s


def call(url: str, fields: dict[str, object], **headers: str) -> Request:
    return Request("POST", url, headers, fields)


def test_a_stand_in_refuses_what_the_real_platform_would() -> None:
    url = f"{URLS['slack']}/chat.postMessage"
    platform, channel = FakePlatform(PLATFORMS["slack"].stand_in), build("slack")
    for text, code in (("", "no_text"), ("x" * 40_001, "msg_too_long")):
        answer = platform(call(url, {"channel": "C", "text": text}, authorization="Bearer x"))
        assert json.loads(answer[2])["error"] == code
    assert json.loads(platform(call(url, {"channel": "C", "text": "Hi"}))[2])["error"] == "not_authed"
    meta = FakePlatform(PLATFORMS["whatsapp"].stand_in)
    assert meta(call(f"{URLS['whatsapp']}/1/messages", {"to": "1", "text": {"body": "Hi"}}))[0] == 401
    assert meta(call("https://a.b/c", {}))[0] == platform(call("https://a.b/c", {}))[0] == 404
    assert platform.taken == meta.taken == []
    platform.refuse_next((429, {"retry-after": "3"}, b""))
    (request,) = channel.render(OutboundReply("T1", {"channel": "C1"}, "Hi", "k"))
    with pytest.raises(DeliveryFailed):
        channel.receipt(*platform(request))
    assert channel.receipt(*platform(request)) == "C1:1700000000.000001"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"hub.mode": "subscribe", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "toke", "hub.challenge": "1"},
        {"hub.mode": "unsubscribe", "hub.verify_token": "token", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "token"},
    ],
)
def test_a_whatsapp_handshake_needs_token_mode_and_challenge(query: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        build("whatsapp").handshake(query)


def test_a_slack_get_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        build("slack").handshake({"challenge": "x"})


def test_an_unknown_channel_is_named_with_its_neighbour() -> None:
    with pytest.raises(ChannelUnknown, match="Did you mean 'slack'"):
        build_channel("slak", app="main", secrets={}, api_url="")


@pytest.mark.parametrize("name", sorted(PLATFORMS))
@pytest.mark.parametrize("url", ["", "slack.com/api", "ftp://a.b", "https://", "https://[", "https://a.b/?x=1"])
def test_an_address_that_cannot_be_called_keeps_the_channel_off(name: str, url: str) -> None:
    with pytest.raises(ChannelMisconfigured, match=rf"apps\.{name}\.main: api_url"):
        build_channel(name, app="main", secrets=SECRETS[name], api_url=url)
