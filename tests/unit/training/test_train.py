import json
import shutil
from pathlib import Path

import pytest

from configs.base_manifest import read_base
from training.campaign import Run, best, facts_kept, held_back, likeness, recipe_of
from training.errors import TrainingFailed
from training.progress import Report
from training.recipes import sft
from training.runs.packaging import Origin, package_adapter
from training.testing import TINY_RECIPE, tiny_examples
from training.train import BarProgress, JsonProgress, up_to_date


@pytest.fixture
def adapters(trained: sft.Trained, tmp_path: Path) -> Path:
    shutil.copytree(trained.folder, tmp_path / "acme" / "v1")
    return tmp_path / "acme"


def test_a_version_made_of_the_same_is_found_and_not_trained_again(adapters: Path, base: Path) -> None:
    origin = Origin.of("acme", read_base(base), TINY_RECIPE, "d" * 64)
    assert up_to_date(adapters, origin, "k1") == adapters / "v1"


def test_other_data_or_knowledge_or_a_broken_version_is_not_up_to_date(adapters: Path, base: Path) -> None:
    origin = Origin.of("acme", read_base(base), TINY_RECIPE, "d" * 64)
    assert up_to_date(adapters, Origin.of("acme", read_base(base), TINY_RECIPE, "e" * 64), "k1") is None
    assert up_to_date(adapters, origin, "k2") is None
    (adapters / "v1" / "manifest.json").write_text("{}")
    (adapters / "active").write_text("v1")
    assert up_to_date(adapters, origin, "k1") is None


def test_no_folder_means_nothing_is_up_to_date(tmp_path: Path, base: Path) -> None:
    assert up_to_date(tmp_path / "none", Origin.of("acme", read_base(base), TINY_RECIPE, "d" * 64), "k1") is None


def test_reports_become_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    JsonProgress()(Report("training", 1, 2, loss=0.5, eta_s=3.0))
    line = {"stage": "training", "step": 1, "total": 2, "loss": 0.5, "eta_s": 3.0}
    assert json.loads(capsys.readouterr().err) == line


def test_a_bar_shows_loss_and_minutes_left(capsys: pytest.CaptureFixture[str]) -> None:
    with BarProgress() as bar:
        bar(Report("loading", 0, 0))
        bar(Report("training acme", 1, 2, loss=0.5, eta_s=90.0))
    shown = capsys.readouterr().err
    assert "training acme" in shown
    assert "loss 0.500  1.5 min left" in shown


def test_a_conversation_is_held_back_whole() -> None:
    for one in tiny_examples(64):
        other = type(one)(**{**{name: getattr(one, name) for name in one.__slots__}, "id": f"{one.id[:-2]}/3"})
        assert held_back(one) == held_back(other)
    assert 0 < sum(map(held_back, tiny_examples(64))) < 32


def test_the_best_settings_keep_the_numbers_and_the_words() -> None:
    rows = [
        {"brand": "acme", "name": "a", "validation_facts": 0.5, "validation_likeness": 0.9},
        {"brand": "acme", "name": "b", "validation_facts": 0.9, "validation_likeness": 0.8},
        {"brand": "other", "name": "c", "validation_facts": 1.0, "validation_likeness": 1.0},
    ]
    assert [one["name"] for one in best(rows, "acme", 1)] == ["b"]


def test_likeness_and_facts_are_measured_on_words_and_numbers() -> None:
    assert likeness("it is 30 days", "it is 30 days") == 1
    assert likeness("a b", "c d") == 0
    assert facts_kept("Within 30 days, for $6.", "$6, 30 days") == 1
    assert facts_kept("Within 31 days.", "30 days") == 0


def test_a_run_changes_rate_and_epochs_of_its_recipe_alone() -> None:
    recipe = recipe_of(Run("acme", 2e-4, 3, final=False), TINY_RECIPE)
    assert (recipe.sft.learning_rate, recipe.sft.num_train_epochs) == (2e-4, 3)
    assert recipe.lora == TINY_RECIPE.lora


def test_a_disk_that_is_full_leaves_no_half_adapter(base: Path, tmp_path: Path) -> None:
    class Full:
        """A model whose weights cannot be written."""

        peft_config = property(lambda self: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    origin = Origin.of("acme", read_base(base), TINY_RECIPE, "d" * 64)
    with pytest.raises(TrainingFailed, match="No space left"):
        package_adapter(Full(), tmp_path / "acme" / "v1", origin=origin, knowledge_version=None, metrics={})
    assert list((tmp_path / "acme").iterdir()) == []
