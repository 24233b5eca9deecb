"""`brandvoice people`: who works in the console."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from service.cli.commands.shared import Json, group

app = group("People who work in the console: let them in, keep them out, make links for passwords.")

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="What the person signs in with.", show_default=False)]
Address = Annotated[
    str | None,
    typer.Option("--url", help="How browsers reach the gateway; BRANDVOICE_URL or the configured one where absent."),
]


@app.command("list")
def people_list(json: Json = False) -> None:
    """List people with their roles."""
    from service.cli.accounts import run_list

    run_list(as_json=json)


@app.command("invite")
def people_invite(
    email: Email,
    name: Annotated[str, typer.Option("--name", help="As customers will read it.", show_default=False)],
    role: Annotated[Literal["agent", "editor", "admin"], typer.Option(help="What they may do.")] = "agent",
    brand: Annotated[str, typer.Option("--brand", "-b", help="Where; * is all brands.")] = "*",
    url: Address = None,
    json: Json = False,
) -> None:
    """Let a person in, or give them a role; prints the link by which they choose a password."""
    from service.cli.accounts import run_invite

    run_invite(email, name, role, brand, url=url, as_json=json)


@app.command("disable")
def people_disable(email: Email) -> None:
    """Keep a person out; their sessions end at once."""
    from service.cli.accounts import run_disable

    run_disable(email, disabled=True)


@app.command("enable")
def people_enable(email: Email) -> None:
    """Let a person in again."""
    from service.cli.accounts import run_disable

    run_disable(email, disabled=False)


@app.command("reset")
def people_reset(email: Email, url: Address = None, json: Json = False) -> None:
    """Print a link by which a person chooses a new password; it works once."""
    from service.cli.accounts import run_reset

    run_reset(email, url=url, as_json=json)
