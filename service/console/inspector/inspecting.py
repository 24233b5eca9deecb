"""Why a turn was answered as it was: its evidence put in order, and its search made again to see what else was near."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from pydantic import Field

from configs.brand import Brand
from retrieval.encoder import Encoder
from retrieval.evaluation.lost import why_lost
from retrieval.search.knowledge_base import KnowledgeBase
from service.console.bench.shown import Sentence, Shown
from service.console.inspector.prompt_parts import Part
from service.turns.support import sentences_of

CANDIDATES = 20
"""Passages of the search that are shown."""
STEPS = ("retrieve", "first_token", "generate", "first_sentence", "total")


class Candidate(Shown):
    """A passage that the search saw."""

    rank: int
    document: str
    title: str
    heading: str
    text: str
    score: float = Field(description="What it is ranked by in the end, 0 to 1.")
    scores: dict[str, float] = Field(description="Of each stage that looked at it: dense, lexical, fused, late, cross.")
    shown: bool = Field(description="Whether the search hands it on; the others stand below the cut.")
    was_shown: bool = Field(description="Whether the turn had it.")


class PromptPart(Shown):
    """A part of the exact prompt."""

    name: Literal["system", "guide", "history", "passages", "instruction", "question"]
    role: str
    text: str
    tokens: int | None = Field(description="Counted by itself; null where nothing can count.")


class Timing(Shown):
    """One step."""

    name: str
    begun_ms: float | None = Field(description="From the turn's begin; null of turns that did not keep it.")
    ms: float


class Page(Shown):
    """A page that may be expected."""

    document: str
    title: str
    held: bool = Field(description="Whether the version that serves holds it.")


class Inspection(Shown):
    """A turn with everything that explains it."""

    turn: str
    conversation: str
    brand: str
    channel: str
    state: str
    question: str
    history: tuple[str, ...] = Field(description="What the customer said before, oldest first.")
    query: str | None = Field(description="The question as it was searched, the history folded in.")
    text: str
    outcome: str | None
    adapter: str | None = Field(description="The version that spoke.")
    knowledge_version: str | None = Field(description="What was searched.")
    serving_version: str = Field(description="What is searched now; `candidates` come from it.")
    route: dict[str, Any] | None
    intent: dict[str, Any] | None
    decision: dict[str, Any] | None
    answerability: float | None
    min_answerability: float | None
    passages: tuple[dict[str, Any], ...] = Field(description="What the turn had, in the order of their numbers.")
    candidates: tuple[Candidate, ...] = Field(description="What the search sees now, best first.")
    prompt: tuple[PromptPart, ...]
    prompt_tokens: int | None = Field(description="As the engine counted, over all generations.")
    completion_tokens: int | None
    generations: int
    sentences: tuple[Sentence, ...]
    notes: tuple[str, ...] = Field(description="What the pipeline noted: quoted, own_words, refused_because, fenced...")
    timings: tuple[Timing, ...]
    pages: tuple[Page, ...] = Field(description="Pages that can be asked for in `why`.")


class Found(Shown):
    """What one step of the search did with the expected page."""

    step: str
    says: str
    numbers: dict[str, float | int | str | None]
    lost: bool = Field(description="Whether this is the step to blame.")


class WhyNot(Shown):
    """Where an expected page was lost."""

    document: str
    question: str
    query: str
    knowledge_version: str
    lost_at: str | None = Field(description="Null where the page stands in the prompt of an answer.")
    findings: tuple[Found, ...]
    cure: str = Field(description="What to try.")


async def inspect(
    told: Mapping[str, Any],
    history: Sequence[str],
    parts: Sequence[Part],
    tokens: Sequence[int] | None,
    knowledge: KnowledgeBase,
    brand: Brand,
) -> Inspection:
    """Put a turn's evidence in order.

    Args:
        told: The turn, as `service.conversation.store.evidence` gives it.
        history: What the customer said before.
        parts: Of its prompt.
        tokens: Of each part, where they could be counted.
        knowledge: What serves the brand.
        brand: Whose turn it is.
    """
    evidence = told["evidence"] or {}
    search = evidence.get("search") or {}
    passages = tuple(search.get("passages", ()))
    found = await asyncio.to_thread(candidates, knowledge, brand, told["question"], history, passages)
    counts: Sequence[int | None] = tokens or [None] * len(parts)
    return Inspection(
        turn=told["turn"],
        conversation=told["conversation"],
        brand=told["brand"],
        channel=told["channel"],
        state=told["state"],
        question=told["question"],
        history=tuple(history),
        query=search.get("query"),
        text=told["text"],
        outcome=told["outcome"],
        adapter=told["adapter"]["version"],
        knowledge_version=search.get("knowledge_version"),
        serving_version=knowledge.version,
        route=evidence.get("route"),
        intent=evidence.get("intent"),
        decision=evidence.get("decision"),
        answerability=search.get("answerability"),
        min_answerability=search.get("min_answerability"),
        passages=passages,
        candidates=found,
        prompt=tuple(PromptPart(**asdict(part), tokens=count) for part, count in zip(parts, counts, strict=True)),
        prompt_tokens=told["usage"]["prompt_tokens"],
        completion_tokens=told["usage"]["completion_tokens"],
        generations=len(evidence.get("generations") or ()),
        sentences=tuple(
            Sentence(**asdict(one)) for one in sentences_of(told["text"], told["citations"] or (), evidence)
        ),
        notes=tuple(_notes(evidence)),
        timings=_timings(told["timings_ms"] or {}, evidence.get("begun_ms") or {}),
        pages=await asyncio.to_thread(pages_of, knowledge, brand),
    )


def why_not(
    knowledge: KnowledgeBase,
    brand: Brand,
    shared: Encoder,
    question: str,
    history: Sequence[str],
    document: str,
    translate: Callable[[str], str],
) -> WhyNot:
    """Where the search loses a page now (blocking)."""
    why = why_lost(brand, knowledge, shared, question, document, history=history)
    findings = (replace(one, says=translate(one.says)) for one in why.findings)
    return WhyNot(
        document=document,
        question=question,
        query=why.query,
        knowledge_version=knowledge.version,
        lost_at=why.lost_at,
        findings=tuple(
            Found(step=one.step, says=one.told, numbers=dict(one.numbers), lost=one.lost) for one in findings
        ),
        cure=translate(why.cure),
    )


def pages_of(knowledge: KnowledgeBase, brand: Brand) -> tuple[Page, ...]:
    """What the version that serves holds, and files of the brand's folder that it does not (blocking)."""
    held = {one.id: one.title for one in knowledge.documents()}
    files = {str(one.relative_to(brand.pages)) for one in brand.pages.rglob("*") if one.is_file()}
    found = [Page(document=name, title=title, held=True) for name, title in held.items()]
    found += [Page(document=name, title="", held=False) for name in sorted(files - held.keys())]
    return tuple(found)


def candidates(
    knowledge: KnowledgeBase,
    brand: Brand,
    question: str,
    history: Sequence[str] = (),
    passages: Sequence[Mapping[str, Any]] = (),
) -> tuple[Candidate, ...]:
    """What the search sees for a question, those below the cut included (blocking).

    Args:
        knowledge: What is searched.
        brand: Whose; its `top_k` is the cut.
        question: Of a customer.
        history: What they said before.
        passages: What a turn had; they are marked.
    """
    if not question.strip():
        return ()
    had = {(one["document"], one.get("start")) for one in passages}
    most = max(CANDIDATES, brand.retrieval.top_k)
    return tuple(
        Candidate(
            rank=rank,
            document=one.document,
            title=one.title,
            heading=one.heading,
            text=one.text,
            score=one.score,
            scores=dict(one.scores),
            shown=rank <= brand.retrieval.top_k,
            was_shown=(one.document, one.start) in had,
        )
        for rank, one in enumerate(knowledge.search(question, history=history, top_k=most).passages, start=1)
    )


def _timings(timings: Mapping[str, float], begun: Mapping[str, float]) -> tuple[Timing, ...]:
    order = [*(name for name in STEPS if name in timings), *(name for name in timings if name not in STEPS)]
    return tuple(Timing(name=name, begun_ms=begun.get(name), ms=timings[name]) for name in order)


def _notes(evidence: Mapping[str, Any]) -> list[str]:
    """What else the pipeline did, by the names of its evidence."""
    known = ("prompt_again", "quoted", "own_words", "refused_because", "fenced", "no_engine")
    return [name for name in known if evidence.get(name)]
