"""Installing the Slack app at the gateway's door, thumbs and commands; Slack is played by its stand-in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from channels.base import Request
from channels.registry import PLATFORMS, build_channel
from channels.testing import FakePlatform
from configs.home import Home
from service.bindings.install_links import Link, make_link
from service.conversation import store as conversations
from service.conversation.inbox import next_turn
from service.conversation.ratings import Ratings
from service.delivery import outbox
from service.delivery.outbox import OutboxItem
from service.sealing import Sealer
from service.storage import tables
from service.storage.tables import feedback, inbox, installations, unbound_events
from tests.patience import until
from tests.unit.service.doors import Door, door_config, open_door
from tests.unit.service.storage.support import reply

SEALER = Sealer(["a-key-of-more-than-thirty-two-characters"])


class Slack(FakePlatform):
    """Takes calls, and tells of all of them."""

    def __init__(self) -> None:
        super().__init__(PLATFORMS["slack"].stand_in)
        self.calls: list[Request] = []

    async def send(self, call: Request) -> tuple[int, Mapping[str, str], bytes]:
        self.calls.append(call)
        return self(call)


@pytest.fixture
def slack() -> Slack:
    return Slack()


@pytest.fixture
def door(home: Home, slack: Slack) -> Iterator[Door]:
    """A gateway with an app that workspaces install, and Slack behind it."""
    with open_door(door_config(home), home) as one:
        gateway = one.gateway
        gateway.installations.sealer = SEALER
        gateway.send = slack.send
        gateway.ratings = Ratings(gateway.db, gateway.config.brands, slack.send, ready=outbox.as_it_is)
        gateway.channels["slack", "main"] = build_channel(  # type: ignore[index]
            "slack",
            app="main",
            secrets={"signing_secret": "s" * 32, "client_secret": "c"},
            settings={"client_id": "1.2"},
            installed=gateway.installations.secrets("slack", "main"),
            api_url="https://slack.com/api",
        )
        yield one


def link(brand: str = "velmora") -> str:
    return "/install/slack/main?link=" + make_link(SEALER, Link("slack", "main", brand), until_s=time.time() + 60)


def begin(door: Door, brand: str = "velmora") -> str:
    """Open the link; returns the state that went to Slack."""
    answer = door.client.get(link(brand), follow_redirects=False)
    assert answer.status_code == 302, answer.text
    there = urlsplit(answer.headers["location"])
    assert there.geturl().startswith("https://slack.com/oauth/v2/authorize?client_id=1.2&scope=app_mentions%3Aread")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "Secure" in cookie and "SameSite=lax" in cookie
    # The test's client does not keep cookies that want TLS.
    door.client.cookies.clear()
    door.client.cookies.set("brandvoice_install", cookie.partition("=")[2].partition(";")[0].strip('"'))
    return parse_qs(there.query)["state"][0]


def callback(door: Door, **query: str) -> Any:
    return door.client.get("/install/slack/main/callback?" + urlencode(query))


def post(door: Door, payload: Mapping[str, Any], *, form: bool = False) -> Any:
    body = urlencode({"payload": json.dumps(payload)}).encode() if form else json.dumps(payload).encode()
    return door.post("slack", body, door.platform("slack").sign(body))


def test_a_workspace_installs_the_app_is_answered_and_takes_it_away(door: Door, slack: Slack) -> None:
    state = begin(door)
    done = callback(door, code="shop", state=state)
    assert (done.status_code, "now answers in A workspace" in done.text) == (200, True)
    assert door.count(installations) == 1
    body = door.platform("slack").simulate("Hello?", account="T0SHOP", message_id="1", sender="U1")
    assert door.post("slack", body, door.platform("slack").sign(body)).status_code == 200
    assert (door.count(inbox), door.count(unbound_events)) == (1, 0)
    (exchange,) = slack.calls
    assert (exchange.url, exchange.form) == ("https://slack.com/api/oauth.v2.access", {"code": "shop"})
    gone = {
        "type": "event_callback",
        "team_id": "T0SHOP",
        "event_time": int(time.time()),
        "event": {"type": "app_uninstalled"},
    }
    assert post(door, gone).status_code == 200
    assert door.count(installations) == 0
    body = door.platform("slack").simulate("Hello?", account="T0SHOP", message_id="2", sender="U1")
    assert door.post("slack", body, door.platform("slack").sign(body)).status_code == 200
    assert (door.count(inbox), door.count(unbound_events)) == (1, 1)


def test_nothing_is_installed_by_whom_nobody_sent_there(door: Door, slack: Slack) -> None:
    assert door.client.get("/install/slack/main?link=x").status_code == 403
    assert door.client.get("/install/slack/none?link=x").status_code == 404
    assert door.client.get("/install/whatsapp/main?link=x").status_code == 404
    assert callback(door, code="shop", state="x").status_code == 400
    state = begin(door)
    for wrong in ({"state": state + "x"}, {"state": ""}, {}):
        assert callback(door, code="shop", **wrong).status_code == 400
    begin(door)
    assert callback(door, code="shop", state=state).status_code == 400
    assert (slack.calls, door.count(installations)) == ([], 0)


def test_a_state_is_good_once_also_for_who_kept_the_cookie(door: Door, slack: Slack) -> None:
    state = begin(door)
    kept = door.client.cookies["brandvoice_install"]
    assert callback(door, code="shop", state=state).status_code == 200
    door.client.cookies.set("brandvoice_install", kept)
    again = callback(door, code="other", state=state)
    assert (again.status_code, len(slack.calls), door.count(installations)) == (400, 1, 1)


def test_a_person_who_says_no_reads_so_and_a_refusal_of_slacks_is_explained(door: Door, slack: Slack) -> None:
    assert "said no" in callback(door, error="access_denied", state=begin(door)).text
    slack.refuse_next((200, {}, b'{"ok":false,"error":"invalid_code"}'))
    refused = callback(door, code="<b>", state=begin(door))
    assert (refused.status_code, "invalid_code. It took too long." in refused.text) == (502, True)
    assert refused.headers["content-security-policy"].startswith("default-src 'none'")
    assert door.count(installations) == 0


def test_a_workspace_that_the_configuration_gives_to_another_brand_is_not_taken(door: Door) -> None:
    (bound,) = [one for one in door.gateway.config.brands["velmora"].channels if one.channel == "slack"]
    done = callback(door, code=bound.account[2:].lower(), state=begin(door, "dicehollow"))
    assert (done.status_code, door.count(installations)) == (409, 0)


def test_without_a_key_nothing_is_installed_and_the_page_says_what_is_missing(door: Door) -> None:
    door.gateway.installations.sealer = None
    answer = door.client.get(link())
    assert (answer.status_code, "installations.keys" in answer.text) == (503, True)


def answered(door: Door, account: str) -> str:
    """A question from there that was answered; returns the id of the reply in the outbox."""
    body = door.platform("slack").simulate("How long?", account=account, message_id="1", sender="U1")
    assert door.post("slack", body, door.platform("slack").sign(body)).status_code == 200
    portal, db = door.client.portal, door.gateway.db
    assert portal is not None

    async def finish() -> str:
        from sqlalchemy import select

        conversation = await db.read(
            lambda connection: connection.execute(select(inbox.c.conversation_id)).scalar_one()
        )
        turn = await next_turn(db, conversation)
        assert turn is not None
        item = OutboxItem("slack", "main", account, turn.reply_to, "*30* days", ())
        await conversations.finish(db, turn.id, reply(), outbox=item, handoff=None)
        query = select(tables.outbox.c.id)
        return str(await db.read(lambda connection: connection.execute(query).scalar_one()))

    return portal.call(finish)


def press(account: str, value: str, action: str = "brandvoice_up") -> dict[str, Any]:
    return {
        "type": "block_actions",
        "team": {"id": account},
        "container": {"type": "message", "message_ts": "1.2", "channel_id": "D1", "is_ephemeral": False},
        "response_url": "https://hooks.slack.com/actions/T1/1/x",
        "actions": [{"action_id": action, "type": "button", "value": value}],
    }


def test_a_thumb_is_kept_for_its_turn_and_thanked_for_in_its_place(door: Door, slack: Slack) -> None:
    callback(door, code="shop", state=begin(door))
    item = answered(door, "T0SHOP")
    taken = post(door, press("T0SHOP", item, "brandvoice_down"), form=True)
    assert (taken.status_code, taken.content) == (200, b"")
    assert door.count(feedback) == 1
    until(lambda: slack.calls[-1].url.endswith("/chat.update"))
    thanks = slack.calls[-1]
    assert (thanks.fields["channel"], thanks.fields["ts"]) == ("D1", "1.2")
    assert "👎 Thank you for telling us." in json.dumps(thanks.fields["blocks"], ensure_ascii=False)
    assert "brandvoice_up" not in json.dumps(thanks.fields["blocks"])


def test_a_thumb_from_another_workspace_or_on_nothing_of_ours_is_only_counted(door: Door, slack: Slack) -> None:
    callback(door, code="shop", state=begin(door))
    item = answered(door, "T0SHOP")
    assert post(door, press("T0ELSE", item), form=True).status_code == 200
    assert post(door, press("T0SHOP", "no-such-reply"), form=True).status_code == 200
    assert post(door, press("T0SHOP", item, "somebody_elses_button"), form=True).status_code == 200
    assert door.count(feedback) == 0


def test_a_command_shows_its_asker_what_was_asked_and_is_stored(door: Door) -> None:
    callback(door, code="shop", state=begin(door))
    form = {
        "command": "/ask",
        "text": "How <long>?\n<!channel>",
        "team_id": "T0SHOP",
        "user_id": "U1",
        "channel_id": "C1",
        "trigger_id": "1.2.x",
        "response_url": "https://hooks.slack.com/commands/T1/1/x",
    }
    body = urlencode(form).encode()
    answer = door.post("slack", body, door.platform("slack").sign(body))
    assert answer.json()["response_type"] == "ephemeral"
    assert "<!channel>" not in answer.json()["text"]
    assert door.count(inbox) == 1
