"""Parsers and signatures under anything that can be sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Channel
from channels.errors import SignatureInvalid
from channels.registry import build_channel
from channels.slack.payloads import IGNORED_REASONS as SLACK_REASONS
from channels.slack.payloads import parse_body as parse_slack
from channels.teams.payloads import IGNORED_REASONS as TEAMS_REASONS
from channels.teams.payloads import parse_body as parse_teams
from channels.teams.stand_in import made_up_key
from channels.whatsapp.payloads import IGNORED_REASONS as WHATSAPP_REASONS
from channels.whatsapp.payloads import parse_body as parse_whatsapp
from tests.unit.channels.fuzzing import anything, check, mutated
from tests.unit.channels.recorded import slack_bodies, teams_bodies, whatsapp_bodies

SLACK = build_channel(
    "slack",
    app="main",
    secrets={"signing_secret": "s" * 32, "bot_token": "xoxb-1"},
    api_url="https://slack.com/api",
    clock=lambda: 1_790_000_000.0,
)
TEAMS = build_channel(
    "teams",
    app="main",
    secrets={"app_password": "s" * 32, "private_key": made_up_key()},
    settings={"app_id": "00000000-0000-4000-8000-000000000001"},
    api_url="https://smba.trafficmanager.net/teams",
    clock=lambda: 1_790_000_000.0,
)
WHATSAPP = build_channel(
    "whatsapp",
    app="main",
    secrets={"app_secret": "s" * 32, "verify_token": "token", "access_token": "EAA"},
    api_url="https://graph.facebook.com/v23.0",
    clock=lambda: 1_790_000_000.0,
)
SEEDS = {
    "slack": [payload for _, payload in slack_bodies()]
    + [json.loads(SLACK.simulate("Hi <@U1>", account="T1", message_id="1", sender="U1"))],
    "teams": [{"id": "1", "channelId": "msteams", **payload} for _, payload in teams_bodies()]
    + [json.loads(TEAMS.simulate("Hi", account="T1", message_id="1", sender="29:1"))],
    "whatsapp": [payload for _, payload in whatsapp_bodies()]
    + [json.loads(WHATSAPP.simulate("Hi", account="1", message_id="1", sender="1555"))],
}
PARSERS = {
    "slack": (parse_slack, SLACK_REASONS),
    "teams": (parse_teams, TEAMS_REASONS),
    "whatsapp": (parse_whatsapp, WHATSAPP_REASONS),
}


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.data())
def test_a_mutated_body_is_read_or_refused_as_invalid(name: str, data: st.DataObject) -> None:
    payload = data.draw(mutated(SEEDS[name]))
    check(*PARSERS[name], json.dumps(payload).encode())


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(body=st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused_as_invalid(name: str, body: bytes) -> None:
    check(*PARSERS[name], body)


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.data())
def test_cut_and_spliced_bytes_are_read_or_refused_as_invalid(name: str, data: st.DataObject) -> None:
    body = json.dumps(data.draw(st.sampled_from(SEEDS[name]))).encode()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    check(*PARSERS[name], body[:start] + data.draw(st.binary(max_size=8)) + body[end:])


@pytest.mark.parametrize(
    ("channel", "header"), [(SLACK, "x-slack-signature"), (WHATSAPP, "x-hub-signature-256")], ids=["slack", "whatsapp"]
)
@given(body=st.binary(max_size=100), data=st.data())
def test_a_signature_or_body_with_a_flipped_bit_is_refused(
    channel: Channel, header: str, body: bytes, data: st.DataObject
) -> None:
    headers = dict(channel.sign(body))
    channel.verify(headers, body)
    right = headers[header]
    at, bit = data.draw(st.integers(0, len(right) - 1)), data.draw(st.integers(0, 6))
    wrong = right[:at] + chr(ord(right[at]) ^ (1 << bit)) + right[at + 1 :]
    with pytest.raises(SignatureInvalid):
        channel.verify(headers | {header: wrong}, body)
    if body:
        at = data.draw(st.integers(0, len(body) - 1))
        with pytest.raises(SignatureInvalid):
            channel.verify(headers, body[:at] + bytes([body[at] ^ (1 << bit)]) + body[at + 1 :])


@pytest.mark.parametrize("channel", [SLACK, TEAMS, WHATSAPP], ids=["slack", "teams", "whatsapp"])
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "authorization",
                "x-slack-signature",
                "x-slack-request-timestamp",
                "x-hub-signature-256",
                "x-hub-signature",
            ]
        ),
        st.text(max_size=80) | st.text("abcXYZ019-_.", max_size=80).map("Bearer {}".format),
    )
)
def test_made_up_headers_are_refused_and_never_an_error(channel: Channel, headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        channel.verify(headers, b"{}")


@pytest.mark.parametrize("channel", [SLACK, TEAMS, WHATSAPP], ids=["slack", "teams", "whatsapp"])
@given(text=st.text(max_size=60), message_id=st.text(min_size=1, max_size=20))
def test_what_is_simulated_is_read_again(channel: Channel, text: str, message_id: str) -> None:
    text, message_id = text.replace("\x00", ""), message_id.replace("\x00", "") or "1"
    body = channel.simulate(text, account="T1", message_id=message_id, sender="15550100001")
    (message,) = channel.parse(body).messages
    assert message.text.strip() == text.strip()
    assert message.account == "T1"
