"""A team in Slack: a thread for each hand-over, both ways, nothing lost and nothing twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError

from channels.base import InboundMessage, Request
from channels.registry import build_channel
from channels.slack.stand_in import SlackStandIn
from channels.stand_in import PlatformAnswer
from channels.testing import FakePlatform
from configs.handover import Handover, SlackTeam
from service.conversation import inbox
from service.conversation.house import House
from service.delivery.outbox import deliver_due, recover
from service.errors import StorageUnavailable
from service.keeping import forgetting
from service.people.desk import Desk
from service.people.slack import TeamInSlack, Threads
from service.storage.database import Database
from service.storage.tables import conversations, outbox
from service.testing import ScriptedGenerator
from tests.unit.service.doors import Door
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import Clock, Killed, rows
from tests.unit.service.test_lanes import SAYS, Bench

TEAM, ROOM, CUSTOMER = "T0TEAM", "C0TEAM", "D1"
WISH = "I want to talk to a human"


class Team(Bench):
    """Lanes, a desk, and a team in Slack; the customer writes to the same app in a direct message."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, ScriptedGenerator(["We pass it on.", SAYS]))
        slack = SlackTeam(app="main", team_id=TEAM, channel=ROOM, people={"U0ANNA": "Anna"})
        self.brand = self.brand.model_copy(update={"handover": Handover(slack=slack)})
        brands = {"velmora": self.brand}
        house = House(brands, (Threads(brands).plan,))
        self.lanes._brands, self.lanes._house = brands, house
        self.lanes._endings._house = house
        self.desk = Desk(db, house, hub=self.hub, hush=self.lanes.hush)
        self.team = TeamInSlack(db, house, self.desk)
        secrets = {"signing_secret": "s", "bot_token": "xoxb-1"}
        self.channel = build_channel("slack", app="main", secrets=secrets, api_url="https://slack.com/api")
        self.platform, self.clock = FakePlatform(SlackStandIn()), Clock()
        self.broken: dict[int, str] = {}
        self.calls = 0

    async def call(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        self.calls += 1
        broken = self.broken.get(self.calls)
        if broken == "before":
            raise Killed
        answer = self.platform(request)
        if broken == "after":
            raise Killed
        return answer

    async def deliver(self) -> None:
        """As housekeeping does, started again whenever it is killed."""
        while True:
            try:
                await self.team.tell_failures()
                await deliver_due(self.db, {("slack", "main"): self.channel}, self.call, clock=self.clock)
                return
            except (Killed, BaseExceptionGroup):
                await asyncio.sleep(0)
                await recover(self.db)
                self.clock.advance(40_000)

    async def customer(self, number: int, text: str, *, deliver: bool = True) -> str:
        reply_to = {"channel": CUSTOMER, "asked": f"{number}.0"}
        said = InboundMessage("slack", self.account, f"m{number}", "thread-1", "U1", text, reply_to)
        accepted = await inbox.accept(self.db, "velmora", said)
        self.lanes.submit(accepted.conversation_id)
        await until(lambda: not self.lanes._lanes)
        if deliver:
            await self.deliver()
        return accepted.conversation_id

    async def write(self, ts: str, text: str, *, user: str = "U0ANNA", thread: str = "", **event: Any) -> bool:
        """A person writes in the thread; returns whether a bot would see it."""
        kind = event.pop("type", "message")
        inner = {"type": kind, "user": user, "text": text, "ts": ts, "channel": ROOM, "channel_type": "channel"}
        inner |= {"thread_ts": thread or self.root_ts} | event
        body: dict[str, Any] = {"type": "event_callback", "team_id": TEAM, "event_id": f"Ev{ts}", "event": inner}
        body["authorizations"] = [{"team_id": TEAM, "user_id": "U0BOT", "is_bot": True}]
        inbound = self.channel.parse(json.dumps(body).encode())
        bots = [one for one in inbound.messages if not await self.team.take("main", one)]
        for one in inbound.overheard:
            await self.team.take("main", one)
        await self.team.edited(inbound.edits)
        await self.deliver()
        return bool(bots)

    def posted(self, channel: str) -> list[tuple[int, Mapping[str, Any]]]:
        """Messages with the numbers of their calls; look-ups are none."""
        made = enumerate((one.fields for one in self.platform.taken), start=1)
        return [(number, one) for number, one in made if one.get("channel") == channel and "text" in one]

    def posts(self) -> list[Mapping[str, Any]]:
        return [one for _, one in self.posted(ROOM)]

    @property
    def root_ts(self) -> str:
        return f"1700000000.{self.posted(ROOM)[0][0]:06d}"

    def thread(self) -> list[str]:
        return [str(one["text"]) for one in self.posts()]

    def customers(self) -> list[str]:
        return [str(one["text"]) for _, one in self.posted(CUSTOMER)]


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    made = Team(db)
    yield made
    await made.lanes.drain(0.1)
    await db.close()


async def test_a_hand_over_is_a_thread_in_which_a_person_answers_and_the_bot_speaks_again(team: Team) -> None:
    conversation = await team.customer(1, f"{WISH} <!channel> & soon")
    first, second = team.posts()
    assert "A person is needed" in first["text"]
    assert f"{WISH} &lt;!channel&gt; &amp; soon" in first["text"], "no mention comes of it"
    assert "thread_ts" not in first
    assert second["thread_ts"] == team.root_ts
    assert "*Customer:*" in second["text"]
    await team.customer(2, "Are you there?")
    await team.customer(3, "Hello?")
    assert team.thread()[2:] == ["*Customer:* Are you there?", "*Customer:* Hello?"]

    assert not await team.write("1.1", "Hello &amp; welcome, I am Anna &lt;3")
    assert team.customers()[-1].endswith("Hello &amp; welcome, I am Anna &lt;3")
    shown = await team.desk.shown(conversation)
    assert (shown["state"], shown["owner"]) == ("person", "Anna")
    assert shown["messages"][-1]["text"] == "Hello & welcome, I am Anna <3"
    assert team.thread()[-1] == "*Anna* has this conversation now."
    await team.customer(4, "Thank you")
    assert team.thread()[-1] == "*Customer:* Thank you"

    await team.write("1.2", "!note calls back")
    assert team.thread()[-1] == "Noted."
    await team.write("1.3", "!back all is said")
    assert team.thread()[-1] == "This conversation is the assistant's again (Anna)."
    said = len(team.thread())
    await team.customer(5, "How long may I send it back?")
    assert "30 days" in team.customers()[-1]
    assert len(team.thread()) == said
    whole = await team.desk.shown(conversation)
    assert [one["text"] for one in whole["notes"]] == ["calls back"]
    assert [one["id"] for one in (await team.desk.listed()).conversations] == [conversation], (
        "a thread is no conversation to answer"
    )
    assert {one.get("thread_ts", team.root_ts) for one in team.posts()} == {team.root_ts}


async def test_what_slack_tells_again_is_done_once(team: Team) -> None:
    await team.customer(1, WISH)
    for _ in range(3):
        await team.write("1.1", "<@U0BOT> I am Anna.")
        # One post that mentions us comes as two events.
        assert not await team.write("1.1", "<@U0BOT> I am Anna.", type="app_mention")
        await team.write("1.2", "!note once")
    assert sum("I am Anna." in one for one in team.customers()) == 1
    assert team.thread().count("Noted.") == 1
    assert team.thread().count("*Anna* has this conversation now.") == 1


async def test_a_second_person_is_told_whose_it_is_and_may_take_it_by_force(team: Team) -> None:
    conversation = await team.customer(1, WISH)
    await team.write("1.1", "!take")
    await team.write("1.2", "I am here too.", user="U0BEN", user_profile={"display_name": "Ben"})
    assert not any("here too" in one for one in team.customers())
    assert "*Anna* has this conversation" in team.thread()[-1]
    assert "`!take force`" in team.thread()[-1]
    # Slack sends no profile along this time, and his name stays the same.
    await team.write("1.3", "!take force", user="U0BEN")
    assert team.thread()[-1] == "*Ben* has this conversation now."
    await team.write("1.4", "Now it is me.", user="U0BEN")
    assert "Now it is me." in team.customers()[-1]
    # Another one of the same name is somebody else.
    await team.write("1.5", "!back", user="U0BEN2", user_profile={"display_name": "Ben"})
    assert (await team.desk.shown(conversation))["owner"] == "Ben"
    await team.write("1.6", "!close", user="U0BEN")
    assert (await team.desk.shown(conversation))["state"] == "closed"
    assert team.thread()[-1] == "This conversation is closed (Ben)."


async def test_no_bot_answers_where_the_team_works(team: Team) -> None:
    await team.customer(1, WISH)
    before, prompts = len(team.platform.taken), len(team.generator.prompts)
    assert not await team.write("2.0", "<@U0BOT> what is new?", thread="2.0", type="app_mention")
    assert not await team.write("2.1", "people among themselves", thread="2.0")
    own = team.posts()[0]
    await team.write("2.2", str(own["text"]), user="U0BOT", bot_id="B1")
    await team.write("2.3", str(own["text"]), user="U0BOT")
    assert len(team.platform.taken) == before
    assert len(team.generator.prompts) == prompts
    await team.write("2.4", "!wave")
    assert "Nothing was sent" in team.thread()[-1]
    await team.write("2.5", "", subtype="file_share")
    assert "only text" in team.thread()[-1]
    assert len(team.customers()) == 1


async def test_a_command_where_the_team_works_is_answered_by_nobody(team: Team) -> None:
    command = {"command": "/ask", "team_id": TEAM, "user_id": "U0ANNA", "text": "is it open?", "trigger_id": "13.a"}
    command["response_url"] = "https://hooks.slack.com/commands/T0TEAM/1/x"
    for channel, theirs in ((ROOM, True), ("C0OTHER", False)):
        (message,) = team.channel.parse(urlencode(command | {"channel_id": channel}).encode()).messages
        assert await team.team.take("main", message) == theirs


async def test_a_persons_long_words_come_in_parts_as_the_customers_platform_takes_them(team: Team) -> None:
    await team.customer(1, WISH)
    before = len(team.customers())
    sentences = [f"This is sentence {number} of a long answer." for number in range(300)]
    await team.write("1.1", " ".join(sentences))
    parts = team.customers()[before:]
    assert len(parts) > 3
    assert max(map(len, parts)) <= team.channel.capabilities.max_text_chars
    assert " ".join(parts) == " ".join(sentences)


async def test_an_edit_is_not_sent_again_and_said_so(team: Team) -> None:
    await team.customer(1, WISH)
    await team.write("1.1", "Monday.")
    for _ in range(2):
        changed: dict[str, Any] = {
            "subtype": "message_changed",
            "message": {"user": "U0ANNA", "ts": "1.1", "text": "Tuesday."},
        }
        await team.write("1.2", "", **changed, previous_message={"user": "U0ANNA", "ts": "1.1", "text": "Monday."})
    assert not any("Tuesday" in one for one in team.customers())
    assert sum("An edit here" in one for one in team.thread()) == 1


async def test_words_that_do_not_arrive_are_told_in_the_thread_once(team: Team) -> None:
    await team.customer(1, WISH)
    gone: PlatformAnswer = 200, {}, b'{"ok": false, "error": "is_archived"}'
    # The customer's reply is planned first, and refused; what is posted to the team is not.
    team.platform.refuse_next(gone)
    await team.write("1.1", "Nobody reads this.")
    await team.deliver()
    failed = [one for one in await rows(team.db, outbox) if one.state == "failed"]
    assert [one.text for one in failed] == ["Nobody reads this."]
    told = [one for one in team.thread() if "did not reach the customer" in one]
    assert len(told) == 1
    assert "Nobody reads this." in told[0]


@pytest.mark.parametrize("way", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 9))
async def test_whenever_we_are_killed_each_post_is_there_once_and_in_order(team: Team, at: int, way: str) -> None:
    team.broken[at] = way
    await team.customer(1, WISH)
    await team.customer(2, "Are you there?")
    await team.write("1.1", "I am Anna.")
    await team.customer(3, "Thank you")
    await team.write("1.2", "!back")
    heads = [one.split("\n")[0][:24] for one in team.thread()]
    assert [one for one in heads if one.startswith("*Customer:*")][1:] == [
        "*Customer:* Are you ther",
        "*Customer:* Thank you",
    ]
    assert len(heads) == len(set(heads)) == 6
    assert sum("I am Anna." in one for one in team.customers()) == 1
    assert {one.state for one in await rows(team.db, outbox)} == {"sent"}


async def test_an_answer_before_the_thread_is_known_is_asked_for_again(team: Team) -> None:
    await team.customer(1, WISH, deliver=False)
    team.broken = dict.fromkeys(range(2, 30), "after")
    for _ in range(3):
        try:
            await deliver_due(team.db, {("slack", "main"): team.channel}, team.call, clock=team.clock)
        except (Killed, BaseExceptionGroup):
            await asyncio.sleep(0)
    assert len(team.posts()) == 1
    with pytest.raises(StorageUnavailable):
        await team.write("1.1", "I am Anna.")
    team.broken.clear()
    await recover(team.db)
    await team.deliver()
    await team.write("1.1", "I am Anna.")
    assert "I am Anna." in team.customers()[-1]


async def test_who_is_forgotten_is_forgotten_in_the_thread_too(team: Team) -> None:
    await team.customer(1, WISH)
    await team.write("1.1", "I am Anna.")
    assert len(await rows(team.db, conversations)) == 2
    person = await forgetting.find(team.db, "thread-1")
    await forgetting.forget(team.db, person)
    assert await rows(team.db, conversations) == []
    assert await rows(team.db, outbox) == []
    await team.write("1.2", "Still there?", thread="1700000000.000002")
    assert not any("Still there?" in one for one in team.customers())


@pytest.mark.parametrize(("key", "value"), [("channel", "#support"), ("team_id", "acme")])
def test_a_name_in_place_of_an_id_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValidationError, match=key):
        SlackTeam.model_validate({"app": "main", "team_id": TEAM, "channel": ROOM, key: value})


def test_the_webhook_hands_the_teams_channel_to_the_team(door: Door) -> None:
    gateway, platform = door.gateway, door.platform("slack")
    account, app = door.binding("slack").account, door.binding("slack").app
    brand = gateway.config.brands["velmora"]
    slack = SlackTeam(app=app, team_id=account, channel=ROOM)
    brands = {"velmora": brand.model_copy(update={"handover": Handover(slack=slack)})}
    gateway.team = TeamInSlack(gateway.db, House(brands), gateway.desk)
    for channel, found in ((ROOM, 0), ("C0OTHER", 1)):
        event = {"type": "app_mention", "user": "U0ANNA", "text": "<@U0BOT> hi", "ts": "1.5", "channel": channel}
        body = json.dumps({"type": "event_callback", "team_id": account, "event": event}).encode()
        assert door.post("slack", body, platform.sign(body)).status_code == 200
        assert door.count(conversations) == found
