"""How long after a person's last message a platform lets them be answered."""

from __future__ import annotations

from channels.base import OutboundReply
from channels.errors import DeliveryFailed


def is_closed(reply: OutboundReply, window_s: float) -> bool:
    """Whether more than `window_s` seconds have passed; where the time is not known, the platform decides."""
    return reply.since_heard_s is not None and reply.since_heard_s > window_s


def too_late(product: str, reply: OutboundReply, cure: str, *, code: str) -> DeliveryFailed:
    """The reply can no longer be sent.

    Args:
        product: The platform, as people know it.
        reply: What is too late.
        cure: What may be done.
        code: The platform's own code of such a refusal.
    """
    hours = (reply.since_heard_s or 0.0) / 3600
    return DeliveryFailed(
        f"{product} no longer takes free text for this person, who last wrote {hours:.0f} hours ago. {cure}",
        retryable=False,
        code=code,
    )
