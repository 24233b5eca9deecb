"""`brandvoice retention`: what is too old to be kept."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.commands.shared import Json, group

app = group("What is older than a brand's `retention.days`.")


@app.command("run")
def retention_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False, json: Json = False
) -> None:
    """Delete what is too old now; a running gateway does it by itself once a day, and may run meanwhile."""
    from service.cli.forgetting import run_retention

    run_retention(dry_run=dry_run, as_json=json)
