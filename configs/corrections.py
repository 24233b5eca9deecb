"""What people corrected: how a brand reviews it, and the files that accepted corrections become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TOPIC = "corrections"
"""Of the conversations that accepted corrections become."""


class Corrections(BaseModel):
    """How corrections of a brand's answers are reviewed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    review: Literal["anyone", "another", "two"] = Field(
        default="anyone",
        description="Who must accept a correction: anyone, its author too; another person than its author; or two "
        "others, and a third where they disagree.",
    )


@dataclass(frozen=True, slots=True)
class CorrectionFiles:
    """The files of one brand in the state folder; each is written whole, and absent where it would hold nothing."""

    folder: Path

    @property
    def conversations(self) -> Path:
        """Conversations as `training.conversations` reads them; `brandvoice train` learns them beside the brand's."""
        return self.folder / "conversations.jsonl"

    @property
    def pairs(self) -> Path:
        """Rows of `prompt`, `chosen` and `rejected`, for a recipe with `method: dpo`."""
        return self.folder / "pairs.jsonl"

    @property
    def questions(self) -> Path:
        """Held-out questions as `training.conversations` reads them; the gate asks them beside the brand's."""
        return self.folder / "questions.jsonl"
