"""Sentences on their way to a visitor."""

from __future__ import annotations

import pytest

from service.turns.grounded import strip_marks, with_mark


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        pytest.param("Within 30 days.", "Within 30 days [2].", id="full stop"),
        pytest.param("You've got 30 days!", "You've got 30 days [2]!", id="exclamation"),
        pytest.param("It costs $6", "It costs $6 [2]", id="no punctuation"),
        pytest.param('It is "free".', 'It is "free [2]".', id="quotation"),
    ],
)
def test_a_citation_mark_stands_before_the_closing_punctuation(text: str, marked: str) -> None:
    assert with_mark(text, 2) == marked


def test_marks_that_a_model_wrote_are_removed() -> None:
    assert strip_marks("Within 30 days [1], or [2, 3] later.") == "Within 30 days, or later."
