"""What comes with the doctor: masking, score, card, split, general conversations."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from configs.training import Data, Recipe, read_recipe
from retrieval.language.personal import contacts, find, hide
from training.conversations import read_conversations
from training.data.card import write_card
from training.data.doctor import Examined, Options, examine, read_rows
from training.data.general import general_sha256, with_general
from training.data.rows import Row
from training.data.score import score
from training.data.similar import NEAR, groups, resemblance
from training.data.split import assert_no_overlap, hold_back, split_rows
from training.data.wording import placeholders_in
from training.errors import DataInvalid, DataOverlap
from training.examples.rendering import Built, Report, select
from training.recipes import sft
from training.testing import TINY_RECIPE, tiny_examples, tiny_job
from training.train import keep_apart
from training.voice.model import Text, learn

ROOT = Path(__file__).resolve().parents[3]


def written(path: Path, *pairs: tuple[str, str]) -> Path:
    path.write_text(
        "".join(json.dumps({"prompt": asked, "completion": said}) + "\n" for asked, said in pairs), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="module")
def velmora() -> Examined:
    return examine([ROOT / "samples/velmora/conversations.jsonl"])


# --- personal data


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("mail a.b@x.example now", "mail [masked e-mail] now"),
        ("pay 4111-1111-1111-1111!", "pay [masked card]!"),
        ("pay 4111 1111 1111 1112!", "pay 4111 1111 1111 1112!"),
        ("to DE89370400440532013000.", "to [masked IBAN]."),
        ("to DE88370400440532013000.", "to DE88370400440532013000."),
        ("to DE89 3704 0044 0532 0130 0", "to DE89 3704 0044 0532 0130 0"),
        ("call (415) 555-2671, Dr. Lind", "call [masked phone], Dr. [masked name]"),
        ("order 5551234567 of 2026-11-25", "order 5551234567 of 2026-11-25"),
        ("write to support@x.example", "write to support@x.example"),
    ],
)
def test_personal_data_is_found_by_form_and_check_sum(text: str, hidden: str) -> None:
    assert hide(text, find(text)) == hidden


def test_what_was_hidden_is_not_found_again_and_is_no_slot() -> None:
    text = "I am Ada Lovelace, ada@x.example, +44 20 7946 0958, 4111111111111111, GB82WEST12345698765432"
    hidden = hide(text, find(text))
    assert len(find(text)) == 5
    assert find(hidden) == ()
    assert placeholders_in(hidden) == []


def test_contacts_of_the_brands_own_pages_are_public(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", ("Your number?", "Call 212-555-0187."), ("Call me", "On (212) 555-0188?"))
    assert examine([path]).pii == 2
    assert examine([path], Options(contacts=contacts("Phone: (212) 555-0187"))).pii == 1


def test_masking_hides_in_every_accepted_message_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    row = {"prompt": "I am at a@x.example", "chosen": "Noted.", "rejected": "Noted: a@x.example"}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    plain, masked = examine([path]), examine([path], Options(mask=True))
    assert (plain.masked, masked.masked, plain.pii, masked.pii) == (0, 1, 1, 1)
    assert plain.accepted[0].questions == ("I am at a@x.example",)
    assert masked.accepted[0].questions == ("I am at [masked e-mail]",)
    assert masked.accepted[0].rejected == "Noted: [masked e-mail]"
    assert "a@x.example" not in json.dumps(masked.as_json())


# --- the report


def test_the_report_has_these_keys_and_adds_up(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", ("a", "Yes."), ("a", "Yes."), ("b", " "))
    found = examine([path]).as_json()
    assert list(found) == [
        "rows", "accepted", "rejected", "warnings", "masked", "duplicates", "near_duplicates", "pii",
    ]  # fmt: skip
    assert (found["rows"], found["accepted"], found["duplicates"]) == (3, 2, 1)
    assert found["rejected"] == [
        {"file": str(path), "line": 3, "rule": "empty", "reason": "message 2 (assistant) has no text"}
    ]
    assert found["warnings"] == [
        {"file": str(path), "line": 2, "rule": "duplicate", "reason": "says the same as line 1"}
    ]


def test_the_model_decides_what_is_too_long(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", ("a", "word " * 100))
    assert len(examine([path], Options(max_tokens=120, count_tokens=lambda text: len(text.split()))).accepted) == 1
    (bad,) = examine([path], Options(max_tokens=100, count_tokens=lambda text: len(text.split()))).rejected
    assert bad.reason == "111 tokens, the model takes 100"


def test_replies_of_another_house_are_told_by_the_brands_voice_and_hardly_any_of_its_own(tmp_path: Path) -> None:
    own, other = (
        read_conversations(ROOT / f"samples/{name}/conversations.jsonl") for name in ("velmora", "dicehollow")
    )
    kept = own[1::5]
    learnt = [Text(content=said.content, group=one.id) for one in own if one not in kept for said in one.messages[1::2]]
    rows = [one.model_dump(mode="json", exclude_none=True) for one in (*kept, *other[:10])]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    marks, voice = (
        [one.line for one in examine([path], options).warnings if one.rule == "off_voice"]
        for options in (Options(), Options(voice=learn(learnt).score))
    )
    count = len(kept)
    assert sum(line > count for line in voice) >= 9
    assert sum(line <= count for line in voice) <= 0.05 * count
    assert sum(line > count for line in marks) < 9


def test_sound_data_scores_100_and_every_fault_costs_points_with_a_reason(tmp_path: Path, velmora: Examined) -> None:
    own = replace(velmora, warnings=(), pii=0)
    assert (score(own).points, score(own).verdict, score(own).reasons) == (100, "good to train on", ())
    poor = score(examine([written(tmp_path / "x.jsonl", ("a", "You idiot."), ("b", "{{slot}} is due."), ("c", ""))]))
    assert poor.points < 40
    assert poor.verdict == "do not train on this"
    assert any("insult" in reason for reason in poor.reasons)
    assert any("1 of 3 rows rejected" in reason for reason in poor.reasons)


def test_the_card_holds_counts_hashes_a_picture_and_masked_examples(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", ("Mail a@x.example", "We shall."), ("b", "Yes, b."), ("c", ""))
    found = examine([path])
    write_card(tmp_path / "card", found, score(found), split_rows(found.accepted))
    facts = json.loads((tmp_path / "card" / "card.json").read_text("utf-8"))
    assert (facts["rows"], facts["accepted"], facts["rejected"]) == (3, 2, {"empty": 1})
    assert facts["files"][0]["sha256"] == found.files[0].sha256
    assert len(facts["split"]["sha256"]) == 64
    text = (tmp_path / "card" / "card.md").read_text("utf-8")
    assert "a@x.example" not in text + json.dumps(facts)
    assert "[masked e-mail]" in text
    assert (tmp_path / "card" / "lengths.svg").read_text("utf-8").count("<rect") >= 2


# --- the split


def test_near_questions_and_conversations_stay_on_one_side(velmora: Examined) -> None:
    split = split_rows(velmora.accepted)
    assert len(split.train) + len(split.evaluation) == len(velmora.accepted)
    assert 0.15 < len(split.evaluation) / len(velmora.accepted) <= 0.2
    asked = ["\n".join(row.questions) for row in velmora.accepted]
    held = {"\n".join(row.questions) for row in split.evaluation}
    for place, first in enumerate(groups(asked)):
        assert (asked[place] in held) == (asked[first] in held)


def test_rows_that_differ_in_a_figure_are_not_near_but_for_the_evaluation(tmp_path: Path) -> None:
    rows = [(f"What is the price of item {at}?", f"Item {at} costs ${at + 3}.") for at in range(60)]
    path = written(tmp_path / "x.jsonl", *rows)
    found = examine([path], Options(evaluation=["what is the price of item 99"]))
    assert (found.count("near_duplicate"), found.count("contradiction"), found.count("overlap")) == (0, 0, 60)
    assert len(split_rows(found.accepted).evaluation) == 12


def test_the_split_is_the_same_whatever_the_order_and_another_for_another_seed(velmora: Examined) -> None:
    split = split_rows(velmora.accepted)
    assert split_rows(velmora.accepted[::-1]).sha256 == split.sha256
    assert split_rows(velmora.accepted, seed=8).sha256 != split.sha256
    assert split_rows(velmora.accepted[1:]).sha256 != split.sha256


def test_an_overlap_of_training_and_evaluation_is_refused_by_name() -> None:
    assert_no_overlap(["How long do I have to return it?"], ["What does gift wrapping cost?"])
    with pytest.raises(DataOverlap, match=r"'HOW long do I have to return it' is trained on as 'How long"):
        assert_no_overlap(["a", "How long do I have to return it?"], ["HOW long do I have to return it", "b"])


def test_shipped_held_out_questions_are_not_trained_on() -> None:
    for brand in ("velmora", "dicehollow"):
        rows = [one for one in read_rows(ROOT / f"samples/{brand}/conversations.jsonl") if isinstance(one, Row)]
        lines = (ROOT / f"samples/{brand}/questions.jsonl").read_text("utf-8").splitlines()
        assert_no_overlap(
            [asked for row in rows for asked in row.questions], [json.loads(line)["question"] for line in lines]
        )


def test_examples_with_near_questions_are_held_back_together() -> None:
    rows = read_conversations(ROOT / "samples/velmora/conversations.jsonl")[::15]
    questions = [f"{row.messages[0].content}{end}" for row in rows for end in ("", " please")]
    examples = [replace(one, question=text) for one, text in zip(tiny_examples(len(questions)), questions, strict=True)]
    learnt, watched = hold_back(examples, 0.3, seed=3)
    assert learnt
    assert watched
    for one in learnt:
        assert all(resemblance(one.question, other.question) < NEAR for other in watched)


# --- general conversations


def built(count: int) -> Built:
    return Built(tiny_examples(count), Report({"small_talk": count}, 0, (), (), ()), "k1")


def general(path: Path, count: int) -> Path:
    return written(path, *((f"What is {at} and {at}?", f"It is {2 * at}.") for at in range(count)))


def test_a_share_of_general_conversations_is_mixed_in(tmp_path: Path) -> None:
    data = Data(general=general(tmp_path / "x.jsonl", 50), general_share=0.2, variants=1)
    mixed = with_general(built(40), tmp_path / "x.jsonl", data, brand="acme")
    assert [one.kind for one in mixed.examples].count("general") == 10
    assert mixed.report.kinds == {"general": 10, "small_talk": 40}
    assert mixed.examples == with_general(built(40), tmp_path / "x.jsonl", data, brand="acme").examples
    chosen = select(mixed.examples, data.model_copy(update={"max_examples": 20}))
    assert [one.kind for one in chosen].count("general") == round(len(chosen) * 0.2)


def test_general_conversations_are_learnt_beside_the_brands_own(base: Path, tmp_path: Path) -> None:
    data = Data(general=general(tmp_path / "x.jsonl", 20), general_share=0.4, variants=1)
    mixed = with_general(built(6), tmp_path / "x.jsonl", data, brand="acme")
    job = tiny_job(base, tmp_path, TINY_RECIPE.model_copy(update={"data": data}))
    said: list[str] = []
    trained = sft.main(replace(job, examples=mixed.examples, say=said.append))
    assert trained.metrics["examples"] == 10
    assert "'general': 4" in "".join(said)


def test_training_does_not_begin_where_a_held_out_question_is_trained_on(tmp_path: Path) -> None:
    conversations = read_conversations(ROOT / "samples/velmora/conversations.jsonl")
    asked = conversations[0].messages[0].content
    line = {"id": "q1", "question": asked.upper(), "document": None}
    (tmp_path / "questions.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    brand = SimpleNamespace(questions=tmp_path / "questions.jsonl")
    with pytest.raises(DataOverlap, match="1 question"):
        keep_apart(brand, conversations, built(2))  # type: ignore[arg-type]
    keep_apart(brand, conversations[1:], built(2))  # type: ignore[arg-type]


def test_too_few_general_conversations_for_the_share_are_an_error(tmp_path: Path) -> None:
    data = Data(general=general(tmp_path / "x.jsonl", 5), general_share=0.5)
    with pytest.raises(DataInvalid, match=r"5 conversations can be used, a share of 0\.5 needs 40"):
        with_general(built(40), tmp_path / "x.jsonl", data, brand="acme")


def test_general_conversations_are_off_and_leave_digests_as_they_were(tmp_path: Path) -> None:
    path = general(tmp_path / "x.jsonl", 5)
    data = Data(general=path, general_share=0.1)
    mixed = TINY_RECIPE.model_copy(update={"data": data})
    elsewhere = TINY_RECIPE.model_copy(update={"data": data.model_copy(update={"general": tmp_path / "y"})})
    assert Recipe(name="tiny").data.general is None
    assert mixed.sha256() == elsewhere.sha256() != TINY_RECIPE.sha256()
    before = general_sha256("d", path)
    general(path, 6)
    assert general_sha256("d", path) != before


def test_a_share_without_a_file_is_refused_and_a_path_is_relative_to_what_holds_configs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give both or none"):
        Data(general_share=0.1)
    path = tmp_path / "configs" / "training" / "mixed.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("name: mixed\ndata: {general: data/g.jsonl, general_share: 0.1}\n", encoding="utf-8")
    assert read_recipe(path).data.general == tmp_path.resolve() / "data/g.jsonl"


@pytest.mark.parametrize(
    "text", ["1" * 8000, "a " * 4000, "[A_" * 2600, "{a" * 4000, "a@" * 4000, "_" * 8000, "DE89" * 2000, "x" * 8000]
)
def test_no_text_makes_the_rules_slow_or_fail(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "x.jsonl", (text, text), (text + "?", "No."))
    started = time.process_time()
    assert len(examine([path], Options(max_tokens=10_000)).accepted) == 2
    assert time.process_time() - started < 20
