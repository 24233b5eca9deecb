"""See that an engine uses an adapter, and uses it as it was trained, before it speaks to anyone.

The engine is asked for the token ids of fixed prompts and for the log-probabilities of some tokens of a reply to each,
with the adapter and without; both must be what was written down when the adapter was packaged (configs.adapter_proof).
An adapter that is ignored, swapped, damaged, or put on another base shows.

Each token is asked for as the next one after all before it. The log-probabilities of a whole prompt would be one
request, but vLLM 0.32's CPU build dies where it makes them for an adapter while another request runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import aiohttp
import orjson

from configs.adapter_proof import FLOOR, AdapterProof, Canary, Probe
from service.errors import AdapterUnknown, ModelUnavailable

TOLERANCE = 0.1
"""Nats a token between the engine's arithmetic and the trainer's. bfloat16 in place of float32 moves the shipped
adapters' canaries by up to 0.02; the adapters move the base by 1.1 to 2.4."""
SAME = 0.03
"""Within one engine, where only the make-up of batches moves anything."""
NAMED = 20
"""Likeliest tokens that an engine names, vLLM's own limit."""
PATIENCE_S = 60.0


async def prove(session: aiohttp.ClientSession, url: str, *, base: str, model: str, proof: AdapterProof) -> None:
    """Return where an engine uses an adapter as it was trained.

    Args:
        session: A client.
        url: The engine's address.
        base: The engine's name for the base model.
        model: Its name for the adapter.
        proof: Of the adapter.

    Raises:
        AdapterUnknown: It does not; the message says in what.
        ModelUnavailable: The engine does not answer.
    """
    spoken: list[float] = []
    plain: list[float] = []
    try:
        for canary in proof.canaries:
            await _prove_tokens(session, url, model, canary)
            spoken += await _logprobs(session, url, model, canary)
            plain += await _logprobs(session, url, base, canary)
    except (TimeoutError, aiohttp.ClientError) as error:
        reason = type(error).__name__
        raise ModelUnavailable(f"The engine stopped answering while {model} was tried ({reason}).") from error
    _compare(model, spoken, plain, [probe for canary in proof.canaries for probe in canary.probes])


def _compare(model: str, spoken: Sequence[float], plain: Sequence[float], probes: Sequence[Probe]) -> None:
    cure = f"Train it again, or go back: brandvoice adapter rollback --brand {model.partition('@')[0]}."
    if (off := _apart(plain, [one.base for one in probes])) > TOLERANCE:
        raise AdapterUnknown(
            f"{model} was trained on another base than the engine serves: without the adapter the canaries are "
            f"{off:.3f} nats a token from what was written down when it was packaged. {cure}"
        )
    if (off := _apart(spoken, [one.adapter for one in probes])) <= TOLERANCE:
        return
    if _apart(spoken, plain) <= SAME:
        raise AdapterUnknown(f"The engine ignores {model}: with it and without it the canaries are as likely. {cure}")
    raise AdapterUnknown(
        f"What the engine serves as {model} is not what was trained: the canaries are {off:.3f} nats a token from what "
        f"was written down when it was packaged. {cure}"
    )


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    """Mean distance of log-probabilities."""
    return fmean(abs(a - b) for a, b in zip(one, other, strict=True))


async def _prove_tokens(session: aiohttp.ClientSession, url: str, model: str, canary: Canary) -> None:
    body = {
        "model": model,
        "messages": [{"role": one.role, "content": one.content} for one in canary.messages],
        "add_generation_prompt": True,
    }
    found = (await _post(session, f"{url}/tokenize", model, body)).get("tokens")
    if found == list(canary.prompt_tokens):
        return
    raise AdapterUnknown(
        f"The engine reads {model}'s prompts as other tokens than it was trained on (its chat template or tokenizer "
        "differs). Serve the base model that the adapter was trained on, or train it again."
    )


async def _logprobs(session: aiohttp.ClientSession, url: str, model: str, canary: Canary) -> list[float]:
    """What the engine gives to the tokens that the canary's probes name."""
    prompts = [[*canary.prompt_tokens, *canary.reply_tokens[: one.at]] for one in canary.probes]
    body = {"model": model, "prompt": prompts, "max_tokens": 1, "temperature": 0, "logprobs": NAMED}
    answer = await _post(session, f"{url}/v1/completions", model, body | {"return_tokens_as_token_ids": True})
    try:
        choices = sorted(answer["choices"], key=lambda one: int(one["index"]))
        named = [one["logprobs"]["top_logprobs"][0] for one in choices]
        wanted = [f"token_id:{canary.reply_tokens[one.at]}" for one in canary.probes]
        return [max(FLOOR, float(row.get(token, FLOOR))) for row, token in zip(named, wanted, strict=True)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise AdapterUnknown(f"The engine gives no log-probabilities: {model} cannot be tried.") from error


async def _post(session: aiohttp.ClientSession, url: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with session.post(url, data=orjson.dumps(body), headers=headers, timeout=timeout) as response:
        data = await response.read()
        if response.status >= 500:
            raise ModelUnavailable(f"The engine answered {response.status} while {model} was tried: {data[:200]!r}.")
        if response.status != 200:
            raise AdapterUnknown(f"The engine cannot try {model} ({response.status}): {data[:200]!r}.")
    answer: dict[str, Any] = orjson.loads(data)
    return answer
