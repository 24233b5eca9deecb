"""How much a text sounds like a brand, over HTTP; the inbox asks the same while a person writes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from service.console.access import Agent
from service.people.lint import VoiceLint


class Text(BaseModel):
    """What is to be judged."""

    text: str = Field(max_length=20_000)


class Heard(BaseModel):
    """How it sounds."""

    score: float | None = Field(description="0 to 1: how likely the brand wrote it; null where its voice is not known.")
    reasons: list[str] = Field(description="What speaks against the brand, or for it, what tells most first.")


def lint_router(lint: VoiceLint) -> APIRouter:
    """The route `/v1/brands/{brand}/voice`."""
    router = APIRouter(prefix="/v1/brands/{brand}", tags=["Conversations"])

    @router.post("/voice", response_model=Heard)
    async def hear(person: Agent, brand: Annotated[str, Path(max_length=40)], text: Text) -> Any:  # noqa: ARG001
        """Score a text by the brand's voice, as `brandvoice voice score` does."""
        return await lint.hear(brand, text.text)

    return router
