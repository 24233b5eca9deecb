"""From nothing to a conversation: everything prepared in stages, then engine and gateway, all ended together.

What needs torch runs in processes of its own, so that this one, which becomes the gateway, stays small.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from configs.adapter_terms import Terms
from configs.base_manifest import BaseInvalid, base_folder, read_base
from configs.home import Home
from configs.load import Config
from configs.secrets import read_secret
from configs.service import is_loopback
from service.bindings.simulator import simulated_apps
from service.cli.asking import PATH, request_body, result
from service.cli.deployment import Deployment
from service.cli.failures import Failure, split_advice
from service.engines.adapters import active_version, install_shipped, promote
from service.engines.process import free_port
from service.engines.promotion import Override
from service.starting.children import Children
from service.starting.stages import Stage, Stages, bar
from service.telemetry import JsonFormatter

if TYPE_CHECKING:
    from retrieval.encoder import Encoder
    from service.bootstrap import Gateway

TRAIN_RECIPE = "quick_cpu"
TRAIN_QUESTIONS = 12
"""Held-out questions that a freshly trained adapter answers for its score: about a minute on two cores."""


@dataclass(frozen=True, slots=True)
class Question:
    """Asked instead of serving on."""

    text: str
    brands: Sequence[str]
    version: str | None = None


class _Done(Exception):
    """Ends the gateway once the work is done."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


T = TypeVar("T")
Work = Callable[[str, str | None], Awaitable[T]]
"""What is done while the gateway runs: (its address, its API key) -> a result."""


def run(
    config: Config, home: Home, *, train: bool = False, question: Question | None = None
) -> dict[str, dict[str, Any]]:
    """Prepare, serve, and either answer one question or run until interrupted.

    Args:
        config: The resolved configuration.
        home: The state folder.
        train: Train each brand's adapter first, unless one is up to date.
        question: Ask this and end.

    Returns:
        Answers by brand, in the shape of `ask --json`; empty where no question was asked.

    Raises:
        Failure: With what, why and what to try. Errors of our packages pass through.
    """
    with _prepared(config, home, train=train, alone=question is not None) as (config, stages):
        if question is None:
            _serve(config, home, stages, None)
            return {}
        return _serve(config, home, stages, partial(_ask, config, question, stages)) or {}


def run_with_gateway(config: Config, home: Home, work: Work[T]) -> T:
    """Prepare, serve for as long as a work takes, and return its result.

    Raises:
        Failure: With what, why and what to try. Errors of our packages, and of the work, pass through.
    """
    with _prepared(config, home, alone=True) as (config, stages):
        result = _serve(config, home, stages, work)
    if result is None:
        raise Failure("the gateway ended before the work was done", "it was interrupted", "run it again")
    return result


@contextmanager
def _prepared(config: Config, home: Home, *, alone: bool, train: bool = False) -> Iterator[tuple[Config, Stages]]:
    """Everything that serving needs, this being the one gateway on the state folder; a record is kept at the end."""
    with only_one(home), _signals_interrupt(), Stages() as stages, Children() as children:
        config = _prepared_config(config, home, alone=alone)
        _log_to(home.runs / "gateway.log")
        try:
            prepare(config, home, stages, children, train=train)
            yield config, stages
        finally:
            name = time.strftime("demo-%Y%m%dT%H%M%S.json", time.gmtime())
            with contextlib.suppress(OSError):
                stages.save(home.runs / name, trained=train, question=alone)


def prepare(config: Config, home: Home, stages: Stages, children: Children, *, train: bool = False) -> None:
    """Bring everything into the state folder that engine and gateway serve from; what is there stays."""
    encoder = _models(config, home, stages, children)
    _knowledge(config, home, encoder, stages)
    _adapters(config, home, stages, children, train=train)


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Hold the state folder; a second gateway on it would answer the same messages again.

    Raises:
        Failure: Another process holds it.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / "gateway.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip()
            raise Failure(
                f"another brandvoice runs on {home.root}",
                f"process {holder} holds it" if holder else "another process holds it",
                "use that one, end it first, or set BRANDVOICE_HOME to another folder",
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _prepared_config(config: Config, home: Home, *, alone: bool) -> Config:
    """With a port that is free, and the simulator on where nobody else can reach it."""
    service = config.service.service
    port = service.port
    if alone or port == 0:
        port = free_port()
    else:
        check_port(service.host, port)
    update = {"port": port, "simulator": is_loopback(service.host)}
    turned = config.service.model_copy(update={"service": service.model_copy(update=update)})
    return replace(config, service=simulated_apps(turned, home, f"http://{service.host}:{port}"))


def check_port(host: str, port: int) -> None:
    """See before the long work whether the gateway will be able to listen.

    Raises:
        Failure: It will not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Failure(
                    f"the gateway cannot listen on {host}:{port}", str(error.strerror), "change service.host or port"
                ) from error
            raise Failure(
                f"port {port} is in use",
                f"another program listens on {host}:{port}",
                f"end it, or take another port: BRANDVOICE_SERVICE__PORT={port + 1 if port < 65535 else 8000}",
            ) from error


def _models(config: Config, home: Home, stages: Stages, children: Children) -> Encoder:
    """Base model and encoder side by side, each only where it is not ready."""
    with ThreadPoolExecutor(2, thread_name_prefix="prepare") as pool:
        base: Future[Any] = pool.submit(_base_model, config, home, stages, children)
        encoder: Future[Any] = pool.submit(_encoder, Deployment(config, home), stages, children)
        try:
            for done in as_completed([base, encoder]):
                done.result()
        except BaseException:
            # The pool waits for both, so the other one is ended too.
            children.end()
            raise
        ready: Encoder = encoder.result()
        return ready


def _base_model(config: Config, home: Home, stages: Stages, children: Children) -> None:
    name = config.service.models.base
    if config.service.engine.elsewhere:
        return
    with stages.stage("base model") as stage:
        stage.detail = name
        try:
            read_base(base_folder(home.models, name), verify=True)
        except BaseInvalid:
            children.run(
                "training.base_model",
                [name, "--models", str(home.models)],
                what=f"the base model {name} could not be prepared",
                on_line=lambda line: _detail(stage, f"{name}: {line}"),
            )
        stage.detail = name


def _encoder(deployment: Deployment, stages: Stages, children: Children) -> Encoder:
    from retrieval.encoder import OnnxEncoder
    from retrieval.errors import RetrievalError

    folder = deployment.encoder_folder
    with stages.stage("encoder") as stage:
        stage.detail = folder.name
        try:
            return OnnxEncoder.load(folder)
        except (RetrievalError, OSError):
            children.run(
                "retrieval.encoder",
                [str(folder)],
                what="the encoder could not be prepared",
                on_line=lambda line: _detail(stage, f"{folder.name}: {line}"),
            )
        stage.detail = folder.name
        return OnnxEncoder.load(folder)


def _detail(stage: Stage, text: str) -> None:
    stage.detail = text


def _knowledge(config: Config, home: Home, encoder: Encoder, stages: Stages) -> None:
    from retrieval.brand_search import search_encoder
    from retrieval.grounding.fence import Fence
    from retrieval.knowledge import store

    with stages.stage("knowledge") as stage:
        told: list[str] = []
        for name, brand in config.brands.items():
            if name in config.made:
                # Its pages were taken in when it was made; people may have changed them since.
                told.append(name)
                continue

            def progress(done: int, total: int, name: str = name) -> None:
                stage.detail = f"{name}: {bar(done, total)}"

            searching = search_encoder(home, brand, encoder)
            change = store.add(home.knowledge, name, brand.pages, searching, progress, judge=Fence(encoder))
            documents = len(change.added) + len(change.changed) + len(change.unchanged)
            fresh = len(change.added) + len(change.changed)
            told.append(f"{name} {documents} pages ({f'{fresh} new' if fresh else 'unchanged'})")
            for one in change.skipped:
                stages.say(f"  skipped {one.path}: {one.reason}")
        stage.detail = ", ".join(told)


def _adapters(config: Config, home: Home, stages: Stages, children: Children, *, train: bool) -> None:
    with stages.stage("adapters") as stage:
        terms = Terms.of(config.service, home, os.environ)
        for brand in config.brands.values():
            install_shipped(home, brand, terms=terms)
        stage.detail = _speaking(config, home)
    if train:
        for name in config.brands.keys() - config.made:
            _train(config, name, home, stages, children, terms)


def _speaking(config: Config, home: Home) -> str:
    versions = {name: active_version(home, name) for name in config.brands}
    return ", ".join(f"{name}@{version}" if version else f"{name}: none" for name, version in versions.items())


def _train(config: Config, name: str, home: Home, stages: Stages, children: Children, terms: Terms) -> None:
    with stages.stage(f"train {name}"[:15]) as stage:
        shown = -1

        def on_line(line: str) -> None:
            nonlocal shown
            try:
                report = json.loads(line)
            except ValueError:
                return
            tenth = 10 * report["step"] // report["total"] if report["total"] else 0
            if tenth != shown or report["step"] == 0:
                shown = tenth
                stages.step(stage, training_line(report))
            else:
                stage.detail = training_line(report)

        options = ["--brand", name, "--recipe", TRAIN_RECIPE, "--questions", str(TRAIN_QUESTIONS), "--progress", "json"]
        out = children.run("training.train", options, what=f"{name} was not trained", on_line=on_line)
        trained = json.loads(out)
        # Judging takes longer than training here, and who asks for this wants to hear what came of it.
        heard = Override(by="demo --train", reason="asked to hear the adapter that was just trained")
        promote(home, config.brands[name], trained["version"], terms=terms, override=heard)
        stage.detail = f"{name}@{trained['version']} {'is up to date' if trained['skipped'] else 'trained'}"
    stages.say(f"  score of {name}@{trained['version']}: {score_line(trained['metrics'])}")
    if trained["shipped_metrics"]:
        stages.say(f"  the adapter that ships:  {score_line(trained['shipped_metrics'])}")


def training_line(report: dict[str, Any]) -> str:
    """A report of the trainer as one line: stage, bar, loss, minutes left."""
    parts = [str(report["stage"]), bar(report["step"], report["total"])]
    if report.get("loss") is not None:
        parts.append(f"loss {report['loss']:.3f}")
    if report.get("eta_s") is not None:
        parts.append(f"{report['eta_s'] / 60:.1f} min left")
    return "  ".join(part for part in parts if part)


def score_line(metrics: dict[str, Any]) -> str:
    """Metrics of a manifest in one line."""
    return ", ".join(f"{key} {value}" for key, value in metrics.items()) or "none was measured"


def _serve(config: Config, home: Home, stages: Stages, work: Work[T] | None) -> T | None:
    """Serve until the work is done, or until interrupted where there is none."""
    starting = stages.stage("gateway")
    gateway_stage = starting.__enter__()

    async def on_open(gateway: Gateway, url: str) -> None:
        gateway_stage.detail = url
        starting.__exit__(None, None, None)
        for problem in gateway.problems:
            stages.say(f"  note: {problem}")
        with stages.stage("engine") as stage:
            stage.detail = f"vLLM with {config.service.models.base}; its log: {home.runs / 'engine.log'}"
            await gateway.engine.ready()
            # Its first use on a machine takes half a minute, in which vLLM compiles; no visitor should wait for that.
            await gateway.voices.warm(config.brands)
            stage.detail = f"vLLM with {_speaking(config, home)}"
        if work is None:
            from service.console.people.links import first

            _tell_ready(config, stages, url, await first(gateway.db, url))
        else:
            keys = config.service.service.api_keys
            raise _Done(await work(url, read_secret(keys, os.environ).split(",")[0].strip() if keys else None))

    try:
        run_gateway(config, home, on_open)
    except _Done as done:
        result: T = done.result
        return result
    stages.say("stopped")
    return None


async def _ask(
    config: Config, question: Question, stages: Stages, url: str, key: str | None
) -> dict[str, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answers: dict[str, dict[str, Any]] = {}
    async with aiohttp.ClientSession(headers=headers) as session:
        for brand in question.brands:
            with stages.stage("answer") as stage:
                stage.detail = config.brands[brand].display_name
                body = request_body(question.text, brand, question.version)
                async with session.post(url + PATH, json=body) as response:
                    got = await response.json()
                if response.status != 200:
                    why = str(got.get("error", {}).get("message", f"HTTP {response.status}"))
                    raise Failure(f"{brand} did not answer", why, "brandvoice doctor")
                answers[brand] = result(got)
    return answers


def _tell_ready(config: Config, stages: Stages, url: str, set_up: str | None) -> None:
    seconds = time.monotonic() - stages.began
    stages.say("")
    stages.say(f"ready after {seconds:.0f} s: {url}")
    for name, brand in config.brands.items():
        stages.say(f"  {brand.display_name:20} {url}/shop/{name}")
    stages.say(f"  {'bench':20} {url}/bench")
    stages.say(f"  {'console':20} {set_up or url + '/console'}")
    if set_up:
        stages.say(f"  {'':20} (makes you its admin; works once, for a day)")
    stages.say(f"  {'interface':20} {url}/docs")
    stages.say("Ctrl-C stops everything.")


def run_gateway(config: Config, home: Home, on_open: Callable[[Gateway, str], Awaitable[None]]) -> None:
    """Serve until a signal ends us; what keeps the gateway from opening becomes a failure.

    Raises:
        Failure: It did not open. Errors of `on_open` pass through.
        KeyboardInterrupt: It was interrupted before it was open.
    """
    from service.starting.serve import run as run_loop
    from service.starting.serve import serve

    opened = False

    async def opening(gateway: Gateway, url: str) -> None:
        nonlocal opened
        opened = True
        await on_open(gateway, url)

    failures = LastError()
    logging.getLogger().addHandler(failures)
    try:
        run_loop(serve(config, home, on_open=opening))
    except KeyboardInterrupt:
        if not opened:
            raise
    except SystemExit:
        # uvicorn ends the process where the application cannot start; it has logged why.
        if opened:
            raise
    finally:
        logging.getLogger().removeHandler(failures)
    if not opened:
        why, cure = split_advice(failures.text or "the log says why")
        raise Failure("the gateway did not start", why, cure or "brandvoice doctor")


class LastError(logging.Handler):
    """Remembers the first error that was logged with an exception: the cause, in its own words."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take the exception's message, without the traceback and the name of its class."""
        lines = record.getMessage().strip().splitlines()
        if record.exc_info and record.exc_info[1] is not None:
            self.text = self.text or str(record.exc_info[1])
        elif len(lines) > 1 and lines[0].startswith("Traceback"):
            self.text = self.text or re.sub(r"^[\w.]+: ", "", lines[-1])


def _log_to(path: Path) -> None:
    """Logs go to a file, since the terminal shows the stages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level="INFO", handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").setLevel("WARNING")


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP end us as Ctrl-C does, so that children end with us."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
