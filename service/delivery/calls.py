"""One call to a platform, and what came of it: the platform has the part, has it not, or may have it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence

import aiohttp

from channels.base import Channel, LooksUp, OutboundReply, Request
from channels.errors import DeliveryFailed
from service.delivery.receipts import UNKNOWN, Send

log = logging.getLogger(__name__)

NOT_SENT = (ConnectionRefusedError, socket.gaierror, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No connection came about, so the platform cannot have the reply."""
UNSURE = (OSError, aiohttp.ClientError, TimeoutError)
"""The line broke or fell silent: the platform may have the reply."""


class InDoubt(DeliveryFailed):
    """The platform may have it, and will be asked, or told again, before anybody gives up."""


def render(channel: Channel, reply: OutboundReply) -> Sequence[Request]:
    """The calls that a reply takes, one a part.

    Raises:
        DeliveryFailed: It has no form on this platform, now or ever.
    """
    try:
        return channel.render(reply)
    except DeliveryFailed:
        raise
    except Exception as error:
        # One reply that cannot be rendered must not hold up all others.
        log.exception("reply_not_rendered", extra={"outbox": reply.idempotency_key, "channel": channel.name})
        raise DeliveryFailed(
            f"The reply cannot be rendered ({type(error).__name__}: {error}).", retryable=False
        ) from error


async def send_part(channel: Channel, request: Request, send: Send, *, doubted: bool = False) -> str:
    """Make one call; returns the platform's id, or UNKNOWN when the platform may or may not have the part.

    A call that is refused for good is followed by the one that may be made otherwise; both are the same part, and where
    the second must be tried again, so must the first, since nothing is kept of it. Where an earlier call may have been
    taken, a refusal can mean just that: then nothing is sent otherwise.

    Raises:
        InDoubt: The platform may have it, and that can be found out later.
        DeliveryFailed: The platform does not have it.
    """
    # Made once more, it finds out by itself: it shows once; or the platform can be asked.
    clears_up = request.repeatable or isinstance(channel, LooksUp)
    try:
        status, headers, body = await send(request)
    except NOT_SENT as error:
        broken = f"The platform cannot be reached ({_named(error)})."
        raise (InDoubt if doubted else DeliveryFailed)(broken, retryable=True) from error
    except UNSURE as error:
        if clears_up:
            raise InDoubt(f"The line broke ({_named(error)}).", retryable=True) from error
        log.warning("delivery_unknown", extra={"channel": channel.name, "reason": _named(error)})
        return UNKNOWN
    try:
        return _receipt(channel, request, status, headers, body)
    except DeliveryFailed as error:
        if error.retryable:
            # Who fails in the middle of a call may have carried it out.
            if doubted or (clears_up and status >= 500):
                raise _as_in_doubt(error) from error
            raise
        if doubted:
            log.warning("delivery_unknown", extra={"channel": channel.name, "reason": str(error)[:300]})
            return UNKNOWN
        if request.otherwise is None:
            raise
        log.info("delivery_otherwise", extra={"channel": channel.name, "reason": str(error)[:300]})
        return await send_part(channel, request.otherwise, send)
    except Exception:
        # The platform answered, so it has the call; what it said is not worth a second message to a customer.
        log.exception("receipt_not_read", extra={"channel": channel.name, "status": status})
        return UNKNOWN


def _receipt(channel: Channel, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What the channel reads of the answer; where nothing was left to do, that is as good as done."""
    try:
        return channel.receipt(status, headers, body)
    except DeliveryFailed as error:
        if request.done_code and error.code == request.done_code:
            return request.done_code
        raise


def _as_in_doubt(error: DeliveryFailed) -> InDoubt:
    return InDoubt(
        str(error),
        retryable=True,
        retry_after_s=error.retry_after_s,
        code=error.code,
        backoff_base=error.backoff_base,
        needs_operator=error.needs_operator,
    )


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
