"""What platforms tell of our messages, and what people change of theirs; it comes by the same webhooks as messages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from channels.base import Inbound
from service.bootstrap import Gateway
from service.conversation import changes
from service.delivery import receipts
from service.errors import RequestInvalid


async def take_told(gateway: Gateway, channel: str, app: str, inbound: Inbound, accounts: Collection[str]) -> None:
    """Take all of a body that is no message.

    Args:
        gateway: Holds the conversations.
        channel: Whose webhook it came by.
        app: Its app.
        inbound: The body, whose messages are stored already.
        accounts: Bound to a brand through this app; a change of a message to another account is let go.

    Raises:
        StorageUnavailable: It is not stored; the platform must send it again.
    """
    count = gateway.metrics.told.labels
    if inbound.receipts:
        found = await receipts.take(gateway.db, channel, app, inbound.receipts)
        for what, number in found.items():
            count(channel, f"receipt_{what}").inc(number)
        if found.get("news"):
            gateway.wake()
    if edits := [one for one in inbound.edits if one.account in accounts]:
        clean = [one if one.text is None else replace(one, text=readable(one.text, gateway)) for one in edits]
        conversations, late = await changes.take_edits(gateway.db, channel, clean)
        for conversation in conversations:
            # A turn that nobody has read a word of begins anew.
            await gateway.lanes.stir(conversation)
        count(channel, "edit").inc(len(edits) - late)
        count(channel, "edit_too_late").inc(late)
    if inbound.reactions:
        brands = await changes.take_reactions(gateway.db, channel, app, inbound.reactions)
        for reaction, brand in zip(inbound.reactions, brands, strict=True):
            count(channel, "reaction" if brand else "reaction_unmatched").inc()
            if brand:
                gateway.metrics.feedback.labels(brand, reaction.value or "taken_back").inc()


def readable(text: str, gateway: Gateway) -> str:
    """A text that can be stored, cut where it is too long; what we cannot read is empty and answered as such."""
    try:
        return gateway.clean_text(text[: gateway.config.service.service.max_message_chars])
    except RequestInvalid:
        return ""
