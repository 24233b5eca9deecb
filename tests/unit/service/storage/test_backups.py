from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL
from sqlalchemy.engine import make_url

from configs.errors import ConfigError
from configs.home import Home
from service.conversation import inbox
from service.errors import ArchiveInvalid, HomeInUse, StorageError
from service.keeping import restoring
from service.keeping.archive import read_manifest
from service.keeping.backups import make_backup
from service.keeping.copying import Held, look, opened, together
from service.keeping.restoring import finish_cut, restore
from service.storage import tables as t
from service.storage.database import Database
from tests.patience import PATIENCE_S
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import BRAND, answered, message, rows
from tests.unit.service.storage.test_copying import filled

FILES = {
    "adapters/harbor/active": b"v1\n",
    "adapters/harbor/history": b"v0\n",
    "adapters/harbor/v0/manifest.json": b"{}",
    "adapters/harbor/v1/manifest.json": b"{}",
    "adapters/harbor/v1/adapter_model.safetensors": bytes(range(256)) * 4000,
    "knowledge/harbor/current": b"k1",
    "knowledge/harbor/k1/version.json": b"{}",
    "knowledge/harbor/segments/s1/vectors": b"\x00\xff",
    "intents/harbor/model.npz": b"PK",
    "evaluations/harbor/v1/answers.jsonl": b"{}\n",
    "voices/harbor.json": "é 🙂".encode(),
    "models/encoders/harbor/e1/model.onnx": b"trained here",
    "secrets/slack-main": b"s3cret",
}
NOT_STATE = {
    "models/all-minilm/model.onnx": b"can be fetched again",
    "runs/gateway.log": b"a log",
    "gateway.lock": b"7\n",
    "knowledge/harbor/.lock": b"",
    "knowledge/harbor/.new-abc/half": b"half",
    "adapters/harbor/.tmp-1": b"half",
}


def write(root: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def state(root: Path) -> dict[str, bytes]:
    """Every file but the database's."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("brandvoice.db")
    }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    write(tmp_path / "home", FILES | NOT_STATE)
    return Home(tmp_path / "home")


@pytest.fixture
def fresh(tmp_path: Path) -> Home:
    return Home(tmp_path / "fresh")


def file_of(home: Home) -> URL:
    return make_url(f"sqlite:///{home.database}")


async def held(url: URL) -> dict[str, Held]:
    async with opened(url) as side:
        return await together(lambda: look(side.connection), side)


@pytest.fixture
def filled_home(home: Home) -> Home:
    async def fill() -> None:
        db = await Database.open(f"sqlite:///{home.database}")
        await filled(db)
        await db.close()

    asyncio.run(fill())
    return home


def test_what_is_restored_is_what_was_backed_up(filled_home: Home, fresh: Home, tmp_path: Path) -> None:
    before = asyncio.run(held(file_of(filled_home)))
    told: list[tuple[int, int]] = []
    archive = tmp_path / "a.tar.gz"
    manifest = make_backup(filled_home, file_of(filled_home), archive, progress=lambda *now: told.append(now))
    assert archive.stat().st_mode & 0o777 == 0o600
    assert told[-1][0] == told[-1][1]
    assert {one.path for one in manifest.files} == FILES.keys() | {"brandvoice.db"}
    assert manifest.rows["conversations"] == before["conversations"].rows
    (filled_home.root / "adapters/harbor/active").chmod(0o640)
    assert restore(archive, fresh, file_of(fresh)) == manifest
    assert state(fresh.root) == FILES
    assert asyncio.run(held(file_of(fresh))) == before
    assert fresh.database.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert list(fresh.root.glob(".*")) == []
    with tarfile.open(archive) as plain:
        assert plain.getnames()[-1] == "manifest.json"


def test_models_and_runs_come_along_on_demand(filled_home: Home, fresh: Home, tmp_path: Path) -> None:
    make_backup(filled_home, file_of(filled_home), tmp_path / "a.tar.gz", with_models=True)
    write(fresh.root, {"models/other/x": b"kept"})
    restore(tmp_path / "a.tar.gz", fresh, file_of(fresh))
    also = {name: NOT_STATE[name] for name in ("models/all-minilm/model.onnx", "runs/gateway.log")}
    assert state(fresh.root) == FILES | also | {"models/other/x": b"kept"}


def test_a_home_without_a_database_is_restored_too(home: Home, fresh: Home, tmp_path: Path) -> None:
    assert make_backup(home, file_of(home), tmp_path / "a.tar.gz").database is None
    restore(tmp_path / "a.tar.gz", fresh, file_of(fresh))
    assert state(fresh.root) == FILES
    assert not fresh.database.exists()


async def test_a_backup_is_of_one_moment_while_the_gateway_writes(home: Home, fresh: Home, tmp_path: Path) -> None:
    db = await Database.open(f"sqlite:///{home.database}")
    for number in range(40):
        await inbox.accept(db, BRAND, message(f"big{number}", "x" * 20_000))
    stop = threading.Event()
    stored: list[str] = []

    async def write_on() -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            await answered(db, key=f"k{number}")
            stored.append(f"k{number}")

    went_on: list[bool] = []

    def storing(_done: int, _steps: int) -> None:
        # In the middle of the copy, in its thread.
        if not went_on:
            at, deadline = len(stored), time.monotonic() + PATIENCE_S
            while len(stored) == at and time.monotonic() < deadline:
                time.sleep(0.01)
            went_on.append(len(stored) > at)

    writer = asyncio.create_task(write_on())
    await until(lambda: stored)
    before = len(stored)
    await asyncio.to_thread(make_backup, home, file_of(home), tmp_path / "a.tar.gz", storing=storing)
    stop.set()
    await writer
    await db.close()
    assert went_on == [True], "the gateway had to wait"
    await asyncio.to_thread(restore, tmp_path / "a.tar.gz", fresh, file_of(fresh))
    back = await Database.open(f"sqlite:///{fresh.database}")
    found = [row.external_key for row in await rows(back, t.conversations) if row.external_key.startswith("k")]
    replies = {row.turn_id for row in await rows(back, t.outbox)}
    done = {row.id for row in await rows(back, t.turns) if row.state == "done"}
    await back.close()
    # What was there before is there, in its order without gaps, and each turn with its reply.
    assert sorted(found, key=lambda key: int(key[1:])) == [f"k{n}" for n in range(len(found))]
    assert len(found) >= before
    assert done == replies


def test_a_pointer_to_a_version_that_is_gone_is_no_backup(home: Home, tmp_path: Path) -> None:
    (home.root / "adapters/harbor/active").write_text("v9")
    with pytest.raises(ArchiveInvalid, match="adapters/harbor/v9/, which is not there"):
        make_backup(home, file_of(home), tmp_path / "a.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_links_are_followed_and_a_ring_of_them_ends(home: Home, fresh: Home, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"manifest.json": b"linked"})
    (home.root / "adapters/harbor/v2").symlink_to(tmp_path / "elsewhere")
    (home.root / "adapters/ring").symlink_to(home.root)
    make_backup(home, file_of(home), tmp_path / "a.tar.gz")
    restore(tmp_path / "a.tar.gz", fresh, file_of(fresh))
    assert state(fresh.root) == FILES | {"adapters/harbor/v2/manifest.json": b"linked"}
    assert not (fresh.root / "adapters/harbor/v2").is_symlink()


# --- what is there already -------------------------------------------------------------------------------------------


@pytest.fixture
def archive(filled_home: Home, tmp_path: Path) -> Path:
    path = tmp_path / "a.tar.gz"
    make_backup(filled_home, file_of(filled_home), path)
    return path


def test_a_home_that_holds_something_is_left_alone(archive: Path, fresh: Home) -> None:
    write(fresh.root, {"voices/x.json": b"mine"})
    with pytest.raises(HomeInUse, match="holds voices already"):
        restore(archive, fresh, file_of(fresh))
    assert state(fresh.root) == {"voices/x.json": b"mine"}


def test_force_replaces_all_state_and_nothing_else(archive: Path, fresh: Home) -> None:
    mine = {"models/base/w": b"base", "runs/x.log": b"log"}
    write(fresh.root, mine | {"adapters/other/active": b"v1", "new-kind/of/state": b"x", "brandvoice.db-wal": b"old"})
    restore(archive, fresh, file_of(fresh), force=True)
    assert state(fresh.root) == FILES | mine
    assert not (fresh.root / "brandvoice.db-wal").exists()


async def test_a_database_in_use_is_not_replaced(archive: Path, fresh: Home) -> None:
    fresh.root.mkdir()
    db = await Database.open(f"sqlite:///{fresh.database}")
    await inbox.accept(db, BRAND, message("m"))
    with pytest.raises(StorageError, match="open in another process"):
        await asyncio.to_thread(restore, archive, fresh, file_of(fresh), force=True)
    assert [row.message_id for row in await rows(db, t.inbox)] == ["m"]
    await db.close()
    assert list(fresh.root.glob(".restoring*")) == []


# --- what may not be restored ----------------------------------------------------------------------------------------


def forged(path: Path, change: Callable[[tarfile.TarFile], None], **manifest: Any) -> Path:
    """An archive with one good file, whatever `change` adds, and a manifest that agrees with it all."""
    said: list[dict[str, Any]] = []

    class Noting(tarfile.TarFile):
        def addfile(self, tarinfo: tarfile.TarInfo, fileobj: Any = None) -> None:
            content = fileobj.read() if fileobj else b""
            said.append(
                {"path": tarinfo.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "mode": 384}
            )
            super().addfile(tarinfo, io.BytesIO(content))

    with gzip.open(path, "wb") as packed, Noting.open(fileobj=packed, mode="w") as tar:
        put(tar, "voices/x.json", b"{}")
        change(tar)
        about = {
            "format": "brandvoice-backup", "schema": 1, "brandvoice": "0.1.0", "made_at": "2026-01-01T00:00:00Z",
            "with_models": False, "database": None, "rows": {}, "files": [*said],
        } | manifest  # fmt: skip
        put(tar, "manifest.json", json.dumps(about).encode())
    return path


def put(tar: tarfile.TarFile, name: str, content: bytes = b"x", **about: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    for key, value in about.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


BAD: dict[str, Callable[[tarfile.TarFile], None]] = {
    "above": lambda tar: put(tar, "../outside"),
    "deep above": lambda tar: put(tar, "a/../../outside"),
    "absolute": lambda tar: put(tar, "/tmp/outside"),
    "a dot": lambda tar: put(tar, "./a"),
    "two slashes": lambda tar: put(tar, "a//b"),
    "backslash": lambda tar: put(tar, "..\\outside"),
    "link": lambda tar: put(tar, "link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": lambda tar: put(tar, "link", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device": lambda tar: put(tar, "null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "pipe": lambda tar: put(tar, "pipe", b"", type=tarfile.FIFOTYPE),
    "folder": lambda tar: put(tar, "folder", b"", type=tarfile.DIRTYPE),
    "twice": lambda tar: put(tar, "voices/x.json", b"{}"),
}


@pytest.mark.parametrize("bad", BAD)
def test_an_archive_that_would_do_harm_is_refused(bad: str, fresh: Home, tmp_path: Path) -> None:
    with pytest.raises(ArchiveInvalid, match=r"no plain file|gzipped tar"):
        restore(forged(tmp_path / "b.tar.gz", BAD[bad]), fresh, file_of(fresh))
    assert not fresh.root.exists()
    assert not (tmp_path / "outside").exists()
    restore(forged(tmp_path / "good.tar.gz", lambda tar: put(tar, "voices/y.json")), fresh, file_of(fresh))
    assert state(fresh.root) == {"voices/x.json": b"{}", "voices/y.json": b"x"}


@pytest.mark.parametrize("other", [{"schema": 2}, {"format": "something"}])
def test_another_version_is_named(other: dict[str, Any], fresh: Home, tmp_path: Path) -> None:
    with pytest.raises(ArchiveInvalid, match="another version"):
        restore(forged(tmp_path / "b.tar.gz", lambda tar: None, **other), fresh, file_of(fresh))
    assert not fresh.root.exists()


def test_tables_of_a_newer_version_are_refused(archive: Path, fresh: Home, home: Home, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    newer = tmp_path / "newer.tar.gz"
    make_backup(home, file_of(home), newer)
    with pytest.raises(StorageError, match="another version"):
        restore(newer, fresh, file_of(fresh))
    assert state(fresh.root) == {}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_changes_nothing(archive: Path, fresh: Home, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(archive.read_bytes())
    # Behind gzip's header, whose time and flags say nothing of the content.
    at = data.draw(st.integers(10, len(content) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if how == "flip":
        content[at] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del content[at:]
    else:
        content.insert(at, data.draw(st.integers(0, 255)))
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(content)
    try:
        manifest = read_manifest(bad)
    except ArchiveInvalid:
        with pytest.raises(ArchiveInvalid):
            restore(bad, fresh, file_of(fresh))
        assert not fresh.root.exists()
    else:
        # Where the change has no meaning (bytes behind the end), every file is still what it was.
        assert manifest == read_manifest(archive)


# --- cut off ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_what_was_there(filled_home: Home, archive: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the end of the disk."""
    old = archive.read_bytes()
    before = {**state(filled_home.root)}
    home, url = filled_home.root, file_of(filled_home).render_as_string()
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom sqlalchemy.engine import make_url\n"
        "from configs.home import Home\nfrom service.keeping.backups import make_backup\n"
        "from service.keeping.restoring import restore\n"
        f"home, url, archive = Home(Path({str(home)!r})), make_url({url!r}), Path({str(archive)!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))\n"
        "work = {'backup': lambda: make_backup(home, url, archive),\n"
        "        'restore': lambda: restore(archive, home, url, force=True)}\n"
        "try:\n    work[sys.argv[1]]()\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
    )
    for what in ("backup", "restore"):
        done = subprocess.run([sys.executable, "-c", code, what], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(("OSError", "StorageUnavailable")), done
        assert archive.read_bytes() == old
        assert state(home) == before
        assert list(home.glob(".restoring*")) == []
        assert {path.name for path in tmp_path.iterdir()} == {"home", "a.tar.gz"}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 40000


def killed_restores(archive: Path, fresh: Home, at: int) -> bool:
    """Restore in a process of its own that is killed at its n-th rename; returns whether it came to its end before."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom sqlalchemy.engine import make_url\n"
        "from configs.home import Home\nfrom service.keeping import restoring\n"
        f"left = [{at}]\nmove = restoring._move\n"
        "def counted(path, target):\n"
        "    if left[0] == 0:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left[0] -= 1\n    move(path, target)\n"
        "restoring._move = counted\n"
        f"home = Home(Path({str(fresh.root)!r}))\n"
        f"url = make_url({file_of(fresh).render_as_string()!r})\n"
        f"restoring.restore(Path({str(archive)!r}), home, url, force=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode == 0


@pytest.mark.parametrize("at", [0, 2, 5, 9])
def test_a_restore_that_is_killed_is_finished_by_the_next_start(archive: Path, fresh: Home, at: int) -> None:
    old = {"adapters/other/active": b"v1", "adapters/harbor/v1/manifest.json": b"old", "notes/a": b"old"}
    write(fresh.root, old)
    assert not killed_restores(archive, fresh, at)
    assert state(fresh.root) != FILES
    finish_cut(fresh)
    assert state(fresh.root) == FILES
    assert fresh.database.is_file()
    assert list(fresh.root.glob(".*")) == []
    finish_cut(fresh)


def test_an_error_amid_the_change_is_undone(archive: Path, fresh: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"adapters/other/active": b"v1", "voices/harbor.json": b"old"}
    write(fresh.root, old)
    move, calls = restoring._move, []

    def once(path: Path, target: Path) -> None:
        calls.append(path)
        if len(calls) == 4:
            raise PermissionError(13, "not now", str(path))
        move(path, target)

    monkeypatch.setattr(restoring, "_move", once)
    with pytest.raises(PermissionError):
        restore(archive, fresh, file_of(fresh), force=True)
    assert state(fresh.root) == old
    assert list(fresh.root.glob(".*")) == []


# --- another database ------------------------------------------------------------------------------------------------


async def test_rows_go_to_the_database_that_is_configured(
    archive: Path, fresh: Home, url: str, tmp_path: Path, filled_home: Home
) -> None:
    """A file elsewhere, or PostgreSQL: the rows are copied there in one transaction, and come back from there."""
    target = make_url(url if not url.startswith("sqlite") else f"sqlite:///{tmp_path}/elsewhere.db")
    before = await held(file_of(filled_home))
    await asyncio.to_thread(restore, archive, fresh, target)
    assert await held(target) == before
    assert state(fresh.root) == FILES
    assert not fresh.database.exists()
    again = tmp_path / "again.tar.gz"
    manifest = await asyncio.to_thread(make_backup, fresh, target, again)
    assert manifest.database == target.get_backend_name()
    with pytest.raises(HomeInUse):
        await asyncio.to_thread(restore, again, fresh, target)
    third = Home(tmp_path / "third")
    with pytest.raises(StorageError, match="holds rows already"):
        await asyncio.to_thread(restore, again, third, target)
    assert state(third.root) == {}
    await asyncio.to_thread(restore, again, third, target, force=True)
    assert await held(target) == before
    fourth = Home(tmp_path / "fourth")
    await asyncio.to_thread(restore, again, fourth, file_of(fourth))
    assert await held(file_of(fourth)) == before


def test_a_cut_between_files_and_another_database_is_told(archive: Path, fresh: Home, tmp_path: Path) -> None:
    write(fresh.root, {"voices/harbor.json": b"old"})
    target = make_url(f"sqlite:///{tmp_path}/elsewhere.db")
    note = fresh.root / restoring.NOTE
    beside = fresh.root / ".restoring-1"
    write(beside, {"new/adapters/x": b"new", "old/voices/harbor.json": b"old"})
    (fresh.root / "voices/harbor.json").unlink()
    os.rmdir(fresh.root / "voices")
    about = {"beside": beside.name, "old": ["voices/harbor.json"], "new": ["adapters/x"], "server": True}
    note.write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="Run it again"):
        finish_cut(fresh)
    restore(archive, fresh, target, force=True)
    assert state(fresh.root) == FILES
