"""The real gateway's pipeline, lanes, database and WebSocket, with retrieval stubbed or real, in front of any engine.

python -m benchmarks.gateway_under_test --engine URL --port 9002 --check off --retrieval stub

With `--platforms URL` its channels are on, with made-up secrets, and send to `benchmarks.platforms_under_test`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from configs.home import Home
from configs.load import Config, load_config
from configs.service import Apps, Limits, ServiceConfig
from retrieval.encoder import Encoder
from retrieval.passages import Passage
from retrieval.testing import HashEncoder
from service import bootstrap
from service.bindings.simulator import simulated_apps
from service.starting.serve import run, serve
from service.telemetry import configure_logging
from service.testing import FixedRetriever

PASSAGES = (
    Passage("returns.md", "Returns", "Returns", "You can return an unopened item within 30 days of delivery.", 0.9),
    Passage("shipping.md", "Shipping", "Shipping", "Standard delivery takes 3 to 5 business days.", 0.4),
)

NO_LIMITS = Limits(visitor_per_minute=0, account_per_minute=0, total_per_minute=0)


def configured(arguments: argparse.Namespace) -> tuple[Config, Home]:
    """The project's configuration with the engine, port and check that the run asks for."""
    config, home = load_config(Path("configs"), {}), Home(Path(arguments.home))
    settings = config.service
    url = arguments.database or f"sqlite:///{tempfile.mkdtemp(prefix='brandvoice-bench-')}/bench.db"
    settings = settings.model_copy(
        update={
            "engine": settings.engine.model_copy(update={"url": arguments.engine}),
            "service": settings.service.model_copy(
                update={"port": arguments.port, "max_turns": 256, "max_waiting": 1024, "limits": NO_LIMITS}
            ),
            "generation": settings.generation.model_copy(update={"max_tokens": 64}),
            "database": settings.database.model_copy(update={"url": url, "lease_s": arguments.lease_s}),
            "apps": with_platforms(settings, home, arguments.platforms) if arguments.platforms else Apps(),
        }
    )
    brands = {
        name: brand.model_copy(
            update={
                "check": arguments.check,
                "channels": brand.channels if arguments.platforms else (),
                "widget": brand.widget.model_copy(update={"origins": tuple(arguments.origin)}),
            }
        )
        for name, brand in config.brands.items()
    }
    return Config(settings, brands, config.origins, config.folder), home


def with_platforms(settings: ServiceConfig, home: Home, url: str) -> Apps:
    """All apps, turned to a stand-in at an address; whoever knows the home can sign for them."""
    simulating = settings.model_copy(update={"service": settings.service.model_copy(update={"simulator": True})})
    return simulated_apps(simulating, home, url).apps


class _StubbedKnowledge(FixedRetriever):
    """A fixed search that also answers what the gateway asks of a knowledge base."""

    version = "stub"

    def documents(self) -> tuple[str, ...]:
        """One is enough to be ready."""
        return ("returns.md",)

    def refresh(self) -> bool:
        """Nothing ever changes."""
        return False


def _stubbed(config: Config, _home: Home, _encoder: Encoder) -> dict[str, _StubbedKnowledge]:
    return {name: _StubbedKnowledge(PASSAGES) for name in config.brands}


def _no_adapters(*_: object, **__: object) -> tuple[dict[str, Path], list[str]]:
    return {}, []


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--home", default="var")
    parser.add_argument("--database", help="SQLAlchemy URL; a fresh file where absent")
    parser.add_argument("--check", choices=("before", "off"), default="off")
    parser.add_argument("--retrieval", choices=("stub", "real"), default="stub")
    parser.add_argument("--encoder", choices=("real", "hash"), default="real")
    parser.add_argument("--lease-s", type=float, default=10.0)
    parser.add_argument("--platforms")
    parser.add_argument("--origin", action="append", default=[], help="a site that may open the widget; again for more")
    arguments = parser.parse_args()
    if arguments.platforms:
        configure_logging()
    config, home = configured(arguments)
    if arguments.retrieval == "stub":
        bootstrap._knowledge = _stubbed  # type: ignore[assignment]
    if arguments.encoder == "hash":
        bootstrap._encoder = lambda _folder: HashEncoder()  # type: ignore[assignment, return-value]
    # The engine under test serves one model only; adapters would be loaded from an engine that has none.
    bootstrap.serving_adapters = _no_adapters  # type: ignore[attr-defined]
    run(serve(config, home))


if __name__ == "__main__":
    main()
