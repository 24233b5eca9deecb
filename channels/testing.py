"""For tests: a platform that takes replies, and the suite that every channel must pass.

`FakePlatform` answers as a platform's stand-in does, and keeps what it took. `ChannelContract` is subclassed by the
tests of each channel (see tests/contract/channels).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, ParamSpec, TypeVar

from channels.base import Answer, Channel, Fetches, InboundMessage, OutboundReply, Request, Source
from channels.errors import (
    ChannelError,
    ChannelMisconfigured,
    DeliveryFailed,
    PayloadInvalid,
    SignatureInvalid,
    StaleRequest,
)
from channels.graphemes import clusters
from channels.stand_in import PlatformAnswer, StandIn

E = TypeVar("E", bound=ChannelError)
P = ParamSpec("P")

NOW_S = 1_790_000_000.0
"""The contract's idea of now."""

EMOJI = "👩🏽‍🚀 🏳️‍🌈 🇩🇪 👍🏿 ❤️‍🔥 1️⃣"
RIGHT_TO_LEFT = "كم يستغرق التوصيل إلى דירה 5 ב־\u200fירושלים؟"


@dataclass
class FakePlatform:
    """Takes what a channel sends, with the checks that the real platform makes first."""

    stand_in: StandIn
    taken: list[Request] = field(default_factory=list)
    """Accepted calls, in order."""
    _refusals: list[PlatformAnswer] = field(default_factory=list)

    def refuse_next(self, answer: PlatformAnswer, *, times: int = 1) -> None:
        """Give this answer to the next calls instead of taking them."""
        self._refusals.extend([answer] * times)

    def __call__(self, request: Request) -> PlatformAnswer:
        """Answer one call."""
        if self._refusals:
            return self._refusals.pop(0)
        answer = self.stand_in.answer(request, number=len(self.taken) + 1)
        if 200 <= answer[0] < 300 and b'"ok": false' not in answer[2]:
            self.taken.append(request)
        return answer

    @property
    def texts(self) -> list[str]:
        """The accepted texts, in order."""
        return [text for request in self.taken for text in self.stand_in.texts(request)]


class ChannelContract:
    """What every channel must do. Subclass it as `Test...`, and say what is the platform's own."""

    secrets: ClassVar[Mapping[str, str]]
    optional: ClassVar[frozenset[str]] = frozenset()
    """Secrets that may be absent."""
    exchanged: ClassVar[frozenset[str]] = frozenset()
    """Secrets that the platform proves itself with, of which two may be given, the newer first."""
    stand_in: ClassVar[StandIn]
    account: ClassVar[str] = "T111"
    sender: ClassVar[str] = "15550100001"
    signature_header: ClassVar[str]
    timestamp_header: ClassVar[str | None] = None
    """The header with the signed time; None where the platform signs none."""
    signs_body: ClassVar[bool] = True
    """Whether the signature is over the body; a shared word or a token is not."""
    challenge: ClassVar[tuple[bytes, str] | None] = (b"42-ok", "text/plain")
    """What answers the platform's check of our address, and as what; None where it makes none."""
    reasons: ClassVar[frozenset[str]]
    """All that `Inbound.ignored` may hold."""
    bold: ClassVar[str] = "*30 days*"
    """How `30 days` looks in bold."""
    marks: ClassVar[Mapping[str, str]] = {}
    """How the platform writes characters that it would read as markup."""

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        """The channel under test."""
        raise NotImplementedError

    def other_secrets(self) -> Mapping[str, str]:
        """Those of another app."""
        return {name: f"other-{value}" for name, value in self.secrets.items()}

    def shake(self, channel: Channel, *, genuine: bool) -> Answer | None:
        """Let the platform, or someone else, check our address with the challenge `42-ok`."""
        raise NotImplementedError

    def own_echo(self) -> bytes:
        """A body that tells of a message of our own."""
        raise NotImplementedError

    def picture(self) -> bytes:
        """A body with a person's picture that has no caption."""
        raise NotImplementedError

    # What the tests below share.

    def channel(self, *, now_s: float = NOW_S) -> Channel:
        """The channel with its right secrets at a time."""
        return self.build(self.secrets, lambda: now_s)

    def body(self, text: str = "Where is my order?", message_id: str = "wamid.1") -> bytes:
        """A genuine body."""
        return self.channel().simulate(text, account=self.account, message_id=message_id, sender=self.sender)

    def message(self, text: str = "Where is my order?", message_id: str = "wamid.1") -> InboundMessage:
        """The only message of a genuine body."""
        inbound = self.channel().parse(self.body(text, message_id))
        expect(len(inbound.messages) == 1, f"one message in, one message out, not {inbound!r}")
        return inbound.messages[0]

    def requests(self, text: str, *sources: Source) -> list[Request]:
        """The calls that deliver a reply."""
        message = self.message()
        return list(
            self.channel().render(OutboundReply(message.account, message.reply_to, text, "out-1", tuple(sources)))
        )

    def sent(self, text: str) -> list[str]:
        """What the person reads of a reply, message by message."""
        return [shown for request in self.requests(text) for shown in self.stand_in.texts(request)]

    def refuses_signature(self, signature: str | None, body: bytes | None = None) -> None:
        """Check that a signature in place of the genuine one is refused, without a word on the right one."""
        channel = self.channel()
        genuine = self.body()
        headers = dict(channel.sign(genuine))
        right = headers.pop(self.signature_header)
        if signature is not None:
            headers[self.signature_header] = signature
        error = refused(SignatureInvalid, channel.verify, headers, genuine if body is None else body)
        expect(right.rstrip("=").rpartition("=")[2] not in str(error), "a refusal must not tell the right signature")

    def right_signature(self) -> str:
        """The genuine signature of the genuine body."""
        return self.channel().sign(self.body())[self.signature_header]

    # Signatures.

    def test_a_signed_body_is_accepted_and_read(self) -> None:
        """Also in letters outside ASCII, whose spelling a parser would change."""
        for text in ("Where is my order?", "é ع 😀", "a/b <c> & *d*"):
            body = self.body(text)
            self.channel().verify(self.channel().sign(body), body)
            message = self.message(text)
            expect(message.text == text, f"{text!r} came out as {message.text!r}")
            expect(message.account == self.account, "the account selects the brand")
            expect(message.channel == self.channel().name, "a message says where it came from")

    def test_a_missing_signature_is_refused(self) -> None:
        """Absent and empty."""
        self.refuses_signature(None)
        self.refuses_signature("")

    def test_a_signature_with_another_secret_is_refused(self) -> None:
        """Such as another tenant's."""
        other = self.build(self.other_secrets(), lambda: NOW_S)
        self.refuses_signature(other.sign(self.body())[self.signature_header])

    def test_a_cut_or_lengthened_signature_is_refused(self) -> None:
        """No prefix of the right one will do."""
        right = self.right_signature()
        for length in range(len(right)):
            self.refuses_signature(right[:length])
        for wrong in (right + "0", right + " ", " " + right, right + "," + right, right.partition("=")[2]):
            self.refuses_signature(wrong)

    def test_a_signature_that_is_not_hex_or_not_ascii_is_refused_and_not_an_error(self) -> None:
        """`hmac.compare_digest` raises TypeError on such text."""
        right = self.right_signature()
        for wrong in (right[:-1] + "g", right[:-1] + "é", right[:-1] + "١", "\ud800" + right, "\x00", right.upper()):
            if wrong != right:  # base64 may end in g
                self.refuses_signature(wrong)

    def test_every_flipped_bit_of_a_signature_is_refused(self) -> None:
        """One spelling of a signature, and no other."""
        right = self.right_signature()
        for position in range(len(right)):
            for bit in range(7):
                flipped = chr(ord(right[position]) ^ (1 << bit))
                self.refuses_signature(right[:position] + flipped + right[position + 1 :])

    def test_a_changed_body_is_refused(self) -> None:
        """By one bit, by one byte more or less, or by being parsed and written again."""
        if not self.signs_body:
            return
        body, right = self.body("é"), self.channel().sign(self.body("é"))[self.signature_header]
        rewritten = body.replace(b"\\u00e9", "é".encode()).replace(b"%C3%A9", "é".encode())
        expect(rewritten != body, "the body is in the platform's own spelling")
        flipped = bytes([body[0] ^ 1]) + body[1:]
        for changed in (rewritten, flipped, body + b" ", body[:-1], b""):
            self.refuses_signature(right, changed)

    def test_a_stale_or_early_request_is_refused(self) -> None:
        """Five minutes either way, where the platform signs a time; otherwise the inbox finds the repeat."""
        if self.timestamp_header is None:
            return
        body = self.body()
        signed = self.channel().sign(body)
        for age_s in (-299, 0, 299):
            self.channel(now_s=NOW_S + age_s).verify(signed, body)
        for age_s in (-86_400, -301, 301, 691_200):
            late = self.channel(now_s=NOW_S + age_s)
            refused(StaleRequest, late.verify, signed, body)

    def test_a_time_that_is_no_number_is_refused_and_not_an_error(self) -> None:
        """Where the platform signs a time."""
        if self.timestamp_header is None:
            return
        body = self.body()
        for stamp in ("", "now", "1e9", "-1", "1.5", "١٢٣", "nan", "9" * 400, str(int(NOW_S) + 1)):
            headers = {**self.channel().sign(body), self.timestamp_header: stamp}
            refused(SignatureInvalid, self.channel().verify, headers, body)

    def test_a_blank_secret_keeps_the_channel_off(self) -> None:
        """Anyone could sign with an empty key."""
        for name in self.secrets.keys() - self.optional:
            for blank in ("", "  ", "\n"):
                secrets = {**self.secrets, name: blank}
                error = refused(ChannelMisconfigured, self.build, secrets, float)
                expect(name in str(error), "the message names the secret")
            rest = {other: value for other, value in self.secrets.items() if other != name}
            refused(ChannelMisconfigured, self.build, rest, float)

    def test_two_secrets_live_at_once_while_one_is_exchanged(self) -> None:
        """Signed with either is genuine; we show and send with the newer one."""
        old, new = self.secrets, {**self.secrets, **{name: self.other_secrets()[name] for name in self.exchanged}}
        both = {name: f"{new[name]},{old[name]}" if name in self.exchanged else old[name] for name in old}
        body = self.body()
        channel = self.build(both, lambda: NOW_S)
        for one in (old, new) if self.exchanged else ():
            channel.verify(self.build(one, lambda: NOW_S).sign(body), body)
        if self.exchanged:
            refused(SignatureInvalid, self.build(new, lambda: NOW_S).verify, self.channel().sign(body), body)
            half = {**both, next(iter(self.exchanged)): f"{next(iter(old.values()))},"}
            refused(ChannelMisconfigured, self.build, half, float)

    def test_secrets_do_not_show(self) -> None:
        """Neither in the channel nor in a call that someone logs."""
        shown = repr(self.channel()) + repr(vars(self.channel()).keys()) + repr(self.requests("Hello."))
        for name, value in self.secrets.items():
            expect(value not in shown, f"{name} shows")

    # What comes in.

    def test_the_platforms_check_of_our_address_is_answered(self) -> None:
        """With what it asked for and nothing else, never as HTML."""
        if self.challenge is None:
            return
        answer = self.shake(self.channel(), genuine=True)
        body, content_type = self.challenge
        expect(answer is not None and answer.body == body, f"the challenge comes back, not {answer!r}")
        expect(answer is not None and answer.content_type.startswith(content_type), f"as {content_type}")

    def test_someone_elses_check_of_our_address_is_refused(self) -> None:
        """It would let anyone subscribe us."""
        if self.challenge is None:
            refused(SignatureInvalid, self.channel().handshake, {"challenge": "42-ok"})
            return
        refused(SignatureInvalid, self.shake, self.channel(), genuine=False)

    def test_our_own_message_is_ignored(self) -> None:
        """Else we would talk with ourselves."""
        inbound = self.channel().parse(self.own_echo())
        expect(not inbound.messages, f"an echo must not become a message: {inbound!r}")
        seen = bool(inbound.ignored or inbound.receipts)
        expect(seen and set(inbound.ignored) <= self.reasons, f"with a known reason, or as a receipt: {inbound!r}")

    def test_an_empty_message_is_a_message_without_text(self) -> None:
        """What to say to it is the pipeline's decision."""
        expect(self.message("").text == "", "nothing may be made up")

    def test_a_picture_is_a_message_without_text(self) -> None:
        """So that the person can be told that it cannot be seen."""
        inbound = self.channel().parse(self.picture())
        expect([message.text for message in inbound.messages] == [""], f"one message without text: {inbound!r}")

    def test_a_body_that_is_not_the_platforms_is_refused_as_such(self) -> None:
        """By one kind of error, whatever it is."""
        deep = b'{"a":' * 100_000
        for body in (b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"a":', deep, b"[" * 100_000, b"1" * 5_000):
            refused(PayloadInvalid, self.channel().parse, body)

    def test_a_repeat_keeps_its_message_id(self) -> None:
        """The inbox drops it by that."""
        expect(self.message().message_id == self.message().message_id, "the same message, the same id")
        expect(self.message().message_id != self.message(message_id="wamid.2").message_id, "another one, another id")

    def test_a_person_keeps_the_conversation(self) -> None:
        """And never gets into another person's."""
        first, second = self.message(message_id="wamid.1"), self.message("And?", message_id="wamid.2")
        expect(first.conversation_key == second.conversation_key, "two messages of one person, one conversation")
        body = self.channel().simulate("Hi", account=self.account, message_id="wamid.3", sender="15550100002")
        other = self.channel().parse(body).messages[0]
        expect(other.conversation_key != first.conversation_key, "two persons, two conversations")

    def test_what_reply_needs_is_plain_text(self) -> None:
        """It is stored as JSON until the reply goes out."""
        reply_to = self.message().reply_to
        expect(json.loads(json.dumps(dict(reply_to))) == dict(reply_to), "reply_to survives JSON")
        expect(all(isinstance(value, str) for value in reply_to.values()), "plain strings only")

    # What goes out.

    def test_a_reply_is_taken_by_the_platform(self) -> None:
        """And its id comes back."""
        platform, channel = FakePlatform(self.stand_in), self.channel()
        (request,) = self.requests("Within **30 days** [1].", Source(1, "Returns", "returns.md"))
        expect(channel.receipt(*platform(request)) != "", "the platform's id is kept")
        expect(f"{self.bold} [1]." in platform.texts[0], f"bold and citation show: {platform.texts[0]!r}")
        expect(platform.texts[0].endswith("\n[1] Returns"), f"the source is listed: {platform.texts[0]!r}")
        if channel.capabilities.idempotency in ("key", "look-up"):
            carried = json.dumps([dict(request.fields), dict(request.headers)])
            expect("out-1" in carried, "the outbox id goes along")

    def test_a_long_reply_is_split_and_loses_no_word(self) -> None:
        """At sentences, each part within the limit."""
        channel, platform = self.channel(), FakePlatform(self.stand_in)
        limit = channel.capabilities.max_text_chars
        text = " ".join(f"Sentence number {number} holds a few words & a mark [1]." for number in range(400))
        for request in self.requests(text):
            channel.receipt(*platform(request))
        expect(len(platform.texts) > 1, "it is too long for one message")
        expect(all(len(part) <= limit for part in platform.texts), "each part fits")
        expect(all(part.endswith("[1].") for part in platform.texts), "each part ends with a sentence")
        plain = " ".join(platform.texts)
        for mark, written in self.marks.items():
            plain = plain.replace(written, mark)
        expect(plain == text, "together they are the text")

    def test_emoji_and_right_to_left_text_arrive_whole(self) -> None:
        """Both ways, and where a message must be cut."""
        for text in (EMOJI, RIGHT_TO_LEFT):
            expect(self.message(text).text == text, f"{text!r} comes in whole")
            expect(self.sent(text) == [text], f"{text!r} goes out whole")
        astronaut = EMOJI.split()[0]
        parts = self.sent(astronaut * 2_000)
        expect(len(parts) > 1, "it is too long for one message")
        expect({cluster for part in parts for cluster in clusters(part)} == {astronaut}, "no emoji is cut")
        expect("".join(parts) == astronaut * 2_000, "none is lost")

    def test_an_empty_reply_sends_nothing(self) -> None:
        """The platforms refuse it anyway."""
        expect(self.requests(" \n ", Source(1, "Returns", "returns.md")) == [], "nothing to say, nothing sent")

    def test_that_an_answer_is_being_written_is_shown(self) -> None:
        """By calls that the platform takes, that say nothing, and that go where the reply will go."""
        message, channel = self.message(), self.channel()
        for call in channel.typing(message.account, message.reply_to):
            status, _, body = self.stand_in.answer(call, number=1)
            expect(200 <= status < 300, f"{call.url} is taken, not answered by {status} {body!r}")
            expect(self.stand_in.texts(call) == (), "a sign that is no message")
        expect(channel.typing(message.account, {}) in ((), []), "where nothing is known, nothing is shown")

    def test_the_stand_in_knows_whose_reply_it_is(self) -> None:
        """The simulator shows that one and no other."""
        body = self.channel().simulate(
            "Hi", account=self.account, message_id="wamid.3", sender=self.stand_in.somebody()
        )
        other = self.channel().parse(body).messages[0]
        for request in self.requests("Hello."):
            expect(self.stand_in.is_for(request, self.message().reply_to), "ours")
            expect(not self.stand_in.is_for(request, other.reply_to), "not another's")

    def test_a_busy_platform_is_tried_again_when_it_says(self) -> None:
        """429 with Retry-After, whatever the body."""
        for body in (b"", b"<html>", b"[]", b'{"ok":false,"error":"ratelimited"}', b'{"error":{"code":130429}}'):
            error = self.failure(429, {"retry-after": "7"}, body)
            expect(error.retryable and error.retry_after_s == 7.0, f"wait 7 s and try again after {body!r}")

    def test_a_broken_platform_is_tried_again(self) -> None:
        """Nobody's decision on the reply, so nothing final."""
        for status in (500, 502, 503, 504):
            expect(self.failure(status, {}, b"<html>").retryable, f"HTTP {status} passes")

    def test_a_refused_reply_is_not_tried_again(self) -> None:
        """The same call would be refused again."""
        expect(not self.failure(403, {}, b"{}").retryable, "HTTP 403 does not pass by itself")

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> DeliveryFailed:
        """The error that an answer leads to."""
        return refused(DeliveryFailed, self.channel().receipt, status, headers, body)


def learn_all(channel: Channel, stand_in: StandIn) -> None:
    """Bring a channel what it needs from the network, from its platform's stand-in; nothing where it needs nothing."""
    if isinstance(channel, Fetches):
        for request in channel.needs():
            channel.learn(request, *stand_in.answer(request, number=0))


def expect(condition: bool, why: str) -> None:
    """A plain assertion that also holds under `python -O`."""
    if not condition:
        raise AssertionError(why)


def refused(kind: type[E], call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> E:
    """The error of this kind that a call must raise."""
    try:
        result = call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected, and {result!r} came")
