"""Whatever breaks off, whenever: Slack is asked what it has, and has each part of a reply once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from channels.base import Channel, Request
from channels.registry import build_channel
from channels.slack.stand_in import SlackStandIn
from channels.testing import FakePlatform
from service import conversations, inbox
from service.database import Database
from service.outbox import OutboxItem, deliver_due, recover
from service.tables import outbox
from tests.unit.service.storage.support import BRAND, Clock, Killed, message, reply, rows

TEXT = " ".join(f"Sentence number {number} holds a few words." for number in range(180))
BREAKS = ("killed before", "killed after", "line cut", "answer lost", "fails after it was taken", "no line")


class Slack(FakePlatform):
    """Breaks in one way at one call."""

    def __init__(self, at: int, way: str) -> None:
        super().__init__(SlackStandIn())
        self.at, self.way, self.calls = at, way, 0

    async def send(self, call: Request) -> tuple[int, Mapping[str, str], bytes]:
        self.calls += 1
        broken = self.way if self.calls == self.at else ""
        if broken == "no line":
            raise ConnectionRefusedError(111, "refused")
        if broken == "killed before":
            raise Killed
        answer = self(call)
        match broken:
            case "killed after":
                raise Killed
            case "line cut":
                raise ConnectionResetError(104, "reset")
            case "answer lost":
                raise TimeoutError
            case "fails after it was taken":
                return 502, {}, b"<html>"
        return answer


def app() -> Mapping[tuple[str, str], Channel]:
    secrets = {"signing_secret": "s", "bot_token": "xoxb-1"}
    return {("slack", "main"): build_channel("slack", app="main", secrets=secrets, api_url="https://slack.com/api")}


@pytest.mark.parametrize("thread", [True, False], ids=["thread", "direct message"])
@pytest.mark.parametrize("way", BREAKS)
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_each_part_is_there_once_whatever_breaks(db: Database, way: str, at: int, *, thread: bool) -> None:
    reply_to = {"channel": "C1", "asked": "1.2"} | ({"thread_ts": "1.1"} if thread else {})
    accepted = await inbox.accept(db, BRAND, message("m1"))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    item = OutboxItem("slack", "main", "T1", reply_to, TEXT, ())
    await conversations.finish(db, turn.id, reply(TEXT), outbox=item, handoff=None)
    slack, clock = Slack(at, way), Clock()
    channels = app()
    for _ in range(12):
        try:
            await deliver_due(db, channels, slack.send, clock=clock)
        except (Killed, BaseExceptionGroup):
            await asyncio.sleep(0)
        await recover(db)
        clock.advance(40_000)
    (row,) = await rows(db, outbox)
    assert row.state == "sent"
    assert len(slack.texts) == 3
    assert " ".join(slack.texts) == TEXT
