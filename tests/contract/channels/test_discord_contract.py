"""Discord against the contract of all channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import ClassVar

from channels.base import Answer, Channel
from channels.discord import DiscordChannel
from channels.discord.payloads import IGNORED_REASONS
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.testing import ChannelContract


class TestDiscord(ChannelContract):
    # Test 2 of RFC 8032, section 7.1.
    secrets: ClassVar[Mapping[str, str]] = {
        "private_key": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    }
    optional: ClassVar[frozenset[str]] = frozenset({"private_key"})
    stand_in = PLATFORMS["discord"].stand_in
    account = "775799577604522054"
    signature_header = "x-signature-ed25519"
    timestamp_header = "x-signature-timestamp"
    challenge = (b'{"type":1}', "application/json")
    reasons = IGNORED_REASONS
    bold = "**30 days**"

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        return DiscordChannel(AppSetup(secrets=secrets, api_url="https://discord.com/api/v10", clock=clock))

    def other_secrets(self) -> Mapping[str, str]:
        return {"private_key": "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"}

    def shake(self, channel: Channel, *, genuine: bool) -> Answer | None:
        body = b'{"id":"787053080478613555","token":"a-token","type":1,"version":1}'
        channel.verify(channel.sign(body) if genuine else {}, body)
        return channel.parse(body).answer

    def own_echo(self) -> bytes:
        """A pressed button is the only one that carries a message of ours."""
        payload = json.loads(self.body())
        message = {"id": "1", "content": "Hi", "author": {"id": payload["application_id"], "bot": True}}
        payload |= {"type": 3, "data": {"component_type": 2, "custom_id": "more"}, "message": message}
        return json.dumps(payload).encode()

    def picture(self) -> bytes:
        payload = json.loads(self.body())
        payload["data"]["options"] = [{"name": "picture", "type": 11, "value": "867793854505943041"}]
        return json.dumps(payload).encode()
