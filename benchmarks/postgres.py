"""A PostgreSQL server of one's own, for a test or a measurement: started in an empty folder, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from service.engines.process import free_port

FOLDERS = ("/usr/lib/postgresql", "/usr/local/pgsql/bin", "/opt/homebrew/bin")
UNSAFE = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
"""Nothing here outlives the machine, so nothing waits for the disk."""


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; None where this machine has none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = [path.parent for folder in FOLDERS for path in sorted(Path(folder).rglob("initdb"), reverse=True)]
    return installed[0] if installed else None


async def emptied(url: str) -> None:
    """Take everything out of a database."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()


@contextmanager
def server() -> Iterator[str]:
    """Start one; its address, as `database.url` wants it.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    where = binaries()
    if where is None:
        raise FileNotFoundError("initdb of PostgreSQL is not on this machine")
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="brandvoice-postgres-"))
    if user:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    make: list[str | Path] = [
        where / "initdb",
        "-D",
        data,
        "-U",
        "brandvoice",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run(make, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
    command: list[str | Path] = [
        where / "postgres",
        "-D",
        data,
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-k",
        folder,
        *UNSAFE,
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        ready: list[str | Path] = [where / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "30"]
        while subprocess.run(ready, check=False).returncode != 0:
            if process.poll() is not None:
                raise RuntimeError((folder / "log").read_text("utf-8", "replace")[-2000:])
        yield f"postgresql+asyncpg://brandvoice@127.0.0.1:{port}/postgres"
    finally:
        # At once, without waiting for its clients.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
