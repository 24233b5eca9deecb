"""What every platform's channel offers: bytes and headers in, typed messages out; no web framework here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from channels.errors import DeliveryFailed

FURTHER = "further"
"""Stands in `reply_to` where something was said to this message before: a reply that is an edit must not replace it."""


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
    name: str = ""
    """The person's, where the platform tells it along."""
    files: tuple[str, ...] = ()
    """Of the widget's visitors: ids of files that the gateway keeps."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A person's thumb on a reply of ours."""

    account: str
    reply: str
    """The idempotency key that the reply was sent with."""
    value: Literal["up", "down"]
    reply_to: Mapping[str, str] = field(default_factory=dict)
    """Where the reply stands, for `Rates.thank`; plain strings."""


@dataclass(frozen=True, slots=True)
class Removal:
    """An account took the app away, or the secrets that it had given; see `channels.installs`."""

    account: str
    at_s: float
    """When, in seconds since the epoch by the platform's clock: what was installed after this stays."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform reads in answer to its own request, where that is more than a 200."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"


ReceiptState = Literal["sent", "delivered", "read", "failed"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a platform tells, unasked, of a message of ours: it has it, or could not deliver it after all."""

    account: str
    state: ReceiptState
    mark: str = ""
    """What the call carried (`part_mark`), where the platform gives it back."""
    message_id: str = ""
    """The platform's id of the message, as `receipt` returned it; `mark` or this is there."""
    failure: DeliveryFailed | None = None
    """What went wrong, where it failed."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """A thumb of a person on a message of ours."""

    account: str
    message_id: str
    """The platform's id of our message, as `receipt` returned it."""
    value: Literal["up", "down"] | None
    """None where it was taken back."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A person changed a message of theirs, or took it back."""

    account: str
    message_id: str
    """Of the message, as `InboundMessage.message_id` had it."""
    text: str | None
    """What it says now; None where it was taken back."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """Everything in one verified webhook body."""

    messages: tuple[InboundMessage, ...] = ()
    overheard: tuple[InboundMessage, ...] = ()
    """Said in a thread, and not to us; a team may work there, and nobody else's is read."""
    answer: Answer | None = None
    """To a check of our address, or to a person's command; given once the messages are stored."""
    ignored: tuple[str, ...] = ()
    """Reasons for parts that are not messages (own echo, unknown type), to be counted."""
    receipts: tuple[Receipt, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    edits: tuple[Edit, ...] = ()
    ratings: tuple[Rating, ...] = ()
    removals: tuple[Removal, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A cited passage as it may be shown on a platform."""

    number: int
    title: str
    document: str


@dataclass(frozen=True, slots=True)
class Template:
    """A message that the platform approved beforehand, for when free text is no longer taken."""

    name: str
    language: str
    """As approved, such as en or pt_BR."""
    parameters: tuple[str, ...] = ()
    """Values of its body, in order; `{reply}` stands for the reply."""


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
    by_person: bool = False
    """Whether a person of the brand wrote it; some platforms give people more time to answer than bots."""
    since_heard_s: float | None = None
    """Seconds since the person's last message; None where it is not known, and so no reason to hold the reply back."""
    template: Template | None = None
    """What may be sent in place of the text when the platform takes no free text any more."""
    rateable: bool = False
    """Whether thumbs are offered with it, where the platform has buttons."""
    begun: str = ""
    """The platform's id of a message that holds its beginning (see `Grows`): its first part takes the place of that;
    where there is nothing to say, the message goes."""


def part_mark(key: str, part: int) -> str:
    """What a part of a reply carries so that it can be known again: `<key>`, then `<key>:2` and so on."""
    return key if part == 1 else f"{key}:{part}"


def read_mark(mark: str) -> tuple[str, int]:
    """The key and the part, from 1, of a mark; anything else is a key that nobody has."""
    key, colon, part = mark.partition(":")
    if not colon:
        return mark, 1
    well_formed = part.isascii() and part.isdigit() and len(part) <= 6 and int(part) > 1
    return (key, int(part)) if well_formed else ("", 1)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP call that delivers (a part of) a reply; data, so that it can be shown without being sent."""

    method: str
    url: str = field(repr=False)
    """Out of `repr` and thereby of logs: Telegram's holds the bot's token, and Discord's the interaction's."""
    headers: Mapping[str, str] = field(repr=False)
    """They carry the access token, so they stay out as well."""
    json: Mapping[str, object] | None = None
    form: Mapping[str, str] | None = None
    """In place of `json`, for platforms that read forms."""
    repeatable: bool = False
    """Whether it shows once however often it is made, by a key or as an edit: one that broke off is then made again."""
    otherwise: Request | None = None
    """Made in place of this one where the platform refuses it for good, such as a push after a reply that is late."""
    done_code: str = ""
    """Code of a refusal that says that nothing is left to do: what is to be deleted is gone."""

    @property
    def fields(self) -> Mapping[str, object]:
        """What it carries, in either form."""
        return self.json or self.form or {}


Idempotency = Literal["key", "edit", "look-up", "none"]
"""By what a platform keeps a send that we repeat from arriving twice: it drops a second one with the same key; it edits
what is there; it can be asked, or tells, what it has; or by nothing, and a send that broke off is not repeated."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a platform takes calls."""

    per_s: float
    """On average."""
    burst: int = 1
    """At once, after a while of silence."""
    per: tuple[str, ...] = ()
    """By which entries of `reply_to` it counts, such as the chat; none where it counts all of our account's."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can take."""

    max_text_chars: int
    """Of one message, in the unit in which the platform counts."""
    ack_deadline_s: float
    """By when it wants its 2xx."""
    idempotency: Idempotency = "none"
    edits: bool = False
    """Whether a sent message can be changed."""
    streams: bool = False
    """Whether a message can grow while it is written."""
    answers_each: bool = False
    """Whether each message must get a reply of its own, because the platform shows which one is still to come."""
    typing_lasts_s: float | None = None
    """How long the sign that an answer is being written stays; None until the answer comes."""
    buttons: int = 0
    """Most buttons below one message."""
    window_s: float | None = None
    """How long after a person's last message they may be answered freely; None for ever."""
    rates: tuple[Rate, ...] = ()
    """Kept by the outbox, so that a 429 is the exception."""


class Channel(Protocol):
    """One app on one platform: built from its settings and secrets, it holds no connection, and no state of its own."""

    name: str
    capabilities: Capabilities

    def handshake(self, query: Mapping[str, str]) -> Answer:
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
            NotReady: It needs something from the network first; see `Fetches`.
        """
        ...

    def parse(self, body: bytes) -> Inbound:
        """Turn a verified body into messages; what is not a message lands in `ignored`.

        Raises:
            PayloadInvalid: Not JSON, or not of the platform's shape.
        """
        ...

    def render(self, reply: OutboundReply) -> Sequence[Request]:
        """The calls that deliver this reply, in order; a long text becomes several.

        Raises:
            DeliveryFailed: It can no longer be delivered, or not yet.
        """
        ...

    def typing(self, account: str, reply_to: Mapping[str, str]) -> Sequence[Request]:
        """Calls that show the person that an answer is being written; nobody minds if they fail, so none is repeated.

        Args:
            account: Ours, that was written to.
            reply_to: As in the message.
        """
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


@runtime_checkable
class Fetches(Protocol):
    """A channel that needs something from the network first: keys to verify with, a token to send with.

    The channel itself holds no connection: the gateway makes the calls and hands it the answers.
    """

    def needs(self) -> Sequence[Request]:
        """What to fetch now, before verifying or sending; nothing while all is fresh."""
        ...

    def learn(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep what one of these calls brought.

        Raises:
            DeliveryFailed: It brought nothing of use.
        """
        ...


@runtime_checkable
class Rates(Protocol):
    """A channel that offers thumbs with a reply and can show there that one has arrived."""

    def thank(self, reply: OutboundReply, rating: Rating, words: str) -> Sequence[Request]:
        """Calls that put these words where the thumbs were; nobody minds if they fail, so none is repeated."""
        ...


@runtime_checkable
class LooksUp(Protocol):
    """A channel whose platform can be asked what it has of a reply: done before a call that broke off is made again."""

    def look_up(self, reply: OutboundReply) -> Request | None:
        """The call that asks; None where this reply cannot be asked for."""
        ...

    def found(self, reply: OutboundReply, status: int, headers: Mapping[str, str], body: bytes) -> Mapping[int, str]:
        """Read the answer.

        Returns:
            The platform's id of each part that it has, by the part's number from 1; a part that is not named is surely
            not there.

        Raises:
            DeliveryFailed: It says nothing of the reply; with `retryable`, where it may later.
        """
        ...


@runtime_checkable
class Grows(Protocol):
    """A channel that can show the beginning of a reply, and change it until the whole is there."""

    grow_every_s: float
    """The same message is not changed sooner again."""

    def begin(self, reply: OutboundReply) -> Request | None:
        """The call that posts the beginning, which `LooksUp` finds as part 0; None where that cannot be done here."""
        ...

    def grow(self, reply: OutboundReply) -> Request | None:
        """The call that writes more into `reply.begun`; None where it would not fit."""
        ...
