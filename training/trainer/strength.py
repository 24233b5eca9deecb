"""How much of what an adapter learnt is kept.

Between the base and the adapter lies a line of models. What was learnt fades slowly on the way back to the base, and
what was forgotten comes back fast. Source: Wortsman et al., "Robust fine-tuning of zero-shot models", 2022.
"""

from __future__ import annotations

from typing import Any


def keep(model: Any, strength: float) -> None:
    """Scale what an adapter adds to its base, in place.

    Args:
        model: A `peft.PeftModel` with one LoRA adapter.
        strength: 0 is the base, 1 the adapter as it was learnt.
    """
    import torch

    with torch.no_grad():
        for name, weights in model.named_parameters():
            # One of the two factors, so that their product is scaled once.
            if ".lora_B." in name:
                weights.mul_(strength)
