"""What a model is asked for, and how its text becomes a question and a reply.

Labels instead of JSON: every model can write them, the smallest too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.passages import Passage

Kind = Literal["answer", "refusal", "paraphrase"]
KINDS: tuple[Kind, ...] = ("answer", "refusal", "paraphrase")
PROMPT_VERSION = "synthetic-1"
"""Change it with any word below: rows say which prompt made them."""
TEMPERATURE = 0.7
MAX_TOKENS = 400
SYSTEM = (
    "You write examples for the customer service of {display_name}. Write in the language of the passage."
    "\n\nThe house speaks like this:\n{guide}"
)
PASSAGE = "Passage from the help pages, {heading}:\n{text}\n\n"
TASKS: dict[Kind, str] = {
    "answer": (
        "Write a question of a customer that this passage answers, {manner}. Then write the reply of the house: one to "
        "three sentences, only what the passage says, with the same figures and names, and nothing else.{others}\n"
        "Write these two lines and no more:\nQuestion: ...\nReply: ..."
    ),
    "refusal": (
        "Write a question of a customer about the same subject that this passage does NOT answer, {manner}.{others}\n"
        "Write this line and no more:\nQuestion: ..."
    ),
    "paraphrase": (
        "A customer asks: {question}\n\nAsk for the same in other words, {manner}. Keep the meaning and every figure."
        "{others}\nWrite this line and no more:\nQuestion: ..."
    ),
}
OTHERS = " It must differ from these:\n{listed}\n"
MANNERS = (
    "in a full, polite sentence",
    "in a few words",
    "in lower case, as one types in a hurry",
    "with the reason why the customer asks",
    "as somebody who does not know the proper term",
)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_LABEL = re.compile(r"^[ \t>*_#-]*(question|reply|answer)\b[ \t*_]*:[ \t*_]*", re.IGNORECASE | re.MULTILINE)
_MARKS = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")


@dataclass(frozen=True, slots=True)
class Shot:
    """An example that people wrote, shown to the model: how customers ask here, and how the house replies."""

    passage: Passage
    question: str
    reply: str


def messages(
    kind: Kind,
    passage: Passage,
    *,
    display_name: str,
    guide: str,
    seed: int,
    question: str = "",
    others: Sequence[str] = (),
    shots: Sequence[Shot] = (),
) -> list[dict[str, str]]:
    """The chat messages that ask for one example.

    Args:
        kind: What is asked for.
        passage: What it is about.
        display_name: The house, as customers know it.
        guide: Its voice guide.
        seed: Draws the customer's manner.
        question: Of a paraphrase, what is asked again.
        others: Questions that there are already.
        shots: Examples of this kind, shown as turns of the chat; none for a paraphrase.
    """
    manner = random.Random(seed).choice(MANNERS)  # noqa: S311  (reproducible, not secret)
    listed = OTHERS.format(listed="\n".join(f"- {one}" for one in others)) if others else ""
    said = [{"role": "system", "content": SYSTEM.format(display_name=display_name, guide=guide.strip())}]
    for shot in shots:
        task = TASKS[kind].format(manner="as customers do", others="", question=question)
        said.append({"role": "user", "content": _about(kind, shot.passage) + task})
        reply = f"\nReply: {shot.reply}" if kind == "answer" else ""
        said.append({"role": "assistant", "content": f"Question: {shot.question}{reply}"})
    task = TASKS[kind].format(manner=manner, others=listed, question=question)
    said.append({"role": "user", "content": _about(kind, passage) + task})
    return said


def read(kind: Kind, text: str) -> tuple[str, str] | None:
    """Question and reply of a model's text, the reply empty where none is asked for; None where it holds none.

    Citation marks are left out: the check places them (ADR 2).
    """
    text = _THOUGHT.sub("", text)
    if kind != "answer" and not _LABEL.search(text):
        # One line was asked for; many models leave its label out.
        first = next((line for line in text.splitlines() if line.strip()), "")
        text = f"Question: {first}" if first.rstrip('"”* ').endswith("?") else ""
    parts = _LABEL.split(text)
    said: dict[str, str] = {}
    for label, content in zip(parts[1::2], parts[2::2], strict=True):
        # The first of each counts: small models go on and on.
        said.setdefault("question" if label.lower() == "question" else "reply", _clean(content))
    question = said.get("question", "")
    question = question.splitlines()[0] if question else ""
    reply = said.get("reply", "") if kind == "answer" else ""
    if not re.search(r"\w", question) or (kind == "answer" and not re.search(r"\w", reply)):
        return None
    return question, reply


def _about(kind: Kind, passage: Passage) -> str:
    return "" if kind == "paraphrase" else PASSAGE.format(heading=passage.heading or passage.title, text=passage.text)


def _clean(text: str) -> str:
    plain = _MARKS.sub("", text).strip()
    for start, end in (('"', '"'), ("“", "”"), ("**", "**")):
        if plain.startswith(start) and plain.endswith(end) and len(plain) > len(start) + len(end):
            plain = plain[len(start) : -len(end)].strip()
    return plain
