"""Holds a model that learns a voice to what its base says of general conversations, so that it forgets less.

At each step the adapter is also given a few general conversations, and pays for each token whose odds it moves away
from those of the base, which is the same model with the adapter off: no second model is kept. Nothing of the
conversations themselves is learnt. Source: Li and Hoiem, "Learning without Forgetting", ECCV 2016 (distillation from
the old model), here on general conversations instead of the new data.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import torch

from configs.training import Sft
from training.examples.rendering import Example
from training.trainer.ranks import place, processes


class Rehearsal:
    """General conversations, some at each step, in an order of the seed."""

    def __init__(self, examples: Sequence[Example], tokenizer: Any, *, batch: int, seed: int) -> None:
        """Take the conversations.

        Args:
            examples: At least one.
            tokenizer: Of the base, with its chat template.
            batch: How many are rehearsed at once, on each GPU.
            seed: Of their order.
        """
        self._rows = [_ids(one, tokenizer) for one in examples]
        self._pad = tokenizer.pad_token_id
        self._batch = batch
        self._seed = seed

    def loss(self, model: Any, plain: Any, turn: int) -> torch.Tensor:
        """Mean over the tokens of the divergence from the base's odds to the adapter's, in nats.

        Args:
            model: With the adapter on; may be wrapped for several GPUs.
            plain: The same, not wrapped: its adapter can be switched off.
            turn: How many times this was asked before; a run that goes on after a crash goes on here too.
        """
        rows = self._drawn(turn)
        # A column more than the longest: without any padding there would be no mask, by which packed rows are told
        # from padded ones (`training.trainer.fast_layers`).
        width = max(map(len, rows)) + 1
        device = next(plain.parameters()).device
        ids = torch.tensor([[*row, *[self._pad] * (width - len(row))] for row in rows], device=device)
        seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        given = {"input_ids": ids, "attention_mask": seen, "use_cache": False}
        with torch.no_grad(), plain.disable_adapter():
            theirs = torch.log_softmax(plain(**given).logits.float(), dim=-1)
        mine = torch.log_softmax(model(**given).logits.float(), dim=-1)
        apart = torch.nn.functional.kl_div(mine, theirs, reduction="none", log_target=True).sum(-1)
        return (apart * seen).sum() / seen.sum()

    def _drawn(self, turn: int) -> list[list[int]]:
        """The conversations of a turn, each of which comes once before any comes again."""
        first = (turn * processes() + place()) * self._batch
        return [self._row(first + number) for number in range(self._batch)]

    def _row(self, number: int) -> list[int]:
        passed, at = divmod(number, len(self._rows))
        order = list(range(len(self._rows)))
        random.Random(f"{self._seed}/{passed}").shuffle(order)  # noqa: S311  (reproducible, not secret)
        return self._rows[order[at]]


def _ids(example: Example, tokenizer: Any) -> list[int]:
    chat = [{"role": one.role, "content": one.content} for one in example.messages]
    whole = [*chat, {"role": "assistant", "content": example.completion}]
    text = tokenizer.apply_chat_template(whole, tokenize=False)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


class Rehearses:
    """Mixed into a trainer: each step pays for what it moves of the base; without conversations nothing changes."""

    _rehearsal: Rehearsal | None = None
    _weight = 0.0
    _counted = (-1, 0)
    """The step, and how many batches of it were taken."""

    def rehearse(self, examples: Sequence[Example], tokenizer: Any, sft: Sft) -> None:
        """Take the general conversations; one pass over the rows of training is one pass over them."""
        trainer: Any = self
        if not examples:
            return
        turns = math.ceil(len(trainer.train_dataset) / sft.per_device_train_batch_size / processes())
        batch = math.ceil(len(examples) / turns / processes())
        self._rehearsal = Rehearsal(examples, tokenizer, batch=batch, seed=sft.seed)
        self._weight = sft.distillation

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """As the trainer's; while it trains, with the rehearsal's loss added."""
        trainer: Any = self
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[misc]
        if self._rehearsal is None or not model.training:
            return found
        step, batches = trainer.state.global_step, trainer.args.gradient_accumulation_steps
        self._counted = (step, self._counted[1] + 1 if self._counted[0] == step else 0)
        plain = trainer.accelerator.unwrap_model(model)
        paid = self._weight * self._rehearsal.loss(model, plain, step * batches + self._counted[1])
        if num_items_in_batch is not None:
            # The trainer then takes what comes for a share of the step's sum, and divides no more.
            paid = paid / trainer.current_gradient_accumulation_steps
        return (found[0] + paid, found[1]) if return_outputs else found + paid
