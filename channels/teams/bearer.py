"""The token that comes with each request of Microsoft's: who made it, for whom, when, and for which activity.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication, "Step 4: Verify
the JWT token".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jwt

from channels.errors import SignatureInvalid, StaleRequest
from channels.teams.signing_keys import ISSUER, SigningKey

ALGORITHM = "RS256"
"""And no other: with HS256, our public key would do as a secret, and `none` signs nothing."""

LEEWAY_S = 300.0
"""Source: the page above: industry-standard clock-skew is 5 minutes."""

MAX_CHARS = 16_384
"""Longer than any token of Microsoft's; a longer one is not read at all."""

_BEARER = re.compile(r"Bearer ([\w-]+(?:\.[\w-]+){2})", re.ASCII)

_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, RecursionError)
"""What decoding raises over a token that someone made up."""


def read_bearer(
    header: str, *, find: Callable[[str], SigningKey], audiences: Sequence[str], channel: str, now_s: float
) -> Mapping[str, Any]:
    """The claims of a genuine token.

    Args:
        header: Authorization, as it came.
        find: The key with an id; it may raise `NotReady` or `SignatureInvalid`.
        audiences: Names of ours.
        channel: The activity's channelId, for which the key must be good.
        now_s: Seconds since the epoch.

    Raises:
        SignatureInvalid: Not a token, or not Microsoft's for us.
        StaleRequest: Genuine, but expired or not valid yet.
        NotReady: The key must be fetched first.
    """
    bearer = _BEARER.fullmatch(header) if len(header) <= MAX_CHARS else None
    if bearer is None:
        raise SignatureInvalid("The request carries no bearer token. It is not from Microsoft.")
    key = find(_key_id(bearer[1]))
    try:
        claims: dict[str, Any] = jwt.decode(
            bearer[1],
            key.public,
            algorithms=[ALGORITHM],
            audience=audiences,
            issuer=ISSUER,
            # Times are checked below, against the channel's own clock.
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except _UNREADABLE as error:
        raise SignatureInvalid(
            f"The token is not Microsoft's for this app ({type(error).__name__}). "
            "If the request is Microsoft's, compare app_id with the bot's Microsoft App ID."
        ) from error
    if key.endorsements and channel not in key.endorsements:
        raise SignatureInvalid("The key of this token is not good for the channel that the activity names.")
    _check_times(claims, now_s)
    return claims


def _key_id(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except _UNREADABLE as error:
        raise SignatureInvalid("The token has no readable header. It is not from Microsoft.") from error
    key_id = header.get("kid")
    if header.get("alg") != ALGORITHM or not isinstance(key_id, str):
        raise SignatureInvalid(f"The token is not signed by {ALGORITHM} with a key that it names.")
    return key_id


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    """An expiry there must be; the others count where they stand."""
    if now_s - LEEWAY_S >= _moment(claims, "exp"):
        raise StaleRequest("The token has expired: a replay, or this machine's clock is wrong.")
    for name in ("nbf", "iat"):
        if name in claims and now_s + LEEWAY_S < _moment(claims, name):
            raise StaleRequest("The token is not valid yet. See whether this machine's clock is right.")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise SignatureInvalid(f"The token's {name} is no time.")
    return float(value)
