"""`brandvoice outbox`: replies that did not arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.commands.shared import Json, group

app = group("Replies that their platform does not have.")


@app.command("list")
def outbox_list(json: Json = False) -> None:
    """Show replies that were given up, and those of which nobody knows whether they arrived."""
    from service.cli.waiting import run_outbox

    run_outbox(as_json=json)


@app.command("replay")
def outbox_replay(
    items: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `outbox list` shows them.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that were given up; not those that may have arrived.")
    ] = False,
    json: Json = False,
) -> None:
    """Send replies again. One of which nobody knows whether it arrived may then be read twice, so it must be named."""
    from service.cli.waiting import run_replay

    run_replay(items or (), every=every, as_json=json)
