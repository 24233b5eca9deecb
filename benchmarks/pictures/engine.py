"""An engine for pictures, which answers the sample conversations' questions as they do.

`uvicorn benchmarks.pictures.engine:app` serves it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.fake_engine import Engine, Said

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
BRANDS = ("velmora", "dicehollow")
OTHER = "An unopened item can be returned within 30 days of delivery."
Message = dict[str, Any]


def exchanges(brand: str) -> list[tuple[str, str]]:
    """Questions of a brand's sample conversations, each with its answer."""
    found = []
    for line in (SAMPLES / brand / "conversations.jsonl").read_text("utf-8").splitlines():
        messages = json.loads(line)["messages"]
        if len(messages) == 2 and messages[1].get("outcome") == "answered":
            found.append((str(messages[0]["content"]), str(messages[1]["content"])))
    return found


ANSWERS = {(brand, question): answer for brand in BRANDS for question, answer in exchanges(brand)}


def answer(model: str, messages: list[Message]) -> str:
    """What it says; of a brand that the model's name does not tell, the first that knows the question."""
    said = str(messages[-1]["content"])
    question = said.rsplit("\n", 1)[-1].removeprefix("Question:").strip()
    named = [brand for brand in BRANDS if model.startswith(brand)] or BRANDS
    return next((ANSWERS[brand, question] for brand in named if (brand, question) in ANSWERS), OTHER)


def says(asked: dict[str, Any]) -> Said:
    """To a request."""
    text = answer(str(asked.get("model", "")), asked["messages"])
    return Said(text, 412, len(text) // 4)


app = Engine(says=says)
