"""Values to rows: each of the forms that training data comes in, told by its keys or named.

instruction   {"instruction": "...", "input": "...", "output": "..."}, "system" and "history" beside them if any
conversation  {"messages": [{"role": "user", "content": "..."}, ...]}
sharegpt      {"conversations": [{"from": "human", "value": "..."}, ...]}
completion    {"prompt": "..." or messages, "completion": "..." or messages}
preference    {"prompt": "..." or messages, "chosen": ..., "rejected": ...}
openai        a fine-tuning file as it stands: messages with tools and weights, or "preferred_output"
brandvoice    our own conversations (training/conversations.py)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from retrieval.json_lines import Line, reasons
from training.conversations import Conversation, Outcome, refusal
from training.data.rows import Form, Role, Row, Rule, Turn

FORMS: tuple[Form, ...] = get_args(Form)
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "agent": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_call": "assistant",
}
_OUTCOMES = frozenset(get_args(Outcome))
_Parts = tuple[tuple[Turn, ...], str | None]
"""Turns, and of a preference the reply that was not chosen."""


class NotARow(Exception):
    """A value that is no row."""

    def __init__(self, rule: Rule, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


def read_row(path: Path, line: Line, form: Form | None = None) -> Row:
    """Read one value.

    Args:
        path: The file that it stands in.
        line: The value, with its line.
        form: What it is; told by its keys where absent.

    Raises:
        NotARow: With the rule that it breaks, and the reason.
    """
    value = line.value
    chosen = form or _form_of(value)
    turns, rejected = _READERS[chosen](value)
    _check(turns, rejected)
    group = value.get("conversation") or value.get("conversation_id") or value.get("id")
    row = Row(path, line.number, chosen, turns, rejected, str(group) if isinstance(group, str | int) else None)
    if chosen != "brandvoice":
        return row
    return replace(row, own=value, withheld=refusal(_our_own(value).synthetic))


def _form_of(value: Mapping[str, Any]) -> Form:
    if "chosen" in value and "rejected" in value:
        return "preference"
    if "preferred_output" in value:
        return "openai"
    if "messages" in value:
        messages = value["messages"] if isinstance(value["messages"], list) else []
        if any(isinstance(one, dict) and "outcome" in one for one in messages):
            return "brandvoice"
        openai = "tools" in value or any(
            isinstance(one, dict) and one.keys() & {"weight", "tool_calls", "name", "refusal"} for one in messages
        )
        return "openai" if openai else "conversation"
    if "conversations" in value:
        return "sharegpt"
    if "completion" in value:
        return "completion"
    if "instruction" in value or "output" in value:
        return "instruction"
    keys = ", ".join(sorted(map(str, value))[:8]) or "none"
    raise NotARow("structure", f"no form has these keys: {keys}")


def _check(turns: Sequence[Turn], rejected: str | None) -> None:
    """What every row must have."""
    if not turns:
        raise NotARow("empty", "no messages")
    for number, one in enumerate(turns, start=1):
        if not one.content.strip() and not one.acts and one.role != "tool":
            raise NotARow("empty", f"message {number} ({one.role}) has no text")
    if not any(one.role == "assistant" for one in turns):
        raise NotARow("no_assistant", "no reply of an assistant, so that nothing can be learnt")
    if not any(one.role == "user" for one in turns):
        raise NotARow("structure", "no message of a user, so that nothing is asked")
    if not any(one.role == "assistant" and one.content for one in turns):
        raise NotARow("no_assistant", "the assistant calls tools and never speaks")
    if rejected is not None and not rejected.strip():
        raise NotARow("empty", "rejected has no text")
    if rejected is not None and rejected.strip() == turns[-1].content.strip():
        raise NotARow("structure", "chosen and rejected are the same")


def _our_own(value: Mapping[str, Any]) -> Conversation:
    """What our own trainer reads strictly."""
    try:
        return Conversation.model_validate(value)
    except ValidationError as error:
        raise NotARow("structure", "; ".join(reasons(error))) from error


def _instruction(value: Mapping[str, Any]) -> _Parts:
    asked = _text(value, "instruction")
    more = _text(value, "input", required=False)
    turns = _system(value)
    history = value.get("history") or []
    if not isinstance(history, list):
        raise NotARow("structure", "history is no list")
    for pair in history:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise NotARow("structure", "history holds something other than pairs of texts")
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    question = f"{asked.strip()}\n\n{more.strip()}" if more.strip() else asked
    reply = _text(value, "output")
    if not reply.strip():
        raise NotARow("empty", "output has no text")
    return (*turns, Turn("user", question), Turn("assistant", reply)), None


def _conversation(value: Mapping[str, Any]) -> _Parts:
    return _messages(value.get("messages"), "messages"), None


def _sharegpt(value: Mapping[str, Any]) -> _Parts:
    return (*_system(value), *_messages(value.get("conversations"), "conversations", "from", "value")), None


def _completion(value: Mapping[str, Any]) -> _Parts:
    return (*_prompt(value), *_said(value, "completion")), None


def _preference(value: Mapping[str, Any]) -> _Parts:
    before = _prompt(value) if "prompt" in value else _shared_start(value)
    chosen, rejected = _said(value, "chosen"), _said(value, "rejected")
    if "prompt" not in value:
        chosen, rejected = chosen[len(before) :], rejected[len(before) :]
    return (*before, *chosen), "\n".join(one.content for one in rejected)


def _openai(value: Mapping[str, Any]) -> _Parts:
    if "preferred_output" in value:
        asked = value.get("input")
        if not isinstance(asked, dict):
            raise NotARow("structure", "input is no object with messages")
        before = _messages(asked.get("messages"), "input.messages")
        rejected = _messages(value.get("non_preferred_output"), "non_preferred_output")
        preferred = _messages(value["preferred_output"], "preferred_output")
        return (*before, *preferred), "\n".join(one.content for one in rejected)
    return _conversation(value)


_READERS: Mapping[Form, Callable[[Mapping[str, Any]], _Parts]] = {
    "instruction": _instruction,
    "conversation": _conversation,
    "sharegpt": _sharegpt,
    "completion": _completion,
    "preference": _preference,
    "openai": _openai,
    "brandvoice": _conversation,
}


def _system(value: Mapping[str, Any]) -> list[Turn]:
    text = _text(value, "system", required=False)
    return [Turn("system", text)] if text.strip() else []


def _prompt(value: Mapping[str, Any]) -> tuple[Turn, ...]:
    prompt = value.get("prompt")
    if isinstance(prompt, list):
        return _messages(prompt, "prompt")
    return (*_system(value), Turn("user", _text(value, "prompt")))


def _said(value: Mapping[str, Any], key: str) -> tuple[Turn, ...]:
    """Replies, as a text, a message or messages."""
    said = value.get(key)
    if isinstance(said, dict):
        said = [said]
    if isinstance(said, list):
        names = ("from", "value") if said and isinstance(said[0], dict) and "from" in said[0] else ("role", "content")
        return _messages(said, key, *names)
    return (Turn("assistant", _text(value, key)),)


def _shared_start(value: Mapping[str, Any]) -> tuple[Turn, ...]:
    """What two whole conversations have in common, where no prompt is named."""
    shared = []
    for one, other in zip(_said(value, "chosen"), _said(value, "rejected"), strict=False):
        if one != other:
            break
        shared.append(one)
    return tuple(shared)


def _messages(messages: Any, key: str, role: str = "role", content: str = "content") -> tuple[Turn, ...]:
    if not isinstance(messages, list):
        raise NotARow("structure", f"{key} is no list of messages")
    turns = []
    for number, one in enumerate(messages, start=1):
        if not isinstance(one, dict):
            raise NotARow("structure", f"{key}: message {number} is no object")
        if not isinstance(one.get(role), str) or one[role] not in _ROLES:
            raise NotARow("structure", f"{key}: message {number} has the role {_shown(one.get(role))}")
        acts = bool(one.get("tool_calls") or one.get("function_call")) or one.get(role) == "function_call"
        outcome = one.get("outcome")
        turns.append(
            Turn(
                _ROLES[one[role]],
                "" if one[role] == "function_call" else _content(one.get(content), f"{key}: message {number}", acts),
                outcome if isinstance(outcome, str) and outcome in _OUTCOMES else None,
                acts,
            )
        )
    return tuple(turns)


def _content(content: Any, where: str, acts: bool) -> str:
    """A text, or the texts of parts; a picture or a sound cannot be learnt from."""
    if isinstance(content, str):
        return content
    if content is None and acts:
        return ""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        if all(isinstance(part.get("text"), str) for part in content):
            return "\n".join(part["text"] for part in content)
        raise NotARow("structure", f"{where} holds something other than text")
    if content is None:
        raise NotARow("empty", f"{where} has no content")
    raise NotARow("structure", f"{where}: content is no text")


def _text(value: Mapping[str, Any], key: str, *, required: bool = True) -> str:
    text = value.get(key)
    if text is None and not required:
        return ""
    if text is None:
        raise NotARow("structure" if key not in value else "empty", f"{key} is missing")
    if not isinstance(text, str):
        raise NotARow("structure", f"{key} is no text")
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
