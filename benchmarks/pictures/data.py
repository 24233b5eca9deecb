"""What the pictures show: two months of conversations and some people, made up from the sample brands."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, update

from benchmarks.pictures.engine import BRANDS, exchanges
from service.console.people import accounts, sessions
from service.console.person import EVERY, Role
from service.storage.database import now
from service.storage.people_tables import audit_log, people
from service.storage.tables import conversations, feedback, handoffs, turns

DAYS = 60
REFUSED = "We regret that our help pages hold no information on this subject."
HANDED = "Your message is passed to a client adviser of the house. We thank you for your patience."
UNKNOWN = ("Do you sell gift cards for concerts?", "Can I pay with shells?", "Is your founder married?")
CHANNELS = ("web", "web", "web", "whatsapp", "slack", "telegram", "instagram")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36"


def fill(connection: Connection) -> str:
    """Fill an empty database; returns the token of an admin's session."""
    chance = random.Random(7)  # noqa: S311
    for brand in BRANDS:
        known = exchanges(brand)
        for row in _conversations(brand, known, chance):
            _keep(connection, row)
    return _people(connection)


def _conversations(brand: str, known: list[tuple[str, str]], chance: random.Random) -> Iterator[dict[str, Any]]:
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(DAYS, -1, -1):
        day = today - timedelta(days=back)
        busy = (0.6 if day.weekday() >= 5 else 1.0) * (1 + (DAYS - back) / 120)
        for _ in range(round(chance.gauss(9, 2) * busy)):
            at = day + timedelta(minutes=chance.triangular(7 * 60, 23 * 60, 17 * 60))
            # In the course of the time more is answered: help pages were mended.
            good = 0.8 + 0.12 * (DAYS - back) / DAYS
            if at < now() - timedelta(minutes=30):
                yield {"brand": brand, "at": at, "turns": _turns(at, known, good, chance), "chance": chance}


def _turns(at: datetime, known: list[tuple[str, str]], good: float, chance: random.Random) -> list[dict[str, Any]]:
    found = []
    for _ in range(chance.choice((1, 1, 2, 2, 3))):
        question, text = chance.choice(known)
        outcome = "answered"
        if chance.random() > good:
            outcome, question, text = "refused", chance.choice(UNKNOWN), REFUSED
        if chance.random() < 0.03:
            outcome, text = "handed_off", HANDED
        total = chance.lognormvariate(8.1, 0.45)
        found.append(
            {
                "question": question, "text": text, "outcome": outcome, "state": "done", "created_at": at,
                "finished_at": at + timedelta(milliseconds=total), "timings": {"total": round(total, 1)},
                "prompt_tokens": round(chance.gauss(430, 60)), "completion_tokens": len(text) // 4,
                "citations": [], "adapter_version": "base",
            }
        )  # fmt: skip
        at += timedelta(minutes=chance.uniform(1, 6))
    return found


def _keep(connection: Connection, row: dict[str, Any]) -> None:
    chance: random.Random = row["chance"]
    made = f"{chance.getrandbits(64):016x}"
    handed = any(turn["outcome"] == "handed_off" for turn in row["turns"])
    connection.execute(
        insert(conversations).values(
            id=made, brand=row["brand"], channel=chance.choice(CHANNELS), account="sample", external_key=made,
            created_at=row["at"], state="waiting" if handed and row["at"] > now() - timedelta(days=2) else "bot",
            state_at=row["at"] if handed else None,
        )
    )  # fmt: skip
    for number, turn in enumerate(row["turns"], 1):
        name = f"{chance.getrandbits(64):016x}"
        connection.execute(insert(turns).values(id=name, conversation_id=made, number=number, **turn))
        if turn["outcome"] == "answered" and chance.random() < 0.22:
            value = "up" if chance.random() < 0.84 else "down"
            connection.execute(insert(feedback).values(turn_id=name, value=value, at=turn["finished_at"]))
        if turn["outcome"] == "handed_off":
            is_open = turn["created_at"] > now() - timedelta(days=2)
            connection.execute(
                insert(handoffs).values(
                    id=f"h{name}", brand=row["brand"], conversation_id=made, turn_id=name, reason="asked for a person",
                    state="open" if is_open else "closed", created_at=turn["created_at"], attempts=0,
                )
            )  # fmt: skip


def _people(connection: Connection) -> str:
    team = (
        ("Anna", {EVERY: Role.ADMIN}),
        ("Budi", {"velmora": Role.AGENT}),
        ("Citra", {"velmora": Role.EDITOR, "dicehollow": Role.EDITOR}),
        ("Dewi", {"dicehollow": Role.AGENT}),
    )
    ids = {}
    for name, roles in team:
        made, _ = accounts.invite(
            connection, by="set-up link", email=f"{name.lower()}@example.com", name=name, roles=roles
        )
        ids[name] = made.id
    # No password fits; whoever takes the pictures has a session.
    joined = update(people).where(people.c.name != "Dewi").values(password="none")  # noqa: S106
    connection.execute(joined)
    at = now() - timedelta(hours=5)
    connection.execute(update(audit_log).values(at=at))
    for name, action, brand, subject, detail in (
        ("Citra", "knowledge.edited", "velmora", "returns.md", {"version": "4b1057aeef00"}),
        ("Citra", "correction.accepted", "velmora", "c-0117", {"kind": "voice", "accepts": True}),
        ("Anna", "training.started", "velmora", "q3Zt0aBf", {"recipe": "quick_cpu", "version": "v7"}),
        ("Anna", "adapter.promoted", "velmora", "v7", {"override": False}),
        ("Anna", "adapter.rolled_back", "velmora", "v6", {}),
        ("Budi", "correction.proposed", "velmora", "c-0118", {"kind": "fact"}),
    ):
        at += timedelta(minutes=31)
        connection.execute(
            insert(audit_log).values(
                at=at, person_id=ids[name], by=name, brand=brand, action=action, subject=subject, detail=detail
            )
        )
    sessions.begin(connection, ids["Anna"], client="Mozilla/5.0 (iPhone; CPU iPhone OS 20_1 like Mac OS X) Safari")
    return sessions.begin(connection, ids["Anna"], client=AGENT)
