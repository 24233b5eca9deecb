"""The widget's frames and the API's citation objects: one place for each JSON shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.conversation.events import Citation, Reply, Sentence
from service.conversation.transcript import Said


def citation_json(citation: Citation) -> dict[str, Any]:
    """One citation, as every interface of ours shows it."""
    return {
        "number": citation.number,
        "document": citation.document,
        "title": citation.title,
        "passage": citation.passage,
        "score": citation.score,
    }


def citations_json(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """Citations in the order of their numbers."""
    return [citation_json(citation) for citation in citations]


def sentence_json(sentence: Sentence) -> dict[str, Any]:
    """One shown sentence."""
    return {"index": sentence.index, "text": sentence.text, "citations": citations_json(sentence.citations)}


def sentence_frame(turn: str, sentence: Sentence) -> dict[str, Any]:
    """A sentence on its way to the widget; idempotent by turn and index."""
    return {"type": "sentence", "turn": turn, **sentence_json(sentence)}


def reply_frame(turn: str, reply: Reply) -> dict[str, Any]:
    """The finished turn; replaces its sentences."""
    return {
        "type": "reply",
        "turn": turn,
        "text": reply.text,
        "outcome": reply.outcome,
        "citations": citations_json(reply.citations),
    }


def heard_frame(turn: str, client_ids: Iterable[str], question: str) -> dict[str, Any]:
    """A customer's messages that no bot answers."""
    return {"type": "heard", "turn": turn, "client_ids": list(client_ids), "question": question}


def said_frame(said: Said) -> dict[str, Any]:
    """A person's message, or with no author a notice of ours."""
    return {
        "type": "said", "turn": said.turn, "text": said.text, "author": said.author, "at": said.at.isoformat()
    }  # fmt: skip


def state_frame(state: str, owner: str | None) -> dict[str, Any]:
    """Who has the conversation now."""
    return {"type": "state", "state": state, "owner": owner}


def withheld_frame(turn: str) -> dict[str, Any]:
    """What was shown of this turn is taken back: a person has the conversation."""
    return {"type": "withheld", "turn": turn}


def reply_json(reply: Reply) -> dict[str, Any]:
    """What the OpenAI-style response carries as `brandvoice`."""
    return {
        "outcome": reply.outcome,
        "citations": citations_json(reply.citations),
        "adapter": dict(reply.adapter),
        "timings_ms": dict(reply.timings_ms),
    }
