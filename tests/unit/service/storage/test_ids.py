"""Ids of what is stored."""

from __future__ import annotations

from service.storage.ids import fresh_id


def test_ids_are_told_apart_and_as_long_as_asked_for() -> None:
    found = {fresh_id(16) for _ in range(1000)}
    assert (len(found), {len(one) for one in found}) == (1000, {22})
