"""`brandvoice voice`: score texts against a brand's voice, and show what the voice is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import IO, Any

from service.cli import output
from service.cli.deployment import open_deployment
from service.cli.failures import FAILED, Failure, split_advice
from training.voice import TrainingError
from training.voice.brand import voice_of
from training.voice.model import VoiceModel
from training.voice.profile import NEVER, Phrase, Profile

MAX_LINE_BYTES = 1_000_000
_SHOWN_CHARS = 100


def run_score(brand: str, *, as_json: bool) -> None:
    """Score each line of stdin, in order: a text, or JSON with the key `text`.

    Raises:
        Failure: The brand's voice cannot be learnt, or a line was broken JSON (after all others were scored).
    """
    model = _model(brand)
    if sys.stdin.isatty():
        output.note("reads texts, one a line, or JSON lines with the key text; Ctrl+D ends")
    bad = scored = 0
    for number, raw in _lines(sys.stdin.buffer):
        try:
            text = _text(raw)
        except ValueError as error:
            bad += 1
            output.note(f"line {number}: {error}")
            if as_json:
                output.line(json.dumps({"line": number, "error": str(error)}, ensure_ascii=False))
            continue
        if text is None:
            continue
        scored += 1
        found = model.score(text)
        if as_json:
            row = {"line": number, "score": found.score, "reasons": list(found.reasons)}
            output.line(json.dumps(row, ensure_ascii=False))
        else:
            output.line(f"{found.score:.2f}  {_shown(text)}")
            for reason in found.reasons:
                output.line(f"      {reason}")
    sys.stdout.flush()
    if not scored and not bad:
        output.note("no text came on stdin: nothing was scored")
    if bad:
        raise Failure(
            f"{bad} of the lines could not be scored",
            "the messages above name each line and what is wrong with it",
            'a line is a text, or {"text": "..."}',
        )


def run_profile(brand: str, *, as_json: bool) -> None:
    """Show a brand's style profile."""
    profile = _model(brand).profile
    if as_json:
        output.data(profile.model_dump(mode="json", exclude={"frequent", "frequent_share", "absent"}))
        return
    output.line(f"{open_deployment().brand(brand).display_name}, learnt from {profile.texts} texts of its own")
    output.line()
    for name, told in _told(profile):
        output.line(f"{name:14}{told}")


def _model(brand: str) -> VoiceModel:
    deployment = open_deployment()
    try:
        return voice_of(deployment.brand(brand), deployment.home)
    except TrainingError as error:
        why, advice = split_advice(str(error))
        raise Failure(
            f"the voice of {brand} cannot be learnt", why, advice or "brandvoice config check", code=FAILED
        ) from error


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines numbered from 1; of one that is too long, the beginning, so that no line can fill the memory."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        rest = line
        while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        yield number, line


def _text(raw: bytes) -> str | None:
    """The text of a line; None for a blank one. A line that begins like a JSON object must be one.

    Raises:
        ValueError: It is not, or it holds no text.
    """
    line = raw.decode("utf-8", errors="replace").strip("\r\n")
    if not line.strip():
        return None
    if not line.lstrip().startswith('{"'):
        return line
    if len(raw) >= MAX_LINE_BYTES:
        raise ValueError(f"JSON of {MAX_LINE_BYTES} bytes or more")
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("not JSON that can be read: nested too deep") from error
    text = row.get("text")
    if isinstance(text, str):
        return text
    raise ValueError('the key "text" is missing or is no text')


def _shown(text: str) -> str:
    plain = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * _SHOWN_CHARS]).split())
    return plain if len(plain) <= _SHOWN_CHARS else f"{plain[: _SHOWN_CHARS - 3].rstrip()}..."


def _told(profile: Profile) -> Iterator[tuple[str, str]]:
    """The profile in words: heading and line."""
    words, sentences = profile.words, profile.sentences
    yield (
        "length",
        f"{words.mean:.0f} words, mostly {words.low:.0f} to {words.high:.0f}; {sentences.mean:.1f} sentences",
    )
    usual = profile.words_per_sentence
    yield "sentences", f"{usual.mean:.0f} words, mostly {usual.low:.0f} to {usual.high:.0f}"
    persons = (("'we'", profile.with_we), ("'I'", profile.with_i), ("'you'", profile.with_you))
    yield "person", ", ".join(f"{person} {_often(share)}" for person, share in persons)
    rate = profile.contractions_per_100_words
    yield "contractions", _often(profile.with_contractions) + (f", {rate:.1f} in 100 words" if rate else "")
    yield "exclamations", _often(profile.with_exclamations, profile.exclamations.high)
    yield "questions", _often(profile.with_questions)
    yield "emoji", _often(profile.with_emoji, profile.emoji.high)
    yield "lists", _often(profile.with_lists)
    yield "greeting", _often(profile.with_greeting)
    yield "opens with", _phrases(profile.openers)
    yield "closes with", _phrases(profile.closers)
    yield "own words", _phrases(profile.lexicon)
    yield "avoids", ", ".join(profile.banned) or "nothing that its voice guide names"


def _often(share: float, most: float | None = None) -> str:
    if share <= NEVER:
        return "never" if not share else f"hardly ever ({share:.1%})"
    told = f"in {share:.0%} of the texts"
    return told if most is None else f"{told}, at most {max(1, round(most))}"


def _phrases(found: tuple[Phrase, ...]) -> str:
    return ", ".join(f"{one.text} ({one.share:.0%})" for one in found) or "nothing that recurs"
