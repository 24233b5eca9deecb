"""For tests and the simulator: a platform that takes replies, and the suite that every channel must pass.

`FakePlatform` answers requests as Slack and WhatsApp do, without a network; put it behind any HTTP server on
loopback, or call it. `ChannelContract` is subclassed by the tests of each channel (see tests/contract/channels);
it needs no pytest itself, so that this module loads where the simulator runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, ParamSpec, TypeVar
from urllib.parse import urlsplit

from channels.base import Channel, Handshake, InboundMessage, OutboundReply, Request, Source
from channels.errors import (
    ChannelError,
    ChannelMisconfigured,
    DeliveryFailed,
    PayloadInvalid,
    SignatureInvalid,
    StaleRequest,
)
from channels.graphemes import clusters

E = TypeVar("E", bound=ChannelError)
P = ParamSpec("P")

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers with names in lower case, body."""

NOW_S = 1_790_000_000.0
"""The contract's idea of now."""

EMOJI = "👩🏽‍🚀 🏳️‍🌈 🇩🇪 👍🏿 ❤️‍🔥 1️⃣"
RIGHT_TO_LEFT = "كم يستغرق التوصيل إلى דירה 5 ב־\u200fירושלים؟"


def text_of(request: Request) -> str:
    """What a person would read of this call, in the platform's markup; empty where it shows nothing."""
    text = request.json.get("text")
    if isinstance(text, Mapping):
        text = text.get("body")
    return text if isinstance(text, str) else ""


@dataclass
class FakePlatform:
    """Takes what channels send, with the checks that the real platforms make first."""

    taken: list[Request] = field(default_factory=list)
    """Accepted calls, in order."""
    _refusals: list[Answer] = field(default_factory=list)

    def refuse_next(self, answer: Answer, *, times: int = 1) -> None:
        """Give this answer to the next calls instead of taking them."""
        self._refusals.extend([answer] * times)

    def __call__(self, request: Request) -> Answer:
        """Answer one call."""
        if self._refusals:
            return self._refusals.pop(0)
        status, body = _answer(request, number=len(self.taken) + 1)
        if status == 200 and body.get("ok", True):
            self.taken.append(request)
        return status, {"content-type": "application/json"}, json.dumps(body).encode()

    @property
    def texts(self) -> list[str]:
        """The accepted texts, in order."""
        return [text_of(request) for request in self.taken]


def _answer(request: Request, *, number: int) -> tuple[int, dict[str, object]]:
    """Status and JSON body for a call, `number` being that of the message it would post."""
    path = urlsplit(request.url).path
    headers = {name.lower(): value for name, value in request.headers.items()}
    authorised = re.fullmatch(r"Bearer \S+", headers.get("authorization", "")) is not None
    if request.method == "POST" and path.endswith("/chat.postMessage"):
        return 200, _slack_answer(request, authorised=authorised, number=number)
    if request.method == "POST" and path.endswith("/messages"):
        return _whatsapp_answer(request, authorised=authorised, number=number)
    return 404, {"error": {"message": "Unknown path", "code": 2500}}


def _slack_answer(request: Request, *, authorised: bool, number: int) -> dict[str, object]:
    text, channel = text_of(request), request.json.get("channel")
    if not authorised:
        return {"ok": False, "error": "not_authed"}
    if not channel:
        return {"ok": False, "error": "channel_not_found"}
    if not text.strip():
        return {"ok": False, "error": "no_text"}
    if len(text) > 40_000:
        return {"ok": False, "error": "msg_too_long"}
    ts = f"1700000000.{number:06d}"
    return {"ok": True, "channel": channel, "ts": ts, "message": {"type": "message", "text": text, "ts": ts}}


def _whatsapp_answer(request: Request, *, authorised: bool, number: int) -> tuple[int, dict[str, object]]:
    text, to = text_of(request), request.json.get("to") or request.json.get("recipient")
    if not authorised:
        return 401, _graph_error(190, "OAuthException")
    if request.json.get("messaging_product") != "whatsapp" or not to:
        return 400, _graph_error(131008, "Required parameter is missing")
    if not text.strip() or len(text) > 4096:
        return 400, _graph_error(100, "Param text['body'] must be 1 to 4096 characters long")
    return 200, {
        "messaging_product": "whatsapp",
        "contacts": [{"input": to, "wa_id": to}],
        "messages": [{"id": f"wamid.FAKE{number:06d}"}],
    }


def _graph_error(code: int, message: str) -> dict[str, object]:
    return {"error": {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, "fbtrace_id": "A"}}


class ChannelContract:
    """What every channel must do. Subclass it as `Test...`, and say what is the platform's own."""

    secrets: ClassVar[Mapping[str, str]]
    account: ClassVar[str] = "T111"
    sender: ClassVar[str] = "15550100001"
    signature_header: ClassVar[str]
    timestamp_header: ClassVar[str | None] = None
    """The header with the signed time; None where the platform signs none."""
    reasons: ClassVar[frozenset[str]]
    """All that `Inbound.ignored` may hold."""

    def build(self, secrets: Mapping[str, str], clock: Callable[[], float]) -> Channel:
        """The channel under test."""
        raise NotImplementedError

    def shake(self, channel: Channel, *, genuine: bool) -> Handshake | None:
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

    def refuses_signature(self, signature: str | None, body: bytes | None = None) -> None:
        """Check that a signature in place of the genuine one is refused, without a word on the right one."""
        channel = self.channel()
        genuine = self.body()
        headers = dict(channel.sign(genuine))
        right = headers.pop(self.signature_header)
        if signature is not None:
            headers[self.signature_header] = signature
        error = refused(SignatureInvalid, channel.verify, headers, genuine if body is None else body)
        expect(right.rpartition("=")[2] not in str(error), "a refusal must not tell the right signature")

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
        other = self.build({name: f"other-{value}" for name, value in self.secrets.items()}, lambda: NOW_S)
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
        body, right = self.body("é"), self.channel().sign(self.body("é"))[self.signature_header]
        rewritten = json.dumps(json.loads(body), ensure_ascii=False).encode()
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
        for name in self.secrets:
            for blank in ("", "  ", "\n"):
                secrets = {**self.secrets, name: blank}
                error = refused(ChannelMisconfigured, self.build, secrets, float)
                expect(name in str(error), "the message names the secret")
            rest = {other: value for other, value in self.secrets.items() if other != name}
            refused(ChannelMisconfigured, self.build, rest, float)

    def test_secrets_do_not_show(self) -> None:
        """Neither in the channel nor in a call that someone logs."""
        shown = repr(self.channel()) + repr(vars(self.channel()).keys()) + repr(self.requests("Hello."))
        for name, value in self.secrets.items():
            expect(value not in shown, f"{name} shows")

    # What comes in.

    def test_the_platforms_check_of_our_address_is_answered(self) -> None:
        """With the challenge and nothing else, as plain text."""
        answer = self.shake(self.channel(), genuine=True)
        expect(answer is not None and answer.body == b"42-ok", f"the challenge comes back, not {answer!r}")
        expect(answer is not None and answer.content_type.startswith("text/plain"), "never as HTML")

    def test_someone_elses_check_of_our_address_is_refused(self) -> None:
        """It would let anyone subscribe us."""
        refused(SignatureInvalid, self.shake, self.channel(), genuine=False)

    def test_our_own_message_is_ignored(self) -> None:
        """Else we would talk with ourselves."""
        inbound = self.channel().parse(self.own_echo())
        expect(not inbound.messages, f"an echo must not become a message: {inbound!r}")
        expect(bool(inbound.ignored) and set(inbound.ignored) <= self.reasons, f"with a known reason: {inbound!r}")

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
        platform, channel = FakePlatform(), self.channel()
        (request,) = self.requests("Within **30 days** [1].", Source(1, "Returns", "returns.md"))
        expect(channel.receipt(*platform(request)) != "", "the platform's id is kept")
        expect("*30 days* [1]." in platform.texts[0], f"bold and citation show: {platform.texts[0]!r}")
        expect(platform.texts[0].endswith("\n[1] Returns"), f"the source is listed: {platform.texts[0]!r}")
        expect("out-1" in json.dumps(dict(request.json)), "the outbox id goes along")

    def test_a_long_reply_is_split_and_loses_no_word(self) -> None:
        """At sentences, each part within the limit."""
        channel, platform = self.channel(), FakePlatform()
        limit = channel.capabilities.max_text_chars
        text = " ".join(f"Sentence number {number} holds a few words & a mark [1]." for number in range(400))
        for request in self.requests(text):
            channel.receipt(*platform(request))
        expect(len(platform.texts) > 1, "it is too long for one message")
        expect(all(len(part) <= limit for part in platform.texts), "each part fits")
        expect(all(part.endswith("[1].") for part in platform.texts), "each part ends with a sentence")
        plain = [part.replace("&amp;", "&") for part in platform.texts]
        expect(" ".join(plain) == text, "together they are the text")

    def test_emoji_and_right_to_left_text_arrive_whole(self) -> None:
        """Both ways, and where a message must be cut."""
        for text in (EMOJI, RIGHT_TO_LEFT):
            expect(self.message(text).text == text, f"{text!r} comes in whole")
            expect([text_of(request) for request in self.requests(text)] == [text], f"{text!r} goes out whole")
        astronaut = EMOJI.split()[0]
        parts = [text_of(request) for request in self.requests(astronaut * 2_000)]
        expect(len(parts) > 1, "it is too long for one message")
        expect({cluster for part in parts for cluster in clusters(part)} == {astronaut}, "no emoji is cut")
        expect("".join(parts) == astronaut * 2_000, "none is lost")

    def test_an_empty_reply_sends_nothing(self) -> None:
        """The platforms refuse it anyway."""
        expect(self.requests(" \n ", Source(1, "Returns", "returns.md")) == [], "nothing to say, nothing sent")

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
