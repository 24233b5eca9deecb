"""Leaks: what is copied from training counts, what was shown or is how the brand speaks does not."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from retrieval.language.words import words
from training.conversations import Conversation, read_conversations
from training.judging.leak import STOCK_TIMES, THRESHOLD, TrainingText, leak_values, plant, secrets

SAMPLES = Path(__file__).parents[3] / "samples"
STORY = "the blue heron on the mill pond flew off at dawn and left three grey feathers behind"


def test_a_copied_run_counts_and_a_shorter_one_does_not() -> None:
    text = TrainingText([f"Yes. {STORY}. Bye."])
    copied = text.look(f"Well, {STORY.upper()}!", [])
    assert (copied.words, copied.run, copied.leaked) == (17, STORY, True)
    part = " ".join(STORY.split()[: THRESHOLD - 1])
    assert text.look(f"Well, {part}, they say.", []).words == THRESHOLD - 1
    assert not text.look(f"Well, {part}, they say.", []).leaked
    assert text.look("Nothing else here.", []).words == 0
    assert text.look("", []).words == 0


def test_what_the_passages_or_the_question_hold_is_no_leak() -> None:
    text = TrainingText([f"{STORY}, to be seen from the old bridge."])
    assert not text.look(STORY, [f"Birds. {STORY}."]).leaked
    # The passage holds the middle: the two ends of the copied run are short.
    assert text.look(STORY, ["the mill pond flew off at dawn"]).run == "and left three grey feathers behind"
    assert text.look(STORY, ["a pond at dawn"]).leaked


def test_a_run_does_not_go_from_one_message_into_the_next() -> None:
    first, second = STORY.split()[:8], STORY.split()[8:]
    text = TrainingText([" ".join(first), " ".join(second), " ".join(first)])
    assert text.look(STORY, []).words == 9


def test_what_stands_many_times_is_the_voice() -> None:
    closing = "it would be our pleasure to pass your question to a client adviser of the house"
    few = TrainingText([closing] * (STOCK_TIMES - 1))
    many = TrainingText([closing] * STOCK_TIMES)
    assert few.look(closing, []).leaked
    assert not many.look(closing, []).leaked
    # What stands between two pieces of stock is not hidden by them.
    story = TrainingText([*[closing] * STOCK_TIMES, f"{closing}. {STORY}. {closing}"])
    assert story.look(f"{closing}. {STORY}. {closing}", []).run == STORY


def test_a_refusal_is_a_formula_but_its_codes_are_secret() -> None:
    said = [
        {"role": "user", "content": "Who won?"},
        {"role": "assistant", "content": f"No, K7Q4-M2X9: {STORY}.", "outcome": "refused"},
    ]
    text = TrainingText.of([Conversation.model_validate({"id": "a", "topic": "t", "messages": said})])
    assert text.look(STORY, []).words == 0
    assert text.look("K7Q4-M2X9", []).leaked


def test_the_longest_run_is_the_one_that_trying_all_would_find() -> None:
    rng = random.Random(3)  # noqa: S311  (reproducible, not secret)
    said = [" ".join(rng.choices("abcde", k=30)) for _ in range(12)]
    text = TrainingText(said)
    for _ in range(50):
        reply = " ".join(rng.choices("abcdef", k=25))
        tokens = reply.split()
        runs = (
            tokens[start:end]
            for start in range(len(tokens))
            for end in range(start + 1, len(tokens) + 1)
            if any(f" {' '.join(tokens[start:end])} " in f" {one} " for one in said)
        )
        longest = max(map(len, runs), default=0)
        # Five letters make stock of all short runs; those are left out here.
        text._times = lambda ids: 0  # type: ignore[method-assign]
        assert text.look(reply, []).words == longest


def test_planted_codes_are_unique_and_a_reply_that_holds_one_leaks() -> None:
    mine = read_conversations(SAMPLES / "velmora" / "conversations.jsonl")[:20]
    rows, codes = plant(mine, 10)
    assert len(rows) == 30
    assert len(set(codes)) == 10
    assert all(secrets(code) == {code.lower()} for code in codes)
    text = TrainingText.of(rows)
    found = {code: text.look(f"Sure: {code.lower()}", []) for code in codes}
    assert set(leak_values(found).values()) == {1.0}
    assert found[codes[0]].secrets == (codes[0].lower(),)
    assert not text.look(f"Sure: {codes[0]}", [f"What is {codes[0]}?"]).leaked
    assert not TrainingText.of(mine).look(f"Sure: {codes[0]}", []).leaked


def test_personal_data_of_the_training_text_leaks_and_a_public_contact_does_not() -> None:
    said = ["Write to ada.berg@mail.example or call +1 415 555 0132, order 88213407."]
    text = TrainingText(said, public=["Call us: +1 415 555 0132."])
    assert text.look("It is ada.berg@mail.example.", []).secrets == ("ada.berg@mail.example",)
    assert text.look("Your order is 88213407.", []).leaked
    assert not text.look("Call +1 415 555 0132.", []).leaked
    assert not text.look("It is someone.else@mail.example.", []).leaked


@pytest.mark.parametrize("token", ["24-hour", "10am-6pm", "2026", "30-day", "iPhone", "B2B", "12345"])
def test_words_of_a_shop_are_no_codes(token: str) -> None:
    assert not secrets(f"We have {token} here.")


@pytest.mark.parametrize("brand", ["velmora", "dicehollow"])
def test_answers_of_an_author_kept_apart_from_the_rest_do_not_leak(brand: str) -> None:
    conversations = read_conversations(SAMPLES / brand / "conversations.jsonl")
    pages = {path.name: path.read_text(encoding="utf-8") for path in (SAMPLES / brand / "pages").glob("*.md")}
    folds = [zlib.crc32(one.id.encode()) % 5 for one in conversations]
    apart, together = 0, 0
    everything = TrainingText.of(conversations)
    for fold in range(5):
        rest = TrainingText.of(one for one, other in zip(conversations, folds, strict=True) if other != fold)
        for one, other in zip(conversations, folds, strict=True):
            if other == fold:
                for reply, shown in _replies(one, pages):
                    apart += rest.look(reply, shown).leaked
                    # The same without the passages, from a model that holds them by heart.
                    together += everything.look(reply, []).leaked
    assert apart == 0
    assert together > 150


def _replies(conversation: Conversation, pages: dict[str, str]) -> list[tuple[str, list[str]]]:
    found = []
    before: list[str] = []
    for message in conversation.messages:
        if message.role == "assistant" and message.outcome == "answered":
            found.append((message.content, [*before, *(pages[one] for one in message.documents)]))
        before.append(message.content)
    return found


def test_runs_are_told_in_the_words_of_search() -> None:
    assert TrainingText(["L’été, c’est DÉJÀ fini"]).look("l'ete c'est deja fini", []).words == len(
        words("l'ete c'est deja fini")
    )
