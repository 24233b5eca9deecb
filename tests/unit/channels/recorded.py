"""Recorded webhook bodies that lie beside the project, not in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WEBHOOKS = Path(__file__).parents[3].parent / "shared" / "data" / "webhooks"
ABSENT = "shared/data/webhooks beside the project is not there: recorded bodies do not ship with it"


def bodies(channel: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and payload of each, where a platform's lie one a file."""
    return [(path.stem, json.loads(path.read_bytes())) for path in sorted(WEBHOOKS.glob(f"{channel}/*.json"))]


def slack_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Name and payload of each."""
    return bodies("slack")


def teams_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Name and payload of each."""
    return [(path.stem, json.loads(path.read_bytes())) for path in sorted(WEBHOOKS.glob("teams/*.json"))]


def whatsapp_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Name and payload of each."""
    return [
        (f"{path.stem}-{case}", payload)
        for path in sorted(WEBHOOKS.glob("whatsapp/*.json"))
        for case, payload in json.loads(path.read_bytes()).items()
    ]


def line_events() -> list[tuple[str, dict[str, Any]]]:
    """Name and body of each, with one event in it; none where the recorded bodies are not there."""
    path = WEBHOOKS / "line" / "webhook.json"
    payload = json.loads(path.read_bytes()) if path.is_file() else {"events": []}
    return [
        (f"{number:02d}-{event['type']}", payload | {"events": [event]})
        for number, event in enumerate(payload["events"])
    ]
