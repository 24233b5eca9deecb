from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.training import read_any_recipe, read_recipe, read_search_recipe

FOLDER = Path("configs/training")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_recipe_is_valid(path: Path) -> None:
    assert read_any_recipe(path).name == path.stem


def test_each_recipe_that_the_documentation_names_is_there() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} >= {"lora", "qlora", "full", "dpo", "quick_cpu", "tiny_test"}


def test_a_misspelt_key_is_refused_with_line_and_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsft:\n  learnin_rate: 0.1\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:3: sft.learnin_rate is not a known key; did you mean"):
        read_recipe(path)


@pytest.mark.parametrize("text", ["method: full\n", "sft: {strength: 0.8}\n"])
def test_what_goes_on_from_a_version_is_an_adapter_that_is_kept_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\n{text}")
    assert read_recipe(path).start_from == "base"
    with pytest.raises(ConfigError, match="start_from"):
        read_recipe(path, ["start_from=active"])


@pytest.mark.parametrize("text", ["name: other\n", "name: mine\nlora: {r: 0}\n", "- a\n", "name: [\n", ""])
def test_a_recipe_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine.yaml"):
        read_recipe(path)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no .*absent.yaml"):
        read_recipe(tmp_path / "absent.yaml")


def test_the_digest_is_over_values_and_not_over_layout(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nlora: {r: 8}\n")
    first = read_recipe(path).sha256()
    path.write_text("# a note\nlora:\n  r: 8\n  lora_alpha: 32  # the default\nname: mine\n")
    assert read_recipe(path).sha256() == first
    path.write_text("name: mine\nlora: {r: 4}\n")
    assert read_recipe(path).sha256() != first


def test_values_can_be_changed_for_one_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nlora: {r: 8}\n")
    recipe = read_recipe(path, ["lora.r=32", "sft.packing=true", "lora.target_modules=[q_proj, v_proj]"])
    assert (recipe.lora.r, recipe.sft.packing, recipe.lora.target_modules) == (32, True, ("q_proj", "v_proj"))
    assert recipe.sha256() != read_recipe(path).sha256()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("lora.rr=32", r"--set: lora.rr is not a known key"),
        ("lora.r=many", r"--set: lora.r: .*integer"),
        ("lora.r", "write it as lora.r=32"),
        ("name.r=2", "name holds no keys"),
        ("lora.r=[", "is not a value"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(tmp_path: Path, change: str, reason: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\n")
    with pytest.raises(ConfigError, match=reason):
        read_recipe(path, [change])


@pytest.mark.parametrize("name", ["retriever", "cross_encoder"])
def test_a_recipe_of_search_is_told_from_one_of_an_adapter(name: str) -> None:
    recipe = read_search_recipe(FOLDER / f"{name}.yaml")
    assert recipe.trains == name
    assert read_any_recipe(FOLDER / f"{name}.yaml") == recipe


def test_both_recipes_of_search_are_asked_about_the_same_pages() -> None:
    one, other = (read_search_recipe(FOLDER / f"{name}.yaml").pairs for name in ("retriever", "cross_encoder"))
    assert (one.kept_out, one.words_dropped, one.seed) == (other.kept_out, other.words_dropped, other.seed)


def test_a_recipe_of_search_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trains is missing"):
        read_search_recipe(FOLDER / "quick_cpu.yaml")
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ntrains: retriever\npairs: {kept_ou: 0.5}\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:3: pairs.kept_ou is not a known key; did you mean"):
        read_any_recipe(path)
    path.write_text("name: mine\ntrains: crossencoder\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:2: trains: 'crossencoder'.*did you mean 'cross_encoder'"):
        read_any_recipe(path)
    path.write_text("name: mine\ntrains: cross_encoder\npairs: {hard_negatives: 0}\n")
    with pytest.raises(ConfigError, match=r"no passage would be a wrong one"):
        read_any_recipe(path)
