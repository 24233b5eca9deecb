"""Facts and names in sentences."""

from __future__ import annotations

import pytest

from retrieval.language.facts import facts
from retrieval.language.matching import holds_name, matches, name_words
from retrieval.language.names import names


def _short(text: str) -> list[tuple[str, str, str]]:
    return [(fact.kind, fact.value, fact.unit) for fact in facts(text)]


@pytest.mark.parametrize(
    "text", ["thirty days", "30-day window", "30 days", "30 full days", "30\u00a0days"], ids=lambda text: text
)
def test_written_forms_of_a_duration_are_one_fact(text: str) -> None:
    assert _short(text) == [("number", "30", "day")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3 to 5 business days", [("number", "3", "business day"), ("number", "5", "business day")]),
        ("five working days", [("number", "5", "business day")]),
        ("2 PM or 14:00 or 2 p.m.", [("time", "14:00", "")] * 3),
        ("$1,350", [("money", "1350", "usd")]),
        ("twenty-five dollars", [("money", "25", "usd")]),
        ("20% or twenty percent", [("percent", "20", "")] * 2),
        ("25 December or December 25th", [("day", "12-25", "")] * 2),
        ("45 x 45 cm", [("number", "45", "cm")] * 2),
        ("Mon-Fri", [("days", "monday to friday", "")]),
        ("free of charge", [("free", "free", "")]),
        ("feel free to ask", []),
        ("one of them", []),
        ("call 555-0142", [("phone", "5550142", "")]),
        ("see https://www.velmora.example/help.", [("link", "velmora.example/help", "")]),
        ("choose “My orders”", [("quote", "my orders", "")]),
    ],
)
def test_facts_are_brought_to_one_form(text: str, found: list[tuple[str, str, str]]) -> None:
    assert _short(text) == found


@pytest.mark.parametrize(
    ("claimed", "held", "same"),
    [
        ("5 days", "5 business days", False),
        ("30 months", "30 days", False),
        ("6 addresses", "6 years", False),
        ("6 cards", "$6", False),
        ("from 9", "9 am", True),
        ("5 working days", "5 business days", True),
    ],
)
def test_a_number_counts_with_what_it_counts(claimed: str, held: str, same: bool) -> None:
    assert matches(facts(claimed)[0], facts(held)[0], held) is same


def test_names_are_runs_of_capitals_inside_the_sentence() -> None:
    text = "You can pay with American Express or PayPal at 47 Alderbrook Avenue."
    assert [name.value for name in names(text)] == ["american express", "paypal", "47 alderbrook avenue"]


def test_name_must_stand_in_one_piece() -> None:
    held = name_words("The Ostrand Chronograph and the Halden Petite ship to the United States.")
    assert holds_name(held, names("The Halden Petite")[0])
    assert not holds_name(held, names("the Ostrand Petite")[0])
    assert holds_name(held, names("in the US")[0])


def test_a_number_of_more_digits_than_python_reads_is_no_error() -> None:
    assert [fact.value for fact in facts(f"It is {'7' * 5000} days.")] == ["7" * 5000]
