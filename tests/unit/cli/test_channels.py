"""`brandvoice channel list` and `channel check`."""

from __future__ import annotations

import pytest

from channels.registry import PLATFORMS
from tests.unit.cli.conftest import Cli

SLACK = {"SLACK_SIGNING_SECRET": "s" * 32, "SLACK_BOT_TOKEN": "xoxb-1"}


@pytest.fixture
def slack_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLACK.items():
        monkeypatch.setenv(name, value)


def test_every_platform_is_listed_with_its_address_and_what_it_can_take(cli: Cli) -> None:
    told = cli("channel", "list", "--json").json
    assert {one["channel"] for one in told["apps"]} == set(PLATFORMS) == set(told["platforms"])
    assert {one["state"] for one in told["apps"]} == {"off"}
    assert told["platforms"]["slack"]["idempotency"] == "look-up"
    slack = next(one for one in told["apps"] if one["channel"] == "slack")
    assert slack["webhook"] == "/webhooks/slack/main"
    assert set(slack["brands"].values()) == {"velmora", "dicehollow"}


def test_an_app_with_its_secrets_is_on(cli: Cli, slack_is_on: None) -> None:
    shown = cli("channel", "list").out.splitlines()
    assert next(line for line in shown if line.startswith("slack ")).split()[2] == "on"
    assert not any("xoxb" in line for line in shown)


def test_what_keeps_an_app_off_is_named(cli: Cli) -> None:
    done = cli("channel", "check", "slack")
    assert done.code == 1
    assert "slack/main is off: not set: SLACK_SIGNING_SECRET, SLACK_BOT_TOKEN" in done.out
    assert "brandvoice channel simulate slack" in done.err


def test_a_secret_of_no_use_keeps_an_app_off(cli: Cli, slack_is_on: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "two\nlines")
    done = cli("channel", "check", "slack")
    assert done.code == 1
    assert "'signing_secret' " in done.out


def test_an_app_that_is_on_is_tried(cli: Cli, slack_is_on: None) -> None:
    done = cli("channel", "check", "slack")
    assert done.code == 0, done.err
    assert "slack/main is on: signature, event and reply tried" in done.out
    assert "T0VELMORA1 speaks as velmora" in done.out


def test_what_only_the_platform_can_give_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_APP_PASSWORD", "a~password")
    done = cli("channel", "check", "teams")
    assert done.code == 0, done.err
    assert "teams/main is on" in done.out
    assert "a signed event cannot be tried here" in done.out
    assert "a reply cannot be tried here" in done.out
    assert "a~password" not in done.out


def test_all_platforms_can_be_looked_at_at_once(cli: Cli) -> None:
    done = cli("channel", "check")
    assert done.code == 0
    assert sum("/webhooks/" in line for line in done.out.splitlines()) >= len(PLATFORMS)


def test_an_unknown_platform_is_named_with_its_neighbour(cli: Cli) -> None:
    done = cli("channel", "check", "slak")
    assert done.code == 2
    assert "did you mean 'slack'" in done.err.lower()
