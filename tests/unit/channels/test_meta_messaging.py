"""What Messenger's and Instagram's webhooks become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Channel, Edit, Inbound, Reaction, Receipt
from channels.errors import PayloadInvalid, SignatureInvalid
from channels.meta.messaging import IGNORED_REASONS
from channels.registry import build_channel
from tests.unit.channels.fuzzing import anything, check, mutated
from tests.unit.channels.recorded import ABSENT, WEBHOOKS, bodies

PERSON, ACCOUNT = "6250000000000001", "108930472516001"
BOTH = pytest.mark.parametrize("name", ["messenger", "instagram"])
PRODUCTS = {"messenger": "page", "instagram": "instagram"}


def build(name: str, app_secret: str = "s" * 32) -> Channel:
    secrets = {"app_secret": app_secret, "verify_token": "token", "access_token": "EAA"}
    url = "https://graph.example/v23.0"
    return build_channel(name, app="main", secrets=secrets, api_url=url, clock=lambda: 1_790_000_000.0)


CHANNELS = {name: build(name) for name in PRODUCTS}


def event(**held: Any) -> dict[str, Any]:
    return {"sender": {"id": PERSON}, "recipient": {"id": ACCOUNT}, "timestamp": 1_790_000_000_123} | held


def message(number: int = 1, **changed: Any) -> dict[str, Any]:
    return event(message={"mid": f"m_{number}", "text": f"Text {number}"} | changed)


def entry(*events: Any, key: str = "messaging") -> dict[str, Any]:
    return {"id": ACCOUNT, "time": 1_790_000_000_456, key: list(events)}


def parse(*entries: Any, name: str = "messenger") -> Inbound:
    return CHANNELS[name].parse(json.dumps({"object": PRODUCTS[name], "entry": list(entries)}).encode())


@BOTH
def test_three_entries_of_six_events_lose_one_malformed_sibling_only(name: str) -> None:
    entries = [entry(*(message(6 * position + number) for number in range(6))) for position in range(3)]
    entries[1]["messaging"][4]["message"]["mid"] = 7
    inbound = parse(*entries, name=name)
    assert [one.message_id for one in inbound.messages] == [f"m_{number}" for number in range(18) if number != 10]
    assert {one.channel for one in inbound.messages} == {name}
    assert inbound.ignored == ("malformed",)


@pytest.mark.parametrize("broken", [None, 7, "text", [], {}, {"messaging": 7}, {"messaging": [None, 7, []]}])
def test_a_broken_entry_does_not_lose_its_siblings(broken: Any) -> None:
    inbound = parse(broken, entry(message()))
    assert [one.text for one in inbound.messages] == ["Text 1"]
    assert set(inbound.ignored) == {"malformed"}


def test_a_person_has_one_conversation_with_the_account_that_was_written_to() -> None:
    (one,) = parse(entry(message())).messages
    assert (one.account, one.conversation_key, one.sender) == (ACCOUNT, PERSON, PERSON)
    assert one.reply_to == {"recipient": PERSON}


@pytest.mark.parametrize(
    ("held", "text"),
    [
        pytest.param({"text": "Red", "quick_reply": {"payload": "RED"}}, "Red", id="quick reply"),
        pytest.param({"text": None, "quick_reply": {"payload": "RED"}}, "RED", id="quick reply without its title"),
        pytest.param({"text": "Hi", "reply_to": {"story": {"id": "1"}}}, "Hi", id="reply to a story"),
        pytest.param({"text": None, "attachments": [{"type": "image"}]}, "", id="picture"),
        pytest.param({"text": None, "attachments": [{"type": "story_mention"}]}, "", id="mention in a story"),
        pytest.param({"text": None, "sticker_id": 369239263222822}, "", id="sticker"),
        pytest.param({"text": None, "is_unsupported": True}, "", id="what Meta itself cannot read"),
        pytest.param({"text": "See", "attachments": [{"type": "fallback"}]}, "See", id="text with a link"),
        pytest.param({"text": "Hi", "attachments": "none of ours"}, "Hi", id="attachments of another shape"),
    ],
)
def test_what_can_be_read_is_text_and_what_cannot_is_empty(held: dict[str, Any], text: str) -> None:
    assert [one.text for one in parse(entry(message(**held))).messages] == [text]


@pytest.mark.parametrize(
    ("postback", "text"),
    [
        ({"mid": "m_9", "title": "Start", "payload": "GET_STARTED"}, "Start"),
        ({"mid": "m_9", "payload": "GET_STARTED"}, "GET_STARTED"),
        ({"mid": "m_9", "title": None, "payload": None}, ""),
    ],
)
def test_a_pressed_button_says_its_title_or_else_its_payload(postback: dict[str, Any], text: str) -> None:
    (one,) = parse(entry(event(postback=postback))).messages
    assert (one.text, one.message_id) == (text, "m_9")


def test_a_button_without_an_id_is_known_by_person_and_moment() -> None:
    pressed = event(postback={"payload": "A"})
    first, again, later = parse(entry(pressed, pressed, pressed | {"timestamp": 1_790_000_000_124})).messages
    assert first.message_id == again.message_id != later.message_id
    other = parse(entry(pressed | {"sender": {"id": "6250000000000002"}})).messages[0]
    assert other.message_id != first.message_id
    del pressed["timestamp"]
    assert parse(entry(pressed)) == Inbound(ignored=("malformed",))


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        pytest.param(message(is_echo=True), "own_message", id="echo"),
        pytest.param(event(message={"mid": "m_1", "is_echo": True}, sender=None), "own_message", id="bare echo"),
        pytest.param(message() | {"sender": {"id": ACCOUNT}}, "own_message", id="to itself"),
        pytest.param(message(is_deleted=True) | {"recipient": None}, "malformed", id="withdrawn from nobody"),
        pytest.param(event(read={"watermark": 1}), "read", id="read"),
        pytest.param(event(delivery={"mids": ["m_1"], "watermark": 1}), "delivery", id="delivered"),
        pytest.param(event(reaction={"action": "react", "emoji": "👍"}), "malformed", id="reaction to nothing"),
        pytest.param(event(message_edit={"mid": "m_1", "num_edit": 1}), "malformed", id="edit to nothing"),
        pytest.param(event(optin={"type": "notification_messages"}), "other_event", id="opt-in"),
        pytest.param(event(referral={"ref": "ad"}), "other_event", id="by a link"),
        pytest.param(event(pass_thread_control={"new_owner_app_id": "1"}), "other_event", id="thread passed on"),
        pytest.param(event(), "other_event", id="nothing known"),
        pytest.param(message(mid=""), "malformed", id="empty id"),
        pytest.param(message(mid="x" * 600), "malformed", id="endless id"),
        pytest.param(message(text=7), "malformed", id="text that is none"),
        pytest.param(event(message=None), "malformed", id="no message in it"),
        pytest.param(message() | {"sender": {"user_ref": "1"}}, "malformed", id="a person without an id"),
        pytest.param(message() | {"recipient": None}, "malformed", id="to nobody"),
    ],
)
@BOTH
def test_what_is_no_message_is_ignored_with_its_reason(name: str, item: dict[str, Any], reason: str) -> None:
    assert parse(entry(item), name=name) == Inbound(ignored=(reason,))


def test_an_echo_with_our_mark_tells_that_the_page_has_the_part() -> None:
    echo = event(sender={"id": ACCOUNT}, recipient={"id": PERSON}) | {
        "message": {"mid": "m_7", "text": "Hi", "is_echo": True, "metadata": "out-1:2"}
    }
    assert parse(entry(echo)) == Inbound(receipts=(Receipt(ACCOUNT, "sent", "out-1:2", "m_7"),))


@pytest.mark.parametrize(
    ("reaction", "value"),
    [
        ({"action": "react", "reaction": "like", "emoji": "\U0001f44d"}, "up"),
        ({"action": "react", "reaction": "other", "emoji": "\U0001f44e\U0001f3ff"}, "down"),
        ({"action": "react", "reaction": "dislike"}, "down"),
        ({"action": "react", "reaction": "love", "emoji": "❤"}, None),
        ({"action": "unreact", "reaction": "like", "emoji": "\U0001f44d"}, None),
        ({"action": "unreact"}, None),
    ],
)
@BOTH
def test_a_thumb_is_a_reaction_and_any_other_one_takes_its_place(
    name: str, reaction: dict[str, Any], value: Any
) -> None:
    held = event(reaction={"mid": "m_1", **reaction})
    assert parse(entry(held), name=name) == Inbound(reactions=(Reaction(ACCOUNT, "m_1", value),))


@BOTH
def test_a_message_can_be_changed_and_taken_back(name: str) -> None:
    changed = event(message_edit={"mid": "m_1", "text": "Text 2", "num_edit": 1})
    inbound = parse(entry(changed, message(is_deleted=True)), name=name)
    assert inbound == Inbound(edits=(Edit(ACCOUNT, "m_1", "Text 2"), Edit(ACCOUNT, "m_1", None)))


def test_on_standby_another_app_has_the_conversation() -> None:
    inbound = parse(entry(message(1), message(2), 7, key="standby"), entry(message(3)))
    assert [one.message_id for one in inbound.messages] == ["m_3"]
    assert inbound.ignored == ("standby", "standby", "malformed")


@BOTH
def test_messages_that_come_as_changes_are_read_like_the_others(name: str) -> None:
    changes = [
        {"field": "messages", "value": message(1)},
        {"field": "messaging_postbacks", "value": event(postback={"mid": "m_2", "title": "Start"})},
        {"field": "messages", "value": message(3, is_echo=True)},
        {"field": "messages", "value": 7},
        {"field": "comments", "value": {"text": "Nice!"}},
        {"field": ["messages"], "value": message(4)},
    ]
    inbound = parse(entry(*changes, key="changes"), name=name)
    assert [one.text for one in inbound.messages] == ["Text 1", "Start"]
    assert inbound.ignored == ("own_message", "malformed", "other_field", "other_field")


def test_comments_and_other_products_of_the_same_app_are_ignored() -> None:
    assert parse(entry({"field": "feed", "value": {}}, key="changes")).ignored == ("other_field",)
    assert CHANNELS["messenger"].parse(b'{"object":"instagram","entry":[]}').ignored == ("other_object",)
    assert CHANNELS["instagram"].parse(b'{"object":"page","entry":[]}').ignored == ("other_object",)


@pytest.mark.parametrize("raw", [b'{"entry":[]}', b'{"object":"page"}', b'{"object":1,"entry":[]}'])
def test_a_body_without_the_outer_shape_is_kept_aside(raw: bytes) -> None:
    with pytest.raises(PayloadInvalid, match="'object' and 'entry'"):
        CHANNELS["messenger"].parse(raw)


# Bodies as Meta really sent them.

RECORDED = {
    "messenger": {
        "audio_message": "",
        "echo": Inbound(ignored=("own_message",)),
        "image_message": "",
        "location_message": "",
        "postback": "USER_DEFINED_PAYLOAD",
        "quick_reply_message": "Red",
        "text": "text",
    },
    "instagram": {
        "attachment_share": "",
        "message": "This is the first message from the customer",
        "seen": Inbound(ignored=("read",)),
        "standby": Inbound(ignored=("standby",)),
        "story_mention_echo": Inbound(ignored=("own_message",)),
    },
}
ALL_RECORDED = [(channel, *body) for channel in RECORDED for body in bodies(channel)]


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
@pytest.mark.parametrize(
    ("name", "case", "payload"), [pytest.param(*one, id=f"{one[0]}-{one[1]}") for one in ALL_RECORDED]
)
def test_each_recorded_body_is_accepted_when_signed_and_becomes_what_it_is(
    name: str, case: str, payload: dict[str, Any]
) -> None:
    channel, body = CHANNELS[name], json.dumps(payload).encode()
    channel.verify(channel.sign(body), body)
    with pytest.raises(SignatureInvalid):
        channel.verify({}, body)
    inbound, expected = channel.parse(body), RECORDED[name][case]
    if isinstance(expected, Inbound):
        assert inbound == expected
        return
    assert [one.text for one in inbound.messages] == [expected]
    sent = payload["entry"][0]["messaging"][0]
    assert inbound.messages[0].account == sent["recipient"]["id"]
    assert inbound.messages[0].reply_to == {"recipient": sent["sender"]["id"]}


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_no_recorded_body_is_left_out() -> None:
    assert {name: {case for case, _ in bodies(name)} for name in RECORDED} == {
        name: set(cases) for name, cases in RECORDED.items()
    }


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
@BOTH
def test_the_recorded_signature_is_ours(name: str) -> None:
    vector = json.loads((WEBHOOKS / "signature_vectors.json").read_bytes())["meta_x_hub_signature_256"]
    channel, body = build(name, vector["secret"]), vector["body"].encode()
    channel.verify({"x-hub-signature-256": vector["signature"]}, body)
    assert channel.sign(body)["x-hub-signature-256"] == vector["signature"]


# Bodies as Meta would never send them.

EVENTS = [
    message(1),
    message(2, quick_reply={"payload": "RED"}),
    event(postback={"title": "Start", "payload": "GET_STARTED"}),
    event(read={"watermark": 1}),
    message(3, is_echo=True),
]
SEEDS = {
    name: [
        {"object": product, "entry": [entry(*EVENTS), entry(message(4), key="standby")]},
        {"object": product, "entry": [entry({"field": "messages", "value": message(5)}, key="changes")]},
        *(payload for _, payload in bodies(name)),
    ]
    for name, product in PRODUCTS.items()
}


@BOTH
@given(data=st.data())
def test_a_mutated_body_is_read_or_refused_as_invalid(name: str, data: st.DataObject) -> None:
    check(CHANNELS[name].parse, IGNORED_REASONS, json.dumps(data.draw(mutated(SEEDS[name]))).encode())


@BOTH
@given(body=st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused_as_invalid(name: str, body: bytes) -> None:
    check(CHANNELS[name].parse, IGNORED_REASONS, body)


@BOTH
@given(item=anything)
def test_an_event_of_any_shape_never_loses_its_sibling(name: str, item: Any) -> None:
    inbound = parse(entry(item, message(7)), name=name)
    assert [one.message_id for one in inbound.messages] == ["m_7"]
    assert set(inbound.ignored) <= IGNORED_REASONS


@BOTH
@given(data=st.data())
def test_cut_and_spliced_bytes_are_read_or_refused_as_invalid(name: str, data: st.DataObject) -> None:
    body = json.dumps(data.draw(st.sampled_from(SEEDS[name]))).encode()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    check(CHANNELS[name].parse, IGNORED_REASONS, body[:start] + data.draw(st.binary(max_size=8)) + body[end:])


@BOTH
@given(text=st.text(max_size=60), message_id=st.text(min_size=1, max_size=20))
def test_what_is_simulated_is_read_again(name: str, text: str, message_id: str) -> None:
    text, message_id = text.replace("\x00", ""), message_id.replace("\x00", "") or "1"
    body = CHANNELS[name].simulate(text, account=ACCOUNT, message_id=message_id, sender=PERSON)
    (one,) = CHANNELS[name].parse(body).messages
    assert (one.text, one.message_id, one.account) == (text, message_id, ACCOUNT)


@BOTH
@given(
    headers=st.dictionaries(st.sampled_from(["x-hub-signature-256", "x-hub-signature"]), st.text(max_size=80)),
    body=st.binary(max_size=40),
)
def test_made_up_headers_are_refused_and_never_an_error(name: str, headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        CHANNELS[name].verify(headers, body)
