"""One Telegram bot: secret word, updates, replies.

Source: core.telegram.org/bots/api#setwebhook, #sendmessage and #sendchataction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from channels.answers import answer_object
from channels.base import Answer, Capabilities, Inbound, OutboundReply, Rate, Request
from channels.credentials import require_api_url, require_secret, require_secrets
from channels.errors import ChannelMisconfigured, SignatureInvalid
from channels.made_up import number, person
from channels.platform import AppSetup
from channels.rendering import render
from channels.signatures import one_of
from channels.telegram.outcomes import failure
from channels.telegram.payloads import Bot, parse_body
from channels.telegram.rendering import MARKUP, MAX_TEXT_CHARS

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 (the header's name)

_BOT_TOKEN = re.compile("([0-9]{1,19}):[A-Za-z0-9_-]{1,128}")
_SECRET_TOKEN = re.compile("[A-Za-z0-9_-]{1,256}")
_USERNAME = re.compile("[A-Za-z0-9_]{4,32}")

_JSON = {"content-type": "application/json"}


class TelegramChannel:
    """Holds the bot's token and name and the secret word; no connection, no state."""

    name = "telegram"
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS,
        # Our own choice: Telegram names no deadline.
        ack_deadline_s=5.0,
        idempotency="none",
        edits=True,
        typing_lasts_s=5.0,
        buttons=100,
        # Source: core.telegram.org/bots/faq, "My bot is hitting limits": longer bursts in one chat get a 429.
        rates=(Rate(30.0, burst=30), Rate(1.0, burst=3, per=("chat_id",))),
    )

    def __init__(self, setup: AppSetup) -> None:
        """Check what the bot needs.

        Args:
            setup: Secrets: `bot_token` and `secret_token`. Settings: `username`, with or without @; without one, the
                bot cannot be mentioned in groups. Address: such as https://api.telegram.org. Its name here is the
                account of all its messages.

        Raises:
            ChannelMisconfigured: A secret is blank or of the wrong form, or the name or the address of no use.
        """
        self._bot_token = require_secret(setup.secrets, "bot_token")
        # It stands in every address that is called, so nothing else may.
        token = _BOT_TOKEN.fullmatch(self._bot_token)
        if token is None:
            raise ChannelMisconfigured(
                "The secret 'bot_token' is not of the form 123456:ABC. Store the token that @BotFather shows."
            )
        self._secret_tokens = require_secrets(setup.secrets, "secret_token")
        if not all(_SECRET_TOKEN.fullmatch(one) for one in self._secret_tokens):
            raise ChannelMisconfigured(
                "The secret 'secret_token' must be 1 to 256 of A-Z, a-z, 0-9, _ and -, or setWebhook refuses it."
            )
        username = setup.settings.get("username", "").removeprefix("@")
        if username and not _USERNAME.fullmatch(username):
            raise ChannelMisconfigured("username is no bot's name. Write it as @BotFather shows it, or leave it out.")
        self._bot = Bot(setup.app, int(token[1]), username)
        self._api_url = require_api_url(setup.api_url)
        self._clock = setup.clock

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """Telegram makes no check of the address."""
        del query
        raise SignatureInvalid("Telegram does not check its address with a GET; a GET proves nothing.")

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """The word that setWebhook was given; it signs neither the body nor a time.

        Whoever knows it can say anything, so it travels over TLS only. A replay is found by the inbox, whose message
        ids are unique.
        """
        del body
        if not one_of(self._secret_tokens, headers.get(SECRET_HEADER, "")):
            raise SignatureInvalid(
                "The secret token is missing or not ours. "
                "If the request is Telegram's, call setWebhook again with this app's secret_token."
            )

    def parse(self, body: bytes) -> Inbound:
        """Private messages, and in groups those that are for us; see `channels.telegram.payloads`."""
        return parse_body(body, self._bot)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One sendMessage a part; the first quotes the message that it answers.

        Telegram takes no key that would keep a repeated message from arriving twice, and tells nothing of what it has.
        """
        requests = []
        for part, text in enumerate(render(reply.text, reply.sources, MARKUP), start=1):
            message: dict[str, object] = {
                **_place(reply.reply_to),
                "text": text,
                "parse_mode": "HTML",
                "link_preview_options": {"is_disabled": True},
            }
            if part == 1 and "message_id" in reply.reply_to:
                # A person may have deleted the question meanwhile.
                quoted = {"message_id": int(reply.reply_to["message_id"]), "allow_sending_without_reply": True}
                message["reply_parameters"] = quoted
            requests.append(self._call("sendMessage", message))
        return requests

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """It shows for at most 5 s."""
        del account
        if "chat_id" not in reply_to:
            return ()
        return (self._call("sendChatAction", {**_place(reply_to), "action": "typing"}),)

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """`<chat>:<message>` of the sent message, the form of our message ids."""
        answer = answer_object(body) or {}
        if status == 200 and answer.get("ok") is True:
            sent = answer.get("result")
            chat = sent.get("chat") if isinstance(sent, dict) else None
            return f"{chat.get('id', '')}:{sent.get('message_id', '')}" if sent and isinstance(chat, dict) else ""
        raise failure(status, headers, body, now_s=self._clock())

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The header that Telegram sends."""
        del body
        return {**_JSON, SECRET_HEADER: self._secret_tokens[0]}

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A private message of one person, in Telegram's spelling: non-ASCII escaped.

        Telegram's ids are numbers, so `message_id` is turned into one, always the same: read the id that the inbox will
        know from `parse`.

        Args:
            text: What the person writes.
            account: Not in the body: the address says which bot is written to.
            message_id: Any text.
            sender: The person's id in digits; one is derived from any other text.
        """
        del account
        user = int(person(sender, bits=52))
        names = {"first_name": "Simulated", "username": "simulated"}
        message = {
            "message_id": number(message_id, bits=31),
            "from": {"id": user, "is_bot": False, **names, "language_code": "en"},
            "chat": {"id": user, **names, "type": "private"},
            "date": int(self._clock()),
            "text": text,
        }
        return json.dumps({"update_id": number(f"{sender}:{message_id}", bits=31), "message": message}).encode()

    def _call(self, method: str, fields: Mapping[str, object]) -> Request:
        return Request("POST", f"{self._api_url}/bot{self._bot_token}/{method}", _JSON, fields)


def _place(reply_to: Mapping[str, str]) -> dict[str, object]:
    """Chat and topic as numbers."""
    return {key: int(reply_to[key]) for key in ("chat_id", "message_thread_id") if key in reply_to}
