"""The keys that Microsoft signs its requests with: fetched from the Bot Framework, kept for a day.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication, "Authenticate
requests from the Bot Connector service to your bot".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from channels.answers import answer_object
from channels.base import Request
from channels.errors import DeliveryFailed, NotReady, SignatureInvalid

ISSUER = "https://api.botframework.com"

METADATA_URL = "https://login.botframework.com/v1/.well-known/openidconfiguration"

_KEYS_URL = re.compile(r"https://login\.botframework\.com/[\w./-]+", re.ASCII)
"""Whoever could name another place for the keys could sign as Microsoft."""

KEPT_S = 24 * 3600.0
"""Source: the page above: the keys are stable, but may change at any time, so they are read again every 24 hours."""

RENEWED_AFTER_S = 23 * 3600.0
"""Asked for again an hour before they are thrown away, so that a short outage of Microsoft's is no outage of ours."""

UNKNOWN_AFTER_S = 300.0
"""Keys younger than this are not fetched again for an id that is not among them: else anyone could have us fetch."""

MIN_BITS = 2048
"""Source: RFC 7518 section 3.3."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key, and the channels of Microsoft's whose activities it may sign."""

    public: RSAPublicKey
    endorsements: frozenset[str] = frozenset()
    """Names such as msteams; empty where Microsoft names none."""


class SigningKeys:
    """Holds what was fetched; says what to fetch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keys: Mapping[str, SigningKey] = {}
        self._keys_url = ""
        self._learned_at = -KEPT_S
        self._missed = False

    def find(self, key_id: str) -> SigningKey:
        """The key with this id.

        Raises:
            NotReady: The keys, or news of them, must be fetched first.
            SignatureInvalid: Microsoft has no such key.
        """
        age_s = self._clock() - self._learned_at
        if not self._keys or age_s >= KEPT_S:
            raise NotReady(
                "Microsoft's signing keys are not there yet. See that login.botframework.com can be reached."
            )
        if (key := self._keys.get(key_id)) is not None:
            return key
        self._missed = self._missed or age_s >= UNKNOWN_AFTER_S
        if self._missed:
            raise NotReady("The request is signed with a key that is not known yet; Microsoft's keys are read again.")
        raise SignatureInvalid("The request is signed with a key that is not Microsoft's.")

    def needs(self) -> Sequence[Request]:
        """The metadata says where the keys are, and comes first."""
        if self._clock() - self._learned_at < RENEWED_AFTER_S and not self._missed:
            return ()
        return (Request("GET", self._keys_url or METADATA_URL, {"accept": "application/json"}),)

    def learn(self, url: str, status: int, body: bytes) -> None:
        """Keep what one of these calls brought.

        Raises:
            DeliveryFailed: It is not of the shape of Microsoft's; what was known stays.
        """
        # The next time, the metadata is asked again: the keys may have moved.
        self._keys_url = ""
        answer = answer_object(body) if status == 200 else None
        if answer is None:
            raise _useless(url, f"HTTP {status}", status)
        if url == METADATA_URL:
            self._keys_url = _keys_url(answer)
            return
        keys = dict(_keys(answer.get("keys")))
        if not keys:
            raise _useless(url, "no usable key", status)
        self._keys, self._learned_at, self._missed = keys, self._clock(), False


def _useless(url: str, why: str, status: int) -> DeliveryFailed:
    return DeliveryFailed(f"{url} brought no keys: {why}. It is tried again later.", retryable=True, code=str(status))


def _keys_url(metadata: Mapping[str, Any]) -> str:
    url = metadata.get("jwks_uri")
    if metadata.get("issuer") != ISSUER or not isinstance(url, str) or not _KEYS_URL.fullmatch(url):
        raise _useless(METADATA_URL, "not the Bot Framework's metadata", 200)
    return url


def _keys(raw: Any) -> Sequence[tuple[str, SigningKey]]:
    """Every RSA key that is long enough; the others are none of those that sign by RS256."""
    found = []
    for entry in raw if isinstance(raw, list) else ():
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
            continue
        try:
            public = RSAAlgorithm.from_jwk({name: entry.get(name) for name in ("kty", "n", "e")})
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue
        if isinstance(public, RSAPublicKey) and public.key_size >= MIN_BITS:
            names = entry.get("endorsements")
            endorsed = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
            found.append((entry["kid"], SigningKey(public, frozenset(endorsed))))
    return found
