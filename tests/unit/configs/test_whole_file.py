"""Small files that are replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from configs.whole_file import replace_text


def test_a_file_is_replaced_and_may_be_read_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "verdict.json"
    replace_text(path, "old")
    replace_text(path, "größer")
    assert path.read_text(encoding="utf-8") == "größer"
    plain = tmp_path / "plain"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode
    assert [one.name for one in path.parent.iterdir()] == ["verdict.json"]


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verdict.json"
    replace_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_text(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["verdict.json"]
