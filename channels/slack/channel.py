"""One Slack app: signature, events, replies.

Source: docs.slack.dev/authentication/verifying-requests-from-slack and
docs.slack.dev/reference/methods/chat.postMessage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from channels.answers import answer_object, passes, retry_after_s
from channels.base import Answer, Capabilities, Inbound, OutboundReply, Rate, Rating, Request
from channels.credentials import require_api_url, require_secret, require_secrets
from channels.errors import ChannelMisconfigured, DeliveryFailed, SignatureInvalid
from channels.installs import Grant
from channels.platform import AppSetup
from channels.rendering import render
from channels.signatures import check_age, one_of, read_stamp, sign_hex
from channels.slack.installing import access_call, consent_url, read_access
from channels.slack.payloads import parse_body
from channels.slack.rendering import MARKUP, MAX_TEXT_CHARS, blocks, escape

VERSION = "v0"
"""Of the signature, and the first word of what is signed."""

JSON: Mapping[str, str] = {"content-type": "application/json; charset=utf-8"}
HOOKS = "https://hooks.slack.com/"
"""Below it lie the addresses at which commands and pressed buttons are answered."""

METADATA = "brandvoice_reply"
"""Type of what goes along with each message of ours."""

LOOK_UP_MESSAGES = 200
"""Asked for at once. Slack gives fewer, and says that there are more, to apps sold outside its marketplace."""

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
    """Holds the app's secrets and address; no connection, and no state but the tokens of who installed it."""

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
            setup: Secrets: `signing_secret`, and `bot_token` of one workspace or, with the setting `client_id`,
                `client_secret` for workspaces that install the app; or both. Address: such as https://slack.com/api.

        Raises:
            ChannelMisconfigured: A secret is blank or the address of no use.
        """
        self._signing_secrets = require_secrets(setup.secrets, "signing_secret")
        self._client_id = setup.settings.get("client_id", "").strip()
        self._client_secret = ""
        if self._client_id or "client_secret" in setup.secrets:
            self._client_secret = require_secret(setup.secrets, "client_secret")
        self._bot_token = ""
        if "bot_token" in setup.secrets or not self._client_secret:
            self._bot_token = require_secret(setup.secrets, "bot_token")
        self._installed = setup.installed
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
        """One chat.postMessage a part, all in the thread that was answered; thumbs stand under the last.

        The outbox id rides along as message metadata, where conversations.replies can find it after a crash. A command
        is answered at its own address, for its asker's eyes only.
        """
        messages = self._messages(reply)
        if messages and reply.rateable:
            messages[-1]["blocks"] = blocks(str(messages[-1]["text"]), rate=reply.idempotency_key)
        if "response_url" in reply.reply_to:
            url = self._own_address(reply.reply_to["response_url"])
            return [Request("POST", url, JSON, {**message, "response_type": "ephemeral"}) for message in messages]
        calls = [self._post(reply, one) for one in messages]
        if reply.begun and not calls:
            return [replace(self._change("chat.delete", reply, {}), done_code="message_not_found")]
        if reply.begun:
            # Somebody may have deleted the beginning; the whole is posted then.
            calls[0] = replace(self._change("chat.update", reply, messages[0]), otherwise=calls[0])
        return calls

    grow_every_s = 1.5
    """Source: docs.slack.dev/reference/methods/chat.update is of tier 3, 50 calls a minute and workspace."""

    def begin(self, reply: OutboundReply) -> Request | None:
        """A message with three dots at its end; in no command's answer, which cannot be looked up."""
        message = self._beginning(reply)
        return None if message is None or "response_url" in reply.reply_to else self._post(reply, message)

    def grow(self, reply: OutboundReply) -> Request | None:
        """The same message with more in it."""
        message = self._beginning(reply)
        return None if message is None else self._change("chat.update", reply, message)

    def thank(self, reply: OutboundReply, rating: Rating, words: str) -> Sequence[Request]:
        """Write the last part of the reply again, with these words where the thumbs were."""
        messages = self._messages(reply)
        if not messages:
            return ()
        message = messages[-1]
        message["blocks"] = blocks(str(message["text"]), rated=rating.value, thanks=words)
        if "response_url" in rating.reply_to:
            url = self._own_address(rating.reply_to["response_url"])
            return (Request("POST", url, JSON, {**message, "replace_original": True}),)
        if "ts" not in rating.reply_to:
            return ()
        place = {key: rating.reply_to[key] for key in ("channel", "ts")}
        headers = self._headers(reply.account)
        return (Request("POST", f"{self._api_url}/chat.update", headers, {**place, **message}, repeatable=True),)

    def look_up(self, reply: OutboundReply) -> Request | None:
        """Ask for the thread, or the direct messages, from the question on; answers of commands cannot be asked for."""
        place = reply.reply_to
        if "response_url" in place or not {"channel", "asked"} <= place.keys():
            return None
        form = {
            "channel": place["channel"],
            "oldest": place["asked"],
            "limit": str(LOOK_UP_MESSAGES),
            "include_all_metadata": "true",
        }
        method = "history"
        if "thread_ts" in place:
            method, form["ts"] = "replies", place["thread_ts"]
        headers = {**self._headers(reply.account), "content-type": "application/x-www-form-urlencoded"}
        return Request("POST", f"{self._api_url}/conversations.{method}", headers, form=form)

    def found(self, reply: OutboundReply, status: int, headers: Mapping[str, str], body: bytes) -> Mapping[int, str]:
        """Parts are known by their metadata; that one is missing proves something only where all was told."""
        answer = answer_object(body) or {}
        messages = answer.get("messages")
        if status != 200 or answer.get("ok") is not True or not isinstance(messages, list):
            raise self._refused(answer, status, headers, "did not tell whether it has the reply")
        there: dict[int, str] = {}
        parts = 0
        for message in messages:
            match message:
                case {
                    "ts": str(ts),
                    "metadata": {
                        "event_type": str(kind),
                        "event_payload": {"idempotency_key": key, "part": int(part), "parts": int(of)},
                    },
                } if (kind, key) == (METADATA, reply.idempotency_key):
                    parts = of
                    there.setdefault(part, f"{reply.reply_to['channel']}:{ts}")
        if answer.get("has_more") and (not there or len(there) < parts):
            raise DeliveryFailed("Slack told only a part of the thread, so the rest may hold it.", retryable=False)
        return there

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """Slack shows this in the threads of AI apps only, and answers with an error elsewhere."""
        if "thread_ts" not in reply_to or not self._token(account):
            return ()
        status = {"channel_id": reply_to["channel"], "thread_ts": reply_to["thread_ts"], "status": "is typing..."}
        return (Request("POST", f"{self._api_url}/assistant.threads.setStatus", self._headers(account), status),)

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """`<channel>:<ts>` of the posted message, the form of our message ids."""
        answer = answer_object(body) or {}
        if status == 200 and body.strip() == b"ok":
            # So answers a command's own address, which gives no id.
            return "ok"
        if status == 200 and answer.get("ok") is True:
            return f"{answer.get('channel', '')}:{answer.get('ts', '')}"
        raise self._refused(answer, status, headers, "did not take the reply")

    def _refused(
        self, answer: Mapping[str, object], status: int, headers: Mapping[str, str], what: str
    ) -> DeliveryFailed:
        error = answer.get("error")
        code = error if isinstance(error, str) else ""
        # Without a code it was not Slack's API that answered, or not in a state to: nothing says that it is final.
        decided = status == 200 and code != ""
        retryable = code in RETRYABLE or (not decided and passes(status))
        cure = CURES.get(code, "It is tried again later." if retryable else "See the error table of chat.postMessage.")
        return DeliveryFailed(
            f"Slack {what}: {code[:64] or f'HTTP {status}'}. {cure}",
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

    def consent_url(self, state: str) -> str:
        """Where an admin of a workspace says yes to the app."""
        if not self._client_secret:
            raise ChannelMisconfigured(
                "Workspaces cannot install this Slack app: it has no client_id and client_secret. "
                "Both stand on its Basic Information page."
            )
        return consent_url(self._api_url, self._client_id, state)

    def exchange(self, code: str) -> Request:
        """The code of that yes for the workspace's bot token."""
        return access_call(self._api_url, self._client_id, self._client_secret, code=code)

    def renewal(self, secrets: Mapping[str, str]) -> Request | None:
        """Only apps with token rotation have a token for it."""
        if not secrets.get("refresh_token"):
            return None
        form = {"grant_type": "refresh_token", "refresh_token": secrets["refresh_token"]}
        return access_call(self._api_url, self._client_id, self._client_secret, **form)

    def granted(self, status: int, body: bytes) -> Grant:
        """The workspace and its token."""
        return read_access(status, body)

    def _messages(self, reply: OutboundReply) -> list[dict[str, object]]:
        texts = render(reply.text, reply.sources, MARKUP)
        return [
            {
                "text": text,
                "mrkdwn": True,
                "link_names": False,
                "unfurl_links": False,
                "unfurl_media": False,
                "metadata": {
                    "event_type": METADATA,
                    "event_payload": {"idempotency_key": reply.idempotency_key, "part": part, "parts": len(texts)},
                },
            }
            for part, text in enumerate(texts, start=1)
        ]

    def _beginning(self, reply: OutboundReply) -> dict[str, object] | None:
        """One message; its mark names part 0 of no parts, so that no part of the whole is taken for it."""
        texts = render(f"{reply.text} …", (), MARKUP)
        if len(texts) != 1:
            return None
        message = self._messages(replace(reply, text=f"{reply.text} …", sources=()))[0]
        marks = {"idempotency_key": reply.idempotency_key, "part": 0, "parts": 0}
        return message | {"metadata": {"event_type": METADATA, "event_payload": marks}}

    def _post(self, reply: OutboundReply, message: Mapping[str, object]) -> Request:
        place = {key: reply.reply_to[key] for key in ("channel", "thread_ts") if key in reply.reply_to}
        return Request("POST", f"{self._api_url}/chat.postMessage", self._headers(reply.account), {**place, **message})

    def _change(self, method: str, reply: OutboundReply, message: Mapping[str, object]) -> Request:
        channel, _, ts = reply.begun.partition(":")
        fields = {"channel": channel, "ts": ts, **message}
        return Request("POST", f"{self._api_url}/{method}", self._headers(reply.account), fields, repeatable=True)

    def _token(self, account: str) -> str:
        return self._installed.get(account, {}).get("bot_token") or self._bot_token

    def _headers(self, account: str) -> Mapping[str, str]:
        token = self._token(account)
        if not token:
            # Put off, not given up: another gateway may know of an installation that this one has not seen yet.
            raise DeliveryFailed(
                f"The Slack workspace {account} has not installed the app, or has taken it away. "
                "Send its admin an install link (`brandvoice channel install-link`).",
                retryable=True,
                code="not_installed",
            )
        return {"authorization": f"Bearer {token}", **JSON}

    def _own_address(self, url: str) -> str:
        """An address that Slack gave us for an answer; a signed body is no reason to call just any."""
        if url.startswith((HOOKS, f"{self._api_url}/")):
            return url
        raise DeliveryFailed("The address for the answer is not Slack's.", retryable=False, code="bad_response_url")

    def _signature(self, stamp: str, body: bytes, secret: str) -> str:
        return f"{VERSION}={sign_hex(secret, f'{VERSION}:{stamp}:'.encode(), body)}"
