"""What the tests of corrections share: a brand with pages, a database, turns that were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from channels.base import InboundMessage
from configs.brand import Brand
from configs.home import Home
from configs.load import load_config
from retrieval.knowledge import store
from retrieval.testing import HashEncoder, write_pages
from service.conversation import inbox
from service.conversation import store as conversations
from service.conversation.events import Citation, Outcome, Reply
from service.corrections.desk import Corrections
from service.corrections.terms import Correction, Proposal, Who
from service.storage.database import Database
from tests.unit.service.storage.support import message

BRAND = "velmora"
QUESTION = "How long may I keep a bag before I bring it back?"
SAID = "You have 30 days [1]. We remain at your disposal."
BETTER = "It is our pleasure to take it back within 30 days of delivery."


def brand_of(pages: Path, review: str = "anyone") -> Brand:
    """The sample brand, with pages of the test's own and this way of review."""
    brand = load_config(Path("configs"), {}).brands[BRAND]
    corrections = brand.corrections.model_copy(update={"review": review})
    return brand.model_copy(update={"pages": pages, "corrections": corrections})


@dataclass
class Office:
    """A desk with what lies around it."""

    desk: Corrections
    db: Database
    home: Home
    brands: dict[str, Brand]
    noted: list[str]
    """Actions, as the audit log would have them."""

    def audit(self, _: Connection, action: str, one: Correction, detail: dict[str, Any]) -> None:
        """Note an action."""
        assert one.brand == BRAND
        assert detail
        self.noted.append(action)

    def rule(self, review: str) -> None:
        """Let corrections be reviewed so."""
        brand = self.brands[BRAND]
        changed = brand.corrections.model_copy(update={"review": review})
        self.brands[BRAND] = brand.model_copy(update={"corrections": changed})


def office(db: Database, folder: Path) -> Office:
    """A desk over pages that were taken in."""
    home = Home(folder)
    pages = write_pages(folder / "pages")
    store.add(home.knowledge, BRAND, pages, HashEncoder())
    brands = {BRAND: brand_of(pages)}
    return Office(Corrections(db, home, brands, HashEncoder()), db, home, brands, [])


async def answered(
    db: Database,
    question: str = QUESTION,
    text: str = SAID,
    *,
    key: str = "thread-1",
    outcome: Outcome = "answered",
    version: str = "v3",
    history: Sequence[Mapping[str, str]] = (),
    said_by: InboundMessage | None = None,
) -> str:
    """A question that was answered, with the prompt that its answer came from; returns the turn."""
    asked = said_by or message(f"m-{key}-{question}", question, key=key)
    accepted = await inbox.accept(db, BRAND, asked)
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn is not None
    prompt = [{"role": "system", "content": "You answer for Maison Velmora."}, *history]
    prompt += [{"role": "user", "content": f"Sources:\n[1] Returns: 30 days.\n\nQuestion: {question}"}]
    cited = (Citation(1, "returns.md", "Returns", "You have 30 days.", 0.8),) if outcome == "answered" else ()
    adapter = {"brand": BRAND, "version": version}
    usage = {"prompt_tokens": 200, "completion_tokens": 9}
    reply = Reply(text, outcome, cited, adapter, usage, {"total": 12.5}, {"prompt": prompt, "question": question})
    await conversations.finish(db, turn.id, reply, outbox=None, handoff=None)
    return turn.id


def voice(turn: str, by: str = "Anna", corrected: str = BETTER, **more: Any) -> Proposal:
    """A reply that did not sound like the brand."""
    return Proposal(turn, "voice", Who(by), "too short", corrected, **more)
