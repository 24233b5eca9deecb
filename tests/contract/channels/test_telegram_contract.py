"""Telegram against the contract of all channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import ClassVar

from channels.base import Channel
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.telegram import TelegramChannel
from channels.telegram.payloads import IGNORED_REASONS
from channels.testing import ChannelContract


class TestTelegram(ChannelContract):
    secrets: ClassVar[Mapping[str, str]] = {
        "bot_token": "7000000001:AA-not-a-token",
        "secret_token": "deadBEEF12345678deadBEEF87654321",
    }
    stand_in = PLATFORMS["telegram"].stand_in
    account = "main"
    exchanged = frozenset({"secret_token"})
    signature_header = "x-telegram-bot-api-secret-token"
    signs_body = False
    challenge = None
    reasons = IGNORED_REASONS
    bold = "<b>30 days</b>"
    marks: ClassVar[Mapping[str, str]] = {"&": "&amp;"}

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        return TelegramChannel(AppSetup(app="main", secrets=secrets, api_url="https://api.telegram.org", clock=clock))

    def other_secrets(self) -> Mapping[str, str]:
        return {"bot_token": "7000000002:AA-another", "secret_token": "AAAABBBBCCCCDDDDEEEEFFFF00009999"}

    def own_echo(self) -> bytes:
        payload = json.loads(self.body())
        payload["message"]["from"] = {"id": 7000000001, "is_bot": True, "first_name": "Bot"}
        return json.dumps(payload).encode()

    def picture(self) -> bytes:
        payload = json.loads(self.body())
        del payload["message"]["text"]
        payload["message"]["photo"] = [{"file_id": "1", "file_unique_id": "2", "width": 90, "height": 51}]
        return json.dumps(payload).encode()
