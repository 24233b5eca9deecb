"""Slack against the contract of all channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import ClassVar

from channels.base import Answer, Channel
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.slack import SlackChannel
from channels.slack.payloads import IGNORED_REASONS
from channels.testing import ChannelContract


class TestSlack(ChannelContract):
    secrets: ClassVar[Mapping[str, str]] = {
        "signing_secret": "8f742231b10e8888abcd99yyyzzz85a5",
        "bot_token": "xoxb-not-a-token",
    }
    stand_in = PLATFORMS["slack"].stand_in
    exchanged = frozenset({"signing_secret"})
    signature_header = "x-slack-signature"
    timestamp_header = "x-slack-request-timestamp"
    reasons = IGNORED_REASONS
    marks: ClassVar[Mapping[str, str]] = {"&": "&amp;"}

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        return SlackChannel(AppSetup(secrets=secrets, api_url="https://slack.com/api", clock=clock))

    def shake(self, channel: Channel, *, genuine: bool) -> Answer | None:
        body = json.dumps({"type": "url_verification", "challenge": "42-ok", "token": "deprecated"}).encode()
        channel.verify(channel.sign(body) if genuine else {}, body)
        return channel.parse(body).answer

    def own_echo(self) -> bytes:
        payload = json.loads(self.body())
        payload["event"]["user"] = payload["authorizations"][0]["user_id"]
        return json.dumps(payload).encode()

    def picture(self) -> bytes:
        payload = json.loads(self.body(""))
        payload["event"] |= {"subtype": "file_share", "files": [{"id": "F111", "mimetype": "image/png"}]}
        return json.dumps(payload).encode()
