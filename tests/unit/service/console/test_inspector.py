"""The inspector: a turn's evidence in order, tokens of each part, and where an expected page was lost."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from configs.base_manifest import base_folder
from configs.home import Home
from configs.load import load_config
from retrieval.documents.loading import document_from_text
from retrieval.evaluation.why import CURES, FOUND
from retrieval.knowledge.store import add_documents
from retrieval.passages import Passage
from retrieval.prompt import Message, build_prompt
from retrieval.testing import PAGES
from service.console.inspector.prompt_parts import count_tokens, parts_of
from service.console.inspector.waterfall import waterfall
from service.console.inspector.words import SAID, STEPS
from service.conversation import inbox
from service.conversation import store as conversations
from service.testing import ScriptedGenerator
from service.turns import handover_rules
from service.turns.pipeline import Turn
from tests.unit.service.console.seats import Role, seat
from tests.unit.service.doors import Door
from tests.unit.service.storage.support import message

SAYS = "An unopened item can be returned within 30 days of delivery."
ASKS = ("How long do I have to return an unopened item?", "And how many days of delivery for it?")


@pytest.fixture
def turns(door: Door) -> list[str]:
    """Two answered turns of one conversation."""
    gateway = door.gateway
    pages = [document_from_text(name, text) for name, text in PAGES.items()]
    add_documents(gateway.home.knowledge, "velmora", pages, gateway.encoder)
    gateway.knowledge["velmora"].refresh()
    gateway.pipeline._generator = ScriptedGenerator([SAYS])

    async def talk() -> list[str]:
        found = []
        for number, text in enumerate(ASKS):
            accepted = await inbox.accept(gateway.db, "velmora", message(f"m{number}", text))
            turn = await inbox.next_turn(gateway.db, accepted.conversation_id, past=3)
            assert turn is not None
            asked = Turn(gateway.config.brands["velmora"], text, handover_rules.history(turn.past))
            reply = await gateway.pipeline.reply(asked)
            await conversations.finish(gateway.db, turn.id, reply, outbox=None, handoff=None)
            found.append(turn.id)
        return found

    portal = door.client.portal
    assert portal is not None
    return portal.call(talk)


def tokenizer(folder: Path) -> None:
    """A tokenizer file in which each word is a token."""
    made = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))


def test_a_turn_is_shown_with_all_that_explains_it(door: Door, turns: list[str]) -> None:
    home_, models_ = door.gateway.home, door.gateway.config.service.models
    tokenizer(base_folder(home_.models, models_.base))
    agent = seat(door, {"velmora": Role.AGENT}, "ben@example.com")
    seen = agent.get(f"/v1/turns/{turns[1]}/inspection").json()
    assert seen["query"] == "\n".join(ASKS), "what was said before is folded in"
    assert seen["history"] == [ASKS[0]]
    best = next(one for one in seen["candidates"] if one["document"] == "returns.md")
    assert best["was_shown"]
    assert {"dense", "lexical", "fused", "late"} <= best["scores"].keys()
    assert [one["rank"] for one in seen["candidates"]] == list(range(1, len(seen["candidates"]) + 1))
    parts = {one["name"]: one for one in seen["prompt"]}
    assert set(parts) == {"system", "guide", "history", "passages", "question"}
    assert parts["question"]["tokens"] == len(ASKS[1].split()) + 1
    assert all(one["tokens"] == len(one["text"].split()) for one in seen["prompt"])
    (said,) = seen["sentences"]
    assert seen["passages"][said["source"] - 1]["document"] == "returns.md"
    assert seen["adapter"] == "base"
    began = {one["name"]: one["begun_ms"] for one in seen["timings"]}
    assert began["retrieve"] < began["generate"] < next(one["ms"] for one in seen["timings"] if one["name"] == "total")
    page = agent.get(f"/console/turns/{turns[1]}").text
    for shown in ("Exact prompt", "word by word", "returns.md", "first word from the engine", "<svg"):
        assert shown in page, shown
    assert turns[1] in agent.get("/console/inspector?words=DAYS OF").text
    assert turns[1] not in agent.get("/console/inspector?words=nowhere").text


def test_an_answer_leads_to_its_correction_wherever_it_is_shown(door: Door, turns: list[str]) -> None:
    agent = seat(door, {"velmora": Role.AGENT}, "ben@example.com")
    there = f"/console/corrections/new/{turns[0]}"
    conversation = agent.get(f"/v1/turns/{turns[0]}/inspection").json()["conversation"]
    run = agent.send("/v1/bench/runs", json={"turn": turns[0], "contenders": ["base", "base:no-guide"]}).json()["id"]
    for page in (f"/console/turns/{turns[0]}", f"/console/inbox/{conversation}", f"/console/bench/runs/{run}"):
        assert f'href="{there}"' in agent.get(page).text, page
    assert agent.get(there).status_code == 200
    # Of what a person wrote there is nothing to correct.
    said = agent.send(f"/v1/conversations/{conversation}/messages", json={"text": "Hello", "id": "1"}).json()["turn"]
    assert f"/console/corrections/new/{said}" not in agent.get(f"/console/inbox/{conversation}").text
    assert f"/console/corrections/new/{said}" not in agent.get(f"/console/turns/{said}").text


@pytest.mark.parametrize(
    ("document", "lost_at"), [("returns.md", None), ("gift-cards.md", "loading"), ("contact.md", "cut-off")]
)
def test_an_expected_page_is_followed_through_the_search(
    door: Door,
    turns: list[str],
    document: str,
    lost_at: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brands = door.gateway.config.brands
    few = brands["velmora"].retrieval.model_copy(update={"top_k": 1})
    monkeypatch.setitem(brands, "velmora", brands["velmora"].model_copy(update={"retrieval": few}))  # type: ignore[arg-type]
    agent = seat(door, {"velmora": Role.AGENT}, "ben@example.com")
    why = agent.get(f"/v1/turns/{turns[0]}/why", params={"document": document}).json()
    assert why["lost_at"] == lost_at
    assert [one["step"] for one in why["findings"] if one["lost"]] == ([lost_at] if lost_at else [])
    page = agent.get(f"/console/turns/{turns[0]}", params={"expected": document}).text
    assert ("Lost at" in page) == (lost_at is not None)


def test_another_brands_people_see_no_turn(door: Door, turns: list[str]) -> None:
    other = seat(door, {"dicehollow": Role.ADMIN}, "o@e.x")
    for path in (
        f"/v1/turns/{turns[0]}/inspection",
        f"/v1/turns/{turns[0]}/why?document=x",
        f"/console/turns/{turns[0]}",
    ):
        assert other.get(path).status_code == 403, path


@pytest.mark.parametrize("sent", ["<img src=x onerror=alert(1)>", "%d", "%(x)s"])
def test_what_was_asked_for_is_said_as_text(door: Door, sent: str) -> None:
    answer = seat(door, {"velmora": Role.AGENT}, "ben@example.com").get(f"/console/turns/{quote(sent)}")
    assert answer.status_code == 404
    assert "<img" not in answer.text.partition("<main")[2]
    assert escape(sent) in answer.text


@pytest.mark.parametrize("kind", ["answer", "refuse", "small_talk", "hand_over"])
def test_the_parts_of_a_prompt_are_all_of_it(kind: Any) -> None:
    passages = (Passage("a.md", "A", "A", "First.\n\nSecond.", 1.0), Passage("b.md", "B", "", "Third.", 0.9))
    history = (Message("user", "Question: one?"), Message("assistant", "One."))
    asked = "Sources:\n\nQuestion: two? "
    prompt = build_prompt(kind, asked, display_name="V", history=history, passages=passages, guide="Be kind.")
    told = [{"role": one.role, "content": one.content} for one in prompt.messages]
    parts = parts_of(told, asked)
    assert "".join(one.text for one in parts) == "".join(one.content for one in prompt.messages)
    middle = "passages" if kind == "answer" else "instruction"
    assert [one.name for one in parts] == ["system", "guide", "history", "history", middle, "question"]
    assert "Be kind." in parts[1].text


async def test_without_a_tokenizer_and_an_engine_nothing_is_counted(tmp_path: Path) -> None:
    settings = load_config(Path("configs"), {}).service
    assert await count_tokens(Home(tmp_path), settings, ["one two"]) is None


def test_the_waterfall_escapes_names_and_places_bars() -> None:
    drawn = waterfall([("<b>", 0.0, 50.0), ("late", 50.0, 50.0)], title='"x"')
    assert "<b>" not in drawn
    assert "&lt;b&gt;" in drawn
    assert 'x="380.0"' in drawn, "half of the room behind the names"
    assert waterfall([], title="nothing").startswith("<svg")


def test_whatever_the_search_says_is_translated() -> None:
    assert {*CURES.values(), FOUND} <= set(SAID)
    assert set(STEPS) == set(CURES)
