"""The command line of `training.examples.rendering`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from configs.errors import ConfigError
from configs.training import Data, read_recipe
from retrieval.errors import RetrievalError
from training.conversations import data_sha256, read_questions
from training.data.general import general_sha256, with_general
from training.errors import RecipeInvalid, TrainingError
from training.examples import rendering
from training.examples.files import write_examples, write_probes
from training.examples.sources import Source


def main() -> int:
    """Write the examples, or the held-out questions, of one brand."""
    parser = argparse.ArgumentParser(prog="python -m training.examples", description=rendering.__doc__)
    parser.add_argument("--brand", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="lora", help="whose `data` section is used")
    parser.add_argument("--questions", action="store_true", help="held-out questions instead of conversations")
    arguments = parser.parse_args()
    try:
        source = Source.open(arguments.brand, os.environ)
        if arguments.questions:
            _questions(source, arguments.out)
        else:
            _examples(source, arguments.recipe, arguments.out)
    except (TrainingError, ConfigError, RetrievalError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def build(source: Source, data: Data) -> rendering.Built:
    """The examples of an opened brand, and the general ones that its recipe mixes in.

    Raises:
        DataInvalid: The general conversations cannot be read, or are too few for their share.
    """
    made = rendering.build_examples(
        source.learnt(data),
        source.knowledge,
        data,
        brand=source.brand.name,
        display_name=source.brand.display_name,
        top_k=source.brand.retrieval.top_k,
    )
    return made if data.general is None else with_general(made, data.general, data, brand=source.brand.name)


def data_digest(source: Source, data: Data) -> str:
    """Digest of all that is learnt from: the brand's conversations, its accepted corrections, general ones mixed in."""
    own = data_sha256(source.learnt(data))
    return own if data.general is None else general_sha256(own, data.general)


def probes(source: Source) -> tuple[rendering.Probe, ...]:
    """The held-out questions of an opened brand.

    Raises:
        RecipeInvalid: The brand has none.
    """
    brand = source.brand
    if brand.questions is None:
        raise RecipeInvalid(f"the brand {brand.name!r} names no held-out questions; set `questions` in its YAML")
    return rendering.build_probes(
        read_questions(brand.questions),
        source.knowledge,
        brand=brand.name,
        display_name=brand.display_name,
        guide=source.guide,
        top_k=brand.retrieval.top_k,
        min_answerability=brand.retrieval.min_answerability,
    )


def _examples(source: Source, recipe: str, out: Path) -> None:
    data = read_recipe(source.config.folder / "training" / f"{recipe}.yaml").data
    made = build(source, data)
    write_examples(out, made, data_sha256=data_digest(source, data))
    report = made.report
    answered = report.gold_in_search + len(report.gold_put_in)
    _say(f"{len(made.examples)} examples: {dict(report.kinds)}")
    _say(f"passage found by search for {report.gold_in_search} of {answered} answered turns; put in for the others")
    if report.general_left_out:
        _say(f"general conversations that are too long or hold tools, left out: {report.general_left_out}")
    for title, ids in (
        ("pages without a passage, left out", report.gold_unknown),
        ("a number stands in no passage", report.unsupported),
        ("passage alone, for want of room", report.over_budget),
    ):
        if ids:
            _say(f"{title}: {len(ids)} ({', '.join(ids[:8])}{', ...' if len(ids) > 8 else ''})")


def _questions(source: Source, out: Path) -> None:
    made = probes(source)
    write_probes(out, made)
    found = sum(one.document in {passage.document for passage in one.passages} for one in made if one.document)
    _say(f"{len(made)} questions; page among the passages for {found} of {sum(bool(one.document) for one in made)}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
