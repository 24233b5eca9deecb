"""`handover` in a brand's file: what is wrong is told with its line, in plain words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import load_config


def _with(folder: Path, text: str) -> Path:
    shutil.copytree("configs", folder / "configs")
    with (folder / "configs/brands/velmora.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\nhandover:\n{text}\n")
    return folder / "configs"


def test_everything_that_can_be_said_is_read(tmp_path: Path) -> None:
    folder = _with(
        tmp_path,
        "  keywords: [lawyer]\n  unsure: {times: 3, below: 0.4}\n  frustration: true\n  nobody_after_min: 10\n"
        "  then: bot\n  while_waiting: answer\n  words: {waiting: Soon., nobody: No., outside_hours: Later.}\n"
        "  hours:\n    timezone: Europe/Paris\n    days: {mon: ['09:00-12:30', '13:30-24:00']}\n"
        "    holidays: [2026-12-25]",
    )
    rules = load_config(folder, {}).brands["velmora"].handover
    assert rules.hours is not None
    assert rules.hours.spans(rules.hours.holidays[0]) == ()
    assert rules.words.waiting == "Soon."


def test_without_rules_a_brand_has_the_careful_ones() -> None:
    rules = load_config(Path("configs"), {}).brands["velmora"].handover
    assert (rules.keywords, rules.intents, rules.unsure, rules.frustration) == ((), (), None, False)
    assert rules.while_waiting == "silent"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("  keyword: [x]", "did you mean 'keywords'"),
        ("  keywords: [a]", "at least 2 characters"),
        ("  unsure: {times: 0}", "greater than or equal to 1"),
        ("  hours: {timezone: Paris, days: {mon: ['09:00-18:00']}}", "no time zone; write one such as Europe/Paris"),
        ("  hours: {timezone: UTC, days: {monday: ['09:00-18:00']}}", "mon"),
        ("  hours: {timezone: UTC, days: {mon: ['9-18']}}", "no span of time; write it like 09:00-18:00"),
        ("  hours: {timezone: UTC, days: {mon: ['18:00-09:00']}}", "split it at midnight"),
        ("  hours: {timezone: UTC, days: {mon: ['09:00-24:30']}}", "ends after midnight"),
        ("  hours: {timezone: UTC, days: {mon: ['09:00-12:00', '11:00-13:00']}}", "overlap"),
        ("  hours: {timezone: UTC, days: {}}", "nobody would ever be there"),
        ("  hours: {timezone: UTC, days: {mon: ['09:00-18:00']}, holidays: [christmas]}", "date"),
        ("  intents: [{intent: refund}]", "add intents"),
        ("  intents: [{intent: refund, currency: EUR}]", "add over"),
        ("  intents: [{intent: refund, over: much}]", "decimal"),
        ("  then: later", "'wait' or 'bot'"),
        ("  nobody_after_min: 0", "greater than 0"),
    ],
)
def test_what_is_wrong_is_told_plainly(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"velmora\.yaml:\d+") as told:
        load_config(_with(tmp_path, text), {})
    assert why in str(told.value)
