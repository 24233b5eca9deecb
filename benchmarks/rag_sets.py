"""The public question sets of ../shared/data/rag in the form that `brandvoice kb eval` reads.

    python -m benchmarks.rag_sets FOLDER [--data ../shared/data/rag]

writes SET.corpus.jsonl and SET.questions.jsonl for each set. How each is meant stands in the README beside the data:
tau2 is indexed by text without title; doc2dial's questions are conversations with all their user turns; mtrag-last is
mtrag without the history; an unanswerable question of SQuAD 2 names the paragraph that it was made up for, no gold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "rag"
SETS = ("mtrag", "mtrag-last", "doc2dial", "tau2", "plausible", "squad2")
ANSWERABLE: Mapping[str, bool] = {
    "answerable": True,
    "partial": False,
    "underspecified": False,
    "unanswerable": False,
}
"""MTRAG's labels as the choice between answering and not; `conversational` is neither."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """One corpus and the questions about it."""

    name: str
    corpus: tuple[Row, ...]
    """`id`, `title`, `text`."""
    questions: tuple[Row, ...]
    """`question` or `messages`, `gold`, and `answerable` where it is known."""

    def plain(self) -> tuple[str, ...]:
        """Each question as one text, for systems that know no conversations: all user turns of doc2dial, else the last.

        As the goals were measured: MTRAG's earlier turns harm a search that weighs all alike.
        """
        return tuple(
            row.get("question") or ("\n".join(_said(row)) if self.name == "doc2dial" else _said(row)[-1])
            for row in self.questions
        )


def read_set(name: str, data: Path = DATA) -> QuestionSet:
    """Read one of `SETS`."""
    corpus, questions = {
        "mtrag": _mtrag,
        "mtrag-last": _mtrag_last,
        "doc2dial": _doc2dial,
        "tau2": _tau2,
        "plausible": _plausible,
        "squad2": _squad2,
    }[name](data)
    return QuestionSet(name, tuple(corpus), tuple(questions))


def write_set(one: QuestionSet, folder: Path) -> tuple[Path, Path]:
    """Write the corpus and the questions of a set; gives both files."""
    files = folder / f"{one.name}.corpus.jsonl", folder / f"{one.name}.questions.jsonl"
    for file, rows in zip(files, (one.corpus, one.questions), strict=True):
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return files


def _mtrag(data: Path) -> tuple[Iterator[Row], Iterator[Row]]:
    questions = (
        {"messages": row["messages"], "gold": row["gold_passages"]}
        | ({"answerable": ANSWERABLE[row["answerability"]]} if row["answerability"] in ANSWERABLE else {})
        for row in _rows(data / "mtrag_questions.jsonl")
    )
    return _documents(data / "mtrag_corpus.jsonl"), questions


def _mtrag_last(data: Path) -> tuple[Iterator[Row], Iterator[Row]]:
    corpus, questions = _mtrag(data)
    return corpus, ({"question": row.pop("messages")[-1]["content"]} | row for row in questions)


def _doc2dial(data: Path) -> tuple[Iterator[Row], Iterator[Row]]:
    questions = (
        {"messages": row["messages"], "gold": [span["doc"] for span in row["gold_spans"]], "answerable": True}
        for row in _rows(data / "doc2dial_questions.jsonl")
    )
    return _documents(data / "doc2dial_corpus.jsonl"), questions


def _tau2(data: Path) -> tuple[Iterator[Row], Iterator[Row]]:
    questions = (
        {"question": row["question"], "gold": row["gold_documents"], "answerable": True}
        for row in _rows(data / "tau2_banking_title_questions.jsonl")
    )
    corpus = ({"id": row["id"], "title": "", "text": row["text"]} for row in _rows(data / "tau2_banking_corpus.jsonl"))
    return corpus, questions


def _plausible(data: Path) -> tuple[Iterator[Row], Iterator[Row]]:
    questions = (
        {"question": row["question"], "gold": row["gold_documents"], "answerable": True}
        for row in _rows(data / "plausible_questions.jsonl")
    )
    return _documents(data / "plausible_docs.jsonl", text="markdown"), questions


def _squad2(data: Path) -> tuple[Iterator[Row], Iterator[Row]]:
    questions = (
        {
            "question": row["question"],
            "gold": row["gold_passages"] if row["answerable"] else [],
            "answerable": row["answerable"],
        }
        for row in _rows(data / "squad2_questions.jsonl")
    )
    return _documents(data / "squad2_corpus.jsonl"), questions


def _said(row: Row) -> list[str]:
    return [one["content"] for one in row["messages"] if one["role"] == "user" and one["content"].strip()]


def _documents(file: Path, text: str = "text") -> Iterator[Row]:
    return ({"id": row["id"], "title": row["title"], "text": row[text]} for row in _rows(file))


def _rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def main() -> None:
    """Write all sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        for file in write_set(read_set(name, options.data), options.folder):
            print(file)


if __name__ == "__main__":
    main()
