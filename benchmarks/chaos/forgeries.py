"""Requests that a platform did not make: for each channel, as many kinds as its way of signing has weak places."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from benchmarks.chaos.delivery import App
from channels.base import Channel
from channels.registry import PLATFORMS, build_channel
from channels.testing import learn_all
from configs.secrets import read_secret
from configs.service import App as AppSettings

SIGNATURE: Mapping[str, str] = {
    "discord": "x-signature-ed25519",
    "instagram": "x-hub-signature-256",
    "line": "x-line-signature",
    "messenger": "x-hub-signature-256",
    "slack": "x-slack-signature",
    "teams": "authorization",
    "telegram": "x-telegram-bot-api-secret-token",
    "twilio": "x-twilio-signature",
    "whatsapp": "x-hub-signature-256",
}
STAMP: Mapping[str, str] = {"discord": "x-signature-timestamp", "slack": "x-slack-request-timestamp"}
BODY_UNSIGNED = frozenset({"teams", "telegram"})
"""What comes with their requests says nothing of the body."""
META = frozenset({"instagram", "messenger", "whatsapp"})

NO_MORE: Mapping[str, str] = MappingProxyType({})

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Forgery:
    """A request, byte for byte."""

    kind: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """An app under attack, and what a forger may build: the same app with other secrets or another clock."""

    app: App
    body: bytes
    settings: AppSettings
    other: App | None = None
    """Another tenant's app on the same platform, where it has one of its own."""

    def built(self, *, others_secrets: bool = False, off_s: float = 0.0) -> Channel:
        """The app's channel, changed."""
        known = {name: read_secret(secret, {}) for name, secret in self.settings.secrets().items()}
        made_up = PLATFORMS[self.app.channel.name].stand_in.made_up
        if others_secrets:
            known = {name: made_up.get(name, lambda: secrets.token_urlsafe(32))() for name in known}
        channel = build_channel(
            self.app.channel.name,
            app=self.app.name,
            secrets=known,
            settings=self.settings.settings(),
            api_url=self.settings.api_url,
            clock=lambda: time.time() + off_s,
        )
        learn_all(channel, PLATFORMS[self.app.channel.name].stand_in)
        return channel

    @property
    def right(self) -> str:
        """The signature that the platform would send now."""
        return self.app.channel.sign(self.body)[SIGNATURE[self.app.channel.name]]


def forgeries(target: Target, drawn: random.Random, flips: int) -> Iterator[Forgery]:
    """All that is tried on one app.

    Args:
        target: The app, with a genuine body.
        drawn: Chooses which bits are flipped.
        flips: Flipped bits of the signature, and as many of the body.
    """
    name = target.app.channel.name
    genuine = dict(target.app.channel.sign(target.body))
    right = genuine.pop(SIGNATURE[name])

    def signed(
        kind: str, *values: str | bytes, body: bytes = target.body, more: Mapping[str, str] = NO_MORE
    ) -> Forgery:
        wire = [(key.encode(), value.encode()) for key, value in {**genuine, **more}.items()]
        wire += [(SIGNATURE[name].encode(), one if isinstance(one, bytes) else one.encode()) for one in values]
        return Forgery(kind, wire, body)

    yield signed("unsigned")
    yield signed("unsigned", "")
    yield signed("wrong key", target.built(others_secrets=True).sign(target.body)[SIGNATURE[name]])
    if target.other is not None:
        yield signed("another tenant's key", target.other.channel.sign(target.body)[SIGNATURE[name]])
    for length in range(1, len(right), max(1, len(right) // 60)):
        yield signed("truncated", right[:length])
    for longer in (right + "0", right + "=", f"{right},{right}", f"{right};{right}"):
        yield signed("lengthened", longer)
    for wrong in (right[:-1] + "%", right[:-1] + "é", right[:-1] + "١", right.encode()[:-1] + b"\xe9", b"\xff\xfe"):
        yield signed("not hex or ASCII", wrong)
    if right.swapcase() != right:
        yield signed("not hex or ASCII", right.swapcase())
    wrong = _flipped(right, drawn)
    yield signed("header twice", wrong, wrong)
    yield signed("header twice", wrong, right)
    yield signed("header twice", right, wrong)
    for _ in range(flips):
        yield signed("bit flipped in the signature", _flipped(right, drawn))
    for kind, changed in () if name in BODY_UNSIGNED else _bodies(target.body, drawn, flips):
        yield signed(kind, right, body=changed)
    for kind, value, more in _of_its_kind(target, genuine):
        yield signed(kind, value, more=more)


def _bodies(body: bytes, drawn: random.Random, flips: int) -> Iterator[tuple[str, bytes]]:
    """The body changed after it was signed."""
    for _ in range(flips):
        at = drawn.randrange(len(body))
        yield "bit flipped in the body", body[:at] + bytes([body[at] ^ (1 << drawn.randrange(8))]) + body[at + 1 :]
    for changed in (body[:-1], body + b" ", b"", b"{}"):
        yield "another body", changed


def _of_its_kind(target: Target, genuine: Mapping[str, str]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """What is wrong in one platform's own way: kind, signature, further headers."""
    name, body = target.app.channel.name, target.body
    if name in STAMP:
        for off_s in (-86_400, -330, 330, 86_400):
            late = dict(target.built(off_s=off_s).sign(body))
            yield "stale or future stamp", late.pop(SIGNATURE[name]), late
        for stamp in ("", "now", "1e9", "-1", "9" * 400, str(int(time.time()) + 1)):
            yield "stamp that is none", target.right, {STAMP[name]: stamp}
    if name in META:
        right = target.right
        yield "empty secret", "sha256=" + hmac.new(b"", body, "sha256").hexdigest(), {}
        known = read_secret(target.settings.secrets()["app_secret"], {}) or ""
        old = hmac.new(known.encode(), body, "sha1").hexdigest()
        yield "SHA-1 in its place", f"sha1={old}", {"x-hub-signature": f"sha1={old}"}
        yield "SHA-1 in its place", f"sha256={old}", {}
        yield "another scheme", right.replace("sha256=", "SHA256="), {}
    yield from _keyless(target, genuine)
    if name == "teams":
        for kind, token in _tokens(target):
            yield kind, f"Bearer {token}", {}
        yield "another scheme", target.right.replace("Bearer", "Basic"), {}


def _keyless(target: Target, genuine: Mapping[str, str]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Signed with an empty key, or by another scheme than the platform's."""
    name, body = target.app.channel.name, target.body
    if name == "slack":
        base = b"v0:" + genuine[STAMP[name]].encode() + b":" + body
        yield "empty secret", "v0=" + hmac.new(b"", base, "sha256").hexdigest(), {}
        yield "another scheme", target.right.replace("v0=", "v1="), {}
        known = read_secret(target.settings.secrets()["signing_secret"], {}) or ""
        yield "SHA-1 in its place", "v0=" + hmac.new(known.encode(), base, "sha1").hexdigest(), {}
    if name == "line":
        yield "empty secret", base64.b64encode(hmac.new(b"", body, "sha256").digest()).decode(), {}
    if name == "twilio":
        pairs = "".join(key + value for key, value in sorted(parse_qsl(body.decode(), keep_blank_values=True)))
        text = target.settings.settings()["webhook_url"] + pairs
        yield "empty secret", base64.b64encode(hmac.new(b"", text.encode(), "sha1").digest()).decode(), {}
    if name == "discord":
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
        yield "empty secret", key.sign(genuine[STAMP[name]].encode() + body).hex(), {}


def _tokens(target: Target) -> Iterator[tuple[str, str]]:
    """Tokens that Microsoft did not make, or not for us, now, and this activity."""
    now = int(time.time())
    genuine = target.right.partition(" ")[2]
    claims = jwt.decode(genuine, options={"verify_signature": False})
    kid = jwt.get_unverified_header(genuine)["kid"]
    private = read_secret(target.settings.secrets()["private_key"], {}) or ""
    key = load_pem_private_key(base64.b64decode(private), None)
    assert isinstance(key, rsa.RSAPrivateKey)

    def made(
        with_key: Any = key, algorithm: str = "RS256", headers: Mapping[str, Any] | None = None, **changed: Any
    ) -> str:
        told = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(told, with_key, algorithm=algorithm, headers={"kid": kid, **(headers or {})})

    def none(alg: str) -> str:
        parts = [json.dumps({"alg": alg, "typ": "JWT", "kid": kid}), json.dumps(claims)]
        return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."

    for alg in ("none", "None", "NONE", ""):
        yield "JWT: none", none(alg)
    public = key.public_key()
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.PEM, PublicFormat.PKCS1),
    ):
        yield "JWT: HS256 with the public key", _hs256(public.public_bytes(encoding, form), claims, kid)
    yield "empty secret", _hs256(b"", claims, kid)
    yield "JWT: wrong audience", made(aud="00000000-0000-4000-8000-00000000000f")
    yield "JWT: wrong audience", made(aud=None)
    yield "JWT: wrong issuer", made(iss="https://api.botframework.example")
    yield "JWT: wrong issuer", made(iss=None)
    for exp in (now - 301, now - 86_400, None, "soon", -1):
        yield "JWT: expired", _unchecked(made, exp)
    yield "JWT: not valid yet", made(nbf=now + 600)
    for url in ("https://attacker.example/teams", "https://smba.trafficmanager.net.attacker.example/", None, ""):
        yield "JWT: another serviceUrl", made(serviceurl=url)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    yield "wrong key", made(stranger)
    yield "wrong key", made(stranger, headers={"kid": "another"})
    yield "wrong key", made(stranger, headers={"jwk": {"kty": "RSA"}, "jku": "https://attacker.example/keys"})
    yield "JWT: another algorithm", made(algorithm="PS256")
    yield "JWT: another algorithm", made(algorithm="RS512")


def _unchecked(made: Callable[..., str], exp: Any) -> str:
    return made(exp=exp)


def _hs256(secret: bytes, claims: Mapping[str, Any], kid: str) -> str:
    """By hand: the library refuses to take a public key as a secret, which an attacker does not mind."""
    parts = [json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}), json.dumps(claims)]
    text = ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return text + "." + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _flipped(text: str, drawn: random.Random) -> str:
    """One bit of one character; what HTTP would not carry, or trim, is another bit."""
    while True:
        at, bit = drawn.randrange(len(text)), drawn.randrange(7)
        changed = chr(ord(text[at]) ^ (1 << bit))
        if (
            changed.isprintable()
            and changed.isascii()
            and (flipped := text[:at] + changed + text[at + 1 :]).strip() != text
        ):
            return flipped
