"""The bench as people and programs have it: asking, blind columns, a vote, the names, the win rate, who may."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from retrieval.documents.loading import document_from_text
from retrieval.knowledge.store import add_documents
from retrieval.testing import PAGES
from service.testing import ScriptedGenerator
from tests.unit.service.console.seats import Browser, Role, browser, seat
from tests.unit.service.doors import Door

QUESTION = "How long do I have to return an unopened item?"
GUIDED = "Do allow us: an unopened item can be returned within 30 days of delivery."
BARE = "An unopened item can be returned within 30 days of delivery. It costs $9."


class Talking(ScriptedGenerator):
    """Says one thing where the prompt holds the voice guide, another where it does not."""

    async def stream(self, messages: Any, **how: Any) -> Any:  # type: ignore[override]
        self.script = [GUIDED if "Voice guide:" in messages[0].content else BARE]
        async for piece in super().stream(messages, **how):
            yield piece


@pytest.fixture
def shop(door: Door) -> Door:
    """A gateway whose engine answers, with a few pages of knowledge."""
    gateway = door.gateway
    pages = [document_from_text(name, text) for name, text in PAGES.items()]
    add_documents(gateway.home.knowledge, "velmora", pages, gateway.encoder)
    gateway.knowledge["velmora"].refresh()
    gateway.pipeline._generator = Talking([BARE])
    return door


def asked(one: Browser, **more: Any) -> Any:
    body = {"brand": "velmora", "question": QUESTION, "contenders": ["base", "base:no-guide"], **more}
    return one.send("/v1/bench/runs", json=body)


def test_a_run_by_the_api_brings_both_answers_from_the_same_passages(shop: Door) -> None:
    agent = seat(shop, {"velmora": Role.AGENT}, "ben@example.com")
    answer = asked(agent)
    assert answer.status_code == 202, answer.text
    seen = agent.get(f"/v1/bench/runs/{answer.json()['id']}").json()
    guided, bare = seen["answers"]
    assert [one["contender"] for one in seen["answers"]] == ["base", "base:no-guide"]
    assert guided["text"].startswith("Do allow us")
    assert seen["passages"][0]["document"] == "returns.md"
    assert len(seen["passages"][0]["sha256"]) == 64
    assert [(one["basis"], one["source"]) for one in bare["sentences"]] == [("passage", 1), ("nothing", None)]
    assert 0 <= bare["voice"]["score"] <= 1
    assert bare["voice"]["score"] != guided["voice"]["score"]
    assert "Voice guide:" in guided["prompt"][0]["content"]
    assert "Voice guide:" not in bare["prompt"][0]["content"]


def test_blind_vote_reveal_and_win_rate_on_the_pages(shop: Door) -> None:
    agent = seat(shop, {"velmora": Role.AGENT}, "ben@example.com")
    fields = {"brand": "velmora", "question": QUESTION, "contender": ["base", "base:no-guide"], "blind": "yes"}
    sent = agent.send("/console/bench", data=fields)
    assert sent.status_code == 303, sent.text
    place = sent.headers["location"]
    columns = re.search(r'<div class="answers">.*</article></div>', agent.get(place).text, re.S)
    assert columns is not None
    for secret in ("Base model", "Adapter off", "Voice guide", "no-guide", " ms", "Tokens"):
        assert secret not in columns[0], secret
    assert "Answer A" in columns[0]
    voted = agent.send(f"{place}/vote", data={"best": "A", "tag": ["voice", "facts"], "note": "warmer"})
    assert voted.status_code == 303, voted.text
    after = agent.get(place).text
    assert "Your vote counts" in after
    assert "Adapter off" in after
    assert "sounds like us" in after
    assert "Blind votes: 1." in after
    assert re.search(r"(100|0)(\.0)?%</td>", after)
    again = agent.send(f"{place}/vote", data={"best": "B"})
    assert again.status_code == 409
    found = agent.get("/v1/brands/velmora/bench/results").json()
    assert found["votes"] == 1


def test_votes_are_handed_out_as_pairs_to_editors_only(shop: Door) -> None:
    agent, editor = seat(shop, {"velmora": Role.AGENT}, "a@e.x"), seat(shop, {"velmora": Role.EDITOR}, "e@e.x")
    run = asked(agent, blind=True).json()["id"]
    assert agent.send(f"/v1/bench/runs/{run}/vote", json={"best": "B", "tags": ["kind"]}).status_code == 200
    path = "/v1/brands/velmora/bench/preferences"
    assert agent.get(path).status_code == 403
    told = editor.get(path)
    assert told.headers["content-type"].startswith("application/x-ndjson")
    (row,) = map(json.loads, told.text.splitlines())
    assert {row["chosen"], row["rejected"]} == {GUIDED, BARE}
    assert row["votes"][0]["tags"] == ["kind"]


def test_who_has_no_role_in_the_brand_sees_nothing_of_it(shop: Door) -> None:
    run = asked(seat(shop, {"velmora": Role.AGENT}, "a@e.x")).json()["id"]
    other = seat(shop, {"dicehollow": Role.ADMIN}, "o@e.x")
    assert asked(other).status_code == 403
    paths = [f"/v1/bench/runs/{run}", "/v1/brands/velmora/bench", "/v1/brands/velmora/bench/results"]
    pages = [f"/console/bench/runs/{run}", f"/console/bench/runs/{run}/answers/A", f"/console/bench/runs/{run}/ballot"]
    for path in (*paths, *pages, "/console/bench?brand=velmora"):
        assert other.get(path).status_code == 403, path
    assert other.send(f"/console/bench/runs/{run}/vote", data={"best": "A"}).status_code == 403
    for path in pages:
        assert browser(shop).get(path).status_code == 303, "to sign in"


def test_without_session_or_key_the_api_is_shut(locked: Door) -> None:
    stranger = browser(locked)
    for path in (
        "/v1/bench/runs/x",
        "/v1/brands/velmora/bench",
        "/v1/turns/x/inspection",
        "/v1/turns/x/why?document=a",
    ):
        assert stranger.get(path).status_code == 401, path


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"contender": ["base"]}, "Choose two to four voices"),
        ({"contender": ["base", "base:loud"]}, "no way to answer"),
        ({"contender": ["base", "base:no-guide"], "question": "  "}, "empty"),
    ],
)
def test_what_cannot_be_asked_is_said_on_the_page(shop: Door, fields: dict[str, Any], says: str) -> None:
    agent = seat(shop, {"velmora": Role.AGENT}, "ben@example.com")
    answer = agent.send("/console/bench", data={"brand": "velmora", "question": QUESTION} | fields)
    assert answer.status_code == 400
    assert says in answer.text


def test_a_version_that_is_not_there_fails_alone(shop: Door) -> None:
    agent = seat(shop, {"velmora": Role.AGENT}, "ben@example.com")
    run = asked(agent, contenders=["base", "20200101-000000"]).json()["id"]
    good, bad = agent.get(f"/v1/bench/runs/{run}").json()["answers"]
    assert (good["state"], bad["state"]) == ("done", "failed")
    assert "velmora@20200101-000000" in bad["error"]
    assert "could not answer" in agent.get(f"/console/bench/runs/{run}").text


def test_what_is_offered_holds_starters_questions_and_voices(shop: Door) -> None:
    agent = seat(shop, {"velmora": Role.AGENT}, "ben@example.com")
    found = agent.get("/v1/brands/velmora/bench").json()
    assert [one["contender"] for one in found["contenders"]] == ["base", "base:no-guide", "base:no-knowledge"]
    assert found["starters"]
    assert len(found["questions"]) > 50


def test_the_old_bench_leads_to_the_new_one(shop: Door) -> None:
    answer = shop.client.get("/bench", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/console/bench")
