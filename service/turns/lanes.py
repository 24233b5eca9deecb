"""One lane a conversation: its turns run one after the other, those of others beside it.

A lane is only a task; the work itself lies in the inbox. After a crash the inbox is read again and the lanes start
anew, so a message that was accepted is answered once, whatever happened in between. Where several gateways share the
database, a conversation's lane runs at the one that has it (`service.storage.leases`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace

from channels.base import InboundMessage
from configs.brand import Brand
from configs.service import Service
from service.conversation import inbox
from service.conversation.events import Reply, Sentence, Status, Token
from service.conversation.house import NO_HOUSE, House
from service.conversation.wire import sentence_frame
from service.delivery.growing import Growing, Growth, Place
from service.delivery.typing import Typing
from service.errors import (
    Busy,
    EngineAway,
    EngineResting,
    Full,
    GaveUp,
    GenerationTimeout,
    LeaseLost,
    ModelUnavailable,
    ServiceError,
    StorageUnavailable,
    TooLate,
)
from service.storage import leases
from service.storage.database import Database, now
from service.storage.leases import Membership, Unshared
from service.telemetry import Metrics, turn_log
from service.turns import handover_rules
from service.turns.at_work import MOST_TIMES_ANEW, AtWork, Ending, Slot
from service.turns.bursts import Bursts, patience_s
from service.turns.endings import Endings, app
from service.turns.hub import Hub, LiveTurn
from service.turns.notices import Notices
from service.turns.pipeline import ChatPipeline, Turn

log = logging.getLogger(__name__)

STORAGE_PATIENCE_S = 5.0
TRIES = 3
"""Of a turn whose engine failed with it; an engine that was not asked is waited for, as long as `max_wait_s` allows."""
RETRY_S = 1.0
"""An engine's process needs a moment to be seen as dead; the retry must not race it."""
DELIVER_AFTER_S = 30
HISTORY_TURNS = 3
STARTS = 3
"""Of a turn by as many processes, which all died; the next one ends it."""


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
        notices: Notices,
        apart: Collection[str] = (),
        to_deliver: Callable[[], None] = lambda: None,
        house: House = NO_HOUSE,
        member: Membership | None = None,
        growing: Growing | None = None,
    ) -> None:
        self._db = db
        self._pipeline = pipeline
        self._hub = hub
        self._brands = brands
        self._settings = settings
        self._metrics = metrics
        self._engine_ready = engine_ready
        self._typing = typing
        self._growing = growing
        self._notices = notices
        self._endings = Endings(db=db, hub=hub, metrics=metrics, house=house, to_deliver=to_deliver)
        self._apart = apart
        self._house = house
        self._member = member or Unshared()
        self._slots = asyncio.Semaphore(settings.max_turns)
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._answering: dict[str, AtWork] = {}
        self._bursts = Bursts()
        self._again: set[str] = set()
        self._look_again: set[str] = set()
        # Turns that this process begins once more, and how often more was said.
        self._anew: dict[str, int] = {}
        self._last_starts = asyncio.Lock()
        self._draining = False

    def admit(self) -> None:
        """Refuse new work while too much waits.

        Raises:
            Busy: `max_turns` run and `max_waiting` wait.
        """
        if self._draining or len(self._lanes) >= self._settings.max_turns + self._settings.max_waiting:
            raise Busy("Too many conversations are waiting for an answer. Try again in a few seconds.")

    def admit_delivery(self) -> None:
        """Refuse what a platform delivers where it would wait too long here: it is better kept there.

        Raises:
            Full: `max_unanswered` conversations wait or run.
        """
        if self._draining or len(self._lanes) >= self._settings.max_unanswered:
            raise Full("Too many conversations wait for an answer. Deliver this again.", retry_after_s=DELIVER_AFTER_S)

    def submit(
        self, conversation: str, begun: inbox.PendingTurn | None = None, *, wait_s: float = 0.0, news: bool = True
    ) -> None:
        """There is something unanswered in this conversation.

        Args:
            conversation: Whose lane it is.
            begun: Its turn, where that has begun already.
            wait_s: How long more may follow; see `service.turns.bursts`.
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

    async def receive(self, brand: str, message: InboundMessage) -> inbox.Accepted:
        """Store a platform's message, and let it be answered: here, or by the gateway that has its conversation.

        Raises:
            StorageUnavailable: It is not stored.
        """
        wait_s = patience_s(message)
        accepted = await inbox.accept(self._db, brand, message, me=self._member.id, wait_s=wait_s)
        if accepted.here:
            self.submit(accepted.conversation_id, wait_s=wait_s, news=not accepted.duplicate)
        return accepted

    async def accept(self, brand: str, message: InboundMessage) -> inbox.Accepted:
        """Store a message of a visitor who waits for the answer here, and let it be answered.

        Raises:
            StorageUnavailable: It is not stored.
        """
        if message.conversation_key in self._lanes:
            accepted, begun = await inbox.accept(self._db, brand, message, me=self._member.id), None
        else:
            accepted, begun = await inbox.accept_and_begin(
                self._db, brand, message, past=HISTORY_TURNS, house=self._house, me=self._member.id
            )
        if accepted.here:
            self.submit(accepted.conversation_id, begun)
        return accepted

    def hush(self, conversation: str) -> None:
        """A person has taken this conversation: what the bot is saying in it ends here."""
        if answering := self._answering.get(conversation):
            answering.end(Ending.HUSHED)
        elif conversation in self._lanes:
            # Its turn may have begun a moment before the person came, and is over already.
            self._look_again.add(conversation)

    def stop(self, conversation: str, turn: str) -> None:
        """End a turn with what was shown of it; one that is over stays as it is."""
        if (answering := self._answering.get(conversation)) and answering.live.turn == turn:
            answering.end(Ending.STOPPED)

    async def resume(self) -> int:
        """Take up what a crash left behind; returns how many conversations."""
        left = await inbox.unfinished(self._db)
        self.take_up(left)
        return len(left)

    async def stir(self, conversation: str) -> None:
        """What was said in a conversation has changed: look at it again, here or at the gateway that has it.

        Raises:
            StorageUnavailable: Nobody has been told.
        """
        if not await leases.pass_on(self._db, conversation, self._member.id):
            self.submit(conversation)

    def take_up(self, conversations: Iterable[str]) -> None:
        """Nobody answers what these have unanswered, or may not have heard of it."""
        for conversation in conversations:
            self.submit(conversation, news=False)

    def abandon(self) -> None:
        """Others took this gateway for dead, and its conversations over: end what runs, it could not be stored."""
        for task in self._lanes.values():
            task.cancel()

    async def drain(self, patience_s: float = 10.0) -> None:
        """Take nothing new, give turns that write a moment, and leave the rest to the next start."""
        self._draining = True
        writing = {name for name, answering in self._answering.items() if not answering.live.delayed}
        begun = [answering.live.turn for answering in self._answering.values()]
        tasks = dict(self._lanes)
        for name, task in tasks.items():
            if name not in writing:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks.values(), timeout=patience_s)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        with suppress(ServiceError):
            await inbox.leave_for_later(self._db, begun)

    async def _run(self, conversation: str, begun: inbox.PendingTurn | None) -> None:
        try:
            while True:
                await self._bursts.over(conversation)
                self._again.discard(conversation)
                async with Slot(self._slots) as slot:
                    if self._draining:
                        return
                    turn = begun or await inbox.next_turn(
                        self._db,
                        conversation,
                        past=HISTORY_TURNS,
                        apart=self._apart,
                        house=self._house,
                        me=self._member.id,
                    )
                    begun = None
                    if turn is not None:
                        await self._take(turn, slot)
                # A turn takes everything that waited; what came since has called `submit`.
                if conversation not in self._again:
                    return
        except StorageUnavailable:
            # The rows stay in the inbox, and the same turn is handed out again once the database is back.
            log.warning("lane_waits_for_storage", extra={"conversation": conversation})
            self._metrics.lane_failures.inc()
            await asyncio.sleep(STORAGE_PATIENCE_S)
            self._again.add(conversation)
        except LeaseLost:
            # The one that took it over answers it; whoever watched here watches that from now on.
            log.warning("lane_taken_over", extra={"conversation": conversation})
            self._metrics.taken_over.inc()
            self._hub.cut(conversation)
        except Exception:
            # The outermost loop of a lane: the rows stay in the inbox and the next message or start takes them up.
            log.exception("lane_failed", extra={"conversation": conversation})
            self._metrics.lane_failures.inc()
        finally:
            self._lanes.pop(conversation, None)
            self._look_again.discard(conversation)
            if conversation in self._again and not self._draining:
                self.submit(conversation)

    async def _take(self, turn: inbox.PendingTurn, slot: Slot) -> None:
        """Answer a turn, where that is for the bot to do."""
        if turn.heard:
            self._endings.heard(turn)
        elif turn.conversation_id in self._look_again:
            self._look_again.discard(turn.conversation_id)
            self._again.add(turn.conversation_id)
        else:
            if turn.taken_up and turn.id not in self._anew:
                await self._answer_after_a_crash(turn, slot)
            else:
                await self._answer_or_begin_anew(turn, slot)
            if turn.more:
                self._again.add(turn.conversation_id)

    async def _answer_after_a_crash(self, turn: inbox.PendingTurn, slot: Slot) -> None:
        """Begin a turn once more; its last start is made with no other last one beside it.

        Else all that ran together would be given up together, for what one of them does to the process.
        """
        last = turn.starts >= STARTS - 1
        if last:
            slot.give_back()
        async with self._last_starts if last else nullcontext():
            if last:
                await slot.take()
            if starts := await inbox.begin_again(self._db, turn.id):
                await self._answer_or_begin_anew(replace(turn, starts=starts), slot)

    async def _answer_or_begin_anew(self, turn: inbox.PendingTurn, slot: Slot) -> None:
        """Run one turn; it ends early where more was said before a word of it was read, and is then begun anew."""
        opening = {"type": "turn", "turn": turn.id, "client_ids": list(turn.client_ids), "question": turn.question}
        live = LiveTurn(turn.id, opening, turn.lease.fence if turn.lease else 0)
        times = MOST_TIMES_ANEW if turn.channel in self._apart else self._anew.pop(turn.id, 0)
        self._hub.begin(turn.conversation_id, live)
        answering = AtWork(asyncio.create_task(self._answer(turn, live, slot)), live, times)
        self._answering[turn.conversation_id] = answering
        try:
            await answering.task
        except StorageUnavailable:
            self._anew[turn.id] = times
            raise
        except asyncio.CancelledError:
            if self._draining or answering.ending is Ending.NONE:
                raise
            if answering.ending is Ending.STOPPED:
                await self._endings.stop(turn, self._brands[turn.brand], live)
            elif answering.ending is Ending.ANEW:
                self._anew[turn.id] = answering.times
                self._again.add(turn.conversation_id)
        finally:
            self._hub.end(turn.conversation_id)
            del self._answering[turn.conversation_id]

    async def _answer(self, turn: inbox.PendingTurn, live: LiveTurn, slot: Slot) -> None:
        """Bring a turn to its end in the store: answered, or failed with a reason that the visitor sees."""
        started = time.perf_counter()
        brand = self._brands.get(turn.brand)
        if brand is None:
            await self._endings.fail(turn, None, ServiceError(f"Brand {turn.brand!r} is no longer configured."))
            return
        try:
            where = Place(turn.id, turn.channel, app(turn, brand), turn.account, turn.reply_to)
            async with self._grown(where) as live.growth:
                reply = await self._reply(turn, brand, live, slot)
            live.settled = True
        except TooLate as error:
            live.settled = True
            await self._endings.too_late(turn, brand, error)
        except GaveUp as error:
            live.settled = True
            await self._endings.give_up(turn, brand, error)
        except ServiceError as error:
            live.settled = True
            await self._endings.fail(turn, brand, error)
        except Exception as error:
            live.settled = True
            log.exception("turn_failed", extra={"turn": turn.id})
            await self._endings.fail(
                turn, brand, ServiceError(f"Something broke inside the gateway ({type(error).__name__}).")
            )
        else:
            await self._endings.finish(turn, brand, reply)
            self._metrics.turn(turn.brand, turn.channel, reply, time.perf_counter() - started)
            turn_log(turn, reply)

    def _grown(self, place: Place) -> AbstractAsyncContextManager[Growth | None]:
        return self._growing.shown(place) if self._growing else nullcontext()

    async def _reply(self, turn: inbox.PendingTurn, brand: Brand, live: LiveTurn, slot: Slot) -> Reply:
        """Answer; where that takes an engine and it is away, or dies in the middle, wait for it and try again.

        The first try waits for nothing: a wish for a person, a refusal and small talk need no engine.

        Raises:
            TooLate: The message waited for longer than `max_wait_s`, before this or for the engine.
            GaveUp: The gateway died over it, several times.
            GenerationError: The engine failed with it, several times.
        """
        if turn.starts > STARTS:
            raise GaveUp(f"It was begun {STARTS} times, and each time the gateway died before it was answered.")
        tries = 0
        while True:
            self._left_s(turn)
            try:
                async with (
                    self._typing.shown(turn.channel, app(turn, brand), turn.account, turn.reply_to),
                    asyncio.timeout(self._settings.turn_deadline_s),
                ):
                    return await self._generate(turn, brand, live)
            except TimeoutError as error:
                raise GenerationTimeout("The turn's deadline passed.") from error
            except ModelUnavailable as error:
                # An engine that was not asked says nothing of this message, however often.
                tries += not isinstance(error, (EngineAway, EngineResting))
                if tries == TRIES:
                    raise
                log.warning("turn_waits", extra={"turn": turn.id, "reason": str(error)[:200]})
                live.restart()
            await self._wait_for_engine(turn, brand, live, slot)

    async def _wait_for_engine(self, turn: inbox.PendingTurn, brand: Brand, live: LiveTurn, slot: Slot) -> None:
        live.state = "delayed"
        self._publish_status(turn, "delayed")
        slot.give_back()
        try:
            async with self._notices.while_waiting(turn, brand, app(turn, brand)), asyncio.timeout(self._left_s(turn)):
                await asyncio.sleep(RETRY_S)
                await self._engine_ready()
        except TimeoutError as error:
            raise TooLate("No engine came back in time.") from error
        live.state = "queued"
        self._publish_status(turn, "queued")
        await slot.take()

    def _left_s(self, turn: inbox.PendingTurn) -> float:
        """Seconds for which this turn may still wait.

        Raises:
            TooLate: None.
        """
        waited_s = (now() - turn.since).total_seconds()
        if waited_s >= self._settings.max_wait_s:
            raise TooLate(f"It waited for {waited_s:.0f} s.")
        return self._settings.max_wait_s - waited_s

    async def _generate(self, turn: inbox.PendingTurn, brand: Brand, live: LiveTurn) -> Reply:
        earlier = tuple(past.question for past in turn.past if past.counts and past.question)
        request = Turn(brand, turn.question, handover_rules.history(turn.past), since_return=earlier, files=turn.files)
        async for event in self._pipeline.stream(request):
            match event:
                case Token():
                    live.text.append(event.text)
                    self._hub.publish(turn.conversation_id, {"type": "token", "turn": turn.id, "text": event.text})
                case Sentence():
                    live.sentences.append(event)
                    live.grow()
                    self._hub.publish(turn.conversation_id, sentence_frame(turn.id, event))
                case Status(state):
                    live.state = state
                    self._publish_status(turn, state)
                case Reply():
                    return event
        raise AssertionError("a turn ends with a Reply")

    def _publish_status(self, turn: inbox.PendingTurn, state: str) -> None:
        self._hub.publish(turn.conversation_id, {"type": "status", "turn": turn.id, "state": state})
