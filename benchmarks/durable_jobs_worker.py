"""One process of `benchmarks.durable_jobs`: hand in two-step jobs and work on them, by one of three systems.

Runs in the environment of the system that it measures, so each is imported where it is needed only. A job says "this
conversation has news"; its steps write a line each. Prints one JSON object when all is done.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


class Effects:
    """What the steps did, one line each: appended at once, so that it is there after kill -9."""

    def __init__(self, path: Path, step_s: float) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.path = path
        self.step_s = step_s

    def note(self, conversation: int, number: int, step: int) -> None:
        """A step is done."""
        os.write(self._file, f"{conversation} {number} {step} {time.time():.4f}\n".encode())

    def handed_in(self) -> None:
        """All jobs are."""
        self.path.with_suffix(".handed").touch()

    def done(self) -> int:
        """How many jobs are."""
        return len({tuple(line.split()[:2]) for line in self.path.read_text().splitlines() if line.split()[2] == "2"})


def jobs(arguments: argparse.Namespace) -> list[tuple[int, int]]:
    """(conversation, number), as they come in: all conversations beside each other."""
    return [(job % arguments.conversations, job // arguments.conversations) for job in range(arguments.jobs)]


async def until_done(effects: Effects, count: int) -> None:
    """Wait for the last job."""
    while effects.done() < count:  # noqa: ASYNC110 - another thread or process writes the file
        await asyncio.sleep(0.05)


async def ours(arguments: argparse.Namespace, effects: Effects) -> list[float]:
    """Inbox and lanes of the gateway; a turn is a job of two steps."""
    from channels.base import InboundMessage
    from configs.load import load_config
    from configs.service import Service
    from service.conversation import inbox
    from service.conversation.events import Reply
    from service.delivery.typing import Typing
    from service.storage.database import Database
    from service.telemetry import Metrics
    from service.turns.hub import Hub
    from service.turns.lanes import Lanes
    from service.turns.notices import Notices

    class TwoSteps:
        """Stands where the pipeline stands."""

        async def stream(self, turn: Any) -> AsyncIterator[Any]:
            conversation, number = (int(word) for word in turn.question.split())
            for step in (1, 2):
                await asyncio.sleep(effects.step_s)
                effects.note(conversation, number, step)
            yield Reply("done", "answered", (), {"brand": "velmora", "version": "1"}, _NO_TOKENS, {})

    async def nothing(*_: object) -> Any:
        return 200, {}, b""

    async def ready() -> None:
        return

    db = await Database.open(arguments.url)
    brand = load_config(Path("configs"), {}).brands["velmora"]
    lanes = Lanes(
        db=db,
        pipeline=TwoSteps(),  # type: ignore[arg-type]
        hub=Hub(),
        brands={"velmora": brand},
        settings=Service(max_turns=arguments.workers),
        metrics=Metrics(),
        engine_ready=ready,
        typing=Typing({}, nothing),
        notices=Notices(db, {}, nothing),
        apart={"slack"},
    )
    await lanes.resume()
    moments: list[float] = []
    for conversation, number in jobs(arguments) if arguments.phase == "run" else ():
        since = time.perf_counter()
        said = InboundMessage(
            "slack", "T", f"{conversation}-{number}", f"c{conversation}", "U", f"{conversation} {number}"
        )
        accepted = await inbox.accept(db, "velmora", said)
        lanes.submit(accepted.conversation_id)
        moments.append(time.perf_counter() - since)
    effects.handed_in()
    await until_done(effects, arguments.jobs)
    await lanes.drain()
    await db.close()
    return moments


def dbos(arguments: argparse.Namespace, effects: Effects) -> list[float]:
    """DBOS: a queue with one partition a conversation, one at a time in each."""
    peer: Any = importlib.import_module("dbos")
    DBOS, SetEnqueueOptions = peer.DBOS, peer.SetEnqueueOptions
    DBOS(
        config={
            "name": "bench",
            "system_database_url": arguments.url,
            "log_level": "ERROR",
            "application_version": "1",
            "run_admin_server": False,
        }
    )

    @DBOS.step()  # type: ignore[untyped-decorator]
    def step(conversation: int, number: int, which: int) -> None:
        time.sleep(effects.step_s)
        effects.note(conversation, number, which)

    @DBOS.workflow()  # type: ignore[untyped-decorator]
    def job(conversation: int, number: int) -> None:
        step(conversation, number, 1)
        step(conversation, number, 2)

    DBOS.launch()
    DBOS.register_queue(
        "news", worker_concurrency=arguments.workers, partition_concurrency=1, polling_interval_sec=arguments.poll_s
    )
    moments: list[float] = []
    for conversation, number in jobs(arguments) if arguments.phase == "run" else ():
        since = time.perf_counter()
        with SetEnqueueOptions(queue_partition_key=f"c{conversation}"):
            DBOS.enqueue_workflow("news", job, conversation, number)
        moments.append(time.perf_counter() - since)
    effects.handed_in()
    asyncio.run(until_done(effects, arguments.jobs))
    DBOS.destroy()
    return moments


async def procrastinate(arguments: argparse.Namespace, effects: Effects) -> list[float]:
    """procrastinate: a lock for each conversation; PostgreSQL only."""
    peer: Any = importlib.import_module("procrastinate")
    connector = peer.PsycopgConnector(conninfo=arguments.url, max_size=arguments.workers + 4)
    app = peer.App(connector=connector)

    @app.task(name="job", retry=peer.RetryStrategy(max_attempts=5))  # type: ignore[untyped-decorator]
    async def job(conversation: int, number: int) -> None:
        for step in (1, 2):
            await asyncio.sleep(effects.step_s)
            effects.note(conversation, number, step)

    async with app.open_async():
        if arguments.phase == "run":
            await app.schema_manager.apply_schema_async()
        options: Any = {"concurrency": arguments.workers, "wait": True, "install_signal_handlers": False}
        working = asyncio.create_task(app.run_worker_async(fetch_job_polling_interval=arguments.poll_s, **options))
        stalled = asyncio.create_task(_retry_stalled(app))
        moments: list[float] = []
        for conversation, number in jobs(arguments) if arguments.phase == "run" else ():
            since = time.perf_counter()
            await job.configure(lock=f"c{conversation}").defer_async(conversation=conversation, number=number)
            moments.append(time.perf_counter() - since)
        effects.handed_in()
        await until_done(effects, arguments.jobs)
        for task in (working, stalled):
            task.cancel()
        await asyncio.gather(working, stalled, return_exceptions=True)
    return moments


async def _retry_stalled(app: Any) -> None:
    """What its documentation asks for: look for jobs whose worker fell silent (after 30 s), and retry them."""
    while True:
        for one in await app.job_manager.get_stalled_jobs():
            await app.job_manager.retry_job(one)
        await asyncio.sleep(1)


_NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0}


def main() -> None:
    """Work, and tell how long each hand-in took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=("ours", "dbos", "procrastinate"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--effects", type=Path, required=True)
    parser.add_argument("--phase", choices=("run", "resume"), default="run")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--conversations", type=int, default=20)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--step-s", type=float, default=0.0)
    parser.add_argument("--poll-s", type=float, default=0.05)
    arguments = parser.parse_args()
    effects = Effects(arguments.effects, arguments.step_s)
    since = time.perf_counter()
    if arguments.system == "ours":
        moments = asyncio.run(ours(arguments, effects))
    elif arguments.system == "dbos":
        with ThreadPoolExecutor(1) as apart:  # it refuses its blocking calls where a loop runs
            moments = apart.submit(dbos, arguments, effects).result()
    else:
        moments = asyncio.run(procrastinate(arguments, effects))
    sys.stdout.write(json.dumps({"enqueue_s": moments, "seconds": time.perf_counter() - since}) + "\n")


if __name__ == "__main__":
    main()
