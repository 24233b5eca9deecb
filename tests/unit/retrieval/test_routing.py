"""Where a message goes; a question never gets lost."""

from __future__ import annotations

import pytest

from retrieval.routing import person
from retrieval.routing import route as routing
from retrieval.routing.route import prepare, route
from retrieval.testing import HashEncoder


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "hey how are you",
        "Thank you very much.",
        "thx",
        "bye, have a nice day",
        "ok 👍",
        "🎉🎉",
        "?!",
        "Are you a bot?",
        "am i talking to a real human",
        "What can you help me with?",
        "Your scarves are so beautiful.",
        "Merry Christmas to you all",
    ],
)
def test_courtesies_are_small_talk(text: str) -> None:
    assert route(text).kind == "small_talk"


@pytest.mark.parametrize(
    "text",
    [
        "I would like to speak to a person, please.",
        "human pls",
        "I want to talk to your manager now",
        "You will hear from my lawyer.",
        "This is the worst experience I have ever had with a brand.",
        "i was charged twice for the same order",
        "My parcel never arrived and tracking says delivered.",
        "u sent me the wrong game",
        "where is order MV 20418",
        "Someone else has logged in to my account.",
        "my perfume gave me a rash",
        "can you cancel my order for me",
        "let me talk to somebody from your team",
        "could you put me through to a colleague",
        "I refuse to discuss this with a chatbot",
        "no more bots",
        "I will get a lawyer",
    ],
)
def test_what_a_person_must_see_is_handed_over(text: str) -> None:
    assert route(text).kind == "hand_over"


@pytest.mark.parametrize(
    "text",
    [
        "Hi, how long do I have to return an unopened item?",
        "thanks! and what about express?",
        "What if my parcel never arrives?",
        "What should I do if you sent me the wrong item?",
        "How do I file a complaint in writing?",
        "Can I change my order?",
        "Do you sell gifts for a good friend?",
        "Is standard delivery fast?",
        "How do I contact customer care?",
        "return window??",
        "Will a person call me before the delivery of the table?",
        "Do I have to talk to someone to close my account?",
        "I am looking for a present for a lawyer.",
        "How do I get the software to talk to my printer?",
        "Can I connect it to my computer?",
    ],
)
def test_question_stays_a_question_whatever_words_are_around_it(text: str) -> None:
    assert route(text).kind == "question"


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_nothing_is_empty(text: str) -> None:
    assert route(text).kind == "empty"


def test_once_prepared_the_first_message_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    person._model.cache_clear()
    encoder = HashEncoder()
    prepare(encoder)
    monkeypatch.setattr(person, "read_examples", _too_late)
    monkeypatch.setattr(routing, "_encode", _too_late)
    assert route("In which colours is the scarf sold?", encoder).kind == "question"


def _too_late(*_: object) -> None:
    raise AssertionError("the first message waits for this")
