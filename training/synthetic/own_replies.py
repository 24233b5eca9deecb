"""Let a base model answer prompts itself: general conversations of its own, against forgetting.

    python -m training.synthetic.own_replies --prompts in.jsonl --url http://127.0.0.1:8001/v1 --out own.jsonl

Each reply that stands in the prompts is replaced by what the model says there, the first one first, so that it goes on
from its own words. A conversation with a reply that nothing good can be learnt from is left out and counted. The same
command goes on where it was stopped. Progress goes to stderr, the result as one JSON object to stdout.

Source of the idea: Huang et al., Mitigating Catastrophic Forgetting in Large Language Models with Self-Synthesized
Rehearsal, arXiv:2403.01244, 2024.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.brand import Strict
from retrieval.errors import BadLine, RetrievalError
from retrieval.json_lines import read_lines
from retrieval.language import personal
from training.data import fairness, wording
from training.data.doctor import about_tokens, read_rows
from training.data.rows import Finding, Row, Turn
from training.errors import DataInvalid, EngineFailed, TrainingError
from training.examples.files import write_lines
from training.progress import LineProgress, Progress, Report, silent
from training.synthetic.engine import KEY_VARIABLE, ChatEngine, Reply
from training.synthetic.files import alone, whole
from training.synthetic.make import the_model

LEAST_TOKENS = 40
"""Of what is left of a reply that the limit cut."""
_RUN = 4
"""Words that make a run."""
_DISTINCT = 0.7
"""Share of a reply's runs that differ, below which it goes round in circles."""
_SENTENCE_END = re.compile(r"(?<!\n\d)(?<!\n\d\d)[.!?][\"')\]*\u201d\u2019]*(?=\s|\Z)")
"""Not the full stop of a list's number."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the model is asked."""

    model: str
    seed: int = 7
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 220
    """Longest reply."""
    parallel: int = 16
    """Requests at once; changes nothing of what is said, but for an engine's rounding."""


class _Done(Strict):
    """A conversation that the model has answered, as it stands in the file of a run that goes on."""

    key: str
    messages: tuple[dict[str, str], ...] = ()
    dropped: str | None = None


def answer(prompts: Path, engine: ChatEngine, how: Sampling, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Have all conversations of a file answered.

    Args:
        prompts: In any form that `training.data` reads; what its replies say does not matter.
        engine: Where the model is.
        how: How it is asked.
        out: JSON lines, in the order of the prompts, written when all are answered; until then `.part` beside it holds
            what is known.
        progress: Told of each conversation.

    Returns:
        How many `rows`, `kept` and, by reason, `dropped`.

    Raises:
        DataInvalid: The prompts are broken.
        EngineFailed: The model does not answer, or says nothing that can be used.
        TrainingFailed: Another command is writing the file.
    """
    rows = _rows(prompts)
    keys = [_key(row, how) for row in rows]
    part = out.with_name(f"{out.name}.part")
    with alone(out):
        done = _known(part)
        left = {key: row for key, row in zip(keys, rows, strict=True) if key not in done}
        part.parent.mkdir(parents=True, exist_ok=True)
        with whole(part).open("a", encoding="utf-8") as journal:
            for one in _all(left, engine, how, progress):
                journal.write(f"{one.model_dump_json(exclude_none=True)}\n")
                journal.flush()
                done[one.key] = one
        kept = [done[key].messages for key in keys if done[key].messages]
        if not kept:
            why = dict(_reasons(keys, done))
            raise EngineFailed(f"no reply of {how.model} can be used: {why}; take a model that is trained for chats")
        write_lines(out, [json.dumps({"messages": messages}, ensure_ascii=False) for messages in kept])
        part.unlink()
    return {"rows": len(rows), "kept": len(kept), "dropped": dict(sorted(_reasons(keys, done).items()))}


def unusable(reply: str) -> str | None:
    """Why nothing good can be learnt from a reply; None where it can.

    The rules are those of `brandvoice data check`, and one of its own: words that go round in circles.
    """
    row = Row(Path(), 1, "conversation", (Turn("user", "?"), Turn("assistant", reply)))
    words = reply.lower().split()
    runs = [tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)]
    if not words:
        return "empty"
    if len(runs) > _RUN and len(set(runs)) < _DISTINCT * len(runs):
        return "repeats"
    if reply.count("```") % 2:
        return "cut"
    if wording.placeholders_in(reply):
        return "placeholder"
    if personal.find(reply, reply=True):
        return "pii"
    return next((rule for rule, _ in (*wording.cut(row, wording.Manner()), *fairness.abuse(row))), None)


def ended(reply: Reply) -> str:
    """A reply that ends with a sentence; empty where the limit left too little of it."""
    text = reply.text.strip()
    if not reply.cut:
        return text
    end = max((one.end() for one in _SENTENCE_END.finditer(text)), default=0)
    return text[:end] if about_tokens(text[:end]) >= LEAST_TOKENS else ""


def _rows(prompts: Path) -> list[Row]:
    found = list(read_rows(prompts))
    bad = [BadLine(prompts, one.line, one.reason) for one in found if isinstance(one, Finding)]
    rows = [one for one in found if isinstance(one, Row)]
    bad += [BadLine(prompts, one.line, one.withheld) for one in rows if one.withheld]
    bad += [
        BadLine(prompts, one.line, "tools cannot be answered")
        for one in rows
        if any(turn.role == "tool" or turn.acts for turn in one.turns)
    ]
    if not rows and not bad:
        bad = [BadLine(prompts, 1, "the file is empty")]
    if bad:
        raise DataInvalid(bad)
    return rows


def _key(row: Row, how: Sampling) -> str:
    """The same for the same conversation, asked in the same way."""
    asked = [[turn.role, "" if turn.role == "assistant" else turn.content] for turn in row.turns]
    made_of = [how.model, how.seed, how.temperature, how.top_p, how.max_tokens, asked]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def _known(part: Path) -> dict[str, _Done]:
    """What an earlier run was told."""
    bad: list[BadLine] = []
    # A killed run may have left half a line.
    done = {one.key: one for _, one in read_lines(whole(part), _Done, bad)} if part.exists() else {}
    if bad:
        raise DataInvalid(bad)
    return done


def _all(left: Mapping[str, Row], engine: ChatEngine, how: Sampling, progress: Progress) -> Iterable[_Done]:
    """Each conversation when it is answered."""
    began = time.monotonic()
    pool = ThreadPoolExecutor(how.parallel)
    try:
        waiting = [pool.submit(_answered, key, row, engine, how) for key, row in left.items()]
        for count, one in enumerate(as_completed(waiting), start=1):
            yield one.result()
            each = (time.monotonic() - began) / count
            progress(Report("answering", count, len(waiting), eta_s=each * (len(waiting) - count)))
    finally:
        # What is in flight is asked again by the next run.
        pool.shutdown(wait=False, cancel_futures=True)


def _answered(key: str, row: Row, engine: ChatEngine, how: Sampling) -> _Done:
    messages: list[dict[str, str]] = []
    for turn in row.turns:
        text = turn.content
        if turn.role == "assistant":
            said = engine.reply(
                messages,
                model=how.model,
                seed=int(key[:7], 16),
                temperature=how.temperature,
                top_p=how.top_p,
                max_tokens=how.max_tokens,
            )
            text = ended(said)
            if why := unusable(text):
                return _Done(key=key, dropped="cut" if said.cut and not text else why)
        messages.append({"role": turn.role, "content": text})
    return _Done(key=key, messages=tuple(messages))


def _reasons(keys: Sequence[str], done: Mapping[str, _Done]) -> Counter[str]:
    return Counter(why for key in keys if (why := done[key].dropped))


def main() -> int:
    """Have prompts answered from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.synthetic.own_replies", description=__doc__)
    usual = Sampling("")
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--url", required=True, help=f"such as http://127.0.0.1:8001/v1; its key in {KEY_VARIABLE}")
    parser.add_argument("--model", help="its name there; the only one there where absent")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--temperature", type=float, default=usual.temperature)
    parser.add_argument("--top-p", type=float, default=usual.top_p)
    parser.add_argument("--max-tokens", type=int, default=usual.max_tokens)
    parser.add_argument("--parallel", type=int, default=usual.parallel)
    arguments = parser.parse_args()
    # A stop of any kind leaves the files whole.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ChatEngine(arguments.url, api_key=os.environ.get(KEY_VARIABLE)) as engine:
            how = Sampling(
                the_model(engine, arguments.model),
                arguments.seed,
                arguments.temperature,
                arguments.top_p,
                arguments.max_tokens,
                arguments.parallel,
            )
            made = answer(arguments.prompts, engine, how, arguments.out, LineProgress())
    except (TrainingError, RetrievalError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on\n")
        sys.stderr.flush()
        # Requests in flight would hold the process for minutes.
        os._exit(130)
    sys.stdout.write(json.dumps(made) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
