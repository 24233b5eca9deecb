"""Let a model write training conversations from a brand's documents; what `brandvoice data synthesize` starts.

    python -m training.synthetic.make --brand velmora --engine http://127.0.0.1:8001/v1 --out chats.jsonl

For each passage of the brand's knowledge: questions with their answers, questions that it does not answer with the
brand's own refusal, and other wordings of the questions that were accepted. Each is checked (`checks`), and written
with its origin, not approved; what a check refuses is written beside it with the reason. The same command goes on
where it was stopped. Progress goes to stderr, the result as one JSON object to stdout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from retrieval.errors import RetrievalError
from retrieval.passages import Passage
from training.conversations import AssistantMessage, Conversation, Synthetic, UserMessage
from training.errors import EngineFailed, TrainingError
from training.progress import LineProgress, Progress, Report, silent
from training.synthetic import prompts
from training.synthetic.checks import MAX_CHARS, Candidate, Desk, same_place
from training.synthetic.engine import KEY_VARIABLE, ChatEngine
from training.synthetic.files import Journal, Rejected, alone, read_rejected, read_rows, rejected_file
from training.synthetic.prompts import KINDS, PROMPT_VERSION, Kind

PARALLEL = 4
"""Requests at once; an engine batches them."""
NONSENSE = 30
"""Texts in a row without a question, after which the model is given up."""
MOST_OTHERS = 5
"""Questions that a prompt names as asked already."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is made."""

    model: str
    kinds: Sequence[Kind] = KINDS
    per_passage: int = 1
    """Examples of each kind; of paraphrases, for each answer."""
    seed: int = 7
    limit: int | None = None
    """Passages that are asked about, the first ones; all where absent."""
    parallel: int = PARALLEL


@dataclass(frozen=True, slots=True)
class Task:
    """One example to be written."""

    id: str
    kind: Kind
    chunk: str
    passage: Passage
    seed: int
    origin: Conversation | None = None
    """Of a paraphrase, the conversation whose question is asked again."""


def synthesize(desk: Desk, engine: ChatEngine, wish: Wish, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Write the examples that are not there yet.

    Args:
        desk: The brand, and what its examples are checked with.
        engine: Where the model is.
        wish: What is made.
        out: JSON lines; what a check refuses goes to `rejected_file(out)`.
        progress: Told of each example.

    Returns:
        `result` of the files.

    Raises:
        DataInvalid: The file holds something else.
        EngineFailed: The model does not answer, or with nonsense; all that was made before is in the files.
        TrainingFailed: Another command is writing the file.
    """
    with alone(out):
        journal = Journal(out)
        try:
            return _Run(desk, engine, wish, out, journal, progress).all()
        finally:
            journal.close()


class _Run:
    def __init__(
        self, desk: Desk, engine: ChatEngine, wish: Wish, out: Path, journal: Journal, progress: Progress
    ) -> None:
        self._desk, self._engine, self._wish = desk, engine, wish
        self._out, self._journal, self._progress = out, journal, progress
        self._rows = {one.id: one for one in read_rows(out)}
        self._there = {*self._rows, *(one.id for _, one in read_rejected(out))}
        self._guide = desk.brand.voice_guide.read_text(encoding="utf-8")
        self._passages = list(desk.passages())[: wish.limit]
        self._shots = {kind: desk.shots(kind) for kind in wish.kinds}
        self._asked: dict[str, list[str]] = {}
        self._nonsense = 0
        self.resumed = len(self._there)
        for row in self._rows.values():
            if row.synthetic is not None:
                self._remember(row.synthetic.passage, row.messages[0].content)

    def all(self) -> dict[str, Any]:
        """Every kind in turn: paraphrases need the answers."""
        for kind in KINDS:
            if kind in self._wish.kinds:
                self._make(kind, [one for one in self._tasks(kind) if one.id not in self._there])
        return result(self._out, resumed=self.resumed)

    def _tasks(self, kind: Kind) -> Iterator[Task]:
        """All passages once, then all again, so that an early stop leaves something of each."""
        for number in range(self._wish.per_passage):
            if kind != "paraphrase":
                for chunk, passage in self._passages:
                    yield self._task(kind, chunk, passage, number)
                continue
            held = dict(self._passages)
            for row in list(self._rows.values()):
                if row.synthetic is not None and row.synthetic.kind == "answer" and row.synthetic.passage in held:
                    yield self._task(kind, row.synthetic.passage, held[row.synthetic.passage], number, row)

    def _task(self, kind: Kind, chunk: str, passage: Passage, number: int, origin: Conversation | None = None) -> Task:
        made_of = [self._wish.seed, self._wish.model, PROMPT_VERSION, chunk, passage.text, kind, number]
        digest = hashlib.sha256(json.dumps([*made_of, origin and origin.id]).encode()).hexdigest()
        return Task(f"synthetic-{kind}-{digest[:16]}", kind, chunk, passage, int(digest[16:23], 16), origin)

    def _make(self, kind: Kind, tasks: Sequence[Task]) -> None:
        """Ask for several at once; answers are judged in the order of the tasks, so that a rerun is the same."""
        began, done = time.monotonic(), 0
        asked: deque[tuple[Task, Future[str]]] = deque()
        left = iter(tasks)
        stage = {"answer": "questions and answers", "refusal": "refusals", "paraphrase": "paraphrases"}[kind]
        self._progress(Report(stage, 0, len(tasks)))
        pool = ThreadPoolExecutor(self._wish.parallel)
        try:
            while True:
                for task in left:
                    asked.append((task, pool.submit(self._ask, task, tuple(self._asked.get(task.chunk, ())))))
                    if len(asked) >= self._wish.parallel:
                        break
                if not asked:
                    return
                task, text = asked.popleft()
                self._judge(task, text.result())
                done += 1
                each = (time.monotonic() - began) / done
                self._progress(Report(stage, done, len(tasks), eta_s=each * (len(tasks) - done)))
        finally:
            # What is in flight is asked again by the next run.
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, task: Task, others: Sequence[str]) -> str:
        return self._engine.complete(
            prompts.messages(
                task.kind,
                task.passage,
                display_name=self._desk.brand.display_name,
                guide=self._guide,
                seed=task.seed,
                question=task.origin.messages[0].content if task.origin else "",
                others=others[-MOST_OTHERS:],
                # A passage is not shown as an example for itself.
                shots=[one for one in self._shots[task.kind] if not same_place(one.passage, task.passage)],
            ),
            model=self._wish.model,
            seed=task.seed,
            temperature=prompts.TEMPERATURE,
            max_tokens=prompts.MAX_TOKENS,
        )

    def _judge(self, task: Task, text: str) -> None:
        now = datetime.now(UTC)
        read = prompts.read(task.kind, text)
        if read is None:
            self._nonsense += 1
            self._refuse(task, now, "unreadable", "no question and reply as they were asked for", text=text[:MAX_CHARS])
            if self._nonsense >= NONSENSE:
                raise EngineFailed(
                    f"{self._wish.model} answered {NONSENSE} times in a row without a question and a reply, such as "
                    f"{' '.join(text.split())[:80]!r}; take a larger model, or one that is trained for chats"
                )
            return
        self._nonsense = 0
        question, reply = read
        if task.kind == "refusal":
            words = self._desk.brand.words.refusals
            reply = words[task.seed % len(words)]
        asked = task.origin.messages[0].content if task.origin else ""
        if task.origin:
            reply = task.origin.messages[1].content
        candidate = Candidate(task.kind, task.passage, question, reply, asked)
        if no := self._desk.check(candidate):
            self._refuse(task, now, no.rule, no.reason, question, reply)
            return
        row = self._row(task, candidate, now)
        self._rows[row.id] = row
        self._remember(task.chunk, question)
        self._journal.add(row)

    def _row(self, task: Task, one: Candidate, now: datetime) -> Conversation:
        refused = task.kind == "refusal"
        return Conversation(
            id=task.id,
            topic=one.passage.document.rsplit("/", maxsplit=1)[-1].split(".", maxsplit=1)[0] or "documents",
            messages=(
                UserMessage(role="user", content=one.question),
                AssistantMessage(
                    role="assistant",
                    content=one.reply,
                    outcome="refused" if refused else "answered",
                    documents=() if refused else (one.passage.document,),
                ),
            ),
            synthetic=Synthetic(
                kind=task.kind,
                brand=self._desk.brand.name,
                model=self._wish.model,
                prompt=PROMPT_VERSION,
                seed=task.seed,
                made_at=now,
                document=one.passage.document,
                passage=task.chunk,
                passage_text=one.passage.text,
                rewords=task.origin.id if task.origin else None,
                voice=self._desk.sounds(one.reply),
            ),
        )

    def _refuse(
        self, task: Task, now: datetime, rule: str, reason: str, question: str = "", reply: str = "", text: str = ""
    ) -> None:
        self._journal.add(
            Rejected(
                id=task.id,
                kind=task.kind,
                rule=rule,
                reason=reason,
                question=question,
                reply=reply,
                text=text,
                model=self._wish.model,
                prompt=PROMPT_VERSION,
                seed=task.seed,
                made_at=now,
                document=task.passage.document,
                passage=task.chunk,
            )
        )

    def _remember(self, chunk: str, question: str) -> None:
        self._asked.setdefault(chunk, []).append(question)
        self._desk.take(question)


def result(out: Path, *, resumed: int = 0) -> dict[str, Any]:
    """What the files hold: `rows` = `accepted` + `rejected`.

    Args:
        out: The rows that passed.
        resumed: Examples that were there before this run.
    """
    rows, refused = read_rows(out), read_rejected(out)
    return {
        "rows": len(rows) + len(refused),
        "accepted": len(rows),
        "kinds": _counts(row.synthetic.kind for row in rows if row.synthetic),
        "rejected": [
            {
                "file": str(rejected_file(out)),
                "line": line,
                "kind": one.kind,
                "rule": one.rule,
                "reason": one.reason,
                "question": one.question,
            }
            for line, one in refused
        ],
        "rules": _counts(one.rule for _, one in refused),
        "approved": sum(row.synthetic.approved for row in rows if row.synthetic),
        "resumed": resumed,
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def main() -> int:
    """Write examples from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.synthetic.make", description=__doc__)
    parser.add_argument("--brand", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engine", required=True, help=f"such as http://127.0.0.1:8001/v1; its key in {KEY_VARIABLE}")
    parser.add_argument("--model", help="its name at the engine; the only one there where absent")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--per-passage", type=int, default=1)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    parser.add_argument("--against", type=Path, action="append", default=[])
    parser.add_argument("--progress", choices=("bar", "lines"), default="lines")
    arguments = parser.parse_args()
    # A stop of any kind leaves the files whole.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ChatEngine(arguments.engine, api_key=os.environ.get(KEY_VARIABLE)) as engine:
            model = the_model(engine, arguments.model)
            desk = Desk.open(arguments.brand, against=arguments.against)
            wish = Wish(
                model,
                [one for one in KINDS if one in arguments.kinds.split(",")],
                arguments.per_passage,
                arguments.seed,
                arguments.limit,
                arguments.parallel,
            )
            with _shown(arguments.progress) as progress:
                made = synthesize(desk, engine, wish, arguments.out, progress)
    except (TrainingError, ConfigError, RetrievalError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped; what was made is in {arguments.out}, and the same command goes on\n")
        sys.stderr.flush()
        # Requests in flight would hold the process for minutes.
        os._exit(130)
    sys.stdout.write(json.dumps(made) + "\n")
    return 0


def the_model(engine: ChatEngine, named: str | None) -> str:
    """The model that is asked.

    Raises:
        EngineFailed: Nothing answers, or there is none of that name, or several and none was named.
    """
    there = engine.models()
    if named is None and len(there) == 1:
        return there[0]
    if named is None:
        names = f"has {', '.join(there[:8])}" if there else "does not say which models it has"
        raise EngineFailed(f"{engine.url} {names}; name one with --model")
    # Servers may take more names than they list.
    return named


def _shown(kind: str) -> AbstractContextManager[Progress]:
    if kind == "lines":
        return nullcontext(LineProgress())
    from training.train import BarProgress

    return BarProgress()


if __name__ == "__main__":
    sys.exit(main())
