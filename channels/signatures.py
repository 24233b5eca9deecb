"""Keyed signatures over raw bytes, made and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac


def sign_hex(secret: str, *parts: bytes) -> str:
    """Lower-case hex of HMAC-SHA256 over the parts, one after the other.

    Source: RFC 2104; every platform here signs with SHA-256.
    """
    digest = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def same_secret(expected: str, given: str) -> bool:
    """Whether two texts are equal, in a time that tells nothing of where they differ.

    Any text may be given: `hmac.compare_digest` itself raises on non-ASCII `str`, and what a caller sends must
    lead to a refusal, not to an error. There is no folding of case: one signature has one spelling.
    """
    return hmac.compare_digest(expected.encode(), given.encode(errors="backslashreplace"))
