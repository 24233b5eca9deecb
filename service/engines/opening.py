"""Which engines there are: one of our own as a child process, or those that run elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from configs.adapter_terms import Terms
from configs.home import Home
from configs.load import Config
from service.engines.adapters import serving_adapters
from service.engines.breaker import Breaker
from service.engines.pool import EnginePool, Member
from service.engines.process import EngineProcess, EngineState, RemoteEngine
from service.engines.voices import Adapters, EngineAdapters
from service.ports import Generator


def open_engines(
    config: Config,
    home: Home,
    base: Mapping[str, str],
    terms: Terms,
    adapters: Mapping[str, Path],
    session: aiohttp.ClientSession,
    generates_on: Callable[[str], tuple[Breaker, Generator]],
    *,
    on_change: Callable[[EngineState], None],
    on_count: Callable[[int], None],
) -> tuple[EngineProcess | EnginePool, Adapters, Generator]:
    """Our own engine as a child process, or those that run elsewhere; what holds their adapters; what generates."""
    settings, name = config.service.engine, base["name"]

    def adapters_of(url: str, loaded: Mapping[str, Path]) -> EngineAdapters:
        return EngineAdapters(home, base_name=name, terms=terms, engine_url=url, session=session, loaded=loaded)

    if settings.elsewhere:
        members = []
        for url in settings.elsewhere:
            breaker, generator = generates_on(url)
            members.append(Member(RemoteEngine(url, session=session), adapters_of(url, {}), generator, breaker))
        pool = EnginePool(members, base_name=name, on_change=on_change, on_count=on_count)
        # One engine leaves nothing to choose: its tokens need not go through the pool.
        return pool, pool, pool if len(members) > 1 else members[0].generator

    def changed(state: EngineState) -> None:
        if state == "starting":
            # vLLM does not start where it cannot take one of them: what served when we started may be gone by now, and
            # what it has not proven yet is loaded once it runs.
            serving, _ = serving_adapters(home, config.brands, terms=terms)
            process.adapters = {model: folder for model, folder in serving.items() if held.holds(model)}
            held.forget(process.adapters)
        elif state == "ready":
            breaker.try_now()
        on_change(state)
        on_count(int(state == "ready"))

    process = EngineProcess(
        settings,
        model=Path(base["folder"]),
        base_name=name,
        log_file=home.runs / "engine.log",
        adapters=adapters,
        session=session,
        on_change=changed,
    )
    held = adapters_of(process.url, adapters)
    breaker, generator = generates_on(process.url)
    return process, held, generator
