"""`brandvoice kb`: add, list, show, search, remove, versions, rollback."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.cli import output
from service.cli.deployment import open_deployment
from service.cli.failures import WRONG_USE, Failure
from service.starting.stages import bar

if TYPE_CHECKING:
    from retrieval.knowledge.store import Change
    from retrieval.knowledge.version import Entry


def run_add(brand: str, path: str | None, *, as_json: bool) -> None:
    """Add documents."""
    from retrieval.documents.loading import is_address
    from retrieval.knowledge import store

    deployment = open_deployment()
    source: Path | str = deployment.brand(brand).pages
    if path is not None:
        source = path if is_address(path) else Path(path)
    encoder, judge = deployment.intake(brand, output.note)
    change = store.add(deployment.home.knowledge, brand, source, encoder, Progress("chunks"), judge=judge)
    _tell(change, as_json=as_json)


def run_watch(brand: str, path: str | None, *, as_json: bool) -> None:
    """Add documents, and follow their folder until the process is told to end."""
    from retrieval.documents.watching import watch
    from retrieval.knowledge import store

    deployment = open_deployment()
    folder = Path(path or deployment.brand(brand).pages).absolute()
    deployment.brand(brand)
    if folder.is_file():
        raise Failure(f"{folder} is a file", "--watch follows a folder", "name its folder", code=WRONG_USE)
    encoder, judge = deployment.intake(brand, output.note)

    def apply() -> None:
        progress = Progress("chunks")
        change = store.add(deployment.home.knowledge, brand, folder, encoder, progress, judge=judge, follow=True)
        _tell(change, as_json=as_json, one_line=True)
        sys.stdout.flush()

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    output.note(f"watching {folder}; Ctrl+C ends it")
    watch(folder, apply, output.note, ended.wait)


def run_list(brand: str, *, as_json: bool) -> None:
    """List documents."""
    from retrieval.knowledge.inspection import list_documents

    deployment = open_deployment()
    deployment.brand(brand)
    found = list_documents(deployment.home.knowledge, brand)
    if as_json:
        output.data({"documents": [_document(one) for one in found]})
    elif found:
        rows = [(one.id, one.title, one.chars, one.rows, _said(one)) for one in found]
        output.table(("document", "title", "chars", "chunks", "metadata"), rows)
    else:
        output.note(f"{brand} has no documents yet; add some: brandvoice kb add FOLDER --brand {brand}")


def run_show(document: str, brand: str, *, as_json: bool) -> None:
    """Show one document with its chunks."""
    from retrieval.knowledge.inspection import show_document

    deployment = open_deployment()
    deployment.brand(brand)
    entry, chunks = show_document(deployment.home.knowledge, brand, document)
    if as_json:
        rows = [
            {key: value for key, value in asdict(one.chunk).items() if key not in ("document", "title")}
            | {"alias_of": one.alias_of, "aliases": list(one.aliases), "left_out": one.instructions}
            for one in chunks
        ]
        output.data(_document(entry) | {"chunks": rows})
        return
    output.line(f"{entry.title}  ({entry.id}, {entry.chars} characters, {entry.rows} chunks)")
    if said := _said(entry):
        output.line(said)
    for one in chunks:
        page = getattr(one.chunk, "page", None)
        where = f"{one.chunk.start}-{one.chunk.end}" + (f", page {page}" if page else "")
        output.line(f"\n{one.chunk.id}  [{where}]  {one.chunk.heading}".rstrip())
        if one.alias_of:
            output.line(f"  not searched: {one.alias_of} says the same")
        elif one.aliases:
            output.line(f"  stands for {', '.join(one.aliases)} too")
        for sentence in one.instructions or ():
            output.line(f"  left out of prompts: {sentence}")
        output.line("\n".join(f"  {line}" for line in one.chunk.text.splitlines()))


def run_search(question: str, brand: str, *, top_k: int, as_json: bool) -> None:
    """Search."""
    from retrieval.brand_search import open_search

    deployment = open_deployment()
    knowledge = open_search(deployment.home, deployment.brand(brand), deployment.encoder(output.note))
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
    from retrieval.knowledge import store

    deployment = open_deployment()
    deployment.brand(brand)
    encoder, judge = deployment.intake(brand, output.note)
    change = store.remove(deployment.home.knowledge, brand, documents, encoder, judge)
    _tell(change, as_json=as_json)


def run_versions(brand: str, *, as_json: bool) -> None:
    """List versions."""
    from retrieval.knowledge.inspection import versions

    deployment = open_deployment()
    deployment.brand(brand)
    found = versions(deployment.home.knowledge, brand)
    if as_json:
        output.data({"versions": [asdict(one) for one in found]})
    elif found:
        rows = [
            ("*" if one.active else "", one.name, one.created[:19].replace("T", " "), one.documents, one.chunks,
             _counts({"added": one.added, "changed": one.changed, "removed": one.removed}), one.by or "command line")
            for one in found
        ]  # fmt: skip
        output.table(("", "version", "made (UTC)", "documents", "chunks", "against the one before", "who"), rows)
    else:
        output.note(f"{brand} has no documents yet; add some: brandvoice kb add FOLDER --brand {brand}")


def run_rollback(brand: str, *, to: str | None, as_json: bool) -> None:
    """Let an earlier version serve."""
    from retrieval.knowledge import store
    from retrieval.knowledge.inspection import list_documents

    deployment = open_deployment()
    deployment.brand(brand)
    version = store.rollback(deployment.home.knowledge, brand, deployment.search_encoder(brand, output.note), to)
    documents = len(list_documents(deployment.home.knowledge, brand))
    if as_json:
        output.data({"version": version, "documents": documents})
    else:
        output.line(f"{version} serves {brand} now, with {documents} documents")


class Progress:
    """A bar that counts on a terminal, and how fast it went at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        rate = f"{done / max(time.monotonic() - self._began, 1e-3):.1f} {self._what}/s"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{bar(done, total)} {self._what}, {rate}" + ("\n" if done == total else ""))
            sys.stderr.flush()
        elif done == total:
            output.note(f"embedded {total} {self._what}, {rate}")


def _document(entry: Entry) -> dict[str, Any]:
    about = {"document": entry.id, "title": entry.title, "chars": entry.chars, "chunk_count": entry.rows}
    return about | {"audience": entry.metadata.audience} | entry.metadata.said()


def _said(entry: Entry) -> str:
    return ", ".join(f"{key} {value}" for key, value in entry.metadata.said().items())


def _tell(change: Change, *, as_json: bool, one_line: bool = False) -> None:
    if as_json:
        told = asdict(change)
        if one_line:
            output.line(json.dumps(told, ensure_ascii=False))
        else:
            output.data(told)
        return
    for one in change.skipped:
        output.note(f"skipped {one.path}: {one.reason}")
    for note in change.notes:
        output.note(f"{note.path}: {note.kind} ({note.count})")
    for left in change.left_out:
        output.note(f"left out of prompts: {left.text!r} ({left.path}), because it instructs an assistant")
    groups = {
        "added": change.added,
        "changed": change.changed,
        "unchanged": change.unchanged,
        "removed": change.removed,
        "skipped": change.skipped,
    }
    duplicates = f", {change.duplicates} of them duplicates" if change.duplicates else ""
    output.line(f"{_counts(groups) or 'nothing to add'}; {change.chunks} chunks in all{duplicates}")


def _counts(groups: Mapping[str, Sequence[object]]) -> str:
    return ", ".join(f"{len(members)} {word}" for word, members in groups.items() if members)
