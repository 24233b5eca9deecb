"""`brandvoice data synthesize` and `data review`: a model writes examples, people approve them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.cli import output
from service.cli.deployment import open_deployment, run_module
from service.cli.failures import WRONG_USE, Failure

KINDS = ("answer", "refusal", "paraphrase")
MAKE, REVIEW = "training.synthetic.make", "training.synthetic.review"


def run_synthesize(
    brand: str,
    out: Path,
    *,
    engine: str | None,
    model: str | None,
    per_passage: int,
    kinds: str,
    limit: int | None,
    against: Sequence[Path],
    seed: int,
    parallel: int,
    as_json: bool,
) -> None:
    """Write examples as a process of its own, and show what came of it."""
    deployment = open_deployment()
    deployment.brand(brand)
    address = engine or next(iter(deployment.config.service.engine.elsewhere), None)
    if address is None:
        raise Failure(
            "no model is named",
            "engine.url is not set, and the engine of `brandvoice demo` is for its gateway alone",
            "name one with --engine, such as one that `python -m service.starting.engine_server` starts",
            code=WRONG_USE,
        )
    wanted = [one.strip() for one in kinds.split(",") if one.strip()]
    if not wanted or set(wanted) - set(KINDS):
        raise Failure(f"{kinds!r} is no kind", "they are read with commas between", ",".join(KINDS), code=WRONG_USE)
    if out.suffix != ".jsonl":
        raise Failure(f"{out} is no name for JSON lines", "it must end in .jsonl", "another --out", code=WRONG_USE)
    for path in against:
        if not path.is_file():
            raise Failure(f"there is no file {path}", "nothing was asked", "name files of data", code=WRONG_USE)
    words = ["--brand", brand, "--out", str(out), "--engine", address, "--kinds", ",".join(wanted)]
    words += ["--per-passage", str(per_passage), "--seed", str(seed), "--parallel", str(parallel)]
    words += ["--model", model] if model else []
    words += ["--limit", str(limit)] if limit else []
    words += [word for path in against for word in ("--against", str(path))]
    words += ["--progress", "bar"] if sys.stderr.isatty() and not as_json else []
    result: dict[str, Any] = json.loads(run_module(MAKE, *words, what="not all examples were written"))
    if as_json:
        output.data(result)
        return
    kept = ", ".join(f"{count} {kind}" for kind, count in result["kinds"].items())
    output.line(
        f"{result['rows']} examples: {result['accepted']} passed{f' ({kept})' if kept else ''}, "
        f"{len(result['rejected'])} rejected"
    )
    for rule, count in sorted(result["rules"].items(), key=lambda one: -one[1]):
        example = next(one for one in result["rejected"] if one["rule"] == rule)
        told = f"{example['question'] or '(no question)'}: {example['reason']}"
        # A model's words must not steer the terminal.
        output.line(f"  {count} {rule}, such as {''.join(one if one.isprintable() else ' ' for one in told)}")
    if result["accepted"]:
        output.line(f"none is trained on before a person approves it: brandvoice data review {out}")


def run_review(
    file: Path,
    *,
    approve: Sequence[str],
    reject: Sequence[str],
    approve_all: bool,
    by: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Decide as a process of its own, which shows the rows on this terminal."""
    if not file.is_file():
        raise Failure(f"there is no file {file}", "nothing was decided", "brandvoice data synthesize", code=WRONG_USE)
    deciding = bool(approve or reject or approve_all)
    if deciding and not by:
        raise Failure("nobody decides", "a decision is kept with its author", "--by NAME", code=WRONG_USE)
    words = [word for name in approve for word in ("--approve", name)]
    words += [word for name in reject for word in ("--reject", name)]
    words += ["--approve-all"] if approve_all else []
    words += ["--by", by] if by else []
    words += ["--out", str(out)] if out else []
    result: dict[str, Any] = json.loads(run_module(REVIEW, *words, "--", str(file), what="not all was decided"))
    if as_json:
        output.data(result)
        return
    output.line(
        f"{result['rows']} rows: {result['approved']} approved, {result['rejected']} rejected, "
        f"{result['waiting']} wait" + (f", {result['by_people']} by people" if result["by_people"] else "")
    )
    if out is not None:
        output.line(f"{result['written']} may be trained on: {out}")
