"""`brandvoice handoffs`: who waits for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.commands.shared import Json, Url, group

app = group("Conversations that wait for a person.")


@app.command("list")
def handoffs_list(
    brand: Annotated[str | None, typer.Option("--brand", "-b", help="Of this brand only.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """List the conversations that were handed over, newest first."""
    from service.cli.waiting import run_handoffs

    run_handoffs(brand, url=url, as_json=json)
