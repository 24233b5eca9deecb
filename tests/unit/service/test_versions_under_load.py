"""Promoting and rolling back while questions come in: no turn fails, and none mixes two versions."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from channels.base import InboundMessage
from configs.adapter_terms import Terms
from configs.brand import Brand, BrandRetrieval
from configs.home import Home
from configs.load import load_config
from retrieval.passages import Passage
from retrieval.testing import HashEncoder
from service import bootstrap
from service.bootstrap import Gateway, open_gateway
from service.conversation import store as conversations
from service.conversation.events import Reply
from service.engines import process as engine_module
from service.engines.adapters import active_version, promote, rollback
from service.engines.generation import VllmGenerator
from service.engines.process import EngineProcess
from service.engines.promotion import Override
from service.engines.voices import EngineAdapters, EngineVoices
from service.ports import Sampling
from service.storage import tables
from service.testing import FixedRetriever
from service.turns.pipeline import ChatPipeline, Turn
from tests.patience import PATIENCE_S
from tests.unit.made_adapters import activate, make_adapter
from tests.unit.service.fake_engines import WORDS, FakeEngine, running, until
from tests.unit.service.storage.support import rows

RETURNS = Passage("returns.md", "Returns", "Returns", "An item can be returned within 30 days of delivery.", 0.9)
SHOWN = Override("a test", "versions under load")
VERSIONS = ("1", "2", "3")


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "LOOK_S", 0.02)


@pytest.fixture
def brand() -> Brand:
    return load_config(Path("configs"), {}).brands["velmora"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    for version in VERSIONS:
        make_adapter(home, "velmora", version)
    activate(home, "1", "velmora")
    return home


async def change_versions(
    home: Home, brand: Brand, rounds: int, terms: Terms, *, ready: Callable[[int], bool] = lambda _: True
) -> int:
    """Promote and roll back, over and over, as the command line does from another process.

    After so many changes, the next one waits until `ready`.
    """
    changes = 0
    for one in range(rounds):
        for version in (VERSIONS[1 + one % 2], None, VERSIONS[2 - one % 2], None):
            if version is None:
                await asyncio.to_thread(rollback, home, brand.name, terms=terms)
            else:
                await asyncio.to_thread(promote, home, brand, version, terms=terms, override=SHOWN)
            changes += 1
            await asyncio.sleep(0.01)
            await until(partial(ready, changes))
    return changes


def models_of(engines: Sequence[FakeEngine]) -> Mapping[str, list[str]]:
    """Which models each question was put to, in order, by its number."""
    found: dict[str, list[str]] = defaultdict(list)
    for chat in sorted((chat for engine in engines for chat in engine.chats), key=lambda chat: chat["at"]):
        asked = chat["messages"][-1]["content"]
        found[asked.rpartition("number ")[2].split("?")[0]].append(chat["model"])
    return found


@pytest.mark.parametrize("keys", [(), (b"k" * 32,)], ids=["unsigned", "signed"])
async def test_no_turn_fails_or_mixes_versions_while_versions_change(
    home: Home, brand: Brand, keys: tuple[bytes, ...]
) -> None:
    from configs.adapter_signature import sign_adapter

    terms, engine = Terms(keys=keys), FakeEngine()
    for version in VERSIONS if keys else ():
        sign_adapter(home.adapters / "velmora" / version, keys)
    async with running(engine), aiohttp.ClientSession() as session:
        adapters = EngineAdapters(
            home, base_name="base", terms=terms, engine_url=engine.url, session=session, loaded={}
        )
        pipeline = ChatPipeline(
            retrievers={"velmora": FixedRetriever((RETURNS,))},
            encoder=HashEncoder(),
            generator=VllmGenerator(session, engine.url),
            voices=EngineVoices(home, base_name="base", adapters=adapters),
            executor=ThreadPoolExecutor(2),
            sampling=Sampling(),
            guides={},
        )
        # What the engine says stands in no passage, so a turn that is checked is generated twice; one that is not
        # checked shows the words as they came.
        retrieval = BrandRetrieval(focus=False, min_answerability=0.5)
        kinds = [brand.model_copy(update={"check": check, "retrieval": retrieval}) for check in ("before", "off")]
        replies: dict[str, Reply] = {}
        numbers = itertools.count()
        # On a busy machine changes would outrun the turns that they are to meet.
        met = change_versions(home, brand, 12, terms, ready=lambda changes: len(replies) > 3 * changes)
        changing = asyncio.create_task(met)

        async def ask() -> None:
            while not changing.done():
                number = next(numbers)
                question = f"How long can I return an item that has the number {number}?"
                replies[str(number)] = await pipeline.reply(Turn(kinds[number % 2], question))

        await asyncio.gather(*(ask() for _ in range(8)))
        assert await changing == 48
        assert active_version(home, "velmora") == "1"

    models = models_of([engine])
    assert len(replies) > 100
    assert set(models) == set(replies)
    for number, reply in replies.items():
        spoke = f"velmora@{reply.adapter['version']}"
        generations = reply.evidence["generations"]
        assert isinstance(generations, list)
        assert models[number] == [spoke] * len(generations), "every generation of a turn is of one version"
        assert len(generations) == (1 if int(number) % 2 else 2)
        assert {word for one in generations for word in one["text"].split()} == {spoke}
        if int(number) % 2:
            assert reply.text.split() == [spoke] * WORDS
    assert {reply.adapter["version"] for reply in replies.values()} == set(VERSIONS)
    # The engine keeps what it has computed under the adapter's name: a name never stands for two folders.
    assert sorted(engine.loads) == [(f"velmora@{one}", str(home.adapters / "velmora" / one)) for one in VERSIONS]
    assert engine.unproven == []


@asynccontextmanager
async def gateway_on(home: Home, monkeypatch: pytest.MonkeyPatch, *engines: FakeEngine) -> AsyncIterator[Gateway]:
    monkeypatch.setattr(bootstrap, "_encoder", lambda _folder: HashEncoder())
    config = load_config(Path("configs"), {})
    settings = config.service.model_copy(
        update={"engine": config.service.engine.model_copy(update={"urls": tuple(one.url for one in engines)})}
    )
    async with open_gateway(replace(config, service=settings), home, {}) as gateway:
        yield gateway


async def test_an_engine_that_dies_while_versions_change_costs_no_turn_and_each_turn_says_who_spoke(
    home: Home, brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = FakeEngine(pace_s=0.005), FakeEngine(pace_s=0.005)
    async with running(one, two), gateway_on(home, monkeypatch, one, two) as gateway:
        await gateway.engine.ready()
        changing = asyncio.create_task(change_versions(home, brand, 25, gateway.terms))

        async def visitor(name: str) -> None:
            for number in itertools.count():
                if changing.done():
                    return
                text = f"How long can I return an item that has the number {name}{number}?"
                message = InboundMessage("web", "web", f"{name}-{number}", name, name, text, {})
                accepted = await gateway.lanes.accept("velmora", message)
                lane = gateway.lanes._lanes[accepted.conversation_id]
                await asyncio.wait({lane}, timeout=PATIENCE_S)

        async def deaths() -> None:
            for engine in (one, two, one):
                await asyncio.sleep(0.1)
                await engine.kill()
                await asyncio.sleep(0.1)
                await engine.start()
                await until(lambda: gateway.metrics.engines_ready._value.get() == 2)

        await asyncio.gather(deaths(), *(visitor(f"v{at}x") for at in range(12)))
        told = await rows(gateway.db, tables.turns)
        evidence = [await conversations.evidence(gateway.db, one.id) for one in told]

    models = models_of((one, two))
    assert {found["state"] for found in evidence} == {"done"}
    # Where no engine was there at that moment, the brand's own words were said.
    evidence = [found for found in evidence if "no_engine" not in found["evidence"]]
    assert len(evidence) > 30
    for found in evidence:
        spoke = f"velmora@{found['adapter']['version']}"
        number = found["question"].rpartition("number ")[2].rstrip("?")
        assert spoke == models[number][-1], "what is kept as evidence is what the engine was asked for"
        assert {word for said in found["evidence"]["generations"] for word in said["text"].split()} == {spoke}
    assert one.unproven == two.unproven == []
    for engine in (one, two):
        assert {path for name, path in engine.loads if name == "velmora@1"} == {str(home.adapters / "velmora/1")}


async def test_a_restarted_engine_has_its_adapters_again_before_anyone_asks(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_adapter(home, "dicehollow", "7")
    activate(home, "7", "dicehollow")
    engine = FakeEngine()
    async with running(engine), gateway_on(home, monkeypatch, engine) as gateway:
        both = {"dicehollow@7", "velmora@1"}
        await until(lambda: engine._tried >= both)
        activate(home, "2", "velmora")
        await gateway.voices.voice("velmora")
        await engine.kill()
        await until(lambda: gateway.engine.state == "down")
        await engine.start()
        await until(lambda: engine._tried >= {"dicehollow@7", "velmora@2"})
        assert "velmora@1" not in engine._loaded, "what serves now, and not what served once"


async def test_our_own_engine_is_started_anew_with_what_serves_then_and_has_proven_itself(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_encoder", lambda _folder: HashEncoder())
    monkeypatch.setattr(bootstrap, "_base_model", lambda _config, _home: {"name": "base", "folder": "base"})
    monkeypatch.setattr(EngineProcess, "start", lambda _self: None)
    config = load_config(Path("configs"), {})
    async with open_gateway(config, home, {}) as gateway:
        engine = gateway.engine
        assert isinstance(engine, EngineProcess)
        held = gateway.voices._adapters
        assert isinstance(held, EngineAdapters)

        def adapters_after_a_death(*proven: str) -> list[str]:
            held._proven.update(proven)
            engine._set("down")
            engine._set("starting")
            words = engine.command()
            return words[words.index("--lora-modules") + 1 :] if "--lora-modules" in words else []

        assert f"velmora@1={home.adapters / 'velmora/1'}" in engine.command()
        promote(home, config.brands["velmora"], "2", terms=gateway.terms, override=SHOWN)
        shutil.rmtree(home.adapters / "velmora" / "1")
        # vLLM ends at once where a folder is gone, and where it does not take an adapter.
        assert adapters_after_a_death("velmora@1") == []
        assert adapters_after_a_death("velmora@1", "velmora@2") == [f"velmora@2={home.adapters / 'velmora/2'}"]
        assert not held.holds("velmora@2"), "the new engine has proven nothing"
