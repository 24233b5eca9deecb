"""What Discord's interactions become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import InboundMessage
from channels.discord.payloads import IGNORED_REASONS, parse_body
from channels.errors import PayloadInvalid, SignatureInvalid
from channels.registry import build_channel
from tests.unit.channels.fuzzing import anything, check, mutated
from tests.unit.channels.recorded import ABSENT, WEBHOOKS

QUESTION = {"name": "question", "type": 3, "value": "How long?"}


def body(*options: Any, data: dict[str, Any] | None = None, **changed: Any) -> bytes:
    interaction = {
        "id": "786008729715212338",
        "application_id": "775799577604522054",
        "type": 2,
        "token": "a-token",
        "channel_id": "645027906669510667",
        "guild_id": "290926798626357999",
        "member": {"user": {"id": "53908232506183680", "username": "m"}, "roles": []},
        "data": {"id": "1", "name": "ask", "type": 1, "options": list(options)} | (data or {}),
        "version": 1,
    }
    return json.dumps(interaction | changed).encode()


def only(raw: bytes) -> InboundMessage:
    inbound = parse_body(raw)
    assert inbound.ignored == ()
    (message,) = inbound.messages
    return message


def test_a_ping_is_answered_as_discord_wants_it() -> None:
    inbound = parse_body(b'{"id":"787053080478613555","token":"x","type":1,"version":1}')
    assert inbound.answer is not None
    assert (inbound.answer.body, inbound.answer.content_type) == (b'{"type":1}', "application/json")
    assert (inbound.messages, inbound.ignored) == ((), ())


def test_a_command_is_a_message_and_says_at_once_that_we_are_thinking() -> None:
    inbound = parse_body(body(QUESTION))
    assert inbound.answer is not None
    assert inbound.answer.body == b'{"type":5}'
    message = only(body(QUESTION))
    assert (message.text, message.account) == ("How long?", "775799577604522054")
    assert message.message_id == "786008729715212338"
    assert message.sender == "53908232506183680"
    assert message.reply_to == {"interaction_id": "786008729715212338", "token": "a-token"}


def test_a_person_has_one_conversation_a_channel() -> None:
    first = only(body(QUESTION)).conversation_key
    assert only(body(QUESTION, id="2", token="another")).conversation_key == first
    assert only(body(QUESTION, channel_id="2")).conversation_key != first
    assert only(body(QUESTION, member={"user": {"id": "2"}})).conversation_key != first


def test_in_a_direct_message_the_person_is_no_member() -> None:
    direct = body(QUESTION, member=None, user={"id": "53908232506183680"}, guild_id=None, channel_id=None)
    assert only(direct).sender == "53908232506183680"
    assert only(direct).conversation_key == "direct:53908232506183680"


TOPIC = {"name": "topic", "type": 3, "value": "returns"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param([TOPIC, QUESTION], "How long?", id="the question, wherever it stands"),
        pytest.param([TOPIC], "returns", id="another text"),
        pytest.param([{"name": "n", "type": 4, "value": 3}, TOPIC], "returns", id="no number"),
        pytest.param([{"name": "sub", "type": 1, "options": [QUESTION]}], "How long?", id="a command below"),
        pytest.param(
            [{"name": "group", "type": 2, "options": [{"name": "sub", "type": 1, "options": [QUESTION]}]}],
            "How long?",
            id="a command in a group",
        ),
        pytest.param([{"name": "picture", "type": 11, "value": "867793854505943041"}], "", id="a file"),
        pytest.param([], "", id="nothing"),
        pytest.param([None, 7, {"type": 3}, {"name": "a", "type": 3, "value": 7}], "", id="nonsense"),
    ],
)
def test_the_text_is_what_was_typed_into_the_command(options: list[Any], text: str) -> None:
    assert only(body(*options)).text == text


@pytest.mark.parametrize(
    ("reason", "answer", "raw"),
    [
        pytest.param("user_command", None, body(data={"type": 2}), id="on a person"),
        pytest.param("message_command", None, body(data={"type": 3}), id="on a message"),
        pytest.param("other_command", None, body(data={"type": 4}), id="an activity"),
        pytest.param("other_command", None, body(data={"type": "1"}), id="a type that is no number"),
        pytest.param("button", {"type": 6}, body(type=3, data={"custom_id": "more"}), id="a button"),
        pytest.param("autocomplete", {"type": 8, "data": {"choices": []}}, body(QUESTION, type=4), id="while typing"),
        pytest.param("modal", None, body(type=5), id="a form"),
        pytest.param("other_interaction", None, body(type=99), id="one of tomorrow"),
    ],
)
def test_what_is_no_question_is_ignored_with_its_reason(reason: str, answer: Any, raw: bytes) -> None:
    inbound = parse_body(raw)
    assert (inbound.messages, inbound.ignored) == ((), (reason,))
    assert (json.loads(inbound.answer.body) if inbound.answer else None) == answer


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"type": None}, "type"),
        ({"type": True}, "type"),
        ({"data": None}, "data"),
        ({"member": None}, "user"),
        ({"application_id": None}, "application_id"),
        ({"id": "one"}, "id"),
        ({"id": "1" * 21}, "id"),
        ({"token": ""}, "token"),
        ({"token": "x" * 600}, "token"),
    ],
)
def test_a_malformed_command_is_kept_aside(changed: dict[str, Any], told: str) -> None:
    payload = json.loads(body(QUESTION)) | changed
    with pytest.raises(PayloadInvalid, match=told):
        parse_body(json.dumps(payload).encode())


def test_the_answer_to_a_malformed_command_does_not_tell_the_token() -> None:
    with pytest.raises(PayloadInvalid) as caught:
        parse_body(body(QUESTION, token={"a-token": 1}))
    assert "a-token" not in str(caught.value)


def test_half_a_surrogate_pair_and_nul_cannot_reach_the_database() -> None:
    raw = body(QUESTION).replace(b'"How long?"', b'"a\\ud83d b\\u0000c \\ud83d\\ude00"')
    assert only(raw).text == "a\ufffd bc 😀"


# Bodies as they were recorded, and as they never come.

RECORDED = {path.stem: json.loads(path.read_bytes()) for path in sorted(WEBHOOKS.glob("discord/*.json"))}
CHANNEL = build_channel(
    "discord",
    app="main",
    secrets={"private_key": "0f" * 32},
    api_url="https://discord.com/api/v10",
    clock=lambda: 1_790_000_000.0,
)
SEEDS = [
    *RECORDED.values(),
    json.loads(CHANNEL.simulate("Hi", account="775799577604522054", message_id="1", sender="1555")),
    json.loads(body({"name": "group", "type": 2, "options": [{"name": "sub", "type": 1, "options": [QUESTION]}]})),
]


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_each_recorded_body_becomes_what_it_is() -> None:
    found = {
        name: parse_body(json.dumps(payload).encode()).ignored
        for name, payload in RECORDED.items()
        if name != "slash_command"
    }
    assert found == {"message_command": ("message_command",), "ping": (), "user_command": ("user_command",)}
    # The example in Discord's documentation leaves out the application, which Discord always sends.
    slash = RECORDED["slash_command"]
    with pytest.raises(PayloadInvalid, match="application_id"):
        parse_body(json.dumps(slash).encode())
    message = only(json.dumps(slash | {"application_id": "775799577604522054"}).encode())
    assert message.text == "The Gitrog Monster"
    assert message.conversation_key == "645027906669510667:53908232506183680"


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_the_recorded_signature_is_ours() -> None:
    vector = json.loads((WEBHOOKS / "signature_vectors.json").read_bytes())["discord"]
    stamp, raw = vector["timestamp"], vector["body"].encode()
    simulated = build_channel(
        "discord",
        app="main",
        secrets={"private_key": vector["private_key_seed_hex"]},
        api_url="https://discord.com/api/v10",
        clock=lambda: float(stamp),
    )
    real = build_channel(
        "discord",
        app="main",
        secrets={},
        settings={"public_key": vector["public_key_hex"]},
        api_url="https://discord.com/api/v10",
        clock=lambda: float(stamp),
    )
    headers = {"x-signature-ed25519": vector["signature"], "x-signature-timestamp": stamp}
    assert simulated.sign(raw) == {"content-type": "application/json", **headers}
    for channel in (simulated, real):
        channel.verify(headers, raw)
        with pytest.raises(SignatureInvalid):
            channel.verify(headers | {"x-signature-timestamp": str(int(stamp) + 1)}, raw)


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_every_recorded_body_is_accepted_when_signed_and_refused_when_not() -> None:
    assert len(RECORDED) == 4
    for payload in RECORDED.values():
        raw = json.dumps(payload).encode()
        CHANNEL.verify(CHANNEL.sign(raw), raw)
        with pytest.raises(SignatureInvalid):
            CHANNEL.verify({}, raw)


@given(payload=mutated(SEEDS))
def test_a_mutated_body_is_read_or_refused_as_invalid(payload: Any) -> None:
    check(parse_body, IGNORED_REASONS, json.dumps(payload).encode())


@given(raw=st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused_as_invalid(raw: bytes) -> None:
    check(parse_body, IGNORED_REASONS, raw)


@given(data=st.data())
def test_cut_and_spliced_bytes_are_read_or_refused_as_invalid(data: st.DataObject) -> None:
    raw = json.dumps(data.draw(st.sampled_from(SEEDS))).encode()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(raw)), st.integers(0, len(raw)))))
    check(parse_body, IGNORED_REASONS, raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:])


@given(raw=st.binary(max_size=100), data=st.data())
def test_a_signature_or_body_with_a_flipped_bit_is_refused(raw: bytes, data: st.DataObject) -> None:
    headers = dict(CHANNEL.sign(raw))
    CHANNEL.verify(headers, raw)
    name = data.draw(st.sampled_from(["x-signature-ed25519", "x-signature-timestamp"]))
    at, bit = data.draw(st.integers(0, len(headers[name]) - 1)), data.draw(st.integers(0, 6))
    wrong = headers[name][:at] + chr(ord(headers[name][at]) ^ (1 << bit)) + headers[name][at + 1 :]
    with pytest.raises(SignatureInvalid):
        CHANNEL.verify(headers | {name: wrong}, raw)
    if raw:
        at = data.draw(st.integers(0, len(raw) - 1))
        with pytest.raises(SignatureInvalid):
            CHANNEL.verify(headers, raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :])


@given(
    signature=st.text(max_size=140) | st.from_regex("[0-9a-f]{128}", fullmatch=True),
    stamp=st.text(max_size=20) | st.from_regex("[0-9]{1,12}", fullmatch=True),
)
def test_made_up_headers_are_refused_and_never_an_error(signature: str, stamp: str) -> None:
    with pytest.raises(SignatureInvalid):
        CHANNEL.verify({"x-signature-ed25519": signature, "x-signature-timestamp": stamp}, b"{}")


@given(text=st.text(max_size=60), message_id=st.text(min_size=1, max_size=20), sender=st.text(max_size=20))
def test_what_is_simulated_is_read_again(text: str, message_id: str, sender: str) -> None:
    text = text.replace("\x00", "")
    raw = CHANNEL.simulate(text, account="775799577604522054", message_id=message_id, sender=sender)
    (message,) = CHANNEL.parse(raw).messages
    assert message.text == text
    assert message.account == "775799577604522054"
