"""Accounts that install an app themselves: encrypted, bound at run time, renewed, forgotten."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import update

from channels.base import Channel, Removal, Request
from channels.errors import InstallRefused
from channels.installs import Grant
from channels.registry import build_channel
from configs.brand import Brand
from configs.errors import ConfigError
from configs.load import load_config
from service.bindings.install_links import STATE_S, Link, begin, came_back, make_link, read_link
from service.bindings.installations import Installations, known
from service.sealing import SealBroken, Sealer
from service.storage.database import Database, now
from service.storage.tables import installations
from tests.unit.service.storage.support import rows

OLD, NEW = "an-older-key-of-thirty-two-characters", "a-newer-key-of-thirty-two-characters"
TOKEN = "xoxb-secret-of-a-workspace"


@pytest.fixture(scope="module")
def configured() -> Mapping[str, Brand]:
    return load_config(Path("configs"), {}).brands


def grant(account: str = "T0NEW", token: str = TOKEN, **more: Any) -> Grant:
    return Grant(account, "A workspace", {"bot_token": token}, **more)


async def opened(db: Database, brands: Mapping[str, Brand], *keys: str) -> tuple[Installations, dict[str, Brand]]:
    """As a gateway does when it starts."""
    mine = dict(brands)
    found = Installations(db, mine, Sealer(keys) if keys else None)
    await found.refresh()
    await found.seal_anew()
    return found, mine


async def test_an_installed_account_is_bound_and_its_token_lies_encrypted(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    mine, brands = await opened(db, configured, NEW)
    tokens = mine.secrets("slack", "main")
    await mine.add("slack", "main", "velmora", grant())
    (row,) = await rows(db, installations)
    assert TOKEN not in row.secrets
    assert tokens == {"T0NEW": {"bot_token": TOKEN}}
    assert await mine.brand("slack", "main", "T0NEW") is brands["velmora"]
    assert [one.account for one in brands["velmora"].channels if one.channel == "slack"][1:] == ["T0NEW"]
    assert [(one.account, one.brand) for one in await known(db)] == [("T0NEW", "velmora")]


async def test_another_gateway_knows_it_with_its_first_message_and_after_a_start(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    other, _ = await opened(db, configured, NEW)
    mine, _ = await opened(db, configured, NEW)
    await mine.add("slack", "main", "velmora", grant())
    found = await other.brand("slack", "main", "T0NEW")
    assert found is not None and found.name == "velmora"
    assert other.secrets("slack", "main")["T0NEW"]["bot_token"] == TOKEN
    later, _ = await opened(db, configured, NEW)
    assert later.secrets("slack", "main") == mine.secrets("slack", "main")


async def test_installed_again_the_newest_token_and_brand_count(db: Database, configured: Mapping[str, Brand]) -> None:
    mine, brands = await opened(db, configured, NEW)
    await mine.add("slack", "main", "velmora", grant())
    await mine.add("slack", "main", "dicehollow", grant(token="xoxb-2"))
    assert await mine.brand("slack", "main", "T0NEW") is brands["dicehollow"]
    assert mine.secrets("slack", "main") == {"T0NEW": {"bot_token": "xoxb-2"}}
    assert brands["velmora"].channels == configured["velmora"].channels


async def test_what_the_configuration_binds_stays_bound(db: Database, configured: Mapping[str, Brand]) -> None:
    account = next(one.account for one in configured["velmora"].channels if one.channel == "slack")
    mine, brands = await opened(db, configured, NEW)
    assert mine.configured("slack", "main", account) == "velmora"
    await mine.add("slack", "main", "dicehollow", grant(account))
    assert await mine.brand("slack", "main", account) is brands["velmora"]


async def test_an_account_that_takes_the_app_away_is_forgotten_at_once_and_everywhere(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    mine, brands = await opened(db, configured, NEW)
    other, _ = await opened(db, configured, NEW)
    await mine.add("slack", "main", "velmora", grant())
    await other.refresh()
    assert await mine.remove("slack", "main", Removal("T0NEW", time.time()))
    assert await rows(db, installations) == []
    assert (await mine.brand("slack", "main", "T0NEW"), mine.secrets("slack", "main")) == (None, {})
    assert brands["velmora"].channels == configured["velmora"].channels
    await other.refresh()
    assert other.secrets("slack", "main") == {}
    assert not await mine.remove("slack", "main", Removal("T0NEW", time.time()))


async def test_news_of_an_earlier_removal_do_not_end_a_later_installation(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    mine, _ = await opened(db, configured, NEW)
    await mine.add("slack", "main", "velmora", grant())
    assert not await mine.remove("slack", "main", Removal("T0NEW", time.time() - 60))
    assert mine.secrets("slack", "main")
    assert not await mine.remove("slack", "other", Removal("T0NEW", time.time()))


async def test_a_key_is_exchanged_while_both_are_given_and_the_old_one_can_then_go(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    mine, _ = await opened(db, configured, OLD)
    await mine.add("slack", "main", "velmora", grant())
    both, _ = await opened(db, configured, NEW, OLD)
    assert both.secrets("slack", "main")["T0NEW"] == {"bot_token": TOKEN}
    new, _ = await opened(db, configured, NEW)
    assert new.secrets("slack", "main")["T0NEW"] == {"bot_token": TOKEN}
    lost, brands = await opened(db, configured, OLD)
    assert (lost.secrets("slack", "main"), await lost.brand("slack", "main", "T0NEW")) == ({}, None)
    assert brands["velmora"].channels == configured["velmora"].channels


async def test_a_row_that_was_copied_over_another_speaks_for_nobody(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    mine, _ = await opened(db, configured, NEW)
    await mine.add("slack", "main", "velmora", grant())
    await mine.add("slack", "main", "velmora", grant("T0OTHER", "xoxb-2"))
    first, second = await rows(db, installations)
    change = update(installations).where(installations.c.account == second.account).values(secrets=first.secrets)
    await db.write(lambda connection: connection.execute(change))
    await mine.refresh()
    assert set(mine.secrets("slack", "main")) == {first.account}


async def test_a_state_is_used_once(db: Database, configured: Mapping[str, Brand]) -> None:
    mine, _ = await opened(db, configured, NEW)
    other, _ = await opened(db, configured, NEW)
    assert [await mine.use_state("s"), await other.use_state("s"), await mine.use_state("t")] == [True, False, True]


class Slack:
    """Renews tokens, or has a bad day."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[Request] = []

    async def send(self, call: Request) -> tuple[int, Mapping[str, str], bytes]:
        self.calls.append(call)
        return 200, {}, json.dumps(self.answers.pop(0)).encode()


def app() -> Mapping[tuple[str, str], Channel]:
    built = build_channel(
        "slack",
        app="main",
        secrets={"signing_secret": "s", "client_secret": "c"},
        settings={"client_id": "1.2"},
        api_url="https://slack.com/api",
    )
    return {("slack", "main"): built}


RENEWED = {
    "ok": True,
    "access_token": "xoxb-renewed",
    "refresh_token": "xoxe-2",
    "expires_in": 43_200,
    "token_type": "bot",
    "team": {"id": "T0NEW", "name": "A workspace"},
}


async def test_tokens_that_end_are_renewed_before_by_one_gateway_alone(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    mine, _ = await opened(db, configured, NEW)
    ends = Grant("T0NEW", "A workspace", {"bot_token": TOKEN, "refresh_token": "xoxe-1"}, 1700.0)
    await mine.add("slack", "main", "velmora", ends)
    await mine.add("slack", "main", "velmora", grant("T0STAYS"))
    other, _ = await opened(db, configured, NEW)
    slack = Slack(RENEWED)
    await mine.renew_due(app(), slack.send)
    await other.renew_due(app(), slack.send)
    (call,) = slack.calls
    assert call.form == {"grant_type": "refresh_token", "refresh_token": "xoxe-1"}
    assert mine.secrets("slack", "main")["T0NEW"] == {"bot_token": "xoxb-renewed", "refresh_token": "xoxe-2"}
    row = next(row for row in await rows(db, installations) if row.account == "T0NEW")
    assert 43_000 < (row.ends_at - now()).total_seconds() <= 43_200


async def test_a_renewal_that_fails_keeps_the_token_and_is_tried_again_later(
    db: Database, configured: Mapping[str, Brand]
) -> None:
    mine, _ = await opened(db, configured, NEW)
    ends = Grant("T0NEW", "A workspace", {"bot_token": TOKEN, "refresh_token": "xoxe-1"}, 1700.0)
    await mine.add("slack", "main", "velmora", ends)
    slack = Slack({"ok": False, "error": "internal_error"}, RENEWED)
    await mine.renew_due(app(), slack.send)
    await mine.renew_due(app(), slack.send)
    assert (len(slack.calls), mine.secrets("slack", "main")["T0NEW"]["bot_token"]) == (1, TOKEN)
    change = update(installations).values(renewing_until=now())
    await db.write(lambda connection: connection.execute(change))
    await mine.refresh()
    await mine.renew_due(app(), slack.send)
    assert mine.secrets("slack", "main")["T0NEW"]["bot_token"] == "xoxb-renewed"


def test_links_and_cookies_are_read_by_whom_they_are_for_and_in_their_time() -> None:
    at = [1_800_000_000.0]
    sealer = Sealer([NEW], clock=lambda: at[0])
    link = Link("slack", "main", "velmora")
    text = make_link(sealer, link, until_s=at[0] + 60)
    assert read_link(sealer, text, "slack", "main", now_s=at[0]) == link
    begun = begin(sealer, link)
    assert came_back(sealer, begun.cookie, begun.state, "slack", "main") == link
    other = Sealer([OLD], clock=lambda: at[0])
    wrong: list[Any] = [
        lambda: read_link(sealer, text, "slack", "other", now_s=at[0]),
        lambda: read_link(sealer, text, "slack", "main", now_s=at[0] + 61),
        lambda: read_link(other, text, "slack", "main", now_s=at[0]),
        lambda: read_link(sealer, text[:-2] + "AA", "slack", "main", now_s=at[0]),
        lambda: read_link(sealer, begun.cookie, "slack", "main", now_s=at[0]),
        lambda: read_link(sealer, "é\ud800", "slack", "main", now_s=at[0]),
        lambda: came_back(sealer, begun.cookie, begin(sealer, link).state, "slack", "main"),
        lambda: came_back(sealer, begun.cookie, "", "slack", "main"),
        lambda: came_back(sealer, text, begun.state, "slack", "main"),
        lambda: came_back(sealer, begun.cookie, begun.state, "slack", "other"),
        lambda: came_back(sealer, "", "", "slack", "main"),
    ]
    for read in wrong:
        with pytest.raises(SealBroken):
            read()
    at[0] += STATE_S + 1
    with pytest.raises(SealBroken):
        came_back(sealer, begun.cookie, begun.state, "slack", "main")


@pytest.mark.parametrize("text", ["", " , ", "too-short", f"{NEW},short"])
def test_keys_that_protect_nothing_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand"):
        Sealer.of(text)


ACCESS: dict[str, Any] = RENEWED | {
    "enterprise": {"id": "E1", "name": "An organisation"},
    "is_enterprise_install": False,
}


@pytest.mark.parametrize(
    ("answer", "account"),
    [
        pytest.param(ACCESS, "T0NEW", id="a workspace of an organisation"),
        pytest.param(ACCESS | {"is_enterprise_install": True, "team": None}, "E1", id="the organisation"),
    ],
)
def test_whose_token_it_is(answer: dict[str, Any], account: str) -> None:
    platform = cast("Any", app()["slack", "main"])
    given = platform.granted(200, json.dumps(answer).encode())
    assert (given.account, given.lasts_s) == (account, 43_200)
    assert "xoxb" not in repr(given)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, b'{"ok":false,"error":"invalid_code"}', id="refused"),
        pytest.param(200, b'{"ok":true}', id="no token"),
        pytest.param(200, json.dumps(ACCESS | {"token_type": "user"}).encode(), id="a person's token"),
        pytest.param(200, json.dumps(ACCESS | {"team": None}).encode(), id="nobody's"),
        pytest.param(500, json.dumps(ACCESS).encode(), id="trouble"),
        pytest.param(200, b"<html>", id="not Slack"),
        pytest.param(200, b'{"ok":false,"error":"<script>"}', id="odd"),
    ],
)
def test_what_holds_no_token_is_refused_with_words_for_a_person(status: int, body: bytes) -> None:
    platform = cast("Any", app()["slack", "main"])
    with pytest.raises(InstallRefused, match=r"link|report"):
        platform.granted(status, body)
