"""`brandvoice kb`: add, list, search, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli import output
from service.cli.deployment import open_deployment

if TYPE_CHECKING:
    from retrieval.store import Change


def run_add(brand: str, path: str | None, *, as_json: bool) -> None:
    """Add documents."""
    from retrieval import store
    from retrieval.loading import is_address

    deployment = open_deployment()
    source: Path | str = deployment.brand(brand).pages
    if path is not None:
        source = path if is_address(path) else Path(path)
    deployment.brand(brand)
    encoder = deployment.encoder(output.note)
    change = store.add(deployment.home.knowledge, brand, source, encoder, _chunks)
    _tell(change, as_json=as_json)


def run_list(brand: str, *, as_json: bool) -> None:
    """List documents."""
    from retrieval import store

    deployment = open_deployment()
    deployment.brand(brand)
    found = store.list_documents(deployment.home.knowledge, brand)
    if as_json:
        documents = [{"document": one.id, "title": one.title, "chars": len(one.text)} for one in found]
        output.data({"documents": documents})
    elif found:
        output.table(("document", "title", "chars"), [(one.id, one.title, len(one.text)) for one in found])
    else:
        output.note(f"{brand} has no documents yet; add some: brandvoice kb add FOLDER --brand {brand}")


def run_search(question: str, brand: str, *, top_k: int, as_json: bool) -> None:
    """Search."""
    from retrieval.knowledge_base import KnowledgeBase

    deployment = open_deployment()
    deployment.brand(brand)
    knowledge = KnowledgeBase.open(deployment.home.knowledge, brand, deployment.encoder(output.note))
    result = knowledge.search(question, top_k=top_k)
    if as_json:
        passages = [
            {"document": one.document, "title": one.title, "text": one.text, "score": round(one.score, 4)}
            for one in result.passages
        ]
        output.data({"passages": passages})
        return
    output.note(f"probability that they hold the answer: {result.answerability:.2f}")
    for one in result.passages:
        output.line(f"{one.score:.2f}  {one.document}  {one.heading or one.title}")
        output.line(f"      {' '.join(one.text.split())}")


def run_remove(documents: list[str], brand: str, *, as_json: bool) -> None:
    """Remove documents."""
    from retrieval import store

    deployment = open_deployment()
    deployment.brand(brand)
    change = store.remove(deployment.home.knowledge, brand, documents, deployment.encoder(output.note))
    _tell(change, as_json=as_json)


def _chunks(done: int, total: int) -> None:
    """One line that counts, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\rembedding {done} of {total} chunks" + ("\n" if done == total else ""))
        sys.stderr.flush()


def _tell(change: Change, *, as_json: bool) -> None:
    skipped = [{"path": str(one.path), "reason": one.reason} for one in change.skipped]
    if as_json:
        output.data(
            {
                "version": change.version,
                "added": list(change.added),
                "changed": list(change.changed),
                "unchanged": list(change.unchanged),
                "removed": list(change.removed),
                "skipped": skipped,
                "notes": [{"path": one.path, "note": one.kind, "count": one.count} for one in change.notes],
            }
        )
        return
    for left in skipped:
        output.note(f"skipped {left['path']}: {left['reason']}")
    for one in change.notes:
        output.note(f"{one.path}: {one.kind} ({one.count})")
    counts = {
        "added": len(change.added),
        "changed": len(change.changed),
        "unchanged": len(change.unchanged),
        "removed": len(change.removed),
    }
    output.line(", ".join(f"{number} {word}" for word, number in counts.items()))
