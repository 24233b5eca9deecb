"""Whether an engine uses an adapter as it was trained: every way in which it may not, on a small stand-in for vLLM."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from configs.adapter_proof import AdapterProof, read_proof
from configs.adapter_signature import sign_adapter
from configs.adapter_terms import Terms
from configs.errors import AdapterInvalid
from configs.home import Home
from service.engines.proof import prove
from service.engines.voices import EngineAdapters, EngineVoices
from service.errors import AdapterUnknown, ModelUnavailable
from tests.unit.made_adapters import CANARY, activate, make_adapter

WEIGHTS = "a" * 64
ANY = Terms()
PROOF = AdapterProof(weights_sha256=WEIGHTS, canaries=(CANARY,))


@dataclass
class Engine:
    """Says what it is told to say."""

    logprobs: dict[str, float] = field(default_factory=lambda: {"base": -2.0, "demo@1": -0.2, "demo@2": -0.2})
    tokens: list[int] = field(default_factory=lambda: [1, 2, 3])
    status: int = 200
    without_logprobs: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)
    on_call: Callable[[], object] = lambda: None

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body.get("model") or body["lora_name"]
        self.calls.append((request.path.rpartition("/")[2], name))
        self.on_call()
        if self.status != 200:
            return web.json_response({"error": "no"}, status=self.status)
        if request.path == "/tokenize":
            return web.json_response({"tokens": self.tokens})
        if request.path == "/v1/completions":
            assert body["prompt"] == [[1, 2, 3], [1, 2, 3, 7, 8]]
            # As vLLM does: the likeliest tokens by id, in any order of choices; an unlikely one is not among them.
            rows = [
                {
                    "index": at,
                    "logprobs": {"top_logprobs": [{f"token_id:{token}": self.logprobs[name], "token_id:77": -0.1}]},
                }
                for at, token in ((1, 9), (0, 7))
            ]
            if self.logprobs[name] < -3:
                rows = [{"index": at, "logprobs": {"top_logprobs": [{"token_id:77": -0.1}]}} for at in (1, 0)]
            return web.json_response({"choices": [{"index": 0}] if self.without_logprobs else rows})
        return web.Response(text="ok")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            async with aiohttp.ClientSession() as session:
                yield session, f"http://{host}:{port}"
        finally:
            await runner.cleanup()


async def tried(engine: Engine) -> None:
    async with engine.running() as (session, url):
        await prove(session, url, base="base", model="demo@1", proof=PROOF)


async def test_an_engine_that_does_as_was_written_down_passes() -> None:
    engine = Engine()
    await tried(engine)
    assert engine.calls == [("tokenize", "demo@1"), ("completions", "demo@1"), ("completions", "base")]
    # Another arithmetic moves the figures a little.
    await tried(Engine(logprobs={"demo@1": -0.25, "base": -2.06}))


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (Engine(logprobs={"demo@1": -2.0, "base": -2.0}), "ignores demo@1"),
        (Engine(logprobs={"demo@1": -1.1, "base": -2.0}), "is not what was trained"),
        (Engine(logprobs={"demo@1": -0.2, "base": -9.0}), "another base"),
        (Engine(tokens=[1, 2, 4]), "other tokens"),
        (Engine(without_logprobs=True), "gives no log-probabilities"),
        (Engine(status=404), "cannot try demo@1"),
    ],
)
async def test_an_adapter_that_does_not_do_as_was_written_down_is_refused(engine: Engine, reason: str) -> None:
    with pytest.raises(AdapterUnknown, match=reason):
        await tried(engine)


async def test_an_engine_in_trouble_is_no_fault_of_the_adapter() -> None:
    with pytest.raises(ModelUnavailable):
        await tried(Engine(status=503))


def adapter(home: Home, version: str, *, proven: bool = True) -> None:
    """A version that speaks."""
    make_adapter(home, version=version, proven=proven)
    activate(home, version)


@dataclass
class Speaking:
    """Voices on one engine, which was started with both versions."""

    voices: EngineVoices
    adapters: EngineAdapters


def speaking_on(home: Home, session: aiohttp.ClientSession, url: str, terms: Terms = ANY) -> Speaking:
    loaded = {f"demo@{version}": home.adapters / "demo" / version for version in ("1", "2")}
    adapters = EngineAdapters(home, base_name="base", terms=terms, engine_url=url, session=session, loaded=loaded)
    return Speaking(EngineVoices(home, base_name="base", adapters=adapters), adapters)


async def test_a_version_is_proven_once_before_it_speaks(tmp_path: Path) -> None:
    home, engine = Home(tmp_path), Engine()
    adapter(home, "1")
    async with engine.running() as (session, url):
        speaking = speaking_on(home, session, url)
        assert (await speaking.voices.voice("demo")).model == "demo@1"
        asked = len(engine.calls)
        assert asked == 3
        await speaking.voices.voice("demo")
        assert len(engine.calls) == asked
        speaking.adapters.forget({"demo@1": tmp_path})
        await speaking.voices.voice("demo")
        assert len(engine.calls) == 2 * asked


async def test_while_a_promoted_version_is_refused_the_one_before_goes_on_speaking(tmp_path: Path) -> None:
    home, engine = Home(tmp_path), Engine()
    adapter(home, "1")
    async with engine.running() as (session, url):
        speaking = speaking_on(home, session, url)
        assert (await speaking.voices.voice("demo")).version == "1"
        adapter(home, "2")
        engine.logprobs["demo@2"] = -2.0
        assert (await speaking.voices.voice("demo")).version == "1"
        assert ("unload_lora_adapter", "demo@2") in engine.calls
        asked = len(engine.calls)
        # Not tried again at each turn; and whoever names it is told why.
        assert (await speaking.voices.voice("demo")).version == "1"
        with pytest.raises(AdapterUnknown, match="ignores demo@2"):
            await speaking.voices.voice("demo", "2")
        assert len(engine.calls) == asked


async def test_a_refused_version_with_none_before_it_does_not_speak(tmp_path: Path) -> None:
    home, engine = Home(tmp_path), Engine(tokens=[9])
    adapter(home, "1")
    async with engine.running() as (session, url):
        with pytest.raises(AdapterUnknown, match="other tokens"):
            await speaking_on(home, session, url).voices.voice("demo")


async def test_an_adapter_from_before_there_were_proofs_speaks(tmp_path: Path) -> None:
    home, engine = Home(tmp_path), Engine()
    adapter(home, "1", proven=False)
    async with engine.running() as (session, url):
        assert (await speaking_on(home, session, url).voices.voice("demo")).version == "1"
    assert engine.calls == []


async def test_files_are_checked_before_the_engine_hears_of_them_also_where_it_was_started_with_them(
    tmp_path: Path,
) -> None:
    home, engine = Home(tmp_path), Engine()
    adapter(home, "1")
    async with engine.running() as (session, url):
        speaking = speaking_on(home, session, url, Terms(max_rank=2))
        with pytest.raises(AdapterUnknown, match="rank 4, but the engine takes 2"):
            await speaking.voices.voice("demo")
        signed = speaking_on(home, session, url, Terms(keys=(b"k" * 32,)))
        with pytest.raises(AdapterUnknown, match="is not signed"):
            await signed.voices.voice("demo")
        assert engine.calls == []
        # Once it is signed it speaks, without a new start.
        sign_adapter(home.adapters / "demo/1", (b"k" * 32,))
        assert (await signed.voices.voice("demo")).version == "1"


async def test_an_engine_that_is_started_anew_while_an_adapter_is_tried_has_proven_nothing(tmp_path: Path) -> None:
    home, engine = Home(tmp_path), Engine()
    adapter(home, "1")
    async with engine.running() as (session, url):
        speaking = speaking_on(home, session, url)
        engine.on_call = lambda: speaking.adapters.forget({})
        with pytest.raises(ModelUnavailable, match="started anew"):
            await speaking.voices.voice("demo")
        engine.on_call = lambda: None
        assert (await speaking.voices.voice("demo")).version == "1"
        assert ("load_lora_adapter", "demo@1") in engine.calls


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"schema": 1',
        PROOF.to_json().replace("-0.2", "-2.0"),
        PROOF.to_json().replace('"at": 2', '"at": 4'),
    ],
)
def test_a_proof_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "proof.json").write_text(text)
    with pytest.raises(AdapterInvalid, match="again"):
        read_proof(tmp_path, WEIGHTS)


def test_a_proof_of_other_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_text(PROOF.to_json())
    assert read_proof(tmp_path, WEIGHTS) == PROOF
    assert json.loads(PROOF.to_json())["schema"] == 1
    with pytest.raises(AdapterInvalid, match="another adapter"):
        read_proof(tmp_path, "f" * 64)
