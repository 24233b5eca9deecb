"""One LINE channel: signature, events, replies.

An answer goes out by the message's reply token, which costs nothing, is good for one call, and expires about a minute
after the message. When LINE refuses it, the same texts go out as a push, which is counted against the account's plan.

Source: developers.line.biz, Messaging API reference; messaging-api.yml of line/line-openapi.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import NAMESPACE_URL, uuid5

from channels.answers import answer_object, passes, retry_after_s
from channels.base import Answer, Capabilities, Inbound, OutboundReply, Request
from channels.credentials import require_api_url, require_secret, require_secrets
from channels.errors import DeliveryFailed, SignatureInvalid
from channels.line.payloads import parse_body
from channels.line.rendering import MARKUP, MAX_MESSAGES, MAX_TEXT_CHARS
from channels.platform import AppSetup
from channels.rendering import render
from channels.signatures import one_of, sign_base64

LOADING_S = 20
"""How long the animation stays unless a message comes first; LINE takes 5 to 60 in steps of 5."""

ALREADY_THERE = 409
"""A push with this retry key was accepted before."""

CURES = {
    400: "The reply token is used or expired, or the message is not as LINE wants it.",
    401: "The channel access token is not valid. Issue one and store it as access_token.",
    403: "The account's plan or role does not allow this call. See the LINE Official Account Manager.",
    404: "There is no such chat any more.",
    410: "LINE has removed this call. Report it.",
    413: "The message is too large. Report it.",
    415: "LINE does not take this type of message. Report it.",
}
"""LINE's errors have a status and words, but no codes."""


class LineChannel:
    """Holds the channel's secrets and address; no connection, no state."""

    name = "line"
    # A push has a key. A reply has none, but its token is good for one call; where that was refused after a call that
    # broke off or failed on LINE's side, nobody can say whether it is used or expired, so no push follows.
    # Source of the deadline: "Check webhook error causes and statistics", request_timeout.
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS, ack_deadline_s=2.0, typing_lasts_s=float(LOADING_S), buttons=13
    )

    def __init__(self, setup: AppSetup) -> None:
        """Check what the app needs.

        Args:
            setup: Secrets: `channel_secret` and `access_token`. Address: such as https://api.line.me.

        Raises:
            ChannelMisconfigured: A secret is blank or the address of no use.
        """
        self._channel_secrets = require_secrets(setup.secrets, "channel_secret")
        self._access_token = require_secret(setup.secrets, "access_token")
        self._api_url = require_api_url(setup.api_url)
        self._clock = setup.clock

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """LINE checks the address by a signed POST without events, so a GET is never LINE's."""
        del query
        raise SignatureInvalid("LINE checks its address with a signed POST; a GET proves nothing.")

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """HMAC-SHA256 over the bytes as they came, in base64.

        The signature holds no time: a replay is found by the inbox, whose message ids are unique.
        """
        signatures = (sign_base64(secret, body) for secret in self._channel_secrets)
        if not one_of(signatures, headers.get("x-line-signature", "")):
            raise SignatureInvalid(
                "The signature is missing or not made with this channel's secret. "
                "If the request is LINE's, compare channel_secret with the channel's Basic settings."
            )

    def parse(self, body: bytes) -> Inbound:
        """Every message of a body; see `channels.line.payloads`."""
        return parse_body(body)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """Up to five texts a call: the first by the reply token, which is good for one; the others as pushes."""
        texts = render(reply.text, reply.sources, MARKUP)
        to, token = reply.reply_to.get("to"), reply.reply_to.get("reply_token")
        requests = []
        for part, start in enumerate(range(0, len(texts), MAX_MESSAGES), start=1):
            messages = [{"type": "text", "text": text} for text in texts[start : start + MAX_MESSAGES]]
            push = self._push(to, messages, key=f"{reply.idempotency_key}:{part}") if to else None
            if part == 1 and token:
                content = {"replyToken": token, "messages": messages}
                request = Request("POST", f"{self._api_url}/v2/bot/message/reply", self._headers(), content)
                # A token is good for one call: made again, it shows once, or is refused.
                requests.append(replace(request, repeatable=True, otherwise=push))
            elif push:
                requests.append(push)
        return requests

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """The loading animation, which LINE shows to single users only. Source: "Display a loading animation"."""
        del account
        if reply_to.get("source") != "user" or "to" not in reply_to:
            return ()
        loading: dict[str, object] = {"chatId": reply_to["to"], "loadingSeconds": LOADING_S}
        return (Request("POST", f"{self._api_url}/v2/bot/chat/loading/start", self._headers(), loading),)

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The ids of the sent messages with commas between them, else LINE's id of the request that was accepted."""
        if status in {200, ALREADY_THERE}:
            sent = (answer_object(body) or {}).get("sentMessages")
            found = sent if isinstance(sent, list) else []
            ids = ",".join(str(one["id"]) for one in found if isinstance(one, dict) and one.get("id"))
            return ids or headers.get("x-line-accepted-request-id") or headers.get("x-line-request-id", "")
        retryable = passes(status)
        cure = "It is tried again later." if retryable else CURES.get(status, "See LINE's list of status codes.")
        raise DeliveryFailed(
            f"LINE did not take the reply: HTTP {status}. {cure}",
            retryable=retryable,
            retry_after_s=retry_after_s(headers, now_s=self._clock()),
            code=str(status),
        )

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The header that LINE sends."""
        signature = sign_base64(self._channel_secrets[0], body)
        return {"content-type": "application/json; charset=utf-8", "x-line-signature": signature}

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A text message of one user to the account.

        Args:
            text: What the person writes.
            account: The bot's own user id.
            message_id: Stands in the body as the id of the event.
            sender: A user id.
        """
        token = hashlib.sha256(f"{sender}:{message_id}".encode()).hexdigest()[:32]
        event = {
            "type": "message",
            "message": {"type": "text", "id": str(int(token[:14], 16)), "quoteToken": token[::-1], "text": text},
            "webhookEventId": message_id,
            "deliveryContext": {"isRedelivery": False},
            "timestamp": int(self._clock() * 1000),
            "source": {"type": "user", "userId": sender},
            "replyToken": token,
            "mode": "active",
        }
        return json.dumps({"destination": account, "events": [event]}).encode()

    def _push(self, to: str, messages: Sequence[Mapping[str, object]], *, key: str) -> Request:
        """A push that LINE takes once, however often it is sent.

        LINE wants a UUID as key; this one is always the same for the same part of the same reply.
        """
        headers = {**self._headers(), "x-line-retry-key": str(uuid5(NAMESPACE_URL, f"urn:brandvoice:outbox:{key}"))}
        content: dict[str, object] = {"to": to, "messages": messages}
        return Request("POST", f"{self._api_url}/v2/bot/message/push", headers, content, repeatable=True)

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._access_token}", "content-type": "application/json"}
