"""`brandvoice demo|serve|ask|doctor`: a deployment that runs."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.commands.shared import Brand, Json, Url


def demo(
    train: Annotated[bool, typer.Option("--train", help="Train both adapters on the CPU first.")] = False,
    once: Annotated[
        str | None, typer.Option("--once", help="Ask both brands this question, print the answers, and end.")
    ] = None,
) -> None:
    """Prepare everything, then two sample brands to talk to."""
    from service.cli.serving import run_demo

    run_demo(train=train, once=once)


def serve(
    host: Annotated[
        str | None, typer.Option(help="Same as BRANDVOICE_SERVICE__HOST; beyond loopback API keys are required.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Same as BRANDVOICE_SERVICE__PORT.")] = None,
) -> None:
    """Run the gateway, and the engine where none is named in engine.url; nothing is prepared."""
    from service.cli.serving import run_serve

    run_serve(host=host, port=port)


def ask(
    question: Annotated[str, typer.Argument(help="What a customer would ask.", show_default=False)],
    brand: Brand,
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="A version of the brand's adapter; the active one where absent.")
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Ask a brand; where no gateway runs, start what it needs for this one question."""
    from service.cli.serving import run_ask

    run_ask(question, brand, version=adapter, url=url, as_json=json)


def doctor(json: Json = False) -> None:
    """Look at everything that must be in place, and say what to do where it is not."""
    from service.cli.doctor import run_doctor

    run_doctor(as_json=json)
