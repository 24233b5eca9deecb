"""Held-out questions, put to several voices of the running gateway; each answer is kept as it comes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import httpx2
from pydantic import Field, ValidationError

from configs.brand import Strict
from training.conversations import Question
from training.errors import EvaluationBroken
from training.progress import Progress, Report

AT_ONCE = 5
"""Questions; with three voices each, an engine on two cores writes fastest."""
TIMEOUT_S = 180.0
PATIENCE_S = 300.0
"""How long no answer may come before the engine is taken for dead; starting it again takes a minute."""
BETWEEN_TRIES_S = 3.0


class Said(Strict):
    """One sentence that the model wrote, and what the check said of it."""

    text: str
    supported: bool
    kind: str


class Answer(Strict):
    """What one voice did with one question."""

    text: str
    """As a customer gets it."""
    outcome: str
    cited: tuple[str, ...]
    """Documents, each once."""
    written: str
    """What the model wrote first, before any of it was held back."""
    sentences: tuple[Said, ...]
    """Of `written`."""
    prompt_tokens: int
    """Of all tries together, as all are paid for."""
    completion_tokens: int
    first_token_ms: float | None
    generate_ms: float | None


class Given(Strict):
    """What one voice was shown for one question, and what it did: a line of `answers.jsonl`."""

    id: str
    """Of the question."""
    question: str
    """As it was asked: one that reads otherwise now is asked again."""
    decision: str
    """As in `Asked`."""
    passages: tuple[str, ...]
    """Texts that were shown."""
    answer: Answer


class Asked(Strict):
    """One question with the answer of each voice."""

    id: str
    decision: str
    """What the pipeline decided before any voice spoke: answer, refuse, hand_over, small_talk or ask_back."""
    passages: tuple[str, ...]
    """Texts that were shown."""
    answers: dict[str, Answer] = Field(min_length=1)
    """By version."""


class Bench(Protocol):
    """Where questions are put."""

    async def ask(self, question: str, versions: Sequence[str]) -> Mapping[str, Any]:
        """The body of `POST /v1/bench`.

        Raises:
            EngineAway: It cannot be answered now; asked again it may be.
            EvaluationBroken: It cannot be answered.
        """
        ...


class EngineAway(Exception):
    """The gateway or its engine is busy, starting or gone."""


class HttpBench:
    """A gateway's bench; used in an `async with`."""

    def __init__(self, url: str, brand: str, *, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._brand = brand
        self._client = httpx2.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, question: str, versions: Sequence[str]) -> Mapping[str, Any]:
        """As `Bench.ask` says."""
        body = {"brand": self._brand, "question": question, "versions": list(versions), "served": True}
        try:
            response = await self._client.post("/v1/bench", json=body)
            told: Any = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise EngineAway(f"{type(error).__name__}: {error}") from error
        if response.status_code == 200:
            answered: Mapping[str, Any] = told
            return answered
        why = str(told.get("error", {}).get("message", f"HTTP {response.status_code}"))
        if response.status_code in (429, 502, 503, 504):
            raise EngineAway(why)
        raise EvaluationBroken(f"the gateway cannot answer as {', '.join(versions)}: {why}")


async def ask_all(
    bench: Bench,
    questions: Sequence[Question],
    kept: Mapping[str, AnswerFile],
    progress: Progress,
    *,
    patience_s: float = PATIENCE_S,
    between_tries_s: float = BETWEEN_TRIES_S,
) -> list[Asked]:
    """Put every question to every voice; what a voice answered before, under the same conditions, is not asked again.

    Args:
        bench: Where they are put.
        questions: What is asked.
        kept: Of each version, where its answers are kept.
        progress: Told of the questions that all have answered.
        patience_s: How long no answer may come.
        between_tries_s: After a try that failed.

    Returns:
        In the order of the questions.

    Raises:
        EvaluationBroken: A voice cannot answer, or nothing came for `patience_s`; what was answered is kept.
    """
    reads = {one.id: one.question for one in questions}
    found = {
        version: {name: given for name, given in file.read().items() if given.question == reads.get(name)}
        for version, file in kept.items()
    }
    waiting = [one for one in questions if any(one.id not in given for given in found.values())]
    slots, began, left = asyncio.Semaphore(AT_ONCE), time.monotonic(), len(waiting)
    patient = _Patient(bench, patience_s, between_tries_s)

    def show() -> None:
        fresh = len(waiting) - left
        eta = (time.monotonic() - began) / fresh * left if fresh else None
        progress(Report("asking", len(questions) - left, len(questions), eta_s=eta))

    async def put(question: Question, versions: Sequence[str]) -> None:
        try:
            body = await patient.ask(question.question, versions)
        except EngineAway as error:
            raise EvaluationBroken(
                f"no answer came for {patience_s:.0f} s: {error}; {len(questions) - left} of {len(questions)} "
                "questions are answered and kept. See that the engine runs (`brandvoice doctor`), then run the same "
                "command again"
            ) from error
        for version, given in _given(question, body).items():
            found[version][question.id] = given
            kept[version].add(given)

    async def ask(question: Question) -> None:
        nonlocal left
        async with slots:
            await put(question, [version for version, given in found.items() if question.id not in given])
            shown = {(given[question.id].decision, given[question.id].passages) for given in found.values()}
            if len(shown) > 1:
                # Some was kept from a time when search found something else.
                await put(question, list(found))
        left -= 1
        show()

    show()
    try:
        async with asyncio.TaskGroup() as group:
            for question in waiting:
                group.create_task(ask(question))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [_together({version: given[one.id] for version, given in found.items()}) for one in questions]


class _Patient:
    """Asks again while the engine is away, for as long as some question was answered not too long ago."""

    def __init__(self, bench: Bench, patience_s: float, between_tries_s: float) -> None:
        self._bench = bench
        self._patience_s = patience_s
        self._between_tries_s = between_tries_s
        self._answered = time.monotonic()

    async def ask(self, question: str, versions: Sequence[str]) -> Mapping[str, Any]:
        """As `Bench.ask`."""
        while True:
            try:
                body = await self._bench.ask(question, versions)
            except EngineAway:
                if time.monotonic() - self._answered > self._patience_s:
                    raise
                await asyncio.sleep(self._between_tries_s)
            else:
                self._answered = time.monotonic()
                return body


class AnswerFile:
    """Answers of one voice as JSON lines, the first saying under what conditions; of others nothing is taken."""

    def __init__(self, path: Path, of: Mapping[str, Any]) -> None:
        self._path = path
        self._of = dict(of)

    def read(self) -> dict[str, Given]:
        """What is there already, by question; a line that a crash cut is asked again."""
        try:
            # Not `splitlines`: an answer may hold another separator, such as U+2028.
            first, *lines = self._path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            first, lines = "", []
        found: dict[str, Given] = {}
        if _json(first) == self._of:
            for line in lines:
                try:
                    given = Given.model_validate_json(line)
                except ValidationError:
                    continue
                found[given.id] = given
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(one.model_dump_json() + "\n" for one in found.values())
        self._path.write_text(f"{json.dumps(self._of)}\n{text}", encoding="utf-8")
        return found

    def add(self, given: Given) -> None:
        """Keep one more."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(given.model_dump_json() + "\n")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _given(question: Question, body: Mapping[str, Any]) -> dict[str, Given]:
    """By version."""
    columns: Sequence[Mapping[str, Any]] = body["columns"]
    passages = tuple(f"{one['title']} {one['heading']} {one['text']}" for one in body["passages"])
    return {
        column["version"]: Given(
            id=question.id,
            question=question.question,
            decision=column["decision"]["kind"],
            passages=passages,
            answer=_answer(column),
        )
        for column in columns
    }


def _together(given: Mapping[str, Given]) -> Asked:
    one = next(iter(given.values()))
    answers = {version: other.answer for version, other in given.items()}
    return Asked(id=one.id, decision=one.decision, passages=one.passages, answers=answers)


def _answer(column: Mapping[str, Any]) -> Answer:
    first = (column["generations"] or [{}])[0]
    # The last row of what was spoken freely holds a cosine, no sentence.
    checked = [one for one in first.get("sentences", ()) if "kind" in one]
    times = column["timings_ms"]
    return Answer(
        text=column["text"],
        outcome=column["outcome"],
        cited=tuple(dict.fromkeys(one["document"] for one in column["citations"])),
        written=first.get("text", ""),
        sentences=tuple(Said(text=one["text"], supported=one["supported"], kind=one["kind"]) for one in checked),
        prompt_tokens=column["usage"]["prompt_tokens"],
        completion_tokens=column["usage"]["completion_tokens"],
        first_token_ms=times.get("first_token"),
        generate_ms=times.get("generate"),
    )
