"""What Twilio's forms become, and how replies reach Twilio."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Channel, Inbound, InboundMessage, OutboundReply, Receipt, ReceiptState, Request, Source
from channels.errors import ChannelMisconfigured, DeliveryFailed, PayloadInvalid, SignatureInvalid
from channels.registry import PLATFORMS, build_channel
from channels.testing import FakePlatform
from channels.twilio.payloads import IGNORED_REASONS, NO_REPLY, parse_body
from channels.twilio.segments import Segments, segments
from tests.unit.channels.fuzzing import check
from tests.unit.channels.recorded import ABSENT, WEBHOOKS

SID = f"AC{'0' * 32}"
URL = "https://chat.example/webhooks/twilio/main"
PERSON, SMS = "+15550100123", "+15550100001"
WA_PERSON, WHATSAPP = "whatsapp:+15550100123", "whatsapp:+15550100011"
STAND_IN = PLATFORMS["twilio"].stand_in


def build(*, token: str = "s" * 32, webhook_url: str = URL, account_sid: str = SID) -> Channel:
    return build_channel(
        "twilio",
        app="main",
        secrets={"auth_token": token},
        settings={"account_sid": account_sid, "webhook_url": webhook_url},
        api_url="https://api.twilio.com",
        clock=lambda: 1_790_000_000.0,
    )


TWILIO = build()


def fields(**changed: str | None) -> dict[str, str]:
    whole = {
        "ToCountry": "US",
        "SmsMessageSid": "SM1",
        "NumMedia": "0",
        "SmsSid": "SM1",
        "SmsStatus": "received",
        "Body": "Hi",
        "To": SMS,
        "NumSegments": "1",
        "MessageSid": "SM1",
        "AccountSid": SID,
        "From": PERSON,
        "ApiVersion": "2010-04-01",
    } | changed
    return {name: value for name, value in whole.items() if value is not None}


def parse(**changed: str | None) -> Inbound:
    return parse_body(urlencode(fields(**changed)).encode())


def message(**changed: str | None) -> InboundMessage:
    inbound = parse(**changed)
    assert inbound.ignored == ()
    (only,) = inbound.messages
    return only


def test_a_number_has_one_conversation_with_the_number_that_it_wrote_to() -> None:
    taken = message()
    assert (taken.account, taken.message_id, taken.conversation_key, taken.sender) == (SMS, "SM1", PERSON, PERSON)
    assert (taken.text, taken.reply_to) == ("Hi", {"to": PERSON})


def test_one_person_on_whatsapp_and_by_sms_has_two_conversations() -> None:
    taken = message(From=WA_PERSON, To=WHATSAPP, WaId="15550100123", ProfileName="N")
    assert (taken.account, taken.conversation_key, taken.reply_to) == (WHATSAPP, WA_PERSON, {"to": WA_PERSON})


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        pytest.param({"Body": "", "NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x"}, "", id="picture"),
        pytest.param({"Body": None, "NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x"}, "", id="without a body"),
        pytest.param({"Body": "This one?", "NumMedia": "1", "MediaUrl0": "https://x.example"}, "This one?", id="both"),
        pytest.param({"Body": "", "Latitude": "1.0", "Longitude": "2.0"}, "", id="place"),
        pytest.param({"Body": "Yes, please", "ButtonText": "Yes, please"}, "Yes, please", id="button"),
        pytest.param({"Body": "", "ButtonText": "Yes, please"}, "Yes, please", id="button without a body"),
        pytest.param({"Body": "é ع 😀 + & ="}, "é ع 😀 + & =", id="letters"),
        pytest.param({"Body": "a\x00b"}, "ab", id="what no database takes"),
    ],
)
def test_what_can_be_read_is_text_and_what_cannot_is_empty(changed: dict[str, str | None], text: str) -> None:
    assert message(**changed).text == text


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        *[(word, "opt_out") for word in ("STOP", "stopall", "Unsubscribe", "CANCEL", "end", "Quit", "REVOKE")],
        *[(word, "opt_out") for word in ("OptOut", "  stop \n")],
        *[(word, "opt_in") for word in ("START", "unstop")],
        *[(word, "help") for word in ("HELP", "Info")],
    ],
)
def test_words_that_are_twilios_never_reach_us(word: str, reason: str) -> None:
    assert parse(Body=word) == Inbound(ignored=(reason,), answer=NO_REPLY)
    assert parse(Body=word, From=WA_PERSON, To=WHATSAPP) == Inbound(ignored=(reason,), answer=NO_REPLY)


@pytest.mark.parametrize("text", ["Stop please", "How do I cancel?", "yes", "help me", "The end", "stopp", ""])
def test_other_words_are_messages(text: str) -> None:
    assert message(Body=text).text == text


@pytest.mark.parametrize(("kind", "reason"), [("STOP", "opt_out"), ("START", "opt_in"), ("HELP", "help")])
def test_words_of_the_operators_choice_are_named_by_twilio(kind: str, reason: str) -> None:
    assert parse(Body="arrêt", OptOutType=kind).ignored == (reason,)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"MessageStatus": "queued", "SmsStatus": "queued", "Body": None}, "status", id="on its way"),
        pytest.param({"From": SMS}, "own_message", id="ourselves"),
    ],
)
def test_what_is_no_message_is_ignored_with_its_reason(changed: dict[str, str | None], reason: str) -> None:
    assert parse(**changed) == Inbound(ignored=(reason,), answer=NO_REPLY)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        pytest.param({"MessageStatus": "delivered", "SmsStatus": "delivered", "Body": None}, "delivered", id="arrived"),
        pytest.param({"MessageStatus": "read", "SmsStatus": None, "EventType": "READ"}, "read", id="read"),
        pytest.param({"SmsStatus": "sent"}, "sent", id="older form"),
    ],
)
def test_what_becomes_of_a_message_of_ours_is_told(changed: dict[str, str | None], state: ReceiptState) -> None:
    told = parse(**changed, From=SMS, To=PERSON, MessageSid="SM9")
    assert told == Inbound(receipts=(Receipt(SMS, state, message_id="SM9"),), answer=NO_REPLY)


@pytest.mark.parametrize(
    ("status", "code", "says", "retryable"),
    [
        ("failed", "30006", "landline", False),
        ("undelivered", "63016", "only an approved template", False),
        ("undelivered", "30001", "tried again", True),
        ("failed", None, "no code", False),
        ("canceled", "\u00b2", "no code", False),
    ],
)
def test_what_was_taken_and_did_not_arrive_is_told_with_its_reason(
    status: str, code: str | None, says: str, retryable: bool
) -> None:
    (told,) = parse(MessageStatus=status, ErrorCode=code, From=SMS, To=PERSON, MessageSid="SM9").receipts
    assert (told.account, told.state, told.message_id) == (SMS, "failed", "SM9")
    assert told.failure is not None
    assert says in str(told.failure)
    assert told.failure.retryable == retryable


@pytest.mark.parametrize("status", [None, "received", "receiving", ""])
def test_a_message_has_arrived_or_says_nothing_of_it(status: str | None) -> None:
    assert message(SmsStatus=status).text == "Hi"


@pytest.mark.parametrize("name", ["MessageSid", "From", "To"])
@pytest.mark.parametrize("value", [None, "", "x" * 600])
def test_a_form_without_an_id_or_an_address_is_kept_aside(name: str, value: str | None) -> None:
    with pytest.raises(PayloadInvalid, match=name) as caught:
        parse(**{name: value})
    assert PERSON not in str(caught.value)


@pytest.mark.parametrize("body", ["é=1".encode(), b"&".join(b"a=1" for _ in range(1001))], ids=["no ASCII", "endless"])
def test_what_is_no_form_is_refused_with_and_without_a_signature(body: bytes) -> None:
    with pytest.raises(PayloadInvalid, match="not a form"):
        parse_body(body)
    with pytest.raises(SignatureInvalid):
        TWILIO.verify({"x-twilio-signature": "x"}, body)


def test_twilio_reads_that_there_is_nothing_to_do() -> None:
    assert parse().answer == NO_REPLY
    assert NO_REPLY.content_type == "text/xml"


# Signatures.


def vectors() -> dict[str, Any]:
    vector: dict[str, Any] = json.loads((WEBHOOKS / "signature_vectors.json").read_bytes())["twilio"]
    return vector


def accepts(webhook_url: str, signature: str, pairs: Any) -> bool:
    channel = build(token=vectors()["secret"], webhook_url=webhook_url)
    try:
        channel.verify({"x-twilio-signature": signature}, urlencode(pairs).encode())
    except SignatureInvalid:
        return False
    return True


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_the_recorded_signatures_are_ours_with_and_without_the_port() -> None:
    vector = vectors()
    url, right, params = vector["url"], vector["signature"], vector["params"]
    assert accepts(url, right, params)
    assert accepts(url.replace(".com/", ".com:443/"), right, params)
    assert accepts(url.replace(".com/", ".com:1234/"), right, params)
    assert accepts(f"{url}#rc=2", right, params)
    assert accepts(url, right, dict(reversed(params.items())))
    assert not accepts(url.replace("https", "http"), right, params)
    assert not accepts(url.replace("bar=2", "bar=3"), right, params)
    assert not accepts(url, right, params | {"Digits": "1235"})
    assert not accepts(url, right, params | {"Added": ""})
    http = vector["url_with_port_1234_http"]
    assert accepts(http["url"], http["signature"], params)


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
def test_a_repeated_field_is_signed_once_for_each_value() -> None:
    vector = vectors()
    pairs, right = [tuple(pair) for pair in vector["multi"]["params"]], vector["multi"]["signature"]
    assert accepts(vector["url"], right, pairs)
    assert accepts(vector["url"], right, pairs[:-1])
    assert not accepts(vector["url"], right, pairs[:-2])


def test_twilio_may_write_the_usual_port_where_we_do_not() -> None:
    body = urlencode(fields()).encode()
    for entered, signed in (
        (URL, URL.replace(".example/", ".example:443/")),
        (URL.replace(".example/", ".example:443/"), URL),
        (URL.replace("https", "http"), URL.replace("https", "http").replace(".example/", ".example:80/")),
    ):
        build(webhook_url=entered).verify(build(webhook_url=signed).sign(body), body)


@pytest.mark.parametrize("url", ["", "chat.example/x", "ftp://chat.example", "https://", "https://[", "https://a:b/x"])
def test_an_address_that_twilio_cannot_call_keeps_the_channel_off(url: str) -> None:
    with pytest.raises(ChannelMisconfigured, match=r"apps\.twilio\.main: webhook_url"):
        build(webhook_url=url)


@pytest.mark.parametrize("sid", ["", "AC1", f"SK{'0' * 32}", f"AC{'g' * 32}", f"AC{'0' * 32}/.."])
def test_an_account_that_is_none_keeps_the_channel_off(sid: str) -> None:
    with pytest.raises(ChannelMisconfigured, match="account_sid"):
        build(account_sid=sid)


@given(pairs=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6), data=st.data())
def test_a_signature_or_a_value_that_is_another_is_refused(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    body = urlencode(pairs).encode()
    right = TWILIO.sign(body)["x-twilio-signature"]
    TWILIO.verify({"x-twilio-signature": right}, body)
    at, bit = data.draw(st.integers(0, len(right) - 1)), data.draw(st.integers(0, 6))
    wrong = right[:at] + chr(ord(right[at]) ^ (1 << bit)) + right[at + 1 :]
    with pytest.raises(SignatureInvalid):
        TWILIO.verify({"x-twilio-signature": wrong}, body)
    if pairs:
        at = data.draw(st.integers(0, len(pairs) - 1))
        changed = [*pairs[:at], (pairs[at][0], f"{pairs[at][1]}x"), *pairs[at + 1 :]]
        # Twilio signs names and values run together, and a repeated pair once.
        if "".join(map("".join, sorted(set(changed)))) != "".join(map("".join, sorted(set(pairs)))):
            with pytest.raises(SignatureInvalid):
                TWILIO.verify({"x-twilio-signature": right}, urlencode(changed).encode())


@given(header=st.text(max_size=60), body=st.binary(max_size=60))
def test_a_made_up_signature_is_refused_and_never_an_error(header: str, body: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        TWILIO.verify({"x-twilio-signature": header}, body)


# Parsers under anything.


@given(
    changed=st.dictionaries(
        st.sampled_from([*fields(), "MessageStatus", "OptOutType", "ButtonText"]), st.none() | st.text(max_size=20)
    )
)
def test_a_form_with_any_values_is_read_or_refused_as_invalid(changed: dict[str, str | None]) -> None:
    check(parse_body, IGNORED_REASONS, urlencode(fields(**changed)).encode())


@given(body=st.binary(max_size=200) | st.text(alphabet="MessageSidFromTo=&%+0aF", max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused_as_invalid(body: bytes) -> None:
    check(parse_body, IGNORED_REASONS, body)


@given(data=st.data())
def test_cut_and_spliced_bytes_are_read_or_refused_as_invalid(data: st.DataObject) -> None:
    body = urlencode(fields(Body="é 😀")).encode()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    check(parse_body, IGNORED_REASONS, body[:start] + data.draw(st.binary(max_size=8)) + body[end:])


@given(text=st.text(max_size=60), message_id=st.text(min_size=1, max_size=20), account=st.sampled_from([SMS, WHATSAPP]))
def test_what_is_simulated_is_read_again(text: str, message_id: str, account: str) -> None:
    text = text.replace("\x00", "")
    inbound = parse_body(TWILIO.simulate(text, account=account, message_id=message_id, sender=PERSON))
    assert [one.text for one in inbound.messages] == [text] or inbound.ignored
    assert all(one.account == account for one in inbound.messages)


# What goes out.


def rendered(written: str, *sources: Source, account: str = SMS, to: str = PERSON) -> list[Request]:
    return list(TWILIO.render(OutboundReply(account, {"to": to}, written, "out-1", sources)))


def body_of(written: str, *sources: Source, account: str = SMS, to: str = PERSON) -> object:
    (request,) = rendered(written, *sources, account=account, to=to)
    return request.fields["Body"]


def test_a_reply_is_a_form_from_the_number_that_was_written_to() -> None:
    (request,) = rendered("Hi")
    assert request.url == f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json"
    assert request.json is None
    assert request.form == {"To": PERSON, "From": SMS, "Body": "Hi", "StatusCallback": URL}
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode() == f"{SID}:{'s' * 32}"


@pytest.mark.parametrize(
    ("markdown", "sms", "whatsapp"),
    [
        pytest.param("**b** *i* ~~s~~ `c`", "b i s c", "*b* _i_ ~s~ `c`", id="styles"),
        pytest.param("# Head\n- a\n- b", "Head\n\n- a\n- b", "*Head*\n\n• a\n• b", id="heading and list"),
        pytest.param("[us](https://a.b/?c&d)", "us (https://a.b/?c&d)", "us (https://a.b/?c&d)", id="link"),
        pytest.param("“It’s” – 5 €", '"It\'s" - 5 €', "“It’s” – 5 €", id="typography"),
        pytest.param("“It’s” 😀", "“It’s” 😀", "“It’s” 😀", id="typography that saves nothing"),
        pytest.param("- été [1].", "- été [1].", "• été [1].", id="letters of GSM-7"),
        pytest.param("a & <b> @ann", "a & <b> @ann", "a & <b> @ann", id="no escapes"),
    ],
)
def test_markdown_is_written_for_the_way_it_goes(markdown: str, sms: str, whatsapp: str) -> None:
    assert body_of(markdown) == sms
    assert body_of(markdown, account=WHATSAPP, to=WA_PERSON) == whatsapp


def test_sources_stand_at_the_end() -> None:
    assert body_of("Yes [1].", Source(1, "Returns", "returns.md")) == "Yes [1].\n\n[1] Returns"


def test_a_bullet_costs_no_more_than_a_dash() -> None:
    written = str(body_of("- A line of a list that is as long as lines are, with an end.\n- And one more."))
    assert segments(written) == Segments("GSM-7", 1)
    assert segments(written.replace("- ", "• ")) == Segments("UCS-2", 2)


def test_a_long_reply_is_split_where_twilio_says() -> None:
    platform = FakePlatform(STAND_IN)
    receipts = [TWILIO.receipt(*platform(request)) for request in rendered("A sentence that fills it. " * 200)]
    assert [len(text) for text in platform.texts] == [1585, 1585, 1585, 441]
    assert len(set(receipts)) == 4


def failure(status: int, body: object, **headers: str) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        TWILIO.receipt(status, headers, json.dumps(body).encode())
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        pytest.param(429, 20429, True, id="rate"),
        pytest.param(429, 14107, True, id="rate of messages"),
        pytest.param(400, 21611, True, id="our queue is full"),
        pytest.param(400, 63018, True, id="rate of WhatsApp"),
        pytest.param(400, 30001, True, id="queue"),
        pytest.param(400, 21610, False, id="unsubscribed"),
        pytest.param(400, 21211, False, id="no number"),
        pytest.param(400, 63016, False, id="window closed"),
        pytest.param(401, 20003, False, id="token"),
        pytest.param(503, 21610, False, id="unsubscribed, whatever the status"),
        pytest.param(429, 30007, False, id="spam, whatever the status"),
        pytest.param(400, 99999, False, id="unknown code, our fault by status"),
        pytest.param(503, 99999, True, id="unknown code, their fault by status"),
    ],
)
def test_a_refusal_is_decided_on_the_code(status: int, code: int, retryable: bool) -> None:
    error = failure(status, {"code": code, "message": f"to {PERSON}", "status": status})
    assert (error.retryable, error.code) == (retryable, str(code))
    assert PERSON not in str(error)


@pytest.mark.parametrize(("code", "retryable"), [(30001, True), (30005, False), (99999, False)])
def test_a_message_that_failed_at_once_is_no_receipt(code: int, retryable: bool) -> None:
    error = failure(201, {"sid": "SM1", "status": "failed", "error_code": code})
    assert (error.retryable, error.code) == (retryable, str(code))


@pytest.mark.parametrize("body", [{"code": "21610"}, {"code": True}, [], 7, None])
def test_an_answer_of_another_shape_is_decided_on_the_status(body: object) -> None:
    assert failure(503, body).retryable
    assert failure(200, body).retryable
    assert not failure(404, body).retryable
    assert failure(429, body, **{"retry-after": "7"}).retry_after_s == 7.0


def test_what_was_taken_without_a_readable_id_is_not_sent_again() -> None:
    assert TWILIO.receipt(201, {}, b"<html>") == ""
    assert TWILIO.receipt(201, {}, b'{"sid":"SM1","error_code":null}') == "SM1"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"From": SMS, "Body": "Hi"}, 21604),
        ({"To": PERSON, "Body": "Hi"}, 21603),
        ({"To": PERSON, "From": SMS, "Body": " "}, 21602),
        ({"To": PERSON, "From": SMS, "Body": "x" * 1601}, 21617),
        ({"To": "15550100123", "From": SMS, "Body": "Hi"}, 21211),
        ({"To": PERSON, "From": "Shop", "Body": "Hi"}, 21212),
        ({"To": WA_PERSON, "From": SMS, "Body": "Hi"}, 21910),
    ],
)
def test_the_stand_in_refuses_what_twilio_would(form: dict[str, str], code: int) -> None:
    (genuine,) = rendered("Hi")
    call = Request("POST", genuine.url, genuine.headers, form=form)
    status, _, body = STAND_IN.answer(call, number=1)
    assert (status, json.loads(body)["code"]) == (400, code)


def test_the_stand_in_knows_its_account() -> None:
    (genuine,) = rendered("Hi")
    wrong = base64.b64encode(f"AC{'1' * 32}:word".encode()).decode()
    for header in ("", "Bearer x", "Basic", "Basic é", f"Basic {wrong}", f"Basic {base64.b64encode(b'x').decode()}"):
        call = Request("POST", genuine.url, {"Authorization": header}, form=genuine.form)
        assert STAND_IN.answer(call, number=1)[0] == 401
    elsewhere = Request("POST", genuine.url.replace("Messages", "Calls"), genuine.headers, form=genuine.form)
    assert STAND_IN.answer(elsewhere, number=1)[0] == 404


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        pytest.param("", "GSM-7", 0, id="nothing"),
        pytest.param("x" * 160, "GSM-7", 1, id="one whole segment"),
        pytest.param("x" * 161, "GSM-7", 2, id="one more character"),
        pytest.param("x" * 306, "GSM-7", 2, id="two whole ones"),
        pytest.param("x" * 307, "GSM-7", 3, id="and one more"),
        pytest.param("x" * 1600, "GSM-7", 11, id="Twilio's longest"),
        pytest.param("€" * 80, "GSM-7", 1, id="escaped characters take two places"),
        pytest.param("€" * 81, "GSM-7", 2, id="and are not cut: 76 a segment"),
        pytest.param("€" * 153, "GSM-7", 3, id="153 of them are 306 places, in 76 and 76 and 1"),
        pytest.param("x" * 159 + "{", "GSM-7", 2, id="an escaped one too many"),
        pytest.param("Ääöñ ÅÇ ΔΩ ¿¡ £¥§", "GSM-7", 1, id="letters of GSM-7"),
        pytest.param("ç", "UCS-2", 1, id="small ç is none of them"),
        pytest.param("é" * 160, "GSM-7", 1, id="é is"),
        pytest.param("ع" * 70, "UCS-2", 1, id="70 of other letters"),
        pytest.param("ع" * 71, "UCS-2", 2, id="71"),
        pytest.param("ع" * 134, "UCS-2", 2, id="twice 67"),
        pytest.param("ع" * 135, "UCS-2", 3, id="one more than that"),
        pytest.param("😀" * 35, "UCS-2", 1, id="an emoji takes two places"),
        pytest.param("😀" * 66, "UCS-2", 2, id="and is not cut: 33 a segment"),
        pytest.param("😀" * 67, "UCS-2", 3, id="67 of them are 134 places, in 33 and 33 and 1"),
        pytest.param("x" * 69 + "’", "UCS-2", 1, id="one quote moves all to UCS-2"),
        pytest.param("x" * 70 + "’", "UCS-2", 2, id="where it costs a second segment"),
        pytest.param("x" * 1600 + "’", "UCS-2", 24, id="or thirteen more"),
    ],
)
def test_an_sms_takes_this_many_segments(text: str, encoding: str, count: int) -> None:
    found = segments(text)
    assert (found.encoding, found.count) == (encoding, count)
