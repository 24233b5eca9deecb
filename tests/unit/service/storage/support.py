"""What the storage tests share: messages, replies, a clock, and a platform that can fail in every way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Table, create_engine, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from channels.base import Capabilities, Channel, InboundMessage, OutboundReply, Request
from channels.errors import DeliveryFailed
from channels.registry import build_channel
from channels.slack.stand_in import SlackStandIn
from channels.testing import FakePlatform
from service.conversation import inbox
from service.conversation import store as conversations
from service.conversation.events import Citation, Outcome, Reply
from service.delivery.outbox import OutboxItem
from service.storage.database import MIGRATIONS, Database

BRAND = "harbor"
CITATION = Citation(1, "returns.md", "Returns", "You have 30 days.", 0.8)
_numbers = itertools.count()


def message(
    message_id: str, text: str = "Hello?", *, key: str = "thread-1", channel: str = "slack", account: str = "T1"
) -> InboundMessage:
    return InboundMessage(channel, account, message_id, key, "U1", text, {"channel": "C1", "message": message_id})


def reply(
    text: str = "30 days [1].", outcome: Outcome = "answered", evidence: Mapping[str, object] | None = None
) -> Reply:
    return Reply(
        text,
        outcome,
        (CITATION,),
        {"brand": BRAND, "version": "v3"},
        {"prompt_tokens": 200, "completion_tokens": 9},
        {"total": 12.5},
        evidence or {"route": "question"},
    )


def item(text: str = "30 days [1].") -> OutboxItem:
    return OutboxItem("slack", "main", "T1", {"channel": "C1"}, text, ())


async def answered(db: Database, *, key: str = "thread-1", text: str = "one", handoff: str | None = None) -> str:
    """A message that came in and was answered, its reply planned; returns the turn."""
    accepted = await inbox.accept(db, BRAND, message(f"m{next(_numbers)}", key=key))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    await conversations.finish(db, turn.id, reply(text), outbox=item(text), handoff=handoff, waits=False)
    return turn.id


async def rows(db: Database, table: Table) -> list[Any]:
    query = select(table).order_by(*table.primary_key.columns)
    return list(await db.read(lambda connection: connection.execute(query).all()))


@dataclass
class Clock:
    at: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(minutes=1))

    def __call__(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Killed(BaseException):
    """Stands for kill -9: nothing of ours gets to run after it."""


BREAKS = ("killed before", "killed after", "line cut", "answer lost", "fails after it was taken", "no line")


class BreakingSlack(FakePlatform):
    """Slack, which breaks in one way at one call."""

    def __init__(self, at: int = 0, way: str = "") -> None:
        self.slack = SlackStandIn()
        super().__init__(self.slack)
        self.at, self.way = at, way
        self.calls: list[Request] = []
        self.killed = False

    async def send(self, call: Request) -> tuple[int, Mapping[str, str], bytes]:
        self.calls.append(call)
        broken = self.way if len(self.calls) == self.at else ""
        self.killed = broken.startswith("killed")
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


def slack_channel() -> Channel:
    secrets = {"signing_secret": "s", "bot_token": "xoxb-1"}
    return build_channel("slack", app="main", secrets=secrets, api_url="https://slack.com/api")


async def at_first_version(url: str, statements: Sequence[str]) -> None:
    """A database as the first migration made it, with what these statements put into it."""
    await at_version(url, "0001", statements)


async def at_version(url: str, version: str, statements: Sequence[str]) -> None:
    """A database as this migration left it, with what these statements put into it."""

    def make(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        for statement in statements:
            connection.execute(text(statement))

    async def on_server() -> None:
        server = create_async_engine(url)
        async with server.begin() as connection:
            await connection.run_sync(make)
        await server.dispose()

    def in_file() -> None:
        engine = create_engine(url)
        with engine.begin() as connection:
            make(connection)
        engine.dispose()

    # In a thread, with a loop of its own: alembic blocks.
    await asyncio.to_thread(in_file if url.startswith("sqlite") else lambda: asyncio.run(on_server()))


class LinesChannel:
    """Sends each line of a reply as a call of its own."""

    name = "slack"
    capabilities = Capabilities(max_text_chars=4000, ack_deadline_s=3.0)

    def render(self, outbound: OutboundReply) -> Sequence[Request]:
        if outbound.text == "cannot be rendered":
            raise ValueError(outbound.text)
        if outbound.text == "too late":
            raise DeliveryFailed(outbound.text, retryable=False)
        return [Request("POST", "https://platform.test", {}, {"text": line}) for line in outbound.text.split("\n")]

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        if status == 200:
            return body.decode()
        after = headers.get("retry-after")
        raise DeliveryFailed(f"status {status}", retryable=status >= 429, retry_after_s=float(after) if after else None)


CHANNELS: Mapping[tuple[str, str], Channel] = {("slack", "main"): cast("Channel", LinesChannel())}


@dataclass
class Platform:
    """Takes texts; each call uses up the next entry of the script, and takes the text when the script is over."""

    script: list[str | int] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    retry_after: str | None = None

    async def send(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        text = str(request.fields["text"])
        act = self.script.pop(0) if self.script else "take"
        match act:
            case int():
                return act, {"retry-after": self.retry_after} if self.retry_after else {}, b""
            case "no line":
                raise ConnectionRefusedError(111, "refused")
            case "killed before":
                raise Killed
        self.taken.append(text)
        failures: dict[str, Callable[[], BaseException]] = {
            "answer lost": lambda: TimeoutError("no answer"),
            "line cut": lambda: ConnectionResetError(104, "reset"),
            "killed after": Killed,
        }
        if act in failures:
            raise failures[act]()
        if act == "taken, and 500":
            return 500, {}, b""
        return 200, {}, f"id-{text}".encode()
