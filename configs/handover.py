"""When a person must take over, and what a customer is told meanwhile: `handover` in a brand's file."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; write one such as Europe/Paris")
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
"""A time zone by its name in the IANA database."""
_SPAN = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$")
_MIDNIGHT = 24 * 60


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IntentRule(_Strict):
    """Messages of one intent that belong to a person."""

    intent: str = Field(min_length=1, description="As in the brand's file of `intents`.")
    over: Decimal | None = Field(
        default=None, ge=0, description="Only where the message names a larger amount than this; always where absent."
    )
    currency: str | None = Field(
        default=None,
        pattern="^[A-Z]{3}$",
        description="Of `over`, such as EUR. An amount in another one does not count, one without any does.",
    )

    @model_validator(mode="after")
    def _currency_of_something(self) -> Self:
        if self.currency and self.over is None:
            raise ValueError("currency says in what `over` is counted; add over, or leave currency out")
        return self


class Unsure(_Strict):
    """Answers that do not help, one after the other."""

    times: int = Field(ge=1, le=4, description="So many in a row, the newest included.")
    below: float = Field(
        default=0.0, ge=0, le=1, description="An answer whose best citation scores less counts like a refusal."
    )


class Hours(_Strict):
    """When people are there."""

    timezone: Zone = Field(description="Such as Europe/Paris.")
    days: dict[Day, tuple[str, ...]] = Field(
        description="Spans a weekday, such as `mon: [09:00-12:30, 13:30-18:00]`; a day that is left out is free."
    )
    holidays: tuple[date, ...] = Field(default=(), description="Days on which nobody is there.")

    @field_validator("days")
    @classmethod
    def _spans(cls, days: dict[Day, tuple[str, ...]]) -> dict[Day, tuple[str, ...]]:
        for day, texts in days.items():
            end = 0
            for text in texts:
                start, until = span(text)
                if start < end:
                    raise ValueError(f"the spans of {day} overlap or are out of order at {text!r}; write them in order")
                end = until
        if not any(days.values()):
            raise ValueError("nobody would ever be there; name at least one day, or leave `hours` out")
        return days

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)

    def spans(self, day: date) -> tuple[tuple[int, int], ...]:
        """When people are there on that day, in minutes after its midnight on the wall clock, in order."""
        if day in self.holidays:
            return ()
        return tuple(span(text) for text in self.days.get(DAYS[day.weekday()], ()))


def span(text: str) -> tuple[int, int]:
    """A span such as 09:00-18:00 in minutes after midnight, its end not included; 24:00 is the end of the day.

    Raises:
        ValueError: It is none, or ends before it begins.
    """
    found = _SPAN.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no span of time; write it like 09:00-18:00")
    hours = [int(part) for part in found.groups()]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if end > _MIDNIGHT:
        raise ValueError(f"{text!r} ends after midnight; write 24:00 for the end of the day")
    if start >= end:
        raise ValueError(f"{text!r} ends before it begins; split it at midnight")
    return start, end


class HandoverWords(_Strict):
    """What a customer reads around a hand-over, in the brand's own words."""

    waiting: str = Field(
        default="Your message is with our team. Somebody will write to you here.",
        description="Said once to who writes on while they wait for a person.",
    )
    outside_hours: str = Field(
        default="Nobody of our team is here at this hour; they will see your message when they are back.",
        description="Said after a hand-over outside `hours`.",
    )
    nobody: str = Field(
        default="We are sorry: nobody of our team is free yet. Your message is kept.",
        description="Said once where nobody has taken the conversation within `nobody_after_min`.",
    )


class SlackTeam(_Strict):
    """A channel in Slack in which the team answers: a thread for each hand-over."""

    app: str = Field(description="As in `apps.slack` of service.yaml.")
    team_id: str = Field(pattern="^[TE][A-Z0-9]{2,}$", description="Of the team's workspace, such as T0123456789.")
    channel: str = Field(
        pattern="^[CG][A-Z0-9]{2,}$",
        description="The channel's id, such as C0123456789 (its details in Slack end with it); not its name.",
    )
    people: dict[str, Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]] = Field(
        default={}, description="Names that customers read, by Slack user id; else the name in Slack."
    )


class Handover(_Strict):
    """When a person must take over, and what happens until one does."""

    keywords: tuple[Annotated[str, StringConstraints(min_length=2, strip_whitespace=True)], ...] = Field(
        default=(), description="Words or phrases that always go to a person, whatever case they are written in."
    )
    intents: tuple[IntentRule, ...] = Field(default=(), description="Needs the brand's `intents`, trained.")
    unsure: Unsure | None = Field(default=None, description="After so many answers that did not help; never if absent.")
    frustration: bool = Field(
        default=False, description="Shouting, insults, and the same question again: English only, by rules."
    )
    files: bool = Field(default=False, description="A message with a file, which the bot cannot read.")
    hours: Hours | None = Field(default=None, description="When people are there; always where absent.")
    while_waiting: Literal["silent", "answer"] = Field(
        default="silent", description="Whether the bot goes on answering until a person takes the conversation."
    )
    nobody_after_min: float | None = Field(
        default=None,
        gt=0,
        description="Minutes, counted in `hours`, after which the customer is told that nobody came.",
    )
    then: Literal["wait", "bot"] = Field(
        default="wait",
        description="What follows where nobody came, and where it is outside `hours`: the customer waits on, or the "
        "bot answers again. The hand-over stays open either way.",
    )
    unanswered: Literal["tell", "hand_over"] = Field(
        default="tell",
        description="What becomes of messages that waited longer than `service.max_wait_s`: their writer is told, or "
        "they are handed over to a person.",
    )
    words: HandoverWords = HandoverWords()
    slack: SlackTeam | None = Field(default=None, description="Where the team answers in Slack.")
