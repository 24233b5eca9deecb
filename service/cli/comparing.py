"""`brandvoice eval`: a candidate against what speaks now, judged by the gate."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from configs.verdict import BASE_VERSION
from service.cli import output
from service.cli.deployment import open_deployment, run_module
from service.cli.failures import REFUSED, Failure
from service.cli.gateway import Gateway
from service.starting import demo

MODULE = "training.judging.comparison"


def run_eval(
    brand: str, candidate: str, *, url: str | None, limit: int | None, baseline: bool, general: bool, as_json: bool
) -> None:
    """Compare, show, and end with 3 where the gate does not pass the candidate."""
    deployment = open_deployment()
    deployment.brand(brand)
    version = candidate.removeprefix(f"{brand}@")
    options = ["--brand", brand, "--candidate", version]
    options += ["--limit", str(limit)] if limit is not None else []
    options += [] if baseline else ["--no-baseline"]
    options += [] if general else ["--no-general"]
    what = f"{brand}@{version} was not judged"
    with Gateway.of(deployment.config, url) as gateway:
        address = gateway.url if url or gateway.alive() else None
    if address:
        told = run_module(MODULE, *options, "--url", address, what=what)
    else:
        output.note("no gateway runs; starting one for as long as this takes")
        told = demo.run_with_gateway(
            deployment.config, deployment.home, lambda running, key: _compare(options, running, key, what)
        )
    report: dict[str, Any] = json.loads(told)
    if as_json:
        output.data(report)
    else:
        _show(report)
    if report["verdict"] != "passed":
        raise Failure(
            f"the gate says of {brand}@{version}: {report['verdict']}",
            "; ".join(report["reasons"]),
            f"look at {report['page']}, then train again with more or better conversations",
            code=REFUSED,
        )
    if not as_json:
        output.note(f"let it speak: brandvoice adapter promote {brand}@{version}")


async def _compare(options: list[str], url: str, key: str | None, what: str) -> str:
    """As `run_module`, beside the gateway of this process."""
    environment = {**os.environ, **({"BRANDVOICE_API_KEY": key} if key else {})}
    command = [sys.executable, "-m", MODULE, *options, "--url", url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode:
        raise Failure(what, f"`python -m {MODULE}` ended with {process.returncode}", "the lines above say why")
    return out.decode()


def _show(report: Mapping[str, Any]) -> None:
    versions = list(report["means"])
    judged = {one["measure"]: one for one in report["measures"]}
    candidate = report["conditions"]["candidate"]["version"]
    rows = []
    for name, one in report["means"][candidate].items():
        gate = judged.get(name)
        rows.append(
            (
                name,
                *(_figure(report["means"][version].get(name)) for version in versions),
                f"{gate['worst']:+.3f}" if gate and gate["worst"] is not None else "-",
                f"{gate['margin']:.3f}" if gate else "-",
                gate["cases"] if gate else one["cases"],
                gate["verdict"] if gate else "not judged",
            )
        )
    called = ["base + guide" if version == BASE_VERSION else version for version in versions]
    output.table(("measure", *called, "worst difference", "margin", "cases", "gate"), rows)
    output.line()
    output.line(f"{report['brand']}@{candidate}: {report['verdict']}")
    for reason in report["reasons"]:
        output.line(f"  {reason}")
    output.line(f"the report: {report['page']}")


def _figure(mean: Mapping[str, Any] | None) -> str:
    if mean is None:
        return "-"
    digits = 0 if abs(mean["mean"]) >= 100 else 3
    return f"{mean['mean']:.{digits}f} ({mean['low']:.{digits}f} to {mean['high']:.{digits}f})"
