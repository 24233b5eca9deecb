"""Knowledge that changes under a running gateway: taken up at once, and told where an answer's source is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.home import Home
from retrieval.knowledge import store
from retrieval.testing import PAGES, HashEncoder, write_pages
from service.conversation import store as conversations
from tests.patience import until
from tests.unit.service.doors import Door
from tests.unit.service.storage.support import answered

BRAND = "velmora"


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "pages")


def found(door: Door, question: str) -> list[str]:
    return [one.document for one in door.gateway.knowledge[BRAND].search(question, top_k=9).passages]


def test_what_is_added_answers_and_what_is_removed_or_rolled_back_does_not(door: Door, home: Home, pages: Path) -> None:
    store.add(home.knowledge, BRAND, pages, HashEncoder())
    until(lambda: "returns.md" in found(door, "return an unopened item"))
    store.remove(home.knowledge, BRAND, ["returns.md"], HashEncoder())
    until(lambda: "returns.md" not in found(door, "return an unopened item"))
    store.rollback(home.knowledge, BRAND, HashEncoder())
    until(lambda: "returns.md" in found(door, "return an unopened item"))


def test_a_damaged_brand_does_not_keep_another_from_its_new_pages(door: Door, home: Home, pages: Path) -> None:
    (home.knowledge / "dicehollow").mkdir(parents=True, exist_ok=True)
    (home.knowledge / "dicehollow" / "current").write_text("no version", encoding="utf-8")
    store.add(home.knowledge, BRAND, pages, HashEncoder())
    until(lambda: found(door, "return an unopened item"))


def test_a_source_that_is_gone_or_reads_otherwise_now_is_marked(
    door: Door, home: Home, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(home.knowledge, BRAND, pages, HashEncoder())
    knowledge = door.gateway.knowledge[BRAND]
    until(lambda: knowledge.documents())
    quoted = [
        {"document": one.document, "text": one.text}
        for one in knowledge.search("return, delivery, contact", top_k=9).passages
    ]
    assert {one["document"] for one in quoted} == set(PAGES)
    portal = door.client.portal
    assert portal is not None
    turn = portal.call(answered, door.gateway.db)
    real = conversations.evidence

    async def evidence(db: Any, asked: str) -> dict[str, Any]:
        stored = await real(db, asked)
        cited = [{"document": one["document"], "passage": one["text"]} for one in quoted]
        return stored | {
            "brand": BRAND,
            "citations": cited,
            "evidence": {"search": {"passages": [dict(one) for one in quoted]}},
        }

    monkeypatch.setattr(conversations, "evidence", evidence)

    def marks() -> dict[str, set[str]]:
        body = door.client.get(f"/v1/turns/{turn}").json()
        passages = body["evidence"]["search"]["passages"]
        assert [one.keys() - {"passage"} for one in body["citations"]] == [one.keys() - {"text"} for one in passages]
        told: dict[str, set[str]] = {}
        for one in body["citations"]:
            told.setdefault(one["document"], set()).update({"removed", "changed"} & one.keys())
        return told

    assert set().union(*marks().values()) == set()
    (pages / "shipping.md").write_text("# Delivery\n\nWe deliver nothing any more.\n", encoding="utf-8")
    (pages / "contact.md").write_text(f"---\naudience: internal\n---\n{PAGES['contact.md']}", encoding="utf-8")
    store.add(home.knowledge, BRAND, pages, HashEncoder())
    version = store.remove(home.knowledge, BRAND, ["returns.md"], HashEncoder()).version
    until(lambda: knowledge.version == version)
    assert marks() == {"returns.md": {"removed"}, "contact.md": {"removed"}, "shipping.md": {"changed"}}
