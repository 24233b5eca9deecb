"""Look at training data; what `brandvoice data check` starts.

    python -m training.data.check FILE... [--brand B] [--format F] [--mask] [--against FILE]... [--max-tokens N]
                                  [--card FOLDER] [--out FILE]

Progress goes to stderr, the result as one JSON object to stdout: `report`, `score`, `verdict`, `reasons`, `split`.
Data with bad rows is a check that worked; a file that cannot be read is none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.base_manifest import base_folder
from configs.brand import Brand
from configs.cases import case_files
from configs.errors import ConfigError
from configs.home import Home
from configs.load import configs_folder, load_config
from retrieval.errors import BadLine
from retrieval.json_lines import Line
from retrieval.language.personal import contacts
from training.data.card import write_card
from training.data.containers import read_values
from training.data.doctor import Examined, Options, about_tokens, examine
from training.data.forms import FORMS, NotARow, read_row
from training.data.rows import Row
from training.data.score import Score, score
from training.data.split import Split, split_rows
from training.errors import DataInvalid, TrainingError
from training.examples.files import write_lines
from training.examples.sources import configured, pages_of
from training.progress import LineProgress
from training.voice.brand import voice_of
from training.voice.model import VoiceScore


def main() -> int:
    """Look at files from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.data.check", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--brand", help="whose language, model, pages and held-out questions count")
    parser.add_argument("--format", choices=FORMS, help="of every row; told by its keys where absent")
    parser.add_argument("--mask", action="store_true", help="hide personal data in what --out writes")
    parser.add_argument("--against", type=Path, action="append", default=[], help="evaluation data to keep out")
    parser.add_argument("--max-tokens", type=int, help="that the model takes; the deployment's where absent")
    parser.add_argument("--card", type=Path, help="folder for the dataset card")
    parser.add_argument("--out", type=Path, help="JSON lines of the accepted rows, each with its side of the split")
    arguments = parser.parse_args()
    try:
        options = _options(arguments, os.environ)
        found = examine(arguments.files, options, LineProgress())
        split = split_rows(found.accepted)
        worth = score(found)
        if arguments.card is not None:
            write_card(arguments.card, found, worth, split)
        if arguments.out is not None:
            sides = (("train", split.train), ("evaluation", split.evaluation))
            write_lines(arguments.out, [_written(row, side) for side, rows in sides for row in rows])
    except (TrainingError, ConfigError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(_result(found, worth, split)) + "\n")
    return 0


def evaluation_questions(path: Path) -> tuple[str, ...]:
    """The questions of a file of evaluation data: `{"question": ...}` a line, or any form of training data.

    Raises:
        DataInvalid: It cannot be read, or holds no question.
    """
    questions: list[str] = []
    for line in read_values(path):
        if isinstance(line, BadLine):
            raise DataInvalid([line])
        questions += _asked(path, line)
    if not questions:
        raise DataInvalid([BadLine(path, 1, "no question of an evaluation stands in it")])
    return tuple(questions)


def _asked(path: Path, line: Line) -> Sequence[str]:
    for key in ("question", "text"):
        if isinstance(line.value.get(key), str):
            return [line.value[key]]
    try:
        return read_row(path, line).questions
    except NotARow as error:
        raise DataInvalid([BadLine(path, line.number, str(error))]) from error


def _options(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Options:
    home = Home.from_environment(environment)
    config = load_config(configs_folder(environment), environment, home)
    evaluation = [question for path in arguments.against for question in evaluation_questions(path)]
    options = Options(
        form=arguments.format,
        max_tokens=arguments.max_tokens or config.service.engine.max_model_len,
        count_tokens=_counter(base_folder(home.models, config.service.models.base) / "tokenizer.json"),
        evaluation=evaluation,
        mask=arguments.mask,
    )
    if arguments.brand is None:
        return options
    _, brand = configured(arguments.brand, environment)
    for path in case_files(brand, home):
        evaluation += evaluation_questions(path)
    return replace(
        options,
        language=brand.language,
        contacts=contacts("\n\n".join(pages_of(brand).values())),
        voice=_voice(brand, home),
    )


def _voice(brand: Brand, home: Home) -> Callable[[str], VoiceScore] | None:
    """Scores a text by the brand's voice; None where that cannot be learnt, which may be why its data is looked at."""
    try:
        return voice_of(brand, home).score
    except TrainingError as error:
        why = str(error).splitlines()[0].rstrip(":")
        sys.stderr.write(
            f"note: replies are compared with each other only, not with the voice of {brand.name}: {why}\n"
        )
        return None


def _counter(tokenizer: Path) -> Callable[[str], int]:
    """Counts as the base model does where that is prepared, else about so."""
    if not tokenizer.is_file():
        return about_tokens
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(tokenizer))
    return lambda text: len(model.encode(text, add_special_tokens=False).ids)


def _written(row: Row, side: str) -> str:
    about = {"split": side, "source": f"{row.file.name}:{row.line}"}
    if row.own is not None:
        # What the trainer reads, outcomes and documents with it; the words as they were masked.
        said = zip(row.own["messages"], row.turns, strict=True)
        own = [{**message, "content": turn.content} for message, turn in said]
        return json.dumps({**row.own, "messages": own, **about}, ensure_ascii=False)
    messages = [{"role": turn.role, "content": turn.content} for turn in row.turns]
    value: dict[str, object] = {"messages": messages}
    if row.rejected is not None:
        value = {"prompt": messages[:-1], "chosen": messages[-1]["content"], "rejected": row.rejected}
    return json.dumps({**value, **about}, ensure_ascii=False)


def _result(found: Examined, worth: Score, split: Split) -> dict[str, Any]:
    return {
        "report": found.as_json(),
        "score": worth.points,
        "verdict": worth.verdict,
        "reasons": worth.reasons,
        "split": {"train": len(split.train), "evaluation": len(split.evaluation), "sha256": split.sha256},
    }


if __name__ == "__main__":
    sys.exit(main())
