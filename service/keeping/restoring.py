"""An archive back into the state folder and the database, whole or not at all.

Everything is written beside what is there, under the state folder itself (which may be a mount and so cannot be
renamed), checked, and put on disk. Then a note is left, the old and the new change places, and the note is taken away.
Whoever finds the note (`finish_cut`) finishes the change: half a state is never served.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import make_url

from configs.errors import ConfigError
from configs.home import Home
from configs.whole_file import replace_text
from service.errors import HomeInUse
from service.keeping.archive import Manifest, Progress, extract, read_manifest, sync_folder
from service.keeping.backups import DATABASE, state_names, top
from service.keeping.copying import copy_database, opened
from service.storage.database import Database

NOTE = ".restoring.json"
BESIDE = ".restoring-"


@dataclass(frozen=True, slots=True)
class _Change:
    """What changes places: `new/` comes to the state folder, what is there goes to `old/`."""

    root: Path
    beside: Path
    old: tuple[str, ...]
    new: tuple[str, ...]

    def forward(self) -> None:
        """Finish, from wherever it stands."""
        for name in self.old:
            if not _there(self.beside / "old" / name) and (name not in self.new or _there(self.beside / "new" / name)):
                _move(self.root / name, self.beside / "old" / name)
        for name in self.new:
            if _there(self.beside / "new" / name):
                _move(self.beside / "new" / name, self.root / name)
        sync_folder(self.root)

    def back(self) -> None:
        """Undo, from wherever it stands."""
        for name in self.new:
            if not _there(self.beside / "new" / name):
                _move(self.root / name, self.beside / "new" / name)
        for name in self.old:
            if _there(self.beside / "old" / name):
                _move(self.beside / "old" / name, self.root / name)
        sync_folder(self.root)


def restore(
    path: Path,
    home: Home,
    database: URL,
    *,
    force: bool = False,
    checking: Progress = lambda *_: None,
    writing: Progress = lambda *_: None,
) -> Manifest:
    """Bring back what an archive holds; nobody else may use the state folder or the database.

    Args:
        path: What `make_backup` wrote.
        home: The state folder; one that holds something is left alone, unless `force`.
        database: The one that is configured: it gets the rows, whatever kind they came from.
        force: Replace what is there. Base models and runs stay, unless the archive has some.
        checking: Told (bytes read, bytes in all) while digests are checked; nothing is changed before.
        writing: Told (bytes written, bytes in all).

    Raises:
        ArchiveInvalid: Not an archive that can be restored here; nothing was changed.
        HomeInUse: Something is there, and not `force`; nothing was changed.
        StorageError: The database is in use, holds rows, or is of a newer version; nothing was changed.
        OSError: Something cannot be read or written; nothing was changed.
    """
    manifest = read_manifest(path, checking)
    _clear(home, force=force)
    inside = database.get_backend_name() == "sqlite" and Path(database.database or "").absolute() == home.database
    # A file that is not in use is nobody's: it stays.
    there = [name for name in state_names(home) if inside or not name.startswith(DATABASE)]
    if there and not force:
        raise HomeInUse(f"{home.root} holds {', '.join(there[:5])} already. Name an empty BRANDVOICE_HOME, or --force.")
    beside = home.root / f"{BESIDE}{secrets.token_hex(4)}"
    try:
        (beside / "new").mkdir(parents=True)
        extract(path, manifest, beside / "new", writing)
        rows = beside / "new" / DATABASE
        if manifest.database:
            asyncio.run(_bring_up_to_date(rows))
        if inside and home.database.is_file():
            asyncio.run(_nobody_has(database))
        new = {top(one.path) for one in manifest.files if inside or one.path != DATABASE}
        old = {*there, *(name for name in new if _there(home.root / name))}
        change = _Change(home.root, beside, tuple(sorted(old)), tuple(sorted(new)))
        _swap(change, rows if manifest.database and not inside else None, database, force=force)
    finally:
        if not (home.root / NOTE).exists():
            shutil.rmtree(beside, ignore_errors=True)
    return manifest


def finish_cut(home: Home) -> None:
    """Finish what a restore that was cut off had begun, if one was.

    Raises:
        ConfigError: It was cut off between the files and the rows of another database; it must be run again.
    """
    change, server = _noted(home)
    if change is None:
        return
    if server:
        raise ConfigError(
            f"A restore was cut off between the files of {home.root} and the rows of the database. Run it again: "
            "brandvoice restore FILE --force"
        )
    change.forward()
    (home.root / NOTE).unlink()
    shutil.rmtree(change.beside, ignore_errors=True)


def _swap(change: _Change, rows: Path | None, database: URL, *, force: bool) -> None:
    note = change.root / NOTE
    about = {"beside": change.beside.name, "old": change.old, "new": change.new, "server": rows is not None}
    moved = False

    def move() -> None:
        nonlocal moved
        replace_text(note, json.dumps(about))
        sync_folder(change.root)
        moved = True
        change.forward()

    try:
        if rows is None:
            move()
        else:
            asyncio.run(copy_database(make_url(f"sqlite:///{rows}"), database, replace=force, before_end=move))
    except BaseException:
        if moved:
            change.back()
            note.unlink()
        raise
    note.unlink()
    sync_folder(change.root)


def _clear(home: Home, *, force: bool) -> None:
    """Take away what earlier restores left; one that was cut off amid its change is finished, or undone."""
    change, server = _noted(home)
    if change is not None and server and force:
        change.back()
        (home.root / NOTE).unlink()
    else:
        finish_cut(home)
    for left in home.root.glob(f"{BESIDE}*"):
        shutil.rmtree(left, ignore_errors=True)


def _noted(home: Home) -> tuple[_Change | None, bool]:
    note = home.root / NOTE
    if not note.exists():
        return None, False
    about = json.loads(note.read_text("utf-8"))
    change = _Change(home.root, home.root / about["beside"], tuple(about["old"]), tuple(about["new"]))
    return change, bool(about["server"])


async def _bring_up_to_date(rows: Path) -> None:
    """Also refuses tables of a newer version."""
    await (await Database.open(f"sqlite:///{rows}")).close()


async def _nobody_has(database: URL) -> None:
    async with opened(database):
        pass


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
