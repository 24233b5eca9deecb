"""Slack's own library agrees: on signatures both ways, on the shape of our blocks, on who may say yes to the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from channels.base import OutboundReply, Rating
from channels.errors import SignatureInvalid, StaleRequest
from channels.platform import AppSetup
from channels.slack import SlackChannel
from channels.slack.installing import SCOPES

NOW_S = 1_790_000_000
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


class At:
    """A clock in the form that Slack's library wants."""

    def __init__(self, now_s: int) -> None:
        self._now_s = now_s

    def now(self) -> float:
        return self._now_s


def channel(now_s: int = NOW_S) -> SlackChannel:
    return SlackChannel(
        AppSetup(
            secrets={"signing_secret": SECRET, "bot_token": "xoxb-1", "client_secret": "c"},
            settings={"client_id": "1.2"},
            api_url="https://slack.com/api",
            clock=lambda: float(now_s),
        )
    )


@pytest.mark.parametrize("late_s", [0, 299, 301])
@pytest.mark.parametrize("body", [b"{}", "payload=é 😀".encode(), b""])
def test_signatures_of_either_are_good_for_the_other(body: bytes, late_s: int) -> None:
    signature: Any = pytest.importorskip("slack_sdk.signature", reason="slack-sdk, Slack's library, is not installed")
    theirs = signature.SignatureVerifier(SECRET, At(NOW_S + late_s))
    ours = channel().sign(body)
    in_time = late_s < 300
    assert theirs.is_valid_request(body, {name.title(): value for name, value in ours.items()}) is in_time
    stamp = str(NOW_S)
    made = {
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": theirs.generate_signature(timestamp=stamp, body=body),
    }
    if in_time:
        channel(NOW_S + late_s).verify(made, body)
    else:
        with pytest.raises(StaleRequest):
            channel(NOW_S + late_s).verify(made, body)
    with pytest.raises(SignatureInvalid):
        channel().verify(made, body + b" ")
    assert not theirs.is_valid_request(body + b" ", {name.title(): value for name, value in ours.items()})


@pytest.mark.parametrize("length", [1, 2_999, 3_000, 9_000])
@pytest.mark.parametrize("thanks", ["", "Thank you."])
def test_our_blocks_are_of_the_shape_that_the_library_checks(length: int, thanks: str) -> None:
    kit: Any = pytest.importorskip("slack_sdk.models.blocks", reason="slack-sdk, Slack's library, is not installed")
    text = ("See https://shop.example/a & <b>. " * (length // 34 + 1))[:length].strip() or "a"
    reply = OutboundReply("T111", {"channel": "D111"}, text, "out-1", rateable=True)
    calls = channel().render(reply)
    if thanks:
        calls = channel().thank(reply, Rating("T111", "out-1", "up", {"channel": "D111", "ts": "1.2"}), thanks)
    blocks: Any = calls[-1].fields["blocks"]
    for block in kit.Block.parse_all(blocks):
        block.validate_json()
        assert block.to_dict()["type"] in {"section", "actions", "context"}
    assert len(blocks[0]["text"]["text"]) <= 3_000


def test_the_consent_page_is_the_one_that_the_library_makes() -> None:
    oauth: Any = pytest.importorskip("slack_sdk.oauth", reason="slack-sdk, Slack's library, is not installed")
    theirs = urlsplit(oauth.AuthorizeUrlGenerator(client_id="1.2", scopes=list(SCOPES)).generate("a state"))
    ours = urlsplit(channel().consent_url("a state"))
    assert (ours.netloc, ours.path) == (theirs.netloc, theirs.path)
    assert parse_qs(ours.query) == parse_qs(theirs.query)


def test_the_manifest_asks_for_what_the_app_asks_for() -> None:
    manifest = yaml.safe_load(Path("docs/slack-app-manifest.yaml").read_text("utf-8"))
    assert sorted(manifest["oauth_config"]["scopes"]["bot"]) == sorted(SCOPES)
    assert {"app_mention", "message.im", "app_uninstalled", "tokens_revoked", "reaction_added"} <= set(
        manifest["settings"]["event_subscriptions"]["bot_events"]
    )
