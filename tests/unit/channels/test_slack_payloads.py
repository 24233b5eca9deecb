"""What Slack's events become."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.base import Edit, InboundMessage, OutboundReply, Rating, Reaction, Removal
from channels.errors import DeliveryFailed, PayloadInvalid
from channels.platform import AppSetup
from channels.slack import SlackChannel
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


REACTION: dict[str, Any] = {
    "type": "reaction_added",
    "reaction": "+1",
    "item": {"type": "message", "channel": "D111", "ts": "1.2"},
    "item_user": "UBOT",
}
MENTION: dict[str, Any] = {"type": "app_mention", "channel": "C111", "channel_type": "channel", "text": "<@UBOT> Hi"}


def test_a_direct_message_is_one_conversation_and_is_answered_outside_threads() -> None:
    taken = message(body())
    assert taken.conversation_key == "T111:D111"
    assert taken.reply_to == {"channel": "D111", "asked": "1726133700.887259"}
    assert taken.sender == "U222"


def test_a_thread_in_a_direct_message_is_answered_in_it() -> None:
    taken = message(body(thread_ts="1726133698.626339"))
    assert taken.conversation_key == "T111:D111"
    assert taken.reply_to == {
        "channel": "D111",
        "thread_ts": "1726133698.626339",
        "asked": "1726133700.887259",
    }


def test_a_mention_in_a_channel_opens_a_thread() -> None:
    taken = message(body(**MENTION))
    assert taken.conversation_key == "T111:C111:1726133700.887259"
    assert taken.reply_to == {
        "channel": "C111",
        "thread_ts": "1726133700.887259",
        "asked": "1726133700.887259",
    }
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


def test_what_people_say_in_a_thread_is_overheard_with_their_name() -> None:
    place: dict[str, Any] = {"channel": "C111", "channel_type": "channel", "thread_ts": "1.1"}
    inbound = parse_body(body(**place, user_profile={"display_name": " ", "real_name": "Anna B"}))
    (said,) = inbound.overheard
    assert inbound.messages == ()
    assert (said.name, said.reply_to["thread_ts"]) == ("Anna B", "1.1")
    others: list[dict[str, Any]] = [
        {"thread_ts": None},
        {"bot_id": "B1"},
        {"user": "UBOT"},
        {"subtype": "channel_join"},
    ]
    for more in others:
        assert parse_body(body(**{**place, **more})).overheard == ()


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        pytest.param("own_message", {"user": "UBOT"}, id="own user"),
        pytest.param("bot_message", {"bot_id": "B999"}, id="another app"),
        pytest.param("bot_message", {"subtype": "bot_message", "user": None}, id="classic bot"),
        pytest.param("bot_message", {"user": "USLACKBOT"}, id="slackbot"),
        pytest.param("message_changed", {"subtype": "message_changed", "hidden": True, "user": None}, id="edit"),
        pytest.param("hidden", {"hidden": True}, id="hidden"),
        pytest.param("other_subtype", {"subtype": "channel_join"}, id="join"),
        pytest.param("not_addressed", {"channel": "C111", "channel_type": "channel"}, id="talk among people"),
        pytest.param("not_addressed", {"channel": "C111", "channel_type": "mpim"}, id="group message"),
        pytest.param("message_deleted", {"subtype": "message_deleted", "hidden": True}, id="deletion of nothing"),
        pytest.param(
            "message_deleted",
            {"subtype": "message_deleted", "deleted_ts": "1.2", "previous_message": {"bot_id": "B1", "ts": "1.2"}},
            id="our own message is deleted",
        ),
        pytest.param(
            "message_changed",
            {
                "subtype": "message_changed",
                "message": {"user": "U222", "text": "Hi", "ts": "1.2"},
                "previous_message": {"user": "U222", "text": "Hi", "ts": "1.2"},
            },
            id="a page is shown below a link",
        ),
        pytest.param(
            "message_changed",
            {"subtype": "message_changed", "message": {"user": "UBOT", "text": "Hi", "ts": "1.2"}},
            id="our own message is changed",
        ),
        pytest.param("reaction", {**REACTION, "reaction": "eyes"}, id="no thumb"),
        pytest.param("reaction", {**REACTION, "item": {"type": "file", "file": "F1"}}, id="a thumb on a file"),
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


def test_a_persons_edit_tells_the_new_text_of_the_old_message() -> None:
    change = {"user": "U222", "text": "<@UBOT> How &lt;long&gt;?", "ts": "1.2"}
    inbound = parse_body(
        body(subtype="message_changed", message=change, previous_message={**change, "text": "How"}, hidden=True)
    )
    assert inbound.edits == (Edit("T111", "D111:1.2", "How <long>?"),)


@pytest.mark.parametrize(
    "event",
    [
        {"subtype": "message_deleted", "deleted_ts": "1.2", "previous_message": {"user": "U222", "ts": "1.2"}},
        {
            "subtype": "message_changed",
            "message": {"subtype": "tombstone", "user": "USLACKBOT", "ts": "1.2"},
            "previous_message": {"user": "U222", "text": "Hi", "ts": "1.2"},
        },
    ],
    ids=["deleted", "deleted with replies below"],
)
def test_a_person_takes_a_message_back(event: dict[str, Any]) -> None:
    assert parse_body(body(**event, hidden=True)).edits == (Edit("T111", "D111:1.2", None),)


def test_an_edited_mention_is_a_message_where_it_was_none_and_an_edit_where_it_was_one() -> None:
    inbound = parse_body(body(**MENTION, edited={"user": "U222", "ts": "2.0"}))
    (taken,) = inbound.messages
    assert inbound.edits == (Edit("T111", taken.message_id, "Hi"),)


@pytest.mark.parametrize(
    ("event", "value"),
    [
        ({}, "up"),
        ({"reaction": "-1"}, "down"),
        ({"reaction": "thumbsup::skin-tone-4"}, "up"),
        ({"type": "reaction_removed"}, None),
    ],
)
def test_a_thumb_as_a_reaction_is_one_on_the_message(event: dict[str, Any], value: Any) -> None:
    assert parse_body(body(**(REACTION | event))).reactions == (Reaction("T111", "D111:1.2", value),)


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


COMMAND = {
    "command": "/ask",
    "text": "How &lt;long&gt;?",
    "team_id": "T111",
    "enterprise_id": "E111",
    "user_id": "U222",
    "channel_id": "C111",
    "trigger_id": "1.2.x",
    "response_url": "https://hooks.slack.com/commands/T111/1/x",
}


def test_a_command_is_a_question_that_is_answered_at_its_own_address() -> None:
    inbound = parse_body(form(**COMMAND))
    (taken,) = inbound.messages
    assert (taken.account, taken.text, taken.message_id) == ("T111", "How <long>?", "C111:1.2.x")
    assert taken.reply_to["response_url"] == COMMAND["response_url"]
    assert inbound.answer is not None
    assert json.loads(inbound.answer.body)["text"].startswith("> How &lt;long&gt;?")
    (grid,) = parse_body(form(**COMMAND, is_enterprise_install="true")).messages
    assert grid.account == "E111"


def test_a_pressed_thumb_names_the_reply_and_where_it_stands() -> None:
    pressed = {
        "type": "block_actions",
        "team": {"id": "T111"},
        "container": {"message_ts": "1.2", "channel_id": "D111"},
        "response_url": "https://hooks.slack.com/actions/T111/1/x",
        "actions": [{"action_id": "brandvoice_down", "value": "out-1"}],
    }
    assert parse_body(form(payload=json.dumps(pressed))).ratings == (
        Rating("T111", "out-1", "down", {"channel": "D111", "ts": "1.2"}),
    )
    hidden = pressed | {
        "container": {"is_ephemeral": True},
        "is_enterprise_install": True,
        "enterprise": {"id": "E111"},
    }
    assert parse_body(form(payload=json.dumps(hidden))).ratings == (
        Rating("E111", "out-1", "down", {"response_url": str(pressed["response_url"])}),
    )


@pytest.mark.parametrize(
    ("event", "account"),
    [
        pytest.param({"type": "app_uninstalled"}, "T111", id="uninstalled"),
        pytest.param({"type": "tokens_revoked", "tokens": {"bot": ["UBOT"]}}, "T111", id="our token"),
        pytest.param({"type": "tokens_revoked", "tokens": {"oauth": ["U222"]}}, None, id="a person's token"),
    ],
)
def test_a_workspace_that_takes_the_app_away_is_told_of(event: dict[str, Any], account: str | None) -> None:
    removals = parse_body(body(outer={"event_time": 100}, **event)).removals
    assert removals == ((Removal(account, 100.0),) if account else ())


def channel(installed: Any = None) -> SlackChannel:
    return SlackChannel(
        AppSetup(
            secrets={"signing_secret": "s", "client_secret": "c"},
            settings={"client_id": "1.2"},
            installed=installed if installed is not None else {"T111": {"bot_token": "xoxb-of-T111"}},
            api_url="https://slack.com/api",
            clock=lambda: 0.0,
        )
    )


def outbound(text: str = "Within *30* days, see https://shop.example/a. @channel", **more: Any) -> OutboundReply:
    reply_to = more.pop("reply_to", {"channel": "D111", "asked": "1.2"})
    return OutboundReply("T111", reply_to, text, "out-1", **more)


def test_each_workspace_is_called_with_its_own_token_and_none_without() -> None:
    (call,) = channel().render(outbound())
    assert call.headers["authorization"] == "Bearer xoxb-of-T111"
    with pytest.raises(DeliveryFailed, match="install-link") as stopped:
        channel({}).render(outbound())
    assert stopped.value.retryable


def test_thumbs_stand_under_the_last_part_alone_and_nothing_in_it_pings() -> None:
    long = "A sentence of a few words. " * 200
    first, *_, last = channel().render(outbound(long + "See <!channel> @here https://shop.example/a.", rateable=True))
    assert "blocks" not in first.fields
    shown = json.dumps(last.fields["blocks"])
    assert (shown.count("out-1"), "<!channel>" in shown, '"verbatim": true' in shown) == (2, False, True)
    assert "<https://shop.example/a>." in shown
    assert "blocks" not in channel().render(outbound())[0].fields


def test_a_thanked_thumb_is_gone_and_the_text_stays() -> None:
    rating = Rating("T111", "out-1", "up", {"channel": "D111", "ts": "1.2"})
    (call,) = channel().thank(outbound(), rating, "Thank <you>.")
    assert (call.url, call.fields["ts"]) == ("https://slack.com/api/chat.update", "1.2")
    shown: Any = call.fields["blocks"]
    section, context = shown
    assert "Within" in section["text"]["text"]
    assert context["elements"] == [{"type": "plain_text", "text": "👍 Thank <you>.", "emoji": True}]
    here = Rating("T111", "out-1", "up", {"response_url": "https://hooks.slack.com/actions/T/1/x"})
    (call,) = channel().thank(outbound(), here, "Thanks")
    assert (call.url, call.fields["replace_original"]) == ("https://hooks.slack.com/actions/T/1/x", True)
    assert "authorization" not in call.headers


@pytest.mark.parametrize(
    "url", ["https://evil.example/x", "http://hooks.slack.com/x", "https://hooks.slack.com.evil.example/"]
)
def test_an_answer_goes_to_no_address_but_slacks(url: str) -> None:
    with pytest.raises(DeliveryFailed) as stopped:
        channel().render(outbound(reply_to={"channel": "C1", "response_url": url}))
    assert not stopped.value.retryable


def looked_up(*messages: dict[str, Any], parts: int = 2, more: bool = False) -> bytes:
    return json.dumps({"ok": True, "messages": list(messages), "has_more": more}).encode()


def sent(part: int, key: str = "out-1", kind: str = "brandvoice_reply") -> dict[str, Any]:
    marks = {"idempotency_key": key, "part": part, "parts": 2}
    return {"ts": f"1.{part}", "metadata": {"event_type": kind, "event_payload": marks}}


def test_what_slack_has_of_a_reply_is_found_by_its_metadata() -> None:
    reply = outbound()
    call = channel().look_up(reply)
    assert call is not None and call.form is not None
    assert (call.url, call.form["oldest"]) == ("https://slack.com/api/conversations.history", "1.2")
    thread = channel().look_up(outbound(reply_to={"channel": "C1", "thread_ts": "1.1", "asked": "1.2"}))
    assert thread is not None and thread.form is not None
    assert (thread.url, thread.form["ts"]) == ("https://slack.com/api/conversations.replies", "1.1")
    assert channel().look_up(outbound(reply_to={"channel": "C1", "response_url": "https://hooks.slack.com/x"})) is None
    others = ({"ts": "1.0"}, sent(1, "out-2"), sent(1, kind="another_app"), {"ts": "1.3", "metadata": None})
    assert channel().found(reply, 200, {}, looked_up(*others)) == {}
    assert channel().found(reply, 200, {}, looked_up(*others, sent(2), sent(1))) == {1: "D111:1.1", 2: "D111:1.2"}
    assert channel().found(reply, 200, {}, looked_up(sent(2), sent(1), more=True)) == {1: "D111:1.1", 2: "D111:1.2"}


@pytest.mark.parametrize(
    ("status", "raw", "retryable"),
    [
        pytest.param(200, looked_up(more=True), False, id="not all was told"),
        pytest.param(200, looked_up(sent(1), more=True), False, id="a part is not among what was told"),
        pytest.param(200, b'{"ok":false,"error":"missing_scope"}', False, id="not allowed"),
        pytest.param(200, b'{"ok":false,"error":"ratelimited"}', True, id="too often"),
        pytest.param(429, b"", True, id="too often by status"),
        pytest.param(200, b"<html>", True, id="not Slack"),
        pytest.param(500, looked_up(sent(1)), True, id="trouble"),
    ],
)
def test_a_look_up_that_tells_nothing_proves_nothing(status: int, raw: bytes, *, retryable: bool) -> None:
    with pytest.raises(DeliveryFailed) as stopped:
        channel().found(outbound(), status, {}, raw)
    assert stopped.value.retryable is retryable
