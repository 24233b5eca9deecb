from collections import Counter
from pathlib import Path

from configs.training import Data
from retrieval.passages import Passage
from retrieval.prompt import Message, build_prompt
from training.conversations import AssistantMessage, Conversation, Question, UserMessage
from training.examples.files import read_examples, read_probes, write_examples, write_probes
from training.examples.rendering import Built, build_examples, build_probes, select
from training.testing import WordSearch

PAGES = {
    "returns.md": "Returns: an unopened item can be returned within 30 days of delivery.",
    "shipping.md": "Shipping: standard delivery takes 3 to 5 business days and costs $6.",
    "repairs.md": "Repairs: a repair of a watch takes 4 weeks.",
    "stores.md": "Stores: the store in Boston opens at 10 a.m.",
    "cards.md": "Gift cards: a gift card is valid for 2 years.",
}
KNOWLEDGE = WordSearch([Passage(name, name, "", text, 0.0) for name, text in PAGES.items()])


def conversation(name: str, *turns: tuple[str, str, str, tuple[str, ...]], topic: str = "any") -> Conversation:
    messages: list[UserMessage | AssistantMessage] = []
    for question, reply, outcome, documents in turns:
        messages.append(UserMessage(role="user", content=question))
        values = {"role": "assistant", "content": reply, "outcome": outcome, "documents": documents}
        messages.append(AssistantMessage.model_validate(values))
    return Conversation(id=name, topic=topic, messages=tuple(messages))


RETURNS = ("until when can an unopened item be returned", "Within 30 days of delivery.", "answered", ("returns.md",))
REFUSAL = ("what does standard insurance cost", "We have no information on this.", "refused", ())
THANKS = ("thank you", "A pleasure.", "small_talk", ())
PERSON = ("a person please", "A colleague takes over.", "handed_off", ())


def built(*conversations: Conversation, data: Data | None = None, top_k: int = 3) -> Built:
    return build_examples(conversations, KNOWLEDGE, data or Data(), brand="acme", display_name="Acme", top_k=top_k)


def test_each_outcome_becomes_its_kind_of_prompt() -> None:
    made = built(conversation("c", RETURNS, REFUSAL, THANKS, PERSON), data=Data(variants=1))
    assert [(one.kind, one.with_sources) for one in made.examples] == [
        ("answer", False),
        ("refuse", False),
        ("answer", True),
        ("small_talk", False),
        ("hand_over", False),
    ]


def test_the_prompt_is_the_one_that_service_builds() -> None:
    follow_up = ("and standard delivery?", "3 to 5 business days, for $6.", "answered", ("shipping.md",))
    example = built(conversation("c", RETURNS, follow_up), data=Data(variants=1)).examples[1]
    history = (Message("user", RETURNS[0]), Message("assistant", RETURNS[1]))
    found = KNOWLEDGE.search(follow_up[0], history=[RETURNS[0]], top_k=3).passages
    served = build_prompt("answer", follow_up[0], display_name="Acme", history=history, passages=found)
    assert example.messages == served.messages
    assert example.completion == follow_up[1]


def test_a_page_that_search_misses_is_put_into_the_prompt_and_reported() -> None:
    missed = ("is a store open at ten", "Repairs of a watch take 4 weeks.", "answered", ("repairs.md",))
    made = built(conversation("c", missed), data=Data(variants=3), top_k=2)
    assert made.report.gold_put_in == ("c/1",)
    assert all("repairs.md" in one.passages for one in made.examples)
    assert len(made.examples[0].passages) == 2


def test_varied_prompts_hold_the_page_among_others_within_the_range() -> None:
    made = built(conversation("c", RETURNS), data=Data(variants=8, min_passages=2, max_passages=4))
    varied = [one.passages for one in made.examples[1:]]
    assert all("returns.md" in passages and 2 <= len(passages) <= 4 for passages in varied)
    assert len(set(varied)) > 3
    assert len({passages.index("returns.md") for passages in varied}) > 1


def test_the_same_seed_gives_the_same_examples_and_another_one_others() -> None:
    talk = conversation("c", RETURNS)
    assert built(talk, data=Data(variants=6)) == built(talk, data=Data(variants=6))
    assert built(talk, data=Data(variants=6)) != built(talk, data=Data(variants=6, seed=8))


def test_a_page_without_a_passage_is_reported_and_not_learnt() -> None:
    made = built(conversation("c", ("hello?", "Yes, 30 days.", "answered", ("gone.md",))))
    assert made.examples == ()
    assert made.report.gold_unknown == ("c/1",)


def test_a_number_that_no_passage_holds_is_reported() -> None:
    made = built(conversation("c", ("returned when", "Within 31 days.", "answered", ("returns.md",))))
    assert made.report.unsupported == ("c/1",)


def test_a_number_from_before_a_page_was_edited_is_not_learnt_where_the_recipe_says_so() -> None:
    edited = ("until when can an unopened item be returned", "Within 14 days of delivery.", "answered", ("returns.md",))
    made = built(
        conversation("old", edited), conversation("c", RETURNS), data=Data(variants=1, unsupported_numbers=False)
    )
    assert [one.id for one in made.examples] == ["c/1/0"]
    assert made.report.unsupported == ("old/1",)


def test_a_budget_that_would_cut_the_page_leaves_it_alone_in_the_prompt() -> None:
    data = Data(variants=8, min_passages=4, max_passages=4, max_source_tokens=50)
    made = built(conversation("c", RETURNS), data=data)
    assert all("returns.md" in one.passages for one in made.examples)
    assert made.report.over_budget


def test_a_subset_keeps_every_kind_and_topic() -> None:
    talks = [conversation(f"a{n}", RETURNS, topic=f"t{n % 4}") for n in range(40)]
    talks += [conversation(f"b{n}", outcome) for n, outcome in enumerate([REFUSAL, THANKS, PERSON] * 9)]
    examples = built(*talks, data=Data(variants=1)).examples
    chosen = select(examples, Data(max_examples=20, refusals_with_sources=False))
    assert len(chosen) == 20
    assert {one.kind for one in chosen} == {"answer", "refuse", "small_talk", "hand_over"}
    assert {one.topic for one in chosen if one.kind == "answer"} == {"t0", "t1", "t2", "t3"}
    assert chosen == select(examples, Data(max_examples=20, refusals_with_sources=False))


def test_accepted_corrections_are_all_in_a_subset_as_often_as_the_recipe_says() -> None:
    talks = [conversation(f"a{n}", RETURNS, topic=f"t{n % 4}") for n in range(40)]
    talks += [conversation(f"c{n}", RETURNS, topic="corrections") for n in range(12)]
    examples = built(*talks, conversation("c-no", REFUSAL, topic="corrections"), data=Data(variants=1)).examples
    data = Data(variants=1, max_examples=8, refusals_with_sources=False, corrections_repeat=3)
    chosen = Counter(one.id for one in select(examples, data))
    assert sum(one.startswith("a") for one in chosen) == 8
    # What should have been refused is learnt beside the passages that misled, too.
    corrected = {f"c{n}/1/0" for n in range(12)} | {"c-no/1/0", "c-no/1/s"}
    assert {one: count for one, count in chosen.items() if one.startswith("c")} == dict.fromkeys(corrected, 3)


def test_a_recipe_leaves_out_variants_and_refusals_beside_passages() -> None:
    examples = built(conversation("c", RETURNS, REFUSAL), data=Data(variants=4)).examples
    assert [one.id for one in select(examples, Data(variants=2, refusals_with_sources=False))] == [
        "c/1/0",
        "c/1/1",
        "c/2/0",
    ]


def test_a_question_that_belongs_to_a_person_is_put_as_a_hand_over_and_not_searched_for() -> None:
    asked = "is an item returned"
    person = Question(id="p", question=asked, document=None, handoff=True)
    page = Question(id="q", question=asked, document="returns.md")
    probes = build_probes([person, page], KNOWLEDGE, brand="acme", display_name="Acme", guide="Be kind.")
    assert [one.kind for one in probes] == ["hand_over", "answer"]
    assert [bool(one.passages) for one in probes] == [False, True]
    assert "A person of the team takes over" in probes[0].messages[-1].content
    assert "Be kind." in probes[0].guided[0].content


def test_examples_and_probes_come_back_from_their_files(tmp_path: Path) -> None:
    made = built(conversation("c", RETURNS, REFUSAL))
    write_examples(tmp_path / "examples.jsonl", made, data_sha256="d" * 64)
    assert read_examples(tmp_path / "examples.jsonl") == (made.examples, "d" * 64, "words-1")
    # A line to some, and none to JSON.
    asked = "is an item\u2028returned"
    question = Question(id="q", question=asked, document="returns.md", answer_contains=("30 days",))
    probes = build_probes([question], KNOWLEDGE, brand="acme", display_name="Acme", guide="Be kind.")
    write_probes(tmp_path / "probes.jsonl", probes)
    assert read_probes(tmp_path / "probes.jsonl") == probes
    assert "Be kind." in probes[0].guided[0].content
    assert "Be kind." not in probes[0].messages[0].content
