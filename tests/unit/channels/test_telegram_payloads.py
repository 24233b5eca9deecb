"""What Telegram's updates become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Inbound, InboundMessage
from channels.errors import PayloadInvalid
from channels.registry import build_channel
from channels.telegram.payloads import IGNORED_REASONS, Bot, parse_body
from tests.unit.channels.fuzzing import anything, check, mutated
from tests.unit.channels.recorded import ABSENT, WEBHOOKS

BOT = Bot("shop", 7000000001, "Shop_Bot")
PERSON = {"id": 12345678, "is_bot": False, "first_name": "F"}
US = {"id": 7000000001, "is_bot": True, "first_name": "Shop"}
PRIVATE = {"id": 12345678, "type": "private", "first_name": "F"}
GROUP = {"id": -1001234567890, "type": "supergroup", "title": "Friends of the shop"}


def body(**message: Any) -> bytes:
    told = {"message_id": 7, "from": PERSON, "chat": PRIVATE, "date": 1644518189} | message
    return json.dumps({"update_id": 1, "message": told}).encode()


def entity(kind: str, text: str, part: str, **more: Any) -> dict[str, Any]:
    """Where a part stands in a text, in UTF-16 units."""
    start = len(text[: text.index(part)].encode("utf-16-le")) // 2
    return {"type": kind, "offset": start, "length": len(part.encode("utf-16-le")) // 2, **more}


def group(text: str, *entities: dict[str, Any], **message: Any) -> bytes:
    return body(chat=GROUP, text=text, entities=list(entities), **message)


def pressed(**changed: Any) -> bytes:
    query = {
        "id": "4382bfdwdsb323b2d9",
        "from": PERSON,
        "message": {"message_id": 9, "from": US, "chat": PRIVATE, "date": 1, "text": "Which one?"},
        "chat_instance": "1",
        "data": "returns",
    }
    return json.dumps({"update_id": 1, "callback_query": query | changed}).encode()


def only(raw: bytes, bot: Bot = BOT) -> InboundMessage:
    inbound = parse_body(raw, bot)
    assert inbound.ignored == ()
    (message,) = inbound.messages
    return message


def test_a_private_message_is_one_conversation_with_the_person() -> None:
    message = only(body(text="Hi"))
    assert message.account == "shop"
    assert message.message_id == "12345678:7"
    assert message.conversation_key == message.sender == "12345678"
    assert message.reply_to == {"chat_id": "12345678", "message_id": "7"}


def test_a_repeat_after_a_quiet_week_is_known_by_chat_and_message() -> None:
    later = json.loads(body(text="Hi")) | {"update_id": 900000001}
    assert only(json.dumps(later).encode()).message_id == only(body(text="Hi")).message_id


NAME = entity("mention", "@shop_bot", "@shop_bot")
MENTION = entity("mention", "👋 @shop_bot how long?", "@shop_bot")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(group("👋 @shop_bot how long?", MENTION), "👋  how long?", id="mention, after an emoji"),
        pytest.param(
            group("Shop how long?", entity("text_mention", "Shop how long?", "Shop", user=US)),
            "how long?",
            id="mention without a name",
        ),
        pytest.param(group("how long?", reply_to_message={"message_id": 1, "from": US}), "how long?", id="reply"),
        pytest.param(group("/returns", entity("bot_command", "/returns", "/returns")), "/returns", id="command"),
        pytest.param(
            group("/ask@Shop_Bot how long?", entity("bot_command", "/ask@Shop_Bot how long?", "/ask@Shop_Bot")),
            "how long?",
            id="command for us with a question",
        ),
        pytest.param(
            group("/help@shop_bot", entity("bot_command", "/help@shop_bot", "/help@shop_bot")),
            "/help",
            id="command for us alone",
        ),
        pytest.param(
            body(chat=GROUP, photo=[{}], caption="@shop_bot this?", caption_entities=[NAME]),
            "this?",
            id="caption",
        ),
        pytest.param(group("@shop_bot", NAME), "", id="mention alone"),
    ],
)
def test_in_a_group_what_is_for_us_is_read(raw: bytes, text: str) -> None:
    message = only(raw)
    assert message.text == text
    assert message.conversation_key == "-1001234567890"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(group("how long?"), id="talk among people"),
        pytest.param(group("@shop_bot how long?"), id="a name that Telegram did not mark"),
        pytest.param(group("ask @other_bot", entity("mention", "ask @other_bot", "@other_bot")), id="another bot"),
        pytest.param(
            group("/ask@other_bot", entity("bot_command", "/ask@other_bot", "/ask@other_bot")), id="another's command"
        ),
        pytest.param(group("yes", reply_to_message={"message_id": 1, "from": PERSON}), id="a reply to a person"),
        pytest.param(group("yes", reply_to_message={"message_id": 1}), id="a reply to a channel"),
        pytest.param(body(chat=GROUP, photo=[{}]), id="a picture"),
        pytest.param(
            group("F hi", entity("text_mention", "F hi", "F", user=PERSON)), id="a mention of a person without a name"
        ),
    ],
)
def test_in_a_group_what_is_not_for_us_is_left_alone(raw: bytes) -> None:
    assert parse_body(raw, BOT) == Inbound(ignored=("not_addressed",))


def test_without_a_name_a_bot_hears_commands_and_replies_only() -> None:
    nameless = Bot("shop", 7000000001)
    assert parse_body(group("@shop_bot hi", entity("mention", "@shop_bot hi", "@shop_bot")), nameless).messages == ()
    command = "/ask@shop_bot hi"
    assert parse_body(group(command, entity("bot_command", command, "/ask@shop_bot")), nameless).messages == ()
    assert only(group("/ask hi", entity("bot_command", "/ask hi", "/ask")), nameless).text == "hi"
    assert only(group("hi", reply_to_message={"message_id": 1, "from": US}), nameless).text == "hi"


def test_a_topic_is_a_conversation_of_its_own_and_is_answered_in_it() -> None:
    command = entity("bot_command", "/help", "/help")
    message = only(group("/help", command, message_thread_id=42, is_topic_message=True))
    assert message.conversation_key == "-1001234567890:42"
    assert message.reply_to == {"chat_id": "-1001234567890", "message_id": "7", "message_thread_id": "42"}


def test_a_thread_that_is_no_topic_is_not_answered_as_one() -> None:
    assert "message_thread_id" not in only(group("/a", entity("bot_command", "/a", "/a"), message_thread_id=4)).reply_to


@pytest.mark.parametrize(
    ("text", "read"),
    [("/start", "/start"), ("/start ref_8842", "/start"), ("/ask how long?", "how long?"), ("/returns", "/returns")],
)
def test_a_command_before_a_question_goes(text: str, read: str) -> None:
    assert only(body(text=text, entities=[entity("bot_command", text, text.split()[0])])).text == read


def test_what_only_looks_like_a_command_stays() -> None:
    assert only(body(text="/path or so")).text == "/path or so"
    assert only(body(text="see /help", entities=[entity("bot_command", "see /help", "/help")])).text == "see /help"


@pytest.mark.parametrize(
    "content", ["photo", "voice", "video_note", "sticker", "location", "contact", "document", "poll", "dice", "story"]
)
def test_what_cannot_be_read_is_a_message_without_text(content: str) -> None:
    assert only(body(**{content: {}})).text == ""


def test_a_caption_is_the_text_of_a_picture() -> None:
    assert only(body(photo=[{}], caption="This one?")).text == "This one?"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        pytest.param("own_message", {"from": US, "text": "Hi"}, id="ourselves"),
        pytest.param("bot_message", {"from": {"id": 1087968824, "is_bot": True}, "text": "Hi"}, id="a hidden admin"),
        pytest.param("channel_post", {"from": None, "text": "Hi"}, id="nobody"),
        pytest.param("channel_post", {"chat": {"id": -1, "type": "channel"}, "text": "Hi"}, id="a channel"),
        pytest.param("channel_post", {"is_automatic_forward": True, "text": "Hi"}, id="a linked channel"),
        pytest.param("service_message", {"new_chat_members": [US]}, id="somebody came"),
        pytest.param("service_message", {"pinned_message": {}}, id="something was pinned"),
    ],
)
def test_what_is_no_message_of_a_person_is_ignored_with_its_reason(reason: str, message: dict[str, Any]) -> None:
    assert parse_body(body(**message), BOT) == Inbound(ignored=(reason,))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("edited_message", "edited"),
        ("channel_post", "channel_post"),
        ("edited_channel_post", "channel_post"),
        ("business_message", "business"),
        ("message_reaction", "reaction"),
        ("my_chat_member", "membership"),
        ("inline_query", "other_update"),
        ("an_update_of_tomorrow", "other_update"),
    ],
)
def test_updates_that_are_no_new_message_are_ignored_with_their_reason(kind: str, reason: str) -> None:
    told = json.loads(body(text="Hi"))
    raw = json.dumps({"update_id": 1, kind: told["message"]}).encode()
    assert parse_body(raw, BOT) == Inbound(ignored=(reason,))


def test_a_pressed_button_says_its_data_and_stops_turning() -> None:
    inbound = parse_body(pressed(), BOT)
    assert inbound.answer is not None
    assert inbound.answer.content_type == "application/json"
    assert json.loads(inbound.answer.body) == {
        "method": "answerCallbackQuery",
        "callback_query_id": "4382bfdwdsb323b2d9",
    }
    message = only(pressed())
    assert (message.text, message.sender) == ("returns", "12345678")
    assert message.message_id == "button:4382bfdwdsb323b2d9"
    assert message.reply_to == {"chat_id": "12345678", "message_id": "9"}


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        pytest.param("inline_button", {"message": None}, id="in a chat that we do not know"),
        pytest.param("other_update", {"data": None}, id="of a game"),
        pytest.param(
            "channel_post", {"message": {"message_id": 1, "chat": {"id": -1, "type": "channel"}}}, id="in a channel"
        ),
    ],
)
def test_a_button_that_says_nothing_to_us_stops_turning_all_the_same(reason: str, changed: dict[str, Any]) -> None:
    inbound = parse_body(pressed(**changed), BOT)
    assert (inbound.messages, inbound.ignored) == ((), (reason,))
    assert inbound.answer is not None


@pytest.mark.parametrize(
    "message",
    [
        {"text": 7},
        {"text": "Hi", "message_id": True},
        {"text": "Hi", "message_id": 2**63},
        {"text": "Hi", "chat": {"id": 1.5, "type": "private"}},
        {"text": "Hi", "entities": [{"type": "mention", "offset": -1, "length": 2}]},
    ],
)
def test_a_malformed_message_is_kept_aside(message: dict[str, Any]) -> None:
    with pytest.raises(PayloadInvalid, match=r"message_id|text|chat\.id|entities\.0\.offset"):
        parse_body(body(**message), BOT)


def test_the_answer_to_a_malformed_update_names_the_field_and_not_its_value() -> None:
    with pytest.raises(PayloadInvalid, match="text") as caught:
        parse_body(body(text={"secret": "4111 1111 1111 1111"}), BOT)
    assert "4111" not in str(caught.value)


@pytest.mark.parametrize("offset", [1, 2, 3, 50])
def test_marks_that_do_not_fit_the_text_are_no_error(offset: int) -> None:
    marks = [{"type": kind, "offset": offset, "length": 9} for kind in ("mention", "bot_command")]
    assert parse_body(body(chat=GROUP, text="👋👋", entities=marks), BOT).messages[0].text == "👋👋"


def test_half_a_surrogate_pair_and_nul_cannot_reach_the_database() -> None:
    raw = body(text="Hi").replace(b'"Hi"', b'"a\\ud83d b\\u0000c \\ud83d\\ude00"')
    assert only(raw).text == "a\ufffd bc 😀"


# Bodies as they were recorded, and as they never come.

RECORDED = [(path.stem, json.loads(path.read_bytes())) for path in sorted(WEBHOOKS.glob("telegram/*.json"))]
EXPECTED = {
    "callback_query": (None, ("inline_button",)),
    "message_command_group": ("/command", ()),
    "message_text_private": ("HELLO", ()),
}
CHANNEL = build_channel(
    "telegram",
    app="shop",
    secrets={"bot_token": "7000000001:AA", "secret_token": "word"},
    settings={"username": "@Shop_Bot"},
    api_url="https://api.telegram.org",
    clock=lambda: 1_790_000_000.0,
)
SEEDS = [
    *(payload for _, payload in RECORDED),
    json.loads(CHANNEL.simulate("Hi", account="shop", message_id="1", sender="1555")),
    json.loads(group("👋 @shop_bot how long?", MENTION, message_thread_id=42, is_topic_message=True)),
    json.loads(pressed()),
]


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_each_recorded_body_becomes_what_it_is() -> None:
    found = {}
    for name, payload in RECORDED:
        inbound = parse_body(json.dumps(payload).encode(), BOT)
        found[name] = (inbound.messages[0].text if inbound.messages else None, inbound.ignored)
    assert found == EXPECTED


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_the_recorded_secret_token_is_taken_and_the_wrong_one_is_not() -> None:
    from channels.errors import SignatureInvalid

    vector = json.loads((WEBHOOKS / "signature_vectors.json").read_bytes())["telegram"]
    secrets = {"bot_token": "7000000001:AA", "secret_token": vector["secret_token"]}
    channel = build_channel("telegram", app="shop", secrets=secrets, api_url="https://api.telegram.org")
    for _, payload in RECORDED:
        raw = json.dumps(payload).encode()
        channel.verify({vector["header"].lower(): vector["secret_token"]}, raw)
        for headers in ({vector["header"].lower(): vector["wrong"]}, {}):
            with pytest.raises(SignatureInvalid):
                channel.verify(headers, raw)


@given(payload=mutated(SEEDS))
def test_a_mutated_body_is_read_or_refused_as_invalid(payload: Any) -> None:
    check(CHANNEL.parse, IGNORED_REASONS, json.dumps(payload).encode())


@given(raw=st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused_as_invalid(raw: bytes) -> None:
    check(CHANNEL.parse, IGNORED_REASONS, raw)


@given(data=st.data())
def test_cut_and_spliced_bytes_are_read_or_refused_as_invalid(data: st.DataObject) -> None:
    raw = json.dumps(data.draw(st.sampled_from(SEEDS))).encode()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(raw)), st.integers(0, len(raw)))))
    check(CHANNEL.parse, IGNORED_REASONS, raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:])


@given(text=st.text(max_size=60), message_id=st.text(min_size=1, max_size=20), sender=st.text(max_size=20))
def test_what_is_simulated_is_read_again(text: str, message_id: str, sender: str) -> None:
    text = text.replace("\x00", "")
    (message,) = CHANNEL.parse(CHANNEL.simulate(text, account="shop", message_id=message_id, sender=sender)).messages
    assert message.text == text
    assert message.account == "shop"
