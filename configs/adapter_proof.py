"""`proof.json` in an adapter folder: what an engine must do with this adapter, written down when it was packaged.

A digest shows that the file is the one that was trained; it does not show that the engine uses it. A few fixed prompts
do: their token ids, and how likely the adapter and the base find one reply to each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from configs.adapter_manifest import read_form
from configs.base_manifest import SHA256
from configs.brand import Strict
from configs.errors import AdapterInvalid

PROOF_FILE = "proof.json"
FLOOR = -3.0
"""An engine names the 20 likeliest tokens at each place. No more than 20 can have a twentieth of the probability, and
this is a twentieth: every token above it is named."""
MIN_DIFFERENCE = 0.2
"""Nats a token. An adapter that changes the base by less cannot be told from one that the engine ignores."""


class CanaryMessage(Strict):
    """One message of a canary's prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Probe(Strict):
    """How likely one token of the reply is, in natural logarithms, cut off at `FLOOR`."""

    at: int = Field(ge=0, description="Its place in the reply.")
    adapter: float = Field(ge=FLOOR, le=0, description="With the adapter.")
    base: float = Field(ge=FLOOR, le=0, description="Without it.")


class Canary(Strict):
    """A fixed prompt and a reply that the adapter gives to it."""

    messages: tuple[CanaryMessage, ...] = Field(min_length=1)
    prompt_tokens: tuple[int, ...] = Field(min_length=1, description="Of the messages, as the trainer's tokenizer saw.")
    reply_tokens: tuple[int, ...] = Field(min_length=1)
    probes: tuple[Probe, ...] = Field(min_length=1, max_length=16)

    @property
    def adapter(self) -> float:
        """Mean over the probes, with the adapter."""
        return fmean(one.adapter for one in self.probes)

    @property
    def base(self) -> float:
        """Mean over the probes, without it."""
        return fmean(one.base for one in self.probes)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if any(one.at >= len(self.reply_tokens) for one in self.probes):
            raise ValueError("a probe lies beyond the reply")
        return self


def told_apart(canaries: Iterable[Canary]) -> bool:
    """Whether an engine that ignores the adapter would show."""
    return any(abs(one.adapter - one.base) >= MIN_DIFFERENCE for one in canaries)


class AdapterProof(Strict):
    """Everything in `proof.json`."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="Version of this form.")
    weights_sha256: Annotated[str, StringConstraints(pattern=SHA256)]
    canaries: tuple[Canary, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _tells_them_apart(self) -> Self:
        if not told_apart(self.canaries):
            raise ValueError(f"adapter and base differ by less than {MIN_DIFFERENCE} on every canary")
        return self

    def to_json(self) -> str:
        """The text of `proof.json`."""
        return json.dumps(self.model_dump(mode="json", by_alias=True)) + "\n"


def read_proof(folder: Path, weights_sha256: str) -> AdapterProof | None:
    """Read the proof of an adapter; None where it has none, as adapters had before there were proofs.

    Raises:
        AdapterInvalid: Not of this form, or of other weights.
    """
    path = folder / PROOF_FILE
    if not path.exists():
        return None
    proof = read_form(path, AdapterProof, "proof")
    if proof.weights_sha256 != weights_sha256:
        raise AdapterInvalid(f"{path} is the proof of another adapter; train or copy the adapter again")
    return proof
