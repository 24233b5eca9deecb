"""How well the sentence check, the refusal and the fence hold: one table each, from one run.

    python -m benchmarks.answers [--out FILE] [--data FOLDER] [--encoder FOLDER]

Sentence check: the seeded sets of `answers_seed`, by class, apart for the houses that were looked at while the check
was made and those that were not; only the latter are held against the goals. Refusal: `answerability_fit` of
`retrieval.search`, on questions that its models were not fitted on. Fence: `fence_fit` of `retrieval.grounding`, on
kinds of attack that its models were not fitted on. The last two need the public data. Progress goes to stderr: on two
cores the whole takes some ten minutes, of which the searches of the refusal take most.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.answers_seed import RIGHT, SEED_FILES, WRONG, Case, Part, cases
from benchmarks.goals import Goal, at_least, goal_table
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
GOALS: tuple[tuple[tuple[str, ...], str, float], ...] = (
    (("paraphrased", "style"), "false alarms", 0.05),
    (("number", "price", "date or time", "name", "name of another line", "promise"), "caught", 0.95),
)
AUROC_GOAL, REFUSED_GOAL = 0.85, 0.60


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
    for case in (one for file in SEED_FILES for one in cases(file)):
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
    """By class and part, then the goals."""
    lines = ["| class | tuning | unseen |", "|---|---|---|"]
    for name in (*RIGHT, *WRONG):
        word = "false alarms" if name in RIGHT else "caught"
        cells = [_share(*_counted(found, part, (name,)), word) for part in ("tuning", "unseen")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| goal | tuning | unseen | |", "|---|---|---|---|"]
    for names, word, goal in GOALS:
        tuning, unseen = (_counted(found, part, names) for part in ("tuning", "unseen"))
        held = Goal(f"{', '.join(names)}: {word}", unseen[0] / unseen[1], goal, at_least=names[0] not in RIGHT)
        lines.append(f"| {held.what} {held.bound} | {_share(*tuning, '')} | {_share(*unseen, '')} | {held.verdict} |")
    per_sentence = 1000 * found.seconds / found.sentences
    lines += [
        "",
        f"{found.sentences} sentences, {per_sentence:.2f} ms each; {found.other_source} cited with another passage",
    ]
    return lines


def _counted(found: Tally, part: Part, names: Sequence[str]) -> tuple[int, int]:
    """False alarms of right classes or catches of wrong ones, and of how many cases."""
    asked = sum(found.asked[part, name] for name in names)
    wrongly = sum(found.wrongly[part, name] for name in names)
    return (wrongly if names[0] in RIGHT else asked - wrongly), asked


def _share(count: int, asked: int, word: str) -> str:
    if not asked:
        return "-"
    return f"{count / asked:.3f} {word} ({count} of {asked})".replace("  ", " ")


def refusal_goals(lines: Sequence[str]) -> list[str]:
    """What `answerability_fit` says of both public sets together, beside the goals."""
    line = next((one for one in lines if one.startswith("squad2 and mtrag together")), "")
    found = re.search(r"AUROC ([\d.]+), .*?([\d.]+) at 10 %", line)
    if found is None:
        return []
    held = (
        at_least("AUROC, both public sets", AUROC_GOAL, float(found[1])),
        at_least("refused at 10 % false refusals, both public sets", REFUSED_GOAL, float(found[2])),
    )
    return ["", *goal_table(held)]


def _note(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


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
    _note("sentence check: the seeded sets, some seconds")
    lines += ["## Sentence check", "", *sentence_table(tally(OnnxEncoder.load(encoder_folder))), ""]
    if not (data / "rag").is_dir():
        return "\n".join([*lines, f"Refusal and fence were not measured: there is no {data / 'rag'}.", ""])
    samples = [str(ROOT / "samples" / brand) for brand in BRANDS]
    _note("refusal: indexing and searching two brands and two public sets, about seven minutes")
    refusal = _printed(answerability_fit.main, [str(encoder_folder), str(data), *samples])
    _note("fence: five fits, about a minute")
    fence = _printed(fence_fit.main, [str(encoder_folder), str(data)])
    lines += ["## Refusal", "", *(f"- {line}" for line in refusal if ":" in line and "{" not in line)]
    lines += [*refusal_goals(refusal), ""]
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
