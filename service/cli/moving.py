"""`brandvoice db migrate`: all rows from the database in use into another one."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli import output
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import WRONG_USE, Failure
from service.cli.progress import Bar

if TYPE_CHECKING:
    from sqlalchemy import URL


def run_migrate(to: str, *, as_json: bool) -> None:
    """Copy everything, compare, and say what to change in the configuration."""
    from service.keeping.copying import copy_database, database_url, shown

    deployment = open_deployment()
    source, target = database_in_use(deployment), database_url(to)
    if source == target:
        raise Failure("there is nothing to move", "that is the database in use", "name another one", code=WRONG_USE)
    if source.get_backend_name() == "sqlite" and not Path(source.database or "").is_file():
        raise Failure("there is nothing to move", f"{shown(source)} is not there", "start a gateway once: it makes it")
    fresh = target.get_backend_name() == "sqlite" and not Path(target.database or "").exists()
    try:
        held = asyncio.run(copy_database(source, target, progress=Bar("rows")))
    except BaseException:
        if fresh:
            Path(target.database or "").unlink(missing_ok=True)
        raise
    if as_json:
        output.data(
            {
                "from": shown(source),
                "to": shown(target),
                "tables": {name: asdict(one) for name, one in held.items()},
                "set": {"database.url": shown(target)},
            }
        )
        return
    output.table(["table", "rows", "digest"], [[name, one.rows, one.digest[:12]] for name, one in held.items()])
    output.note(
        f"every table holds the same rows in {shown(target)}. Now say so in configs/service.yaml, or set "
        "BRANDVOICE_DATABASE__URL, and start the gateway:"
    )
    output.line(f"database: {{url: {shown(target)}}}")


def database_in_use(deployment: Deployment) -> URL:
    """The database that the configuration names, or the file in the state folder."""
    from service.keeping.copying import database_url

    return database_url(deployment.config.service.database.url or f"sqlite:///{deployment.home.database}")
