"""The card of a set of data: what it is, for people (Markdown) and programs (JSON), with a picture of its lengths."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from statistics import quantiles
from typing import Any

from retrieval.language import personal
from training.data.balance import shares
from training.data.doctor import Examined
from training.data.rows import Row
from training.data.score import Score
from training.data.split import Split
from training.runs.plot import histogram

CARD, FACTS, PICTURE = "card.md", "card.json", "lengths.svg"
_EXAMPLES = 3
_MOST_CHARS = 300


def write_card(folder: Path, found: Examined, score: Score, split: Split) -> None:
    """Write the three files of a card; the folder is made where it is absent.

    Personal data is hidden in the examples, whether or not it is in the data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    facts = card(found, score, split)
    lengths = [len(reply.split()) for row in found.accepted for reply in row.replies]
    picture = histogram(lengths, title="length of the replies", below="words")
    (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (folder / PICTURE).write_text(picture, encoding="utf-8")
    (folder / CARD).write_text(_markdown(facts), encoding="utf-8")


def card(found: Examined, score: Score, split: Split) -> dict[str, Any]:
    """The facts of a card: the same data gives the same card."""
    lengths = [len(reply.split()) for row in found.accepted for reply in row.replies]
    return {
        "score": score.points,
        "verdict": score.verdict,
        "reasons": list(score.reasons),
        "files": [
            {"name": one.path.name, "sha256": one.sha256, "bytes": one.size, "rows": one.rows} for one in found.files
        ],
        "rows": found.rows,
        "accepted": len(found.accepted),
        "rejected": dict(sorted(Counter(one.rule for one in found.rejected).items())),
        "warnings": dict(sorted(Counter(one.rule for one in found.warnings).items())),
        "masked": found.masked,
        "pii": found.pii,
        "forms": dict(sorted(Counter(row.form for row in found.accepted).items())),
        "messages": sum(len(row.turns) for row in found.accepted),
        "shares": {name: round(share, 4) for name, share in shares(found.accepted).items()},
        "reply_words": _spread(lengths),
        "split": {"train": len(split.train), "evaluation": len(split.evaluation), "sha256": split.sha256},
        "examples": [_example(row) for row in _drawn(found.accepted)],
    }


def _spread(lengths: list[int]) -> dict[str, float]:
    if len(lengths) < 2:
        return {}
    parts = quantiles(lengths, n=20, method="inclusive")
    return {"shortest": min(lengths), "5%": parts[0], "median": parts[9], "95%": parts[18], "longest": max(lengths)}


def _drawn(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Rows from the beginning, the middle and the end."""
    places = {0, len(rows) // 2, len(rows) - 1} if rows else set()
    return tuple(rows[place] for place in sorted(places))[:_EXAMPLES]


def _example(row: Row) -> dict[str, Any]:
    messages = []
    for turn in row.turns[:4]:
        text = personal.hide(turn.content, personal.find(turn.content))
        messages.append({"role": turn.role, "content": text[:_MOST_CHARS] + ("..." if len(text) > _MOST_CHARS else "")})
    return {"file": row.file.name, "line": row.line, "messages": messages}


def _markdown(facts: dict[str, Any]) -> str:
    lines = [
        "# Dataset card",
        "",
        f"**{facts['score']} of 100**: {facts['verdict']}.",
        "",
        *(f"- `{reason}`" for reason in facts["reasons"]),
        "",
        f"{facts['rows']} rows, {facts['accepted']} accepted, {facts['messages']} messages.",
        f"Split by conversation and near questions: {facts['split']['train']} to train, "
        f"{facts['split']['evaluation']} to evaluate (`{facts['split']['sha256'][:16]}`).",
        "",
        *_table(("file", "sha256", "bytes", "rows"), [one.values() for one in facts["files"]]),
        *_table(("rejected by", "rows"), facts["rejected"].items()),
        *_table(("warning", "count"), facts["warnings"].items()),
        *_table(("share", "of the data"), [(name, f"{share:.1%}") for name, share in facts["shares"].items()]),
        *_table(("words of a reply", "count"), facts["reply_words"].items()),
        f"![Length of the replies]({PICTURE})",
        "",
        "## Examples",
        "",
    ]
    for one in facts["examples"]:
        lines += [f"`{one['file']}:{one['line']}`", ""]
        lines += [f"> **{said['role']}**: {' '.join(said['content'].split())}\n>" for said in one["messages"]]
        lines.append("")
    return "\n".join(lines)


def _table(headings: tuple[str, ...], rows: Any) -> list[str]:
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return []
    lines = [list(headings), ["---"] * len(headings), *cells]
    return [*(f"| {' | '.join(row)} |" for row in lines), ""]
