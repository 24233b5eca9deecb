"""One Slack app: signature, events, replies.

Source: docs.slack.dev/authentication/verifying-requests-from-slack and
docs.slack.dev/reference/methods/chat.postMessage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from channels.answers import answer_object, passes, retry_after_s
from channels.base import Answer, Capabilities, Inbound, OutboundReply, Rate, Request
from channels.credentials import require_api_url, require_secret, require_secrets
from channels.errors import DeliveryFailed, SignatureInvalid
from channels.platform import AppSetup
from channels.rendering import render
from channels.signatures import check_age, one_of, read_stamp, sign_hex
from channels.slack.payloads import parse_body
from channels.slack.rendering import MARKUP, MAX_TEXT_CHARS, escape

VERSION = "v0"
"""Of the signature, and the first word of what is signed."""

RETRYABLE = frozenset(
    {
        "fatal_error",
        "internal_error",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
"""Error codes under which the same call may succeed later. Source: the error table of chat.postMessage."""

CURES = {
    "account_inactive": "Install the app in the workspace again and store the new bot token.",
    "channel_not_found": "Invite the app to the channel.",
    "invalid_auth": "Store the bot token (xoxb-...) of this app's installation.",
    "is_archived": "The channel is archived; nothing can be posted there.",
    "missing_scope": "Give the app the scope chat:write and install it again.",
    "msg_too_long": "This should have been split; report it.",
    "no_permission": "Give the app the scope chat:write and install it again.",
    "not_authed": "Store the bot token (xoxb-...) of this app's installation.",
    "not_in_channel": "Invite the app to the channel.",
    "restricted_action": "An admin of the workspace restricts who may post there.",
    "token_expired": "Store a fresh bot token.",
    "token_revoked": "Install the app in the workspace again and store the new bot token.",
}


class SlackChannel:
    """Holds the app's secrets and address; no connection, no state."""

    name = "slack"
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS,
        ack_deadline_s=3.0,
        idempotency="look-up",
        edits=True,
        streams=True,
        buttons=25,
        # Source: docs.slack.dev/apis/web-api/rate-limits: one a second in a channel, short bursts are let through.
        rates=(Rate(1.0, burst=4, per=("channel",)),),
    )

    def __init__(self, setup: AppSetup) -> None:
        """Check what the app needs.

        Args:
            setup: Secrets: `signing_secret` and `bot_token`. Address: such as https://slack.com/api.

        Raises:
            ChannelMisconfigured: A secret is blank or the address of no use.
        """
        self._signing_secrets = require_secrets(setup.secrets, "signing_secret")
        self._bot_token = require_secret(setup.secrets, "bot_token")
        self._api_url = require_api_url(setup.api_url)
        self._clock = setup.clock

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """Slack checks the address by a signed POST, so a GET is never Slack's."""
        del query
        raise SignatureInvalid("Slack checks its address with a signed POST; a GET proves nothing.")

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """The signature first, then the age: stale means genuine, so it points at a replay or at our clock."""
        stamp = headers.get("x-slack-request-timestamp", "")
        stamped = read_stamp(stamp, "Slack")
        signatures = (self._signature(stamp, body, secret) for secret in self._signing_secrets)
        if not one_of(signatures, headers.get("x-slack-signature", "")):
            raise SignatureInvalid(
                "The signature is missing or not made with this app's signing secret. "
                "If the request is Slack's, compare signing_secret with the app's Basic Information page."
            )
        check_age(stamped, now_s=self._clock())

    def parse(self, body: bytes) -> Inbound:
        """Direct messages and mentions; see `channels.slack.payloads`."""
        return parse_body(body)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One chat.postMessage a part, all in the thread that was answered.

        The outbox id rides along as message metadata, where conversations.replies can find it after a crash.
        """
        texts = render(reply.text, reply.sources, MARKUP)
        headers = {
            "authorization": f"Bearer {self._bot_token}",
            "content-type": "application/json; charset=utf-8",
        }
        requests = []
        for part, text in enumerate(texts, start=1):
            marks = {"idempotency_key": reply.idempotency_key, "part": part, "parts": len(texts)}
            message: dict[str, object] = {
                **{key: reply.reply_to[key] for key in ("channel", "thread_ts") if key in reply.reply_to},
                "text": text,
                "mrkdwn": True,
                "link_names": False,
                "unfurl_links": False,
                "unfurl_media": False,
                "metadata": {"event_type": "brandvoice_reply", "event_payload": marks},
            }
            requests.append(Request("POST", f"{self._api_url}/chat.postMessage", headers, message))
        return requests

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """Slack shows this in the threads of AI apps only, and answers with an error elsewhere."""
        del account
        if "thread_ts" not in reply_to:
            return ()
        headers = {"authorization": f"Bearer {self._bot_token}", "content-type": "application/json; charset=utf-8"}
        status = {"channel_id": reply_to["channel"], "thread_ts": reply_to["thread_ts"], "status": "is typing..."}
        return (Request("POST", f"{self._api_url}/assistant.threads.setStatus", headers, status),)

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """`<channel>:<ts>` of the posted message, the form of our message ids."""
        answer = answer_object(body) or {}
        if status == 200 and answer.get("ok") is True:
            return f"{answer.get('channel', '')}:{answer.get('ts', '')}"
        error = answer.get("error")
        code = error if isinstance(error, str) else ""
        # Without a code it was not Slack's API that answered, or not in a state to: nothing says that it is final.
        decided = status == 200 and code != ""
        retryable = code in RETRYABLE or (not decided and passes(status))
        cure = CURES.get(code, "It is tried again later." if retryable else "See the error table of chat.postMessage.")
        raise DeliveryFailed(
            f"Slack did not take the reply: {code[:64] or f'HTTP {status}'}. {cure}",
            retryable=retryable,
            retry_after_s=retry_after_s(headers, now_s=self._clock()),
            code=code[:64] or str(status),
        )

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The two headers of a request that Slack sends now."""
        stamp = str(int(self._clock()))
        return {
            "content-type": "application/json",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": self._signature(stamp, body, self._signing_secrets[0]),
        }

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A direct message to the app; one sender keeps one conversation.

        Slack's ids are numbers, so `message_id` is turned into one, always the same: read the id that the inbox will
        know from `parse`.
        """
        digest = int.from_bytes(hashlib.sha256(message_id.encode()).digest()[:8], "big")
        ts = f"{1_600_000_000 + digest % 100_000_000}.{digest // 100_000_000 % 1_000_000:06d}"
        channel = "D" + hashlib.sha256(f"{account}:{sender}".encode()).hexdigest()[:10].upper()
        return json.dumps(
            {
                "team_id": account,
                "api_app_id": "A0SIMULATED",
                "event": {
                    "type": "message",
                    "user": sender,
                    "text": escape(text),
                    "ts": ts,
                    "team": account,
                    "channel": channel,
                    "event_ts": ts,
                    "channel_type": "im",
                },
                "type": "event_callback",
                "event_id": f"Ev{digest:016X}",
                "event_time": int(self._clock()),
                "authorizations": [
                    {
                        "enterprise_id": None,
                        "team_id": account,
                        "user_id": "U0SIMULATED",
                        "is_bot": True,
                        "is_enterprise_install": False,
                    }
                ],
                "is_ext_shared_channel": False,
            }
        ).encode()

    def _signature(self, stamp: str, body: bytes, secret: str) -> str:
        return f"{VERSION}={sign_hex(secret, f'{VERSION}:{stamp}:'.encode(), body)}"
