"""What Meta's webhooks become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.base import Edit, Inbound, Reaction, Receipt
from channels.errors import PayloadInvalid
from channels.whatsapp.payloads import parse_body

CONTACT = {"profile": {"name": "N"}, "wa_id": "15550100001", "user_id": "US.1"}


def text_message(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "from": "15550100001",
        "id": f"wamid.{number}",
        "timestamp": "1697043223",
        "type": "text",
        "text": {"body": f"Text {number}"},
    } | changed


def value(*messages: Any, **changed: Any) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "1 555 010-0000", "phone_number_id": "1122"},
        "contacts": [CONTACT],
        "messages": list(messages),
    } | changed


def body(*values: Any, field: str = "messages") -> bytes:
    changes = [{"field": field, "value": each} for each in values]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).encode()


def test_three_entries_of_two_changes_of_three_messages_lose_one_malformed_sibling_only() -> None:
    numbers = iter(range(18))

    def change() -> dict[str, Any]:
        return {"field": "messages", "value": value(*(text_message(next(numbers)) for _ in range(3)))}

    entries: list[dict[str, Any]] = [{"id": str(number), "changes": [change(), change()]} for number in range(3)]
    entries[1]["changes"][1]["value"]["messages"][1]["text"] = {"body": 7}
    inbound = parse_body(json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode())
    assert [message.message_id for message in inbound.messages] == [f"wamid.{n}" for n in range(18) if n != 10]
    assert inbound.ignored == ("malformed",)


@pytest.mark.parametrize("broken", [None, 7, "text", [], {}, {"changes": 7}, {"changes": [None, 7, {}]}])
def test_a_broken_entry_does_not_lose_its_siblings(broken: Any) -> None:
    payload = json.loads(body(value(text_message(1))))
    payload["entry"].insert(0, broken)
    inbound = parse_body(json.dumps(payload).encode())
    assert [message.text for message in inbound.messages] == ["Text 1"]
    assert set(inbound.ignored) == {"malformed"}


def test_a_person_is_known_by_the_business_scoped_id_and_answered_at_the_number() -> None:
    (message,) = parse_body(body(value(text_message(1)))).messages
    assert (message.conversation_key, message.sender) == ("US.1", "US.1")
    assert message.reply_to == {"to": "15550100001", "message_id": "wamid.1"}


def test_a_person_with_a_username_has_no_number_and_is_answered_at_the_id() -> None:
    anonymous = text_message(1, from_user_id="US.2")
    del anonymous["from"]
    contact = {"profile": {"username": "someone"}, "user_id": "US.2"}
    (message,) = parse_body(body(value(anonymous, contacts=[contact]))).messages
    assert message.conversation_key == "US.2"
    assert message.reply_to == {"recipient": "US.2", "message_id": "wamid.1"}


def test_an_older_body_without_the_id_goes_by_the_number() -> None:
    older = [{"wa_id": "15550100001", "profile": {"name": "N"}}]
    assert parse_body(body(value(text_message(1), contacts=older))).messages[0].conversation_key == "15550100001"
    assert parse_body(body(value(text_message(1), contacts=None))).messages[0].conversation_key == "15550100001"


def test_each_message_of_a_batch_finds_its_own_person() -> None:
    contacts = [CONTACT, {"wa_id": "15550100002", "user_id": "US.2"}]
    pair = value(text_message(1), text_message(2, **{"from": "15550100002"}), contacts=contacts)
    assert [message.conversation_key for message in parse_body(body(pair)).messages] == ["US.1", "US.2"]


def test_a_message_of_nobody_is_malformed() -> None:
    nobody = text_message(1)
    del nobody["from"]
    assert parse_body(body(value(nobody, contacts=[]))) == Inbound(ignored=("malformed",))


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        pytest.param({"type": "button", "button": {"text": "Yes", "payload": "p"}}, "Yes", id="template button"),
        pytest.param(
            {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "Row"}}},
            "Row",
            id="list row",
        ),
        pytest.param({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {}}}, "", id="form"),
        pytest.param({"type": "image", "image": {"id": "1", "caption": "This one?"}}, "This one?", id="caption"),
        pytest.param({"type": "audio", "audio": {"id": "1", "voice": True}}, "", id="voice"),
        pytest.param({"type": "location", "location": {"latitude": 1.0}}, "", id="place"),
        pytest.param({"type": "sticker", "sticker": {"id": "1", "animated": True}}, "", id="sticker"),
        pytest.param({"type": "contacts", "contacts": [{"name": {"formatted_name": "N"}}]}, "", id="contacts"),
        pytest.param({"type": "document", "document": {"id": "1", "filename": "a.pdf"}}, "", id="no caption"),
        pytest.param({"type": "order", "order": {"text": "As a gift, please"}}, "As a gift, please", id="order"),
        pytest.param({"type": "order", "order": {"text": None, "product_items": []}}, "", id="order without words"),
        pytest.param({"type": "unsupported", "errors": [{"code": 131051}]}, "", id="what Meta itself cannot read"),
        pytest.param({"type": "hologram"}, "", id="a type of tomorrow"),
    ],
)
def test_what_can_be_read_is_text_and_what_cannot_is_empty(changed: dict[str, Any], text: str) -> None:
    assert [message.text for message in parse_body(body(value(text_message(1, **changed)))).messages] == [text]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"type": "reaction", "reaction": {"emoji": "👍"}}, "malformed", id="reaction to nothing"),
        pytest.param({"type": "reaction"}, "malformed", id="reaction without itself"),
        pytest.param({"type": "revoke", "revoke": {"original_message_id": ""}}, "malformed", id="nothing taken back"),
        pytest.param({"type": "system", "system": {"body": "new number"}}, "system", id="number change"),
        pytest.param({"type": "edit", "edit": {"original_message_id": "w"}}, "malformed", id="edit to nothing"),
        pytest.param({"group_id": "G1"}, "group_message", id="group"),
        pytest.param({"from": "15550100000"}, "own_message", id="our own number"),
        pytest.param({"text": None}, "malformed", id="text without body"),
        pytest.param({"id": ""}, "malformed", id="empty id"),
        pytest.param({"id": "x" * 600}, "malformed", id="endless id"),
    ],
)
def test_what_is_no_message_is_ignored_with_its_reason(changed: dict[str, Any], reason: str) -> None:
    assert parse_body(body(value(text_message(1, **changed)))) == Inbound(ignored=(reason,))


def test_statuses_and_errors_are_counted_apart() -> None:
    statuses = [{"id": "wamid.1", "status": "warped"}, {"id": "wamid.2", "status": "failed"}, 7, {"status": "sent"}]
    told = value(statuses=statuses, errors=[{"code": 131000}])
    inbound = parse_body(body(told))
    assert inbound.ignored == ("status", "malformed", "malformed", "platform_error")
    assert [one.message_id for one in inbound.receipts] == ["wamid.2"]


@pytest.mark.parametrize("wrong", [{"messages": 7}, {"statuses": "x"}, {"metadata": None}, {"metadata": {}}])
def test_a_wrong_part_of_a_value_is_malformed(wrong: dict[str, Any]) -> None:
    inbound = parse_body(body(value(text_message(1)) | wrong))
    assert "malformed" in inbound.ignored


def test_other_products_and_fields_of_the_same_app_are_ignored() -> None:
    assert parse_body(b'{"object":"page","entry":[]}').ignored == ("other_object",)
    assert parse_body(body({"event": "APPROVED"}, field="message_template_status_update")).ignored == ("other_field",)
    assert parse_body(body({})).ignored == ("empty",)


@pytest.mark.parametrize(
    "raw", [b'{"entry":[]}', b'{"object":"whatsapp_business_account"}', b'{"object":1,"entry":[]}']
)
def test_a_body_without_the_outer_shape_is_kept_aside(raw: bytes) -> None:
    with pytest.raises(PayloadInvalid, match="'object' and 'entry'"):
        parse_body(raw)


def test_a_status_tells_what_became_of_a_part_by_the_mark_that_it_carried() -> None:
    statuses = [
        {"id": "wamid.7", "status": "sent", "biz_opaque_callback_data": "out-1:2"},
        {"id": "wamid.7", "status": "delivered", "biz_opaque_callback_data": None, "errors": None},
    ]
    assert parse_body(body(value(statuses=statuses))).receipts == (
        Receipt("1122", "sent", "out-1:2", "wamid.7"),
        Receipt("1122", "delivered", "", "wamid.7"),
    )


@pytest.mark.parametrize(
    ("code", "retryable", "base", "operator", "words"),
    [
        (131047, False, None, False, "only an approved template"),
        (131026, False, None, False, "cannot receive it"),
        (131056, True, 4.0, False, "tried again later"),
        (130429, True, None, False, "tried again later"),
        (131042, False, None, True, "payment method"),
        (190, False, None, True, "access token"),
        (230, False, None, True, "permission"),
        (999999, False, None, False, "error codes of the Cloud API"),
    ],
)
def test_what_failed_says_by_its_code_whether_it_passes_and_who_must_act(
    code: int, retryable: bool, base: float | None, operator: bool, words: str
) -> None:
    told = {"id": "wamid.7", "status": "failed", "errors": [{"code": code, "title": "Anything <b>Meta</b> says"}]}
    (receipt,) = parse_body(body(value(statuses=[told]))).receipts
    failure = receipt.failure
    assert failure is not None
    assert (failure.retryable, failure.backoff_base, failure.needs_operator) == (retryable, base, operator)
    assert failure.code == str(code)
    assert words in str(failure)
    assert "Anything" not in str(failure)


@pytest.mark.parametrize(("emoji", "thumb"), [("👍", "up"), ("👍🏿", "up"), ("👎🏽", "down"), ("❤️", None), ("", None)])
def test_a_thumb_is_a_reaction_and_any_other_one_takes_its_place(emoji: str, thumb: Any) -> None:
    reaction = text_message(2, type="reaction", reaction={"message_id": "wamid.1", "emoji": emoji})
    assert parse_body(body(value(reaction))) == Inbound(reactions=(Reaction("1122", "wamid.1", thumb),))


def test_a_message_can_be_changed_and_taken_back() -> None:
    content = {"type": "image", "image": {"id": "1", "caption": "This one?"}}
    changed = text_message(2, type="edit", edit={"original_message_id": "wamid.1", "message": content})
    revoked = text_message(3, type="revoke", revoke={"original_message_id": "wamid.1"})
    edits = (Edit("1122", "wamid.1", "This one?"), Edit("1122", "wamid.1", None))
    assert parse_body(body(value(changed, revoked))) == Inbound(edits=edits)
