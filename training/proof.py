"""Write down what an engine must do with an adapter, so that service can see whether it does (configs.adapter_proof).

    python -m training.proof --adapter FOLDER --base FOLDER --display-name NAME

The command is for an adapter that was packaged without a proof.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.adapter_manifest import read_adapter
from configs.adapter_proof import FLOOR, PROOF_FILE, AdapterProof, Canary, CanaryMessage, Probe, told_apart
from configs.adapter_signature import SIGNATURE_FILE
from configs.errors import ConfigError
from retrieval.passages import Passage
from retrieval.prompt import Message, build_prompt

PLACES = (0, 2, 4, 8, 12, 18)
"""Tokens of the reply that are looked at: enough to tell, few enough for each start of an engine."""
REPLY_TOKENS = PLACES[-1] + 1
HOURS = Passage(
    "opening-hours.md", "Opening hours", "Opening hours", "The workshop is open from 8 to 17 on weekdays.", 1.0
)


def canary_prompts(display_name: str) -> tuple[tuple[Message, ...], ...]:
    """One prompt with a source and one without: short, because each start of an engine reads them."""
    answer = build_prompt("answer", "When can I come by?", display_name=display_name, passages=(HOURS,))
    refusal = build_prompt("refuse", "Who won the match last night?", display_name=display_name)
    return answer.messages, refusal.messages


def record(adapter: Path, base: Path, display_name: str, weights_sha256: str) -> AdapterProof | None:
    """Try a packaged adapter on its base, in float32 on the CPU or the GPU that is there.

    Args:
        adapter: A folder with the weights and PEFT's config.
        base: The base model in Hugging Face layout.
        display_name: The brand's name as customers know it.
        weights_sha256: Digest of the weights.

    Returns:
        What the adapter says to the canaries, and how likely it and the base find that; None where it changes the base
        too little to be told from none.
    """
    import torch
    import transformers
    from peft import PeftModel

    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    plain = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model: Any = PeftModel.from_pretrained(plain, adapter)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    canaries = [_canary(model, tokenizer, messages) for messages in canary_prompts(display_name)]
    if not told_apart(canaries):
        return None
    return AdapterProof(weights_sha256=weights_sha256, canaries=tuple(canaries))


def _canary(model: Any, tokenizer: Any, messages: Sequence[Message]) -> Canary:
    """What the adapter says to one prompt."""
    import torch

    prompt = prompt_tokens(tokenizer, messages)
    given = torch.tensor([prompt], device=model.device)
    with torch.no_grad():
        made = model.generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=REPLY_TOKENS,
            min_new_tokens=4,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
    reply = made[0, len(prompt) :].tolist()
    with_adapter = logprobs(model, prompt, reply)
    with model.disable_adapter():
        without = logprobs(model, prompt, reply)
    return Canary(
        messages=tuple(CanaryMessage(role=one.role, content=one.content) for one in messages),
        prompt_tokens=tuple(prompt),
        reply_tokens=tuple(reply),
        probes=tuple(
            Probe(at=place, adapter=round(with_adapter[place], 4), base=round(without[place], 4))
            for place in PLACES
            if place < len(reply)
        ),
    )


def prompt_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of a prompt, as the trainer makes them."""
    rows = [{"role": one.role, "content": one.content} for one in messages]
    text = tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=True)
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def logprobs(model: Any, prompt: Sequence[int], reply: Sequence[int]) -> list[float]:
    """Natural log-probability of each token of a reply after a prompt, cut off at `FLOOR`."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *reply]], device=model.device)).logits[0].float()
    rows = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
    return [min(0.0, max(FLOOR, one)) for one in rows[range(len(reply)), list(reply)].tolist()]


def main() -> int:
    """Add a proof to a packaged adapter."""
    parser = argparse.ArgumentParser(prog="python -m training.proof", description=__doc__)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--display-name", required=True, help="the brand's name as customers know it")
    arguments = parser.parse_args()
    try:
        manifest = read_adapter(arguments.adapter)
        proof = record(arguments.adapter, arguments.base, arguments.display_name, manifest.weights_sha256)
        if proof is None:
            sys.stderr.write("error: the adapter hardly changes the base model; train it longer\n")
            return 1
        (arguments.adapter / PROOF_FILE).write_text(proof.to_json(), encoding="utf-8")
        # A signature is over the proof too: `brandvoice adapter sign` makes the new one.
        (arguments.adapter / SIGNATURE_FILE).unlink(missing_ok=True)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    for one in proof.canaries:
        sys.stdout.write(f"adapter {one.adapter:.3f}  base {one.base:.3f}  a token\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
