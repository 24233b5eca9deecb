"""Accepted corrections beside a brand's own conversations: what is learnt, what is held out, and what a digest says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from configs.home import Home
from configs.load import load_config
from configs.training import Data, read_recipe
from retrieval.passages import Passage
from service.testing import FixedRetriever
from training.conversations import Conversation, data_sha256, read_conversations
from training.data.split import near_any
from training.errors import DataInvalid
from training.examples.rendering import build_examples
from training.examples.sources import Source, corrections_of

ROOT = Path(__file__).resolve().parents[3]
BRAND = load_config(ROOT / "configs", {}).brands["velmora"]
REPLY = "With pleasure: within 30 days."
HELD = json.loads((ROOT / "samples/velmora/questions.jsonl").read_text().splitlines()[0])["question"]


class Knowledge(FixedRetriever):
    """A search that finds one passage, of a version."""

    version = "k1"


def row(turn: str, question: str, **more: Any) -> dict[str, Any]:
    said = [
        {"role": "user", "content": "Good evening"},
        {"role": "assistant", "content": "Hi there.", "outcome": "small_talk", "learnt": False},
        {"role": "user", "content": question},
        {
            "role": "assistant",
            "content": REPLY,
            "outcome": "answered",
            "documents": ["r.md"],
        },
    ]
    return {"id": f"correction.{turn}", "topic": "corrections", "messages": said} | more


def source(home: Home, *rows: dict[str, Any]) -> Source:
    files = home.corrections("velmora")
    files.folder.mkdir(parents=True)
    files.conversations.write_text("".join(json.dumps(one) + "\n" for one in rows))
    own = read_conversations(ROOT / "samples/velmora/conversations.jsonl")
    nothing: Any = None
    return Source(nothing, home, BRAND, own, nothing, nothing, corrections_of(BRAND, home))


def test_corrections_are_learnt_unless_the_recipe_says_no(tmp_path: Path) -> None:
    one = source(Home(tmp_path), row("t1", "Will you still have me if I come back with my bag?"))
    assert [each.id for each in one.learnt(Data())[-1:]] == ["correction.t1"]
    assert one.learnt(Data(corrections=False)) == one.conversations
    assert data_sha256(one.learnt(Data())) != data_sha256(one.conversations)


def test_a_correction_that_asks_what_is_held_out_is_not_learnt(tmp_path: Path) -> None:
    one = source(Home(tmp_path), row("t1", HELD.upper()), row("t2", "Will you still have me if I return with my bag?"))
    assert [each.id for each in one.corrections] == ["correction.t2"]


def test_a_broken_file_of_corrections_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"corrections/velmora/conversations.jsonl:1"):
        source(Home(tmp_path), {"id": "x"})


def test_only_the_corrected_reply_is_learnt_after_what_was_said_before() -> None:
    conversation = Conversation.model_validate(row("t1", "How long may I keep it?"))
    found = Knowledge((Passage("r.md", "Returns", "", "An item can be returned within 30 days.", 0.9),))
    built = build_examples([conversation], found, Data(variants=1), brand="velmora", display_name="V")  # type: ignore[arg-type]
    assert {one.completion for one in built.examples} == {REPLY}
    assert all("Hi there." in [said.content for said in one.messages] for one in built.examples)
    with pytest.raises(ValueError, match="no reply of it is learnt"):
        Conversation.model_validate(row("t1", "x") | {"messages": row("t1", "x")["messages"][:2]})


def test_a_key_that_came_later_changes_no_digest_of_what_was_there() -> None:
    own = read_conversations(ROOT / "samples/velmora/conversations.jsonl")
    manifest = json.loads((ROOT / "samples/velmora/adapter/manifest.json").read_text())
    recipe = read_recipe(ROOT / "configs/training/lora.yaml")
    assert recipe.sha256() == manifest["recipe_sha256"]
    before = hashlib.sha256()
    for one in own:
        # As it was made before there was the key.
        held = one.model_dump(mode="json", exclude={"synthetic", "split", "source"})
        for message in held["messages"]:
            message.pop("learnt", None)
        before.update(json.dumps(held, sort_keys=True).encode() + b"\n")
    assert data_sha256(own) == before.hexdigest()


def test_near_questions_are_told_by_their_places() -> None:
    asked = ["How long do I have to return an unopened item?", "Do you ship to Canada?"]
    assert near_any(asked, ["how long do i have to return an unopened item"]) == {0}
    assert near_any(asked, []) == set()
