"""At which step of an answer was the right passage lost? Each step is run again and looked at, with its numbers.

Nothing is guessed by a model: a passage has a rank at every step, and the rules of `_blame` read the ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.documents.loading import Skipped
from retrieval.documents.splitting import searchable
from retrieval.encoder import Encoder
from retrieval.grounding.fence import fence
from retrieval.knowledge.version import Version
from retrieval.language.words import stems
from retrieval.passages import SearchResult
from retrieval.prompt import build_prompt
from retrieval.reranker import Reranker
from retrieval.routing.clarity import names_no_matter
from retrieval.routing.route import RouteKind, route
from retrieval.search.condense import Turn
from retrieval.search.ranking import READ, RERANKED, Ranking, query_vector, rank, word_scores

Step = Literal[
    "loading",
    "chunking",
    "encoder",
    "lexical",
    "fusion",
    "re-rank",
    "cross-encoder",
    "cut-off",
    "fence",
    "prompt budget",
    "decision",
]
Numbers = Mapping[str, float | int | str | None]
NEAR = 10
"""A passage at this rank or before is near the cut-off: more passages in the prompt would save it."""
WHOLE, PART = 0.75, 0.5
"""A document that holds this share of the question's words, and no chunk of it more than that, was cut apart."""
CURES: Mapping[Step, str] = {
    "loading": "Add the document with `brandvoice kb add FILE --brand BRAND`, which says why a file is skipped.",
    "chunking": "Put what belongs together into one section, under a heading that names the topic.",
    "encoder": "Say it in a whole sentence, as a customer would ask for it, under a heading that names the topic.",
    "lexical": "Use the customer's own words in the page: in a heading, in a question, or in brackets behind yours.",
    "fusion": "Other passages are better in one ranking and good in the other: tell them apart by their headings.",
    "re-rank": "Say what the question asks for in the same sentence as its answer, or in the heading above it.",
    "cross-encoder": "Train it again on the pages as they are now, or remove `retrieval.reranker` of the brand.",
    "cut-off": "Raise `retrieval.top_k` of the brand, or join the pages that say the same and stand before it.",
    "fence": "Take out of the page what reads like an order to an assistant; its sentences are left out of prompts.",
    "prompt budget": "Shorten the passages that stand before it, or lower `retrieval.top_k` of the brand.",
    "decision": "Say it in the page as customers ask for it, or lower `retrieval.min_answerability` of the brand.",
}
FOUND = "Nothing was lost: the passage stands in the prompt of an answer."


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step did with the expected document."""

    step: Step
    numbers: Numbers
    says: str
    """What it did, in words; numbers of the step stand as `{name}`, so that the sentence can be translated."""
    lost: bool = False
    """Whether this is the step to blame; one at most is."""

    @property
    def told(self) -> str:
        """The sentence with its numbers."""
        return self.says.format_map(self.numbers)


@dataclass(frozen=True, slots=True)
class Why:
    """The whole diagnosis."""

    question: str
    query: str
    """As searched."""
    document: str
    lost_at: Step | None
    """None where the passage stands in the prompt of an answer."""
    findings: tuple[Finding, ...]
    """In the order of the steps, up to the last that the document reached."""
    cure: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what service found for it, and how the brand uses what is found."""

    question: str
    turns: tuple[Turn, ...]
    """The question as it is searched."""
    found: SearchResult
    top_k: int
    min_answerability: float
    display_name: str
    history: tuple[str, ...] = ()
    """What the customer said before, oldest first."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where the best chunk of a document stands at each step, from 1; None where it is not in the list."""

    dense: int
    lexical: int | None
    """None where no chunk shares a word with the question."""
    fused: int | None
    reranked: int | None
    final: int | None
    """After the cross-encoder; where the brand has none, as re-ranked."""


def explain(
    asked: Asked,
    document: str,
    version: Version,
    encoder: Encoder,
    reranker: Reranker | None = None,
    *,
    shared: Encoder | None = None,
    held: Mapping[str, int],
    skipped: Sequence[Skipped] = (),
) -> Why:
    """Follow a document through every step.

    Args:
        asked: The question with what the search of service returned.
        document: Id of the document that should have been found.
        version: What was searched.
        encoder: What encoded it.
        reranker: The brand's cross-encoder, where it has one.
        shared: The encoder of the deployment, by which routes and the fence decide; `encoder` where absent.
        held: The documents of the knowledge base, each with its number of chunks.
        skipped: What loading the brand's pages leaves out, with the reasons.
    """
    findings = [_loading(document, held, skipped)]
    blamed: Step | None = "loading" if document not in held else None
    own = _own(version, document)
    if document in held:
        findings.append(_chunking(asked.found.query, version, own, held[document]))
        blamed = None if len(own) else "chunking"
    if len(own) and not blamed:
        steps, blamed = _ranked(asked, version, encoder, reranker, own)
        findings += steps
        if not blamed:
            names = {document, *(version.chunks[int(at)].document for at in own)}
            used, blamed = _used(asked, names, shared or encoder)
            findings += used
    cure = CURES[blamed] if blamed else FOUND
    told = tuple(replace(one, lost=one.step == blamed) for one in findings)
    return Why(asked.question, asked.found.query, document, blamed, told, cure)


def _loading(document: str, held: Mapping[str, int], skipped: Sequence[Skipped]) -> Finding:
    reason = next((one.reason for one in skipped if one.path == document), None)
    if document in held:
        return Finding("loading", {"documents": len(held)}, "the knowledge base holds it")
    if reason:
        return Finding("loading", {"documents": len(held), "reason": reason}, "it is skipped: {reason}")
    return Finding("loading", {"documents": len(held)}, "the knowledge base does not hold it")


def _own(version: Version, document: str) -> NDArray[np.int64]:
    """Positions of the document's chunks, and of those that stand for a duplicate of it."""
    stand_ins = {kept for alias, kept in version.aliases().items() if alias.rpartition("#")[0] == document}
    own = [at for at, chunk in enumerate(version.chunks) if chunk.document == document or chunk.id in stand_ins]
    return np.array(own, np.int64)


def _chunking(query: str, version: Version, own: NDArray[np.int64], chunks: int) -> Finding:
    numbers: dict[str, float | int | str | None] = {"chunks": chunks, "searched": len(own)}
    if not len(own):
        says = "its chunks are not for customers: internal, or out of date" if chunks else "it holds no text"
        return Finding("chunking", numbers, says)
    whole, best = _words_held(query, version, own)
    numbers |= {"words in the document": round(whole, 2), "words in its best chunk": round(best, 2)}
    return Finding("chunking", numbers, "its best chunk holds {words in its best chunk:.0%} of the question's words")


def _words_held(query: str, version: Version, own: NDArray[np.int64]) -> tuple[float, float]:
    """Shares of the question's stems: in all chunks of the document together, and in the chunk that holds most."""
    wanted = set(stems(query))
    parts = [wanted & set(stems(searchable(version.chunks[int(at)]))) for at in own]
    most = max(len(part) for part in parts)
    return len(set().union(*parts)) / max(1, len(wanted)), most / max(1, len(wanted))


def _ranked(
    asked: Asked, version: Version, encoder: Encoder, reranker: Reranker | None, own: NDArray[np.int64]
) -> tuple[list[Finding], Step | None]:
    """The steps of the search, and the one to blame where the document is not among the passages."""
    query, top_k = asked.found.query, asked.top_k
    cosines = version.index.vectors() @ query_vector(encoder, asked.turns)
    bm25, _ = word_scores(version, asked.turns)
    before = rank(version, encoder, asked.turns)
    ranking = rank(version, encoder, asked.turns, reranker) if reranker is not None else before
    ranks = Ranks(
        dense=_place(cosines, own),
        lexical=_place(bm25, own) if bm25[own].max() > 0 else None,
        fused=_first(ranking.positions[np.argsort(-ranking.fused, kind="stable")], own),
        reranked=_first(before.positions, own),
        final=_first(ranking.positions, own),
    )
    blamed = _blame(ranks, top_k, apart=_apart(*_words_held(query, version, own)))
    numbers: dict[Step, dict[str, float | int | None]] = {
        "encoder": {"rank": ranks.dense, "cosine": _round(cosines[own].max()), "best": _round(cosines.max())},
        "lexical": {"rank": ranks.lexical, "bm25": _round(bm25[own].max()), "best": _round(bm25.max())},
        "fusion": {"rank": ranks.fused, "candidates": len(ranking), "score": _score(ranking.fused, ranking, own)},
        "re-rank": {
            "rank": ranks.reranked,
            "re-ranked": min(RERANKED, len(ranking)),
            "late": _seen(ranking.late, ranking, own),
        },
        "cross-encoder": {
            "rank": ranks.final,
            "read": min(READ, len(ranking)),
            "probability": _seen(ranking.cross, ranking, own),
        },
        "cut-off": {"rank": ranks.final, "top_k": top_k, "score": _score(ranking.score, ranking, own)},
    }
    if reranker is None:
        del numbers["cross-encoder"]
    return [Finding(step, own_numbers, _says(own_numbers["rank"])) for step, own_numbers in numbers.items()], blamed


def _apart(whole: float, best: float) -> bool:
    return whole >= WHOLE and best <= PART


def _blame(ranks: Ranks, top_k: int, *, apart: bool) -> Step | None:
    """The step that lost a document, read from its ranks; None where it is among the passages."""
    if ranks.final is not None and ranks.final <= top_k:
        return None
    if apart:
        return "chunking"
    if ranks.reranked is not None and ranks.reranked <= top_k:
        return "cross-encoder"
    if ranks.fused is not None and ranks.fused <= top_k:
        return "re-rank"
    lexical = ranks.lexical or np.inf
    if ranks.dense <= top_k and lexical <= top_k:
        return "fusion"
    if min(ranks.dense, lexical) > top_k and (ranks.final or np.inf) <= NEAR:
        return "cut-off"
    # One ranking had it and the other did not, or both lost it: the worse one is to blame.
    return "lexical" if lexical > ranks.dense else "encoder"


def _used(asked: Asked, names: Set[str], encoder: Encoder) -> tuple[list[Finding], Step | None]:
    """What became of a passage that the search returned, in the prompt and in the decision; and the one to blame.

    Args:
        asked: With what was found.
        names: The expected document, and those that stand for duplicates of it.
        encoder: Of the deployment.
    """
    read = [fence(one, encoder, asked.found.noted.get(place)) for place, one in enumerate(asked.found.passages)]
    removed = sum(len(one.removed) for one in read if one.passage.document in names)
    left = tuple(one.passage for one in read if one.passage.text)
    fenced = {"sentences left out": removed}
    if names.isdisjoint(one.document for one in left):
        return [Finding("fence", fenced, "all of it reads like orders to an assistant")], "fence"
    findings = [
        Finding(
            "fence", fenced, "sentences that are left out: {sentences left out}" if removed else "nothing is left out"
        )
    ]
    prompt = build_prompt("answer", asked.question, display_name=asked.display_name, passages=left)
    numbers = {"passages": len(left), "in the prompt": len(prompt.passages)}
    if names.isdisjoint(one.document for one in prompt.passages):
        return [*findings, Finding("prompt budget", numbers, "the passages before it fill the prompt")], "prompt budget"
    way = route(asked.question, encoder)
    enough = asked.found.answerability >= asked.min_answerability
    unclear = names_no_matter(asked.question, asked.history)
    decision = Finding(
        "decision",
        {
            "route": way.kind,
            "answerability": _round(asked.found.answerability),
            "min_answerability": asked.min_answerability,
        },
        _decision(way.kind, enough=enough, unclear=bool(unclear)),
    )
    answered = enough and way.kind == "question" and not unclear
    findings += [Finding("prompt budget", numbers, "it fits"), decision]
    return findings, None if answered else "decision"


def _decision(kind: RouteKind, *, enough: bool, unclear: bool) -> str:
    if kind != "question":
        return f"the message is taken for {kind.replace('_', ' ')}, so nothing is searched"
    if unclear:
        return "the question does not say what it is about, so the bot asks back"
    return "the question is answered" if enough else "the question is refused: the answer is probably not there"


def _place(scores: NDArray[np.float32], own: NDArray[np.int64]) -> int:
    return int((scores > scores[own].max()).sum()) + 1


def _first(positions: NDArray[np.int64], own: NDArray[np.int64]) -> int | None:
    places = np.flatnonzero(np.isin(positions, own))
    return int(places[0]) + 1 if len(places) else None


def _score(scores: NDArray[np.float32], ranking: Ranking, own: NDArray[np.int64]) -> float | None:
    held = scores[np.isin(ranking.positions, own)]
    return _round(held.max()) if len(held) else None


def _seen(scores: NDArray[np.float32], ranking: Ranking, own: NDArray[np.int64]) -> float | None:
    """The document's highest score of a stage that looks at some candidates only."""
    held = scores[np.isin(ranking.positions, own)]
    return _round(np.nanmax(held)) if np.isfinite(held).any() else None


def _says(rank: object) -> str:
    return "it is not in the list" if rank is None else "its best chunk stands at place {rank}"


def _round(value: float | np.floating) -> float:
    return round(float(value), 4)
