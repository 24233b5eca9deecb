"""`brandvoice config`: settings and their origin."""

from __future__ import annotations

from service.cli.commands.shared import Json, group

app = group("What this deployment says, and where each value comes from.")


@app.command("show")
def config_show(json: Json = False) -> None:
    """Print each value with its origin; secrets are never read here."""
    from service.cli.settings import run_show

    run_show(as_json=json)


@app.command("check")
def config_check(json: Json = False) -> None:
    """Check all files and variables, and what they point at."""
    from service.cli.settings import run_check

    run_check(as_json=json)
