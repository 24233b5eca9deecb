"""What each sentence of a reply rests on: a passage, style alone, nothing. Read from the evidence that a turn keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from retrieval.grounding.check import split_sentences
from service.turns.grounded import strip_marks

Basis = Literal["passage", "style", "question", "own_words", "promise", "nothing", "unchecked"]
"""`own_words`: the brand wrote it, no model. `promise` and `nothing`: the check does not let it pass. `unchecked`:
there was no check, or the reader stopped the reply before it."""


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of a reply, or one that was held back."""

    text: str
    """Without citation marks."""
    basis: Basis
    source: int | None = None
    """Number of the passage that it rests on, from 1."""
    score: float | None = None
    """How well that passage supports it, 0 to 1."""
    missing: tuple[str, ...] = ()
    """What the best passage lacks."""
    reason: str = ""
    """Why it may not be shown; empty where it may."""
    shown: bool = True
    """Whether it stands in the reply."""


def sentences_of(text: str, citations: Sequence[Mapping[str, Any]], evidence: Mapping[str, Any]) -> tuple[Said, ...]:
    """The sentences of a reply in order, those that were held back among them.

    Args:
        text: The reply, with its citation marks.
        citations: Of the reply.
        evidence: Of the reply; see `service.turns.pipeline`.
    """
    plain = strip_marks(text)
    kind = (evidence.get("decision") or {}).get("kind")
    if evidence.get("own_words") or evidence.get("refused_because") or kind == "ask_back":
        return (Said(plain, "own_words"),)
    if quoted := evidence.get("quoted"):
        return _quoted(plain, str(quoted), citations)
    generations: Sequence[Mapping[str, Any]] = evidence.get("generations") or ({},)
    checks = [one for one in generations[-1].get("sentences", ()) if "text" in one]
    if not checks:
        return tuple(Said(one, "unchecked") for one in split_sentences(plain))
    return tuple(_checked(one, plain) for one in checks)


def _quoted(plain: str, quoted: str, citations: Sequence[Mapping[str, Any]]) -> tuple[Said, ...]:
    """Words of style that the model began with, then the sentence of a passage that was quoted in its place."""
    opening = plain.removesuffix(quoted.strip()).strip()
    first = citations[0] if citations else {}
    said = Said(quoted.strip(), "passage", first.get("number"), first.get("score"))
    return (Said(opening, "style"), said) if opening and opening != plain else (said,)


def _checked(check: Mapping[str, Any], plain: str) -> Said:
    kind, supported = check["kind"], check["supported"]
    basis: Basis = "nothing"
    if kind == "promise":
        basis = "promise"
    elif supported:
        basis = "passage" if kind == "claim" else "question" if kind == "question" else "style"
    return Said(
        check["text"],
        basis,
        check["source"] if basis == "passage" else None,
        round(float(check["score"]), 4),
        tuple(check.get("missing", ())),
        check.get("reason", ""),
        check["text"] in plain,
    )
