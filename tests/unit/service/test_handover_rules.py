"""When the brand's rules call for a person."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.handover import DAYS, Handover, Hours, IntentRule, Unsure
from retrieval.routing.route import Route
from service.conversation.inbox import PastTurn
from service.turns.handover_rules import (
    amounts,
    applied,
    frustration,
    history,
    intent_rule,
    is_open,
    keyword_in,
    open_minutes,
    unsure,
)

WEEK = Hours(
    timezone="Europe/Paris",
    days=dict.fromkeys(DAYS[:5], ("09:00-12:30", "13:30-18:00")),
    holidays=(date(2026, 12, 25),),
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I will call my LAWYER!", "lawyer"),
        ("lawyers are people too", None),
        ("Where is the Cafe?", "café"),
        ("I was double   charged, twice", "double charged"),
        ("double the price was charged", None),
        ("", None),
    ],
)
def test_keywords_are_whole_words_whatever_their_case_and_accents(text: str, found: str | None) -> None:
    assert keyword_in(text, ("lawyer", "café", "double charged")) == found


@given(st.text(), st.lists(st.text(min_size=2), max_size=3))
def test_any_text_and_any_keyword_is_read(text: str, keywords: list[str]) -> None:
    found = keyword_in(text, keywords)
    assert found is None or found in keywords
    amounts(text)
    frustration(text, [text, *keywords])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("refund me 100 EUR", [("100", "EUR")]),
        ("€1,200.50 please", [("1200.50", "EUR")]),
        ("1.200,50 €", [("1200.50", "EUR")]),
        ("1'200 CHF and $99.9", [("1200", "CHF"), ("99.9", "USD")]),
        ("two hundred", []),
        ("1.5k dollars", [("1500.0", "USD")]),
        ("12 000 yen", [("12000", "JPY")]),
        ("order #12345", []),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, found: list[tuple[str, str]]) -> None:
    assert amounts(text) == [(Decimal(number), code) for number, code in found]


@given(st.integers(0, 10**9), st.sampled_from(["EUR", "USD", "GBP"]))
def test_an_amount_is_read_however_its_thousands_are_parted(number: int, code: str) -> None:
    for mark in (",", ".", " ", "'"):
        written = f"{number:,}".replace(",", mark)
        assert amounts(f"a refund of {written} {code} now") == [(Decimal(number), code)]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("I want my 150 EUR back", True),
        ("I want my 100 EUR back", False),
        ("I want my 150 USD back", False),
        ("I want my 150 back", True),
        ("I want my money back", False),
    ],
)
def test_an_intent_over_an_amount(text: str, called: bool) -> None:
    rules = [IntentRule(intent="refund", over=Decimal(100), currency="EUR")]
    assert (intent_rule(rules, "refund", 0.9, text) is not None) == called
    assert intent_rule(rules, "refund", 0.3, text) is None
    assert intent_rule(rules, "delivery", 0.9, text) is None
    assert intent_rule([IntentRule(intent="refund")], "refund", 0.9, "refund") == "the intent 'refund'"


@pytest.mark.parametrize(
    ("text", "earlier", "why"),
    [
        ("THIS IS A JOKE, WHERE IS IT", (), "shouting"),
        ("IPHONE 15 PRO MAX CASE", (), "shouting"),
        ("Where is order AB12345678?", (), None),
        ("ASAP", (), None),
        ("you are useless", (), "insult"),
        ("I already told you my number", (), "does not help"),
        ("How long may I return the scarf?", ("how long may I return the scarf",), "same question"),
        ("How long may I return the shoes?", ("how long may I return the scarf",), None),
        ("yes", ("yes",), None),
        ("", (), None),
    ],
)
def test_frustration(text: str, earlier: tuple[str, ...], why: str | None) -> None:
    found = frustration(text, earlier)
    assert (why is None and found is None) or (why is not None and found is not None and why in found)


def test_rules_on_words_change_no_route_to_a_person_and_no_empty_message() -> None:
    rules = Handover(keywords=("lawyer",))
    asked, empty = Route("hand_over", "asked", 1.0), Route("empty", "no text", 1.0)
    assert applied(asked, rules, "lawyer") is asked
    assert applied(empty, rules, "") is empty
    assert applied(Route("small_talk", "x", 1.0), rules, "my lawyer says hello").kind == "hand_over"
    assert applied(Route("question", "x", 1.0), Handover(), "YOU ARE USELESS, ALL OF YOU").kind == "question"


@given(st.lists(st.tuples(st.sampled_from(["answered", "refused", "small_talk", None]), st.floats(0, 1)), max_size=8))
def test_unsure_looks_at_the_last_ones_only(outcomes: list[tuple[str | None, float]]) -> None:
    rule = Unsure(times=3, below=0.4)
    bad = [outcome == "refused" or (outcome == "answered" and score < 0.4) for outcome, score in outcomes]
    assert unsure(rule, outcomes) == (len(bad) >= 3 and all(bad[-3:]))
    assert unsure(rule, [("answered", 0.9), *outcomes[-2:]]) is False


@pytest.mark.parametrize(
    ("local", "there"),
    [
        ("2026-11-26 09:00", True),
        ("2026-11-26 08:59", False),
        ("2026-11-26 12:30", False),
        ("2026-11-26 17:59", True),
        ("2026-11-28 10:00", False),
        ("2026-12-25 10:00", False),
        ("2026-07-01 10:00", True),
    ],
)
def test_office_hours_are_those_of_the_wall_clock(local: str, there: bool) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Paris"))
    assert is_open(WEEK, at) == is_open(WEEK, at.astimezone(UTC)) == there
    assert is_open(None, at)


@given(MOMENTS, st.integers(0, 60 * 24 * 10), st.integers(0, 60 * 24 * 10))
def test_open_minutes_add_up_and_never_exceed_the_time(at: datetime, first: int, second: int) -> None:
    middle, end = at + timedelta(minutes=first), at + timedelta(minutes=first + second)
    whole = open_minutes(WEEK, at, end)
    parts = open_minutes(WEEK, at, middle) + open_minutes(WEEK, middle, end)
    change = 60.0 if at.astimezone(WEEK.zone).utcoffset() != end.astimezone(WEEK.zone).utcoffset() else 0.0
    assert abs(whole - parts) < 1e-6 + change
    assert 0 <= whole <= first + second + 1e-6 + change
    assert abs(open_minutes(None, at, end) - (first + second)) < 1e-6


def test_a_night_does_not_count_as_waiting() -> None:
    evening = datetime(2026, 11, 26, 17, 55, tzinfo=ZoneInfo("Europe/Paris"))
    assert open_minutes(WEEK, evening, evening + timedelta(hours=12)) == 5
    assert open_minutes(WEEK, evening, evening + timedelta(hours=15, minutes=15)) == 15


def test_a_persons_words_are_the_assistants_and_sides_alternate() -> None:
    past = (PastTurn("q", "a [1]."), PastTurn("", "I am Anna."), PastTurn("thanks", ""), PastTurn("and?", "yes"))
    assert [(one.role, one.content) for one in history(past)] == [
        ("user", "q"),
        ("assistant", "a.\nI am Anna."),
        ("user", "thanks\nand?"),
        ("assistant", "yes"),
    ]
