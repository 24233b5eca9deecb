"""`brandvoice kb eval` and `kb why`: how good search and refusal are, and where one passage was lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from configs.brand import BrandRetrieval
from service.cli import output
from service.cli.deployment import open_deployment

EVERY_S = 5.0
"""Between two lines of progress; on a terminal one line is written over."""


def run_eval(corpus: Path, questions: Path, brand: str | None, *, as_json: bool) -> None:
    """Measure."""
    from retrieval.brand_search import search_reranker
    from retrieval.evaluation.question_sets import read_corpus, read_questions
    from retrieval.evaluation.set_evaluation import evaluate_set

    deployment = open_deployment()
    settings = deployment.brand(brand).retrieval if brand else BrandRetrieval()
    encoder = deployment.search_encoder(brand, output.note) if brand else deployment.encoder(output.note)
    documents, asked = read_corpus(corpus), read_questions(questions)
    held = {document.id for document in documents}
    unknown = sum(any(name not in held for name in one.gold) for one in asked)
    if unknown:
        output.note(f"{unknown} questions name a gold document that {corpus} does not hold: it counts as not found")
    report = evaluate_set(
        documents,
        asked,
        encoder,
        search_reranker(deployment.home, deployment.brand(brand), encoder) if brand else None,
        top_k=settings.top_k,
        embedding=_counter("embedding", "chunks"),
        asking=_counter("asking", "questions"),
    )
    if as_json:
        output.data(report)
    else:
        output.table(("measure", "value"), [(name, _shown(value)) for name, value in _flat(report)])


def run_why(question: str, document: str, brand_name: str, *, as_json: bool) -> None:
    """Diagnose."""
    from retrieval.brand_search import open_search
    from retrieval.evaluation.lost import why_lost

    deployment = open_deployment()
    brand = deployment.brand(brand_name)
    shared = deployment.encoder(output.note)
    why = why_lost(brand, open_search(deployment.home, brand, shared), shared, question, document)
    if as_json:
        findings = [asdict(one) | {"says": one.told} for one in why.findings]
        output.data(asdict(why) | {"findings": findings})
        return
    rows = [
        (
            "LOST" if one.lost else "",
            one.step,
            one.told,
            ", ".join(f"{name} {value}" for name, value in one.numbers.items()),
        )
        for one in why.findings
    ]
    output.table(("", "step", "what happened", "numbers"), rows)
    output.line(f"lost at: {why.lost_at}" if why.lost_at else "not lost")
    output.line(why.cure)


def _flat(report: dict[str, Any]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in report.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        rows += [(f"{name} {below}".rstrip(), one) for below, one in inner]
    return rows


def _shown(value: object) -> object:
    return "-" if value is None else value


def _counter(doing: str, what: str) -> Callable[[int, int], None]:
    """Tells how far the work is, with its rate, every few seconds and at the end."""
    started = told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < EVERY_S and done < total:
            return
        told = now
        rate = done / max(now - started, 1e-9)
        output.note(f"{doing} {done} of {total} {what}, {rate:.1f} a second")

    return tell
