"""Teams against the contract of all channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import ClassVar

from channels.base import Channel
from channels.platform import AppSetup
from channels.registry import PLATFORMS
from channels.teams import TeamsChannel
from channels.teams.payloads import IGNORED_REASONS
from channels.teams.stand_in import made_up_key
from channels.testing import ChannelContract, learn_all


class TestTeams(ChannelContract):
    secrets: ClassVar[Mapping[str, str]] = {"app_password": "not~a.password", "private_key": made_up_key()}
    others: ClassVar[Mapping[str, str]] = {"app_password": "not~a.password-either", "private_key": made_up_key()}
    optional = frozenset({"private_key"})
    account = "1b6a3c04-1111-4222-8333-944455566677"
    sender = "29:1person"
    stand_in = PLATFORMS["teams"].stand_in
    signature_header = "authorization"
    signs_body = False
    challenge = None
    reasons = IGNORED_REASONS
    bold = "**30 days**"
    marks: ClassVar[Mapping[str, str]] = {"&": "&amp;"}

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        channel = TeamsChannel(
            AppSetup(
                secrets=secrets,
                api_url="https://smba.trafficmanager.net/teams",
                clock=clock,
                settings={"app_id": "00000000-0000-4000-8000-000000000001"},
            )
        )
        learn_all(channel, self.stand_in)
        return channel

    def other_secrets(self) -> Mapping[str, str]:
        return self.others

    def own_echo(self) -> bytes:
        payload = json.loads(self.body())
        payload["from"] = payload["recipient"]
        return json.dumps(payload).encode()

    def picture(self) -> bytes:
        payload = json.loads(self.body())
        del payload["text"]
        payload["attachments"] = [{"contentType": "image/*", "contentUrl": f"{payload['serviceUrl']}/v3/attachments/1"}]
        return json.dumps(payload).encode()
