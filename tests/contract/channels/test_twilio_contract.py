"""Twilio against the contract of all channels, once as SMS and once as WhatsApp."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode

from channels.base import Channel
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.testing import ChannelContract
from channels.twilio import TwilioChannel
from channels.twilio.payloads import IGNORED_REASONS

SETTINGS = {"account_sid": f"AC{'0' * 32}", "webhook_url": "https://chat.example/webhooks/twilio/main"}


class TestTwilioSms(ChannelContract):
    secrets: ClassVar[Mapping[str, str]] = {"auth_token": "0123456789abcdef0123456789abcdef"}
    account = "+15550100001"
    sender = "+15550100123"
    stand_in = PLATFORMS["twilio"].stand_in
    exchanged = frozenset({"auth_token"})
    signature_header = "x-twilio-signature"
    challenge = None
    reasons = IGNORED_REASONS
    bold = "30 days"

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        url = "https://api.twilio.com/"
        return TwilioChannel(AppSetup(secrets=secrets, settings=SETTINGS, api_url=url, clock=clock))

    def own_echo(self) -> bytes:
        sent = {"SmsStatus": "delivered", "MessageStatus": "delivered", "From": self.account, "To": self.sender}
        return self.changed(**sent)

    def picture(self) -> bytes:
        return self.changed(Body="", NumMedia="1", MediaUrl0="https://api.twilio.com/x", MediaContentType0="image/jpeg")

    def changed(self, **fields: str) -> bytes:
        """A genuine body with these fields in place of its own."""
        return urlencode(dict(parse_qsl(self.body().decode(), keep_blank_values=True)) | fields).encode()


class TestTwilioWhatsApp(TestTwilioSms):
    account = "whatsapp:+15550100011"
    bold = "*30 days*"
