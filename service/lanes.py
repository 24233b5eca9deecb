"""One lane a conversation: its turns run one after the other, those of others beside it.

A lane is only a task; the work itself lies in the inbox. After a crash the inbox is read again and the lanes start
anew, so a message that was accepted is answered once, whatever happened in between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from channels.base import InboundMessage, Source
from configs.brand import Brand
from configs.service import Service
from retrieval.prompt import Message
from service import conversations, inbox
from service.bursts import Bursts
from service.database import Database
from service.errors import Busy, GenerationTimeout, ModelUnavailable, ServiceError, StorageUnavailable
from service.events import Reply, Sentence, Status, Token
from service.grounded import strip_marks
from service.hub import Hub, LiveTurn
from service.outbox import OutboxItem
from service.pipeline import ChatPipeline, Turn
from service.telemetry import Metrics, turn_log
from service.typing import Typing
from service.wire import reply_frame, sentence_frame

log = logging.getLogger(__name__)

ENGINE_PATIENCE_S = 120.0
"""How long an accepted message waits for an engine that is being started again before the visitor is told no."""
STORAGE_PATIENCE_S = 5.0
TRIES = 3
"""Of a turn, while engines come and go."""
HISTORY_TURNS = 3
MOST_TIMES_ANEW = 3
"""A turn begins anew this often at most; then it is answered, and what came since is the next turn."""


@dataclass(slots=True)
class _Answering:
    """A turn at work."""

    task: asyncio.Task[None]
    live: LiveTurn
    times: int
    """How often it has begun anew already."""
    cut_short: bool = False

    def begin_anew(self) -> None:
        """More was said: start again with all of it, while nobody has read a word, and not for ever."""
        if self.live.unheard and self.times < MOST_TIMES_ANEW and not self.task.done():
            self.cut_short = True
            self.times += 1
            self.task.cancel()


class Lanes:
    """Runs the turns of all conversations."""

    def __init__(
        self,
        *,
        db: Database,
        pipeline: ChatPipeline,
        hub: Hub,
        brands: Mapping[str, Brand],
        settings: Service,
        metrics: Metrics,
        engine_ready: Callable[[], Awaitable[None]],
        typing: Typing,
        apart: Collection[str] = (),
        to_deliver: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = db
        self._pipeline = pipeline
        self._hub = hub
        self._brands = brands
        self._settings = settings
        self._metrics = metrics
        self._engine_ready = engine_ready
        self._typing = typing
        self._apart = apart
        self._to_deliver = to_deliver
        self._slots = asyncio.Semaphore(settings.max_turns)
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._answering: dict[str, _Answering] = {}
        self._bursts = Bursts()
        self._again: set[str] = set()
        self._anew: dict[str, int] = {}
        self._draining = False

    def admit(self) -> None:
        """Refuse new work while too much waits.

        Raises:
            Busy: `max_turns` run and `max_waiting` wait.
        """
        if self._draining or len(self._lanes) >= self._settings.max_turns + self._settings.max_waiting:
            raise Busy("Too many conversations are waiting for an answer. Try again in a few seconds.")

    def submit(
        self, conversation: str, begun: inbox.PendingTurn | None = None, *, wait_s: float = 0.0, news: bool = True
    ) -> None:
        """There is something unanswered in this conversation.

        Args:
            conversation: Whose lane it is.
            begun: Its turn, where that has begun already.
            wait_s: How long more may follow; see `service.bursts`.
            news: Whether it was said just now; what a platform repeats wakes a lane that broke off, and no more.
        """
        if news:
            self._bursts.heard(conversation, wait_s)
        if conversation in self._lanes:
            self._again.add(conversation)
            if news and (answering := self._answering.get(conversation)):
                answering.begin_anew()
            return
        task = asyncio.create_task(self._run(conversation, begun), name=f"lane-{conversation}")
        self._lanes[conversation] = task

    async def accept(self, brand: str, message: InboundMessage) -> inbox.Accepted:
        """Store a message of a visitor who waits for the answer here, and let it be answered.

        Raises:
            StorageUnavailable: It is not stored.
        """
        if message.conversation_key in self._lanes:
            accepted, begun = await inbox.accept(self._db, brand, message), None
        else:
            accepted, begun = await inbox.accept_and_begin(self._db, brand, message, past=HISTORY_TURNS)
        self.submit(accepted.conversation_id, begun)
        return accepted

    async def resume(self) -> int:
        """Take up what a crash left behind; returns how many conversations."""
        left = await inbox.unfinished(self._db)
        for conversation in left:
            self.submit(conversation)
        return len(left)

    async def drain(self, patience_s: float = 10.0) -> None:
        """Take nothing new, give running turns a moment, then leave the rest to the next start."""
        self._draining = True
        tasks = list(self._lanes.values())
        if tasks:
            await asyncio.wait(tasks, timeout=patience_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, conversation: str, begun: inbox.PendingTurn | None) -> None:
        try:
            while not self._draining:
                await self._bursts.over(conversation)
                self._again.discard(conversation)
                async with self._slots:
                    turn = begun or await inbox.next_turn(self._db, conversation, past=HISTORY_TURNS, apart=self._apart)
                    begun = None
                    if turn is not None:
                        await self._answer_or_begin_anew(turn)
                        if turn.more:
                            self._again.add(conversation)
                # A turn takes everything that waited; what came since has called `submit`.
                if conversation not in self._again:
                    return
        except StorageUnavailable:
            # The rows stay in the inbox, and the same turn is handed out again once the database is back.
            log.warning("lane_waits_for_storage", extra={"conversation": conversation})
            self._metrics.lane_failures.inc()
            await asyncio.sleep(STORAGE_PATIENCE_S)
            self._again.add(conversation)
        except Exception:
            # The outermost loop of a lane: the rows stay in the inbox and the next message or start takes them up.
            log.exception("lane_failed", extra={"conversation": conversation})
            self._metrics.lane_failures.inc()
        finally:
            self._lanes.pop(conversation, None)
            if conversation in self._again and not self._draining:
                self.submit(conversation)

    async def _answer_or_begin_anew(self, turn: inbox.PendingTurn) -> None:
        """Run one turn; it ends early where more was said before a word of it was read, and is then begun anew."""
        live = LiveTurn(turn.id)
        times = MOST_TIMES_ANEW if turn.channel in self._apart else self._anew.pop(turn.id, 0)
        answering = _Answering(asyncio.create_task(self._answer(turn, live)), live, times)
        self._answering[turn.conversation_id] = answering
        try:
            await answering.task
        except asyncio.CancelledError:
            if not answering.cut_short or self._draining:
                raise
            self._anew[turn.id] = answering.times
            self._again.add(turn.conversation_id)
        finally:
            del self._answering[turn.conversation_id]

    async def _answer(self, turn: inbox.PendingTurn, live: LiveTurn) -> None:
        """Run one turn to its end in the store: answered, or failed with a reason that the visitor sees."""
        self._hub.live[turn.conversation_id] = live
        self._hub.publish(
            turn.conversation_id,
            {"type": "turn", "turn": turn.id, "client_ids": list(turn.client_ids), "question": turn.question},
        )
        started = time.perf_counter()
        brand = self._brands.get(turn.brand)
        if brand is None:
            await self._fail(turn, None, ServiceError(f"Brand {turn.brand!r} is no longer configured."))
            return
        try:
            async with self._typing.shown(turn.channel, _app(turn, brand), turn.account, turn.reply_to):
                reply = await self._reply(turn, brand, live)
            live.settled = True
        except ServiceError as error:
            await self._fail(turn, brand, error)
        except Exception as error:
            log.exception("turn_failed", extra={"turn": turn.id})
            await self._fail(turn, brand, ServiceError(f"Something broke inside the gateway ({type(error).__name__})."))
        else:
            await self._finish(turn, brand, reply)
            self._metrics.turn(turn.brand, turn.channel, reply, time.perf_counter() - started)
            turn_log(turn, reply)
        finally:
            self._hub.live.pop(turn.conversation_id, None)

    async def _reply(self, turn: inbox.PendingTurn, brand: Brand, live: LiveTurn) -> Reply:
        """Answer; where that takes an engine and it is away, or dies in the middle, wait for it and try again.

        The first try waits for nothing: a wish for a person, a refusal and small talk need no engine.
        """
        for attempt in range(TRIES):
            if attempt:
                await self._until_engine_is_back(brand)
            try:
                async with asyncio.timeout(self._settings.turn_deadline_s):
                    return await self._generate(turn, brand, live)
            except TimeoutError as error:
                raise GenerationTimeout(brand.words.unavailable) from error
            except ModelUnavailable:
                if attempt == TRIES - 1:
                    raise
                log.warning("turn_retried", extra={"turn": turn.id})
                live.restart()
                self._publish_status(turn, "queued")
                # The process needs a moment to be seen as dead; the retry must not race it.
                await asyncio.sleep(1.0)
        raise AssertionError("unreachable")

    async def _until_engine_is_back(self, brand: Brand) -> None:
        try:
            async with asyncio.timeout(ENGINE_PATIENCE_S):
                await self._engine_ready()
        except TimeoutError as error:
            raise ModelUnavailable(brand.words.unavailable) from error

    async def _generate(self, turn: inbox.PendingTurn, brand: Brand, live: LiveTurn) -> Reply:
        messages = [
            message
            for past in turn.past
            for message in (Message("user", past.question), Message("assistant", strip_marks(past.text)))
        ]
        request = Turn(brand, turn.question, tuple(messages))
        async for event in self._pipeline.stream(request):
            match event:
                case Token():
                    live.text.append(event.text)
                    self._hub.publish(turn.conversation_id, {"type": "token", "turn": turn.id, "text": event.text})
                case Sentence():
                    live.sentences.append(event)
                    self._hub.publish(turn.conversation_id, sentence_frame(turn.id, event))
                case Status(state):
                    live.state = state
                    self._publish_status(turn, state)
                case Reply():
                    return event
        raise AssertionError("a turn ends with a Reply")

    async def _finish(self, turn: inbox.PendingTurn, brand: Brand, reply: Reply) -> None:
        item = None
        if turn.channel != "web":
            item = OutboxItem(
                channel=turn.channel,
                app=_app(turn, brand),
                account=turn.account,
                reply_to=turn.reply_to,
                text=reply.text,
                sources=tuple(Source(c.number, c.title, c.document) for c in reply.citations),
            )
        handoff = "asked for a person" if reply.outcome == "handed_off" else None
        await conversations.finish(self._db, turn.id, reply, outbox=item, handoff=handoff)
        if item or handoff:
            self._to_deliver()
        self._hub.publish(turn.conversation_id, reply_frame(turn.id, reply))

    async def _fail(self, turn: inbox.PendingTurn, brand: Brand | None, error: ServiceError) -> None:
        # In the brand's words, whatever it is: what broke is for the log, not for a customer.
        text = brand.words.unavailable if brand else str(error)
        item = None
        if turn.channel != "web" and brand is not None:
            item = OutboxItem(turn.channel, _app(turn, brand), turn.account, turn.reply_to, text, ())
        log.error("turn_failed", extra={"turn": turn.id, "code": error.code, "reason": str(error)[:300]})
        self._metrics.turn_failures.labels(turn.brand, error.code).inc()
        await conversations.fail(self._db, turn.id, error.code, text, outbox=item)
        if item:
            self._to_deliver()
        self._hub.publish(
            turn.conversation_id, {"type": "failed", "turn": turn.id, "error": {"code": error.code, "message": text}}
        )

    def _publish_status(self, turn: inbox.PendingTurn, state: str) -> None:
        self._hub.publish(turn.conversation_id, {"type": "status", "turn": turn.id, "state": state})


def _app(turn: inbox.PendingTurn, brand: Brand) -> str:
    """The app that the turn came through; none for the widget, or where the brand is no longer bound to it."""
    return next((one.app for one in brand.channels if (one.channel, one.account) == (turn.channel, turn.account)), "")
