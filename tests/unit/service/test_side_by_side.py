"""Voices side by side: one search for all, and a voice without its guide or its knowledge."""

from __future__ import annotations

import pytest

from retrieval.passages import Passage
from retrieval.prompt import Message
from service.errors import RequestInvalid
from service.testing import FixedRetriever, ScriptedGenerator
from service.turns.pipeline import Turn
from service.turns.side_by_side import Contender, turns_of
from service.turns.support import sentences_of
from tests.unit.service.test_pipeline import BRAND, RETURNS, pipeline

SAYS = "An unopened item can be returned within 30 days of delivery."
QUESTION = "How long can I return an unopened item?"


async def test_all_voices_answer_from_one_search_with_the_history() -> None:
    generator, retriever = ScriptedGenerator([SAYS]), FixedRetriever((RETURNS,))
    asked = Turn(BRAND, "And how long for an unopened item?", (Message("user", "Can I return things?"),))
    speaking = pipeline(generator, retriever)
    voices = [Contender.parse(one) for one in ("base", "v2", "v1", "base:no-guide")]
    replies = [await speaking.reply(one) for one in await turns_of(speaking, asked, voices, served=False)]
    assert retriever.queries == [("And how long for an unopened item?", ("Can I return things?",))]
    assert generator.models == ["base", "demo@v2", "demo@v1", "base"]
    found = [one.evidence["search"] for one in replies]
    assert all(one == found[0] for one in found)
    assert all(one.timings_ms["retrieve"] == replies[0].timings_ms["retrieve"] for one in replies)
    guided, *others = ("Speak plainly." in prompt[0].content for prompt in generator.prompts)
    assert guided
    assert others == [False, False, False]
    assert generator.prompts[1] == generator.prompts[3], "the adapter off, and nothing else"


async def test_without_knowledge_the_prompt_holds_no_passage_and_the_check_knows_them_all_the_same() -> None:
    generator = ScriptedGenerator([f"Hello! {SAYS} It costs $9 to do so."])
    speaking = pipeline(generator, FixedRetriever((RETURNS,)))
    voices = [Contender.parse("v1:no-knowledge")]
    (turn,) = await turns_of(speaking, Turn(BRAND, QUESTION), voices, served=True)
    reply = await speaking.reply(turn)
    assert "30 days" not in generator.prompts[0][-1].content
    assert QUESTION in generator.prompts[0][-1].content
    assert len(generator.prompts) == 1, "nothing is said again from passages that it must not see"
    told = sentences_of(reply.text, (), reply.evidence)
    assert [(one.basis, one.source) for one in told] == [("style", None), ("passage", 1), ("nothing", None)]
    assert "$9" in told[2].missing
    assert all(one.shown for one in told), "all that it wrote stays"


async def test_what_customers_get_is_told_from_what_was_held_back() -> None:
    generator = ScriptedGenerator([f"{SAYS} It can be returned within 90 days when opened."])
    speaking = pipeline(generator, FixedRetriever((RETURNS,)))
    (turn,) = await turns_of(speaking, Turn(BRAND, QUESTION), [Contender("v1")], served=True)
    reply = await speaking.reply(turn)
    kept, held_back = sentences_of(reply.text, (), reply.evidence)
    assert (kept.text, kept.basis, kept.shown) == (SAYS, "passage", True)
    assert (held_back.basis, held_back.shown) == ("nothing", False)


async def test_a_quoted_sentence_names_its_passage_and_own_words_name_none() -> None:
    generator = ScriptedGenerator(["Of course! It can be returned within 90 days."])
    speaking = pipeline(generator, FixedRetriever((RETURNS,)))
    reply = await speaking.reply(Turn(BRAND, QUESTION))
    cited = [{"number": one.number, "score": one.score} for one in reply.citations]
    told = sentences_of(reply.text, cited, reply.evidence)
    assert [(one.basis, one.source) for one in told] == [("style", None), ("passage", 1)]

    nothing = Passage("lamps.md", "Lamps", "Lamps", "Lamps are lit at dusk.", 0.1)
    speaking = pipeline(ScriptedGenerator(["We have 12 lamps."]), FixedRetriever((nothing,), answerability=0.1))
    reply = await speaking.reply(Turn(BRAND, QUESTION))
    (own,) = sentences_of(reply.text, (), reply.evidence)
    assert (own.text, own.basis) == (BRAND.words.refusals[0], "own_words")


def test_a_reply_that_nobody_checked_says_so() -> None:
    assert [one.basis for one in sentences_of("One thing. Another thing.", (), {})] == ["unchecked", "unchecked"]


@pytest.mark.parametrize("text", ["base", "20260101-120000", "base:no-guide", "base:no-guide:no-knowledge"])
def test_a_way_to_answer_reads_as_it_is_written(text: str) -> None:
    assert str(Contender.parse(text)) == text


@pytest.mark.parametrize("text", ["", ":no-guide", "base:loud", "v1:no-guide", "base:no-guide:no-guide"])
def test_what_is_no_way_to_answer_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        Contender.parse(text)
