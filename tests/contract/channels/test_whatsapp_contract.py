"""WhatsApp against the contract of all channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import ClassVar

from channels.base import Answer, Channel
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.testing import ChannelContract
from channels.whatsapp import WhatsAppChannel
from channels.whatsapp.payloads import IGNORED_REASONS


class TestWhatsApp(ChannelContract):
    secrets: ClassVar[Mapping[str, str]] = {
        "app_secret": "0123456789abcdef0123456789abcdef",
        "verify_token": "meatyhamhock",
        "access_token": "EAA-not-a-token",
    }
    account = "1122334455667"
    stand_in = PLATFORMS["whatsapp"].stand_in
    exchanged = frozenset({"app_secret"})
    signature_header = "x-hub-signature-256"
    reasons = IGNORED_REASONS

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        return WhatsAppChannel(AppSetup(secrets=secrets, api_url="https://graph.facebook.com/v23.0/", clock=clock))

    def shake(self, channel: Channel, *, genuine: bool) -> Answer | None:
        token = self.secrets["verify_token"] if genuine else "é-someone-else"
        return channel.handshake({"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "42-ok"})

    def own_echo(self) -> bytes:
        payload = json.loads(self.body())
        change = payload["entry"][0]["changes"][0]
        change["field"] = "smb_message_echoes"
        change["value"]["message_echoes"] = change["value"].pop("messages")
        return json.dumps(payload).encode()

    def picture(self) -> bytes:
        payload = json.loads(self.body())
        message = payload["entry"][0]["changes"][0]["value"]["messages"][0]
        del message["text"]
        message |= {"type": "image", "image": {"mime_type": "image/jpeg", "sha256": "4654+8g=", "id": "65463453"}}
        return json.dumps(payload).encode()
