"""One Teams bot: its token checked, activities, replies.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-send-and-receive-messages and
.../bot-framework-rest-connector-authentication.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from channels.answers import answer_object, retry_after_s
from channels.base import Answer, Capabilities, Inbound, OutboundReply, Request
from channels.credentials import require_api_url, require_secret
from channels.errors import ChannelMisconfigured, DeliveryFailed, PayloadInvalid, SignatureInvalid
from channels.platform import AppSetup
from channels.rendering import render
from channels.teams.addresses import is_trusted
from channels.teams.app_token import LOGIN_URL, AppToken
from channels.teams.bearer import ALGORITHM, read_bearer
from channels.teams.payloads import CHANNEL_ID, parse_body, service_url
from channels.teams.rendering import MARKUP, MAX_TEXT_CHARS, with_line_ends
from channels.teams.signing_keys import ISSUER, SigningKey, SigningKeys

RETRYABLE = frozenset({408, 412, 429})
"""Besides all that is no 4xx. 412 comes of several calls to one conversation at a time, and passes.

Source: learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-messages, "Status codes".
"""

CURES = {
    "BotDisabledByAdmin": "An admin of the organisation has blocked the app.",
    "BotNotInConversationRoster": "Add the app to this chat or team.",
    "BotNotRegistered": "Register the bot, or compare app_id with its registration.",
    "ConversationBlockedByUser": "The person has blocked the bot.",
    "ConversationNotFound": "The conversation is gone.",
    "MessageSizeTooBig": "This should have been split; report it.",
}

SIMULATED_KEY = "simulated"
"""Id of the key that the simulator signs with."""

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TENANT = re.compile(r"[0-9A-Za-z.-]+")
_CODE = re.compile(r"[A-Za-z]{1,64}")


class TeamsChannel:
    """Holds the app's settings and secrets, Microsoft's keys and the token to send with; no connection.

    Where `private_key` is set, which the simulator does, the channel plays both sides: it trusts that key's public half
    and no other, signs with it, and gets its token below `api_url`, where the simulator answers for Microsoft.
    """

    name = "teams"
    # A message is posted once and not looked up again, so a send that broke off is not repeated. How long the sign of
    # writing stays is not documented; the Bot Framework's own ShowTypingMiddleware gives it every 2 s. 15 s is when the
    # Connector gives up.
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS,
        ack_deadline_s=15.0,
        idempotency="none",
        edits=True,
        typing_lasts_s=3.0,
        buttons=6,
    )

    def __init__(self, setup: AppSetup) -> None:
        """Check what the app needs.

        Args:
            setup: Secrets: `app_password`; `private_key` in the simulator only. Settings: `app_id`, and `app_tenant`
                for a bot of a single organisation. Address: such as https://smba.trafficmanager.net/teams; activities
                say themselves where answers go.

        Raises:
            ChannelMisconfigured: A secret is blank, an id or the address of no use.
        """
        password = require_secret(setup.secrets, "app_password")
        self._api_url = require_api_url(setup.api_url)
        self._private = _private_key(setup.secrets)
        self._app_id = _setting(
            setup.settings, "app_id", _GUID, "The bot's Microsoft App ID, such as in the Azure portal."
        )
        tenant = _setting(
            {"app_tenant": "botframework.com", **setup.settings}, "app_tenant", _TENANT, "A directory's id."
        )
        self._clock = setup.clock
        self._keys = SigningKeys(setup.clock)
        login_url = LOGIN_URL if self._private is None else self._api_url
        self._token = AppToken(
            login_url=login_url, tenant=tenant, app_id=self._app_id, password=password, clock=setup.clock
        )

    def needs(self) -> Sequence[Request]:
        """Microsoft's signing keys, and a token to send with."""
        return (*(self._keys.needs() if self._private is None else ()), *self._token.needs())

    def learn(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep what one of these calls brought."""
        if request.url == self._token.url:
            self._token.learn(status, headers, body)
        else:
            self._keys.learn(request.url, status, body)

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """Microsoft makes no check of the address, so a GET is never Microsoft's."""
        del query
        raise SignatureInvalid("Microsoft makes no check of our address; a GET proves nothing.")

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """The token first; then that it was made for this activity's serviceUrl, and that this is a place to trust.

        Without the last two, whoever has a token for us could choose where we post ours. The token holds nothing else
        of the body: a replay is found by the inbox, whose message ids are unique.

        Raises:
            NotReady: Microsoft's keys must be fetched first.
        """
        try:
            url, channel = service_url(body)
        except PayloadInvalid as error:
            raise SignatureInvalid("The body is no activity, so no token can be for it.") from error
        claims = read_bearer(
            headers.get("authorization", ""),
            find=self._find,
            audiences=[self._app_id, f"api://{self._app_id}", f"api://botid-{self._app_id}"],
            channel=channel,
            now_s=self._clock(),
        )
        claimed = claims.get("serviceurl")
        if not url or not isinstance(claimed, str) or claimed.rstrip("/") != url.rstrip("/"):
            raise SignatureInvalid("The token was made for another serviceUrl than the activity's.")
        if not is_trusted(url, api_url=self._api_url):
            raise SignatureInvalid(
                "The activity's serviceUrl is not Microsoft's, so no answer may go there. "
                "If it is, add its host to channels/teams/addresses.py."
            )

    def parse(self, body: bytes) -> Inbound:
        """Messages to the bot; see `channels.teams.payloads`."""
        return parse_body(body)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One activity a part, all in answer to the same one.

        Raises:
            DeliveryFailed: There is no token to send with yet, or the address is not to be trusted any more.
        """
        texts = render(reply.text, reply.sources, MARKUP)
        return [self._call(reply.reply_to, text=with_line_ends(text)) for text in texts]

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """An activity of its own, which shows in chats and is taken in channels."""
        del account
        if self._token.header() is None or "conversation" not in reply_to:
            return ()
        return (self._call(reply_to),)

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The id of the posted activity."""
        answer = answer_object(body) or {}
        if 200 <= status < 300:
            return str(answer.get("id", ""))
        error = answer.get("error")
        found = error.get("code") if isinstance(error, dict) else None
        code = found if isinstance(found, str) and _CODE.fullmatch(found) else ""
        if status == 401:
            # It may have been withdrawn; the next attempt comes with a new one.
            self._token.forget()
        retryable = status in RETRYABLE or status == 401 or not 400 <= status < 500
        cure = CURES.get(code, "It is tried again later." if retryable else "See the status codes of Teams' bots.")
        raise DeliveryFailed(
            f"Teams did not take the reply: {code or f'HTTP {status}'}. {cure}",
            retryable=retryable,
            retry_after_s=retry_after_s(headers, now_s=self._clock()),
            code=code or str(status),
        )

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The header of a request that Microsoft makes now, for this body's serviceUrl.

        Raises:
            ChannelMisconfigured: Only the simulator's channel has a key to sign with.
        """
        if self._private is None:
            raise ChannelMisconfigured("Only Microsoft can sign for this app: private_key is set by the simulator.")
        try:
            url, _ = service_url(body)
        except PayloadInvalid:
            url = ""
        now = int(self._clock())
        claims = {"iss": ISSUER, "aud": self._app_id, "nbf": now, "exp": now + 3600, "serviceurl": url}
        token = jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": SIMULATED_KEY})
        return {"content-type": "application/json; charset=utf-8", "authorization": f"Bearer {token}"}

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A message in a personal chat with the bot; one sender keeps one conversation."""
        chat = hashlib.sha256(f"{account}:{sender}".encode(errors="backslashreplace")).hexdigest()
        sent = datetime.fromtimestamp(int(self._clock()), tz=UTC).isoformat().replace("+00:00", "Z")
        return json.dumps(
            {
                "type": "message",
                "id": message_id,
                "timestamp": sent,
                "channelId": CHANNEL_ID,
                "serviceUrl": self._api_url,
                "from": {"id": sender, "name": "Simulated"},
                "conversation": {"conversationType": "personal", "tenantId": account, "id": f"a:{chat}"},
                "recipient": {"id": f"28:{self._app_id}", "name": "Bot"},
                "text": text,
                "textFormat": "plain",
                "locale": "en-US",
                "channelData": {"tenant": {"id": account}},
            }
        ).encode()

    def _find(self, key_id: str) -> SigningKey:
        if self._private is None:
            return self._keys.find(key_id)
        if key_id != SIMULATED_KEY:
            raise SignatureInvalid("The request is signed with a key that is not the simulator's.")
        return SigningKey(self._private.public_key())

    def _call(self, reply_to: Mapping[str, str], *, text: str | None = None) -> Request:
        """Post a message, or without a text the sign that one is being written."""
        token = self._token.header()
        if token is None:
            raise DeliveryFailed(
                "There is no token to send with yet: Microsoft's sign-in gave none. See the log for why.",
                retryable=True,
            )
        url = reply_to.get("service_url", "")
        if not is_trusted(url, api_url=self._api_url):
            raise DeliveryFailed("The reply would go to an address that is not Microsoft's.", retryable=False)
        conversation, activity = reply_to["conversation"], reply_to["activity"]
        place = f"{url.rstrip('/')}/v3/conversations/{quote(conversation, safe='')}/activities"
        fields: dict[str, object] = {
            "type": "typing" if text is None else "message",
            "from": {"id": reply_to["bot"]},
            "recipient": {"id": reply_to["person"]},
            "conversation": {"id": conversation},
            "replyToId": activity,
            **({} if text is None else {"text": text, "textFormat": "markdown"}),
        }
        headers = {"authorization": token, "content-type": "application/json; charset=utf-8"}
        return Request("POST", place if text is None else f"{place}/{quote(activity, safe='')}", headers, fields)


def _setting(settings: Mapping[str, str], name: str, form: re.Pattern[str], what: str) -> str:
    value = settings.get(name, "")
    if not form.fullmatch(value):
        raise ChannelMisconfigured(f"{name} {value!r} is of no use. {what}")
    return value


def _private_key(secrets: Mapping[str, str]) -> RSAPrivateKey | None:
    """The simulator's key; its own check of the key takes 0.1 s and guards against keys of others only."""
    if "private_key" not in secrets:
        return None
    try:
        pem = base64.b64decode(require_secret(secrets, "private_key"), validate=True)
        key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise ChannelMisconfigured("The secret 'private_key' is no RSA key. Only the simulator sets it.") from error
    if not isinstance(key, RSAPrivateKey):
        raise ChannelMisconfigured("The secret 'private_key' is no RSA key. Only the simulator sets it.")
    return key
