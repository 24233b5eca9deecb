"""LINE against the contract of all channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from channels.base import Channel
from channels.line import LineChannel
from channels.line.payloads import IGNORED_REASONS
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.testing import ChannelContract


class TestLine(ChannelContract):
    secrets: ClassVar[Mapping[str, str]] = {
        "channel_secret": "0123456789abcdef0123456789abcdef",
        "access_token": "not-a-token",
    }
    account = "U00000000000000000000000000000000"
    sender = "U206d25c2ea6bd87c17655609a1c37cb8"
    stand_in = PLATFORMS["line"].stand_in
    exchanged = frozenset({"channel_secret"})
    signature_header = "x-line-signature"
    challenge = None
    reasons = IGNORED_REASONS
    bold = "30 days"

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        return LineChannel(AppSetup(secrets=secrets, api_url="https://api.line.me/", clock=clock))

    def own_echo(self) -> bytes:
        return self.changed(source={"type": "user", "userId": self.account})

    def picture(self) -> bytes:
        return self.changed(message={"type": "image", "id": "325708", "contentProvider": {"type": "line"}})

    def changed(self, **parts: Any) -> bytes:
        """A genuine body whose event has these parts in place of its own."""
        payload = json.loads(self.body())
        payload["events"][0] |= parts
        return json.dumps(payload).encode()
