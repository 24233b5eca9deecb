"""What `/v1/training` takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.trainings.terms import Choice, State, Step

By = Annotated[str | None, Field(max_length=100, description="Who does it, where an API key asks.", examples=["Anna"])]


class _From(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Chosen(BaseModel):
    """What to train, and how."""

    recipe: str = Field(max_length=40, examples=["quick_cpu"])
    changes: list[str] = Field(default=[], max_length=50, description="Instead of the recipe's, such as `lora.r=32`.")
    corrections: bool = Field(default=True, description="Also learn from accepted corrections.")
    gate: bool = Field(default=True, description="Ask the gate as soon as it is trained.")
    general: bool = Field(default=True, description="The gate also measures what is left of general ability.")
    baseline: bool = Field(
        default=True, description="The gate also asks the base model, to be shown beside, where a version speaks."
    )
    limit: int | None = Field(default=None, ge=1, description="The gate asks so many questions only: never a verdict.")
    by: By = None

    def of(self, brand: str) -> Choice:
        """As the desk takes it."""
        return Choice(brand, **self.model_dump(exclude={"by", "changes"}), changes=tuple(self.changes))


class RecipeShown(_From):
    """A recipe."""

    name: str
    method: str
    about: str
    learns_from: Literal["conversations", "pairs"]


class RecipesShown(BaseModel):
    """Recipes."""

    recipes: list[RecipeShown]


class PlanShown(_From):
    """What a training would do."""

    command: str = Field(description="As it would run.")
    files: list[str] = Field(description="What it learns from.")
    corrections: dict[str, int] = Field(description="Accepted ones, by kind.")
    free: bool = Field(description="Whether this machine trains nothing now.")


class StandingShown(_From):
    """Where a command stands."""

    stage: str
    step: int
    total: int
    loss: float | None
    seconds_left: float | None


class JobShown(_From):
    """A training."""

    id: str
    brand: str
    state: State = Field(
        description="interrupted: its process is gone without a word. trained: the gate is yet to be asked. done: "
        "nothing is left to do, whatever the gate said."
    )
    step: Step
    choice: dict[str, Any]
    data: dict[str, Any] = Field(description="Ids of the accepted corrections when it began, by kind.")
    version: str | None
    run: str | None = Field(description="Its folder below `runs` in the state folder.")
    host: str
    attempts: int
    error: str | None
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    discarded_by: str | None
    standing: StandingShown | None = None


class JobsShown(BaseModel):
    """Trainings."""

    jobs: list[JobShown]


class PointShown(_From):
    """The loss after a step."""

    step: int
    loss: float


class CurveShown(_From):
    """The losses of a run."""

    losses: list[PointShown]
    held_back: list[PointShown] = Field(description="On what is not trained on.")


class ChangedShown(_From):
    """One question whose answer changed."""

    question: str
    before: str
    after: str
    before_outcome: str
    after_outcome: str
    change: float = Field(description="Share of the words that differ.")


class ChangedAnswers(BaseModel):
    """What changed most."""

    answers: list[ChangedShown]


class Signed(BaseModel):
    """Who does it."""

    by: By = None


class Promotion(Signed):
    """Let a version speak."""

    reason: str | None = Field(
        default=None, max_length=2000, description="Why, where the gate did not pass it; kept with the name."
    )


class Speaking(BaseModel):
    """What speaks now."""

    brand: str
    version: str | None
