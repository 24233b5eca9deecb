"""`brandvoice answer`: sentences against passages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.commands.shared import Json, group

app = group("Answers, sentence by sentence, against the passages they rest on.")


@app.command("check")
def answer_check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help='Lines {"answer", "passages": [{"id", "text"}]}, "question" beside them if known; stdin where absent.',
        ),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A name that needs no passage, such as the brand's own.")
    ] = None,
    json: Json = False,
) -> None:
    """Check each sentence of answers against their passages: claim, style or promise, and which passage says so."""
    from service.cli.answers import run_check

    run_check(file, names=tuple(name or ()), as_json=json)
