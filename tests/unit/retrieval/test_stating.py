"""Style states nothing: a statement in the manner of a cheer and a sentence that begins amid a word are none."""

from __future__ import annotations

import pytest

from retrieval.grounding.check import check_sentence
from retrieval.grounding.stating import goes_on_to_state, goes_round, is_broken, says_something
from retrieval.passages import Passage
from retrieval.testing import HashEncoder

PASSAGE = Passage("parcels.md", "Parcels", "Parcels", "A missing parcel is reported within 7 days.", 0.9)
WORDS = frozenset("and good question great thanks we of no the you nice order".split())  # noqa: SIM905


@pytest.mark.parametrize(
    "sentence",
    [
        "We both pay for that, really!",
        "The inn is nearest to the party!",
        "Drink where you're good!",
        "We hold that for you, hero!",
        "It ships with honour!",
        "Your seat waits at the front!",
        "Robes are provided.",
    ],
)
def test_a_statement_in_the_manner_of_a_cheer_is_no_style(sentence: str) -> None:
    assert says_something(sentence)
    assert not check_sentence(sentence, [PASSAGE], question="", encoder=HashEncoder()).supported


@pytest.mark.parametrize(
    "sentence",
    [
        "Great question!",
        "We love it, hero!",
        "You've got this!",
        "That makes sense!",
        "The choice is yours, of course!",
        "Your turn, adventurer!",
        "Okay, here we go!",
        "It sure does!",
        "Lucky roll!",
        "Swing by and roll some dice!",
    ],
)
def test_cheers_of_feeling_and_talk_stay_style(sentence: str) -> None:
    assert not says_something(sentence)
    assert check_sentence(sentence, [PASSAGE], question="", encoder=HashEncoder()).kind == "style"


def test_a_courtesy_that_goes_on_to_a_statement_is_none() -> None:
    assert goes_on_to_state("Sorry, our cars have to stay inside the country.")
    assert not goes_on_to_state("Sorry, we feel your pain.")


@pytest.mark.parametrize("sentence", ["ird, nice!", "ing you, what a day!", "Tck, happy to help!", "sldk thanks!"])
def test_a_sentence_that_begins_amid_a_word_is_broken(sentence: str) -> None:
    assert is_broken(sentence, WORDS.__contains__)


@pytest.mark.parametrize(
    "sentence", ["Hmm, nice!", "nice!", "orders are great", "FAQ, nice!", "555-0142 is the number."]
)
def test_sounds_words_and_their_forms_are_whole(sentence: str) -> None:
    assert not is_broken(sentence, WORDS.__contains__)


def test_without_a_vocabulary_nothing_is_broken() -> None:
    assert not is_broken("ird, nice!", lambda word: False)


@pytest.mark.parametrize(
    ("sentence", "round_and_round"),
    [
        ("A gift box is a gift box is a gift box is a gift box is", True),
        ("It is the the the the best.", True),
        ("We are open Monday from 9 am to 5 pm, Tuesday from 9 am to 5 pm and Friday from 9 am to 5 pm.", False),
        ("It is a very, very good bag.", False),
        ("No, no, no: it is free.", False),
        ("", False),
    ],
)
def test_words_that_follow_themselves_again_and_again_are_a_loop(sentence: str, round_and_round: bool) -> None:
    assert goes_round(sentence) == round_and_round
