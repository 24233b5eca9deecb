"""Several processes that train one model, as `accelerate launch` starts them: which of them writes and tells."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def processes() -> int:
    """How many train together; 1 where nothing else was started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def place() -> int:
    """This process's place on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def of_main(make: Callable[[], Value]) -> Value:
    """What the main process makes, in every process."""
    if processes() == 1:
        return make()
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    # The first state of a process says for all later ones where it computes.
    PartialState(cpu=not torch.cuda.is_available())
    held = [make() if is_main() else None]
    broadcast_object_list(held)
    made: Value = held[0]  # type: ignore[assignment]
    return made


def disband() -> None:
    """End what holds the processes together, so that the main one packages while the others are done."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
