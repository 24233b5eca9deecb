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
    versions: Sequence[str],
    kept: AnswerFile,
    progress: Progress,
    *,
    patience_s: float = PATIENCE_S,
    between_tries_s: float = BETWEEN_TRIES_S,
) -> list[Asked]:
    """Put every question to every voice; what was kept by an earlier run is not asked again.

    Returns:
        In the order of the questions.

    Raises:
        EvaluationBroken: A voice cannot answer, or nothing came for `patience_s`; what was answered is kept.
    """
    found = kept.read()
    waiting = [one for one in questions if one.id not in found]
    slots, began, answered = asyncio.Semaphore(AT_ONCE), time.monotonic(), len(found)
    last = began

    def show() -> None:
        fresh = len(found) - answered
        eta = (time.monotonic() - began) / fresh * (len(questions) - len(found)) if fresh else None
        progress(Report("asking", len(found), len(questions), eta_s=eta))

    async def ask(question: Question) -> None:
        nonlocal last
        async with slots:
            while True:
                try:
                    body = await bench.ask(question.question, versions)
                    break
                except EngineAway as error:
                    if time.monotonic() - last > patience_s:
                        raise EvaluationBroken(
                            f"no answer came for {patience_s:.0f} s: {error}; {len(found)} of {len(questions)} "
                            "questions are answered and kept. See that the engine runs (`brandvoice doctor`), then run "
                            "the same command again"
                        ) from error
                    await asyncio.sleep(between_tries_s)
            last = time.monotonic()
            found[question.id] = _asked(question, body)
            kept.add(found[question.id])
            show()

    show()
    try:
        async with asyncio.TaskGroup() as group:
            for question in waiting:
                group.create_task(ask(question))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [found[one.id] for one in questions]


class AnswerFile:
    """Answers of one comparison as JSON lines, the first line saying of what; of another one, nothing is taken."""

    def __init__(self, path: Path, of: Mapping[str, Any]) -> None:
        self._path = path
        self._of = dict(of)

    def read(self) -> dict[str, Asked]:
        """What is there already, by question; a line that a crash cut is asked again."""
        try:
            first, *lines = self._path.read_text(encoding="utf-8").splitlines() or [""]
        except FileNotFoundError:
            first, lines = "", []
        found: dict[str, Asked] = {}
        if _json(first) == self._of:
            for line in lines:
                try:
                    asked = Asked.model_validate_json(line)
                except ValidationError:
                    continue
                found[asked.id] = asked
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(one.model_dump_json() + "\n" for one in found.values())
        self._path.write_text(f"{json.dumps(self._of)}\n{text}", encoding="utf-8")
        return found

    def add(self, asked: Asked) -> None:
        """Keep one more."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(asked.model_dump_json() + "\n")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _asked(question: Question, body: Mapping[str, Any]) -> Asked:
    columns: Sequence[Mapping[str, Any]] = body["columns"]
    return Asked(
        id=question.id,
        decision=columns[0]["decision"]["kind"],
        passages=tuple(f"{one['title']} {one['heading']} {one['text']}" for one in body["passages"]),
        answers={column["version"]: _answer(column) for column in columns},
    )


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
