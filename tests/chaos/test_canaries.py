"""Two brands with canaries in all that they have: a sample of the mixed requests, and that a crossing would be seen."""

from __future__ import annotations

import pytest

from benchmarks.canaries.marks import Watch
from benchmarks.canaries.mixed import SHARES, Found, mixed
from benchmarks.canaries.ways import GUESSED
from benchmarks.canaries.world import World
from service.console.access import OF_BRAND

pytestmark = pytest.mark.e2e


def crossed(found: Found) -> set[str]:
    return {one.way for one in found.watch.crossings}


async def test_nothing_of_one_brand_comes_out_at_the_other() -> None:
    found = await mixed(300)
    assert found.watch.crossings == []
    assert found.failures == ()
    for way in SHARES:
        # What is the other's is refused; all else shows what is one's own.
        seen = found.watch.refused if way.endswith(GUESSED) and "widget" not in way else found.watch.own
        assert seen[way] or way == "webhooks", way
    assert found.watch.own["platforms' windows"] > 20
    assert found.watch.own["prompts"] > 100


async def test_knowledge_of_the_other_brand_would_be_seen_in_answers_prompts_and_on_platforms() -> None:
    def spoil(world: World) -> None:
        knowledge = world.gateway.knowledge
        knowledge["dicehollow"] = knowledge["velmora"]  # type: ignore[index]

    found = await mixed(40, spoil=spoil)
    assert crossed(found) >= {"prompts", "widget", "/v1/chat/completions", "platforms' windows"}
    assert {one.place for one in found.watch.crossings} & {"page", "page title"}


async def test_conversations_that_anybody_may_read_would_be_seen_on_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(world: World) -> None:
        for name in ("conversation", "turn"):
            # As if each were of whoever asks: the brand in the query says so.
            monkeypatch.delitem(OF_BRAND, name)

    found = await mixed(160, spoil=spoil)
    assert crossed(found) & {f"pages of the console{GUESSED}", f"/v1 of people{GUESSED}", "exports", "changes"}


def test_a_canary_that_one_sent_oneself_is_no_crossing() -> None:
    watch = Watch()
    theirs, own = watch.mark("dicehollow", "page"), watch.mark("velmora", "page")
    watch.look("search", "velmora", f"No page {theirs.upper()}, but {own}.", where="", sent=[theirs])
    assert watch.crossings == []
    watch.look("search", "velmora", f"{theirs} and {own}", where="")
    assert [one.mark for one in watch.crossings] == [theirs]
