"""How often the rules of frustration speak on data that exists: `python -m benchmarks.handover DATA_FOLDER`.

The rules were written without looking at this data, and nothing is fitted on it. False alarms: calm conversations and
plain questions, where none should speak. Found: messages that the data marks as offensive.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from service.turns.handover_rules import frustration

Case = tuple[str, tuple[str, ...]]
"""A message, and what the customer said before it."""
LOOK_BACK = 3
"""Earlier messages that a turn in service knows."""


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of JSON lines, packed or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def spoken(messages: Iterable[dict[str, Any]]) -> Iterator[Case]:
    """Each message of the customer with those before it."""
    before: list[str] = []
    for message in messages:
        if message["role"] == "user":
            yield message["content"], tuple(before[-LOOK_BACK:])
            before.append(message["content"])


def count(cases: Iterable[Case]) -> tuple[int, Counter[str]]:
    """Messages, and how many of them each rule speaks on."""
    total, found = 0, Counter[str]()
    for text, earlier in cases:
        total += 1
        if why := frustration(text, earlier):
            found[why.removeprefix("frustration: ")] += 1
    return total, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    data: Path = parser.parse_args().data
    sets: list[tuple[str, Iterable[Case]]] = []
    for brand in ("velmora", "dicehollow"):
        file = Path(f"samples/{brand}/conversations.jsonl")
        sets.append((f"{brand}: conversations", [case for row in rows(file) for case in spoken(row["messages"])]))
    for name in ("star_multiturn", "tm4_coffee", "tau_retail_tools"):
        (file,) = data.glob(f"support_chat/{name}.jsonl*")
        sets.append((f"{name}: calm dialogues", [case for row in rows(file) for case in spoken(row["messages"])]))
    for name in ("banking77", "clinc150", "multidogo", "natcs"):
        (file,) = data.glob(f"intents/{name}.jsonl*")
        sets.append((f"{name}: single messages", [(row["text"], ()) for row in rows(file)]))
    (file,) = data.glob("support_chat/bitext_singleturn.jsonl*")
    bitext = list(rows(file))
    for name, wanted in (("bitext: not marked offensive", False), ("bitext: marked offensive (to be found)", True)):
        chosen = [row for row in bitext if ("W" in (row.get("tags") or "")) == wanted]
        sets.append((name, [case for row in chosen for case in spoken(row["messages"])]))
    print("| data | messages | rules speak on | share | which |\n|---|---|---|---|---|")
    for name, cases in sets:
        total, found = count(cases)
        which = ", ".join(f"{why}: {number}" for why, number in found.most_common()) or "none"
        print(f"| {name} | {total:,} | {found.total()} | {found.total() / max(total, 1):.2%} | {which} |")


if __name__ == "__main__":
    main()
