"""Who opens a chat of the widget: a visitor by a token of ours, or somebody whom the brand's own site vouches for.

A token is sealed for one brand and one visitor, and is too old after `visitors.token_hours`; each welcome carries a
fresh one. A person who is logged in on the brand's site is told by their user id there and an HMAC-SHA256 over it,
made by the site's server with a secret that only it and we have.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from configs.errors import ConfigError
from configs.home import Home
from configs.secrets import read_secret, secret_file
from configs.service import Visitors as Settings
from service.errors import AccessDenied
from service.sealing import MIN_KEY_CHARS, SealBroken, Sealer

PURPOSE, TICKET = "visitor", "visitor's files"
TICKET_S = 2 * 3600.0
"""Twice as long as it takes until a page that stays open gets a new one."""
MAX_USER_ID = 200


class Visitors:
    """Makes and reads tokens of visitors, and checks signed identities."""

    def __init__(
        self,
        keys: str,
        *,
        token_hours: int,
        identity: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the keys.

        Args:
            keys: Comma-separated, the newest first.
            token_hours: How long a token opens a chat.
            identity: A brand's secret for signed identities.
            clock: Seconds since the epoch.

        Raises:
            ConfigError: A key or secret is too short.
        """
        self._sealer = Sealer.of(keys, setting="visitors.keys", clock=clock)
        self._max_age_s = token_hours * 3600.0
        self._identity = dict(identity or {})
        if short := sorted(name for name, secret in self._identity.items() if len(secret) < MIN_KEY_CHARS):
            raise ConfigError(
                f"visitors.identity of {', '.join(short)} has fewer than {MIN_KEY_CHARS} characters. "
                "Make one with `openssl rand -hex 32`."
            )

    @classmethod
    def of(cls, settings: Settings, home: Home, environment: Mapping[str, str]) -> Visitors:
        """As configured; a key that is not configured is made once, for all gateways that see the state folder.

        Raises:
            ConfigError: A secret is missing or too short.
        """
        if settings.keys:
            keys = read_secret(settings.keys, environment)
        else:
            keys = secret_file(home, "visitors", lambda: secrets.token_urlsafe(32)).read_text("utf-8")
        identity = {brand: read_secret(secret, environment) for brand, secret in settings.identity.items()}
        return cls(keys, token_hours=settings.token_hours, identity=identity)

    def token(self, brand: str, visitor: str) -> str:
        """What opens this visitor's chat for a while."""
        return self._sealer.seal(PURPOSE, {"brand": brand, "visitor": visitor})

    def visitor(self, brand: str, token: str | None) -> str | None:
        """Whose token it is; None where it is too old, another brand's, or not of ours."""
        if not token:
            return None
        try:
            content = self._sealer.open(PURPOSE, token, max_age_s=self._max_age_s)
        except SealBroken:
            return None
        visitor = content.get("visitor")
        return visitor if content.get("brand") == brand and isinstance(visitor, str) else None

    def ticket(self, brand: str, conversation: str) -> str:
        """What lets the visitor of this conversation bring and fetch files for `TICKET_S`."""
        return self._sealer.seal(TICKET, {"brand": brand, "conversation": conversation})

    def conversation(self, ticket: str) -> tuple[str, str]:
        """The brand and the conversation of a ticket.

        Raises:
            AccessDenied: It is too old, or not of ours.
        """
        try:
            content = self._sealer.open(TICKET, ticket, max_age_s=TICKET_S)
        except SealBroken as error:
            raise AccessDenied("This ticket for files is not of ours, or too old.") from error
        return str(content["brand"]), str(content["conversation"])

    def identity(self, brand: str, claim: Mapping[str, Any]) -> str:
        """The user id of a signed identity.

        Args:
            brand: Whose site vouches for it.
            claim: `user_id`, and as `hash` the HMAC-SHA256 over its UTF-8 bytes in hex.

        Raises:
            AccessDenied: It is not signed with the brand's secret, or the brand has none.
        """
        secret = self._identity.get(brand)
        if secret is None:
            raise AccessDenied("This brand takes no signed identities: visitors.identity holds no secret for it.")
        user_id, given = claim.get("user_id"), claim.get("hash")
        if not isinstance(user_id, str) or not isinstance(given, str) or not 0 < len(user_id) <= MAX_USER_ID:
            raise AccessDenied(f"An identity is a user_id of 1 to {MAX_USER_ID} characters and its hash, both text.")
        expected = hmac.digest(secret.encode(), user_id.encode(errors="replace"), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), given.lower().encode(errors="replace")):
            raise AccessDenied("The hash is not the HMAC-SHA256 of this user_id with the brand's identity secret.")
        return user_id
