"""`brandvoice train retriever`: a model of a brand's search, trained on its pages and judged by a gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.cli import output
from service.cli.deployment import open_deployment, run_module
from service.cli.failures import REFUSED, Failure

USE: Mapping[str, tuple[str, str]] = {
    "retriever": ("encoder", "run `brandvoice kb add --brand {brand}`, then start the gateway again"),
    "cross_encoder": ("reranker", "then start the gateway again"),
}
"""By what was trained: the setting that names a version, and what there is to do besides."""


def run_train(brand: str, recipe: str, *, version: str | None, force: bool, as_json: bool) -> None:
    """Train as a process of its own, and show what the gate says."""
    deployment = open_deployment()
    deployment.brand(brand)
    deployment.encoder(output.note)
    options = ["--brand", brand, "--recipe", recipe]
    options += ["--version", version] if version else []
    options += ["--force"] if force else []
    done = run_module("training.retriever", *options, what=f"the retriever of {brand} was not trained")
    result: dict[str, Any] = json.loads(done)
    if as_json:
        output.data(result)
    else:
        _show(result)
    if not result["accepted"]:
        raise Failure(
            f"the trained retriever of {brand} is refused; nothing was changed",
            "; ".join(result["reasons"]),
            f"add pages of {brand}, or change configs/training/{recipe}.yaml ({result['run']} keeps the run)",
            code=REFUSED,
        )
    if not as_json:
        setting, besides = USE[result["trains"]]
        named = f"set retrieval.{setting}: {result['version']} in {brand}.yaml"
        output.note(f"let it search: {named}, {besides.format(brand=brand)}")


def _show(result: Mapping[str, Any]) -> None:
    rows = [
        (
            one["set"],
            one["questions"],
            one["measure"],
            f"{one['before']:.4f}",
            f"{one['after']:.4f}",
            f"{one['after'] - one['before']:+.4f}",
            f"{one['low']:+.4f} to {one['high']:+.4f}",
        )
        for one in result["figures"]
    ]
    output.table(("asked", "questions", "measure", "without", "with", "difference", "95 % interval"), rows)
    state = "unchanged since" if result["skipped"] else "accepted" if result["accepted"] else "refused"
    losses = f"loss {result['loss_first']:.3f} to {result['loss_last']:.3f}"
    output.line(f"{state}: {result['folder'] or result['run']} ({result['pairs']} pairs, {losses})")
