"""`brandvoice demo`, `serve` and `ask`: the commands that need a gateway, or are one."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from configs.home import Home
from configs.load import Config, configs_folder, load_config
from service.bindings.simulator import simulated_apps
from service.cli import output
from service.cli.asking import PATH, request_body, result
from service.cli.deployment import Deployment, open_deployment
from service.cli.gateway import Gateway, NotRunning, address
from service.starting import demo

if TYPE_CHECKING:
    from service.bootstrap import Gateway as Running


def run_demo(*, train: bool, once: str | None) -> None:
    """Everything, then serve or answer."""
    deployment = open_deployment()
    config = deployment.config
    if once is None:
        demo.run(config, deployment.home, train=train)
        return
    brands = tuple(config.brands)
    answers: dict[str, dict[str, Any]] = {}
    with Gateway.of(config, None) as gateway:
        if not train and gateway.alive():
            output.note(f"asking the gateway that runs at {gateway.url}")
            answers = {brand: result(gateway.post(PATH, request_body(once, brand))) for brand in brands}
    if not answers:
        answers = demo.run(config, deployment.home, train=train, question=demo.Question(once, brands))
    for brand, answer in answers.items():
        output.line()
        output.line(f"{config.brands[brand].display_name} ({brand}@{answer['adapter']['version']})")
        output.answer(answer)


def run_serve(*, host: str | None, port: int | None) -> None:
    """The gateway alone, logging to stderr."""
    from service.console.people.links import first
    from service.telemetry import configure_logging

    given = {"BRANDVOICE_SERVICE__HOST": host, "BRANDVOICE_SERVICE__PORT": None if port is None else str(port)}
    environment = {**os.environ, **{name: value for name, value in given.items() if value is not None}}
    home = Home.from_environment(environment)
    config = load_config(configs_folder(environment), environment, home)
    deployment = Deployment(config, home)
    configure_logging()

    async def on_open(gateway: Running, url: str) -> None:
        output.note(f"listening at {url}")
        if link := await first(gateway.db, url):
            output.note(f"to set the console up, open this link within a day; it works once: {link}")

    # SQLite is one gateway's; PostgreSQL takes several.
    alone = demo.only_one(deployment.home) if config.service.database.url is None else nullcontext()
    with alone:
        demo.run_gateway(with_simulator(config, deployment), deployment.home, on_open)


def run_ask(question: str, brand: str, *, version: str | None, url: str | None, as_json: bool) -> None:
    """One question, one answer."""
    deployment = open_deployment()
    deployment.brand(brand)
    named = url or os.environ.get("BRANDVOICE_URL")
    try:
        with Gateway.of(deployment.config, url) as gateway:
            answer = result(gateway.post(PATH, request_body(question, brand, version)))
    except NotRunning:
        if named:
            raise
        output.note(f"no gateway at {address(deployment.config)}; starting what this question needs")
        asked = demo.Question(question, (brand,), version)
        answer = demo.run(deployment.config, deployment.home, question=asked)[brand]
    if as_json:
        output.data(answer)
    else:
        output.answer(answer)


def with_simulator(config: Config, deployment: Deployment) -> Config:
    """The configuration with its apps turned to the simulator, where that is on."""
    return replace(config, service=simulated_apps(config.service, deployment.home, address(config)))
