"""The generated pages are current, and nothing is left out of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from configs.load import PLAIN_NAMES
from configs.schema import fields
from configs.service import Secret, ServiceConfig
from service.cli.app import app
from service.cli.docs import commands, pages

DOCS = Path(__file__).resolve().parents[3] / "docs"
ROOT: Any = get_command(app)
COMMANDS = dict(commands(ROOT, "brandvoice"))
ISSUE = {
    "": ("demo", "serve", "ask", "train", "eval", "doctor", "backup", "restore", "forget"),
    "db ": ("migrate",),
    "retention ": ("run",),
    "kb ": ("add", "list", "show", "search", "remove", "versions", "rollback", "eval", "why"),
    "answer ": ("check",),
    "data ": ("check", "synthesize", "review"),
    "intents ": ("eval", "train", "show"),
    "adapter ": ("list", "show", "promote", "rollback", "sign"),
    "channel ": ("check", "install-link", "list", "send", "simulate"),
    "outbox ": ("list", "replay"),
    "conversations ": ("close", "list", "note", "return", "say", "show", "take"),
    "handoffs ": ("list",),
    "people ": ("disable", "enable", "invite", "list", "reset"),
    "voice ": ("score", "profile"),
    "config ": ("show", "check"),
}


@pytest.mark.parametrize(("name", "text"), pages().items())
def test_a_generated_page_is_current(name: str, text: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == text, "run `make docs`"


def test_every_command_is_there_and_documented() -> None:
    assert {f"brandvoice {group}{name}" for group, names in ISSUE.items() for name in names} == set(COMMANDS)
    page = pages()["command-line.md"]
    for name in COMMANDS:
        assert f"## `{name}`" in page


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_command_and_each_of_its_options_is_explained(command: Any) -> None:
    assert command.help
    for one in command.params:
        assert one.name == "help" or one.help, one.name


def test_every_setting_and_variable_is_on_the_page() -> None:
    page = pages()["configuration.md"]
    for name, _ in fields(ServiceConfig, whole=(Secret,)):
        assert f"| `{name}` |" in page
    for name in PLAIN_NAMES:
        assert name in page
