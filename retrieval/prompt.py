"""Every prompt that a model of ours sees, in training as in service, is built here.

The layout keeps the stable part first (system, history), so that the engine's prefix cache holds from turn
to turn; sources and question stand in the last user message only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.passages import Passage

Role = Literal["system", "user", "assistant"]
PromptKind = Literal["answer", "refuse", "small_talk", "hand_over"]

SYSTEM = "You are the assistant of {display_name}. Answer only from the sources, in the voice of the brand."
GUIDE = "{system}\n\nVoice guide:\n{guide}"
SOURCE = "[{number}] {title}: {text}"
LAST_USER: dict[PromptKind, str] = {
    "answer": "Sources:\n{sources}\n\nQuestion: {question}",
    "refuse": "Sources: none. Say that we have no information on this and offer a colleague.\n\nQuestion: {question}",
    "small_talk": "Small talk, no sources needed.\n\nMessage: {question}",
    "hand_over": "A person of the team takes over. Say so.\n\nMessage: {question}",
}
MAX_HISTORY_MESSAGES = 4
"""Two exchanges: enough for a follow-up question, few enough for a small model."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message in the form that chat templates take."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent to the model, and which passages it holds."""

    kind: PromptKind
    messages: tuple[Message, ...]
    passages: tuple[Passage, ...]
    """In the order of their numbers: `passages[0]` is source [1]."""


def build_prompt(
    kind: PromptKind,
    question: str,
    *,
    display_name: str,
    history: Sequence[Message] = (),
    passages: Sequence[Passage] = (),
    guide: str | None = None,
    max_source_tokens: int = 700,
    count_tokens: Callable[[str], int] | None = None,
) -> Prompt:
    """Build the messages for one turn.

    Args:
        kind: What the model is asked to do; sources are shown for `answer` only.
        question: The visitor's latest message, as written.
        display_name: The brand's name as customers know it.
        history: Earlier messages, oldest first, neighbours of a role as one; the last `MAX_HISTORY_MESSAGES` are kept.
        passages: Best first; numbered from 1 in this order, cut where the budget ends.
        guide: The voice guide, for a model without an adapter.
        max_source_tokens: Budget for all sources together, in tokens.
        count_tokens: Length of a text in tokens; four characters a token where absent.

    Returns:
        The prompt; at least the best passage is kept whatever its length.
    """
    system = SYSTEM.format(display_name=display_name)
    if guide:
        system = GUIDE.format(system=system, guide=guide.strip())
    used = _within_budget(passages, max_source_tokens, count_tokens) if kind == "answer" else ()
    sources = "\n".join(format_source(number, passage) for number, passage in enumerate(used, start=1))
    last = LAST_USER[kind].format(sources=sources, question=question.strip())
    return Prompt(kind, (Message("system", system), *_taking_turns(history, last)), used)


def joined(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages with neighbours of one role made one, so that sides take turns."""
    found: list[Message] = []
    for message in messages:
        if found and found[-1].role == message.role:
            message = Message(message.role, f"{found.pop().content}\n{message.content}")
        found.append(message)
    return tuple(found)


def _taking_turns(history: Sequence[Message], last: str) -> tuple[Message, ...]:
    """The history's end and the last user message, from user to user: strict chat templates refuse all else.

    Adapters saw conversations that take turns by themselves; of these, not a byte is changed here.
    """
    earlier = joined(history)
    if earlier and earlier[-1].role == "user":
        earlier, last = earlier[:-1], f"{earlier[-1].content}\n\n{last}"
    recent = earlier[-MAX_HISTORY_MESSAGES:]
    if recent and recent[0].role == "assistant":
        recent = recent[1:]
    return (*recent, Message("user", last))


def format_source(number: int, passage: Passage) -> str:
    """One numbered source on one line, so that a document cannot imitate the prompt's own structure."""
    heading = passage.heading or passage.title
    return SOURCE.format(number=number, title=heading, text=" ".join(passage.text.split()))


def template_sha256() -> str:
    """Digest of everything above that shapes a prompt; adapters are bound to it."""
    template = {
        "system": SYSTEM,
        "guide": GUIDE,
        "source": SOURCE,
        "last_user": LAST_USER,
        "max_history_messages": MAX_HISTORY_MESSAGES,
    }
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()


def _within_budget(
    passages: Sequence[Passage], budget: int, count_tokens: Callable[[str], int] | None
) -> tuple[Passage, ...]:
    count = count_tokens or (lambda text: len(text) // 4 + 1)
    used: list[Passage] = []
    spent = 0
    for passage in passages:
        spent += count(format_source(len(used) + 1, passage))
        if used and spent > budget:
            break
        used.append(passage)
    return tuple(used)
