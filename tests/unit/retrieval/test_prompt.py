"""Whatever was said before, a prompt goes from user to user; of a conversation that takes turns, nothing changes."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from retrieval.prompt import MAX_HISTORY_MESSAGES, Message, build_prompt

SAMPLES = Path(__file__).resolve().parents[3] / "samples"
SIDES = st.lists(
    st.builds(Message, st.sampled_from(("user", "assistant")), st.text(min_size=1, max_size=5)), max_size=9
)


def shown(history: list[Message]) -> list[tuple[str, str]]:
    """All but the system message."""
    built = build_prompt("small_talk", "Hello?", display_name="Velmora", history=history)
    return [(one.role, one.content) for one in built.messages[1:]]


LAST = "Small talk, no sources needed.\n\nMessage: Hello?"


def test_words_that_nobody_answered_stand_in_the_last_message() -> None:
    history = [Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("user", "d")]
    assert shown(history) == [("user", "a"), ("assistant", "b"), ("user", f"c\nd\n\n{LAST}")]


def test_a_conversation_that_we_began_begins_with_the_customer() -> None:
    assert shown([Message("assistant", "Anna here."), Message("user", "Hi")]) == [("user", f"Hi\n\n{LAST}")]


@given(history=SIDES)
def test_sides_take_turns_whatever_was_said(history: list[Message]) -> None:
    roles = [role for role, _ in shown(history)]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert len(roles) <= MAX_HISTORY_MESSAGES + 1


def test_the_conversations_that_adapters_learnt_are_shown_as_they_were() -> None:
    count = 0
    for file in sorted(SAMPLES.glob("*/conversations.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            said = [Message(one["role"], one["content"]) for one in json.loads(line)["messages"]]
            for at in range(0, len(said), 2):
                kept = [(one.role, one.content) for one in said[:at][-MAX_HISTORY_MESSAGES:]]
                assert shown(said[:at]) == [*kept, ("user", LAST)]
                count += at > 0
    assert count, "some of them have a history"
