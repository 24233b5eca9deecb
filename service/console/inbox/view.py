"""What the inbox shows, made of what the desk says: items with a version each, so that a page fetches what changed.

A page asks every few seconds whether anything is other than what it has. Nothing is pushed: any gateway answers any
page, and one that was asleep or cut off has missed nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

from service.conversation.takeover import BOT, CUSTOMER, State
from service.people.listing import LOW_SUPPORT, Sign, Wanted

Tab = Literal["unanswered", "mine", "all", "refused", "low_support", "thumbs_down", "handed_off"]
TABS: tuple[Tab, ...] = get_args(Tab)
_STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Filter:
    """What the address of a list says; whatever makes no sense there asks for nothing."""

    show: str = "unanswered"
    brand: str = ""
    channel: str = ""
    state: str = ""
    text: str = ""

    def wanted(self, brands: Sequence[str], me: str) -> Wanted:
        """As the desk takes it.

        Args:
            brands: Those that the person is an agent of.
            me: Their account.
        """
        signs: tuple[Sign, ...] = (self.show,) if self.show not in ("mine", "all") else ()  # type: ignore[assignment]
        state = next((one for one in _STATES if one == self.state), None)
        return Wanted(
            (self.brand,) if self.brand else brands,
            state,
            self.channel or None,
            owner_id=me if self.show == "mine" else None,
            signs=signs,
            text=self.text,
        )

    def query(self, **more: str) -> dict[str, str]:
        """For an address: what differs from a list without filters, with some values changed."""
        values = {one.name: getattr(self, one.name) for one in fields(self)} | more
        return {name: value for name, value in values.items() if value and (name, value) != ("show", "unanswered")}


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a page that is replaced as a whole when its version is another."""

    id: str
    version: str
    kind: str
    at: datetime
    what: Mapping[str, Any]


def read_filter(show: str, brand: str, channel: str, state: str, text: str) -> Filter:
    """The filter of an address."""
    return Filter(show if show in TABS else "unanswered", brand[:40], channel[:20], state[:10], text.strip()[:200])


def rows_of(found: Sequence[Mapping[str, Any]]) -> list[Item]:
    """The list's rows."""
    return [
        Item(f"c-{one['id']}", version(one), "row", datetime.fromisoformat(one["last_at"]), {**one, **_moments(one)})
        for one in found
    ]


def thread_of(shown: Mapping[str, Any]) -> list[Item]:
    """Everything of a conversation in the order of time: messages, notes for the team, changes of hands."""
    items = [
        *(
            _item("m", number, one, low=one["support"] is not None and one["support"] < LOW_SUPPORT)
            for number, one in enumerate(shown["messages"])
        ),
        *(_item("n", number, one) for number, one in enumerate(shown["notes"])),
        *(_item("s", number, one) for number, one in enumerate(shown["changes"])),
    ]
    # A stable sort: what has the same moment stays as it came.
    return sorted(items, key=lambda one: one.at)


def _item(kind: str, number: int, one: Mapping[str, Any], **more: object) -> Item:
    # A message keeps its id when it is taken up by a turn, since both sides of a turn come in order.
    return Item(f"{kind}-{number}", version(one), kind, datetime.fromisoformat(one["at"]), {**one, **more})


def version(*parts: object) -> str:
    """A digest of what is shown."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _moments(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"last_at": datetime.fromisoformat(one["last_at"]), "since": datetime.fromisoformat(one["since"])}


def is_person(by: str) -> bool:
    """Whether a change of hands was made by somebody of the team."""
    return by not in (BOT, CUSTOMER)
