"""The vLLM process: started as a child, watched, started again when it dies, ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import aiohttp

from configs.service import Engine
from service.errors import EngineFailed

log = logging.getLogger(__name__)

EngineState = Literal["starting", "ready", "down"]

RESTARTS_IN_A_ROW = 3
"""An engine that dies this often before it was ready once is broken, and starting it again would hide that."""
POLL_S = 0.5
LOOK_S = 2.0
"""Between two looks at an engine that someone else runs."""
PR_SET_PDEATHSIG = 1
CPU_ENVIRONMENT = {"VLLM_TARGET_DEVICE": "cpu"}


class EngineProcess:
    """One vLLM server on a loopback port.

    `state` moves starting -> ready -> down -> starting ...; `on_change` hears of each move.
    """

    def __init__(
        self,
        settings: Engine,
        *,
        model: Path,
        base_name: str,
        log_file: Path,
        adapters: Mapping[str, Path],
        session: aiohttp.ClientSession,
        on_change: Callable[[EngineState], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._model = model
        self._base_name = base_name
        self._log_file = log_file
        self._session = session
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False
        self.adapters = dict(adapters)
        self.state: EngineState = "starting"
        self.failure: EngineFailed | None = None
        self._settled = asyncio.Event()
        self.port = settings.port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id of the server, for tests and for the curious."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start and watch in the background."""
        self._watcher = asyncio.create_task(self._watch(), name="engine")

    async def ready(self) -> None:
        """Wait until it answers.

        Raises:
            EngineFailed: It does not come up.
        """
        await self._settled.wait()
        if self.failure:
            raise self.failure

    async def stop(self) -> None:
        """End the process and everything that it started."""
        self._stopping = True
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._end()

    def command(self) -> list[str]:
        """The command line of the server."""
        settings = self._settings
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", str(self._model), "--served-model-name", self._base_name]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--max-model-len", str(settings.max_model_len), "--max-num-seqs", str(settings.max_num_seqs)]
        command += ["--enable-lora", "--max-loras", str(settings.max_loras)]
        command += ["--max-lora-rank", str(settings.max_lora_rank), "--enable-prefix-caching"]
        if settings.device == "cpu":
            # float32 is faster than bfloat16 on CPUs without AMX, and is what the token-identity tests compare.
            command += ["--dtype", "float32"]
        if self.adapters:
            command += ["--lora-modules", *(f"{name}={folder}" for name, folder in sorted(self.adapters.items()))]
        return command

    def environment(self) -> dict[str, str]:
        """Our environment with what the server needs; nothing is fetched and nothing is reported."""
        environment = dict(os.environ)
        environment |= {
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "HF_HUB_OFFLINE": "1",
            "VLLM_LOGGING_LEVEL": "INFO",
        }
        if self._settings.device == "cpu":
            environment |= CPU_ENVIRONMENT
            environment["VLLM_CPU_KVCACHE_SPACE"] = str(self._settings.kv_cache_gib)
        return environment

    async def _watch(self) -> None:
        failures = 0
        while not self._stopping:
            self._set("starting")
            since = time.monotonic()
            was_ready = False
            try:
                process = await self._launch()
                await self._wait_ready(process)
                was_ready, failures = True, 0
                log.info("engine_ready", extra={"seconds": round(time.monotonic() - since, 1)})
                self._set("ready")
                code = await process.wait()
                log.error("engine_died", extra={"exit_code": code})
            except EngineFailed as error:
                log.exception("engine_start_failed")
                failures += 1
                if failures >= RESTARTS_IN_A_ROW:
                    self.failure = error
            self._set("down")
            await self._end()
            if self.failure:
                self._settled.set()
                return
            await asyncio.sleep(0 if was_ready else 2**failures)

    async def _launch(self) -> asyncio.subprocess.Process:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                env=self.environment(),
                # A process group of its own: the server's workers end with it, and a Ctrl-C in the terminal
                # reaches us alone, so that we end things in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._process = process
        return process

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + self._settings.ready_timeout_s
        while time.monotonic() < deadline:
            if process.returncode is not None:
                raise EngineFailed(
                    f"The engine ended with code {process.returncode} before it was ready. "
                    f"Its last words: {self._last_words()!r}. The whole log is {self._log_file}; "
                    "`brandvoice doctor` checks memory, model and adapters."
                )
            with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError):
                timeout = aiohttp.ClientTimeout(total=2)
                async with self._session.get(f"{self.url}/health", timeout=timeout) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(POLL_S)
        raise EngineFailed(
            f"The engine was not ready after {self._settings.ready_timeout_s:.0f} s. "
            f"Look into {self._log_file}, or raise engine.ready_timeout_s in configs/service.yaml."
        )

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        for number, patience_s in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), patience_s)
                break
        # The server may be gone while a worker of its group is not.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self._process = None

    def _last_words(self) -> str:
        try:
            lines = self._log_file.read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        errors = [line for line in lines[-60:] if "Error" in line]
        return (errors or lines or [""])[-1][-300:]

    def _set(self, state: EngineState) -> None:
        if state == "ready":
            self._settled.set()
        else:
            self._settled.clear()
        if state != self.state:
            self.state = state
            self._on_change(state)


class RemoteEngine:
    """An engine that someone else runs: we only look whether it answers."""

    def __init__(
        self, url: str, *, session: aiohttp.ClientSession, on_change: Callable[[EngineState], None] = lambda _: None
    ) -> None:
        self.url = url.rstrip("/")
        self.state: EngineState = "starting"
        self.failure: EngineFailed | None = None
        self.on_change = on_change
        self.was_away = False
        """Whether it missed a look since it was ready last; one that was only doubted did not."""
        self._session = session
        self._watcher: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._doubt = asyncio.Event()

    def start(self) -> None:
        """Begin to look."""
        self._watcher = asyncio.create_task(self._watch(), name="engine")

    async def ready(self) -> None:
        """Wait until it answers."""
        await self._ready.wait()

    def doubt(self) -> None:
        """It broke off an answer: take it for gone, and look at once."""
        self._set("down")
        self._doubt.set()

    async def stop(self) -> None:
        """Look no longer."""
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher

    async def _watch(self) -> None:
        while True:
            self._doubt.clear()
            alive = False
            with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError):
                async with self._session.get(f"{self.url}/health", timeout=aiohttp.ClientTimeout(total=3)) as answer:
                    alive = answer.status == 200
            # What was asked before the doubt says nothing of the time after it.
            if not self._doubt.is_set():
                self.was_away = self.was_away or not alive
                self._set("ready" if alive else "down")
                self.was_away = not alive
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._doubt.wait()

    def _set(self, state: EngineState) -> None:
        if state == "ready":
            self._ready.set()
        else:
            self._ready.clear()
        if state != self.state:
            self.state = state
            self.on_change(state)


def _die_with_parent() -> None:
    """Ask the kernel to end the engine when we are killed and cannot do it ourselves (prctl(2), Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
