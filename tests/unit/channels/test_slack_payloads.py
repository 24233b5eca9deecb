"""What Slack's events become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.base import InboundMessage
from channels.errors import PayloadInvalid
from channels.slack.payloads import parse_body
from channels.slack.rendering import plain_text


def body(*, outer: dict[str, Any] | None = None, **event: Any) -> bytes:
    payload = {
        "type": "event_callback",
        "team_id": "T111",
        "event_id": "Ev111",
        "authorizations": [{"team_id": "T111", "user_id": "UBOT", "is_bot": True}],
        "event": {
            "type": "message",
            "user": "U222",
            "text": "Hi",
            "ts": "1726133700.887259",
            "channel": "D111",
            "channel_type": "im",
            **event,
        },
    }
    return json.dumps(payload | (outer or {})).encode()


def message(raw: bytes) -> InboundMessage:
    inbound = parse_body(raw)
    assert inbound.ignored == ()
    (only,) = inbound.messages
    return only


MENTION: dict[str, Any] = {"type": "app_mention", "channel": "C111", "channel_type": "channel", "text": "<@UBOT> Hi"}


def test_a_direct_message_is_one_conversation_and_is_answered_outside_threads() -> None:
    taken = message(body())
    assert taken.conversation_key == "T111:D111"
    assert taken.reply_to == {"channel": "D111"}
    assert taken.sender == "U222"


def test_a_thread_in_a_direct_message_is_answered_in_it() -> None:
    taken = message(body(thread_ts="1726133698.626339"))
    assert taken.conversation_key == "T111:D111"
    assert taken.reply_to == {"channel": "D111", "thread_ts": "1726133698.626339"}


def test_a_mention_in_a_channel_opens_a_thread() -> None:
    taken = message(body(**MENTION))
    assert taken.conversation_key == "T111:C111:1726133700.887259"
    assert taken.reply_to == {"channel": "C111", "thread_ts": "1726133700.887259"}
    assert taken.text == "Hi"


def test_a_mention_in_a_thread_stays_in_it() -> None:
    taken = message(body(**MENTION, thread_ts="1726133698.626339"))
    assert taken.conversation_key == "T111:C111:1726133698.626339"


def test_one_post_that_comes_as_two_events_has_one_id_and_one_conversation() -> None:
    post: dict[str, Any] = {"channel": "D111", "text": "<@UBOT> Hi", "thread_ts": "1726133698.626339"}
    direct = message(body(**post))
    mention = parse_body(body(**post, type="app_mention", channel_type=None, outer={"event_id": "Ev222"})).messages[0]
    assert direct == mention
    assert direct.message_id == "D111:1726133700.887259"


def test_a_brand_is_chosen_by_the_installation_and_not_by_the_author() -> None:
    shared = {"team_id": "T999", "authorizations": [{"team_id": "T111", "user_id": "UBOT", "is_bot": True}]}
    assert message(body(outer=shared, team="T999", user_team="T999")).account == "T111"


def test_an_event_without_authorizations_belongs_to_its_team() -> None:
    assert message(body(outer={"authorizations": []})).account == "T111"
    grid = {"authorizations": [{"team_id": None, "user_id": "UBOT", "is_bot": True, "is_enterprise_install": True}]}
    assert message(body(outer=grid)).account == "T111"


def test_an_event_without_any_team_is_kept_aside() -> None:
    with pytest.raises(PayloadInvalid, match="no team"):
        parse_body(body(outer={"authorizations": [], "team_id": None}))


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        pytest.param("own_message", {"user": "UBOT"}, id="own user"),
        pytest.param("bot_message", {"bot_id": "B999"}, id="another app"),
        pytest.param("bot_message", {"subtype": "bot_message", "user": None}, id="classic bot"),
        pytest.param("bot_message", {"user": "USLACKBOT"}, id="slackbot"),
        pytest.param("message_changed", {"subtype": "message_changed", "hidden": True, "user": None}, id="edit"),
        pytest.param("message_deleted", {"subtype": "message_deleted", "hidden": True}, id="deletion"),
        pytest.param("hidden", {"hidden": True}, id="hidden"),
        pytest.param("other_subtype", {"subtype": "channel_join"}, id="join"),
        pytest.param("not_addressed", {"channel": "C111", "channel_type": "channel"}, id="talk among people"),
        pytest.param("not_addressed", {"channel": "C111", "channel_type": "mpim"}, id="group message"),
        pytest.param("other_event", {"type": "reaction_added"}, id="reaction"),
        pytest.param("other_event", {"type": "channel_created", "channel": {"id": "C1"}}, id="other shape"),
    ],
)
def test_what_is_no_message_to_us_is_ignored_with_its_reason(reason: str, event: dict[str, Any]) -> None:
    inbound = parse_body(body(**event))
    assert (inbound.messages, inbound.ignored) == ((), (reason,))


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", "me_message"])
def test_what_people_post_under_a_subtype_is_a_message(subtype: str) -> None:
    assert message(body(subtype=subtype)).text == "Hi"


def test_a_person_who_installed_the_app_is_not_taken_for_the_app() -> None:
    older = {"authorizations": [], "authed_users": ["U222"]}
    assert message(body(outer=older)).sender == "U222"


def test_a_mention_is_taken_out_where_only_the_older_field_names_us() -> None:
    older = {"authorizations": [], "authed_users": ["W111"]}
    assert message(body(**MENTION | {"text": "<@W111> Hi there!"}, outer=older)).text == "Hi there!"


def test_a_picture_with_a_mention_only_is_a_message_without_text() -> None:
    assert message(body(**MENTION | {"text": "<@UBOT>", "subtype": "file_share"})).text == ""


def test_the_answer_to_a_malformed_event_names_the_field_and_not_its_value() -> None:
    with pytest.raises(PayloadInvalid, match="text") as caught:
        parse_body(body(text={"secret": "4111 1111 1111 1111"}))
    assert "4111" not in str(caught.value)


@pytest.mark.parametrize("kind", [["message"], {"a": 1}, 7])
def test_an_event_type_that_is_no_text_is_kept_aside(kind: object) -> None:
    with pytest.raises(PayloadInvalid, match="type"):
        parse_body(body(type=kind))


def test_half_a_surrogate_pair_and_nul_cannot_reach_the_database() -> None:
    raw = body(text="Hi").replace(b'"Hi"', b'"a\\ud83d b\\u0000c \\ud83d\\ude00"')
    assert message(raw).text == "a\ufffd bc 😀"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("a &lt;b&gt; &amp; c", "a <b> & c", id="escapes"),
        pytest.param("&amp;lt;", "&lt;", id="escaped once only"),
        pytest.param("&copy; &quot;", "&copy; &quot;", id="no other entities"),
        pytest.param("&lt;@UBOT&gt; hi", "<@UBOT> hi", id="typed angle brackets"),
        pytest.param("<@UBOT> hi <@UBOT|bot>", "hi", id="our mention"),
        pytest.param("ask <@U333|ann> or <@U444>", "ask @ann or @U444", id="other mentions"),
        pytest.param("in <#C111|general> or <#C222>", "in #general or #C222", id="channels"),
        pytest.param("<!here> <!subteam^S1|@help> <!date^1^{date}|today>", "@here @help today", id="specials"),
        pytest.param("<https://a.b/c>", "https://a.b/c", id="bare link"),
        pytest.param("<http://shop.example|shop.example>", "shop.example", id="link that Slack made"),
        pytest.param("<https://a.b/c?d=1&amp;e=2|this>", "this (https://a.b/c?d=1&e=2)", id="labelled link"),
        pytest.param("<mailto:a@b.c|a@b.c>", "a@b.c", id="mail"),
        pytest.param("<tel:+1555|+1555>", "+1555", id="telephone"),
        pytest.param("<|x> <> a < b", "x <> a < b", id="nonsense"),
    ],
)
def test_slacks_writing_becomes_plain_text(written: str, read: str) -> None:
    assert plain_text(written, own_ids=frozenset({"UBOT"}), addressed=False) == read


def test_the_first_mention_is_us_where_slack_does_not_say_who_we_are() -> None:
    assert plain_text("<@U1> ask <@U2>", own_ids=frozenset(), addressed=True) == "ask @U2"
