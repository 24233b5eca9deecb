"""A candidate beside what speaks now: asked once, kept, measured case by case, told on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from configs.brand import Gate
from training.conversations import Question
from training.errors import EvaluationBroken
from training.judging.comparison.asking import Answer, AnswerFile, Asked, EngineAway, Said, ask_all
from training.judging.comparison.measuring import Scorers, in_common, means, measure, to_judge
from training.judging.comparison.report import most_changed, render
from training.judging.overlap import Overlap
from training.progress import Report, silent

ANSWERABLE = Question(
    id="q1", question="How long may I return it?", document="returns.md", answer_contains=("30 days",), reference="30!"
)
OPEN = Question(id="q2", question="Do you sell boats?", document=None)
PERSON = Question(id="q3", question="Give me a human", document=None, handoff=True)
QUESTIONS = (ANSWERABLE, OPEN, PERSON)


def column(version: str, text: str, outcome: str, **changes: Any) -> dict[str, Any]:
    return {
        "version": version,
        "text": text,
        "outcome": outcome,
        "citations": [{"document": "returns.md"}, {"document": "returns.md"}] if outcome == "answered" else [],
        "decision": {"kind": "answer"},
        "generations": [
            {
                "text": text,
                "sentences": [
                    {"text": text, "supported": True, "kind": "claim"},
                    {"text": "And free.", "supported": False, "kind": "claim"},
                    {"nearest_own_words": 0.5},
                ],
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20},
        "timings_ms": {"first_token": 50.0, "generate": 400.0},
        **changes,
    }


class Bench:
    """Answers every question in the same way, and can be away for some calls."""

    def __init__(self, *, away: int = 0, broken: bool = False, found: str = "Within 30 days.") -> None:
        self.away = away
        self.found = found
        self.broken = broken
        self.questions: list[str] = []
        self.voices: list[tuple[str, ...]] = []

    async def ask(self, question: str, versions: Sequence[str]) -> Mapping[str, Any]:
        if self.broken:
            raise EvaluationBroken("the gateway cannot answer as v2: not what was trained")
        if self.away:
            self.away -= 1
            raise EngineAway("starting")
        self.questions.append(question)
        self.voices.append(tuple(versions))
        passages = [{"title": "Returns", "heading": "", "text": self.found}]
        return {
            "passages": passages,
            "columns": [column(version, "Within 30 days [1].", "answered") for version in versions],
        }


def files(folder: Path, *versions: str) -> dict[str, AnswerFile]:
    versions = versions or ("v1", "v2")
    return {one: AnswerFile(folder / one / "answers.jsonl", {"version": one}) for one in versions}


async def test_every_question_is_put_once_to_all_voices(tmp_path: Path) -> None:
    bench, seen = Bench(), list[Report]()
    found = await ask_all(bench, QUESTIONS, files(tmp_path), seen.append)
    assert [one.id for one in found] == ["q1", "q2", "q3"]
    assert sorted(bench.questions) == sorted(one.question for one in QUESTIONS)
    assert found[0].answers["v2"].cited == ("returns.md",)
    assert found[0].answers["v1"].sentences == (
        Said(text="Within 30 days [1].", supported=True, kind="claim"),
        Said(text="And free.", supported=False, kind="claim"),
    )
    assert (seen[-1].step, seen[-1].total) == (3, 3)


async def test_an_engine_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(away=4)
    found = await ask_all(bench, QUESTIONS, files(tmp_path), silent, between_tries_s=0)
    assert len(found) == 3


async def test_an_engine_that_stays_away_ends_the_comparison_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    await ask_all(Bench(), QUESTIONS[:2], files(tmp_path), silent)
    with pytest.raises(EvaluationBroken, match=r"2 of 3 questions are answered and kept.*the same command again"):
        await ask_all(Bench(away=10**6), QUESTIONS, files(tmp_path), silent, patience_s=0, between_tries_s=0)
    again = Bench()
    found = await ask_all(again, QUESTIONS, files(tmp_path), silent)
    assert again.questions == [PERSON.question]
    assert len(found) == 3


async def test_a_candidate_that_cannot_speak_ends_the_comparison_with_the_gateways_reason(tmp_path: Path) -> None:
    with pytest.raises(EvaluationBroken, match="not what was trained"):
        await ask_all(Bench(broken=True), QUESTIONS, files(tmp_path), silent)


async def test_answers_of_other_weights_and_cut_lines_are_asked_again(tmp_path: Path) -> None:
    await ask_all(Bench(), QUESTIONS, files(tmp_path), silent)
    assert len(files(tmp_path)["v1"].read()) == 3
    path = tmp_path / "v1" / "answers.jsonl"
    # A line to some, and none to JSON.
    path.write_text(path.read_text().replace("And free.", "And\u2028free."))
    assert len(files(tmp_path)["v1"].read()) == 3
    path.write_text(path.read_text()[:-30])
    assert len(files(tmp_path)["v1"].read()) == 2
    assert AnswerFile(path, {"version": "v1", "weights_sha256": "0" * 64}).read() == {}
    assert len(path.read_text().splitlines()) == 1


async def test_only_questions_that_are_new_or_read_otherwise_are_asked(tmp_path: Path) -> None:
    await ask_all(Bench(), QUESTIONS[:2], files(tmp_path), silent)
    first = QUESTIONS[0].model_copy(update={"question": "May I send it back?"})
    bench = Bench()
    found = await ask_all(bench, (first, *QUESTIONS[1:]), files(tmp_path), silent)
    assert sorted(bench.questions) == sorted([first.question, QUESTIONS[2].question])
    assert [one.id for one in found] == [one.id for one in QUESTIONS]
    again = Bench()
    await ask_all(again, (first, *QUESTIONS[1:]), files(tmp_path), silent)
    assert again.questions == [], "the newer answer of a question counts"


async def test_what_a_voice_answered_beside_another_candidate_is_not_asked_again(tmp_path: Path) -> None:
    await ask_all(Bench(), QUESTIONS, files(tmp_path, "base", "v1"), silent)
    bench = Bench()
    found = await ask_all(bench, QUESTIONS, files(tmp_path, "base", "v2"), silent)
    assert bench.voices == [("v2",)] * 3
    assert all(set(one.answers) == {"base", "v2"} for one in found)


async def test_answers_from_other_passages_are_not_compared_but_asked_again(tmp_path: Path) -> None:
    await ask_all(Bench(found="Within 14 days."), QUESTIONS, files(tmp_path, "base", "v1"), silent)
    bench = Bench()
    found = await ask_all(bench, QUESTIONS, files(tmp_path, "base", "v2"), silent)
    assert sorted(bench.voices) == sorted([("v2",), ("base", "v2")] * 3)
    assert {one.passages for one in found} == {("Returns  Within 30 days.",)}


def answer(text: str, outcome: str = "answered", cited: tuple[str, ...] = ("returns.md",), **changes: Any) -> Answer:
    return Answer(
        **{
            "text": text,
            "outcome": outcome,
            "cited": cited if outcome == "answered" else (),
            "written": text,
            "sentences": (Said(text=text, supported=True, kind="claim"),),
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "first_token_ms": 50.0,
            "generate_ms": 400.0,
            **changes,
        }
    )


def asked(question: Question, before: Answer, after: Answer, decision: str = "answer") -> Asked:
    return Asked(id=question.id, decision=decision, passages=("Within 30 days.",), answers={"v1": before, "v2": after})


SCORERS = Scorers(
    voice=lambda text: 1.0 if "!" in text else 0.25,
    overlap=lambda reply, reference: Overlap(rouge_l=0.5, bleu=0.25, chrf=float(reply == reference)),
    leaks=lambda text, may: "secret" in text and not any("secret" in one for one in may),
)
COMPARED = (
    asked(
        ANSWERABLE,
        answer("Within 30 days [1].", cited=("returns.md", "shipping.md")),
        answer("30! [1]", sentences=(Said(text="30!", supported=False, kind="claim"),)),
    ),
    asked(OPEN, answer("A secret boat.", cited=()), answer("No.", outcome="refused"), "answer"),
    asked(
        PERSON,
        answer("A colleague comes!", outcome="handed_off"),
        answer("What?", outcome="small_talk", written="", sentences=()),
        "hand_over",
    ),
)


def test_each_voice_is_measured_on_the_questions_that_a_measure_is_about() -> None:
    before, after = (measure(QUESTIONS, COMPARED, version, SCORERS) for version in ("v1", "v2"))
    assert before["facts"] == {"q1": 1}
    assert after["facts"] == {"q1": 0}
    assert before["citation_precision"] == {"q1": 0.5}
    assert after["citation_precision"] == {"q1": 1}
    assert before["citation_recall"] == after["citation_recall"] == {"q1": 1}
    assert (before["refusal"], after["refusal"]) == ({"q2": 0}, {"q2": 1})
    assert before["false_refusal"] == after["false_refusal"] == {"q1": 0}
    assert (before["handoff"], after["handoff"]) == ({"q3": 1}, {"q3": 0})
    assert after["overlap"] == {"q1": 1}, "marks of citations are no words"
    assert before["leak"] == {"q1": 0, "q2": 1, "q3": 0}
    assert (before["groundedness"]["q1"], after["groundedness"]["q1"]) == (1, 0)
    assert set(after["voice"]) == {"q1", "q2"}, "a reply that the model did not write has no voice"
    assert before["tokens_per_s"]["q1"] == 50


def test_a_measure_is_compared_on_the_cases_that_both_have() -> None:
    mine, theirs = in_common({"voice": {"a": 1, "b": 0}, "facts": {"a": 1}}, {"voice": {"b": 1, "c": 1}})
    assert mine == {"voice": {"b": 0}}
    assert theirs == {"voice": {"b": 1}}


def test_measures_with_few_cases_and_times_are_judged_only_where_the_brand_names_them() -> None:
    many, few = {str(n): 1.0 for n in range(30)}, {"a": 1.0}
    values = {"facts": many, "handoff": few, "tokens_per_s": many, "voice": few}
    assert set(to_judge({**values, "bleu": many}, Gate())) == {"facts", "voice"}
    named = Gate.model_validate({"margins": {"handoff": 0.1}, "floors": {"tokens_per_s": 5}})
    assert set(to_judge(values, named)) == {"facts", "voice", "handoff", "tokens_per_s"}


def test_means_lie_within_their_intervals() -> None:
    found = means({"voice": {str(n): n / 40 for n in range(40)}})["voice"]
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(0.4875)
    assert found.cases == 40


def test_answers_are_listed_by_how_much_they_changed_and_equal_ones_not_at_all() -> None:
    before, after = (measure(QUESTIONS, COMPARED, version, SCORERS) for version in ("v1", "v2"))
    found = most_changed(QUESTIONS, COMPARED, before, after, "v1", "v2")
    assert [one.question.id for one in found] == ["q1", "q2", "q3"]
    same = (asked(OPEN, answer("No."), answer("No.")),)
    value = measure((OPEN,), same, "v1", SCORERS)
    assert most_changed((OPEN,), same, value, value, "v1", "v2") == []


def test_the_page_shows_verdict_reasons_and_answers_and_runs_nothing_that_was_said() -> None:
    nasty = "<script>alert(1)</script> 30 days"
    compared = (asked(ANSWERABLE, answer("Within 30 days."), answer(nasty)),)
    values = {version: measure((ANSWERABLE,), compared, version, SCORERS) for version in ("v1", "v2")}
    report = {
        "brand": "demo",
        "verdict": "not enough evidence",
        "reasons": ["1 case, where 150 are needed for a verdict"],
        "measures": [],
        "means": {
            version: {name: vars_of(one) for name, one in means(values[version]).items()} for version in ("v1", "v2")
        },
        "questions": 1,
        "at": "2026-01-01T10:00:00Z",
        "conditions": {
            "candidate": {"weights_sha256": "a" * 64},
            "current": {"weights_sha256": "b" * 64},
            "questions_sha256": "c" * 64,
        },
        "decisions": {"answer": 1},
        "knowledge_version": "k1",
    }
    page = render(report, (ANSWERABLE,), compared, values, current="v1", candidate="v2")
    assert "Not enough evidence" in page
    assert "1 case, where 150 are needed" in page
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "right facts given" in page
    assert "http://" not in page
    assert "https://" not in page


def vars_of(mean: Any) -> dict[str, float]:
    return {key: getattr(mean, key) for key in ("mean", "low", "high", "cases")}
