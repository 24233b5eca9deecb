"""Brands of the state folder are read beside those of the configuration, and a wrong one keeps nobody from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.home import Home
from configs.load import Config, load_config
from service.cli import main

TEXT = """name: {name}
display_name: Fernhill
pages: brands/{name}/pages
voice_guide: brands/{name}/voice.md
words: {{greeting: Hello, refusals: [Sorry.], handovers: [A person comes.], unavailable: Later.}}
widget: {{site_key: {key}}}
"""


def write(home: Home, name: str, key: str = "pk_fernhill00", **changed: str) -> Path:
    (home.brands / name / "pages").mkdir(parents=True)
    (home.brands / name / "voice.md").write_text("Be brief.", encoding="utf-8")
    text = TEXT.format(name=name, key=key)
    for before, after in changed.items():
        text = text.replace(f"{before}:", f"{after}:")
    path = home.brands / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(home: Home) -> Config:
    return load_config(Path("configs"), {}, home)


def test_a_made_brand_stands_beside_the_configured_ones_with_paths_in_the_state_folder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(home, "fernhill")
    config = read(home)
    assert set(config.brands) == {"velmora", "dicehollow", "fernhill"}
    assert config.made == {"fernhill"}
    assert config.brands["fernhill"].pages == tmp_path / "brands/fernhill/pages"
    assert config.origins["brands.fernhill.display_name"] == "brands/fernhill.yaml:2"
    assert set(load_config(Path("configs"), {}).brands) == {"velmora", "dicehollow"}


def test_of_two_that_clash_the_first_is_served_and_the_other_is_told_of(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(home, "fern")
    write(home, "gorse")
    write(home, "heath", key="pk_velmora0a7c41d93e5f")
    config = read(home)
    assert config.made == {"fern"}
    assert "is taken by the brand 'fern'" in config.left_out["gorse"]
    assert "is taken by the brand 'velmora'" in config.left_out["heath"]


def test_a_brand_of_the_configuration_cannot_be_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(home, "velmora")
    config = read(home)
    assert config.brands["velmora"].display_name == "Maison Velmora"
    assert "the configuration has a brand 'velmora'" in config.left_out["velmora"]


def test_one_without_its_voice_guide_is_left_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(home, "fernhill")
    (home.brands / "fernhill" / "voice.md").unlink()
    assert "there is no" in read(home).left_out["fernhill"]


def test_config_check_names_the_line_of_a_made_brand_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRANDVOICE_HOME", str(tmp_path))
    monkeypatch.setenv("BRANDVOICE_CONFIGS", str(Path("configs").absolute()))
    path = write(Home(tmp_path), "fernhill")
    for wrong in (False, True):
        if wrong:
            path.write_text(path.read_text().replace("words:", "wrods:"), encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main(["config", "check"])
        assert bool(ended.value.code) is wrong
    assert f"{path}:5: wrods is not a known key" in capsys.readouterr().err
