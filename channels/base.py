"""What every platform's channel offers: bytes and headers in, typed messages out; no web framework here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message of one person, as a platform delivered it."""

    channel: str
    account: str
    """The identity that received it on our side (Slack team id, WhatsApp phone number id): it selects the brand."""
    message_id: str
    """The platform's own id; (channel, account, message_id) is unique and makes a repeat harmless."""
    conversation_key: str
    """What belongs together on the platform: a thread, a direct message, a phone number."""
    sender: str
    text: str
    """Plain text with the platform's escapes undone; empty for what we cannot read (a picture)."""
    reply_to: Mapping[str, str] = field(default_factory=dict)
    """What `send` needs to answer: plain strings, stored as JSON (Slack: channel, thread_ts; WhatsApp: to)."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """A platform's check of our URL, to be answered at once."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Inbound:
    """Everything in one verified webhook body."""

    messages: tuple[InboundMessage, ...] = ()
    handshake: Handshake | None = None
    ignored: tuple[str, ...] = ()
    """Reasons for parts that are not messages (own echo, status, unknown type), to be counted."""


@dataclass(frozen=True, slots=True)
class Source:
    """A cited passage as it may be shown on a platform."""

    number: int
    title: str
    document: str


@dataclass(frozen=True, slots=True)
class OutboundReply:
    """A reply to be rendered and sent by one channel."""

    account: str
    reply_to: Mapping[str, str]
    text: str
    """Neutral Markdown; citation marks stand in it as [1]."""
    idempotency_key: str
    """The outbox id: sent along where the platform can give it back to us."""
    sources: Sequence[Source] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP call that delivers (a part of) a reply; data, so that it can be shown without being sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    """They carry the access token, so they stay out of `repr` and thereby out of logs."""
    json: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can take."""

    max_text_chars: int
    ack_deadline_s: float


class Channel(Protocol):
    """One app on one platform: built from its settings and secrets, it holds no connection and no state."""

    name: str
    capabilities: Capabilities

    def handshake(self, query: Mapping[str, str]) -> Handshake:
        """Answer the platform's GET check of our URL.

        Raises:
            SignatureInvalid: The verify token is not ours, or the platform makes no such check.
        """
        ...

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Check the signature over the raw body; header names are lower case.

        Raises:
            SignatureInvalid: Missing, malformed or wrong signature.
            StaleRequest: The signed time is too far from now.
        """
        ...

    def parse(self, body: bytes) -> Inbound:
        """Turn a verified body into messages; what is not a message lands in `ignored`.

        Raises:
            PayloadInvalid: Not JSON, or not of the platform's shape.
        """
        ...

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """The calls that deliver this reply, in order; a long text becomes several."""
        ...

    def receipt(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """Read the platform's answer to one call.

        Returns:
            The platform's id of the sent message.

        Raises:
            DeliveryFailed: With `retryable` and, where the platform says so, `retry_after_s`.
        """
        ...

    def sign(self, body: bytes) -> Mapping[str, str]:
        """Headers as the platform would send them with this body; for the simulator and tests."""
        ...

    def simulate(self, text: str, *, account: str, message_id: str, sender: str) -> bytes:
        """A webhook body of the platform's real shape that carries `text`."""
        ...
