"""Search on public question sets beside BM25, dense, plain RRF, LangChain's ensemble and Haystack's hybrid, in one run.

    python -m benchmarks.retrieval [--sets mtrag,tau2] [--data DIR] [--peers VENV] [--out FILE.md]

The chunks, the encoder's weights and the questions are the same for all. The peers run where `--peers` names an
environment with langchain-community, langchain-classic, langchain-huggingface, rank_bm25, faiss-cpu, haystack-ai and
sentence-transformers in it. Intervals are 95 % bootstrap intervals over questions. The constants of
our fusion were chosen on a part of these very questions, with the rest in sight (`retrieval/search/fusion.py`): only
questions that are kept apart are blind. The peers run as they come.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import fmean

from benchmarks import search_speed
from benchmarks.rag_sets import DATA, SETS, read_set, write_set
from benchmarks.retrieval_goals import OURS, machine, verdicts
from benchmarks.retrieval_systems import Prepared, Run, baselines, ours, peers, prepare
from configs.home import Home
from retrieval.encoder import OnnxEncoder
from retrieval.evaluation import metrics
from retrieval.evaluation.question_sets import read_corpus, read_questions

HEADINGS = (
    "system",
    "nDCG@10",
    "interval",
    "hit@1",
    "hit@5",
    "hit@10",
    "recall@10",
    "MRR",
    "p50 ms",
    "p95 ms",
    "index s",
)
CAPTION = (
    "Times are of one search on one thread, the query's encoding included; index seconds of ours include the "
    "embedding, whose vectors the others take over (mtrag-last finds the base of mtrag unchanged, as all do with "
    "`--bases`). Of a conversation the turn before was asked before: its vectors are kept, as in service."
)


def main() -> None:
    """Run every set and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--peers", type=Path, help="environment of the peers; they are skipped where absent")
    parser.add_argument("--limit", type=int, help="first questions of each set, for a quick look")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--bases", type=Path, help="folder of bases to use again; without it the sets are embedded anew"
    )
    parser.add_argument("--speed", type=Path, help="file for the tables of benchmarks.search_speed, measured after")
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(
            f"There is no {options.data}: the sets do not ship with the project; name their folder: --data"
        )
    folder = Home.from_environment(os.environ).models / "all-minilm-l6-v2"
    lines = [f"# Search on public question sets, {date.today().isoformat()}", "", f"{machine()}. {CAPTION}", ""]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.sets.split(","):
            _say(f"{name}: embedding")
            # An encoder keeps the vectors of the queries it saw: one for each side, so that both pay for their own.
            bases = options.bases or Path(scratch)
            prepared = _prepare(name, options.data, bases, Path(scratch), OnnxEncoder.load(folder), options.limit)
            runs = _runs(prepared, OnnxEncoder.load(folder), options.peers, Path(scratch))
            section = [*_section(prepared, runs), ""]
            print("\n".join(section), flush=True)
            lines += section
        if options.speed:
            text = search_speed.report(options.data, options.bases, Path(scratch))
            print(text, flush=True)
            options.speed.write_text(text, encoding="utf-8")
    if options.out:
        options.out.write_text("\n".join(lines), encoding="utf-8")


def _prepare(name: str, data: Path, bases: Path, scratch: Path, encoder: OnnxEncoder, limit: int | None) -> Prepared:
    one = read_set(name, data)
    corpus, questions = write_set(one, scratch)
    asked = [(row, plain) for row, plain in zip(read_questions(questions), one.plain(), strict=True) if row.gold]
    asked = asked[:limit]
    return prepare(
        name, read_corpus(corpus), tuple(row for row, _ in asked), tuple(text for _, text in asked), encoder, bases
    )


def _runs(prepared: Prepared, encoder: OnnxEncoder, venv: Path | None, scratch: Path) -> dict[str, Run]:
    since = time.monotonic()
    runs = {OURS: ours(prepared), **baselines(prepared, encoder)}
    if venv:
        runs |= peers(prepared, venv / "bin" / "python", scratch)
    _say(
        f"{prepared.name}: {len(prepared.questions)} questions to {len(runs)} systems, {time.monotonic() - since:.0f} s"
    )
    return runs


def _section(prepared: Prepared, runs: Mapping[str, Run]) -> Iterator[str]:
    golds = [one.gold for one in prepared.questions]
    yield f"## {prepared.name}: {len(golds)} questions, {len(prepared.chunks)} chunks"
    yield ""
    yield f"| {' | '.join(HEADINGS)} |"
    yield f"|{'---|' * len(HEADINGS)}"
    gains = {name: _each(run, golds) for name, run in runs.items()}
    for name, run in runs.items():
        low, high = metrics.interval(gains[name])
        hits = [fmean(map(lambda r, g: metrics.hit(r, g, depth), run.ranked, golds)) for depth in (1, 5, 10)]
        recall = fmean(map(lambda r, g: metrics.recall(r, g, 10), run.ranked, golds))
        mrr = fmean(map(metrics.reciprocal_rank, run.ranked, golds))
        cells = [fmean(gains[name]), *hits, recall, mrr]
        shown = [f"{value:.3f}" for value in cells]
        times = [f"{metrics.percentile(run.milliseconds, share):.1f}" for share in (0.5, 0.95)]
        row = [name, shown[0], f"{low:.3f} to {high:.3f}", *shown[1:], *times, f"{run.index_s:.1f}"]
        yield f"| {' | '.join(row)} |"
    yield ""
    yield from verdicts(prepared.name, runs, golds)


def _each(run: Run, golds: Sequence[tuple[str, ...]]) -> list[float]:
    return [metrics.ndcg(ranked, gold, 10) for ranked, gold in zip(run.ranked, golds, strict=True)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
