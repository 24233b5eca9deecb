"""The bench's runs: shared passages, blind until the vote, and what votes become."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from configs.training import Preferences
from service.console.bench import votes
from service.console.bench.runs import KEPT, LOST_AFTER, Asked, Bench, replayed, show
from service.console.bench.shown import Best, Run, Vote
from service.conversation import inbox
from service.conversation import store as conversations
from service.conversation.events import Reply
from service.errors import EngineLost, NotFound, NotPossible, RequestInvalid
from service.storage.belonging import delete_with_all
from service.storage.bench_tables import bench_answers, bench_runs
from service.storage.database import Database
from service.storage.tables import turns
from service.testing import FixedRetriever, ScriptedGenerator
from tests.unit.service.storage.support import message, rows
from tests.unit.service.test_pipeline import BRAND, RETURNS, pipeline
from training.data.preferences import Shop, read_pairs

QUESTION = "How long can I return an unopened item?"
SAYS = "An unopened item can be returned within 30 days of delivery."


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite:///{tmp_path / 'bench.db'}")
    yield opened
    await opened.close()


class House:
    """A bench on fakes: each voice says something of its own."""

    def __init__(self, db: Database, script: list[str | Exception] | None = None) -> None:
        self.db = db
        self.retriever = FixedRetriever((RETURNS,))
        self.generator = ScriptedGenerator(script or [f"Sure, {SAYS}", f"Gladly, {SAYS}", f"Of course, {SAYS}", SAYS])
        self.bench = Bench(db, pipeline(self.generator, self.retriever), self.score)

    @staticmethod
    def score(brand: Any, text: str) -> dict[str, Any]:
        return {"score": len(text) / 100, "reasons": [f"of {brand.name}"]}

    async def run(self, *contenders: str, blind: bool = True, **more: Any) -> str:
        asked = Asked(BRAND, QUESTION, contenders or ("base", "v2"), "anna", blind=blind)
        run, asked_turns = await self.bench.begin(replace(asked, **more))
        await self.bench.answer(run, asked_turns)
        return run

    async def vote(self, run: str, by: str, best: Best, **more: Any) -> Run:
        return await self.db.write(lambda connection: votes.cast(connection, run, by, Vote(best=best, **more)))


async def test_an_open_run_shows_each_answer_with_its_voice_support_tokens_and_time(db: Database) -> None:
    house = House(db)
    run = await house.run("base", "v2", "base:no-guide", "v2:no-knowledge", blind=False)
    seen = await show(db, run, "anna")
    assert len(house.retriever.queries) == 1, "one search for all"
    assert [one.contender for one in seen.answers] == ["base", "v2", "base:no-guide", "v2:no-knowledge"]
    assert seen.finished
    assert not seen.votable
    first = seen.answers[0]
    assert first.voice is not None
    assert first.voice.reasons == ("of demo",)
    assert (first.prompt_tokens, first.completion_tokens) == (10, 12)
    assert first.ms is not None
    assert first.sentences[0].source == 1
    assert seen.passages[0]["document"] == "returns.md"
    assert len(seen.passages_sha256) == 64


async def test_a_blind_run_is_shuffled_and_keeps_its_key_until_the_vote(db: Database) -> None:
    house = House(db)
    orders = set()
    for _ in range(12):
        run = await house.run("base", "spring-one", "autumn-one")
        before = await show(db, run, "anna")
        told = before.model_dump_json()
        assert before.hidden
        assert before.votable
        for secret in ("base", "spring-one", "autumn-one", "Speak plainly", 'prompt_tokens":10'):
            assert secret not in told, secret
        after = await house.vote(run, "anna", "B")
        assert not after.hidden
        orders.add(tuple(one.contender for one in after.answers))
        assert (await show(db, run, "ben")).hidden, "who has not voted is told nothing"
    assert len(orders) > 1, "1 in 6^11 that this fails by chance"
    assert {tuple(sorted(one)) for one in orders} == {("autumn-one", "base", "spring-one")}


async def test_an_error_says_nothing_of_who_failed_while_it_is_blind(db: Database) -> None:
    house = House(db, [EngineLost("The engine did not take demo@spring-one"), SAYS])
    run = await house.run("spring-one", "autumn-one")
    seen = await show(db, run, "anna")
    assert sorted(one.state for one in seen.answers) == ["done", "failed"]
    assert "spring-one" not in seen.model_dump_json()
    with pytest.raises(NotPossible, match="Not every voice"):
        await house.vote(run, "anna", "A")
    openly = await house.run("spring-one", "autumn-one", blind=False)
    assert all(one.state == "done" for one in (await show(db, openly, "anna")).answers)


async def test_where_all_failed_the_reason_is_told_although_it_is_blind(db: Database) -> None:
    house = House(db, [EngineLost("The engine is away"), EngineLost("The engine is away")])
    seen = await show(db, await house.run("v2", "v3"), "anna")
    assert {one.error for one in seen.answers} == {"The engine is away"}
    assert not seen.votable


@pytest.mark.parametrize("blind", [True, False])
async def test_answers_come_one_by_one_and_of_a_blind_run_all_at_once(db: Database, blind: bool) -> None:
    house = House(db)
    run, asked_turns = await house.bench.begin(Asked(BRAND, QUESTION, ("base", "v2"), "anna", blind=blind))
    await house.bench._answer(run, 1, asked_turns[1])
    first, second = (await show(db, run, "anna")).answers
    assert (first.state, second.state) == ("waiting", "waiting" if blind else "done")
    assert bool(second.text) == bool(second.sentences) == (not blind)
    assert first.contender == (None if blind else "base")
    await house.bench._answer(run, 0, asked_turns[0])
    assert {one.state for one in (await show(db, run, "anna")).answers} == {"done"}


async def test_a_vote_is_cast_once_by_each_and_on_blind_runs_only(db: Database) -> None:
    house = House(db)
    run = await house.run()
    await house.vote(run, "anna", "A", tags=("voice", "kind"), note="warmer")
    seen = await show(db, run, "anna")
    assert seen.vote == Vote(best="A", tags=("voice", "kind"), note="warmer")
    with pytest.raises(NotPossible, match="already"):
        await house.vote(run, "anna", "B")
    with pytest.raises(RequestInvalid):
        await house.vote(run, "ben", "C")
    await house.vote(run, "ben", "equal")
    with pytest.raises(NotPossible, match="blind"):
        await house.vote(await house.run(blind=False), "anna", "A")
    with pytest.raises(NotFound):
        await house.vote("nothing", "anna", "A")


async def test_the_win_rate_follows_the_voice_not_the_letter(db: Database) -> None:
    house = House(db)
    for number in range(8):
        run = await house.run()
        # The reader knows nothing; the test does, and prefers v2 six times of eight.
        order = [one.contender for one in (await house.vote(run, "somebody else", "equal")).answers]
        best = order.index("v2" if number < 6 else "base")
        await house.vote(run, "anna", "AB"[best])  # type: ignore[arg-type]
    found = await votes.results(db, BRAND.name)
    (pair,) = found.pairs
    assert (pair.one, pair.wins, pair.losses, pair.ties) == ("base", 2, 6, 8)
    assert pair.rate == 0.375
    assert pair.low < 0.375 < pair.high
    assert found.votes == 16
    assert found.ranking == ()
    assert (await votes.results(db, "another")).votes == 0


async def test_votes_become_pairs_that_training_reads(db: Database, tmp_path: Path) -> None:
    house = House(db)
    run = await house.run()
    seen = await house.vote(run, "anna", "A", tags=("voice",))
    await house.vote(run, "ben", "A")
    await house.vote(run, "cleo", "B")
    tied = await house.run()
    await house.vote(tied, "anna", "A")
    await house.vote(tied, "ben", "B")
    rows = await votes.preference_rows(db, BRAND.name)
    assert len(rows) == 1, "two against one is a pair, one against one is none"
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    (pair,) = read_pairs(file, Preferences(), Shop("demo", "Demo Shop", house.retriever))
    assert pair.chosen == f"{seen.answers[0].text}".replace(" [1]", "")
    assert pair.rejected == f"{seen.answers[1].text}".replace(" [1]", "")
    assert pair.messages[-1].content.endswith(QUESTION)
    assert RETURNS.text in pair.messages[-1].content, "put as service would put it"
    assert [one["by"] for one in rows[0]["votes"]] == ["anna", "ben"]


async def test_a_past_turn_is_replayed_with_its_history_and_goes_when_it_goes(db: Database) -> None:
    house = House(db)
    kept = []
    for number, text in enumerate(("Do you sell lamps?", QUESTION, "And afterwards?")):
        accepted = await inbox.accept(db, BRAND.name, message(f"m{number}", text))
        turn = await inbox.next_turn(db, accepted.conversation_id)
        assert turn is not None
        said = Reply("We do [1].", "answered", (), {"version": "v1"}, {"prompt_tokens": 1, "completion_tokens": 1}, {})
        await conversations.finish(db, turn.id, said, outbox=None, handoff=None)
        kept.append(turn.id)
    assert await replayed(db, kept[1]) == (BRAND.name, QUESTION)
    run = await house.run(turn=kept[1])
    assert house.retriever.queries == [(QUESTION, ("Do you sell lamps?",))], "what was said before, not after"
    assert [one.content for one in house.generator.prompts[0][1:-1]] == ["Do you sell lamps?", "We do."]
    await house.vote(run, "anna", "A")
    (row,) = await votes.preference_rows(db, BRAND.name)
    assert [one["content"] for one in row["prompt"]] == ["Do you sell lamps?", "We do.", QUESTION]
    await db.write(lambda connection: delete_with_all(connection, turns, [kept[1]]))
    with pytest.raises(NotFound):
        await show(db, run, "anna")
    assert await votes.preference_rows(db, BRAND.name) == []


async def test_an_answer_whose_gateway_was_stopped_is_given_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(db)
    run, _ = await house.bench.begin(Asked(BRAND, QUESTION, ("base", "v2"), "anna"))
    assert {one.state for one in (await show(db, run, "anna")).answers} == {"waiting"}
    monkeypatch.setattr("service.console.bench.runs.LOST_AFTER", -LOST_AFTER)
    assert {one.state for one in (await show(db, run, "anna")).answers} == {"failed"}


async def test_an_old_run_goes_unless_somebody_voted_on_it(db: Database) -> None:
    house = House(db)
    voted, unvoted = await house.run(), await house.run()
    await house.vote(voted, "anna", "A")
    long_ago = datetime.now(UTC) - KEPT - timedelta(hours=1)
    await db.write(lambda connection: connection.execute(bench_runs.update().values(asked_at=long_ago)))
    fresh = await house.run()
    assert {row.id for row in await rows(db, bench_runs)} == {voted, fresh}
    assert unvoted not in {row.run_id for row in await rows(db, bench_answers)}


@pytest.mark.parametrize("contenders", [("base",), ("base", "base"), ("a", "b", "c", "d", "e"), ("base", "../x")])
async def test_one_voice_five_or_one_twice_are_refused(db: Database, contenders: tuple[str, ...]) -> None:
    with pytest.raises(RequestInvalid):
        await House(db).bench.begin(Asked(BRAND, QUESTION, contenders, "anna"))
