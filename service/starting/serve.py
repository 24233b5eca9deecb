"""Run the gateway under uvicorn."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
import uvloop
from threadpoolctl import threadpool_limits

from configs.errors import ConfigError
from configs.home import Home
from configs.load import Config
from service.app import create_app
from service.bootstrap import Gateway

DRAIN_S = 15

Ready = Callable[[Gateway, str], Coroutine[Any, Any, None]]


async def serve(config: Config, home: Home, *, on_open: Ready | None = None) -> None:
    """Listen until a signal ends us.

    Args:
        config: The resolved configuration.
        home: The state folder.
        on_open: Run beside the server with the gateway and its address; an error of it ends the server.

    Raises:
        ConfigError: The port is taken, or something is missing.
        Exception: What `on_open` or the opening of the gateway raised.
    """
    settings = config.service.service
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    opened: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
    app = create_app(config, home, opened=opened)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            # Without deflate an idle socket takes 30 KiB instead of 64, and frames of one sentence do not shrink.
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=1024 * 1024,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )
    running = asyncio.create_task(server.serve([listener]))
    beside: asyncio.Task[None] | None = None
    try:
        await asyncio.wait((running, opened), return_when=asyncio.FIRST_COMPLETED)
        if opened.done():
            gateway = opened.result()
            gateway.trainings.url = f"http://{_reached_at(host)}:{port}"
            # What is loaded now stays: the collector need not look through it again while tokens stream.
            gc.collect()
            gc.freeze()
            # A second thread of numpy's would spin after each small product: 9 ms of a core a turn, for nothing.
            threadpool_limits(1, user_api="blas")
            if on_open is not None:
                beside = asyncio.create_task(on_open(gateway, f"http://{host}:{port}"))
                await asyncio.wait((running, beside), return_when=asyncio.FIRST_COMPLETED)
                if beside.done():
                    beside.result()
        await running
    finally:
        server.should_exit = True
        if beside is not None:
            beside.cancel()
        # uvicorn answers a start that failed with SystemExit; the error itself is the better answer.
        await asyncio.gather(*(task for task in (running, beside) if task), return_exceptions=True)
        listener.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop: half the CPU of asyncio's own loop for each streamed token."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _reached_at(host: str) -> str:
    """Where a process of this machine finds what listens there."""
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  (read, not listened on)
    return here.get(host, f"[{host}]" if ":" in host else host)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off on accepted connections; without it each small
    # frame may wait 40 ms for the other side's acknowledgement (seen: +44 ms to the first token).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"Port {port} on {host} is in use by another program, so the gateway cannot listen there. "
                f"Stop that program, or choose another port: BRANDVOICE_SERVICE__PORT={port + 1}."
            ) from error
        raise ConfigError(f"Cannot listen on {host}:{port} ({error.strerror}). Check service.host.") from error
    return listener
