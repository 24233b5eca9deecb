"""Keyed signatures over raw bytes, made and compared in constant time."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from typing import Literal

from channels.errors import SignatureInvalid, StaleRequest


def sign_hex(secret: str, *parts: bytes) -> str:
    """Lower-case hex of HMAC-SHA256 over the parts, one after the other.

    Source: RFC 2104; every platform here but Twilio signs with SHA-256.
    """
    return _digest(secret, "sha256", parts).hex()


def sign_base64(secret: str, *parts: bytes, algorithm: Literal["sha256", "sha1"] = "sha256") -> str:
    """Base64 of an HMAC over the parts, one after the other.

    Args:
        secret: The key.
        parts: What is signed.
        algorithm: SHA-1 for Twilio only, which signs its webhooks with nothing else. What broke SHA-1 are two texts
            of one hash; who has no key gains nothing by them against an HMAC.

    Source: RFC 2104, RFC 4648 section 4; on SHA-1 in an HMAC, NIST SP 800-131A revision 2, section 10.
    """
    return base64.b64encode(_digest(secret, algorithm, parts)).decode()


def same_secret(expected: str, given: str) -> bool:
    """Whether two texts are equal, in a time that tells nothing of where they differ.

    Any text may be given: `hmac.compare_digest` itself raises on non-ASCII `str`, and what a caller sends must
    lead to a refusal, not to an error. There is no folding of case: one signature has one spelling.
    """
    return hmac.compare_digest(expected.encode(), given.encode(errors="backslashreplace"))


def one_of(expected: Iterable[str], given: str) -> bool:
    """Whether a text is one of these; all are compared, so that the time does not tell which."""
    found = False
    for one in expected:
        found |= same_secret(one, given)
    return found


MAX_AGE_S = 300.0
"""Slack's advice, for all who sign a time; into the future too, or one stamped ahead could be kept and replayed."""


def read_stamp(text: str, platform: str) -> int:
    """A signed time, in seconds since the epoch.

    Raises:
        SignatureInvalid: Not a number of them.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise SignatureInvalid(f"The request has no timestamp that is a number. It is not from {platform}.")
    return int(text)


def check_age(stamp: int, *, now_s: float) -> None:
    """Hold a signed time against our clock; only after the signature, for stale means genuine.

    Raises:
        StaleRequest: More than `MAX_AGE_S` away, which points at a replay or at our clock.
    """
    age_s = now_s - stamp
    if abs(age_s) > MAX_AGE_S:
        raise StaleRequest(
            f"The request was signed {age_s:.0f} s ago by our clock, and {MAX_AGE_S:.0f} s are allowed either way: "
            "a replay, or this machine's clock is wrong."
        )


def _digest(secret: str, algorithm: str, parts: tuple[bytes, ...]) -> bytes:
    digest = hmac.new(secret.encode(), digestmod=algorithm)
    for part in parts:
        digest.update(part)
    return digest.digest()
