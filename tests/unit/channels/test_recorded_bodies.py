"""Bodies as the platforms really sent them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.base import Edit, Inbound, Reaction, Receipt
from channels.errors import PayloadInvalid, SignatureInvalid
from channels.registry import build_channel
from channels.slack.payloads import IGNORED_REASONS as SLACK_REASONS
from channels.slack.payloads import parse_body as parse_slack
from channels.teams.payloads import parse_body as parse_teams
from channels.teams.stand_in import made_up_key
from channels.whatsapp.payloads import IGNORED_REASONS as WHATSAPP_REASONS
from channels.whatsapp.payloads import parse_body as parse_whatsapp
from tests.unit.channels.recorded import ABSENT, WEBHOOKS, slack_bodies, teams_bodies, whatsapp_bodies

pytestmark = pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)

FORMS = {"block_actions", "message_shortcut", "view_submission"}
SLACK_EXPECTED = {
    "app_mention": "message",
    "app_uninstalled": "app_removed",
    "assistant_thread_started": "other_event",
    "block_actions": "interaction",
    "bot_message_with_bot_id": "bot_message",
    "classic_bot_message": "bot_message",
    "im_thread_message": "message",
    "member_joined_channel": "other_event",
    "message_deleted": "edit",
    "message_shortcut": "interaction",
    "response_url_bot_message_self": "bot_message",
    "slash_command_parsed": "message",
    "tokens_revoked": "app_removed",
    "user_message": "own_message",
    "view_submission": "interaction",
    "zulip_app_rate_limited": "app_rate_limited",
    "zulip_message_channel": "not_addressed",
    "zulip_url_verification": "handshake",
}
WHATSAPP_IGNORED = {
    "message_status-group": "group_message",
    "outgoing_message-delete": "own_message",
    "outgoing_message-edit": "own_message",
    "outgoing_message-text": "own_message",
}
WHATSAPP_TOLD = {
    "deleted_message-revoke": Edit("<BUSINESS_PHONE_NUMBER_ID>", "<ORIGINAL_WHATSAPP_MESSAGE_ID>", None),
    "message-reaction": Reaction("1122334455667", "wamid.yzxyzx=", None),
    "message-unreaction_empty": Reaction("1122334455667", "wamid.yzxyzx=", None),
    "message-unreaction_no_emoji": Reaction("1122334455667", "wamid.yzxyzx=", None),
    "message_status-delivered": Receipt("1122334455667", "delivered", "", "wamid.xyzxyz"),
    "message_status-played": Receipt("1122334455667", "read", "", "wamid.xyzxyz"),
    "message_status-read": Receipt("1122334455667", "read", "", "wamid.xyzxyz"),
    "message_status-sent": Receipt("1122334455667", "sent", "", "wamid.xyzxyz"),
    "message_status-with_tracker": Receipt("1122334455667", "sent", "some data", "wamid.xyzxyz"),
}
WHATSAPP_TEXTS = {
    "callback_button-button": "title",
    "callback_button-quick_reply": "title",
    "callback_button-quick_reply_without_context": "title",
    "message-document": "caption",
    "message-forwarded": "forwarded text",
    "message-forwarded_many_times": "text forwarded many times",
    "message-reply": "replied text",
    "message-text": "Body Text",
    "message-video": "caption",
}


def slack_wire(name: str, payload: dict[str, Any]) -> bytes:
    """Commands and interactivity travel as forms, everything else as JSON."""
    if name == "slash_command_parsed":
        return urlencode(payload).encode()
    return urlencode({"payload": json.dumps(payload)}).encode() if name in FORMS else json.dumps(payload).encode()


def kind_of(inbound: Inbound) -> str:
    if inbound.messages:
        return "message"
    if inbound.edits:
        return "edit"
    return "handshake" if inbound.answer else inbound.ignored[0]


@pytest.mark.parametrize(("name", "payload"), [pytest.param(*body, id=body[0]) for body in slack_bodies()])
def test_each_slack_body_becomes_what_it_is(name: str, payload: dict[str, Any]) -> None:
    inbound = parse_slack(slack_wire(name, payload))
    assert kind_of(inbound) == SLACK_EXPECTED[name]
    assert set(inbound.ignored) <= SLACK_REASONS


@pytest.mark.parametrize(("name", "payload"), [pytest.param(*body, id=body[0]) for body in whatsapp_bodies()])
def test_each_whatsapp_body_becomes_what_it_is(name: str, payload: dict[str, Any]) -> None:
    inbound = parse_whatsapp(json.dumps(payload).encode())
    if told := WHATSAPP_TOLD.get(name):
        assert (*inbound.receipts, *inbound.reactions, *inbound.edits) == (told,)
        assert (inbound.messages, inbound.ignored) == ((), ())
        return
    if name == "message_status-failed":
        (receipt,) = inbound.receipts
        assert (receipt.state, receipt.message_id) == ("failed", "wamid.xyzxyz")
        assert receipt.failure is not None
        assert (receipt.failure.code, receipt.failure.retryable) == ("130472", False)
        return
    if reason := WHATSAPP_IGNORED.get(name):
        assert inbound == Inbound(ignored=(reason,))
        return
    assert [message.text for message in inbound.messages] == [WHATSAPP_TEXTS.get(name, inbound.messages[0].text)]
    assert inbound.messages[0].text == "" or name in WHATSAPP_TEXTS or name == "message-referral"
    assert inbound.messages[0].conversation_key.startswith("US.")
    assert set(inbound.ignored) <= WHATSAPP_REASONS


def test_each_teams_body_becomes_what_it_is() -> None:
    bodies = dict(teams_bodies())
    assert sorted(bodies) == ["personal_message", "signin_failure_invoke"]
    invoke = parse_teams(json.dumps(bodies["signin_failure_invoke"]).encode())
    assert (invoke.ignored, invoke.messages, kind_of(invoke)) == (("invoke",), (), "handshake")
    # Written for a local test: Teams itself gives each message an id.
    with pytest.raises(PayloadInvalid, match=": id"):
        parse_teams(json.dumps(bodies["personal_message"]).encode())
    (message,) = parse_teams(json.dumps({**bodies["personal_message"], "id": "1"}).encode()).messages
    assert message.text == "Hello, Bot!"
    assert message.account == "00000000-0000-0000-0000-0000000000001"
    assert message.conversation_key == f"{message.account}:personal-chat-id"


def test_each_teams_body_is_accepted_when_signed_and_refused_when_not() -> None:
    secrets = {"app_password": "s" * 32, "private_key": made_up_key()}
    settings = {"app_id": "00000000-0000-4000-8000-000000000001"}
    url = dict(teams_bodies())["personal_message"]["serviceUrl"]
    at_home = build_channel("teams", app="main", secrets=secrets, settings=settings, api_url=url)
    elsewhere = build_channel(
        "teams", app="main", secrets=secrets, settings=settings, api_url="https://smba.trafficmanager.net/teams"
    )
    for _, payload in teams_bodies():
        body = json.dumps({"serviceUrl": url, **payload}).encode()
        at_home.verify(at_home.sign(body), body)
        for channel, headers in ((at_home, {}), (elsewhere, elsewhere.sign(body))):
            with pytest.raises(SignatureInvalid):
                channel.verify(headers, body)


def test_the_recorded_signatures_are_ours() -> None:
    vectors = json.loads((WEBHOOKS / "signature_vectors.json").read_bytes())
    slack, meta = vectors["slack"], vectors["meta_x_hub_signature_256"]
    stamp = int(slack["timestamp"])
    slack_channel = build_channel(
        "slack",
        app="main",
        secrets={"signing_secret": slack["secret"], "bot_token": "xoxb-1"},
        api_url="https://slack.com/api",
        clock=lambda: float(stamp),
    )
    headers = {"x-slack-signature": slack["signature"], "x-slack-request-timestamp": slack["timestamp"]}
    slack_channel.verify(headers, slack["body"].encode())
    assert slack_channel.sign(slack["body"].encode())["x-slack-signature"] == slack["signature"]
    whatsapp_channel = build_channel(
        "whatsapp",
        app="main",
        secrets={"app_secret": meta["secret"], "verify_token": "token", "access_token": "EAA"},
        api_url="https://graph.facebook.com/v23.0",
    )
    whatsapp_channel.verify({"x-hub-signature-256": meta["signature"]}, meta["body"].encode())


@pytest.mark.parametrize("name", ["slack", "whatsapp"])
def test_every_recorded_body_is_accepted_when_signed_and_refused_when_not(name: str) -> None:
    names = {"slack": ("signing_secret", "bot_token"), "whatsapp": ("app_secret", "verify_token", "access_token")}
    secrets = dict.fromkeys(names[name], "s" * 32)
    channel = build_channel(name, app="main", secrets=secrets, api_url="https://api.example", clock=lambda: 1e9)
    bodies = [slack_wire(*body) for body in slack_bodies()] if name == "slack" else []
    bodies += [json.dumps(payload).encode() for _, payload in whatsapp_bodies()] if name == "whatsapp" else []
    assert len(bodies) == {"slack": 18, "whatsapp": 37}[name]
    for body in bodies:
        channel.verify(channel.sign(body), body)
        with pytest.raises(SignatureInvalid):
            channel.verify({}, body)
