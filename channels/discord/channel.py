"""One Discord application: signature, slash command, replies.

Source: discord.com/developers/docs/interactions/overview and .../interactions/receiving-and-responding.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from channels.answers import answer_object
from channels.base import FURTHER, Answer, Capabilities, Inbound, OutboundReply, Request
from channels.credentials import require_api_url, require_secret
from channels.discord.outcomes import EXPIRED, failure
from channels.discord.payloads import QUESTION, SLASH_COMMAND, STRING_OPTION, Kind, parse_body
from channels.discord.rendering import MARKUP, MAX_TEXT_CHARS
from channels.errors import ChannelMisconfigured, DeliveryFailed, SignatureInvalid
from channels.made_up import number, person
from channels.platform import AppSetup
from channels.rendering import render
from channels.signatures import check_age, read_stamp

SIGNATURE_HEADER = "x-signature-ed25519"
STAMP_HEADER = "x-signature-timestamp"

TOKEN_LIFE_S = 15 * 60.0
"""How long a command may be answered."""

EPOCH_MS = 1_420_070_400_000
"""Discord's ids count milliseconds from 2015 on in their upper 42 bits. Source: .../reference#snowflakes."""

SUPPRESS_EMBEDS = 1 << 2
"""No preview of linked pages. Source: .../resources/message#message-object-message-flags."""

_HEADERS = {
    "content-type": "application/json",
    # Discord's wall turns callers away that do not say what they are. Source: .../reference#user-agent.
    "user-agent": "DiscordBot (brandvoice, 0.1)",
}

_KEY = re.compile("[0-9a-fA-F]{64}")
_SIGNATURE = re.compile("[0-9a-f]{128}")


class DiscordChannel:
    """Holds the application's public key; no connection, no state. The token of each command answers it."""

    name = "discord"
    capabilities = Capabilities(
        max_text_chars=MAX_TEXT_CHARS,
        ack_deadline_s=3.0,
        idempotency="edit",
        edits=True,
        answers_each=True,  # else "is thinking" stays on a command for a quarter of an hour
        buttons=25,
        window_s=TOKEN_LIFE_S,
    )

    def __init__(self, setup: AppSetup) -> None:
        """Check what the application needs.

        Args:
            setup: Secrets: `private_key` for the simulator, an Ed25519 seed in hex; Discord's own is known to Discord
                only. Settings: `public_key` in hex; not read where there is a private one, of which it is the other
                half. Address: such as https://discord.com/api/v10.

        Raises:
            ChannelMisconfigured: A key or the address is of no use.
        """
        self._private_key: Ed25519PrivateKey | None = None
        if "private_key" in setup.secrets:
            seed = require_secret(setup.secrets, "private_key")
            if not _KEY.fullmatch(seed):
                raise ChannelMisconfigured("The secret 'private_key' is not 64 hex digits. Only the simulator sets it.")
            self._private_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
            self._public_key = self._private_key.public_key()
        else:
            public = setup.settings.get("public_key", "")
            if not _KEY.fullmatch(public):
                raise ChannelMisconfigured(
                    "public_key is not 64 hex digits. Copy it from the application's General Information page."
                )
            self._public_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        self._api_url = require_api_url(setup.api_url)
        self._clock = setup.clock

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """Discord checks the address by a signed POST, so a GET is never Discord's."""
        del query
        raise SignatureInvalid("Discord checks its address with a signed POST; a GET proves nothing.")

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """The signature first, then the age: stale means genuine, so it points at a replay or at our clock.

        Discord itself sends wrong signatures at times, and takes an address away that accepts them.
        """
        stamp, signature = headers.get(STAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
        stamped = read_stamp(stamp, "Discord")
        if not _SIGNATURE.fullmatch(signature):
            raise SignatureInvalid("The request has no signature of 128 hex digits. It is not from Discord.")
        try:
            self._public_key.verify(bytes.fromhex(signature), stamp.encode() + body)
        except InvalidSignature:
            raise SignatureInvalid(
                "The signature is not made with the key that belongs to public_key. "
                "If the request is no test of Discord's, compare it with the application's General Information page."
            ) from None
        check_age(stamped, now_s=self._clock())

    def parse(self, body: bytes) -> Inbound:
        """The slash command, and Discord's checks; see `channels.discord.payloads`."""
        return parse_body(body)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """The first part replaces the line that says we are thinking; the others follow it.

        Replacing it twice shows it once; a part that follows would show twice.
        """
        self._check_age(reply.reply_to)
        token = quote(reply.reply_to["token"], safe="")
        url = f"{self._api_url}/webhooks/{quote(reply.account, safe='')}/{token}"
        requests = []
        for part, text in enumerate(render(reply.text, reply.sources, MARKUP), start=1):
            # Neither people nor roles nor everyone can be called, whatever stands in the text.
            message = {"content": text, "allowed_mentions": {"parse": []}, "flags": SUPPRESS_EMBEDS}
            if part == 1 and FURTHER not in reply.reply_to:
                requests.append(Request("PATCH", f"{url}/messages/@original", _HEADERS, message, repeatable=True))
            else:
                requests.append(Request("POST", url, _HEADERS, message))
        return requests

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """Nothing: that we are thinking is shown since the command was taken."""
        del account, reply_to
        return ()

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The id of the message."""
        answer = answer_object(body)
        if status == 200 and answer is not None:
            return str(answer.get("id", ""))
        raise failure(status, headers, body, now_s=self._clock())

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The headers that Discord sends.

        Raises:
            ChannelMisconfigured: There is no private key, as there is none outside of the simulator.
        """
        if self._private_key is None:
            raise ChannelMisconfigured("Only Discord can sign for this application. Start the gateway's simulator.")
        stamp = str(int(self._clock()))
        signature = self._private_key.sign(stamp.encode() + body).hex()
        return {"content-type": "application/json", STAMP_HEADER: stamp, SIGNATURE_HEADER: signature}

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """The command /ask of one person on a server.

        Discord's ids are numbers that hold the time, so the clock and `message_id` are turned into one: read the id
        that the inbox will know from `parse`.

        Args:
            text: What the person asks.
            account: The application's id, in digits.
            message_id: Any text.
            sender: The person's id in digits; one is derived from any other text.
        """
        since_ms = max(int(self._clock() * 1000) - EPOCH_MS, 0)
        interaction = str(since_ms << 22 | number(f"{sender}:{message_id}", bits=22))
        token = base64.urlsafe_b64encode(f"interaction:{interaction}:{number(message_id, bits=62)}".encode()).decode()
        user = {"id": person(sender, bits=63), "username": "simulated", "discriminator": "0", "avatar": None}
        return json.dumps(
            {
                "app_permissions": "2147483647",
                "application_id": account,
                "channel_id": str(number(account, bits=62)),
                "context": 0,
                "data": {
                    "id": str(number(f"ask:{account}", bits=62)),
                    "name": "ask",
                    "options": [{"name": QUESTION, "type": STRING_OPTION, "value": text}],
                    "type": SLASH_COMMAND,
                },
                "entitlements": [],
                "guild_id": str(number(f"server:{account}", bits=62)),
                "guild_locale": "en-US",
                "id": interaction,
                "locale": "en-US",
                "member": {"user": user, "roles": [], "permissions": "2147483647", "nick": None, "pending": False},
                "token": token.rstrip("="),
                "type": Kind.COMMAND,
                "version": 1,
            }
        ).encode()

    def _check_age(self, reply_to: Mapping[str, str]) -> None:
        issued_s = ((int(reply_to["interaction_id"]) >> 22) + EPOCH_MS) / 1000
        age_s = self._clock() - issued_s
        if age_s > TOKEN_LIFE_S:
            raise DeliveryFailed(
                f"The command was given {age_s / 60:.0f} minutes ago, and Discord takes answers for "
                f"{TOKEN_LIFE_S / 60:.0f}. The person must ask again.",
                retryable=False,
                code=str(EXPIRED),
            )
