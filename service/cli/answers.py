"""`brandvoice answer check`: which sentences of an answer its passages support."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from service.cli import output
from service.cli.deployment import open_deployment
from service.cli.failures import WRONG_USE, Failure

if TYPE_CHECKING:
    from retrieval.encoder import Encoder

MAX_LINE_CHARS = 1_000_000


class _Passage(BaseModel):
    """A passage as given; further keys are left alone."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str
    text: str


class _Line(BaseModel):
    """One answer as given; further keys are left alone."""

    model_config = ConfigDict(extra="ignore")

    answer: str
    passages: tuple[_Passage, ...]
    question: str = ""


def run_check(file: Path | None, *, names: Sequence[str], as_json: bool) -> None:
    """Check all answers, one line each, in order; a line that cannot be read is answered with its error.

    Raises:
        Failure: The encoder is not there, the file cannot be read, or a line was bad (after all others were checked).
    """
    encoder = _encoder()
    bad = 0
    with _lines(file) as lines:
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            found = _checked(text, encoder, names)
            if "error" in found:
                bad += 1
                output.note(f"line {number}: {found['error']}")
            _write(found, as_json=as_json)
    sys.stdout.flush()
    if bad:
        raise Failure(
            f"{bad} of the lines could not be checked",
            "the messages above name each line and what is wrong with it",
            'a line is {"answer": "...", "passages": [{"id": "...", "text": "..."}]}',
        )


def _encoder() -> Encoder:
    """The prepared encoder; nothing is prepared here, because output is read by programs."""
    from retrieval.encoder import OnnxEncoder

    folder = open_deployment().encoder_folder
    if not (folder / "manifest.json").is_file():
        raise Failure(
            "the encoder is not prepared",
            f"there is none in {folder}",
            f"run `python -m retrieval.encoder {folder}` once, or set BRANDVOICE_HOME to a folder with it in models/",
        )
    return OnnxEncoder.load(folder)


@contextmanager
def _lines(file: Path | None) -> Iterator[IO[str]]:
    if file is None:
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        yield sys.stdin
        return
    if not file.is_file():
        raise Failure(f"there is no file {file}", "nothing was checked", "name a file of JSON lines", code=WRONG_USE)
    with file.open(encoding="utf-8", errors="replace") as opened:
        yield opened


def _checked(text: str, encoder: Encoder, names: Sequence[str]) -> dict[str, Any]:
    """One line's result, or its error."""
    from retrieval.grounding.check import check_sentence, split_sentences
    from retrieval.passages import Passage

    if len(text) > MAX_LINE_CHARS:
        return {"error": f"longer than {MAX_LINE_CHARS} characters"}
    try:
        line = _Line.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        return {"error": f"not JSON: {error.msg} at character {error.pos + 1}"}
    except RecursionError:
        return {"error": "not JSON that can be read: nested too deep"}
    except ValidationError as error:
        return {"error": _first_error(error)}
    passages = [Passage(one.id, "", "", one.text, 1.0) for one in line.passages]
    sentences = []
    for sentence in split_sentences(line.answer):
        found = check_sentence(sentence, passages, question=line.question, encoder=encoder, allowed_names=names)
        sentences.append(
            {
                "text": sentence,
                "kind": "style" if found.kind == "question" else found.kind,
                "supported": found.supported,
                "passage": passages[found.source - 1].document if found.source else None,
                "reason": found.reason,
            }
        )
    return {"sentences": sentences}


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the line"
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _write(found: dict[str, Any], *, as_json: bool) -> None:
    """One line of data: JSON, or for people."""
    if as_json:
        output.line(json.dumps(found, ensure_ascii=False))
        return
    for one in found.get("sentences", ()):
        where = one["passage"] or one["reason"]
        output.line(
            f"{'ok ' if one['supported'] else 'NO '} {one['kind']:8} {one['text']}" + (f"  ({where})" if where else "")
        )
