"""The state as one archive, of one moment, while the gateway runs.

The database comes first, then the files: what a row names was there before the row. Versions of adapters and knowledge
never change; the small files that name the one which serves are read before the versions are listed. What a trained
deployment cannot do without is in it; base models, and logs and records of runs, only on demand.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import make_url

from configs.home import Home
from service.errors import ArchiveInvalid, StorageUnavailable
from service.keeping.archive import Manifest, Progress, Writer, finish, writing
from service.keeping.copying import copy_rows, opened, together
from service.storage.database import Database

DATABASE = "brandvoice.db"
TRAINED = ("models/encoders", "models/rerankers")
"""What training made; other models can be fetched again."""
LEFT_OUT = ("models", "runs", "uploads")
PASSING = ("gateway.lock",)
POINTERS = {"adapters": "active", "knowledge": "current"}
PAGES = 2048
"""Of SQLite, copied in one step."""


def make_backup(
    home: Home,
    database: URL,
    path: Path,
    *,
    with_models: bool = False,
    progress: Progress = lambda *_: None,
    storing: Progress = lambda *_: None,
) -> Manifest:
    """Write an archive and read it back.

    Args:
        home: The state folder.
        database: The one in use; a file that is not there has no rows.
        path: Where the archive is to lie, outside the state folder.
        with_models: Also base models, and what lies in `runs`.
        progress: Told (bytes done, bytes in all).
        storing: Told of the database before (steps done, steps in all).

    Raises:
        ArchiveInvalid: A version that serves went away meanwhile.
        StorageError: The database cannot be read.
        OSError: Something cannot be read or written; nothing is left of the archive.
    """
    snapshot = path.with_name(f".{path.name}.{secrets.token_hex(4)}.db")
    try:
        kind = _snapshot(database, snapshot, storing)
        with _knowledge_stands_still(home):
            pointers = _pointers(home)
            plan = list(_files(home, database, with_models=with_models))
            total = sum(file.stat().st_size for file, _ in plan) + (snapshot.stat().st_size if kind else 0)
            with writing(path, total=total, progress=progress) as writer:
                if kind:
                    writer.add(snapshot, DATABASE)
                for file, name in plan:
                    _add(writer, file, name, pointers)
                _check_pointers(writer, pointers)
                manifest = Manifest(
                    brandvoice=version("brandvoice"),
                    made_at=datetime.now(UTC),
                    with_models=with_models,
                    database=kind,
                    rows=_rows(snapshot) if kind else {},
                    files=tuple(writer.files),
                )
                finish(writer, manifest)
            progress(total, total)
        return manifest
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            snapshot.with_name(snapshot.name + ending).unlink(missing_ok=True)


def _snapshot(database: URL, snapshot: Path, progress: Progress) -> str | None:
    """The database's rows as a SQLite file; returns what kind it was, None where there is none."""
    if database.get_backend_name() == "sqlite":
        if not Path(database.database or "").is_file():
            return None
        _copy_file(Path(database.database or ""), snapshot, progress)
        return "sqlite"
    asyncio.run(_copy_server(database, make_url(f"sqlite:///{snapshot}"), progress))
    return database.get_backend_name()


async def _copy_server(database: URL, target: URL, progress: Progress) -> None:
    for url in (database, target):
        await (await Database.open(url.render_as_string(hide_password=False))).close()
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(opened(database, alone=False))
        other = await stack.enter_async_context(opened(target))
        await together(lambda: copy_rows(source.connection, other.connection, progress), source, other)


def _copy_file(database: Path, snapshot: Path, progress: Progress) -> None:
    os.close(os.open(snapshot, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=5)) as source,
            contextlib.closing(sqlite3.connect(snapshot, isolation_level=None)) as target,
        ):
            # One moment, though it is copied in steps: without it, each write of the gateway would begin it anew.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(target, pages=PAGES, progress=lambda _, left, total: progress(total - left, total))
            source.execute("ROLLBACK")
            # One file, without a log beside it.
            target.execute("PRAGMA journal_mode=DELETE")
            found = target.execute("PRAGMA quick_check").fetchone()
            if found != ("ok",):
                raise StorageUnavailable(f"{database} is damaged ({found[0]}). Restore an earlier backup.")
    except sqlite3.Error as error:
        raise StorageUnavailable(
            f"The database {database} could not be copied ({error}). See whether the disk is full."
        ) from error


def _rows(snapshot: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(snapshot)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        # Names of our own tables, not of a person's making.
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
            for name in sorted(names)
        }


@contextmanager
def _knowledge_stands_still(home: Home) -> Iterator[None]:
    """`kb add` waits meanwhile: it deletes versions that are too old."""
    with contextlib.ExitStack() as stack:
        for path in sorted(home.knowledge.glob("*/.lock")):
            lock = stack.enter_context(path.open("rb"))
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _pointers(home: Home) -> dict[str, bytes]:
    found = {}
    for folder, name in POINTERS.items():
        for path in sorted((home.root / folder).glob(f"*/{name}")):
            found[path.relative_to(home.root).as_posix()] = path.read_bytes()
    return found


def _check_pointers(writer: Writer, pointers: dict[str, bytes]) -> None:
    there = {one.path for one in writer.files}
    for name, content in pointers.items():
        serving = f"{name.rpartition('/')[0]}/{content.decode('utf-8', 'replace').strip()}/"
        if content.strip() and not any(path.startswith(serving) for path in there):
            raise ArchiveInvalid(f"{name} names {serving}, which is not there. Run it again; see `brandvoice doctor`.")


def _add(writer: Writer, file: Path, name: str, pointers: dict[str, bytes]) -> None:
    if name in pointers:
        writer.add_bytes(pointers[name], name, mode=file.stat().st_mode & 0o777)
    else:
        writer.add(file, name)


def _files(home: Home, database: URL, *, with_models: bool) -> Iterator[tuple[Path, str]]:
    """Files of the state folder with their names in the archive; what is hidden is passing (locks, half a version)."""
    own = Path(database.database or "").absolute() if database.get_backend_name() == "sqlite" else home.database
    not_these = {own.with_name(own.name + ending) for ending in ("", "-wal", "-shm", "-journal")}
    for folder, folders, files in os.walk(home.root, followlinks=True):
        here = Path(folder)
        relative = here.relative_to(home.root).as_posix()
        folders[:] = sorted(one for one in folders if not one.startswith(".") and _fits(home, here / one))
        if not with_models:
            folders[:] = [one for one in folders if _wanted(one if relative == "." else f"{relative}/{one}")]
        for one in sorted(files):
            file = here / one
            passing = one.startswith(".") or (relative == "." and one in PASSING)
            bare = not with_models and relative in LEFT_OUT
            if not passing and not bare and file not in not_these and file.is_file():
                yield file, file.relative_to(home.root).as_posix()


def _wanted(folder: str) -> bool:
    if folder.partition("/")[0] not in LEFT_OUT:
        return True
    return any(one.startswith(folder) or folder.startswith(f"{one}/") for one in TRAINED)


def _fits(home: Home, folder: Path) -> bool:
    """A link to a folder above would never end."""
    return not (folder.is_symlink() and home.root.resolve().is_relative_to(folder.resolve()))


def top(path: str) -> str:
    """What a restore replaces whole to bring a file back: a folder of the state folder, or below those left out."""
    first, *rest = path.split("/")
    return f"{first}/{rest[0]}" if first in LEFT_OUT and rest else first


def state_names(home: Home) -> list[str]:
    """What a backup would hold of the state folder, as such tops."""
    names = {one.name for one in home.root.iterdir()} if home.root.is_dir() else set()
    found = {one for one in names if not one.startswith(".") and one not in (*LEFT_OUT, *PASSING)}
    return sorted(found | {one for one in TRAINED if (home.root / one).exists()})
