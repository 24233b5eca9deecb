"""`brandvoice db`: where conversations are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.commands.shared import Json, group

app = group("The database: conversations, inbox, outbox.")


@app.command("migrate")
def db_migrate(
    to: Annotated[
        str, typer.Option("--to", help="postgresql://user@host/name, or sqlite:///FILE.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Copy all rows of the database in use into an empty one, compare them, and say what to set then.

    No gateway may run meanwhile. An error leaves the target as empty as it was.
    """
    from service.cli.moving import run_migrate

    run_migrate(to, as_json=json)
