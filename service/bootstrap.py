"""The composition root: the only place that names concrete classes. Opens everything, and closes it in reverse."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import unicodedata
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from channels.base import Channel
from channels.errors import ChannelError
from configs.adapter_terms import Terms
from configs.base_manifest import base_folder
from configs.errors import ConfigError
from configs.home import Home
from configs.load import Config
from configs.made import Around
from configs.secrets import read_secret
from configs.service import ServiceConfig
from retrieval.brand_search import open_search
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.errors import IntentsInvalid, RetrievalError
from retrieval.routing.intents import IntentClassifier
from retrieval.routing.route import prepare
from retrieval.search.knowledge_base import KnowledgeBase
from service.bindings.apps import open_app
from service.bindings.installations import FOLLOW_S, Installations
from service.brands.desk import BrandDesk, Served
from service.conversation.house import House
from service.conversation.ratings import Ratings
from service.conversation.visitors import Visitors
from service.corrections.desk import Corrections
from service.delivery import outbox
from service.delivery.fetching import Fetcher
from service.delivery.growing import Growing
from service.delivery.pace import Pace
from service.delivery.sending import outside_session, sender
from service.delivery.typing import Typing
from service.delivery.windows import late_templates
from service.engines.adapters import promote, serving_adapters
from service.engines.breaker import Breaker, GuardedGenerator, answering
from service.engines.generation import VllmGenerator
from service.engines.opening import open_engines
from service.engines.pool import EnginePool
from service.engines.process import EngineProcess, EngineState
from service.engines.voices import EngineVoices
from service.errors import RequestInvalid, ServiceError
from service.gateways import Place, place
from service.intake.desk import Intakes
from service.keeping import retention
from service.keeping.restoring import finish_cut
from service.limits import RateLimits
from service.people import handoffs, hooks
from service.people.desk import Desk
from service.people.slack import TeamInSlack, Threads
from service.ports import Generator, Sampling
from service.retraining import telling
from service.retraining.drift import Drift
from service.retraining.keeper import Keeper
from service.retraining.scores import Scores
from service.sealing import Sealer
from service.security import ApiKeys, check_exposure
from service.storage.database import Database
from service.telemetry import Metrics
from service.trainings.desk import Trainings
from service.turns.hub import Hub
from service.turns.lanes import Lanes
from service.turns.notices import Notices
from service.turns.pipeline import ChatPipeline
from training.voice.kept import KeptVoices

log = logging.getLogger(__name__)

HOUSEKEEPING_S = 1.0
"""How often the outbox and hand-overs are looked at when nothing wakes us earlier, and knowledge pointers always."""


@dataclass(slots=True)
class Gateway:
    """Everything that a route may need."""

    config: Config
    home: Home
    db: Database
    encoder: Encoder
    knowledge: Mapping[str, KnowledgeBase]
    engine: EngineProcess | EnginePool
    voices: EngineVoices
    pipeline: ChatPipeline
    lanes: Lanes
    hub: Hub
    metrics: Metrics
    keys: ApiKeys
    channels: Mapping[tuple[str, str], Channel]
    base_name: str
    terms: Terms
    """What an adapter must be to be served here."""
    limits: RateLimits
    breakers: Mapping[str, Breaker]
    """By the engine's address."""
    fetcher: Fetcher
    """Brings what channels need before they verify or send."""
    desk: Desk
    """Where people take conversations over."""
    member: Place
    """What this gateway is among those that share the database."""
    installations: Installations
    """Who answers an account, be it bound by the configuration or at run time."""
    send: outbox.Send
    """Makes one call of a channel."""
    ratings: Ratings
    team: TeamInSlack
    """People who answer in Slack."""
    executor: Executor
    """The threads that search and check: milliseconds of work only."""
    visitors: Visitors
    """Who opens a chat of the widget again."""
    corrections: Corrections
    """Where people correct answers."""
    trainings: Trainings
    """Jobs that make new voices."""
    learnt: KeptVoices
    """How brands sound, as texts are judged by it."""
    scores: Scores
    drift: Drift
    keeper: Keeper
    """Looks at voices, and trains them anew where a brand's file says so."""
    intakes: Intakes
    """Jobs that take files and pages into the knowledge."""
    brand_desk: BrandDesk
    """Where people make brands and change them."""
    problems: tuple[str, ...] = ()
    """What does not work although the gateway runs: a damaged adapter, an app without secrets."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def clean_text(self, text: object) -> str:
        """A visitor's message, made safe to store.

        Raises:
            RequestInvalid: Not text, empty, or too long.
        """
        if not isinstance(text, str):
            raise RequestInvalid("The message must be text.", code="bad_frame", param="messages")
        limit = self.config.service.service.max_message_chars
        if len(text) > limit:
            raise RequestInvalid(
                f"The message has {len(text)} characters; at most {limit} are read. Shorten it, or send it in parts.",
                code="too_long",
                param="messages",
            )
        # Control characters and lone surrogates cannot be stored or shown; line breaks and tabs can.
        clean = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs")).strip()
        if not clean:
            raise RequestInvalid("The message is empty.", code="empty", param="messages")
        return clean


@asynccontextmanager
async def open_gateway(
    config: Config, home: Home, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Gateway]:
    """Open everything; on the way out, finish what runs and close in reverse order.

    Raises:
        ConfigError: Something is missing that only the operator can bring.
    """
    environment = os.environ if environment is None else environment
    finish_cut(home)
    # Brands come, change and go while the gateway runs, and so do their bindings: see `service.brands.desk`, which
    # takes up those that people made, and `service.bindings.installations`.
    configured = {name: brand for name, brand in config.brands.items() if name not in config.made}
    brands = dict(configured)
    config = replace(config, brands=brands)
    settings = config.service
    keys = _api_keys(config, environment)
    check_exposure(settings.service.host, keys)
    visitors = Visitors.of(settings.visitors, home, environment)
    async with AsyncExitStack() as stack:
        executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="retrieval")
        stack.callback(executor.shutdown, cancel_futures=True)
        encoder = _encoder(home.models / settings.models.encoder)
        prepare(encoder)
        knowledge = _knowledge(config, home, encoder)
        guides = {name: brand.voice_guide.read_text("utf-8") for name, brand in brands.items()}
        database = settings.database.url or f"sqlite:///{home.database}"
        db = await Database.open(database)
        stack.push_async_callback(db.close)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        )
        metrics = Metrics()
        member = place(db, database, lease_s=settings.database.lease_s, metrics=metrics)
        hub = member.hub
        base = _base_model(config, home)
        terms = Terms.of(settings, home, environment)
        sealer, unsealed = _sealer(config, environment)
        installations = Installations(db, brands, sealer)
        corrections = Corrections(db, home, brands, encoder)
        around = Around(home, settings, config.folder / "service.yaml", configured)
        brand_desk = BrandDesk(around, Served(brands, knowledge, guides), encoder, (installations, corrections))
        await brand_desk.refresh()
        intents, unread = _intents(config, home, encoder)
        adapters, problems = serving_adapters(home, config.brands, terms=terms)
        for problem in problems:
            log.error("adapter_unusable", extra={"reason": problem})
        await installations.refresh()
        await installations.seal_anew()
        platform, off = _channels(config, environment, installations)
        problems += off + unread + unsealed
        problems += [f"The brand {name} is not served: {reason}" for name, reason in brand_desk.left_out.items()]

        warming: list[asyncio.Task[None]] = []

        def engine_changed(state: EngineState) -> None:
            metrics.engine_ready.set(state == "ready")
            if state == "starting":
                metrics.engine_restarts.inc()
            code, text = (
                ("engine_ready", "The assistant is back.")
                if state == "ready"
                else ("engine_down", "The assistant is restarting. Your messages are kept and will be answered.")
            )
            hub.broadcast({"type": "notice", "code": code, "message": text})

        def engines_answer(count: int) -> None:
            metrics.engines_ready.set(count)
            if count:
                warming.append(asyncio.create_task(voices.warm(config.brands), name="voices"))

        breakers: dict[str, Breaker] = {}
        engine, holder, generator = open_engines(
            config, home, base, terms, adapters, session, partial(_guarded, breakers, settings, session, metrics),
            on_change=engine_changed, on_count=engines_answer,
        )  # fmt: skip
        voices = EngineVoices(home, base_name=base["name"], adapters=holder)
        pipeline = ChatPipeline(
            retrievers=knowledge,
            encoder=encoder,
            generator=generator,
            voices=voices,
            executor=executor,
            sampling=Sampling(
                settings.generation.temperature, settings.generation.max_tokens, settings.generation.repetition_penalty
            ),
            guides=guides,
            intents=intents,
        )
        outside = await stack.enter_async_context(outside_session())
        # Nobody minds a sign of writing that is lost, and a connection for each costs more than what goes over it.
        signals = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        send = sender(outside)
        fetcher = Fetcher(send)
        gateway: Gateway
        tells = (*((hooks.plan,) if settings.handoff.webhook_url else ()), Threads(config.brands).plan)
        house = House(config.brands, tells)
        lanes = Lanes(
            db=db,
            pipeline=pipeline,
            hub=hub,
            brands=config.brands,
            settings=settings.service,
            metrics=metrics,
            engine_ready=lambda: answering(engine.ready, breakers),
            typing=Typing(platform, sender(signals), ready=fetcher.ready),
            growing=Growing(db, platform, send, ready=fetcher.ready, sure=member.sure),
            notices=Notices(db, platform, send, ready=fetcher.ready),
            apart={name for (name, _), one in platform.items() if one.capabilities.answers_each},
            to_deliver=lambda: gateway.wake(),
            house=house,
            member=member,
        )
        desk = Desk(db, house, hub=hub, hush=member.hush, answer=lanes.stir, wake=lambda: gateway.wake())
        learnt = KeptVoices(config.brands, home)
        scores = Scores(db, learnt)
        drift = Drift(db, home, config.brands, scores)
        trainings = Trainings(db, config, home, environment=environment, key=next(iter(keys), ""))
        keeper = Keeper(
            db=db, home=home, config=config, drift=drift, trainings=trainings, refresh=corrections.refresh,
            promote=partial(promote, home, terms=terms), first=lambda: member.first,
            tells=bool(settings.handoff.webhook_url),
        )  # fmt: skip
        gateway = Gateway(
            config, home, db, encoder, knowledge, engine, voices, pipeline, lanes, hub, metrics, ApiKeys(keys),
            platform, base["name"], terms, RateLimits(settings.service.limits, on_refusal=metrics.limited), breakers,
            fetcher, desk, member, installations, send, Ratings(db, brands, send, ready=fetcher.ready),
            TeamInSlack(db, house, desk), executor, visitors, corrections, trainings, learnt, scores, drift,
            keeper, Intakes(db, home, brands, encoder, knowledge, member), brand_desk, tuple(problems),
        )  # fmt: skip
        await stack.enter_async_context(member.serve(lanes, gateway.wake))
        engine.start()
        stack.push_async_callback(engine.stop)
        stack.push_async_callback(lambda: _cancelled(*warming))
        hook = settings.handoff.webhook_secret
        hook_secret = read_secret(hook, environment) if hook else None
        if hook_secret:
            handoffs.signing_key(hook_secret)
        housekeeper = asyncio.create_task(_housekeeping(gateway, outside, send, hook_secret), name="housekeeping")
        stack.push_async_callback(_cancelled, housekeeper)
        follower = asyncio.create_task(_follow_knowledge(gateway), name="knowledge")
        stack.push_async_callback(_cancelled, follower)
        keeping = asyncio.create_task(retention.daily(db, config.brands, home), name="retention")
        stack.push_async_callback(_cancelled, keeping)
        stack.push_async_callback(_cancelled, asyncio.create_task(brand_desk.follow(), name="brands"))
        stack.push_async_callback(_cancelled, asyncio.create_task(gateway.corrections.follow(), name="corrections"))
        stack.push_async_callback(_cancelled, asyncio.create_task(gateway.trainings.follow(), name="trainings"))
        stack.push_async_callback(_cancelled, asyncio.create_task(keeper.follow(), name="retraining"))
        stack.push_async_callback(_cancelled, asyncio.create_task(gateway.intakes.follow(), name="intakes"))
        stack.push_async_callback(gateway.intakes.close)
        installing = asyncio.create_task(_follow_installations(gateway, send), name="installations")
        stack.push_async_callback(_cancelled, installing)
        stack.push_async_callback(lanes.drain)
        if left := await lanes.resume():
            log.info("turns_resumed", extra={"conversations": left})
        yield gateway
        hub.broadcast(None)


def _guarded(
    breakers: dict[str, Breaker], settings: ServiceConfig, session: aiohttp.ClientSession, metrics: Metrics, url: str
) -> tuple[Breaker, Generator]:
    """What generates on one engine, behind a breaker of its own."""
    breakers[url] = breaker = Breaker(on_change=partial(metrics.breaker, url))
    metrics.breaker(url, breaker.state)
    # A turn makes two generations at most, so one that was cut off by its deadline took about half of it.
    slow_s = settings.service.turn_deadline_s / 2
    return breaker, GuardedGenerator(VllmGenerator(session, url), breaker, slow_s=slow_s)


async def _housekeeping(
    gateway: Gateway, session: aiohttp.ClientSession, send: outbox.Send, secret: str | None
) -> None:
    """Deliver replies and tell of hand-overs; the outermost loop, so it survives all."""
    settings = gateway.config.service.handoff
    pace = Pace()

    async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
        timeout = aiohttp.ClientTimeout(total=20)
        async with session.post(
            url, data=body, headers=dict(headers), timeout=timeout, allow_redirects=False
        ) as response:
            return response.status

    while True:
        try:
            ready = gateway.fetcher.ready
            delivered = await outbox.deliver_due(
                gateway.db,
                gateway.channels,
                send,
                ready=ready,
                templates=late_templates(gateway.config.brands),
                pace=pace,
                member=gateway.member,
            )
            for result, count in delivered.items():
                gateway.metrics.deliveries.labels(result).inc(count)
            if settings.webhook_url and secret and gateway.member.first:
                await handoffs.notify_due(gateway.db, settings.webhook_url, secret, post)
                await hooks.notify_due(gateway.db, settings.webhook_url, secret, post, words=settings.webhook_words)
                await telling.notify_due(gateway.db, settings.webhook_url, secret, post)
            await gateway.desk.nobody_came()
            await gateway.team.tell_failures()
            gateway.metrics.sockets.set(gateway.hub.sockets)
        except (ServiceError, RetrievalError) as error:
            log.warning("housekeeping_failed", extra={"reason": str(error)})
        except Exception:
            log.exception("housekeeping_failed")
        try:
            await asyncio.wait_for(gateway._wake.wait(), HOUSEKEEPING_S)
        except TimeoutError:
            continue
        gateway._wake.clear()


async def _follow_knowledge(gateway: Gateway) -> None:
    """Take up new knowledge versions, each brand for itself; a slow platform or a damaged brand delays no other."""
    told: dict[str, str] = {}
    while True:
        for name, knowledge in tuple(gateway.knowledge.items()):
            try:
                if await asyncio.to_thread(knowledge.refresh):
                    log.info("knowledge_taken_up", extra={"brand": name, "version": knowledge.version})
                told.pop(name, None)
            except Exception as error:
                if told.get(name) != str(error):
                    log.exception("knowledge_not_taken_up", extra={"brand": name, "serving": knowledge.version})
                told[name] = str(error)
        await asyncio.sleep(HOUSEKEEPING_S)


async def _follow_installations(gateway: Gateway, send: outbox.Send) -> None:
    """See what other gateways installed, and renew what ends; the outermost loop, so it survives all."""
    while True:
        try:
            await gateway.installations.refresh()
            await gateway.installations.renew_due(gateway.channels, send)
        except ServiceError as error:
            log.warning("installations_not_followed", extra={"reason": str(error)})
        except Exception:
            log.exception("installations_not_followed")
        await asyncio.sleep(FOLLOW_S)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _api_keys(config: Config, environment: Mapping[str, str]) -> tuple[str, ...]:
    secret = config.service.service.api_keys
    if secret is None:
        return ()
    keys = tuple(key.strip() for key in read_secret(secret, environment).split(",") if key.strip())
    if short := [key for key in keys if len(key) < 16]:
        raise ConfigError(f"{len(short)} of the API keys have fewer than 16 characters. Make longer ones.")
    return keys


def _sealer(config: Config, environment: Mapping[str, str]) -> tuple[Sealer | None, list[str]]:
    """What encrypts tokens of accounts that install an app; without usable keys nothing can be installed."""
    secret = config.service.installations.keys
    if secret is None:
        return None, []
    try:
        return Sealer.of(read_secret(secret, environment)), []
    except ConfigError as error:
        log.warning("installing_off", extra={"reason": str(error)})
        return None, [f"Installing apps is off: {error}"]


def _encoder(folder: Path) -> OnnxEncoder:
    if not folder.is_dir():
        raise ConfigError(f"The encoder is not there ({folder}). Run `brandvoice demo`, which prepares everything.")
    return OnnxEncoder.load(folder)


def _knowledge(config: Config, home: Home, encoder: Encoder) -> dict[str, KnowledgeBase]:
    return {name: open_search(home, brand, encoder) for name, brand in config.brands.items()}


def _intents(config: Config, home: Home, encoder: Encoder) -> tuple[dict[str, IntentClassifier], list[str]]:
    """The classifiers that were trained; a damaged or foreign one stays off, and its brand answers as without one."""
    found: dict[str, IntentClassifier] = {}
    off: list[str] = []
    for name, brand in config.brands.items():
        # A classifier that was asked for but never trained is told of by `load`.
        if not ((home.intents / name).is_dir() or brand.intents_routes):
            continue
        try:
            found[name] = IntentClassifier.load(home.intents / name, encoder)
            found[name].check_routes(brand.intents_routes)
        except IntentsInvalid as error:
            off.append(f"Intents of {name}: {error}")
            log.warning("intents_unusable", extra={"brand": name, "reason": str(error)})
    return found, off


def _base_model(config: Config, home: Home) -> dict[str, str]:
    """Name, digest and folder of the base model."""
    name = config.service.models.base
    if config.service.engine.elsewhere:
        return {"name": name, "folder": ""}
    folder = base_folder(home.models, name)
    note = folder / "base.json"
    if not note.exists():
        raise ConfigError(f"The base model {name!r} is not there ({folder}). Run `brandvoice demo`, which fetches it.")
    return {**json.loads(note.read_text("utf-8")), "folder": str(folder)}


def _channels(
    config: Config, environment: Mapping[str, str], installations: Installations
) -> tuple[dict[tuple[str, str], Channel], list[str]]:
    """One channel an app; an app whose secrets are missing stays off and is named."""
    built: dict[tuple[str, str], Channel] = {}
    off: list[str] = []
    for channel, app, settings in config.service.apps.each():
        try:
            installed = installations.secrets(channel, app)
            built[channel, app] = open_app(channel, app, settings, environment, installed=installed)
        except (ConfigError, ChannelError, ValueError) as error:
            off.append(f"Channel {channel}/{app} is off: {error}")
            log.warning("channel_off", extra={"channel": channel, "app": app, "reason": str(error)})
    return built, off
