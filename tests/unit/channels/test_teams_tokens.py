"""Who may speak to a Teams bot, and with what it answers: Microsoft's keys, tokens, addresses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from channels.base import OutboundReply, Request
from channels.errors import ChannelMisconfigured, DeliveryFailed, NotReady, SignatureInvalid, StaleRequest
from channels.registry import PLATFORMS, build_channel
from channels.teams import TeamsChannel
from channels.teams.addresses import is_trusted
from channels.teams.signing_keys import METADATA_URL
from channels.teams.stand_in import made_up_key

APP = "00000000-0000-4000-8000-000000000001"
API = "https://smba.trafficmanager.net/teams"
SERVICE = "https://smba.trafficmanager.net/emea/"
KEYS_URL = "https://login.botframework.com/v1/.well-known/keys"
LOGIN = "https://login.microsoftonline.com/botframework.com/oauth2/v2.0/token"
DAY_S = 24 * 3600.0
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


def jwk(key: rsa.RSAPrivateKey, kid: str, **more: object) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "endorsements": ["msteams"], **more}


def metadata(**changes: object) -> bytes:
    return json.dumps({"issuer": "https://api.botframework.com", "jwks_uri": KEYS_URL, **changes}).encode()


def key_set(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def bot(clock: Clock, *, tenant: str | None = None, **secrets: str) -> TeamsChannel:
    settings = {"app_id": APP} | ({"app_tenant": tenant} if tenant else {})
    channel = build_channel(
        "teams",
        app="main",
        secrets={"app_password": "pass~word", **secrets},
        settings=settings,
        api_url=API,
        clock=clock,
    )
    assert isinstance(channel, TeamsChannel)
    return channel


def urls(channel: TeamsChannel) -> list[str]:
    return [call.url for call in channel.needs()]


def learn(channel: TeamsChannel, url: str, body: bytes, status: int = 200) -> None:
    channel.learn(Request("GET", url, {}), status, {}, body)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ready(clock: Clock) -> TeamsChannel:
    """A bot that knows Microsoft's keys: one for Teams, one for another channel, one that names none."""
    channel = bot(clock)
    learn(channel, METADATA_URL, metadata())
    web = jwk(OTHER, "web", endorsements=["webchat"])
    learn(channel, KEYS_URL, key_set(jwk(PRIVATE, "k1"), web, jwk(OTHER, "any", endorsements=None)))
    return channel


BODY = json.dumps({"type": "message", "id": "1", "channelId": "msteams", "serviceUrl": SERVICE}).encode()


def claims(clock: Clock, **changes: object) -> dict[str, Any]:
    now = int(clock.now_s)
    made = {"iss": "https://api.botframework.com", "aud": APP, "nbf": now, "exp": now + 3600, "serviceurl": SERVICE}
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def bearer(payload: dict[str, Any], *, key: Any = PRIVATE, algorithm: str = "RS256", kid: str | None = "k1") -> str:
    """Also with claims of a shape that PyJWT itself would not sign."""
    body = json.dumps(payload).encode()
    return "Bearer " + jwt.PyJWS().encode(body, key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def check(channel: TeamsChannel, authorization: str, body: bytes = BODY) -> None:
    channel.verify({"authorization": authorization}, body)


@pytest.mark.parametrize("audience", [APP, f"api://{APP}", f"api://botid-{APP}", ["x", APP]])
@pytest.mark.parametrize("service", [SERVICE, SERVICE.rstrip("/")])
def test_a_genuine_token_is_accepted(ready: TeamsChannel, clock: Clock, audience: object, service: str) -> None:
    check(ready, bearer(claims(clock, aud=audience, serviceurl=service)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": "00000000-0000-4000-8000-000000000002"}, id="another bot"),
        pytest.param({"aud": APP.replace("-", "")}, id="audience spelt otherwise"),
        pytest.param({"aud": ""}, id="empty audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"aud": {"a": APP}}, id="audience of another shape"),
        pytest.param({"iss": "https://api.botframework.com/"}, id="issuer with a slash"),
        pytest.param({"iss": "https://sts.windows.net/x/"}, id="another issuer"),
        pytest.param({"iss": ["https://api.botframework.com"]}, id="issuer of another shape"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"exp": "soon"}, id="expiry is no number"),
        pytest.param({"exp": True}, id="expiry is a truth"),
        pytest.param({"exp": float("nan")}, id="expiry is not a number"),
        pytest.param({"exp": float("inf")}, id="no end"),
        pytest.param({"nbf": []}, id="start of another shape"),
        pytest.param({"sub": 7}, id="subject of another shape"),
        pytest.param({"serviceurl": None}, id="no serviceurl"),
        pytest.param({"serviceurl": ""}, id="empty serviceurl"),
        pytest.param({"serviceurl": [SERVICE]}, id="serviceurl of another shape"),
        pytest.param({"serviceurl": "https://smba.trafficmanager.net/amer/"}, id="another serviceurl"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(ready: TeamsChannel, clock: Clock, changes: dict[str, object]) -> None:
    with pytest.raises(SignatureInvalid):
        check(ready, bearer(claims(clock, **changes)))


def test_times_have_five_minutes_either_way(ready: TeamsChannel, clock: Clock) -> None:
    now = int(clock.now_s)
    check(ready, bearer(claims(clock, exp=now - 299)))
    check(ready, bearer(claims(clock, nbf=now + 299, iat=now + 299)))
    for changes in ({"exp": now - 300}, {"exp": now - 9 * 86_400}, {"nbf": now + 301}, {"iat": now + 301}):
        with pytest.raises(StaleRequest):
            check(ready, bearer(claims(clock, **changes)))


def test_only_rs256_will_do(ready: TeamsChannel, clock: Clock) -> None:
    payload = claims(clock)
    pem = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{part(payload)}"
    mac = base64.urlsafe_b64encode(hmac.new(pem, body.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    unsigned = f"{part({'alg': 'none', 'kid': 'k1'})}.{part(payload)}"
    genuine = bearer(payload)
    signature = genuine.rpartition(".")[2]
    for wrong in (
        f"Bearer {body}.{mac}",
        f"Bearer {unsigned}.",
        f"Bearer {unsigned}.{signature}",
        bearer(payload, algorithm="RS512"),
        bearer(payload, algorithm="PS256"),
        bearer(payload, key=OTHER),
        bearer(payload, kid=None),
    ):
        with pytest.raises(SignatureInvalid):
            check(ready, wrong)
    check(ready, genuine)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer ..",
        "Basic YTpi",
        f"Bearer {'[' * 5000}.a.b",
        f"Bearer {base64.urlsafe_b64encode(b'[' * 6000).decode()}.AA.AA",
        f"Bearer {base64.urlsafe_b64encode(b'[]]').decode()}.AA.AA",
        f"Bearer {part({'alg': 'RS256', 'kid': ['k1']})}.{part({})}.AAAA",
        f"Bearer {part({'alg': ['RS256'], 'kid': 'k1'})}.{part({})}.AAAA",
        f"Bearer {part({'alg': 'RS256', 'kid': 'k1', 'crit': ['x']})}.{part({})}.AAAA",
        f"Bearer {part({'alg': 'RS256', 'kid': 'k1', 'b64': False})}.{part({})}.AAAA",
        f"Bearer {'A' * 20_000}.AA.AA",
    ],
    ids=lambda text: text[:30] or "empty",
)
def test_what_is_no_token_is_refused_and_never_an_error(ready: TeamsChannel, authorization: str) -> None:
    with pytest.raises(SignatureInvalid):
        check(ready, authorization)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"serviceUrl": 7}', b"\xff", b"[" * 100_000])
def test_a_token_for_no_activity_is_refused(ready: TeamsChannel, clock: Clock, body: bytes) -> None:
    for service in (SERVICE, ""):
        with pytest.raises(SignatureInvalid):
            check(ready, bearer(claims(clock, serviceurl=service)), body)


def test_a_key_is_good_for_the_channels_it_is_endorsed_for(ready: TeamsChannel, clock: Clock) -> None:
    with pytest.raises(SignatureInvalid):
        check(ready, bearer(claims(clock), key=OTHER, kid="web"))
    check(ready, bearer(claims(clock), key=OTHER, kid="any"))


@pytest.mark.parametrize(
    "url",
    [
        SERVICE,
        "https://smba.trafficmanager.net",
        "https://smba.trafficmanager.net:443/amer/",
        "https://smba.infra.gcc.teams.microsoft.com/teams",
        "https://europe.botframework.com/x-y_z~1/",
    ],
)
def test_microsofts_addresses_are_trusted(url: str) -> None:
    assert is_trusted(url, api_url=API)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://smba.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net:8443/",
        "https://evil.trafficmanager.net/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://smba.trafficmanager.net@evil.example/",
        "https://evil.example\\@smba.trafficmanager.net/",
        "https://evil.example#smba.trafficmanager.net/",
        "https://smba.trafficmanager.net/?x=y",
        "https://smba.trafficmanager.net/#x",
        "https://smba.trafficmanager.net/\n",
        "https://smba.trafficmanager.net/%2e%2e",
        "https://evilbotframework.com/",
        "https://botframework.com.evil.example/",
        "https://teams.microsoft.com.evil.example/",
        "https://[::1]/",
        "https://smba.trafficmanager.net/é",
        "https://smba.trafficmanager.net:٤٤٣/",
        "https://ｓmba.trafficmanager.net/",
        "//smba.trafficmanager.net/",
        "file://smba.trafficmanager.net/",
    ],
)
def test_a_token_of_ours_goes_nowhere_else(ready: TeamsChannel, clock: Clock, url: str) -> None:
    assert not is_trusted(url, api_url=API)
    body = json.dumps({"type": "message", "channelId": "msteams", "serviceUrl": url}).encode()
    with pytest.raises(SignatureInvalid):
        check(ready, bearer(claims(clock, serviceurl=url)), body)
    learn(ready, LOGIN, b'{"access_token":"t","expires_in":3599}')
    reply_to = {"service_url": url, "conversation": "c", "activity": "1", "bot": "28:b", "person": "29:p"}
    with pytest.raises(DeliveryFailed) as caught:
        ready.render(OutboundReply("t", reply_to, "Hi", "k"))
    assert not caught.value.retryable


def test_the_simulators_own_address_is_trusted_with_its_port_and_no_other() -> None:
    api = "http://127.0.0.1:8000/simulator/teams"
    assert is_trusted(api, api_url=api)
    assert not is_trusted("http://127.0.0.1:8001/simulator/teams", api_url=api)
    assert not is_trusted("https://127.0.0.1:8000/simulator/teams", api_url=api)


# What is fetched.


def test_the_metadata_comes_before_the_keys_and_the_token_beside_them(clock: Clock) -> None:
    channel = bot(clock)
    assert urls(channel) == [METADATA_URL, LOGIN]
    with pytest.raises(NotReady):
        check(channel, bearer(claims(clock)))
    learn(channel, METADATA_URL, metadata())
    assert urls(channel) == [KEYS_URL, LOGIN]
    learn(channel, KEYS_URL, key_set(jwk(PRIVATE, "k1")))
    assert urls(channel) == [LOGIN]
    check(channel, bearer(claims(clock)))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, metadata()),
        (200, b"<html>"),
        (200, metadata(issuer="https://evil.example")),
        (200, metadata(jwks_uri="https://evil.example/keys")),
        (200, metadata(jwks_uri="http://login.botframework.com/keys")),
        (200, metadata(jwks_uri="https://login.botframework.com@evil.example/keys")),
        (200, metadata(jwks_uri="https://login.botframework.com.evil.example/keys")),
        (200, metadata(jwks_uri=None)),
    ],
)
def test_metadata_that_is_not_the_bot_frameworks_leads_nowhere(clock: Clock, status: int, body: bytes) -> None:
    channel = bot(clock)
    with pytest.raises(DeliveryFailed):
        learn(channel, METADATA_URL, body, status)
    assert urls(channel) == [METADATA_URL, LOGIN]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"keys": 7}',
        key_set(),
        key_set({"kty": "EC", "kid": "k1"}),
        key_set({"kty": "RSA", "kid": "k1", "n": "AQAB", "e": "AQAB"}),
        key_set({"kty": "RSA", "kid": "k1", "n": 7, "e": None}),
        key_set({**jwk(PRIVATE, "k1"), "kid": 7}),
        key_set({"kty": "RSA", "kid": "k1", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\xff" * 128).decode()}),
    ],
    ids=range(9),
)
def test_keys_that_are_none_do_not_take_the_place_of_those_that_are(
    ready: TeamsChannel, clock: Clock, body: bytes
) -> None:
    clock.now_s += DAY_S - 1
    assert METADATA_URL in urls(ready)
    learn(ready, METADATA_URL, metadata())
    with pytest.raises(DeliveryFailed):
        learn(ready, KEYS_URL, body)
    check(ready, bearer(claims(clock)))


def test_keys_are_asked_for_again_after_23_hours_and_gone_after_24(ready: TeamsChannel, clock: Clock) -> None:
    clock.now_s += 23 * 3600 - 1
    assert METADATA_URL not in urls(ready)
    clock.now_s += 1
    assert METADATA_URL in urls(ready)
    clock.now_s += 3599
    check(ready, bearer(claims(clock)))
    clock.now_s += 1
    with pytest.raises(NotReady):
        check(ready, bearer(claims(clock)))


def test_an_unknown_key_leads_to_one_new_fetch_in_five_minutes(ready: TeamsChannel, clock: Clock) -> None:
    with pytest.raises(SignatureInvalid):
        check(ready, bearer(claims(clock), key=OTHER, kid="k2"))
    assert METADATA_URL not in urls(ready)
    clock.now_s += 300
    with pytest.raises(NotReady):
        check(ready, bearer(claims(clock), key=OTHER, kid="k2"))
    assert METADATA_URL in urls(ready)
    check(ready, bearer(claims(clock)))
    learn(ready, METADATA_URL, metadata())
    learn(ready, KEYS_URL, key_set(jwk(OTHER, "k2")))
    check(ready, bearer(claims(clock), key=OTHER, kid="k2"))
    with pytest.raises(SignatureInvalid):
        check(ready, bearer(claims(clock)))


def test_nonsense_has_us_fetch_nothing(ready: TeamsChannel, clock: Clock) -> None:
    clock.now_s += 600
    for nonsense in ("", "Bearer a.b.c", f"Bearer {part({'alg': 'none', 'kid': 'k9'})}.{part({})}.AAAA"):
        with pytest.raises(SignatureInvalid):
            check(ready, nonsense)
    assert METADATA_URL not in urls(ready)


# The token to send with.


def test_a_token_is_got_for_the_password_which_stands_in_no_form(clock: Clock) -> None:
    call = bot(clock, tenant="7e1a0a4a-5c3d-4e88-8f10-92b7c6d50a01").needs()[-1]
    assert call.url == "https://login.microsoftonline.com/7e1a0a4a-5c3d-4e88-8f10-92b7c6d50a01/oauth2/v2.0/token"
    assert call.form == {"grant_type": "client_credentials", "scope": "https://api.botframework.com/.default"}
    assert base64.b64decode(call.headers["authorization"].removeprefix("Basic ")) == f"{APP}:pass~word".encode()
    assert "pass~word" not in repr(call)


def test_a_token_is_kept_until_five_minutes_before_its_end(clock: Clock) -> None:
    channel = bot(clock)
    learn(channel, LOGIN, b'{"token_type":"Bearer","access_token":"tok-1","expires_in":3599}')
    assert LOGIN not in urls(channel)
    clock.now_s += 3599 - 301
    assert LOGIN not in urls(channel)
    clock.now_s += 1
    assert LOGIN in urls(channel)


REPLY_TO = {
    "service_url": SERVICE,
    "conversation": "19:a@b;messageid=5",
    "activity": "7/8",
    "bot": "28:b",
    "person": "29:p",
}


def test_without_a_token_a_reply_is_put_off_and_no_sign_given(clock: Clock) -> None:
    channel = bot(clock)
    with pytest.raises(DeliveryFailed) as caught:
        channel.render(OutboundReply("t", REPLY_TO, "Hi", "k"))
    assert caught.value.retryable
    assert channel.typing("t", REPLY_TO) == ()


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (400, b'{"error":"unauthorized_client"}', False),
        (401, b'{"error":"invalid_client"}', False),
        (429, b"", True),
        (503, b"<html>", True),
        (200, b"{}", True),
        (200, b'{"access_token":"","expires_in":3599}', True),
        (200, b'{"access_token":"a b","expires_in":3599}', True),
        (200, b'{"access_token":"a\\r\\nx","expires_in":3599}', True),
        (200, b'{"access_token":"a","expires_in":"3599"}', True),
        (200, b'{"access_token":"a","expires_in":0}', True),
        (200, b'{"access_token":"a","expires_in":true}', True),
    ],
)
def test_an_answer_without_a_usable_token_is_none(clock: Clock, status: int, body: bytes, retryable: bool) -> None:
    channel = bot(clock)
    with pytest.raises(DeliveryFailed) as caught:
        learn(channel, LOGIN, body, status)
    assert caught.value.retryable is retryable
    assert LOGIN in urls(channel)


def test_a_token_that_is_not_taken_is_got_anew(clock: Clock) -> None:
    channel = bot(clock)
    learn(channel, LOGIN, b'{"access_token":"tok-1","expires_in":3599}')
    with pytest.raises(DeliveryFailed) as caught:
        channel.receipt(401, {}, b'{"error":{"code":"Unauthorized"}}')
    assert caught.value.retryable
    assert LOGIN in urls(channel)


# What is sent.


def test_a_reply_is_one_activity_a_part_in_answer_to_the_same_one(clock: Clock) -> None:
    channel = bot(clock)
    learn(channel, LOGIN, b'{"access_token":"tok-1","expires_in":3599}')
    first, second = channel.render(OutboundReply("t", REPLY_TO, "A sentence of some length. " * 200, "out-1"))
    assert first.url == f"{SERVICE}v3/conversations/19%3Aa%40b%3Bmessageid%3D5/activities/7%2F8" == second.url
    assert first.headers["authorization"] == "Bearer tok-1"
    assert {**first.fields, "text": "..."} == {
        "type": "message",
        "from": {"id": "28:b"},
        "recipient": {"id": "29:p"},
        "conversation": {"id": "19:a@b;messageid=5"},
        "replyToId": "7/8",
        "text": "...",
        "textFormat": "markdown",
    }
    (sign,) = channel.typing("t", REPLY_TO)
    assert sign.url == f"{SERVICE}v3/conversations/19%3Aa%40b%3Bmessageid%3D5/activities"
    assert sign.fields["type"] == "typing"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (412, "PreconditionFailed", True),
        (429, "Throttled", True),
        (500, "ServiceError", True),
        (502, "ServiceError", True),
        (504, "", True),
        (400, "BadArgument", False),
        (403, "ConversationBlockedByUser", False),
        (403, "BotNotInConversationRoster", False),
        (404, "ConversationNotFound", False),
        (413, "MessageSizeTooBig", False),
    ],
)
def test_teams_is_decided_on_the_status(clock: Clock, status: int, code: str, retryable: bool) -> None:
    body = json.dumps({"error": {"code": code, "message": "to 29:person"}}).encode()
    with pytest.raises(DeliveryFailed) as caught:
        bot(clock).receipt(status, {"retry-after": "7"}, body)
    error = caught.value
    assert (error.retryable, error.code, error.retry_after_s) == (retryable, code or str(status), 7.0)
    assert "29:" not in str(error)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"error":7}', b'{"error":{"code":{"a":1}}}', b'{"error":{"code":"to 29:p"}}']
)
def test_a_refusal_of_another_shape_is_told_by_its_status(clock: Clock, body: bytes) -> None:
    with pytest.raises(DeliveryFailed, match="HTTP 403"):
        bot(clock).receipt(403, {}, body)


# The simulator.


def test_the_simulators_channel_trusts_its_own_key_only_and_signs_in_at_its_own_address(clock: Clock) -> None:
    channel = bot(clock, private_key=made_up_key())
    assert urls(channel) == [f"{API}/botframework.com/oauth2/v2.0/token"]
    body = channel.simulate("Hi", account="t", message_id="1", sender="29:p")
    channel.verify(channel.sign(body), body)
    for other in (bot(clock, private_key=made_up_key()).sign(body)["authorization"], bearer(claims(clock))):
        with pytest.raises(SignatureInvalid):
            channel.verify({"authorization": other}, body)


def test_without_its_key_nobody_can_sign(clock: Clock) -> None:
    with pytest.raises(ChannelMisconfigured):
        bot(clock).sign(BODY)


@pytest.mark.parametrize("key", ["x", "eA==", "", base64.b64encode(b"-----BEGIN PRIVATE KEY-----\n").decode()])
def test_a_key_that_is_none_keeps_the_channel_off(clock: Clock, key: str) -> None:
    with pytest.raises(ChannelMisconfigured, match="private_key"):
        bot(clock, private_key=key)


@pytest.mark.parametrize("settings", [{}, {"app_id": ""}, {"app_id": "my bot"}, {"app_id": APP, "app_tenant": "a/b"}])
def test_an_id_of_no_use_keeps_the_channel_off(clock: Clock, settings: dict[str, str]) -> None:
    with pytest.raises(ChannelMisconfigured, match=r"apps\.teams\.main: app_"):
        build_channel("teams", app="main", secrets={"app_password": "x"}, settings=settings, api_url=API, clock=clock)


def test_the_stand_in_refuses_what_microsoft_would() -> None:
    stand_in = PLATFORMS["teams"].stand_in
    place = f"{SERVICE}v3/conversations/a/activities/1"
    good = {"type": "message", "from": {"id": "b"}, "conversation": {"id": "a"}, "replyToId": "1", "text": "Hi"}
    token = {"Authorization": "Bearer x"}

    def post(fields: dict[str, object], headers: Mapping[str, str] = token, url: str = place) -> int:
        return stand_in.answer(Request("POST", url, headers, fields), number=1)[0]

    assert post(good) == 201
    assert post(good, {}) == 401
    assert post({**good, "text": " "}) == post({**good, "type": "poke"}) == post({**good, "from": "b"}) == 400
    assert post({**good, "text": "x" * 14_400}) == post({**good, "text": "😀" * 7_200}) == 413
    assert post({**good, "text": "😀" * 6_000}) == 201
    assert post(good, url=f"{SERVICE}v3/conversations") == 404
    form = {"grant_type": "client_credentials", "scope": "s"}
    assert stand_in.answer(Request("POST", LOGIN, {"authorization": "Basic x"}, form=form), number=1)[0] == 200
    assert stand_in.answer(Request("POST", LOGIN, {}, form=form), number=1)[0] == 401
    assert stand_in.answer(Request("POST", LOGIN, {"authorization": "Basic x"}, form={}), number=1)[0] == 400
