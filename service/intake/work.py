"""Reading and embedding, in a thread of its own that ends with the process: a crash changes nothing.

The version that serves is replaced in one step at the end, so that a thread may be left alone at any point.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from configs.brand import Brand
from configs.home import Home
from retrieval.brand_search import search_encoder
from retrieval.documents.fetching import Fetcher
from retrieval.documents.loading import Loaded, load_documents
from retrieval.documents.web import load_address
from retrieval.encoder import Encoder
from retrieval.grounding.fence import Fence
from retrieval.knowledge import store
from service.intake.terms import Job, Outcome, Result, Step

T = TypeVar("T")


class Stopped(Exception):
    """Somebody wants no more of it; nothing was changed."""


@dataclass(slots=True)
class Run:
    """A job in this process: what its thread does, and whether it shall go on."""

    job: Job
    folder: Path | None
    """Of the files, where some were brought."""
    refused: list[Result]
    """Files that were left out before they were read."""
    step: Step = "waiting"
    done: int = 0
    total: int | None = None
    at: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    def reading(self, name: str) -> None:
        """The next file or page is read."""
        self._go_on()
        if self.step == "reading" and self.at:
            self.done += 1
        self.step, self.at = "reading", name

    def embedding(self, done: int, total: int) -> None:
        """So many passages are embedded."""
        self._go_on()
        self.step, self.done, self.total, self.at = "embedding", done, total, ""

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise Stopped


def take_in(run: Run, home: Home, brand: Brand, shared: Encoder, fetcher: Fetcher) -> tuple[list[Result], str | None]:
    """Read what was brought or named, and let it serve (blocking).

    Args:
        run: Told how far it is.
        home: Where the knowledge lies.
        brand: Whose.
        shared: The deployment's encoder.
        fetcher: Fetches pages.

    Returns:
        What became of each file or page, and the version that serves now; none where nothing could be read.

    Raises:
        Stopped: By `run.stop`; nothing was changed.
        RetrievalError: The address cannot be read, or the knowledge base cannot take it; nothing was changed.
    """
    if run.folder is not None:
        loaded, origin = load_documents(run.folder, each=run.reading), ""
    else:
        loaded, origin = load_address(run.job.source, fetcher, run.reading), run.job.source
    refused = [*run.refused, *(Result(one.path, "refused", one.reason) for one in loaded.skipped)]
    if not loaded.documents:
        return refused, None
    run.embedding(0, 0)
    change = store.take_in(
        home.knowledge, brand.name, loaded, origin, search_encoder(home, brand, shared), run.embedding,
        judge=Fence(shared), by=run.job.started_by,
    )  # fmt: skip
    return [*_taken(loaded, change), *refused], change.version


def _taken(loaded: Loaded, change: store.Change) -> list[Result]:
    outcomes: dict[str, Outcome] = dict.fromkeys(change.added, "added")
    outcomes |= dict.fromkeys(change.changed, "changed")
    notes: defaultdict[str, list[str]] = defaultdict(list)
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    for note in loaded.notes:
        notes[note.path].append(f"{note.kind} ({note.count})" if note.count > 1 else note.kind)
    for one in change.left_out:
        left_out[one.path].append(one.text)
    return [
        Result(one.id, outcomes.get(one.id, "unchanged"), "", tuple(notes[one.id]), tuple(left_out[one.id]))
        for one in loaded.documents
    ]


def in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """What a function returns that runs in a thread which nobody waits for when the process ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(say: Callable[[], None]) -> None:
        if not future.done():
            say()

    def body() -> None:
        try:
            found = work()
        except BaseException as error:
            failed = error
            say: Callable[[], None] = lambda: future.set_exception(failed)  # noqa: E731
        else:
            say = lambda: future.set_result(found)  # noqa: E731
        # A loop that has ended hears nothing more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, say)

    threading.Thread(target=body, name="intake", daemon=True).start()
    return future
