"""`brandvoice intents`: what messages are about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.commands.shared import Brand, Json, group

app = group("What messages are about: a classifier a brand, trained on its own labelled messages.")


@app.command("train")
def intents_train(
    brand: Brand,
    data: Annotated[
        Path | None,
        typer.Option(help="JSON lines of text, intent, out_of_scope; the brand's `intents` where absent."),
    ] = None,
    json: Json = False,
) -> None:
    """Train the classifier of a brand; the gateway takes it up when it starts."""
    from service.cli.intents import run_train

    run_train(brand, data, as_json=json)


@app.command("show")
def intents_show(
    text: Annotated[str, typer.Argument(help="What a customer would write.", show_default=False)],
    brand: Brand,
    json: Json = False,
) -> None:
    """Show the intent of a message, how probable it is, and the training messages nearest to it."""
    from service.cli.intents import run_show

    run_show(brand, text, as_json=json)


@app.command("eval")
def intents_eval(
    train: Annotated[Path, typer.Option("--train", help="JSON lines to learn from.", show_default=False)],
    test: Annotated[Path, typer.Option("--test", help="JSON lines to measure on.", show_default=False)],
    json: Json = False,
) -> None:
    """Train on one file and measure on another; nothing is kept."""
    from service.cli.intents import run_eval

    run_eval(train, test, as_json=json)
