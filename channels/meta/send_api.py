"""The channel of Messenger and of Instagram: both post `recipient` and `message` to one Send API.

Source: developers.facebook.com/docs/messenger-platform/reference/send-api and
developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from channels.base import Capabilities, Inbound, OutboundReply, Request, part_mark
from channels.meta.app import MetaApp, meta_json
from channels.meta.graph import FINAL, RETRYABLE, Codes, accepted
from channels.meta.messaging import parse_messaging
from channels.rendering import Markup, render
from channels.windows import is_closed, too_late

WINDOW_S = 24 * 3600.0
"""After a person's last message; the tag for seven days is for people who answer, never for a bot."""

PERSONS_WINDOW_S = 7 * 24 * 3600.0
"""In which a person of the brand may still answer, tagged HUMAN_AGENT. Source: Messenger Platform, "Human Agent"."""

WINDOW_CLOSED = 2018278
"""Subcode of a message that comes too late."""

_WINDOW_CLOSED = "More than 24 hours since the person's last message: only a person may answer now, with a tag."

TYPING_LASTS_S = 20.0
"""Source: Messenger Platform, "Sender actions": then the dots go by themselves. Instagram names no time."""

ACK_DEADLINE_S = 20.0
"""Source: developers.facebook.com/docs/messenger-platform/faq; an app that is late too often is unsubscribed."""


def send_codes(product: str) -> Codes:
    """What the Send API's error codes mean.

    Source: developers.facebook.com/docs/messenger-platform/error-codes (18 March 2026).
    """
    return Codes(
        product=product,
        table="the error codes of the Messenger Platform",
        # 32, 613, 80002 and 80006 are rates of the page, the call, the Instagram account and the Messenger account.
        retryable=RETRYABLE | {32, 613, 1200, 80002, 80006},
        final={
            **FINAL,
            10: "The app lacks the permission to send messages, or the conversation is not open for them.",
            100: "A parameter is wrong, often the id in the brand's file. Compare it with the Meta app.",
            551: "The person cannot be reached now: blocked, gone, or messages switched off.",
        },
        final_subcodes={
            2018001: "No person with this id has written to this page.",
            2018065: _WINDOW_CLOSED,
            WINDOW_CLOSED: _WINDOW_CLOSED,
            2534014: "The person cannot be found: gone, or blocked.",
            2534022: _WINDOW_CLOSED,
        },
    )


class SendApiChannel(MetaApp):
    """What differs is said by the class of each platform."""

    name: str
    capabilities: Capabilities
    product: ClassVar[str]
    """`object` of its webhooks."""
    markup: ClassVar[Markup]
    codes: ClassVar[Codes]

    def parse(self, body: bytes) -> Inbound:
        """Every message of a batch; see `channels.meta.messaging`."""
        return parse_messaging(body, channel=self.name, product=self.product)

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """One message a part; after 24 hours only a person's, with a tag that says so.

        Raises:
            DeliveryFailed: It is too late.
        """
        tag: Mapping[str, object] = {}
        if is_closed(reply, WINDOW_S):
            if not reply.by_person or is_closed(reply, PERSONS_WINDOW_S):
                cure = "A person may answer for seven days." if not reply.by_person else "They must write again."
                raise too_late(self.codes.product, reply, cure, code=str(WINDOW_CLOSED))
            tag = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
        texts = render(reply.text, reply.sources, self.markup)
        return [
            self._call(
                reply.account,
                {
                    "recipient": {"id": reply.reply_to["recipient"]},
                    **self._content(text, part_mark(reply.idempotency_key, part)),
                    **tag,
                },
            )
            for part, text in enumerate(texts, start=1)
        ]

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """Seen, and the dots until the reply comes. Source: Send API, "Sender actions"."""
        if "recipient" not in reply_to:
            return ()
        recipient = {"id": reply_to["recipient"]}
        return tuple(
            self._call(account, {"recipient": recipient, "sender_action": action})
            for action in ("mark_seen", "typing_on")
        )

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The mid of the sent message."""
        return str(accepted(status, headers, body, self.codes, now_s=self._clock()).get("message_id", ""))

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A text message of one person, in Meta's spelling.

        Args:
            text: What the person writes.
            account: The page or Instagram account that receives it.
            message_id: Stands in the body as it is.
            sender: The person's id for this account.
        """
        now_ms = int(self._clock() * 1000)
        event = {
            "sender": {"id": sender},
            "recipient": {"id": account},
            "timestamp": now_ms,
            "message": {"mid": message_id, "text": text},
        }
        return meta_json({"object": self.product, "entry": [{"id": account, "time": now_ms, "messaging": [event]}]})

    def _content(self, text: str, mark: str) -> Mapping[str, object]:
        """What a call carries beside the recipient.

        Args:
            text: Of the message.
            mark: Tells this part of this reply from all others, where the platform gives it back.
        """
        raise NotImplementedError
