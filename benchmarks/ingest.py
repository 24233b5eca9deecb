"""Taking in knowledge: how fast a base is made, how little a change costs, and how both grow with the base.

    python -m benchmarks.ingest [--sizes 1000 10000 50000] [--out benchmarks/results/FILE.md]

The pages are made (five passages each; one page in ten is a DOCX). Embedding and the fence cost the same for each
passage whatever the size of the base: they are measured on the first 1,000 passages; beyond these, noise of the same
shape stands in for their result, or 50,000 passages would take an hour. What is added at the end is really embedded.
Each size is measured in a process of its own; the folder for it (2.5 GB at 50,000 passages) is below TMPDIR.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from configs.home import Home
from retrieval.encoder import Encoder, OnnxEncoder, Vectors
from retrieval.grounding.fence import Fence
from retrieval.knowledge import store
from retrieval.language.words import words
from retrieval.passages import Chunk
from retrieval.search.knowledge_base import KnowledgeBase

BRAND = "velmora"
"""The commands want a brand that is configured."""
PASSAGES_A_PAGE = 5
SENTENCES = 4
REAL = 1000
"""Passages that are really embedded and judged at first."""
DOCX_EVERY = 10
ADDED = 9
"""Pages that are added one by one; the median counts."""
POLL_S = 0.05
THINGS = words(
    "order parcel refund voucher card account invoice gift store repair warranty size colour delivery courier address "
    "payment deposit member reward basket label leather silk watch ring lamp chair table game board dice ticket event"
)
ENDS = words("Monday Tuesday spring summer autumn winter Europe Canada weekends holidays mornings evenings members")


class Grown:
    """An encoder for growth: the first texts are embedded, then noise of the same shape stands in.

    Args:
        real: Embeds; the base that is made belongs to it.
        passages: How many it embeds.
    """

    def __init__(self, real: Encoder, passages: int) -> None:
        self.name, self.dim, self.sha256 = real.name, real.dim, real.sha256
        self._real = real
        self._left = passages
        rng = np.random.default_rng(0)
        noise = rng.standard_normal((8192, real.dim), np.float32)
        self._noise: Vectors = noise / np.linalg.norm(noise, axis=1, keepdims=True)
        self._at = 0
        self.embedded, self.seconds = 0, 0.0
        self.encode_query, self.encode_query_tokens = real.encode_query, real.encode_query_tokens
        self.query_words, self.is_word = real.query_words, real.is_word

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """See `encode_document_tokens`."""
        return self.encode_document_tokens(texts)[0]

    def encode_document_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Vectors]]:
        """Embed, or stand in."""
        if self._left > 0:
            self._left -= len(texts)
            since = time.perf_counter()
            found = self._real.encode_document_tokens(texts)
            self.seconds += time.perf_counter() - since
            self.embedded += len(texts)
            return found
        # A token for each 4.5 characters, as the real ones have.
        return self._rows(len(texts)), [self._rows(max(1, int(len(text) / 4.5))) for text in texts]

    def _rows(self, count: int) -> Vectors:
        self._at = (self._at + 997) % (len(self._noise) - count)
        return self._noise[self._at : self._at + count]


class GrownFence(Fence):
    """The fence for growth: judges the first chunks, then finds nothing."""

    def __init__(self, encoder: Encoder, passages: int) -> None:
        super().__init__(encoder)
        self._left = passages
        self.judged, self.seconds = 0, 0.0

    def instructions(self, chunk: Chunk) -> tuple[str, ...]:
        """Judge, or find nothing."""
        if self._left <= 0:
            return ()
        self._left -= 1
        self.judged += 1
        since = time.perf_counter()
        found = super().instructions(chunk)
        self.seconds += time.perf_counter() - since
        return found


def write_pages(folder: Path, passages: int) -> None:
    """Pages that hold so many passages, each unlike the others."""
    from docx import Document as Word

    folder.mkdir()
    for number in range(passages // PASSAGES_A_PAGE):
        sections = [(f"Point {number}.{at}", _text(number, at)) for at in range(PASSAGES_A_PAGE)]
        if number % DOCX_EVERY:
            text = f"# Page {number}\n\n" + "\n\n".join(f"## {head}\n\n{text}" for head, text in sections)
            (folder / f"page-{number}.md").write_text(text + "\n", encoding="utf-8")
            continue
        word = Word()
        for head, text in sections:
            word.add_heading(head, 2)
            word.add_paragraph(text)
        word.save(str(folder / f"page-{number}.docx"))


def _text(number: int, at: int) -> str:
    """A passage; every other sentence is one that the fence must look at."""
    rng = random.Random(f"{number}.{at}")  # noqa: S311, the same pages each time
    return " ".join(
        f"{'Bring' if turn % 2 else 'The'} {rng.choice(THINGS)} number {rng.randrange(900)} to the "
        f"{rng.choice(THINGS)} counter within {rng.randrange(2, 90)} days, or pay ${rng.randrange(1, 900)} "
        f"on {rng.choice(ENDS)}."
        for turn in range(SENTENCES)
    )


def measure(passages: int, models: Path, folder: Path) -> dict[str, float]:
    """All figures of one size."""
    home = folder / "home"
    home.mkdir()
    (home / "models").symlink_to(models)
    knowledge = Home(home).knowledge
    encoder = OnnxEncoder.load(models / "all-minilm-l6-v2")
    pages = folder / "pages"
    write_pages(pages, passages)
    grown, fence = Grown(encoder, REAL), GrownFence(encoder, REAL)
    took = _timed(lambda: store.add(knowledge, BRAND, pages, grown, judge=fence))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    embedding, judging = grown.seconds / grown.embedded, fence.seconds / fence.judged
    rest = (took - grown.seconds - fence.seconds) / passages
    first = passages * (embedding + judging + rest)
    real = Fence(encoder)
    again = _timed(lambda: store.add(knowledge, BRAND, pages, encoder, judge=real))
    store.add(knowledge, BRAND, _page(folder, 0), encoder, judge=real)  # loads what the others need
    one, busy = [], []
    for at in range(1, ADDED + 1):
        page, since = _page(folder, at), time.process_time()
        one.append(_timed(lambda page=page: store.add(knowledge, BRAND, page, encoder, judge=real)))  # type: ignore[misc]
        busy.append(time.process_time() - since)
    visible = [_visible(home, _page(folder, 100 + at), encoder) for at in range(3)]
    return {
        "passages": passages,
        "per_s": passages / first,
        "embedding_ms": 1000 * embedding,
        "judging_ms": 1000 * judging,
        "rest_ms": 1000 * rest,
        "again_s": again,
        "again_share": again / first,
        "one_ms": 1000 * statistics.median(one),
        "busy_ms": 1000 * statistics.median(busy),
        "visible_s": statistics.median(visible),
        "peak_mb": peak_mb,
        "open_mb": _opened_mb(home, models),
    }


def _timed(work: Callable[[], object]) -> float:
    since = time.perf_counter()
    work()
    return time.perf_counter() - since


def _page(folder: Path, number: int) -> Path:
    """A page of one passage that is not there yet."""
    page = folder / f"new-{number}.md"
    page.write_text(f"# New {number}\n\n{_text(-1 - number, 0)}\n", encoding="utf-8")
    return page


def _visible(home: Path, page: Path, encoder: Encoder) -> float:
    """Seconds from the start of `kb add` to the search of a base that is open elsewhere."""
    knowledge = KnowledgeBase.open(Home(home).knowledge, BRAND, encoder)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BRANDVOICE_")}
    since = time.perf_counter()
    command = [sys.executable, "-m", "service.cli", "kb", "add", str(page), "--brand", BRAND]
    with subprocess.Popen(
        command, env=environment | {"BRANDVOICE_HOME": str(home)}, stderr=subprocess.DEVNULL
    ) as adding:
        while not knowledge.refresh():
            if adding.poll():
                raise SystemExit(f"`{' '.join(command[1:])}` ended with {adding.returncode}")
            time.sleep(POLL_S)
        if not any(one.id == page.name for one in knowledge.documents()):
            raise SystemExit(f"{page.name} is not in the new version")
        return time.perf_counter() - since


OPENED = """
import sys
from pathlib import Path
from retrieval.encoder import OnnxEncoder
from retrieval.search.knowledge_base import KnowledgeBase
def mb(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
encoder = OnnxEncoder.load(Path(sys.argv[2]) / "all-minilm-l6-v2")
before = mb()
base = KnowledgeBase.open(Path(sys.argv[1]), sys.argv[3], encoder)
base.search("What does the order cost?")
print(mb() - before)
"""


def _opened_mb(home: Path, models: Path) -> float:
    """What a base in memory takes, its encoder not counted."""
    command = [sys.executable, "-c", OPENED, str(Home(home).knowledge), str(models), BRAND]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


COLUMNS = (
    ("passages", "{passages:,.0f}"),
    ("first, passages/s", "{per_s:.1f}"),
    ("embedding, ms each", "{embedding_ms:.1f}"),
    ("fence, ms each", "{judging_ms:.1f}"),
    ("all else, ms each", "{rest_ms:.2f}"),
    ("unchanged again, s", "{again_s:.2f}"),
    ("share of first", "{again_share:.2%}"),
    ("one page added, ms", "{one_ms:.0f}"),
    ("ratio", "{one_ratio:.2f}"),
    ("of it processor time, ms", "{busy_ms:.0f}"),
    ("ratio", "{busy_ratio:.2f}"),
    ("`kb add` of a page until it is searched, s", "{visible_s:.2f}"),
    ("peak memory of taking in, MB", "{peak_mb:.0f}"),
    ("memory of the open base, MB", "{open_mb:.0f}"),
)


def render(rows: Sequence[dict[str, float]], load: float) -> str:
    """The table."""
    lines = [
        f"# Taking in knowledge, {date.today().isoformat()}",
        "",
        f"`python -m benchmarks.ingest` on {os.cpu_count()} cores ({platform.machine()}, Python "
        f"{platform.python_version()}); {load:.1f} processes wanted a core when it began. Made pages of "
        f"{PASSAGES_A_PAGE} passages, one in {DOCX_EVERY} a DOCX. Embedding and fence are measured on the first "
        f"{REAL:,} passages of each row and counted for all. `ratio` is against the first row.",
        "",
        "| " + " | ".join(name for name, _ in COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        told = row | {f"{key}_ratio": row[f"{key}_ms"] / rows[0][f"{key}_ms"] for key in ("one", "busy")}
        lines.append("| " + " | ".join(form.format(**told) for _, form in COLUMNS) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.ingest", description="Taking in knowledge, and how it grows.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 50_000], help="passages")
    parser.add_argument("--models", type=Path, default=Home.from_environment(os.environ).models)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory(prefix="brandvoice-ingest-") as folder:
            sys.stdout.write(json.dumps(measure(options.sizes[0], options.models.resolve(), Path(folder))) + "\n")
        return
    load = os.getloadavg()[0]
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        command = [sys.executable, "-m", "benchmarks.ingest", "--one", "--sizes", str(size)]
        done = subprocess.run(
            [*command, "--models", str(options.models)], check=True, stdout=subprocess.PIPE, text=True
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        sys.stderr.write(f"{size:,} passages: {json.dumps(rows[-1])}\n")
    table = render(rows, load)
    sys.stdout.write(table)
    if options.out:
        options.out.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
