"""`brandvoice train|eval`: a new version, and whether it is better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.commands.shared import Brand, Json, Url


def train(
    brand: Brand,
    what: Annotated[
        Literal["adapter", "retriever"],
        typer.Argument(
            metavar="WHAT",
            help="adapter: the voice, from conversations; retriever: its search, from its own pages.",
        ),
    ] = "adapter",
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Name of a file in configs/training; quick_cpu, or retriever, where absent; cross_encoder "
            "for a retriever that re-ranks."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Take this instead of the recipe's, such as lora.r=32."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="With a recipe such as dpo: rows of `prompt`, `chosen` and `rejected`.", show_default=False),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Name of the new version; the time where absent.")] = None,
    questions: Annotated[int, typer.Option(min=0, help="Held-out questions to answer for its score.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Train even where a version is up to date.")] = False,
    ship: Annotated[
        bool,
        typer.Option("--ship", help="With the recipe lora, and put it where the brand's shipped adapter stands."),
    ] = False,
    json: Json = False,
) -> None:
    """Train an adapter of a brand, which `adapter promote` lets speak; or its retriever, which a gate judges.

    A retriever that does not measurably help is refused with exit code 3. An encoder that is accepted searches once
    `retrieval.encoder` of the brand names it and `kb add` has embedded the pages again; a cross-encoder re-ranks once
    `retrieval.reranker` names it.
    """
    from service.cli import retriever
    from service.cli.adapters import run_train
    from service.cli.failures import WRONG_USE, Failure

    if what == "retriever":
        if questions or ship or changes or pairs:
            raise Failure(
                "a retriever is not trained that way",
                "--questions, --pairs, --set and --ship are for adapters",
                "leave them out",
                code=WRONG_USE,
            )
        retriever.run_train(brand, recipe or "retriever", version=version, force=force, as_json=json)
        return
    chosen = recipe or ("lora" if ship else "quick_cpu")
    run_train(
        brand,
        chosen,
        changes=changes or (),
        pairs=pairs,
        version=version,
        questions=questions,
        force=force,
        ship=ship,
        as_json=json,
    )


def evaluate(
    brand: Brand,
    candidate: Annotated[str, typer.Option(help="The version to judge.", show_default=False)],
    url: Url = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask this many questions only: a first look, never a verdict.")
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Also ask the base model with the voice guide.")
    ] = True,
    general: Annotated[
        bool, typer.Option("--general/--no-general", help="Also measure what is left of the base's general ability.")
    ] = True,
    json: Json = False,
) -> None:
    """Is a trained adapter better than what speaks now? Asks both the held-out questions, and lets the gate judge.

    Everything goes through the running gateway, or one that is started for it. A candidate that is worse, or of which
    too little is known, is refused with exit code 3; a report shows each measure and the answers that changed most.
    """
    from service.cli.comparing import run_eval

    run_eval(brand, candidate, url=url, limit=limit, baseline=baseline, general=general, as_json=json)
