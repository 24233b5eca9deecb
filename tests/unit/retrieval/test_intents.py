"""Intents: what is learnt, what is rejected, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retrieval import kernel_ridge
from retrieval.errors import IntentsInvalid
from retrieval.routing.intent_evaluation import measure
from retrieval.routing.intent_examples import Example, examples_sha256, read_examples
from retrieval.routing.intent_features import views
from retrieval.routing.intent_training import train
from retrieval.routing.intents import ARRAYS, EXAMPLES, MANIFEST, IntentClassifier
from retrieval.testing import HashEncoder

TOPICS = {
    "delivery": (("parcel", "delivery", "courier"), ("arrive", "come", "track")),
    "refund": (("refund", "money", "payment"), ("back", "return", "repaid")),
    "hours": (("shop", "store", "boutique"), ("open", "close", "sunday")),
}
ELSEWHERE = tuple(
    f"{one} {other}"
    for one in ("volcano", "saxophone", "giraffe", "algebra")
    for other in ("erupts loudly", "poem please", "trivia night", "recipe")
)


def examples(*, outside: bool = False) -> tuple[Example, ...]:
    """54 messages of three intents, and 16 about nothing known."""
    known = [
        Example(f"{start} {noun} {verb}", intent)
        for intent, (nouns, verbs) in TOPICS.items()
        for noun in nouns
        for verb in verbs
        for start in ("when does the", "please tell me the")
    ]
    return (*known, *(Example(text, None) for text in ELSEWHERE if outside))


@pytest.fixture(scope="module")
def encoder() -> HashEncoder:
    return HashEncoder()


@pytest.fixture(scope="module")
def classifier(encoder: HashEncoder) -> IntentClassifier:
    return train(examples(outside=True), encoder)


def test_a_new_message_gets_the_intent_of_its_words(classifier: IntentClassifier) -> None:
    seen = classifier.read("can you track my parcel with the courier")
    assert (seen.intent, seen.rejected) == ("delivery", False)
    assert seen.probability > 0.8
    assert {near.intent for near in seen.nearest} == {"delivery"}


def test_a_message_about_nothing_known_is_rejected(classifier: IntentClassifier) -> None:
    assert classifier.read("a giraffe plays algebra").rejected
    assert classifier.classify(["giraffe poem", "refund my money back"]).intents == (None, "refund")


def test_without_examples_out_of_scope_only_what_is_far_from_everything_is_rejected(encoder: HashEncoder) -> None:
    classifier = train(examples(), encoder)
    assert classifier.manifest.metrics["out_of_scope_recall"] is None
    assert classifier.manifest.metrics["in_scope_accuracy"] == 1.0
    assert None not in classifier.classify([one.text for one in examples()]).intents
    assert classifier.read("xylophone quintet rehearsal").rejected


def test_the_same_examples_give_the_same_folder(tmp_path: Path, encoder: HashEncoder) -> None:
    for name in ("one", "two"):
        train(examples(outside=True), encoder).save(tmp_path / name)
    for file in (MANIFEST, EXAMPLES, ARRAYS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_saved_classifier_reads_as_before_and_a_new_one_takes_its_place(
    tmp_path: Path, encoder: HashEncoder, classifier: IntentClassifier
) -> None:
    train(examples(), encoder).save(tmp_path / "demo")
    classifier.save(tmp_path / "demo")
    loaded = IntentClassifier.load(tmp_path / "demo", encoder)
    assert loaded.manifest.out_of_scope_examples == len(ELSEWHERE)
    assert loaded.read("when is the store open") == classifier.read("when is the store open")
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_another_encoder_is_refused(tmp_path: Path, classifier: IntentClassifier) -> None:
    classifier.save(tmp_path / "demo")
    with pytest.raises(IntentsInvalid, match="another encoder"):
        IntentClassifier.load(tmp_path / "demo", HashEncoder(name="other"))


@pytest.mark.parametrize("file", [MANIFEST, EXAMPLES, ARRAYS])
def test_a_damaged_or_absent_file_is_refused(
    tmp_path: Path, encoder: HashEncoder, classifier: IntentClassifier, file: str
) -> None:
    classifier.save(tmp_path / "demo")
    (tmp_path / "demo" / file).write_bytes((tmp_path / "demo" / file).read_bytes()[:-9])
    with pytest.raises(IntentsInvalid, match="intents train"):
        IntentClassifier.load(tmp_path / "demo", encoder)
    (tmp_path / "demo" / file).unlink()
    with pytest.raises(IntentsInvalid, match="intents train"):
        IntentClassifier.load(tmp_path / "demo", encoder)


def test_a_route_of_an_unknown_intent_is_refused_with_the_nearest_name(classifier: IntentClassifier) -> None:
    classifier.check_routes(["refund"])
    with pytest.raises(IntentsInvalid, match=r"refunds.*refund"):
        classifier.check_routes(["refunds"])


def test_one_intent_cannot_be_told_from_itself(encoder: HashEncoder) -> None:
    with pytest.raises(IntentsInvalid, match="at least two intents"):
        train([Example("hello there", "greeting"), Example("good morning", "greeting")], encoder)


def test_messages_without_words_are_classified_too(encoder: HashEncoder, classifier: IntentClassifier) -> None:
    assert 0 <= classifier.read("???").out_of_scope <= 1
    train([*examples(), Example("!!", "hours"), Example("refund", "refund"), Example("refund", "hours")], encoder)


def test_left_out_predictions_are_those_of_a_model_that_never_saw_the_row() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((kernel_ridge.BLOCK + 70, 12)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    targets = random.standard_normal((len(rows), 3)).astype(np.float32)
    fitted = kernel_ridge.fit(rows, targets)
    for out in (0, kernel_ridge.BLOCK, len(rows) - 1):
        kept = np.arange(len(rows)) != out
        weights = np.linalg.solve(
            kernel_ridge.kernel(rows[kept] @ rows[kept].T) + kernel_ridge.RIDGE * np.eye(kept.sum()), targets[kept]
        )
        expected = kernel_ridge.kernel(rows[out] @ rows[kept].T) @ weights
        assert np.allclose(fitted.left_out[out], expected, atol=2e-3)


def test_figures_are_those_counted_by_hand() -> None:
    right = [Example("a", "x"), Example("b", "x"), Example("c", "y"), Example("d", None), Example("e", None)]
    report = measure(right, ["x", None, "x", None, "y"], np.array([0.1, 0.6, 0.2, 0.9, 0.4]))
    assert report.accuracy == pytest.approx(2 / 5)
    assert report.in_scope_accuracy == pytest.approx(1 / 3)
    assert report.out_of_scope_recall == pytest.approx(1 / 2)
    assert report.out_of_scope_auroc == pytest.approx(5 / 6)
    assert report.macro_f1 == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)


def test_figures_that_cannot_be_computed_are_absent() -> None:
    known = measure([Example("a", "x")], ["x"], np.array([0.1]))
    assert (known.out_of_scope_recall, known.out_of_scope_auroc) == (None, None)
    assert measure([Example("a", None)], [None], np.array([0.9])).in_scope_accuracy is None


# --- files ----------------------------------------------------------------------------------------------------------


def test_other_keys_are_left_alone_and_out_of_scope_needs_no_intent(tmp_path: Path) -> None:
    file = tmp_path / "intents.jsonl"
    rows = [
        {"text": " when do you open ", "intent": "hours", "split": "train"},
        {"text": "line\u2028break", "intent": "hours"},
        {"text": "sing to me", "out_of_scope": True},
        {"text": "a riddle", "intent": "oos", "out_of_scope": True},
    ]
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n", encoding="utf-8")
    read = read_examples(file)
    assert [one.intent for one in read] == ["hours", "hours", None, None]
    assert read[0].text == "when do you open"
    assert examples_sha256(read) != examples_sha256(read[:-1])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "JSON"),
        ('{"text": "", "intent": "x"}', "text"),
        ('{"intent": "x"}', "text"),
        ('{"text": "a"}', "names its"),
        ('{"text": "a", "intent": "x", "out_of_scope": "no"}', "out_of_scope"),
        ('["a", "x"]', "object"),
    ],
)
def test_a_bad_line_is_named_by_file_line_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "intents.jsonl"
    file.write_text('{"text": "fine", "intent": "x"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(IntentsInvalid, match=rf"intents\.jsonl:2: .*{reason}"):
        read_examples(file)


def test_a_file_that_is_empty_absent_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("empty", "no examples"), ("binary", "cannot be read"), ("absent", "cannot be read")):
        with pytest.raises(IntentsInvalid, match=reason):
            read_examples(tmp_path / name)


def test_views_hold_the_mean_and_the_peak_of_each_dimension() -> None:
    encoder = HashEncoder()
    seen = views(["refund my order", "refund"], encoder)
    means, tokens = encoder.encode_document_tokens(["refund my order", "refund"])
    assert seen.shape == (2, 2 * encoder.dim)
    np.testing.assert_array_equal(seen[:, : encoder.dim], means)
    np.testing.assert_array_equal(seen[0, encoder.dim :], tokens[0].max(axis=0))
