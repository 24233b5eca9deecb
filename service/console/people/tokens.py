"""Random tokens that only their holder keeps: the database knows their digests."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits, safe in an address."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of it; random as it is, it needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def csrf_of(token: str) -> str:
    """What the forms of a session bring along: told by its token, of which it tells nothing."""
    return digest(f"csrf\n{token}")
