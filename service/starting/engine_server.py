"""The engine on a machine or in a container of its own: prepare the state folder, then become vLLM.

    python -m service.starting.engine_server --host 0.0.0.0 --port 8001

The gateway is told of it by `engine.url` or `engine.urls`, and shares the state folder: adapters are loaded from there
by path.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import replace
from typing import NoReturn

import aiohttp

from configs.adapter_terms import Terms
from configs.base_manifest import base_folder, read_base
from configs.home import Home
from configs.load import Config, configs_folder, load_config
from service.cli.failures import explain, show
from service.engines.adapters import serving_adapters
from service.engines.process import EngineProcess
from service.starting.children import Children
from service.starting.demo import prepare
from service.starting.stages import Stages


def itself(config: Config) -> Config:
    """The configuration as the engine reads it: for itself no engine runs elsewhere, whatever the gateway is told."""
    engine = config.service.engine.model_copy(update={"url": None, "urls": ()})
    return replace(config, service=config.service.model_copy(update={"engine": engine}))


async def command(config: Config, home: Home, *, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command line and environment of vLLM, as the gateway's own child process would have them.

    Args:
        config: The resolved configuration.
        home: The state folder, prepared.
        host: Where it listens; only the gateway may reach it, since vLLM asks for no key.
        port: Likewise.
    """
    base = read_base(folder := base_folder(home.models, config.service.models.base))
    adapters, problems = serving_adapters(home, config.brands, terms=Terms.of(config.service, home, os.environ))
    for problem in problems:
        sys.stderr.write(f"note: {problem}\n")
    async with aiohttp.ClientSession() as session:
        engine = EngineProcess(
            config.service.engine.model_copy(update={"port": port}),
            model=folder,
            base_name=base.name,
            log_file=home.runs / "engine.log",
            adapters=adapters,
            session=session,
        )
        words = engine.command()
        words[words.index("--host") + 1] = host
        return words, engine.environment()


def become(words: list[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process."""
    # The process becomes vLLM, so that signals reach it; no shell is wanted.
    os.execve(words[0], words, environment)  # noqa: S606


def main() -> int:
    """Prepare, then replace this process by vLLM."""
    parser = argparse.ArgumentParser(prog="python -m service.starting.engine_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    arguments = parser.parse_args()
    try:
        home = Home.from_environment(os.environ)
        config = itself(load_config(configs_folder(os.environ), os.environ, home))
        with Stages() as stages, Children() as children:
            prepare(config, home, stages, children)
        words, environment = asyncio.run(command(config, home, host=arguments.host, port=arguments.port))
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        show(failure)
        return failure.code
    become(words, environment)


if __name__ == "__main__":
    sys.exit(main())
