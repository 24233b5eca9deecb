"""The token that we send with: got for the app's password, kept until shortly before it ends.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication, "Bot to Connector",
and learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow. The password goes as HTTP Basic
(RFC 6749 section 2.3.1, which Microsoft's metadata lists as client_secret_basic), so that it stands in a header, which
is never shown, and not in a form.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeGuard
from urllib.parse import quote

from channels.answers import answer_object, retry_after_s
from channels.base import Request
from channels.errors import DeliveryFailed

LOGIN_URL = "https://login.microsoftonline.com"

SCOPE = "https://api.botframework.com/.default"

RENEWED_BEFORE_S = 300.0
"""A token is not used in its last five minutes: a call that takes its time must not end without one."""


_TOKEN = re.compile(r"[\w.~+/=-]+", re.ASCII)
"""What may stand in a header behind Bearer. Source: RFC 6750 section 2.1."""


class AppToken:
    """Holds the token; says how to get one."""

    def __init__(self, *, login_url: str, tenant: str, app_id: str, password: str, clock: Callable[[], float]) -> None:
        self.url = f"{login_url}/{quote(tenant, safe='')}/oauth2/v2.0/token"
        pair = f"{quote(app_id, safe='')}:{quote(password, safe='')}"
        self._basic = "Basic " + base64.b64encode(pair.encode()).decode()
        self._clock = clock
        self._token = ""
        self._until = 0.0

    def header(self) -> str | None:
        """For Authorization; None while there is no token."""
        return f"Bearer {self._token}" if self._token and self._clock() < self._until else None

    def forget(self) -> None:
        """Microsoft did not take it."""
        self._token = ""

    def needs(self) -> Sequence[Request]:
        """The call that brings one."""
        if self.header() is not None:
            return ()
        form = {"grant_type": "client_credentials", "scope": SCOPE}
        return (Request("POST", self.url, {"authorization": self._basic, "accept": "application/json"}, form=form),)

    def learn(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep what the call brought.

        Raises:
            DeliveryFailed: No token.
        """
        answer = answer_object(body) or {}
        token, lasts_s = answer.get("access_token"), answer.get("expires_in")
        if status == 200 and isinstance(token, str) and _TOKEN.fullmatch(token) and _is_duration(lasts_s):
            self._token = token
            self._until = self._clock() + lasts_s - min(RENEWED_BEFORE_S, lasts_s / 2)
            return
        refused = status in {400, 401}
        cure = "Compare app_id, app_password and app_tenant with the bot's registration." if refused else "Later again."
        raise DeliveryFailed(
            f"Microsoft gave no token to send with: HTTP {status}. {cure}",
            retryable=not refused,
            retry_after_s=retry_after_s(headers, now_s=self._clock()),
            code=str(status),
        )


def _is_duration(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
