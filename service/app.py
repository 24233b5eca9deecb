"""The web application: the gateway's routes on FastAPI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from configs.home import Home
from configs.load import Config
from service import problems
from service.bootstrap import Gateway, open_gateway
from service.console.routers import install as install_console
from service.routes.adapters import adapters_router
from service.routes.bench import bench_router
from service.routes.chat_http import openai_router
from service.routes.chat_ws import chat_router
from service.routes.conversations import conversations_router
from service.routes.evidence import evidence_router
from service.routes.files import files_router
from service.routes.health import health_router
from service.routes.install import install_router
from service.routes.pages import pages_router
from service.routes.simulator import simulator_router
from service.routes.webhooks import webhooks_router

VERSION = "0.1.0"


def create_app(config: Config, home: Home, *, opened: asyncio.Future[Gateway] | None = None) -> FastAPI:
    """Build the application; everything is opened when the server starts and closed when it ends.

    Args:
        config: The resolved configuration.
        home: The state folder.
        opened: Gets the open gateway before the first request, or the error that kept it from opening.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with open_gateway(config, home) as gateway:
                _include(app, gateway)
                if opened is not None:
                    opened.set_result(gateway)
                yield
        except Exception as error:
            if opened is not None and not opened.done():
                opened.set_exception(error)
            raise

    app = FastAPIOffline(
        title="brandvoice",
        version=VERSION,
        summary="Answers in a brand's own voice, from that brand's knowledge only.",
        lifespan=lifespan,
        responses=problems.RESPONSES,
        license_info={"name": "Apache-2.0"},
    )
    problems.install(app)
    return app


def _include(app: FastAPI, gateway: Gateway) -> None:
    install_console(app, gateway)
    for router in (
        chat_router(gateway),
        openai_router(gateway),
        webhooks_router(gateway),
        install_router(gateway),
        health_router(gateway),
        evidence_router(gateway),
        conversations_router(gateway),
        files_router(gateway),
        adapters_router(gateway),
        bench_router(gateway),
        pages_router(gateway.config.brands),
    ):
        app.include_router(router)
    if gateway.config.service.service.simulator:
        app.include_router(simulator_router())
    app.openapi_schema = None
