"""Bodies as a platform would never send them, for the parsers of all channels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from channels.base import Inbound
from channels.errors import PayloadInvalid

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value in a payload."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn, payloads: Sequence[Any]) -> Any:
    """One of these payloads, with one to three values replaced or removed."""
    payload = copy.deepcopy(draw(st.sampled_from(payloads)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(payload)[1:] or [()]))
        if not path:
            break
        parent = payload
        for step in path[:-1]:
            parent = parent[step]
        if draw(st.booleans()):
            parent[path[-1]] = draw(anything)
        else:
            del parent[path[-1]]
    return payload


def check(parse: Callable[[bytes], Inbound], reasons: frozenset[str], body: bytes) -> None:
    """Messages that can be stored, known reasons, or PayloadInvalid; nothing else."""
    try:
        inbound = parse(body)
    except PayloadInvalid:
        return
    assert set(inbound.ignored) <= reasons
    told = [text for one in inbound.receipts for text in (one.account, one.message_id, one.mark)]
    told += [text for one in (*inbound.reactions, *inbound.edits) for text in (one.account, one.message_id)]
    for text in (*told, *(one.text or "" for one in inbound.edits)):
        assert "\x00" not in text
        text.encode()
    for message in inbound.messages:
        fields = (message.account, message.message_id, message.conversation_key, message.sender)
        assert all(fields)
        for text in (*fields, message.text, *message.reply_to.values()):
            assert "\x00" not in text
            text.encode()
