"""`brandvoice data check`: what is wrong or doubtful with training data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.cli import output
from service.cli.deployment import open_deployment, run_module
from service.cli.failures import WRONG_USE, Failure

SHOWN = 10
"""Rows of one rule that people are shown; `--json` has them all."""


def run_check(
    files: Sequence[Path],
    *,
    brand: str | None,
    form: str | None,
    against: Sequence[Path],
    mask: bool,
    out: Path | None,
    card: Path | None,
    max_tokens: int | None,
    as_json: bool,
) -> None:
    """Look as a process of its own, and show what was found."""
    for path in (*files, *against):
        if not path.is_file():
            raise Failure(f"there is no file {path}", "nothing was checked", "name files of data", code=WRONG_USE)
    if mask and out is None and not as_json and card is None:
        output.note("--mask hides personal data in what --out FILE writes; the files themselves stay as they are")
    if brand is not None:
        open_deployment().brand(brand)
    words = ["--brand", brand] if brand else []
    words += ["--format", form] if form else []
    words += [word for path in against for word in ("--against", str(path))]
    words += ["--max-tokens", str(max_tokens)] if max_tokens else []
    words += ["--mask"] if mask else []
    words += ["--out", str(out)] if out else []
    words += ["--card", str(card)] if card else []
    done = run_module("training.data.check", *words, "--", *map(str, files), what="the data was not checked")
    result: dict[str, Any] = json.loads(done)
    if as_json:
        output.data(result["report"])
    else:
        _show(result)


def _show(result: Mapping[str, Any]) -> None:
    report = result["report"]
    shown: Counter[str] = Counter()
    for kind in ("rejected", "warnings"):
        for one in report[kind]:
            shown[one["rule"]] += 1
            if shown[one["rule"]] <= SHOWN:
                mark = "rejected" if kind == "rejected" else "warning "
                place = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
                output.line(f"{mark}  {place}  {one['rule']}: {one['reason']}")
    for rule, count in sorted(shown.items()):
        if count > SHOWN:
            output.line(f"          and {count - SHOWN} more of {rule}; --json names them all")
    split = result["split"]
    output.line(
        f"{report['rows']} rows: {report['accepted']} accepted, {len(report['rejected'])} rejected; "
        f"{len(report['warnings'])} warnings, {report['duplicates']} duplicates, {report['near_duplicates']} near "
        f"duplicates, {report['pii']} pieces of personal data, {report['masked']} masked"
    )
    output.line(f"split: {split['train']} to train, {split['evaluation']} to evaluate ({split['sha256'][:12]})")
    output.line(f"score: {result['score']} of 100, {result['verdict']}")
    for reason in result["reasons"]:
        output.line(f"  {reason}")
