"""The gateway's doors: a client of a real application, without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from channels.base import Channel
from configs.home import Home
from configs.load import Config, load_config
from service.app import create_app
from service.bindings.simulator import simulated_apps
from service.bootstrap import Gateway
from tests.unit.service.storage.support import rows

KEY = "a-key-of-more-than-sixteen"
NOBODY_LISTENS = "http://127.0.0.1:9"
SENDERS = {
    "slack": "U0ABC123",
    "whatsapp": "15550101234",
    "instagram": "6250000000000001",
    "line": "U206d25c2ea6bd87c17655609a1c37cb8",
    "messenger": "6250000000000001",
    "teams": "29:1person",
    "twilio": "+15550101234",
}
TOKENS_ONLY = {"teams"}
"""Platforms that sign a token, not the body."""


class Door:
    """A client of an open gateway, and the gateway behind it."""

    def __init__(self, client: TestClient, gateway: Gateway) -> None:
        self.client = client
        self.gateway = gateway

    def binding(self, channel: str) -> Any:
        return next(
            binding
            for brand in self.gateway.config.brands.values()
            for binding in brand.channels
            if binding.channel == channel
        )

    def platform(self, channel: str) -> Channel:
        return self.gateway.channels[channel, self.binding(channel).app]

    def event(self, channel: str, account: str | None = None) -> bytes:
        return self.platform(channel).simulate(
            "Hello?",
            account=account or self.binding(channel).account,
            message_id="wamid.ABCDEF",
            sender=SENDERS[channel],
        )

    def post(self, channel: str, body: bytes, headers: Mapping[str, str]) -> Any:
        return self.client.post(f"/webhooks/{channel}/{self.binding(channel).app}", content=body, headers=dict(headers))

    def count(self, table: Any) -> int:
        portal = self.client.portal
        assert portal is not None
        return len(portal.call(rows, self.gateway.db, table))


def door_config(home: Home, **service: object) -> Config:
    """The project's configuration with the simulator on, changed so; no engine is there."""
    config = load_config(Path("configs"), {})
    settings = config.service.model_copy(
        update={
            "engine": config.service.engine.model_copy(update={"url": NOBODY_LISTENS}),
            "service": config.service.service.model_copy(update={"simulator": True, **service}),
        }
    )
    return replace(config, service=simulated_apps(settings, home, "http://127.0.0.1:8000"))


@contextmanager
def open_door(config: Config, home: Home) -> Iterator[Door]:
    """A gateway, open."""
    loop = asyncio.new_event_loop()
    opened: asyncio.Future[Gateway] = loop.create_future()
    with TestClient(create_app(config, home, opened=opened)) as client:
        yield Door(client, opened.result())
    loop.close()
