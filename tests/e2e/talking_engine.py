"""An engine for pages, which answers by what stands in the prompt: `uvicorn tests.e2e.talking_engine:app` serves it.

With the voice guide it says GUIDED, else BARE; a question that ends in `#7?` gets line 7 of the JSON list that the
variable PAYLOADS names.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from benchmarks.fake_engine import Engine, Said

GUIDED = "Do allow us to help! An unopened item can be returned within 30 days of delivery."
BARE = "Hello there! An unopened item can be returned within 30 days of delivery. It costs $9 to send it back."


def answer(messages: list[dict[str, str]]) -> str:
    """What it says."""
    if asked := re.search(r"#(\d+)\?$", messages[-1]["content"]):
        return str(json.loads(Path(os.environ["PAYLOADS"]).read_text("utf-8"))[int(asked[1])]["payload"])
    return GUIDED if "Voice guide:" in messages[0]["content"] else BARE


app = Engine(says=lambda asked: Said(answer(asked["messages"]), 120, 24))
