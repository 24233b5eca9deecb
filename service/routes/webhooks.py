"""Where platforms deliver: verify over raw bytes, parse, commit, and only then say 200."""

from __future__ import annotations

import logging
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from channels.base import Channel, InboundMessage
from channels.errors import NotReady, PayloadInvalid, SignatureInvalid, StaleRequest
from configs.brand import Brand
from service import inbox, unbound
from service.bootstrap import Gateway
from service.bursts import patience_s
from service.errors import RequestInvalid
from service.told import readable, take_told

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Meta's largest webhook is 3 MB."""
MALFORMED = "malformed"
"""The reason that every channel gives for a part that is not of its platform's shape."""


def webhooks_router(gateway: Gateway) -> APIRouter:
    """The routes `/webhooks/<channel>/<app>`."""
    router = APIRouter(prefix="/webhooks", tags=["Webhooks"])
    intake = _Intake(gateway)

    @router.get("/{channel}/{app}")
    async def handshake(channel: str, app: str, request: Request) -> Response:
        """Answer a platform's check of this address."""
        platform = gateway.channels.get((channel, app))
        if platform is None:
            return PlainTextResponse("no such channel or app\n", 404)
        try:
            answer = platform.handshake(dict(request.query_params))
        except SignatureInvalid:
            gateway.metrics.webhooks.labels(channel, "handshake_refused").inc()
            return PlainTextResponse("forbidden\n", 403)
        return Response(answer.body, media_type=answer.content_type)

    @router.post("/{channel}/{app}")
    async def receive(channel: str, app: str, request: Request) -> Response:
        """Take a platform's events."""
        platform = gateway.channels.get((channel, app))
        if platform is None:
            return PlainTextResponse("no such channel or app\n", 404)
        body = await _body(request)
        headers = _headers(request)
        try:
            await gateway.fetcher.verify(platform, headers, body)
        except NotReady as error:
            # Neither taken nor refused: the platform sends it again.
            log.warning("webhook_not_checked", extra={"channel": channel, "app": app, "reason": str(error)})
            gateway.metrics.webhooks.labels(channel, "not_checked").inc()
            return PlainTextResponse("try again later\n", 503)
        except (SignatureInvalid, StaleRequest) as error:
            # One line without the body; the answer says nothing that helps to guess a signature.
            log.warning("webhook_refused", extra={"channel": channel, "app": app, "reason": type(error).__name__})
            gateway.metrics.webhooks.labels(channel, "refused").inc()
            return PlainTextResponse("unauthorized\n", 401)
        return await intake.take(platform, channel, app, body)

    return router


class _Intake:
    """Verified bodies to inbox rows."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._brands: dict[tuple[str, str, str], Brand] = {
            (binding.channel, binding.app, binding.account): brand
            for brand in gateway.config.brands.values()
            for binding in brand.channels
        }

    async def take(self, platform: Channel, channel: str, app: str, body: bytes) -> Response:
        """Store every message of a body; the answer is sent only after that."""
        gateway = self._gateway
        try:
            inbound = platform.parse(body)
        except PayloadInvalid as error:
            # Signed, so it is the platform's: refusing it would only make it come again. It is kept for a look.
            await unbound.keep(gateway.db, channel=channel, app=app, account="", reason=str(error), payload=body)
            gateway.metrics.webhooks.labels(channel, "unreadable").inc()
            # Without a word: Twilio would send it to the person.
            return Response()
        if MALFORMED in inbound.ignored:
            # Its siblings go on; the part itself lies in the body, which is kept for a look.
            await unbound.keep(gateway.db, channel=channel, app=app, account="", reason=MALFORMED, payload=body)
        for reason in inbound.ignored:
            gateway.metrics.ignored.labels(channel, reason).inc()
        for message in inbound.messages:
            brand = self._brands.get((channel, app, message.account))
            if brand is not None:
                await self._accept(brand, message)
                continue
            reason = f"{message.account} is bound to no brand"
            account = message.account
            await unbound.keep(gateway.db, channel=channel, app=app, account=account, reason=reason, payload=body)
            gateway.metrics.unbound.labels(channel).inc()
        await take_told(gateway, channel, app, inbound, {key[2] for key in self._brands if key[:2] == (channel, app)})
        gateway.metrics.webhooks.labels(channel, "taken").inc()
        if inbound.answer is not None:
            return Response(inbound.answer.body, media_type=inbound.answer.content_type)
        return PlainTextResponse("ok\n")

    async def _accept(self, brand: Brand, message: InboundMessage) -> None:
        accepted = await inbox.accept(self._gateway.db, brand.name, _readable(message, self._gateway))
        if accepted.duplicate:
            self._gateway.metrics.inbox_repeats.labels(message.channel).inc()
        news = not accepted.duplicate
        self._gateway.lanes.submit(accepted.conversation_id, wait_s=patience_s(message), news=news)


def _headers(request: Request) -> dict[str, str]:
    """By their names in lower case; one that comes twice is one value (RFC 9110, 5.3): no signature hides another."""
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
    return joined


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise RequestInvalid(f"The body is larger than {MAX_BODY_BYTES // 2**20} MiB.", code="too_large")
    return bytes(body)


def _readable(message: InboundMessage, gateway: Gateway) -> InboundMessage:
    """The message with a text that can be stored; what we cannot read is stored as empty and answered as such."""
    return replace(message, text=readable(message.text, gateway))
