"""What LINE's webhooks become, and how replies reach LINE."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Channel, Inbound, InboundMessage, OutboundReply, Request, Source
from channels.errors import DeliveryFailed, PayloadInvalid, SignatureInvalid
from channels.line.payloads import IGNORED_REASONS, parse_body
from channels.registry import PLATFORMS, build_channel
from channels.testing import FakePlatform
from tests.unit.channels.fuzzing import anything, check, mutated
from tests.unit.channels.recorded import ABSENT, WEBHOOKS, line_events

BOT, PERSON = "U00000000000000000000000000000000", "U206d25c2ea6bd87c17655609a1c37cb8"
GROUP, ROOM = "Ca56f94637cc4347f90a25382909b24b9", "Ra8dbf4673c4c812cd491258042226c99"
STAND_IN = PLATFORMS["line"].stand_in
IN_GROUP = {"type": "group", "groupId": GROUP, "userId": PERSON}


def build(secret: str = "s" * 32) -> Channel:
    secrets = {"channel_secret": secret, "access_token": "token"}
    return build_channel(
        "line", app="main", secrets=secrets, api_url="https://api.line.me", clock=lambda: 1_790_000_000.0
    )


LINE = build()


def event(**changed: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "mode": "active",
        "timestamp": 1_790_000_000_000,
        "webhookEventId": "01FZ74A0TDDPYRVKNK77XKC3ZR",
        "deliveryContext": {"isRedelivery": False},
        "replyToken": "reply-1",
        "source": {"type": "user", "userId": PERSON},
        "message": {"type": "text", "id": "444573844083572737", "quoteToken": "q", "text": "Hi"},
    } | changed


def text(written: str, *mentions: tuple[int, int, bool]) -> dict[str, Any]:
    mentionees = [{"type": "user", "index": at, "length": long, "isSelf": own} for at, long, own in mentions]
    return {"type": "text", "id": "1", "text": written, **({"mention": {"mentionees": mentionees}} if mentions else {})}


def parse(*events: Any) -> Inbound:
    return parse_body(json.dumps({"destination": BOT, "events": list(events)}).encode())


def message(*events: Any) -> InboundMessage:
    inbound = parse(*events)
    assert inbound.ignored == ()
    (only,) = inbound.messages
    return only


def test_a_user_has_one_conversation_and_is_answered_by_the_token_or_else_by_the_id() -> None:
    taken = message(event())
    assert (taken.account, taken.conversation_key, taken.sender) == (BOT, PERSON, PERSON)
    assert taken.message_id == "01FZ74A0TDDPYRVKNK77XKC3ZR"
    assert taken.reply_to == {"to": PERSON, "source": "user", "reply_token": "reply-1"}


def test_a_redelivered_event_is_the_same_message() -> None:
    again = event(deliveryContext={"isRedelivery": True})
    assert message(event()) == message(again)


def test_an_event_without_a_token_can_only_be_answered_by_a_push() -> None:
    assert message(event(replyToken=None)).reply_to == {"to": PERSON, "source": "user"}


@pytest.mark.parametrize(
    ("source", "chat", "sender"),
    [
        ({"type": "group", "groupId": GROUP, "userId": PERSON}, GROUP, PERSON),
        ({"type": "group", "groupId": GROUP}, GROUP, GROUP),
        ({"type": "room", "roomId": ROOM, "userId": PERSON}, ROOM, PERSON),
    ],
)
def test_a_group_or_room_is_one_conversation(source: dict[str, str], chat: str, sender: str) -> None:
    taken = message(event(source=source, message=text("@bot Hi", (0, 4, True))))
    assert (taken.conversation_key, taken.sender, taken.reply_to["to"]) == (chat, sender, chat)


@pytest.mark.parametrize(
    ("content", "read"),
    [
        pytest.param(text("@bot Where is it?", (0, 4, True)), "Where is it?", id="at the start"),
        pytest.param(text("Where is it, @bot", (13, 4, True)), "Where is it,", id="at the end"),
        pytest.param(text("😀👍 @bot Hi", (5, 4, True)), "😀👍  Hi", id="counted in UTF-16 units"),
        pytest.param(text("@bot @ann Hi", (0, 4, True), (5, 4, False)), "@ann Hi", id="others stay"),
        pytest.param(text("@bot Hi @bot", (0, 4, True), (8, 4, True)), "Hi", id="twice"),
        pytest.param(text("@bot", (0, 4, True)), "", id="nothing else"),
        pytest.param(text("@bot Hi", (2, 90, True)), "@b", id="beyond the end"),
        pytest.param(text("😀 Hi", (1, 1, True)), "\ufffd Hi", id="amid a character"),
    ],
)
def test_the_mention_that_calls_us_is_taken_out(content: dict[str, Any], read: str) -> None:
    assert message(event(source=IN_GROUP, message=content)).text == read


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(text("Hi all"), id="no mention"),
        pytest.param(text("@ann Hi", (0, 4, False)), id="of another"),
        pytest.param(
            text("@All Hi") | {"mention": {"mentionees": [{"type": "all", "index": 0, "length": 4}]}}, id="of all"
        ),
        pytest.param({"type": "image", "id": "1"}, id="picture"),
    ],
)
def test_talk_among_people_is_not_answered(content: dict[str, Any]) -> None:
    assert parse(event(source=IN_GROUP, message=content)) == Inbound(ignored=("not_addressed",))


@pytest.mark.parametrize("kind", ["sticker", "image", "video", "audio", "file", "location", "hologram"])
def test_what_cannot_be_read_is_a_message_without_text(kind: str) -> None:
    assert message(event(message={"type": kind, "id": "1", "text": "not written by anyone"})).text == ""


@pytest.mark.parametrize(
    ("postback", "read"),
    [
        ({"data": "action=returns"}, "action=returns"),
        ({"data": "action=returns", "displayText": "Returns"}, "Returns"),
        ({"data": "a", "params": {"date": "2026-04-01"}}, "a"),
        ({}, ""),
    ],
)
def test_a_pressed_button_says_what_it_shows_or_else_stands_for(postback: dict[str, Any], read: str) -> None:
    assert message(event(type="postback", postback=postback, message=None)).text == read
    assert message(event(type="postback", postback=postback, source=IN_GROUP)).text == read


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"mode": "standby"}, "standby", id="another system has the conversation"),
        pytest.param({"source": {"type": "user", "userId": BOT}}, "own_message", id="ourselves"),
        pytest.param({"type": "unsend", "unsend": {"messageId": "1"}}, "unsend", id="withdrawn"),
        pytest.param({"type": "follow"}, "follow", id="a new friend"),
        pytest.param({"type": "unfollow"}, "unfollow", id="a lost one"),
        pytest.param({"type": "messageEdited"}, "edited", id="edit"),
        pytest.param({"type": "of tomorrow"}, "other_event", id="unknown"),
        pytest.param({"type": 7}, "malformed", id="no type"),
        pytest.param({"webhookEventId": ""}, "malformed", id="empty id"),
        pytest.param({"webhookEventId": "x" * 600}, "malformed", id="endless id"),
        pytest.param({"source": None}, "malformed", id="from nowhere"),
        pytest.param({"source": {"type": "user"}}, "malformed", id="from nobody"),
        pytest.param({"source": {"type": "moon", "userId": PERSON}, "type": "postback", "postback": {}}, "malformed"),
        pytest.param({"message": {"type": "text", "text": 7}}, "malformed", id="text that is none"),
        pytest.param({"message": text("Hi", (-1, 4, True))}, "malformed", id="a place before the start"),
    ],
)
def test_what_is_no_message_is_ignored_with_its_reason(changed: dict[str, Any], reason: str) -> None:
    assert parse(event(**changed)) == Inbound(ignored=(reason,))


@pytest.mark.parametrize("broken", [None, 7, "text", [], {}, {"type": "message"}])
def test_a_broken_event_does_not_lose_its_siblings(broken: Any) -> None:
    inbound = parse(event(webhookEventId="1"), broken, event(webhookEventId="2"))
    assert [one.message_id for one in inbound.messages] == ["1", "2"]
    assert inbound.ignored == ("malformed",)


def test_the_consoles_check_has_no_events_and_is_taken() -> None:
    body = json.dumps({"destination": BOT, "events": []}).encode()
    LINE.verify(LINE.sign(body), body)
    assert parse_body(body) == Inbound(ignored=("empty",))


@pytest.mark.parametrize("raw", [b'{"events":[]}', b'{"destination":"U"}', b'{"destination":"","events":[]}'])
def test_a_body_without_the_outer_shape_is_kept_aside(raw: bytes) -> None:
    with pytest.raises(PayloadInvalid, match="'destination' and 'events'"):
        parse_body(raw)


# What goes out.


def rendered(written: str, reply_to: dict[str, str], *sources: Source) -> list[Request]:
    return list(LINE.render(OutboundReply(BOT, reply_to, written, "out-1", sources)))


BY_TOKEN = {"to": PERSON, "source": "user", "reply_token": "reply-1"}


def test_a_reply_goes_by_the_token_and_else_as_a_push_with_the_same_texts() -> None:
    (reply,) = rendered("Within **30 days** [1].", BY_TOKEN, Source(1, "Returns", "returns.md"))
    assert reply.url == "https://api.line.me/v2/bot/message/reply"
    messages = [{"type": "text", "text": "Within 30 days [1].\n\n[1] Returns"}]
    assert reply.fields == {"replyToken": "reply-1", "messages": messages}
    assert "x-line-retry-key" not in reply.headers
    push = reply.otherwise
    assert push is not None
    assert push.url == "https://api.line.me/v2/bot/message/push"
    assert push.fields == {"to": PERSON, "messages": messages}
    assert push.otherwise is None


def test_a_push_has_the_same_key_each_time_and_each_part_its_own() -> None:
    long = "A sentence that fills the message. " * 1500
    keys = [[request.headers["x-line-retry-key"] for request in rendered(long, {"to": PERSON})] for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 3
    assert all(UUID(key).version == 5 for key in keys[0])
    other = LINE.render(OutboundReply(BOT, {"to": PERSON}, long, "out-2"))[0].headers["x-line-retry-key"]
    assert other not in keys[0]


def test_a_call_holds_five_texts_and_only_the_first_call_has_the_token() -> None:
    long = "A sentence that fills the message. " * 1500
    calls = rendered(long, BY_TOKEN)
    assert [call.url.rpartition("/")[2] for call in calls] == ["reply", "push", "push"]
    platform = FakePlatform(STAND_IN)
    for call in calls:
        LINE.receipt(*platform(call))
    assert [len(STAND_IN.texts(call)) for call in calls] == [5, 5, 1]
    assert " ".join(platform.texts) == long.strip()


def test_without_a_chat_there_is_nothing_to_push_to() -> None:
    (reply,) = rendered("Hi", {"reply_token": "reply-1"})
    assert reply.otherwise is None
    assert rendered("Hi", {}) == []


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**b** *i* ~~s~~ `c`", "b i s c"),
        ("# Head\n- a\n- b", "Head\n\n• a\n• b"),
        ("[us](https://a.b/?c&d)", "us (https://a.b/?c&d)"),
        ("<https://a.b>", "https://a.b"),
        ("a & <b> @ann $", "a & <b> @ann $"),
    ],
)
def test_markdown_is_written_without_marks(markdown: str, shown: str) -> None:
    assert STAND_IN.texts(rendered(markdown, BY_TOKEN)[0]) == (shown,)


def test_the_animation_is_for_single_users() -> None:
    (call,) = LINE.typing(BOT, BY_TOKEN)
    assert call.url == "https://api.line.me/v2/bot/chat/loading/start"
    assert call.fields == {"chatId": PERSON, "loadingSeconds": 20}
    assert LINE.typing(BOT, {"to": GROUP, "source": "group"}) == ()


@pytest.mark.parametrize(
    ("status", "headers", "body", "receipt"),
    [
        (200, {}, {"sentMessages": [{"id": "1", "quoteToken": "q"}, {"id": "2"}]}, "1,2"),
        (200, {"x-line-request-id": "r"}, {"sentMessages": []}, "r"),
        (200, {"x-line-request-id": "r"}, {"sentMessages": [{}, 7, {"id": ""}]}, "r"),
        (200, {"x-line-request-id": "r"}, {"sentMessages": 7}, "r"),
        (200, {"x-line-request-id": "r"}, [], "r"),
        (409, {"x-line-request-id": "r", "x-line-accepted-request-id": "a"}, {"message": "accepted before"}, "a"),
        (409, {}, {"message": "accepted before", "sentMessages": [{"id": "1"}]}, "1"),
    ],
)
def test_a_taken_message_and_one_that_is_there_already_are_receipts(
    status: int, headers: dict[str, str], body: object, receipt: str
) -> None:
    assert LINE.receipt(status, headers, json.dumps(body).encode()) == receipt


@pytest.mark.parametrize(
    ("status", "retryable", "cure"),
    [
        (400, False, "reply token"),
        (401, False, "access_token"),
        (403, False, "Official Account Manager"),
        (418, False, "list of status codes"),
        (429, True, "again later"),
        (500, True, "again later"),
        (302, True, "again later"),
    ],
)
def test_a_refusal_is_decided_on_the_status(status: int, retryable: bool, cure: str) -> None:
    with pytest.raises(DeliveryFailed, match=cure) as caught:
        LINE.receipt(status, {}, b'{"message":"to a person"}')
    assert (caught.value.retryable, caught.value.code, caught.value.retry_after_s) == (retryable, str(status), None)
    assert "person" not in str(caught.value)


def call(path: str, fields: dict[str, object], **headers: str) -> Request:
    return Request("POST", f"https://api.line.me/v2/bot/{path}", {"authorization": "Bearer t", **headers}, fields)


HI = {"type": "text", "text": "Hi"}


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        pytest.param(Request("POST", "https://api.line.me/v2/bot/message/reply", {}, {}), 401, id="no token"),
        pytest.param(call("message/other", {}), 404, id="no such call"),
        pytest.param(call("message/reply", {"messages": [HI]}), 400, id="no reply token"),
        pytest.param(
            call("message/reply", {"replyToken": "r", "messages": [HI]}, **{"x-line-retry-key": str(UUID(int=1))}),
            400,
            id="a key on a reply",
        ),
        pytest.param(call("message/push", {"messages": [HI]}), 400, id="to nobody"),
        pytest.param(call("message/push", {"to": PERSON, "messages": [HI] * 6}), 400, id="six"),
        pytest.param(call("message/push", {"to": PERSON, "messages": []}), 400, id="none"),
        pytest.param(call("message/push", {"to": PERSON, "messages": [{"type": "text", "text": ""}]}), 400, id="empty"),
        pytest.param(call("message/push", {"to": PERSON, "messages": [HI | {"text": "👍" * 2501}]}), 400, id="long"),
        pytest.param(
            call("message/push", {"to": PERSON, "messages": [HI]}, **{"x-line-retry-key": "out-1"}), 400, id="no UUID"
        ),
        pytest.param(call("chat/loading/start", {"chatId": GROUP}), 400, id="loading in a group"),
        pytest.param(call("chat/loading/start", {"chatId": PERSON, "loadingSeconds": 7}), 400, id="seven seconds"),
    ],
)
def test_the_stand_in_refuses_what_line_would(refused: Request, status: int) -> None:
    assert STAND_IN.answer(refused, number=1)[0] == status


# As LINE really sent it, and as it never would.

RECORDED = line_events()
EXPECTED = {
    "beacon": "beacon",
    "accountLink": "account_link",
    "memberJoined": "member_joined",
    "memberLeft": "member_left",
    "videoPlayComplete": "video_played",
    "messageEdited": "edited",
    "undefined": "other_event",
}


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
@pytest.mark.parametrize(("name", "payload"), [pytest.param(*one, id=one[0]) for one in RECORDED])
def test_each_recorded_event_is_accepted_when_signed_and_becomes_what_it_is(name: str, payload: dict[str, Any]) -> None:
    body = json.dumps(payload).encode()
    LINE.verify(LINE.sign(body), body)
    with pytest.raises(SignatureInvalid):
        LINE.verify({}, body)
    (sent,) = payload["events"]
    kind = name.partition("-")[2]
    inbound = LINE.parse(body)
    if kind == "postback":
        assert [one.text for one in inbound.messages] == [sent["postback"]["data"]]
    elif kind == "message" and sent["source"]["type"] == "user":
        text = sent["message"]["text"] if sent["message"]["type"] == "text" else ""
        assert [one.text for one in inbound.messages] == [text]
        assert inbound.messages[0].reply_to["reply_token"] == sent["replyToken"]
    else:
        assert inbound == Inbound(ignored=("not_addressed" if kind == "message" else EXPECTED.get(kind, kind),))


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_all_recorded_events_are_here_and_come_through_together() -> None:
    body = (WEBHOOKS / "line" / "webhook.json").read_bytes()
    inbound = LINE.parse(body)
    assert len(inbound.messages) + len(inbound.ignored) == len(RECORDED) == 28
    assert {one.account for one in inbound.messages} == {"U123"}


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_the_recorded_signature_is_ours() -> None:
    vector = json.loads((WEBHOOKS / "signature_vectors.json").read_bytes())["line"]
    channel, body = build(vector["secret"]), vector["body"].encode()
    channel.verify({"x-line-signature": vector["signature"]}, body)
    assert channel.sign(body)["x-line-signature"] == vector["signature"]


SEEDS = [payload for _, payload in RECORDED] + [
    json.loads(LINE.simulate("Hi", account=BOT, message_id="1", sender=PERSON)),
    {"destination": BOT, "events": [event(source=IN_GROUP, message=text("@bot Hi", (0, 4, True)))]},
]


@given(data=st.data())
def test_a_mutated_body_is_read_or_refused_as_invalid(data: st.DataObject) -> None:
    check(parse_body, IGNORED_REASONS, json.dumps(data.draw(mutated(SEEDS))).encode())


@given(data=st.data())
def test_cut_and_spliced_bytes_are_read_or_refused_as_invalid(data: st.DataObject) -> None:
    body = json.dumps(data.draw(st.sampled_from(SEEDS))).encode()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    check(parse_body, IGNORED_REASONS, body[:start] + data.draw(st.binary(max_size=8)) + body[end:])


@given(body=st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused_as_invalid(body: bytes) -> None:
    check(parse_body, IGNORED_REASONS, body)


@given(body=st.binary(max_size=100), data=st.data())
def test_a_signature_or_body_with_a_flipped_bit_is_refused(body: bytes, data: st.DataObject) -> None:
    right = LINE.sign(body)["x-line-signature"]
    LINE.verify({"x-line-signature": right}, body)
    at, bit = data.draw(st.integers(0, len(right) - 1)), data.draw(st.integers(0, 6))
    wrong = right[:at] + chr(ord(right[at]) ^ (1 << bit)) + right[at + 1 :]
    with pytest.raises(SignatureInvalid):
        LINE.verify({"x-line-signature": wrong}, body)
    if body:
        at = data.draw(st.integers(0, len(body) - 1))
        with pytest.raises(SignatureInvalid):
            LINE.verify({"x-line-signature": right}, body[:at] + bytes([body[at] ^ (1 << bit)]) + body[at + 1 :])


@given(header=st.text(max_size=80))
def test_a_made_up_signature_is_refused_and_never_an_error(header: str) -> None:
    with pytest.raises(SignatureInvalid):
        LINE.verify({"x-line-signature": header}, b"{}")


@given(text=st.text(max_size=60), message_id=st.text(min_size=1, max_size=20))
def test_what_is_simulated_is_read_again(text: str, message_id: str) -> None:
    text, message_id = text.replace("\x00", ""), message_id.replace("\x00", "") or "1"
    (taken,) = LINE.parse(LINE.simulate(text, account=BOT, message_id=message_id, sender=PERSON)).messages
    assert (taken.text, taken.message_id, taken.account) == (text, message_id, BOT)


@given(
    written=st.text(max_size=40),
    mentions=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=4),
)
def test_any_mentions_leave_text_that_can_be_stored(written: str, mentions: list[tuple[int, int, bool]]) -> None:
    payload = {"destination": BOT, "events": [event(source=IN_GROUP, message=text(written, *mentions))]}
    check(parse_body, IGNORED_REASONS, json.dumps(payload).encode())
