"""What a run was made with, in its folder and in the adapter's manifest."""

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from configs.adapter_manifest import Provenance, read_adapter
from configs.training import Recipe, read_recipe
from training.errors import RecipeInvalid
from training.recipes import sft
from training.runs.provenance import commit, provenance
from training.testing import TINY_RECIPE, tiny_job


def test_the_manifest_and_the_run_say_what_it_was_made_with(trained: sft.Trained) -> None:
    made = read_adapter(trained.folder).provenance
    assert made is not None
    assert Recipe.model_validate(made.recipe) == TINY_RECIPE
    assert (made.seed, made.processes) == (7, 1)
    assert made.libraries["trl"] == version("trl")
    assert set(made.libraries) == {"accelerate", "datasets", "peft", "torch", "transformers", "trl"}
    kept = json.loads((trained.run / "provenance.json").read_text())
    assert Provenance.model_validate({key: kept[key] for key in Provenance.model_fields}) == made
    assert trained.manifest is not None
    assert kept["data_sha256"] == trained.manifest.data_sha256
    assert kept["base_sha256"] == trained.manifest.base.sha256
    assert kept["recipe_sha256"] == trained.manifest.recipe_sha256


def test_no_path_of_the_machine_is_kept(tmp_path: Path) -> None:
    recipe = tmp_path / "configs" / "training" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("name: mine\ndata: {general: general.jsonl, general_share: 0.2}\n")
    assert str(tmp_path) not in provenance(read_recipe(recipe)).model_dump_json()


def test_the_commit_is_of_the_folder_itself_and_tells_changed_files(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        done = subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    inner = tmp_path / "site-packages"
    inner.mkdir()
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-q", "-m", "First")
    head = git("rev-parse", "HEAD")
    assert commit(tmp_path) == head
    (tmp_path / "file").write_text("b")
    assert commit(tmp_path) == f"{head}-dirty"
    # Whatever repository lies around an installed package is not its own.
    assert commit(inner) is None


def test_a_manifest_from_before_stays_as_it_was() -> None:
    folder = Path("samples/velmora/adapter")
    assert read_adapter(folder).to_json() == (folder / "manifest.json").read_text()


def test_a_tracker_that_is_not_installed_is_named_before_anything_is_loaded(base: Path, tmp_path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("trackio") is not None:
        pytest.skip("trackio is installed")
    tracked = TINY_RECIPE.model_copy(update={"sft": TINY_RECIPE.sft.model_copy(update={"tracker": "trackio"})})
    # Who watches changes nothing of what is trained.
    assert tracked.sha256() == TINY_RECIPE.sha256()
    with pytest.raises(RecipeInvalid, match="`pip install trackio`"):
        sft.main(tiny_job(base, tmp_path, tracked))
