"""Options that many commands have, and what a group of commands is made of."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Brand = Annotated[str, typer.Option("--brand", "-b", help="Name of a brand, as in configs/brands.", show_default=False)]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the gateway; BRANDVOICE_URL or the configured one where absent."),
]
Version = Annotated[str, typer.Argument(metavar="BRAND@VERSION", show_default=False, help="Such as velmora@1.")]


def group(text: str) -> typer.Typer:
    """A group of commands, which shows its help where no command is named."""
    return typer.Typer(help=text, no_args_is_help=True, pretty_exceptions_enable=False)
