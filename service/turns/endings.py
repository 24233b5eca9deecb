"""How a turn ends: stored, planned for its platform, and told to whoever watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from channels.base import Source
from configs.brand import Brand
from service.conversation import inbox
from service.conversation import store as conversations
from service.conversation.events import Reply
from service.conversation.house import House
from service.conversation.transcript import app_of
from service.conversation.wire import heard_frame, reply_frame, said_frame, state_frame, withheld_frame
from service.delivery.outbox import OutboxItem
from service.errors import ServiceError, TooLate
from service.storage.database import Database
from service.telemetry import Metrics
from service.turns import handover_rules
from service.turns.hub import Hub, LiveTurn
from service.turns.pipeline import broken_off, passed_on

log = logging.getLogger(__name__)


class Endings:
    """Ends turns; where a person came first, nothing of the bot's is stored or shown."""

    def __init__(
        self,
        *,
        db: Database,
        hub: Hub,
        metrics: Metrics,
        house: House,
        to_deliver: Callable[[], None],
    ) -> None:
        self._db = db
        self._hub = hub
        self._metrics = metrics
        self._house = house
        self._to_deliver = to_deliver

    def heard(self, turn: inbox.PendingTurn) -> None:
        """Messages for a person: shown, and not answered by us."""
        self._hub.announce(turn.conversation_id, heard_frame(turn.id, turn.client_ids, turn.question))
        if turn.said:
            self._hub.announce(turn.conversation_id, said_frame(turn.said))
        self._to_deliver()

    async def finish(self, turn: inbox.PendingTurn, brand: Brand, reply: Reply) -> None:
        """With a reply; and with a person who is asked to come, where the brand's rules want one."""
        reply, handoff, waits = handover_rules.concluded(brand, reply, turn.past)
        if turn.nobody_came:
            handoff = None
        item = _item(turn, brand, reply.text, [Source(c.number, c.title, c.document) for c in reply.citations])
        out = await conversations.finish(
            self._db, turn.id, reply, outbox=item, handoff=handoff, waits=waits, house=self._house, lease=turn.lease
        )
        if not out:
            self._hub.publish(turn.conversation_id, withheld_frame(turn.id))
            return
        if item or handoff:
            self._to_deliver()
        self._hub.publish(turn.conversation_id, reply_frame(turn.id, reply))
        if handoff and waits:
            self._hub.publish(turn.conversation_id, state_frame("waiting", None))

    async def stop(self, turn: inbox.PendingTurn, brand: Brand, live: LiveTurn) -> None:
        """With what its reader saw of it, and wants no more of."""
        reply = broken_off(brand, live.sentences, live.text)
        await self.finish(turn, brand, reply)
        self._metrics.turns.labels(turn.brand, turn.channel, reply.outcome).inc()
        log.info("turn_stopped", extra={"turn": turn.id, "sentences": len(live.sentences)})

    async def fail(self, turn: inbox.PendingTurn, brand: Brand | None, error: ServiceError) -> None:
        """With a reason that the visitor sees; `brand` is None where it is configured no longer."""
        await self._unanswered(turn, brand, error, brand.words.unavailable if brand else str(error))

    async def too_late(self, turn: inbox.PendingTurn, brand: Brand, error: TooLate) -> None:
        """Say once that it was not answered in time; or pass it on to a person, where the brand wants that."""
        if brand.handover.unanswered == "tell":
            await self._unanswered(turn, brand, error, brand.words.late)
            return
        self._metrics.turn_failures.labels(turn.brand, error.code).inc()
        await self.finish(turn, brand, passed_on(brand, turn.question, str(error)))

    async def give_up(self, turn: inbox.PendingTurn, brand: Brand, error: ServiceError) -> None:
        """Without an answer, which a person is asked to give."""
        text = passed_on(brand, turn.question, str(error)).text
        await self._unanswered(turn, brand, error, text, handoff=str(error))

    async def _unanswered(
        self,
        turn: inbox.PendingTurn,
        brand: Brand | None,
        error: ServiceError,
        text: str,
        *,
        handoff: str | None = None,
    ) -> None:
        item = _item(turn, brand, text) if brand else None
        log.error("turn_failed", extra={"turn": turn.id, "code": error.code, "reason": str(error)[:300]})
        self._metrics.turn_failures.labels(turn.brand, error.code).inc()
        if not await conversations.fail(
            self._db, turn.id, error.code, text, outbox=item, handoff=handoff, house=self._house, lease=turn.lease
        ):
            self._hub.publish(turn.conversation_id, withheld_frame(turn.id))
            return
        if item or handoff:
            self._to_deliver()
        self._hub.publish(
            turn.conversation_id, {"type": "failed", "turn": turn.id, "error": {"code": error.code, "message": text}}
        )


def _item(turn: inbox.PendingTurn, brand: Brand, text: str, sources: Sequence[Source] = ()) -> OutboxItem | None:
    """What goes to the turn's platform; the widget has no outbox."""
    if turn.channel == "web":
        return None
    return OutboxItem(turn.channel, app(turn, brand), turn.account, turn.reply_to, text, sources)


def app(turn: inbox.PendingTurn, brand: Brand) -> str:
    """By which the brand is on the turn's platform."""
    return app_of(brand, turn.channel, turn.account)
