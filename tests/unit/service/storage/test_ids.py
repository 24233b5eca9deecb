"""Ids that a command line takes as they are."""

from __future__ import annotations

import pytest

from service.storage import ids
from service.storage.ids import fresh_id
from tests.unit.cli.conftest import Cli


def test_an_id_never_looks_like_an_option(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(["-xZQdc3K", "-8Gf5WX", "b6BHLw-_"])
    monkeypatch.setattr(ids.secrets, "token_urlsafe", lambda _: next(made))
    assert "No such option" in cli("conversations", "show", "-xZQdc3K").err
    assert "no such conversation" in cli("conversations", "show", fresh_id()).err


def test_ids_are_told_apart_and_as_long_as_asked_for() -> None:
    found = {fresh_id(16) for _ in range(1000)}
    assert (len(found), {len(one) for one in found}) == (1000, {22})
