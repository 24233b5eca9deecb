"""Teams' activities: what is a message, whose, and where its answer goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.base import Inbound, InboundMessage
from channels.errors import PayloadInvalid
from channels.teams.payloads import parse_body

SERVICE = "https://smba.trafficmanager.net/emea/"
BOT, PERSON, TENANT = "28:bot", "29:person", "tenant-1"


def activity(**changes: Any) -> dict[str, Any]:
    made = {
        "type": "message",
        "id": "1700000000001",
        "channelId": "msteams",
        "serviceUrl": SERVICE,
        "from": {"id": PERSON, "name": "P"},
        "recipient": {"id": BOT, "name": "Velmora"},
        "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": TENANT},
        "text": "Where is my order?",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def parse(**changes: Any) -> Inbound:
    return parse_body(json.dumps(activity(**changes)).encode())


def message(**changes: Any) -> InboundMessage:
    (found,) = parse(**changes).messages
    return found


def mention(who: str, name: str, text: str | None = None) -> dict[str, Any]:
    return {"type": "mention", "mentioned": {"id": who, "name": name}, "text": text or f"<at>{name}</at>"}


def shared(kind: str, place: str = "19:x@thread.tacv2") -> dict[str, Any]:
    return {"id": place, "conversationType": kind, "tenantId": TENANT, "isGroup": True}


def test_a_message_in_a_personal_chat() -> None:
    assert message() == InboundMessage(
        channel="teams",
        account=TENANT,
        message_id="a:1:1700000000001",
        conversation_key=f"{TENANT}:a:1",
        sender=PERSON,
        text="Where is my order?",
        reply_to={
            "service_url": SERVICE,
            "conversation": "a:1",
            "activity": "1700000000001",
            "bot": BOT,
            "person": PERSON,
        },
    )


def test_the_tenant_stands_in_either_place_and_the_conversations_comes_first() -> None:
    bare = {"id": "a:1"}
    data = {"tenant": {"id": "tenant-2"}}
    assert message(conversation=bare, channelData=data).account == "tenant-2"
    assert message(channelData=data).account == TENANT
    with pytest.raises(PayloadInvalid, match="tenant"):
        parse(conversation=bare)


@pytest.mark.parametrize("kind", ["channel", "groupChat"])
def test_in_company_only_what_mentions_us_is_for_us(kind: str) -> None:
    place = shared(kind, "19:x@thread.tacv2;messageid=5")
    assert parse(conversation=place).ignored == ("not_addressed",)
    assert parse(conversation=place, entities=[mention("29:other", "Anna")]).ignored == ("not_addressed",)
    assert parse(conversation=place, entities=[mention(BOT, "Velmora")]).messages


def test_a_thread_of_a_channel_is_a_conversation_and_a_group_chat_is_one() -> None:
    ours = [mention(BOT, "Velmora")]
    in_thread = message(conversation=shared("channel", "19:x@thread.tacv2;messageid=5"), entities=ours)
    assert in_thread.reply_to["conversation"] == "19:x@thread.tacv2;messageid=5"
    assert in_thread.conversation_key == f"{TENANT}:19:x@thread.tacv2;messageid=5"
    begins = message(conversation=shared("channel"), entities=ours, id="5")
    answers = message(conversation=shared("channel"), entities=ours, id="6", replyToId="5")
    assert begins.conversation_key == answers.conversation_key == in_thread.conversation_key
    assert message(conversation=shared("groupChat"), entities=ours).conversation_key == f"{TENANT}:19:x@thread.tacv2"


@pytest.mark.parametrize(
    ("text", "entities", "shown"),
    [
        ("<at>Velmora</at> Hello\n", [mention(BOT, "Velmora")], "Hello"),
        ("Hi <at>Velmora</at>", [mention(BOT, "Velmora")], "Hi"),
        ("<at>Velmora</at> ask <at>Anna B</at>", [mention(BOT, "Velmora"), mention("29:a", "Anna B")], "ask @Anna B"),
        ("<at>Velmora</at> Hi", [], "<at>Velmora</at> Hi"),
        ("a <b> & c", [], "a <b> & c"),
        ("Hi", [{"type": "clientInfo", "locale": "en"}, 7, None, {"type": "mention"}], "Hi"),
        ("Hi", [mention(BOT, "Velmora", "Hi")], "Hi"),
        ("Hi", {"type": "mention"}, "Hi"),
        ("", [], ""),
        (None, [], ""),
    ],
)
def test_the_mention_that_called_us_goes_and_others_are_named(text: str | None, entities: Any, shown: str) -> None:
    assert message(text=text, entities=entities).text == shown


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("conversationUpdate", "conversation_update"),
        ("endOfConversation", "conversation_update"),
        ("event", "event"),
        ("installationUpdate", "installation"),
        ("messageDelete", "message_deleted"),
        ("messageReaction", "reaction"),
        ("messageUpdate", "message_changed"),
        ("typing", "typing"),
        ("of tomorrow", "other_activity"),
    ],
)
def test_what_is_no_message_is_ignored_by_its_reason(kind: str, reason: str) -> None:
    assert parse(type=kind, text=None, id=None) == Inbound(ignored=(reason,))


def test_an_invoke_is_answered_with_a_body() -> None:
    inbound = parse(type="invoke", name="adaptiveCard/action", value={"action": {}})
    assert inbound.ignored == ("invoke",)
    assert inbound.answer is not None
    assert (json.loads(inbound.answer.body), inbound.answer.content_type) == ({}, "application/json")


def test_bots_and_ourselves_are_not_answered() -> None:
    assert parse(**{"from": {"id": BOT}}).ignored == ("own_message",)
    assert parse(**{"from": {"id": "28:other"}}).ignored == ("bot_message",)
    assert parse(**{"from": {"id": PERSON, "role": "bot"}}).ignored == ("bot_message",)


@pytest.mark.parametrize("platform", ["directline", "webchat", "emulator", ""])
def test_a_tenant_that_another_platform_names_selects_no_brand(platform: str) -> None:
    assert parse(channelId=platform) == Inbound(ignored=("other_platform",))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": ""},
        {"id": "x" * 600},
        {"channelId": None},
        {"serviceUrl": None},
        {"from": None},
        {"recipient": {"id": 7}},
        {"conversation": "a:1"},
        {"text": ["Where"]},
        {"type": None},
        {"type": 7},
    ],
)
def test_a_message_of_another_shape_is_invalid_and_its_words_stay_out(changes: dict[str, Any]) -> None:
    with pytest.raises(PayloadInvalid) as caught:
        parse(**changes)
    assert "order" not in str(caught.value)
