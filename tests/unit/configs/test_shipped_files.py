"""Every file under configs/ is one that loads, and the sample brands speak as their guides say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from channels.registry import PLATFORMS
from configs.brand import Brand
from configs.load import load_config
from configs.training import read_any_recipe

FOLDER = Path(__file__).resolve().parents[3] / "configs"
BRANDS = load_config(FOLDER, {}).brands


def test_every_yaml_file_is_read_by_something() -> None:
    recipes = [read_any_recipe(path) for path in (FOLDER / "training").glob("*.yaml")]
    read = {FOLDER / "service.yaml"}
    read |= {FOLDER / "brands" / f"{name}.yaml" for name in BRANDS}
    read |= {FOLDER / "training" / f"{recipe.name}.yaml" for recipe in recipes}
    found = set(FOLDER.rglob("*.y*ml"))
    assert found == read
    assert len(found) >= 6


@pytest.mark.parametrize("brand", BRANDS.values(), ids=BRANDS)
def test_a_sample_brand_has_what_a_conversation_needs(brand: Brand) -> None:
    assert len(set(brand.words.refusals)) >= 3
    assert len(set(brand.words.handovers)) >= 2
    assert brand.widget.starters
    assert brand.pages.is_dir()
    assert {binding.channel for binding in brand.channels} == set(PLATFORMS)
    for path in (brand.voice_guide, brand.conversations, brand.questions):
        assert path is not None
        assert path.is_file(), path


def _sentences(brand: Brand) -> str:
    words = brand.words
    return " ".join([words.greeting, *words.refusals, *words.handovers, words.unavailable, words.delayed, words.late])


def test_the_luxury_house_uses_no_contraction_and_no_exclamation_mark() -> None:
    text = _sentences(BRANDS["velmora"])
    assert not re.search(r"\b\w+'(s|re|ve|ll|d|t|m)\b", text)
    assert "!" not in text


def test_the_games_shop_is_playful_in_every_line() -> None:
    words = BRANDS["dicehollow"].words
    for line in (words.greeting, *words.refusals, *words.handovers, words.unavailable, words.delayed, words.late):
        assert "!" in line
        assert not re.search(r"\b(regret|kindly|permit|delighted)\b", line, flags=re.I)
