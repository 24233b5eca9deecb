"""How well the sentence check, the refusal and the fence hold: one table each, from one run.

    python -m benchmarks.answers [--out FILE] [--data FOLDER] [--encoder FOLDER]

Sentence check: the seeded set of `answers_seed`, by class, apart for the houses that were looked at while the check was
made and those that were not. Refusal: `retrieval.search.answerability_fit`, on questions that its models were not
fitted on. Fence: `retrieval.grounding.fence_fit`, on kinds of attack that its models were not fitted on. The last two
need the public data.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.answers_seed import RIGHT, WRONG, Case, Part, cases
from configs.home import Home
from configs.load import load_config
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.grounding import fence_fit
from retrieval.grounding.check import SentenceCheck, check_sentence
from retrieval.language.sentences import split_sentences
from retrieval.passages import Passage
from retrieval.search import answerability_fit

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
BRANDS = ("velmora", "dicehollow")


@dataclass(slots=True)
class Tally:
    """What the check said of the cases."""

    asked: Counter[tuple[Part, str]] = field(default_factory=Counter)
    wrongly: Counter[tuple[Part, str]] = field(default_factory=Counter)
    """Right sentences refused, wrong ones shown."""
    other_source: int = 0
    """Right claims that were cited with another passage than theirs."""
    sentences: int = 0
    seconds: float = 0.0


def check(case: Case, encoder: Encoder) -> list[SentenceCheck]:
    """All sentences of one case."""
    passages = [Passage(name, "", "", text, 1.0) for name, text in case.passages]
    return [check_sentence(one, passages, question="", encoder=encoder) for one in split_sentences(case.answer)]


def tally(encoder: Encoder) -> Tally:
    """Check every case."""
    found = Tally()
    for case in cases():
        since = time.perf_counter()
        checks = check(case, encoder)
        found.seconds += time.perf_counter() - since
        found.sentences += len(checks)
        key = (case.part, case.name)
        found.asked[key] += 1
        shown = all(one.supported for one in checks)
        found.wrongly[key] += shown is not case.right
        sources = [case.passages[one.source - 1][0] for one in checks if one.source]
        found.other_source += shown and case.passage is not None and any(one != case.passage for one in sources)
    return found


def sentence_table(found: Tally) -> list[str]:
    """By class and part."""
    lines = ["| class | tuning | unseen |", "|---|---|---|"]
    for name in (*RIGHT, *WRONG):
        cells = []
        for part in ("tuning", "unseen"):
            asked, wrongly = found.asked[part, name], found.wrongly[part, name]
            count = wrongly if name in RIGHT else asked - wrongly
            word = "false alarms" if name in RIGHT else "caught"
            cells.append(f"{count / asked:.3f} {word} ({count} of {asked})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    per_sentence = 1000 * found.seconds / found.sentences
    lines += [
        "",
        f"{found.sentences} sentences, {per_sentence:.2f} ms each; {found.other_source} cited with another passage",
    ]
    return lines


def _printed(run: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> list[str]:
    """What a command of ours prints."""
    written = io.StringIO()
    with redirect_stdout(written):
        run(arguments)
    return written.getvalue().rstrip().splitlines()


def report(encoder_folder: Path, data: Path) -> str:
    """All tables as Markdown."""
    lines = [
        f"# Answers, {date.today().isoformat()}",
        "",
        f"{platform.processor() or platform.machine()}, one thread",
        "",
    ]
    lines += ["## Sentence check", "", *sentence_table(tally(OnnxEncoder.load(encoder_folder))), ""]
    if not (data / "rag").is_dir():
        return "\n".join([*lines, f"Refusal and fence were not measured: there is no {data / 'rag'}.", ""])
    samples = [str(ROOT / "samples" / brand) for brand in BRANDS]
    refusal = _printed(answerability_fit.main, [str(encoder_folder), str(data), *samples])
    fence = _printed(fence_fit.main, [str(encoder_folder), str(data)])
    lines += ["## Refusal", "", *(f"- {line}" for line in refusal if ":" in line and "{" not in line), ""]
    lines += ["## Fence", "", *(f"- {line}" for line in fence if ":" in line and "{" not in line), ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.answers", description="Sentence check, refusal, fence.")
    parser.add_argument("--out", type=Path, help="also write the tables there")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the public data")
    parser.add_argument("--encoder", type=Path, help="encoder folder; the configured one where absent")
    chosen = parser.parse_args(arguments)
    home = Home.from_environment(os.environ)
    folder = chosen.encoder or home.models / load_config(ROOT / "configs", os.environ).service.models.encoder
    text = report(folder, chosen.data)
    sys.stdout.write(text)
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
