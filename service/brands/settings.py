"""What forms change of a brand's settings: a flat list of fields, each with its place in the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from configs.brand import Brand
from configs.handover import DAYS, Day
from service.storage.database import storable

Line = str


class Settings(BaseModel):
    """Settings as the forms have them. In a change, what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid")

    display_name: Line = Field(default="", max_length=120)
    tagline: Line = Field(default="", max_length=200)
    greeting: str = Field(default="", max_length=1000)
    starters: list[Line] = Field(default=[], max_length=4, description="Questions offered in an empty chat.")
    accent: str = Field(default="", max_length=7, description="`#rrggbb`.")
    font: Literal["sans", "serif"] = "sans"
    refusals: list[str] = Field(default=[], max_length=20, description="Said when no page holds the answer.")
    handovers: list[str] = Field(default=[], max_length=20, description="Said when a person takes over.")
    unavailable: str = Field(default="", max_length=1000)
    keywords: list[str] = Field(default=[], max_length=200, description="Words that always go to a person.")
    frustration: bool = False
    files: bool = Field(default=False, description="Whether a message with a file goes to a person.")
    unsure: int | None = Field(
        default=None, ge=1, le=4, description="Answers in a row that did not help; null for never."
    )
    timezone: str = Field(default="", max_length=60, description="Of the hours; empty where somebody is always there.")
    hours: dict[Day, list[str]] = Field(default={}, description="Spans such as 09:00-17:00, by weekday.")
    outside_hours: str = Field(default="", max_length=1000)
    origins: list[str] = Field(default=[], max_length=50, description="Websites that may show the chat.")


def settings_of(brand: Brand) -> Settings:
    """What the forms begin with."""
    words, rules = brand.words, brand.handover
    return Settings(
        display_name=brand.display_name,
        tagline=brand.tagline,
        greeting=words.greeting,
        starters=list(brand.widget.starters),
        accent=brand.theme.accent,
        font=brand.theme.font,
        refusals=list(words.refusals),
        handovers=list(words.handovers),
        unavailable=words.unavailable,
        keywords=list(rules.keywords),
        frustration=rules.frustration,
        files=rules.files,
        unsure=rules.unsure.times if rules.unsure else None,
        timezone=rules.hours.timezone if rules.hours else "",
        hours={day: list(spans) for day, spans in rules.hours.days.items()} if rules.hours else {},
        outside_hours=rules.words.outside_hours,
        origins=list(brand.widget.origins),
    )


_PLACES: Mapping[str, tuple[str, ...]] = {
    "display_name": ("display_name",),
    "tagline": ("tagline",),
    "greeting": ("words", "greeting"),
    "starters": ("widget", "starters"),
    "accent": ("theme", "accent"),
    "font": ("theme", "font"),
    "refusals": ("words", "refusals"),
    "handovers": ("words", "handovers"),
    "unavailable": ("words", "unavailable"),
    "keywords": ("handover", "keywords"),
    "frustration": ("handover", "frustration"),
    "files": ("handover", "files"),
    "outside_hours": ("handover", "words", "outside_hours"),
    "origins": ("widget", "origins"),
}


def changed(values: dict[str, Any], wanted: Settings) -> dict[str, Any]:
    """The YAML's values with the fields that were set; everything else stays.

    Args:
        values: As the file has them; they are changed.
        wanted: Those of its fields that were set count.
    """
    given = _clean(wanted.model_dump(exclude_unset=True))
    for name, place in _PLACES.items():
        if name in given:
            _put(values, place, given[name])
    rules = values.get("handover") or {}
    if "unsure" in given:
        before = rules.get("unsure") or {}
        _put(values, ("handover", "unsure"), {**before, "times": given["unsure"]} if given["unsure"] else None)
    if "timezone" in given or "hours" in given:
        before = rules.get("hours") or {}
        zone = given.get("timezone", before.get("timezone", ""))
        days = {day: spans for day in DAYS if (spans := given.get("hours", before.get("days", {})).get(day))}
        _put(values, ("handover", "hours"), {**before, "timezone": zone, "days": days} if zone or days else None)
    return values


def _clean(value: Any) -> Any:
    """Without what can neither be written nor sent."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value


def _put(values: dict[str, Any], place: tuple[str, ...], value: object) -> None:
    for step in place[:-1]:
        below = values.get(step)
        if not isinstance(below, dict):
            below = values[step] = {}
        values = below
    if value is None:
        values.pop(place[-1], None)
    else:
        values[place[-1]] = value
