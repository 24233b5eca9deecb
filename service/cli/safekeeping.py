"""`brandvoice backup` and `brandvoice restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from service.cli import output
from service.cli.deployment import open_deployment
from service.cli.failures import WRONG_USE, Failure
from service.cli.moving import database_in_use
from service.cli.progress import Bar

if TYPE_CHECKING:
    from service.keeping.archive import Manifest

MIB = 1024 * 1024


def run_backup(file: Path, *, with_models: bool, force: bool, as_json: bool) -> None:
    """Write one archive, and read it back."""
    from service.keeping.backups import make_backup

    deployment = open_deployment()
    path = file.absolute()
    if path.resolve().is_relative_to(deployment.home.root.resolve()):
        raise Failure(
            f"{path} lies in the state folder", "the next backup would hold it", "name another folder", code=2
        )
    if path.exists() and not force:
        raise Failure(
            f"{path} is there already", "it would be replaced", "name another file, or --force", code=WRONG_USE
        )
    if not path.parent.is_dir():
        raise Failure(f"{path.parent} is no folder", "nothing can be written there", "make it first", code=WRONG_USE)
    manifest = make_backup(
        deployment.home,
        database_in_use(deployment),
        path,
        with_models=with_models,
        progress=Bar("MiB written", unit=MIB),
    )
    _tell(path, manifest, as_json=as_json)


def run_restore(file: Path, *, force: bool, as_json: bool) -> None:
    """Check an archive, and bring it back."""
    from service.keeping.restoring import restore
    from service.starting.demo import only_one

    deployment = open_deployment()
    with only_one(deployment.home):
        manifest = restore(
            file,
            deployment.home,
            database_in_use(deployment),
            force=force,
            checking=Bar("MiB checked", unit=MIB),
            writing=Bar("MiB written", unit=MIB),
        )
    _tell(file, manifest, as_json=as_json)
    if not manifest.with_models:
        output.note("base models are not in the archive; `brandvoice demo` or `brandvoice doctor` says what is missing")


def _tell(path: Path, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        output.data({"file": str(path), "size": path.stat().st_size} | manifest.model_dump(mode="json", by_alias=True))
        return
    rows = ", ".join(f"{count} {name}" for name, count in manifest.rows.items() if count and name != "alembic_version")
    output.line(
        f"{path}: {len(manifest.files)} files, {manifest.size / MIB:.1f} MiB ({path.stat().st_size / MIB:.1f} packed), "
        f"made at {manifest.made_at:%Y-%m-%d %H:%M} UTC; {rows or 'no rows'}"
    )
