"""What WhatsApp and Twilio tell of a message after they took it: a closed window, a text that did not arrive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.base import Channel, InboundMessage, Request, Template
from channels.registry import PLATFORMS, build_channel
from channels.testing import FakePlatform
from service.conversation import inbox
from service.conversation import store as conversations
from service.delivery import outbox, receipts
from service.delivery.outbox import OutboxItem
from service.delivery.stuck import stuck
from service.storage.database import Database
from service.storage.tables import outbox as outbox_table
from tests.unit.channels.test_twilio import PERSON, SMS, TWILIO, fields
from tests.unit.service.storage.support import BRAND, reply, rows

NUMBER = "112233"
WHATSAPP = build_channel(
    "whatsapp",
    app="main",
    secrets=dict.fromkeys(("app_secret", "verify_token", "access_token"), "s" * 32),
    api_url="https://graph.example/v23.0",
)
TEMPLATES = {("whatsapp", "main", NUMBER): Template("late_answer", "en", ("{reply}",))}
LONG = "A sentence of eight words that says it. " * 20
"""Fits into a template."""


class Line:
    """A platform that takes everything, and what it was sent."""

    def __init__(self, name: str) -> None:
        self.platform, self.calls = FakePlatform(PLATFORMS[name].stand_in), []  # type: ignore[var-annotated]
        self.ids: list[str] = []

    async def send(self, call: Request) -> tuple[int, Mapping[str, str], bytes]:
        self.calls.append(call)
        answer = self.platform(call)
        channel = WHATSAPP if "messaging_product" in call.fields else TWILIO
        self.ids.append(channel.receipt(*answer))
        return answer


async def answered(db: Database, channel: str, account: str, who: str, text: str) -> None:
    to = {"to": who}
    accepted = await inbox.accept(db, BRAND, InboundMessage(channel, account, "m1", who, who, "Hello?", to))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    item = OutboxItem(channel, "main", account, to, text, ())
    await conversations.finish(db, turn.id, reply(text), outbox=item, handoff=None)


async def deliver(db: Database, line: Line, channel: Channel, templates: Any = TEMPLATES) -> Mapping[str, int]:
    return await outbox.deliver_due(db, {(channel.name, "main"): channel}, line.send, templates=templates)


async def told(db: Database, channel: Channel, body: bytes) -> dict[str, int]:
    return dict(await receipts.take(db, channel.name, "main", channel.parse(body).receipts))


def refused(wamid: str) -> bytes:
    """A status as Meta posts it."""
    status = {"id": wamid, "status": "failed", "timestamp": "1790000000", "recipient_id": "15550100001"}
    error = {"code": 131047, "title": "Re-engagement message"}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550199999", "phone_number_id": NUMBER},
        "statuses": [{**status, "errors": [error]}],
    }
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


async def only(db: Database) -> Any:
    (row,) = await rows(db, outbox_table)
    return row


@pytest.mark.parametrize("order", [1, -1], ids=["first part first", "last part first"])
async def test_a_window_that_was_closed_after_all_lets_the_reply_go_out_once_by_the_template(
    db: Database, order: int
) -> None:
    line = Line("whatsapp")
    await answered(db, "whatsapp", NUMBER, "15550100001", LONG * 6)
    long = {("whatsapp", "main", NUMBER): Template("late_answer", "en", ("about your question",))}
    assert (await deliver(db, line, WHATSAPP, long))["sent"] == 1
    assert [call.fields["type"] for call in line.calls] == ["text", "text"]
    for wamid in line.ids[::order]:
        assert await told(db, WHATSAPP, refused(wamid)) == {"news": 1}
    assert (await deliver(db, line, WHATSAPP, long))["sent"] == 1
    assert [call.fields["type"] for call in line.calls] == ["text", "text", "template"]
    for wamid in line.ids[:2]:
        assert await told(db, WHATSAPP, refused(wamid)) == {"known": 1}
    assert (await only(db)).state == "sent"
    assert await told(db, WHATSAPP, refused(line.ids[2])) == {"news": 1}
    assert sum((await deliver(db, line, WHATSAPP, long)).values()) == 0, "once"
    row = await only(db)
    assert (row.state, len(line.calls)) == ("failed", 3)
    assert "only an approved template" in row.last_error


async def test_without_a_template_it_is_failed_with_what_may_be_done(db: Database) -> None:
    line = Line("whatsapp")
    await answered(db, "whatsapp", NUMBER, "15550100001", LONG)
    assert (await deliver(db, line, WHATSAPP, {}))["sent"] == 1
    await told(db, WHATSAPP, refused(line.ids[0]))
    assert (await deliver(db, line, WHATSAPP, {}))["failed"] == 1
    assert "Name an approved template" in (await only(db)).last_error
    assert len(line.calls) == 1


async def test_a_text_that_twilio_could_not_deliver_is_listed_with_its_reason(db: Database) -> None:
    line = Line("twilio")
    await answered(db, "twilio", SMS, PERSON, "You have 30 days.")
    assert (await deliver(db, line, TWILIO))["sent"] == 1
    ours = {"From": SMS, "To": PERSON, "MessageSid": line.ids[0], "SmsStatus": None}
    arrived = urlencode(fields(**ours, MessageStatus="sent")).encode()
    assert await told(db, TWILIO, arrived) == {"known": 1}
    lost = urlencode(fields(**ours, MessageStatus="undelivered", ErrorCode="30003")).encode()
    assert await told(db, TWILIO, lost) == {"news": 1}
    assert await told(db, TWILIO, lost) == {"known": 1}
    (left,) = await stuck(db)
    assert (left.state, left.reason) == (
        "failed",
        "told later: Twilio could not deliver the message: code 30003. The person's phone cannot be reached.",
    )
