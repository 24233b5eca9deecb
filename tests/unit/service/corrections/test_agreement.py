from datetime import UTC, datetime, timedelta

import pytest

from service.corrections.agreement import agreement
from service.corrections.terms import Review

THEN = datetime(2026, 11, 1, tzinfo=UTC)


def looked(*words: bool) -> list[Review]:
    return [Review(f"p{at}", f"p{at}", 1, said, "", THEN + timedelta(minutes=at)) for at, said in enumerate(words)]


def test_kappa_is_cohens() -> None:
    # His own form of table: 20 both yes, 5 and 10 apart, 15 both no gives 0.4.
    said = [looked(True, True)] * 20 + [looked(True, False)] * 5 + [looked(False, True)] * 10
    found = agreement([*said, *[looked(False, False)] * 15])
    assert (found.both, found.same, found.share) == (50, 35, 0.7)
    assert found.kappa == pytest.approx(0.4)


def test_nothing_is_said_of_what_one_person_saw_or_where_chance_explains_all() -> None:
    none = agreement([looked(True), []])
    assert (none.both, none.share, none.kappa) == (0, None, None)
    always = agreement([looked(True, True)] * 3)
    assert (always.share, always.kappa) == (1.0, None)


def test_the_first_two_words_count_and_not_who_decided_later() -> None:
    assert agreement([looked(True, False, True)]).same == 0
