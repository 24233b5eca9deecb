"""How well the checks of synthetic conversations tell right from wrong, on what people wrote; no model is asked.

    python -m benchmarks.synthetic_checks

The sample brands' own conversations should pass (each held to the passages of its documents); the same with a changed
figure, or with the reply about another document, should not. The voice is learnt from the same replies, so that it
refuses none of them; its own figures stand in docs/voice.md.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence

from retrieval.passages import Passage
from training.conversations import AssistantMessage
from training.synthetic.checks import Candidate, Desk

BRANDS = ("velmora", "dicehollow")
_FIGURE = re.compile(r"\d+")
_Answered = tuple[str, str, Sequence[Passage]]
"""Question, reply, and the passages of the documents that the reply names."""


def passes(desk: Desk, question: str, reply: str, passages: Sequence[Passage]) -> bool:
    """Whether an answer passes with any of the passages."""
    return any(desk.check(Candidate("answer", one, question, reply)) is None for one in passages)


def refused(desk: Desk, question: str, passage: Passage) -> bool:
    """Whether a question passes as one that is to be refused."""
    return desk.check(Candidate("refusal", passage, question, desk.brand.words.refusals[0])) is None


def measure(name: str) -> dict[str, tuple[int, int]]:
    """Per kind of row: how many pass, of how many."""
    desk = Desk.open(name)
    # Otherwise each would be a duplicate of itself.
    desk.taken.clear()
    by_document: dict[str, list[Passage]] = defaultdict(list)
    for _, passage in desk.passages():
        by_document[passage.document].append(passage)
    answered: list[_Answered] = []
    unanswered: list[str] = []
    for question, reply in (one.messages[:2] for one in desk.own):
        if isinstance(reply, AssistantMessage) and reply.outcome == "answered":
            theirs = [passage for document in reply.documents for passage in by_document[document]]
            answered.append((question.content, reply.content, theirs))
        elif isinstance(reply, AssistantMessage) and reply.outcome == "refused":
            unanswered.append(question.content)
    found: Counter[str] = Counter()
    total: Counter[str] = Counter()

    def note(kind: str, passed: bool) -> None:
        found[kind] += passed
        total[kind] += 1

    anywhere = answered[0][2][0]
    for place, (asked, said, held) in enumerate(answered):
        note("true answers", passes(desk, asked, said, held))
        if figure := _FIGURE.search(said):
            changed = f"{said[: figure.start()]}{int(figure[0]) + 7}{said[figure.end() :]}"
            note("answers with a changed figure", passes(desk, asked, changed, held))
        _, other, elsewhere = answered[(place + 37) % len(answered)]
        if not {one.document for one in held} & {one.document for one in elsewhere}:
            note("replies about another document", passes(desk, asked, other, held))
        note("answerable questions, refused", refused(desk, asked, anywhere))
    for asked in unanswered:
        note("unanswerable questions, refused", refused(desk, asked, anywhere))
    return {kind: (found[kind], total[kind]) for kind in total}


def main() -> int:
    """Print the table."""
    measured = {name: measure(name) for name in BRANDS}
    sys.stdout.write(f"| pass the checks | {' | '.join(BRANDS)} |\n|---|{'---|' * len(BRANDS)}\n")
    for kind in measured[BRANDS[0]]:
        cells = " | ".join("{} of {}".format(*measured[name][kind]) for name in BRANDS)
        sys.stdout.write(f"| {kind} | {cells} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
