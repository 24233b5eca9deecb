"""Several engines behind one gateway: who gets a request, what an engine's death does, and that adapters come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from configs.adapter_terms import Terms
from configs.home import Home
from configs.load import load_config
from configs.service import Engine
from retrieval.prompt import Message
from service.engines import process as engine_module
from service.engines.breaker import FAILURES, REST_S, GuardedGenerator
from service.engines.generation import VllmGenerator
from service.engines.pool import EnginePool, Member
from service.engines.process import EngineState, RemoteEngine
from service.engines.voices import EngineAdapters, EngineVoices
from service.errors import AdapterUnknown, EngineLost, EngineResting, ModelUnavailable
from service.ports import Piece, Sampling
from service.starting.engine_server import itself
from tests.patience import PATIENCE_S
from tests.unit.made_adapters import activate, make_adapter
from tests.unit.service.fake_engines import WORDS, FakeEngine, running, until

MESSAGES = [Message("user", "Hello?")]


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "LOOK_S", 0.02)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    for version in ("1", "2"):
        make_adapter(home, version=version)
    activate(home, "1")
    return home


class Site:
    """A pool, and what was told of it."""

    def __init__(self, home: Home, session: aiohttp.ClientSession, engines: tuple[FakeEngine, ...]) -> None:
        self.states: list[EngineState] = []
        self.counts: list[int] = []
        self.adapters = [
            EngineAdapters(home, base_name="base", terms=Terms(), engine_url=one.url, session=session, loaded={})
            for one in engines
        ]
        self.remotes = [RemoteEngine(one.url, session=session) for one in engines]
        self.pool = EnginePool(
            [
                Member(remote, adapters, VllmGenerator(session, remote.url))
                for remote, adapters in zip(self.remotes, self.adapters, strict=True)
            ],
            base_name="base",
            on_change=self.states.append,
            on_count=self.counts.append,
        )
        self.voices = EngineVoices(home, base_name="base", adapters=self.pool)

    async def ask(self, model: str = "base") -> str:
        stream = self.pool.stream(MESSAGES, model=model, sampling=Sampling())
        return "".join([piece.text async for piece in stream])


@asynccontextmanager
async def site(home: Home, *engines: FakeEngine) -> AsyncIterator[Site]:
    async with running(*engines), aiohttp.ClientSession() as session:
        made = Site(home, session, engines)
        made.pool.start()
        await until(lambda: made.counts[-1:] == [len(engines)])
        try:
            yield made
        finally:
            await made.pool.stop()


async def test_an_adapter_is_loaded_and_proven_on_every_engine(home: Home) -> None:
    one, two = FakeEngine(), FakeEngine()
    async with site(home, one, two) as at:
        assert (await at.voices.voice("demo")).model == "demo@1"
        await until(lambda: all(adapters.holds("demo@1") for adapters in at.adapters))
    path = str(home.adapters / "demo/1")
    assert one.loads == two.loads == [("demo@1", path)]


async def test_requests_go_to_the_least_busy_engine(home: Home) -> None:
    one, two = FakeEngine(pace_s=0.02), FakeEngine(pace_s=0.02)
    async with site(home, one, two) as at:
        await asyncio.gather(*(at.ask() for _ in range(8)))
        assert (len(one.chats), len(two.chats)) == (4, 4)
        assert (one.most_at_once, two.most_at_once) == (4, 4)
        # Also one after the other, so that neither lies idle.
        for _ in range(4):
            await at.ask()
        assert (len(one.chats), len(two.chats)) == (6, 6)


async def test_a_closed_stream_is_no_longer_in_flight(home: Home) -> None:
    one, two = FakeEngine(pace_s=0.05), FakeEngine(pace_s=0.05)
    async with site(home, one, two) as at:
        stream = at.pool.stream(MESSAGES, model="base", sampling=Sampling())
        assert isinstance(await anext(stream), Piece)
        await stream.aclose()
        assert [member.in_flight for member in at.pool._members] == [0, 0]


async def test_before_the_first_token_another_engine_answers(home: Home) -> None:
    one, two = FakeEngine(breaks_after=0), FakeEngine()
    async with site(home, one, two) as at:
        assert await at.ask() == "base " * WORDS
        assert (len(one.chats), len(two.chats)) == (1, 1)


async def test_after_the_first_token_no_other_engine_is_asked(home: Home) -> None:
    one, two = FakeEngine(breaks_after=2), FakeEngine(breaks_after=2)
    async with site(home, one, two) as at:
        stream = at.pool.stream(MESSAGES, model="base", sampling=Sampling())
        assert (await anext(stream)).text.startswith("base ")
        with pytest.raises(EngineLost):
            [piece async for piece in stream]
        assert len(one.chats) + len(two.chats) == 1


async def test_an_overloaded_engine_is_passed_over_and_keeps_its_adapters(home: Home) -> None:
    one, two = FakeEngine(), FakeEngine()
    async with site(home, one, two) as at:
        await at.voices.voice("demo")
        await until(lambda: all(adapters.holds("demo@1") for adapters in at.adapters))
        one.refuses_with = 503
        for _ in range(6):
            assert await at.ask("demo@1") == "demo@1 " * WORDS
        assert at.adapters[0].holds("demo@1")
        assert len(two.chats) == 6
        two.refuses_with = 503
        with pytest.raises(ModelUnavailable):
            await at.ask("demo@1")


async def test_an_engine_that_answers_its_health_check_alone_is_left_alone(home: Home) -> None:
    one, two = FakeEngine(), FakeEngine()
    async with site(home, one, two) as at:
        for member in at.pool._members:
            member.generator = GuardedGenerator(member.generator, member.breaker, slow_s=60)
        asked: list[int] = []
        one.on_chat = lambda: asked.append(1)
        one.refuses_with = 500
        for _ in range(4 * FAILURES):
            assert await at.ask() == "base " * WORDS
        assert len(asked) == FAILURES
        two.refuses_with = 500
        for _ in range(2 * FAILURES):
            with pytest.raises(ModelUnavailable):
                await at.ask()
        with pytest.raises(EngineResting) as refused:
            await at.ask()
        assert 1 <= refused.value.retry_after_s <= REST_S
        one.refuses_with = None
        await one.kill()
        await until(lambda: at.counts[-1] == 1)
        await one.start()
        await until(lambda: at.counts[-1] == 2)
        assert await at.ask() == "base " * WORDS, "it was started anew, so it is tried at once"


async def test_an_engine_that_died_is_left_out_and_comes_back_once_its_adapters_are_proven(home: Home) -> None:
    one, two = FakeEngine(), FakeEngine()
    async with site(home, one, two) as at:
        await at.voices.voice("demo")
        await until(lambda: all(adapters.holds("demo@1") for adapters in at.adapters))
        await one.kill()
        for _ in range(6):
            assert await at.ask("demo@1") == "demo@1 " * WORDS
        assert one.chats == []
        await until(lambda: at.counts[-1] == 1)
        assert at.states == ["ready"], "while one answers, visitors hear of nothing"
        await one.start()
        await until(lambda: at.counts[-1] == 2)
        # It answers, but holds no adapter yet: what the gateway does whenever an engine comes back.
        for _ in range(4):
            await at.ask("demo@1")
        assert one.chats == one.turned_away == []
        await at.voices.warm(["demo"])
        await until(lambda: at.adapters[0].holds("demo@1"))
        for _ in range(4):
            await at.ask("demo@1")
        assert one.chats
        assert one.unproven == []
        assert [name for name, _ in one.loads] == ["demo@1", "demo@1"], "once in each life"


async def test_a_restart_that_nobody_saw_costs_no_answer(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = FakeEngine(), FakeEngine()
    async with site(home, one, two) as at:
        await at.voices.voice("demo")
        await until(lambda: all(adapters.holds("demo@1") for adapters in at.adapters))
        one._loaded.clear()
        two._loaded.clear()
        with pytest.raises(ModelUnavailable):  # which a lane tries again
            await at.ask("demo@1")
        await at.voices.voice("demo")
        assert await at.ask("demo@1") == "demo@1 " * WORDS


async def test_when_all_are_gone_the_gateway_is_told_and_a_turn_is_told_to_wait(home: Home) -> None:
    one, two = FakeEngine(), FakeEngine()
    async with site(home, one, two) as at:
        await one.kill()
        await two.kill()
        await until(lambda: at.states == ["ready", "down"])
        with pytest.raises(ModelUnavailable):
            await at.ask()
        with pytest.raises(ModelUnavailable):
            await at.voices.voice("demo")
        waiting = asyncio.create_task(at.pool.ready())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await two.start()
        await asyncio.wait_for(waiting, PATIENCE_S)
        assert at.states == ["ready", "down", "ready"]


async def test_an_engine_that_ignores_an_adapter_gets_no_request_for_it(home: Home) -> None:
    one, two = FakeEngine(ignores={"demo@1"}), FakeEngine()
    async with site(home, one, two) as at:
        assert (await at.voices.voice("demo")).version == "1"
        for _ in range(4):
            await at.ask("demo@1")
        assert one.chats == one.turned_away == []
        await at.ask()
        await at.ask()
        assert one.chats, "the base model is not concerned"


async def test_a_version_that_every_engine_refuses_does_not_speak_and_the_one_before_it_goes_on(home: Home) -> None:
    one, two = FakeEngine(ignores={"demo@2"}), FakeEngine(ignores={"demo@2"})
    async with site(home, one, two) as at:
        await at.voices.voice("demo")
        activate(home, "2")
        assert (await at.voices.voice("demo")).version == "1"
        with pytest.raises(AdapterUnknown, match="ignores demo@2"):
            await at.voices.voice("demo", "2")


async def test_a_slow_engine_keeps_nobody_waiting_who_can_be_answered_elsewhere(home: Home) -> None:
    one, two = FakeEngine(), FakeEngine()
    async with site(home, one, two) as at:
        gate = asyncio.Event()
        slow, ready = at.adapters[0], at.adapters[0].make_ready

        async def held_back(brand: str, version: str) -> None:
            await gate.wait()
            await ready(brand, version)

        slow.make_ready = held_back  # type: ignore[method-assign]
        assert (await asyncio.wait_for(at.voices.voice("demo"), 5)).version == "1"
        assert await at.ask("demo@1") == "demo@1 " * WORDS
        assert one.chats == one.turned_away == []
        gate.set()
        await until(lambda: slow.holds("demo@1"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("BRANDVOICE_ENGINE__URL", "http://a:1"), ("BRANDVOICE_ENGINE__URLS", "[http://a:1, http://b:1]")],
)
def test_an_engine_that_reads_the_gateways_configuration_is_not_elsewhere(name: str, value: str) -> None:
    config = load_config(Path("configs"), {name: value})
    assert config.service.engine.elsewhere[0] == "http://a:1"
    assert itself(config).service.engine.elsewhere == ()


def test_one_engine_or_several_are_named_and_none_twice() -> None:
    assert Engine().elsewhere == ()
    assert Engine(url="http://a:1/").elsewhere == ("http://a:1",)
    assert Engine(urls=("http://a:1", "http://b:1/")).elsewhere == ("http://a:1", "http://b:1")
    with pytest.raises(ValueError, match="either url or urls"):
        Engine(url="http://a:1", urls=("http://b:1",))
    with pytest.raises(ValueError, match="an engine twice"):
        Engine(urls=("http://a:1", "http://a:1/"))
