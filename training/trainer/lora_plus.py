"""The second matrix of an update may learn faster than the first.

It starts at nothing and is as wide as the model: one rate for both is too slow for it or too fast for the other.
Source: Hayou et al., "LoRA+: Efficient Low Rank Adaptation of Large Models", 2024.
"""

from __future__ import annotations

from typing import Any


class LearnsBFaster:
    """A trainer that gives the second matrix a rate of its own; comes before the trainer among the bases."""

    b_rate = 1.0
    """How many times the recipe's rate; to be set before the training begins."""

    args: Any
    model: Any
    optimizer: Any

    def create_optimizer(self, *given: Any) -> Any:
        """The trainer's own, with two rates where the recipe wants them."""
        if self.b_rate == 1:
            return super().create_optimizer(*given)  # type: ignore[misc]
        from peft.optimizers import create_loraplus_optimizer

        kind, settings = self.get_optimizer_cls_and_kwargs(self.args)  # type: ignore[attr-defined]
        self.optimizer = create_loraplus_optimizer(self.model, kind, loraplus_lr_ratio=self.b_rate, **settings)
        return self.optimizer
