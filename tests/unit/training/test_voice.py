import subprocess
import sys

import pytest

from training.voice import Accuracy, VoiceClassifier, mask, two_way_accuracy

GRAND = [
    "We are pleased to confirm that _ _ .",
    "Kindly note that _ . We remain at your disposal.",
    "It is our pleasure to assist you with _ .",
    "We thank you for your understanding. Kindly allow _ .",
]
CASUAL = [
    "Yep, you've got _ !",
    "No worries, just _ and you're set!",
    "Easy: it's _ . Have fun!",
    "Sure thing, we'll _ !",
]


def test_subject_brand_and_numbers_are_hidden_and_style_words_stay() -> None:
    text = "Kindly note that an unopened parcel from Acme can be returned within 30 days."
    masked = mask(text, brand_terms=["Acme"], passages=["An unopened parcel can be returned within 30 days."])
    assert masked == "kindly note that an _ from _ can be _"


def test_contractions_stay_whole() -> None:
    assert mask("You\u2019re all set, it's done!").startswith("you're all set it's")


def test_two_voices_are_told_apart_and_one_voice_is_not_told_from_itself() -> None:
    apart = two_way_accuracy({"a": GRAND, "b": CASUAL}, {"a": GRAND, "b": CASUAL})
    assert apart.share == 1.0
    alike = two_way_accuracy({"a": GRAND, "b": GRAND}, {"a": GRAND, "b": GRAND})
    assert alike.share == pytest.approx(0.5)


def test_a_new_reply_is_told_by_its_phrases() -> None:
    classifier = VoiceClassifier({"grand": GRAND, "casual": CASUAL})
    assert classifier.tell("kindly allow us to assist you") == "grand"
    assert classifier.tell("no worries you're set !") == "casual"


def test_a_classifier_needs_two_voices() -> None:
    with pytest.raises(ValueError, match="two brands"):
        VoiceClassifier({"a": GRAND})


def test_the_interval_holds_the_share_and_narrows_with_more_cases() -> None:
    few, many = Accuracy(9, 10), Accuracy(900, 1000)
    assert few.interval[0] < few.share < few.interval[1] <= 1
    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]


def test_the_module_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, training.voice; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
