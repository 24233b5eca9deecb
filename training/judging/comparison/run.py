"""Compare a candidate with what speaks now, through the running gateway, and let the gate judge."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx2

from configs.adapter_manifest import AdapterManifest, read_adapter
from configs.base_manifest import BaseInvalid, base_folder, read_base
from configs.verdict import BASE_VERSION, VERDICT_FILE, Conditions, RecordedVerdict, conditions
from configs.whole_file import replace_text
from retrieval.prompt import template_sha256
from training.conversations import Question, read_questions
from training.errors import EvaluationBroken, RecipeInvalid
from training.examples.sources import Source
from training.judging.comparison.asking import AnswerFile, Asked, HttpBench, ask_all
from training.judging.comparison.measuring import Scorers, in_common, means, measure, to_judge
from training.judging.comparison.report import render
from training.judging.gate import Measured, Verdict, judge
from training.judging.general import measure_general
from training.judging.leak import TrainingText
from training.judging.overlap import overlap
from training.progress import Progress, Report, silent
from training.voice.brand import page_texts, voice_of

ANSWERS_FILE, REPORT_FILE, PAGE_FILE = "answers.jsonl", "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it."""

    verdict: Verdict
    folder: Path
    """Holds the verdict, the report as a page and as JSON, and the candidate's answers."""
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What to compare."""

    brand: str
    candidate: str
    url: str
    """Of the running gateway."""
    limit: int | None = None
    """Ask this many questions only; fewer than the gate needs give no verdict."""
    baseline: bool = True
    """Also ask the base model with the voice guide, where an adapter speaks now."""
    general: bool = True
    """Also measure what is left of the base's general ability, with the weights in this process."""
    general_files: tuple[Path, ...] = ()
    """Cases for that beside those that ship."""


def compare(request: Request, environment: Mapping[str, str], progress: Progress = silent) -> Compared:
    """Ask, measure, judge, report.

    Args:
        request: What to compare.
        environment: Usually `os.environ`; `BRANDVOICE_API_KEY` opens a gateway that wants a key.
        progress: Told of stages and steps.

    Raises:
        TrainingError: With the reason and the cure; answers that came are kept for the next try.
        ConfigError: The deployment is not valid, or the candidate is not whole.
        RetrievalError: The knowledge base is not intact.
    """
    source = Source.open(request.brand, environment)
    brand = source.brand
    if brand.questions is None:
        raise RecipeInvalid(
            f"the brand {brand.name!r} has no held-out questions to compare on; set `questions` in its YAML"
        )
    questions = _spread([*read_questions(brand.questions), *source.added_questions()], request.limit)
    key = environment.get("BRANDVOICE_API_KEY")
    current = _speaking(request, key)
    if current == request.candidate:
        raise RecipeInvalid(f"{brand.name}@{current} speaks already; name another version as candidate")
    candidate = read_adapter(source.home.adapters / brand.name / request.candidate)
    holds_for = conditions(source.home, brand, candidate, current, _base_sha256(source))
    folder = source.home.evaluations / brand.name / request.candidate
    versions = [current, request.candidate]
    if request.baseline and current != BASE_VERSION:
        versions.insert(0, BASE_VERSION)
    kept = {version: _answer_file(source, version, holds_for) for version in versions}
    asked = asyncio.run(_ask(request, key, questions, kept, progress))
    progress(Report("reading the answers", 0, 1))
    scorers = _scorers(source)
    values: dict[str, dict[str, Mapping[str, float]]] = {
        version: {**measure(questions, asked, version, scorers)} for version in versions
    }
    if request.general:
        for version in versions:
            values[version].update(_general(source, version, request, progress))
    ours, theirs = in_common(values[request.candidate], values[current])
    verdict = judge(
        to_judge(ours, brand.gate),
        to_judge(theirs, brand.gate),
        brand.gate,
        candidate_name=f"{brand.name}@{request.candidate}",
        current_name=_name(brand.name, current),
    )
    recorded = RecordedVerdict(
        brand=brand.name,
        conditions=holds_for,
        knowledge_version=source.knowledge.version,
        verdict=verdict.verdict,
        cases=verdict.cases,
        reasons=verdict.reasons,
        measures=tuple(asdict(one) for one in verdict.measures),
        at=datetime.now(UTC),
    )
    report = _report(recorded, candidate, values, versions, questions, asked)
    page = render(report, questions, asked, values, current=current, candidate=request.candidate)
    replace_text(folder / REPORT_FILE, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    replace_text(folder / PAGE_FILE, page)
    # Last, so that there is no verdict without its report.
    replace_text(folder / VERDICT_FILE, recorded.to_json())
    progress(Report("reading the answers", 1, 1))
    return Compared(verdict, folder, report)


def _spread(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """So many, evenly over the file, so that all kinds are among them."""
    if limit is None or limit >= len(questions):
        return list(questions)
    return [questions[at * len(questions) // limit] for at in range(limit)]


def _speaking(request: Request, key: str | None) -> str:
    """The version that speaks now, as the gateway says."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    path = f"{request.url.rstrip('/')}/v1/brands/{request.brand}/adapters"
    try:
        response = httpx2.get(path, headers=headers, timeout=30, trust_env=False)
        told = response.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise EvaluationBroken(
            f"no gateway answers at {request.url} ({type(error).__name__}); start one with `brandvoice serve`"
        ) from error
    if response.status_code != 200:
        why = told.get("error", {}).get("message", f"HTTP {response.status_code}")
        raise EvaluationBroken(f"the gateway at {request.url} does not tell what speaks: {why}")
    return next((str(one["version"]) for one in told["adapters"] if one["active"]), BASE_VERSION)


def _base_sha256(source: Source) -> str | None:
    try:
        return read_base(base_folder(source.home.models, source.config.service.models.base)).sha256
    except BaseInvalid:
        return None


def _general(source: Source, version: str, request: Request, progress: Progress) -> Measured:
    """What is left of the base's general ability; of the base itself it is measured once."""
    adapter = None if version == BASE_VERSION else source.home.adapters / source.brand.name / version
    return measure_general(
        base_folder(source.home.models, source.config.service.models.base),
        adapter,
        files=request.general_files,
        limit=request.limit,
        cache_folder=source.home.general,
        progress=progress,
    ).measured


async def _ask(
    request: Request,
    key: str | None,
    questions: Sequence[Question],
    kept: Mapping[str, AnswerFile],
    progress: Progress,
) -> list[Asked]:
    async with HttpBench(request.url, request.brand, api_key=key) as bench:
        return await ask_all(bench, questions, kept, progress)


def _answer_file(source: Source, version: str, holds_for: Conditions) -> AnswerFile:
    """The answers of a version, which hold as long as nothing changes of what makes them."""
    brand = source.brand
    weights = {one.version: one.weights_sha256 for one in (holds_for.current, holds_for.candidate)}
    told = brand.model_dump_json(include={"display_name", "language", "words", "retrieval", "check", "intents_routes"})
    made_by = "\n".join((metadata.version("brandvoice"), template_sha256(), source.guide, told))
    of = {
        "version": version,
        "weights_sha256": weights.get(version),
        "base_sha256": holds_for.base_sha256,
        "knowledge_version": source.knowledge.version,
        "made_by": hashlib.sha256(made_by.encode()).hexdigest(),
    }
    return AnswerFile(source.home.evaluations / brand.name / version / ANSWERS_FILE, of)


def _scorers(source: Source) -> Scorers:
    voice = voice_of(source.brand, source.home)
    training = TrainingText.of((*source.conversations, *source.corrections), public=page_texts(source.brand))
    return Scorers(
        voice=lambda text: voice.score(text).score,
        overlap=lambda reply, reference: overlap(reply, [reference]),
        leaks=lambda text, shown: training.look(text, shown).leaked,
    )


def _report(
    recorded: RecordedVerdict,
    candidate: AdapterManifest,
    values: Mapping[str, Measured],
    versions: Sequence[str],
    questions: Sequence[Question],
    asked: Sequence[Asked],
) -> dict[str, Any]:
    """Everything in `report.json`; its keys are a promise to programs."""
    decisions: dict[str, int] = {}
    for one in asked:
        decisions[one.decision] = decisions.get(one.decision, 0) + 1
    return {
        **recorded.model_dump(mode="json", by_alias=True),
        "questions": len(questions),
        "decisions": decisions,
        "means": {version: {name: asdict(one) for name, one in means(values[version]).items()} for version in versions},
        "trained": {"created_at": str(candidate.created_at), "metrics": candidate.metrics},
    }


def _name(brand: str, version: str) -> str:
    return "base + voice guide" if version == BASE_VERSION else f"{brand}@{version}"
