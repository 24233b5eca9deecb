"""Messenger and Instagram against the contract of all channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from channels.base import Answer, Channel
from channels.instagram import InstagramChannel
from channels.messenger import MessengerChannel
from channels.meta.messaging import IGNORED_REASONS
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.testing import ChannelContract


class SendApiContract(ChannelContract):
    """What is the same for both."""

    secrets: ClassVar[Mapping[str, str]] = {
        "app_secret": "0123456789abcdef0123456789abcdef",
        "verify_token": "meatyhamhock",
        "access_token": "EAA-not-a-token",
    }
    exchanged = frozenset({"app_secret"})
    signature_header = "x-hub-signature-256"
    reasons = IGNORED_REASONS
    bold = "30 days"

    def shake(self, channel: Channel, *, genuine: bool) -> Answer | None:
        token = self.secrets["verify_token"] if genuine else "é-someone-else"
        return channel.handshake({"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "42-ok"})

    def own_echo(self) -> bytes:
        payload, event = self.event()
        event["sender"], event["recipient"] = event["recipient"], event["sender"]
        event["message"]["is_echo"] = True
        return json.dumps(payload).encode()

    def picture(self) -> bytes:
        payload, event = self.event()
        del event["message"]["text"]
        event["message"]["attachments"] = [{"type": "image", "payload": {"url": "https://cdn.example/a.jpg"}}]
        return json.dumps(payload).encode()

    def event(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A genuine payload, and the event in it."""
        payload = json.loads(self.body())
        return payload, payload["entry"][0]["messaging"][0]


class TestMessenger(SendApiContract):
    account = "108930472516001"
    stand_in = PLATFORMS["messenger"].stand_in

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        return MessengerChannel(AppSetup(secrets=secrets, api_url="https://graph.facebook.com/v23.0/", clock=clock))


class TestInstagram(SendApiContract):
    account = "17841400000000001"
    stand_in = PLATFORMS["instagram"].stand_in

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        return InstagramChannel(AppSetup(secrets=secrets, api_url="https://graph.instagram.com/v23.0/", clock=clock))
