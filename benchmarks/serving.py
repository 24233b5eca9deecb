"""The gateway against the engine alone, the floor, and LiteLLM's proxy: interleaved, ratios from one run.

    python -m benchmarks.serving [--rounds 5] [--litellm VENV] [--out benchmarks/results/FILE.md]

Ends with 1 where a goal is missed. Added time to first token, server CPU a token at 16 and 64 streams, turns a
second, paced throughput, and the time from the engine's last token of a sentence to its frame. Method: medians of
per-round figures, ratios within a round. LiteLLM runs where `--litellm` names a virtual environment with
`litellm[proxy]` in it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from operator import sub, truediv
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.goals import Goal, at_least, at_most, goal_table
from service.engines.process import free_port

SITE_KEY_BRAND = "velmora"
LOGS = tempfile.mkdtemp(prefix="brandvoice-bench-")
BODY = {"model": "velmora", "messages": [{"role": "user", "content": "How long do I have to return an item?"}]}
TOKENS = 64
PACE_S = 0.02
PACED_TURNS = 3
QUESTION = "How long do I have to return an unopened item?"


@dataclass(frozen=True)
class Server:
    """A process under test."""

    name: str
    url: str
    pid: int

    def cpu_s(self) -> float:
        """User and system time of the process and its children so far, in seconds; threads that ended included."""
        total = 0.0
        for pid in [self.pid, *_children(self.pid)]:
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += sum(int(fields[at]) for at in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")
        return total


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_children(int(child))]
    return found


@contextmanager
def running(name: str, command: list[str], url: str, health: str, env: dict[str, str]) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it afterwards."""
    with open(f"{LOGS}/{name}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **env}, start_new_session=True)
    try:
        import urllib.error
        import urllib.request

        for _ in range(240):
            try:
                urllib.request.urlopen(url + health, timeout=2)  # noqa: S310
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{name} did not start; its log is {LOGS}/{name}.log") from None
                time.sleep(0.5)
        yield Server(name, url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


# --- clients --------------------------------------------------------------------------------------------------------


async def http_turn(session: aiohttp.ClientSession, url: str, *, stream: bool) -> tuple[float, float, int]:
    """One request; (seconds to first text, seconds in all, tokens)."""
    since = time.perf_counter()
    first = 0.0
    tokens = 0
    async with session.post(f"{url}/v1/chat/completions", json={**BODY, "stream": stream}) as response:
        response.raise_for_status()
        if not stream:
            await response.read()
            return 0.0, time.perf_counter() - since, TOKENS
        async for line in response.content:
            if b'"content":"' in line.replace(b" ", b"") and b'"content":""' not in line.replace(b" ", b""):
                first = first or time.perf_counter() - since
                tokens += 1
    return first, time.perf_counter() - since, tokens


class Widget:
    """A widget's connection, as the browser makes it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, site_key: str) -> None:
        self._session = session
        self._url = url.replace("http", "ws") + "/ws/chat"
        self._site_key = site_key

    async def __aenter__(self) -> Widget:
        self.socket = await self._session.ws_connect(self._url)
        await self.socket.send_str(orjson.dumps({"type": "hello", "site_key": self._site_key}).decode())
        await self.socket.receive()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def turn(
        self, arrivals: list[float] | None = None, *, of: str = "sentence", question: str = QUESTION
    ) -> tuple[float, float, int]:
        """One question; as `http_turn`. `arrivals` collects the moment of each frame of sentences, or of tokens."""
        since = time.perf_counter()
        first = 0.0
        chars = 0
        frame = {"type": "message", "client_id": uuid.uuid4().hex, "text": question}
        await self.socket.send_str(orjson.dumps(frame).decode())
        async for message in self.socket:
            kind = message.data[:40]
            if '"type":"token"' in kind or '"type":"sentence"' in kind:
                first = first or time.perf_counter() - since
                chars += 1
                if arrivals is not None and f'"{of}"' in kind:
                    arrivals.append(time.monotonic())
            elif '"type":"reply"' in kind:
                if '"outcome":"answered"' not in message.data:
                    raise SystemExit(f"not answered: run `make demo ONCE=...` first\n{message.data[:300]}")
                return first, time.perf_counter() - since, TOKENS
            elif '"type":"failed"' in kind:
                raise RuntimeError(message.data)
        raise RuntimeError("the socket closed")


async def first_token_ms(turn: Callable[[], Awaitable[tuple[float, float, int]]], count: int) -> float:
    """Median time to the first text over `count` turns, one at a time."""
    for _ in range(3):
        await turn()
    return statistics.median([(await turn())[0] for _ in range(count)]) * 1000


async def paced(turns: list[Callable[[], Awaitable[tuple[float, float, int]]]], server: Server) -> tuple[float, float]:
    """Clients that each ask `PACED_TURNS` times: tokens a second, and server CPU in microseconds a token.

    One turn of each goes before and is not counted: it opens the conversation and warms what lay idle.
    CPU is taken from clients that ask all at once, as it is mostly published; the rate from clients that begin evenly
    over the length of one reply, as visitors come, summed over their own rates.
    """

    async def client(delay_s: float, turn: Callable[[], Awaitable[tuple[float, float, int]]]) -> float:
        await asyncio.sleep(delay_s)
        since = time.perf_counter()
        for _ in range(PACED_TURNS):
            await turn()
        return PACED_TURNS * TOKENS / (time.perf_counter() - since)

    await asyncio.gather(*(turn() for turn in turns))
    before = server.cpu_s()
    await asyncio.gather(*(client(0.0, turn) for turn in turns))
    cpu_s = server.cpu_s() - before
    step_s = TOKENS * PACE_S / len(turns)
    rates = await asyncio.gather(*(client(number * step_s, turn) for number, turn in enumerate(turns)))
    return sum(rates), cpu_s / (len(turns) * PACED_TURNS * TOKENS) * 1e6


async def turns_per_s(
    turn: Callable[[], Awaitable[tuple[float, float, int]]], *, at_once: int, seconds: float
) -> float:
    """Unpaced whole turns a second at a fixed concurrency."""
    deadline = time.perf_counter() + seconds
    count = 0

    async def client() -> None:
        nonlocal count
        while time.perf_counter() < deadline:
            await turn()
            count += 1

    since = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    return count / (time.perf_counter() - since)


# --- the run --------------------------------------------------------------------------------------------------------


async def measure(
    fast: dict[str, Server], slow: dict[str, Server], site_key: str, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Every figure of every server, round by round, servers in turn."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in fast}

    def note(name: str, figure: str, value: float) -> None:
        found[name].setdefault(figure, []).append(value)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        for _ in range(rounds):
            for name, server in fast.items():
                over_socket = name.startswith("gateway")

                def http(url: str = server.url, stream: bool = True) -> Awaitable[tuple[float, float, int]]:
                    return http_turn(session, url, stream=stream)

                if over_socket:
                    async with Widget(session, server.url, site_key) as widget:
                        note(name, "ttft_ms", await first_token_ms(widget.turn, 40))
                else:
                    note(name, "ttft_ms", await first_token_ms(http, 40))
                note(
                    name,
                    "turns_s",
                    await turns_per_s(lambda h=http: h(stream=False), at_once=16, seconds=4),  # type: ignore[misc]
                )
            for name, server in slow.items():
                for streams in (16, 64):
                    if name.startswith("gateway"):
                        widgets = [Widget(session, server.url, site_key) for _ in range(streams)]
                        await asyncio.gather(*(widget.__aenter__() for widget in widgets))
                        rate, cpu = await paced([widget.turn for widget in widgets], server)
                        await asyncio.gather(*(widget.__aexit__() for widget in widgets))
                    else:
                        turns = [lambda s=server: http_turn(session, s.url, stream=True)] * streams
                        rate, cpu = await paced(turns, server)  # type: ignore[arg-type]
                    note(name, f"tok_s_{streams}", rate)
                    note(name, f"cpu_us_{streams}", cpu)
    return found


async def sentence_lag_ms(server: Server, engine_url: str, site_key: str, turns: int = 30) -> tuple[float, float]:
    """From the engine's token that completes a sentence to the sentence's frame: (p50, p95) in milliseconds."""
    lags: list[float] = []
    async with aiohttp.ClientSession() as session, Widget(session, server.url, site_key) as widget:
        await widget.turn()
        async with session.get(f"{engine_url}/moments") as response:
            await response.read()
        for _ in range(turns):
            arrivals: list[float] = []
            await widget.turn(arrivals)
            async with session.get(f"{engine_url}/moments") as response:
                sent = await response.json()
            lags += [(got - left) * 1000 for left, got in zip(sent, arrivals, strict=False)]
    lags.sort()
    return statistics.median(lags), lags[int(len(lags) * 0.95)]


def goals(found: dict[str, dict[str, list[float]]], lag: tuple[float, float]) -> list[Goal]:
    """The figures with a goal; ratios and differences are medians of those within a round."""

    def beside(name: str, figure: str, other: str, by: Callable[[float, float], float]) -> float:
        return statistics.median(map(by, found[name][figure], found[other][figure]))

    stubbed = "gateway, check off, retrieval stubbed"
    listed = [
        at_most("added to the first token, retrieval stubbed, ms", 3, beside(stubbed, "ttft_ms", "direct", sub)),
        at_most("the same with retrieval, ms", 8, beside("gateway, check off", "ttft_ms", "direct", sub)),
        at_most("CPU a token at 16 streams, us", 150, statistics.median(found[stubbed]["cpu_us_16"])),
        at_most("CPU a token at 64 streams, us", 110, statistics.median(found[stubbed]["cpu_us_64"])),
        at_least("64 paced streams, of direct", 0.97, beside(stubbed, "tok_s_64", "direct", truediv)),
        at_most("end of a sentence to its frame, p95, ms", 15, lag[1]),
    ]
    if "litellm" in found:
        times = beside(stubbed, "turns_s", "litellm", truediv)
        listed.append(at_least("turns a second, times LiteLLM's", 5, times))
    return listed


def table(found: dict[str, dict[str, list[float]]], lag: tuple[float, float], wanted: Sequence[Goal]) -> str:
    """The figures as Markdown, medians of rounds, and the goals."""
    middle: dict[str, dict[str, float]] = {
        name: {figure: statistics.median(values) for figure, values in figures.items()}
        for name, figures in found.items()
    }
    direct = middle["direct"]
    rows = [
        "| server | first token, ms | added, ms | turns/s, 16 at once | CPU us/token, 16 | CPU us/token, 64 "
        "| tok/s at 64 | of direct |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in middle.items():
        rows.append(
            f"| {name} | {figures['ttft_ms']:.2f} | {figures['ttft_ms'] - direct['ttft_ms']:+.2f} "
            f"| {figures['turns_s']:.0f} | {figures.get('cpu_us_16', 0):.0f} | {figures.get('cpu_us_64', 0):.0f} "
            f"| {figures.get('tok_s_64', 0):.0f} | {figures.get('tok_s_64', 0) / direct['tok_s_64']:.3f} |"
        )
    rows += ["", f"Sentence check on: engine's last token of a sentence to its frame p50 {lag[0]:.1f} ms."]
    rows += ["", *goal_table(wanted)]
    return "\n".join(rows)


def main() -> int:
    """Start everything, measure, print, keep; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", type=Path, help="virtual environment with litellm[proxy]")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    from configs.load import load_config

    site_key = load_config(Path("configs"), {}).brands[SITE_KEY_BRAND].widget.site_key
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(name: str, command: list[str], health: str, **env: str) -> Server:
            port = free_port()
            words = [word.replace("PORT", str(port)) for word in command]
            return stack.enter_context(running(name, words, f"http://127.0.0.1:{port}", health, env))

        def uvicorn(app: str) -> list[str]:
            return [sys.executable, "-m", "uvicorn", app, "--port", "PORT", "--log-level", "error", "--no-access-log"]

        def under_test(engine: Server, check: str, retrieval: str) -> list[str]:
            words = [sys.executable, "-m", "benchmarks.gateway_under_test", "--engine", engine.url, "--port", "PORT"]
            return [*words, "--check", check, "--retrieval", retrieval]

        servers: list[dict[str, Server]] = []
        lag_server: Server
        for pace in ("0", "20"):
            engine = start(f"engine-{pace}", uvicorn("benchmarks.fake_engine:app"), "/health", FAKE_PACE_MS=pace)
            group = {
                "direct": engine,
                "floor": start(f"floor-{pace}", uvicorn("benchmarks.floor:app"), "/docs", FLOOR_UPSTREAM=engine.url),
                "gateway, check off, retrieval stubbed": start(
                    f"gw-off-{pace}", under_test(engine, "off", "stub"), "/livez"
                ),
                "gateway, check off": start(f"gw-real-{pace}", under_test(engine, "off", "real"), "/livez"),
                "gateway, check on": start(f"gw-on-{pace}", under_test(engine, "before", "stub"), "/livez"),
            }
            if arguments.litellm:
                group["litellm"] = _litellm(start, arguments.litellm, engine, pace)
            servers.append(group)
        lag_server, lag_engine = servers[1]["gateway, check on"], servers[1]["direct"]
        found = asyncio.run(measure(servers[0], servers[1], site_key, arguments.rounds))
        lag = asyncio.run(sentence_lag_ms(lag_server, lag_engine.url, site_key))
    wanted = goals(found, lag)
    text = _report(table(found, lag, wanted), arguments.rounds)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return int(not all(goal.met for goal in wanted))


def _litellm(start: Callable[..., Server], venv: Path, engine: Server, pace: str) -> Server:
    config = Path(f"{LOGS}/litellm-{pace}.yaml")
    config.write_text(
        "model_list:\n- model_name: velmora\n  litellm_params:\n    model: openai/velmora\n"
        f"    api_base: {engine.url}/v1\n    api_key: none\n",
        encoding="utf-8",
    )
    command = [str(venv / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", "PORT"]
    # On loopback, for this run only: its key check would add to what is measured.
    keyless = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    return start(f"litellm-{pace}", [*command, "--num_workers", "1"], "/health/liveliness", **keyless)


def _report(body: str, rounds: int) -> str:
    machine: dict[str, Any] = {"cores": os.cpu_count(), "python": platform.python_version(), "arch": platform.machine()}
    return (
        f"# Serving, {date.today().isoformat()}\n\n`python -m benchmarks.serving --rounds {rounds}` on "
        f"{machine['cores']} cores ({machine['arch']}, Python {machine['python']}); replies of 64 tokens from a fake "
        f"engine, paced 20 ms a token for the CPU and throughput columns; medians of {rounds} rounds.\n\n{body}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
