"""A voice model: brand texts score high, others low, each with reasons that a person understands."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.brand import Brand
from configs.home import Home
from configs.load import load_config
from retrieval.language.sentences import split_sentences
from training.errors import VoiceUnlearnable
from training.voice import brand as brand_module
from training.voice.brand import page_texts, texts_of, voice_of
from training.voice.marks import marks_of, read
from training.voice.measuring import area, calibration_error, held_out
from training.voice.model import Text, VoiceModel, learn, read_model
from training.voice.neutral import GIVEAWAYS, neutral_replies
from training.voice.profile import avoided, deviations

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
PAIRS = DATA / "preferences/bitext_two_voices.jsonl"
BITEXT = DATA / "support_chat/bitext_singleturn.jsonl.gz"
RESTRAINED = "Kindly note that the gift wrapping costs $5 for each item. We would be delighted to assist you further."
PLAYFUL = "Sweet loot, hero! You've got 30 days to send it back. Happy gaming!"
ASSISTANT = "As an AI language model, I don't have access to your orders. Please contact customer support."


@pytest.fixture(scope="module")
def brands() -> dict[str, Brand]:
    return dict(load_config(ROOT / "configs", {}).brands)


@pytest.fixture(scope="module")
def velmora(brands: dict[str, Brand], tmp_path_factory: pytest.TempPathFactory) -> VoiceModel:
    return voice_of(brands["velmora"], Home(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def dicehollow(brands: dict[str, Brand], tmp_path_factory: pytest.TempPathFactory) -> VoiceModel:
    return voice_of(brands["dicehollow"], Home(tmp_path_factory.mktemp("home")))


def test_each_house_knows_its_own_and_not_the_other(velmora: VoiceModel, dicehollow: VoiceModel) -> None:
    assert velmora.score(RESTRAINED).score > 0.8 > 0.2 > velmora.score(PLAYFUL).score
    assert dicehollow.score(PLAYFUL).score > 0.8 > 0.2 > dicehollow.score(RESTRAINED).score
    assert max(velmora.score(ASSISTANT).score, dicehollow.score(ASSISTANT).score) < 0.05


def test_reasons_are_in_words(velmora: VoiceModel, dicehollow: VoiceModel) -> None:
    assert "opens with 'As an AI'" in velmora.score(ASSISTANT).reasons
    assert "contracts 'don't', which the brand does not" in velmora.score(ASSISTANT).reasons
    assert "2 exclamation marks, where the brand has none" in velmora.score("We ship today! We are glad!").reasons
    assert "says 'no worries', which the voice guide avoids" in velmora.score("No worries, it is in stock.").reasons
    long = "the item that was returned to the shop is looked at by the crew before it is put back on the shelf " * 4
    assert "no contraction in 88 words" in dicehollow.score(long).reasons
    assert "81 words a sentence more than the brand" in dicehollow.score(long).reasons
    assert any(one.startswith("no exclamation mark, which 89%") for one in dicehollow.score(long).reasons)


def test_a_house_that_writes_so_is_not_told_off(velmora: VoiceModel, dicehollow: VoiceModel) -> None:
    assert not [one for one in dicehollow.score(PLAYFUL).reasons if not one.startswith("words like")]
    assert not [one for one in velmora.score(RESTRAINED).reasons if not one.startswith("words like")]


def test_the_profile_is_the_voice_guide_measured(velmora: VoiceModel, dicehollow: VoiceModel) -> None:
    grand, casual = velmora.profile, dicehollow.profile
    assert grand.with_contractions == 0 == grand.with_exclamations
    assert casual.with_contractions > 0.3 and casual.with_exclamations > 0.8
    assert grand.words_per_sentence.mean > casual.words_per_sentence.mean + 2
    assert grand.with_we > 0.5 and grand.with_i < 0.05
    assert "we would be" in {one.text for one in grand.closers}
    assert {"kindly", "pleasure"} <= {one.text for one in grand.lexicon}
    assert "hero" in {one.text for one in casual.lexicon}
    assert "awesome" in grand.banned and "kindly" in casual.banned


def test_the_guide_s_lists_are_read_without_remarks() -> None:
    guide = "## Words we avoid\n\nhey, purchase (as a verb), no worries\n\n## Other\n\nkindly\n\n## Never say\n- ASAP\n"
    assert avoided(guide) == ("hey", "purchase", "no worries", "asap")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty: there is nothing to judge"),
        (" \n\t ", "empty: there is nothing to judge"),
        ("\x00\x01\x02\x03PNG\x00\x00", "not text: it is full of characters that no text has"),
        ("12 345 !!", "no word in it"),
        (
            "Guten Tag, leider haben wir dazu keine Auskunft. Bitte wenden Sie sich an unsere Beratung.",
            "hardly a word of the brand's language in it",
        ),
        ("ご返品は商品到着後三十日以内に承ります。", None),
        ("word " * 40_000, "longer than 20000 characters: only the beginning is judged"),
        ("x" * 100_000, "longer than 20000 characters: only the beginning is judged"),
        ("Noted.", "only 1 word: too short to judge surely"),
    ],
)
def test_what_cannot_be_judged_says_why(velmora: VoiceModel, text: str, reason: str | None) -> None:
    found = velmora.score(text)
    assert found.score < 0.5
    assert found.reasons
    assert reason is None or reason in found.reasons
    assert max(len(one) for one in found.reasons) < 200


@settings(max_examples=150)
@given(text=st.text(max_size=300))
def test_no_text_is_a_crash(velmora: VoiceModel, text: str) -> None:
    found = velmora.score(text)
    assert 0 <= found.score <= 1
    assert found.score >= 0.5 or found.reasons


def test_a_text_takes_milliseconds(velmora: VoiceModel) -> None:
    texts = list(neutral_replies()) * 2
    began = time.process_time()
    for text in texts:
        velmora.score(text)
    assert (time.process_time() - began) / len(texts) < 0.01


def test_the_same_texts_give_the_same_model_and_the_file_is_small(brands: dict[str, Brand], tmp_path: Path) -> None:
    one = voice_of(brands["velmora"], Home(tmp_path / "a"))
    other = voice_of(brands["velmora"], Home(tmp_path / "b"))
    assert one == other
    assert (tmp_path / "a/voices/velmora.json").stat().st_size < 150_000


def test_a_kept_model_is_used_until_its_inputs_change(
    brands: dict[str, Brand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, brand = Home(tmp_path / "home"), brands["velmora"]
    kept = voice_of(brand, home)
    with monkeypatch.context() as patched:
        patched.setattr(brand_module, "learn", lambda *_, **__: pytest.fail("learnt again"))
        assert voice_of(brand, home).score(RESTRAINED) == kept.score(RESTRAINED)
    guide = tmp_path / "voice.md"
    guide.write_text("## Words we avoid\n\ndelighted\n", encoding="utf-8")
    changed = voice_of(brand.model_copy(update={"voice_guide": guide}), home)
    assert changed.inputs_sha256 != kept.inputs_sha256


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schema": 1}', b"\xff\xfe"])
def test_a_damaged_file_is_made_anew(brands: dict[str, Brand], tmp_path: Path, damage: bytes) -> None:
    home = Home(tmp_path)
    kept = voice_of(brands["velmora"], home)
    path = home.voices / "velmora.json"
    path.write_bytes(damage)
    assert read_model(path, kept.inputs_sha256) is None
    assert voice_of(brands["velmora"], home) == kept
    assert read_model(path, kept.inputs_sha256) == kept


def test_a_state_folder_that_cannot_be_written_costs_nothing_but_time(brands: dict[str, Brand], tmp_path: Path) -> None:
    (tmp_path / "voices").write_text("a file where the folder would be")
    assert voice_of(brands["velmora"], Home(tmp_path)).score(RESTRAINED).score > 0.8


def test_too_few_texts_and_none_are_refused(brands: dict[str, Brand], tmp_path: Path) -> None:
    few = [Text(content=f"Kindly wait, number {number}.", group=str(number)) for number in range(29)]
    with pytest.raises(VoiceUnlearnable, match="29 texts"):
        learn(few)
    silent = brands["velmora"].model_copy(update={"conversations": None})
    with pytest.raises(VoiceUnlearnable, match="names no conversations"):
        voice_of(silent, Home(tmp_path))


def test_texts_of_one_conversation_are_learnt_from_as_well(brands: dict[str, Brand]) -> None:
    texts = [one.model_copy(update={"group": "one"}) for one in texts_of(brands["velmora"])[:40]]
    assert learn(texts).score(RESTRAINED).score > 0.5


def test_a_brand_s_score_does_not_know_other_brands(brands: dict[str, Brand], velmora: VoiceModel) -> None:
    brand = brands["velmora"]
    alone = learn(
        texts_of(brand),
        guide=brand.voice_guide.read_text("utf-8"),
        brand_terms=(brand.name, brand.display_name),
        pages=page_texts(brand),
    )
    assert alone == velmora


def test_the_neutral_replies_are_nobody_s_and_hold_giveaways() -> None:
    replies = neutral_replies()
    assert len(replies) == len(set(replies)) > 200
    assert any(phrase in " ".join(replies).lower() for phrase in GIVEAWAYS)
    assert not [one for one in replies if "velmora" in one.lower() or "dicehollow" in one.lower()]


def test_marks_count_what_they_say() -> None:
    marks = marks_of("Hi! It's the house's bag, and we don't mind.\n- one\n- two\nThat is all 🎲")
    assert (marks.contractions, marks.exclamations, marks.emoji, marks.list_items) == (2, 1, 1, 2)
    assert (marks.we, marks.i, marks.you, marks.greets) == (1, 0, 0, 1)
    assert marks.opener == "hi" and marks.closer == "that is all"


def test_deviations_grow_with_the_distance(velmora: VoiceModel) -> None:
    def weight(words: int) -> float:
        text = "we remain at your service and " * (words // 6) + "so."
        return sum(one.weight for one in deviations(read(text), velmora.profile))

    assert weight(24) < weight(48) < weight(96)


@pytest.mark.parametrize("name", ["velmora", "dicehollow"])
def test_held_out_replies_are_told_from_the_other_house_s(brands: dict[str, Brand], name: str) -> None:
    other = next(one for one in brands if one != name)
    seen = held_out(
        texts_of(brands[name]),
        {"other": [one.content for one in texts_of(brands[other])]},
        guide=brands[name].voice_guide.read_text("utf-8"),
        brand_terms=tuple(term for one in brands.values() for term in (one.name, one.display_name)),
        pages=[page for one in brands.values() for page in page_texts(one)],
    )
    found = area(seen.own, seen.groups, seen.others["other"])
    assert found.low <= found.value <= found.high
    assert found.low > 0.97
    assert area(seen.own, seen.groups, seen.neutral).low > 0.93
    assert calibration_error(seen.own, seen.neutral) < 0.06


def test_area_and_calibration_error_by_hand() -> None:
    assert area([0.9, 0.8], [0, 1], [0.1, 0.8]).value == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert calibration_error([1.0, 1.0], [0.0]) == 0
    assert calibration_error([0.0], [1.0]) == 1
    assert calibration_error([0.7], [0.7]) == pytest.approx(0.2)


@pytest.mark.skipif(not PAIRS.is_file(), reason=f"no public support data at {PAIRS}")
def test_two_voices_of_one_vendor_are_told_apart() -> None:
    rows = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()[:250]]
    texts = [Text(content=row["warm"], group=row["id"]) for row in rows]
    seen = held_out(texts, {"plain": sorted({row["plain"] for row in rows})})
    assert area(seen.own, seen.groups, seen.others["plain"]).low > 0.95


@pytest.mark.skipif(not BITEXT.is_file(), reason=f"no public support data at {BITEXT}")
def test_public_support_replies_are_not_taken_for_a_house_s(velmora: VoiceModel, dicehollow: VoiceModel) -> None:
    with gzip.open(BITEXT, "rt", encoding="utf-8") as file:
        rows = [json.loads(line)["messages"][-1]["content"] for line, _ in zip(file, range(200), strict=False)]
    # Two sentences, so that length alone does not tell.
    short = [" ".join(split_sentences(row)[:2]) for row in rows]
    for model in (velmora, dicehollow):
        assert sum(model.score(text).score >= 0.5 for text in short) / len(short) < 0.3
