"""Where platforms deliver: verify over raw bytes, parse, commit, and only then say 200."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from channels.base import Channel, Inbound, InboundMessage
from channels.errors import NotReady, PayloadInvalid, SignatureInvalid, StaleRequest
from service.bindings import unbound
from service.bootstrap import Gateway
from service.errors import RequestInvalid, StorageUnavailable
from service.told import readable, take_told

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Meta's largest webhook is 3 MB."""
ACK_SHARE = 0.75
"""Of a platform's deadline; the rest is for the way, and for a busy machine."""
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
        return await intake.take_in_time(platform, channel, app, body)

    return router


class _Intake:
    """Verified bodies to inbox rows."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._late: set[asyncio.Task[Response]] = set()

    async def take_in_time(self, platform: Channel, channel: str, app: str, body: bytes) -> Response:
        """`take`, answered before the platform hangs up, also where another process holds the database for longer.

        What is late goes on: where it is stored after all, it is known when the platform sends it again.

        Raises:
            Full: As `take`.
            StorageUnavailable: As `take`, or nobody knows yet.
        """
        taking = asyncio.create_task(self.take(platform, channel, app, body))
        await asyncio.wait({taking}, timeout=ACK_SHARE * platform.capabilities.ack_deadline_s)
        if taking.done():
            return taking.result()
        self._late.add(taking)
        taking.add_done_callback(self._ended_late)
        self._gateway.metrics.webhooks.labels(channel, "late").inc()
        raise StorageUnavailable("The database takes too long to take this. Deliver it again.")

    def _ended_late(self, taking: asyncio.Task[Response]) -> None:
        self._late.discard(taking)
        if not taking.cancelled() and (error := taking.exception()):
            log.warning("webhook_late", extra={"reason": str(error)[:300]})

    async def take(self, platform: Channel, channel: str, app: str, body: bytes) -> Response:
        """Store every message of a body; the answer is sent only after that.

        No limit of messages a minute here: a platform that is refused holds back everybody's messages, not one
        person's, and leaves us in the end. Who floods us is answered by one lane, all that came as one turn.

        Raises:
            Full: More wait than can be answered in time; nothing was stored.
            StorageUnavailable: Not all of it is stored; what is, is known when it comes again.
        """
        gateway = self._gateway
        try:
            inbound = platform.parse(body)
        except PayloadInvalid as error:
            # Signed, so it is the platform's: refusing it would only make it come again. It is kept for a look.
            await unbound.keep(gateway.db, channel=channel, app=app, account="", reason=str(error), payload=body)
            gateway.metrics.webhooks.labels(channel, "unreadable").inc()
            # Without a word: Twilio would send it to the person.
            return Response()
        if inbound.messages:
            gateway.lanes.admit_delivery()
        if MALFORMED in inbound.ignored:
            # Its siblings go on; the part itself lies in the body, which is kept for a look.
            await unbound.keep(gateway.db, channel=channel, app=app, account="", reason=MALFORMED, payload=body)
        for reason in inbound.ignored:
            gateway.metrics.ignored.labels(channel, reason).inc()
        for message in inbound.messages:
            if not await gateway.team.take(app, message):
                await self._accept(channel, app, message, body)
        for message in inbound.overheard:
            await gateway.team.take(app, message)
        await self._take_rest(platform, channel, app, inbound)
        gateway.metrics.webhooks.labels(channel, "taken").inc()
        if inbound.answer is not None:
            return Response(inbound.answer.body, media_type=inbound.answer.content_type)
        # Without a word: some platforms would show it to the person whose button or command this was.
        return Response()

    async def _take_rest(self, platform: Channel, channel: str, app: str, inbound: Inbound) -> None:
        """What is no message: installations that ended, thumbs, what the platform tells of messages."""
        gateway = self._gateway
        for removal in inbound.removals:
            if await gateway.installations.remove(channel, app, removal):
                log.info("installation_removed", extra={"channel": channel, "app": app})
        for rating in inbound.ratings:
            brand_name = await gateway.ratings.take(channel, app, platform, rating)
            gateway.metrics.told.labels(channel, "rating" if brand_name else "rating_unmatched").inc()
            if brand_name:
                gateway.metrics.feedback.labels(brand_name, rating.value).inc()
        await take_told(gateway, channel, app, inbound, gateway.installations.accounts(channel, app))
        if channel == "slack":
            await gateway.team.edited(inbound.edits)

    async def _accept(self, channel: str, app: str, message: InboundMessage, body: bytes) -> None:
        gateway, account = self._gateway, message.account
        brand = await gateway.installations.brand(channel, app, account)
        if brand is None:
            reason = f"{account} is bound to no brand"
            await unbound.keep(gateway.db, channel=channel, app=app, account=account, reason=reason, payload=body)
            gateway.metrics.unbound.labels(channel).inc()
            return
        accepted = await gateway.lanes.receive(brand.name, _readable(message, gateway))
        if accepted.duplicate:
            gateway.metrics.inbox_repeats.labels(message.channel).inc()


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
