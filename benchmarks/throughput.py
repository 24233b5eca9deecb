"""The gateway on real vLLM against raw vLLM: the same prompts, the same adapters, temperature 0.

    python -m benchmarks.throughput [--rounds 3] [--out benchmarks/results/FILE.md]

Each question is first asked through the widget's WebSocket, and the prompt that the gateway made is read from the
turn's evidence. Then rounds alternate: all questions over the gateway, the recorded prompts straight to the engine.
Both find the engine's prefix cache equally warm. The sentence check is off, so that both stream all tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.quality import questions_of
from benchmarks.serving import Widget, running
from configs.adapter_terms import Terms
from configs.base_manifest import base_folder, read_base
from configs.home import Home
from configs.load import Config, load_config
from service.engines.adapters import serving_adapters
from service.engines.process import EngineProcess, free_port

AT_ONCE = (1, 4, 8)
QUESTIONS_EACH = 6
MAX_TOKENS = 64
"""As in `gateway_under_test`."""


@dataclass
class Asked:
    """One question and what the gateway made of it."""

    brand: str
    text: str
    model: str = ""
    prompt: Sequence[Any] = ()
    answer: str = ""


@dataclass
class Pass:
    """One pass over all questions."""

    seconds: float
    first_s: list[float]
    texts: list[str]


@asynccontextmanager
async def engine_of(config: Config, home: Home) -> Any:
    """The engine as the gateway would start it, with all active adapters."""
    base = read_base(folder := base_folder(home.models, config.service.models.base))
    adapters, _ = serving_adapters(home, config.brands, terms=Terms(base_sha256=base.sha256))
    async with aiohttp.ClientSession() as session:
        engine = EngineProcess(
            config.service.engine,
            model=folder,
            base_name=base.name,
            log_file=home.runs / "engine-benchmark.log",
            adapters=adapters,
            session=session,
        )
        engine.start()
        try:
            await engine.ready()
            yield engine
        finally:
            await engine.stop()


async def over_gateway(session: aiohttp.ClientSession, url: str, site_key: str, asked: Asked) -> tuple[float, str, str]:
    """Ask in a conversation of its own; (seconds to the first token, text, turn)."""
    async with Widget(session, url, site_key) as widget:
        since = time.perf_counter()
        first = 0.0
        frame = {"type": "message", "client_id": os.urandom(8).hex(), "text": asked.text}
        await widget.socket.send_str(orjson.dumps(frame).decode())
        async for message in widget.socket:
            got = orjson.loads(message.data)
            if got["type"] == "token":
                first = first or time.perf_counter() - since
            elif got["type"] == "reply":
                return first, got["text"], got["turn"]
            elif got["type"] == "failed":
                raise RuntimeError(got)
    raise RuntimeError("the socket closed")


async def straight(session: aiohttp.ClientSession, url: str, asked: Asked) -> tuple[float, str, int]:
    """The recorded prompt to the engine; (seconds to the first token, text, tokens)."""
    body = {
        "model": asked.model,
        "messages": asked.prompt,
        "temperature": 0.0,
        "max_tokens": MAX_TOKENS,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    since = time.perf_counter()
    first, text, tokens = 0.0, "", 0
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            event = orjson.loads(line[6:])
            tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
            for choice in event["choices"]:
                if content := choice["delta"].get("content"):
                    first = first or time.perf_counter() - since
                    text += content
    return first, text, tokens


async def one_pass(asked: Sequence[Asked], at_once: int, ask: Callable[[Asked], Awaitable[tuple[float, str]]]) -> Pass:
    """All questions, so many at a time."""
    slots = asyncio.Semaphore(at_once)

    async def one(question: Asked) -> tuple[float, str]:
        async with slots:
            return await ask(question)

    since = time.perf_counter()
    done = await asyncio.gather(*(one(question) for question in asked))
    seconds = time.perf_counter() - since
    return Pass(seconds, [first for first, _ in done], [text for _, text in done])


async def measure(gateway: str, engine: str, config: Config, rounds: int) -> list[str]:
    """The table's rows."""
    keys = {name: brand.widget.site_key for name, brand in config.brands.items()}
    asked = [
        Asked(name, question.text)
        for name, brand in config.brands.items()
        if brand.questions
        for question in [q for q in questions_of(brand.questions) if q.document][:QUESTIONS_EACH]
    ]
    rows = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=300)) as session:
        for question in asked:
            _, question.answer, turn = await over_gateway(session, gateway, keys[question.brand], question)
            async with session.get(f"{gateway}/v1/turns/{turn}") as response:
                kept = await response.json()
            if kept["outcome"] == "answered":
                question.prompt = kept["evidence"]["prompt"]
                question.model = f"{question.brand}@{kept['adapter']['version']}"
        # A refusal is spoken in the brand's own words where the model's will not do: nothing to compare.
        asked = [question for question in asked if question.prompt]
        tokens = sum([(await straight(session, engine, question))[2] for question in asked])

        async def ours(question: Asked) -> tuple[float, str]:
            first, text, _ = await over_gateway(session, gateway, keys[question.brand], question)
            return first, text

        async def raw(question: Asked) -> tuple[float, str]:
            first, text, _ = await straight(session, engine, question)
            return first, text

        for at_once in AT_ONCE:
            pairs = [(await one_pass(asked, at_once, ours), await one_pass(asked, at_once, raw)) for _ in range(rounds)]
            rate = [statistics.median(tokens / one.seconds for one in side) for side in zip(*pairs, strict=True)]
            first = [
                statistics.median(value for one in side for value in one.first_s) for side in zip(*pairs, strict=True)
            ]
            ratio = statistics.median(b.seconds / a.seconds for a, b in pairs)
            same = sum(x.strip() == y.strip() for a, b in pairs for x, y in zip(a.texts, b.texts, strict=True))
            rows.append(
                f"| {at_once} | {rate[0]:.1f} | {rate[1]:.1f} | {ratio:.3f} | {first[0] * 1000:.0f} "
                f"| {first[1] * 1000:.0f} | {first[0] / first[1]:.3f} | {same}/{rounds * len(asked)} |"
            )
    return rows


async def run(rounds: int) -> str:
    """Start engine and gateway, measure, render."""
    config = load_config(Path("configs"), {})
    home = Home.from_environment(os.environ)
    async with engine_of(config, home) as engine:
        with ExitStack() as stack:
            port = free_port()
            words = [sys.executable, "-m", "benchmarks.gateway_under_test", "--engine", engine.url, "--port", str(port)]
            words += ["--home", str(home.root), "--check", "off", "--retrieval", "real"]
            server = stack.enter_context(running("gateway", words, f"http://127.0.0.1:{port}", "/livez", {}))
            rows = await measure(server.url, engine.url, config, rounds)
    return "\n".join(
        [
            f"# Real vLLM, {date.today().isoformat()}",
            "",
            f"`python -m benchmarks.throughput --rounds {rounds}` on {os.cpu_count()} cores ({platform.machine()}), "
            f"SmolLM2-135M-Instruct with both shipped adapters, at most {2 * QUESTIONS_EACH} questions a pass, "
            f"temperature 0, {MAX_TOKENS} tokens at most, check off, search on; medians of {rounds} rounds in turn.",
            "",
            "| at once | gateway tok/s | raw tok/s | ratio | gateway first token, ms | raw, ms | ratio | same words |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = asyncio.run(run(arguments.rounds))
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
