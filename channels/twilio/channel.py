"""One Twilio account: signature, messages by SMS and WhatsApp, replies.

Source: twilio.com/docs/usage/security, "Validating requests", and twilio.com/docs/messaging/api/message-resource.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit, urlunsplit

from channels.answers import answer_object
from channels.base import Answer, Capabilities, Inbound, OutboundReply, Request
from channels.credentials import require_api_url, require_secrets
from channels.errors import ChannelMisconfigured, PayloadInvalid, SignatureInvalid
from channels.payloads import form_pairs
from channels.platform import AppSetup
from channels.signatures import one_of, sign_base64
from channels.twilio.outcomes import error_code, failure
from channels.twilio.payloads import parse_body
from channels.twilio.rendering import MAX_TEXT_CHARS, WHATSAPP_PREFIX, is_whatsapp, write

API_VERSION = "2010-04-01"

FORM = "application/x-www-form-urlencoded"

DEFAULT_PORTS = {"http": 80, "https": 443}

_ACCOUNT_SID = re.compile("AC[0-9a-fA-F]{32}")


class TwilioChannel:
    """Holds the account's secret and addresses; no connection, no state."""

    name = "twilio"
    # The window of 24 hours is WhatsApp's alone; error 63016 tells where it is over.
    capabilities = Capabilities(max_text_chars=MAX_TEXT_CHARS, ack_deadline_s=15.0)

    def __init__(self, setup: AppSetup) -> None:
        """Check what the app needs.

        Args:
            setup: Secrets: `auth_token`. Settings: `account_sid`, and `webhook_url` as entered at Twilio. Address:
                such as https://api.twilio.com.

        Raises:
            ChannelMisconfigured: The secret is blank, or a setting or the address of no use.
        """
        self._auth_tokens = require_secrets(setup.secrets, "auth_token")
        self._api_url = require_api_url(setup.api_url)
        self._account_sid = setup.settings.get("account_sid", "")
        if not _ACCOUNT_SID.fullmatch(self._account_sid):
            raise ChannelMisconfigured(
                f"account_sid {self._account_sid!r} is not one of Twilio's. Copy it from the Console: AC and 32 more."
            )
        self._webhook_urls = _spellings(setup.settings.get("webhook_url", ""))
        self._clock = setup.clock

    def handshake(self, query: Mapping[str, str]) -> Answer:
        """Twilio does not check addresses."""
        del query
        raise SignatureInvalid("Twilio makes no such check. Enter the address with the method POST.")

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """HMAC-SHA1 over our address as Twilio knows it and the form's values, in base64.

        The address is the configured one: what a proxy makes of it, and what a stranger puts into Host, say nothing.
        Twilio signs the values and not their spelling in the body, and no time: a replay is found by the inbox, whose
        message ids are unique.
        """
        try:
            values = _signed_values(body)
        except PayloadInvalid as error:
            raise SignatureInvalid("The body is not a form, so it is not Twilio's.") from error
        signatures = (_signature(token, url, values) for token in self._auth_tokens for url in self._webhook_urls)
        if not one_of(signatures, headers.get("x-twilio-signature", "")):
            raise SignatureInvalid(
                "The signature is missing or not made with this account's auth token for this address. If the request "
                "is Twilio's, compare auth_token with the Console, and webhook_url with the address entered there."
            )

    def parse(self, body: bytes) -> Inbound:
        """The message of a form; see `channels.twilio.payloads`."""
        return parse_body(body)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One message a part, from the number that was written to; Twilio tells us what becomes of each."""
        url = f"{self._api_url}/{API_VERSION}/Accounts/{self._account_sid}/Messages.json"
        user = base64.b64encode(f"{self._account_sid}:{self._auth_tokens[0]}".encode()).decode()
        headers = {"authorization": f"Basic {user}", "content-type": FORM}
        addresses = {"To": reply.reply_to["to"], "From": reply.account, "StatusCallback": self._webhook_urls[0]}
        texts = write(reply.text, reply.sources, account=reply.account)
        return [Request("POST", url, headers, form={**addresses, "Body": text}) for text in texts]

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """An SMS has no such sign, and Twilio's for WhatsApp is a trial at another address."""
        del account, reply_to
        return ()

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The SID of the accepted message; delivery itself is told later by a status."""
        if status == 201 and error_code(body) is None:
            return str((answer_object(body) or {}).get("sid", ""))
        raise failure(status, headers, body, now_s=self._clock())

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The header that Twilio sends."""
        signature = _signature(self._auth_tokens[0], self._webhook_urls[0], _signed_values(body))
        return {"content-type": f"{FORM}; charset=UTF-8", "x-twilio-signature": signature}

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A text message of one person to one of the account's numbers.

        Args:
            text: What the person writes.
            account: The number that receives it; for WhatsApp with `whatsapp:` before it.
            message_id: Twilio's ids are in hex, so it is turned into one, always the same.
            sender: A telephone number; written as an address of WhatsApp where the account is one.
        """
        sid = f"SM{hashlib.sha256(message_id.encode()).hexdigest()[:32]}"
        on_whatsapp = is_whatsapp(account)
        if on_whatsapp and not is_whatsapp(sender):
            sender = f"{WHATSAPP_PREFIX}{sender}"
        number = sender.removeprefix(WHATSAPP_PREFIX).removeprefix("+")
        whatsapp = {"ProfileName": "Simulated", "WaId": number, "MessageType": "text"} if on_whatsapp else {}
        fields = {
            "SmsMessageSid": sid,
            "NumMedia": "0",
            **whatsapp,
            "SmsSid": sid,
            "SmsStatus": "received",
            "Body": text,
            "To": account,
            "NumSegments": "1",
            "MessageSid": sid,
            "AccountSid": self._account_sid,
            "From": sender,
            "ApiVersion": API_VERSION,
        }
        return urlencode(fields).encode()


def _signature(token: str, url: str, values: str) -> str:
    return sign_base64(token, url.encode(), values.encode(), algorithm="sha1")


def _spellings(url: str) -> tuple[str, ...]:
    """Our address as Twilio may write it when it signs: as entered, and with the usual port or without the entered one.

    Source: the validators of Twilio's own SDKs, which take both.

    Raises:
        ChannelMisconfigured: Not an absolute http(s) address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in DEFAULT_PORTS:
        raise ChannelMisconfigured(
            f"webhook_url {url!r} is no address that Twilio could call. Write the one that is entered at Twilio."
        )
    # What stands behind # tells Twilio how to call and is not sent along.
    entered = parts._replace(fragment="")
    netloc = f"{parts.netloc}:{DEFAULT_PORTS[parts.scheme]}" if port is None else parts.netloc.removesuffix(f":{port}")
    return urlunsplit(entered), urlunsplit(entered._replace(netloc=netloc))


def _signed_values(body: bytes) -> str:
    """Each name with its value, sorted, a repeated pair once.

    Raises:
        PayloadInvalid: Not a form.
    """
    return "".join(name + value for name, value in sorted(set(form_pairs(body))))
