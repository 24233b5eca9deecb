"""A person decides which synthetic conversations are learnt from; what `brandvoice data review` starts.

    python -m training.synthetic.review chats.jsonl
    python -m training.synthetic.review chats.jsonl --approve ID... --reject ID... --by NAME
    python -m training.synthetic.review chats.jsonl --approve-all --by NAME --out approved.jsonl

Without a decision on the command line, each row that is not decided is shown on the terminal, one key each. Decisions
are written one by one, with who and when. The screen is stderr; stdout gets one JSON object with the counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.errors import ConfigError
from retrieval.errors import BadLine, RetrievalError
from retrieval.json_lines import reasons
from retrieval.passages import Passage
from training.conversations import Conversation
from training.errors import DataInvalid, TrainingError
from training.synthetic.checks import Candidate, Desk, Rejection
from training.synthetic.files import alone, read_rows, write_rows

KEYS = "a approve   r reject   e edit   s skip   q quit"
QUESTION, REPLY = "Question:", "Reply:"
Recheck = Callable[[Conversation], Rejection | None]


class Review:
    """The rows of a file, and the decisions on them."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            DataInvalid: It is broken, or empty.
        """
        self.path = path
        self.rows = {row.id: row for row in read_rows(path)}
        if not self.rows:
            raise DataInvalid([BadLine(path, 1, "no conversation stands in it, so that there is nothing to decide")])

    @property
    def waiting(self) -> tuple[Conversation, ...]:
        """Synthetic rows that nobody has decided, in the order of the file."""
        return tuple(row for row in self.rows.values() if row.synthetic is not None and not row.synthetic.decided)

    def decide(self, name: str, *, approved: bool, by: str, now: datetime) -> None:
        """Note one decision and write the file; an earlier one is replaced.

        Raises:
            DataInvalid: There is no such row, or people wrote it.
        """
        self._note(name, approved=approved, by=by, now=now)
        self.write()

    def decide_all(self, approve: Collection[str], reject: Collection[str], *, by: str, now: datetime) -> None:
        """Note several decisions, all or none.

        Raises:
            DataInvalid: As for one.
        """
        before = dict(self.rows)
        try:
            for names, approved in ((approve, True), (reject, False)):
                for name in names:
                    self._note(name, approved=approved, by=by, now=now)
        except DataInvalid:
            self.rows = before
            raise
        self.write()

    def edit(self, name: str, question: str, reply: str) -> Conversation:
        """Change the words of a row, and take a decision on it back.

        Raises:
            DataInvalid: They are no question and reply.
        """
        row = self.rows[name].model_dump(mode="json", exclude_none=True)
        row["messages"][0]["content"], row["messages"][1]["content"] = question, reply
        row["synthetic"] |= {"edited": True, "approved": False}
        for key in ("decided_by", "decided_at"):
            row["synthetic"].pop(key, None)
        try:
            self.rows[name] = Conversation.model_validate(row)
        except ValidationError as error:
            raise DataInvalid([BadLine(self.path, 0, f"{name}: {'; '.join(reasons(error))}")]) from error
        self.write()
        return self.rows[name]

    def write(self) -> None:
        """The file as it is decided now."""
        write_rows(self.path, list(self.rows.values()))

    def export(self, out: Path) -> int:
        """Write what may be learnt from; how many rows that are."""
        good = [row for row in self.rows.values() if row.synthetic is None or row.synthetic.approved]
        write_rows(out, good)
        return len(good)

    def counts(self) -> dict[str, int]:
        """`rows` = `approved` + `rejected` + `waiting` + `by_people`."""
        made = [row.synthetic for row in self.rows.values() if row.synthetic is not None]
        approved = sum(one.approved for one in made)
        return {
            "rows": len(self.rows),
            "approved": approved,
            "rejected": len(made) - approved - len(self.waiting),
            "waiting": len(self.waiting),
            "by_people": len(self.rows) - len(made),
        }

    def _note(self, name: str, *, approved: bool, by: str, now: datetime) -> None:
        row = self.rows.get(name)
        if row is None or row.synthetic is None:
            what = "there is no row" if row is None else "people wrote the row"
            raise DataInvalid([BadLine(self.path, 0, f"{what} {name!r}; ids stand in the key `id` of each line")])
        decided = row.synthetic.model_copy(update={"approved": approved, "decided_by": by, "decided_at": now})
        self.rows[name] = row.model_copy(update={"synthetic": decided})


def walk(
    review: Review,
    *,
    by: str,
    key: Callable[[], str],
    show: Callable[[str], Any],
    edit: Callable[[str, str], tuple[str, str] | None],
    recheck: Recheck,
) -> None:
    """Show each row that waits, and take a key for it.

    Args:
        review: The file.
        by: Who decides.
        key: Waits for one key; empty where no more come.
        show: Prints.
        edit: Lets the person change question and reply; None where nothing was changed.
        recheck: Looks at what was changed.
    """
    waiting = [row.id for row in review.waiting]
    for number, name in enumerate(waiting, start=1):
        show(f"\n{number} of {len(waiting)}  {_told(review.rows[name])}\n")
        while True:
            show(f"{KEYS} > ")
            pressed = key().lower()
            show(f"{pressed or 'end'}\n")
            if pressed in ("a", "r"):
                review.decide(name, approved=pressed == "a", by=by, now=datetime.now(UTC))
                break
            if pressed == "e":
                _edited(review, name, edit=edit, show=show, recheck=recheck)
            elif pressed == "s":
                break
            elif pressed in ("q", ""):
                return


def _edited(
    review: Review,
    name: str,
    *,
    edit: Callable[[str, str], tuple[str, str] | None],
    show: Callable[[str], Any],
    recheck: Recheck,
) -> None:
    before = review.rows[name]
    changed = edit(before.messages[0].content, before.messages[1].content)
    if changed is None:
        show("nothing was changed\n")
        return
    try:
        row = review.edit(name, *changed)
    except DataInvalid as error:
        show(f"{error.lines[0].reason}\n")
        return
    show(f"{_told(row)}\n")
    # People may know better than the check, so that it advises and does not decide.
    try:
        no = recheck(row)
    except (TrainingError, ConfigError, RetrievalError) as error:
        show(f"it could not be checked again: {error}\n")
        return
    show(f"the check would refuse it: {no.rule}: {no.reason}\n" if no else "the check passes it\n")


def _told(row: Conversation) -> str:
    made = row.synthetic
    if made is None:
        return row.id
    voice = "" if made.voice is None else f", voice {made.voice:.2f}"
    passage = "\n".join(f"  | {line}" for line in made.passage_text.splitlines())
    said = "\n".join(f"  {'customer' if one.role == 'user' else 'reply   '}  {one.content}" for one in row.messages)
    told = f"{made.kind}  {row.id}  ({made.passage}, {made.model}{voice})\n{passage}\n{said}"
    # A model's words must not steer the terminal.
    return "".join(one if one.isprintable() or one == "\n" else " " for one in told)


class Rechecker:
    """Checks what a person changed; opens the brand when it is first needed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._desk: Desk | None = None

    def __call__(self, row: Conversation) -> Rejection | None:
        """Why the checks would refuse a row.

        Raises:
            TrainingError: The brand cannot be opened; also ConfigError and RetrievalError.
        """
        made = row.synthetic
        if made is None:
            return None
        if self._desk is None or self._desk.brand.name != made.brand:
            self._desk = Desk.open(made.brand, self._environment)
        passage = next((one for chunk, one in self._desk.passages() if chunk == made.passage), None)
        if passage is None:
            passage = Passage(made.document, "", "", made.passage_text, 0.0)
        question, reply = row.messages[0].content, row.messages[1].content
        return self._desk.check(Candidate(made.kind, passage, question, reply, asked=question))


def in_editor(question: str, reply: str) -> tuple[str, str] | None:
    """Let the person's editor (`$VISUAL`, `$EDITOR`, else vi) change both; None where nothing was changed."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "conversation.txt"
        file.write_text(f"{QUESTION} {question}\n\n{REPLY} {reply}\n", encoding="utf-8")
        # stdout carries our result; an editor draws on the terminal.
        subprocess.run([*shlex.split(editor), str(file)], stdout=sys.stderr, check=False)
        before, _, after = file.read_text(encoding="utf-8", errors="replace").partition(REPLY)
    changed = (before.replace(QUESTION, "", 1).strip(), after.strip())
    return None if changed == (question, reply) else changed


def one_key() -> str:
    """One key of the terminal, or the first letter of a line where stdin is none; empty at the end."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.strip()[:1] or ("s" if line else "")
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        return os.read(descriptor, 1).decode(errors="replace").strip("\x04")
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def main() -> int:
    """Review a file from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.synthetic.review", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--approve", action="append", default=[], metavar="ID")
    parser.add_argument("--reject", action="append", default=[], metavar="ID")
    parser.add_argument("--approve-all", action="store_true", help="every row that waits")
    parser.add_argument("--by", help="who decides; the user of this terminal where absent")
    parser.add_argument("--out", type=Path, help="what may be learnt from")
    arguments = parser.parse_args()
    if (arguments.approve or arguments.reject or arguments.approve_all) and not arguments.by:
        parser.error("a decision needs --by NAME")
    try:
        with alone(arguments.file):
            review = Review(arguments.file)
            _decide(review, arguments)
            result: dict[str, Any] = dict(review.counts())
            if arguments.out is not None:
                result["written"] = review.export(arguments.out)
    except (TrainingError, ConfigError, RetrievalError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; every decision so far is written\n")
        return 130
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _decide(review: Review, arguments: argparse.Namespace) -> None:
    approve: Sequence[str] = arguments.approve
    if arguments.approve_all:
        approve = [*approve, *(row.id for row in review.waiting if row.id not in arguments.reject)]
    if approve or arguments.reject or arguments.approve_all:
        review.decide_all(approve, arguments.reject, by=arguments.by, now=datetime.now(UTC))
        return
    if arguments.out is not None and not sys.stdin.isatty():
        return
    with suppress(EOFError):
        walk(
            review,
            by=arguments.by or getuser(),
            key=one_key,
            show=_show,
            edit=in_editor,
            recheck=Rechecker(os.environ),
        )


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
