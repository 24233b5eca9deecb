"""A watched folder: changes are applied once they rest, and a folder that is away loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from retrieval.documents.watching import snapshot, watch
from retrieval.errors import StorageFull


def follow(folder: Path, looks: list[Callable[[], object]], apply: Callable[[], None] | None = None) -> list[str]:
    """What a watch did: "applied" or what it said; each look but the first comes after one of `looks`."""
    told: list[str] = []
    left = iter(looks)

    def wait(_seconds: float) -> bool:
        act = next(left, None)
        if act is None:
            return True
        told.append("-")
        act()
        return False

    watch(folder, apply or (lambda: told.append("applied")), told.append, wait)
    return told


def rest() -> None:
    """Nothing happens."""


def test_a_change_is_applied_once_and_only_when_it_rests(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("one")
    writes = [lambda text=text: file.write_text(text) for text in ("two words", "three more words")]
    assert follow(tmp_path, [rest, *writes, rest, rest]) == ["applied", "-", "-", "-", "-", "applied", "-"]


def test_a_removed_and_a_replaced_file_are_changes(tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "new"):
        (tmp_path / name).write_text("one")
    looks = [(tmp_path / "a.md").unlink, rest, lambda: (tmp_path / "new").rename(tmp_path / "b.md"), rest]
    assert follow(tmp_path, looks) == ["applied", "-", "-", "applied", "-", "-", "applied"]


def test_a_folder_that_vanishes_is_waited_for_and_said_once(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "a.md").write_text("one")

    def back() -> None:
        folder.mkdir()
        (folder / "a.md").write_text("two")

    told = follow(folder, [lambda: shutil.rmtree(folder), rest, folder.mkdir, folder.rmdir, back, rest, rest])
    away = f"{folder} is away or empty; the knowledge stays as it is until it is back"
    assert told == ["applied", "-", away, "-", "-", "-", "-", "-", "applied", "-"]


def test_what_could_not_be_applied_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one")
    tries: list[int] = []

    def apply() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StorageFull("The disk is full.")

    assert follow(tmp_path, [rest, rest, rest], apply) == ["The disk is full.", "-", "-", "-"]
    assert len(tries) == 3


def test_a_loop_of_links_and_a_dead_link_end(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dead").symlink_to(tmp_path / "nothing")
    assert [Path(one).name for one in snapshot(tmp_path)] == ["a.md"]
