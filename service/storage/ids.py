"""Ids of what is stored: random, and fit for an address, a page and a command line."""

from __future__ import annotations

import secrets


def fresh_id(size: int = 12) -> str:
    """An id of `size` random bytes, in the alphabet of RFC 4648, 5.

    None begins with a hyphen: `brandvoice conversations show -x…` would read it as an option.
    """
    while (made := secrets.token_urlsafe(size)).startswith("-"):
        pass
    return made
