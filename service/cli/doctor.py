"""`brandvoice doctor`: everything that must be in place, looked at one by one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from configs.errors import ConfigError
from service.cli import output
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import Failure, explain

FREE_DISK_GB = 2
FREE_MEMORY_GB = 3
"""vLLM's CPU build with SmolLM2-135M in float32 and 1 GiB of KV cache takes 2.6 GB."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    cure: str = ""


def run_doctor(*, as_json: bool) -> None:
    """Look, tell, and end with 1 where something fails."""
    findings = list(examine())
    failed = [one for one in findings if one.status == "fail"]
    if as_json:
        output.data({"ok": not failed, "checks": [asdict(one) for one in findings]})
    else:
        for one in findings:
            output.line(f"{one.status:4}  {one.name:20}  {one.detail}")
            if one.cure:
                output.line(f"{'':28}try: {one.cure}")
    if failed:
        names = ", ".join(one.name for one in failed)
        raise Failure(f"not everything is in place: {names}", failed[0].detail, failed[0].cure)


def examine() -> Iterator[Finding]:
    """All findings, in the order in which one would repair them."""
    yield Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    try:
        deployment = open_deployment()
    except ConfigError as error:
        failure = explain(error)
        assert failure is not None  # noqa: S101 - every ConfigError is explained; tells the type checker
        yield Finding("configuration", "fail", failure.why, failure.cure)
        return
    yield Finding("configuration", "ok", f"{deployment.config.folder}: {', '.join(deployment.config.brands)}")
    for name, reason in deployment.config.left_out.items():
        yield Finding(f"brand {name}", "fail", reason, "correct its file; what it said before goes on serving")
    checks: tuple[tuple[str, Callable[[Deployment], Finding]], ...] = (
        ("state folder", _home),
        ("memory", _memory),
        ("engine", _engine),
        ("base model", _base_model),
        ("encoder", _encoder),
    )
    for name, check in checks:
        yield _guarded(name, check, deployment)
    for brand in deployment.config.brands:
        yield _guarded(f"knowledge {brand}", partial(_knowledge, brand=brand), deployment)
        yield _guarded(f"adapter {brand}", partial(_adapter, brand=brand), deployment)
    yield _guarded("gateway", _gateway, deployment)


def _guarded(name: str, check: Callable[[Deployment], Finding], deployment: Deployment) -> Finding:
    """A finding, also where looking itself goes wrong."""
    try:
        found = check(deployment)
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        return Finding(name, "fail", failure.why, failure.cure)
    return Finding(name, found.status, found.detail, found.cure)


def _home(deployment: Deployment) -> Finding:
    root = deployment.home.root
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        return Finding("", "fail", f"{there} cannot be written", "set BRANDVOICE_HOME to a folder of yours")
    free = shutil.disk_usage(there).free / 1e9
    if free < FREE_DISK_GB:
        return Finding("", "warn", f"{root}: {free:.1f} GB free", f"free some: {FREE_DISK_GB} GB are wanted")
    return Finding("", "ok", f"{root}: {free:.0f} GB free")


def _memory(deployment: Deployment) -> Finding:
    del deployment
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) / 1e6
    except (OSError, KeyError, ValueError):
        return Finding("", "warn", "cannot be told on this system")
    if free < FREE_MEMORY_GB:
        return Finding(
            "", "warn", f"{free:.1f} GB available", "end other programs, or lower engine.kv_cache_gib and max_num_seqs"
        )
    return Finding("", "ok", f"{free:.1f} GB available, {os.cpu_count()} CPUs")


def _engine(deployment: Deployment) -> Finding:
    settings = deployment.config.service.engine
    if settings.elsewhere:
        return Finding("", "ok", f"runs elsewhere: {', '.join(settings.elsewhere)}")
    if find_spec("vllm") is None:
        return Finding("", "fail", "vLLM is not installed", "make setup, or set engine.url to an engine elsewhere")
    return Finding("", "ok", f"vLLM is installed; it runs on {settings.device}")


def _base_model(deployment: Deployment) -> Finding:
    from configs.base_manifest import BaseInvalid, base_folder, read_base

    service = deployment.config.service
    if service.engine.elsewhere:
        return Finding("", "ok", "not needed: the engine runs elsewhere")
    try:
        base = read_base(base_folder(deployment.home.models, service.models.base), verify=True)
    except BaseInvalid as error:
        return Finding("", "fail", str(error).split(";")[0], "brandvoice demo, which prepares it")
    return Finding("", "ok", f"{base.name} ({base.dtype}, {base.sha256[:12]}) from {base.source}")


def _encoder(deployment: Deployment) -> Finding:
    from retrieval.encoder import OnnxEncoder

    folder = deployment.encoder_folder
    if not folder.is_dir():
        return Finding("", "fail", f"there is none in {folder}", "brandvoice demo, which prepares it")
    encoder = OnnxEncoder.load(folder)
    return Finding("", "ok", f"{encoder.name}, {encoder.dim} dimensions")


def _knowledge(deployment: Deployment, brand: str) -> Finding:
    from retrieval.brand_search import open_search
    from retrieval.encoder import OnnxEncoder

    knowledge = open_search(deployment.home, deployment.brand(brand), OnnxEncoder.load(deployment.encoder_folder))
    documents = len(knowledge.documents())
    if not documents:
        return Finding("", "fail", f"{brand} has no documents", f"brandvoice kb add --brand {brand}")
    return Finding("", "ok", f"{documents} documents ({knowledge.version})")


def _adapter(deployment: Deployment, brand: str) -> Finding:
    from configs.adapter_terms import verified
    from service.engines.adapters import active_version

    version = active_version(deployment.home, brand)
    if version is None:
        return Finding("", "warn", f"{brand} has none: the base model speaks", f"brandvoice train --brand {brand}")
    folder = deployment.home.adapters / brand / version
    manifest = verified(folder, brand=brand, terms=deployment.terms)
    return Finding("", "ok", f"{brand}@{version} (r {manifest.lora.r}) on {manifest.base.name}")


def _gateway(deployment: Deployment) -> Finding:
    from service.cli.gateway import Gateway
    from service.starting.demo import check_port

    with Gateway.of(deployment.config, None) as gateway:
        if gateway.alive():
            if lacking := gateway.lacking():
                detail = f"runs at {gateway.url}, not ready: {lacking}"
                return Finding("", "warn", detail, "wait, or look into its log")
            return Finding("", "ok", f"runs at {gateway.url} and is ready")
    service = deployment.config.service.service
    try:
        check_port(service.host, service.port)
    except Failure as error:
        return Finding("", "warn", error.why, error.cure)
    return Finding("", "ok", f"none runs; {service.host}:{service.port} is free")
