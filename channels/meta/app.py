"""One Meta app: handshake, signature, and calls with its access token.

Source: developers.facebook.com/docs/graph-api/webhooks/getting-started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from channels.base import Answer, Request
from channels.credentials import require_api_url, require_secret, require_secrets
from channels.errors import SignatureInvalid
from channels.platform import AppSetup
from channels.signatures import one_of, sign_hex


class MetaApp:
    """Holds the app's secrets and address; no connection, no state."""

    settings_page: ClassVar[str] = "the app's Basic settings"
    """Where Meta shows what it signs with."""

    def __init__(self, setup: AppSetup) -> None:
        """Check what the app needs.

        Args:
            setup: Secrets: `app_secret`, `verify_token` and `access_token`. Address: such as
                https://graph.facebook.com/v23.0.

        Raises:
            ChannelMisconfigured: A secret is blank or the address of no use.
        """
        self._app_secrets = require_secrets(setup.secrets, "app_secret")
        self._verify_tokens = require_secrets(setup.secrets, "verify_token")
        self._access_token = require_secret(setup.secrets, "access_token")
        self._api_url = require_api_url(setup.api_url)
        self._clock = setup.clock

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """The challenge as plain text: as HTML it would be an address that reflects what it is given."""
        known = one_of(self._verify_tokens, query.get("hub.verify_token", ""))
        if not known or query.get("hub.mode") != "subscribe" or "hub.challenge" not in query:
            raise SignatureInvalid(
                "The verify token is not ours. Enter the same token in the Meta app as in this app's verify_token."
            )
        return Answer(query["hub.challenge"].encode(errors="replace"))

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        r"""HMAC-SHA256 over the bytes as they came; the older SHA-1 header is never looked at.

        Meta signs its own spelling (`\u00e9` for é), so a body that was parsed and written again would not match.
        The signature holds no time: a replay is found by the inbox, whose message ids are unique.
        """
        signatures = (self._signature(body, secret) for secret in self._app_secrets)
        if not one_of(signatures, headers.get("x-hub-signature-256", "")):
            raise SignatureInvalid(
                "The signature is missing or not made with this app's secret. "
                f"If the request is Meta's, compare app_secret with {self.settings_page}."
            )

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The header that Meta sends."""
        return {"content-type": "application/json", "x-hub-signature-256": self._signature(body, self._app_secrets[0])}

    def _signature(self, body: bytes, secret: str) -> str:
        return f"sha256={sign_hex(secret, body)}"

    def _call(self, account: str, content: Mapping[str, object]) -> Request:
        """A call to the messages of one of our numbers, pages or accounts."""
        # The token goes into a header, never into the address, which lands in logs.
        headers = {"authorization": f"Bearer {self._access_token}", "content-type": "application/json"}
        return Request("POST", f"{self._api_url}/{quote(account, safe='')}/messages", headers, content)


def meta_json(payload: Mapping[str, object]) -> bytes:
    """A webhook body in Meta's spelling: non-ASCII and slashes escaped."""
    return json.dumps(payload).replace("/", "\\/").encode()
