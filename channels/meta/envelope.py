"""The outside of Meta's webhooks, the same for all its products: an object, and entry[] of any length.

Each part inside is read by itself: a malformed one is ignored under that name and its siblings go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from channels.base import Edit, Inbound, InboundMessage, Reaction, Receipt
from channels.errors import PayloadInvalid
from channels.payloads import load_object

Found = InboundMessage | Receipt | Reaction | Edit | str
"""A message, what is told or changed of one, or the reason why a part is none of these."""

THUMBS: Mapping[str, Literal["up", "down"]] = {"\N{THUMBS UP SIGN}": "up", "\N{THUMBS DOWN SIGN}": "down"}
"""By the first character: a tone of skin may follow."""


def thumb(emoji: object) -> Literal["up", "down"] | None:
    """What a reaction says of an answer; any other one takes an earlier thumb's place, for a person has one."""
    return THUMBS.get(emoji[:1]) if isinstance(emoji, str) else None


def parse_envelope(body: bytes, product: str, read: Callable[[Any], Iterable[Found]]) -> Inbound:
    """One verified body.

    Args:
        body: As it came.
        product: What `object` must be, such as `page`; a body of another product is ignored.
        read: What is in one entry, which may be anything.

    Raises:
        PayloadInvalid: Not JSON, or not even the outermost shape is Meta's.
    """
    payload = load_object(body)
    if not isinstance(payload.get("object"), str) or not isinstance(payload.get("entry"), list):
        raise PayloadInvalid("The body has no 'object' and 'entry' as Meta's webhooks do. Look at what was sent.")
    if payload["object"] != product:
        return Inbound(ignored=("other_object",))
    found = list(_each(payload["entry"], read))
    return Inbound(
        messages=tuple(part for part in found if isinstance(part, InboundMessage)),
        ignored=tuple(part for part in found if isinstance(part, str)),
        receipts=tuple(part for part in found if isinstance(part, Receipt)),
        reactions=tuple(part for part in found if isinstance(part, Reaction)),
        edits=tuple(part for part in found if isinstance(part, Edit)),
    )


def _each(entries: list[Any], read: Callable[[Any], Iterable[Found]]) -> Iterator[Found]:
    for entry in entries:
        yield from read(entry)
