"""Reading what a platform sent, JSON or a form: any bytes in, an object of clean text out, or `PayloadInvalid`."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, StringConstraints

from channels.errors import PayloadInvalid

MAX_ID_CHARS = 512
"""Longer than any id seen (a WhatsApp message id has about 60); a longer one is no id and must not reach an index."""

MAX_FORM_FIELDS = 1000
"""Many times what a platform sends; each costs time to split and to sort."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS)]

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class Loose(BaseModel):
    """A part of a platform's payload: what we read is checked, the rest is theirs to change."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def load_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body, without characters that no database and no encoder takes.

    Raises:
        PayloadInvalid: Not UTF-8, not JSON, nested too deeply, or not an object.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(text)
        if _UNSTORABLE_ESCAPE.search(text):
            value = _clean(value)
    # A number of more than 4300 digits is a ValueError too; nesting beyond the interpreter's stack is the other.
    except (ValueError, RecursionError) as error:
        raise PayloadInvalid(f"The body is not JSON ({type(error).__name__}). Look at what was sent.") from error
    if not isinstance(value, dict):
        raise PayloadInvalid("The body is JSON, but not an object. Look at what the platform sent.")
    return value


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """The names and values of a form in their order, blank and repeated ones too, as they were before escaping.

    Raises:
        PayloadInvalid: Not ASCII, which every form is, or of more than `MAX_FORM_FIELDS` fields.
    """
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS, errors="replace")
    except ValueError as error:
        raise PayloadInvalid(f"The body is not a form ({type(error).__name__}). Look at what was sent.") from error


def load_form(body: bytes) -> dict[str, str]:
    """A form by its names, the last value of each, without characters that no database takes.

    Raises:
        PayloadInvalid: As of `form_pairs`.
    """
    return {_clean(name): _clean(value) for name, value in form_pairs(body)}


def _clean(value: Any) -> Any:
    """Half surrogate pairs become U+FFFD and NUL goes, in every string and key."""
    if isinstance(value, str):
        return _UNSTORABLE.sub(lambda found: "" if found[0] == "\x00" else "\ufffd", value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value
