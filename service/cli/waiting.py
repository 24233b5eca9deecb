"""`brandvoice handoffs`."""

from __future__ import annotations

import asyncio
from typing import Any

from service.cli import output
from service.cli.deployment import Deployment, open_deployment
from service.cli.gateway import Gateway, NotRunning


def run_handoffs(brand: str | None, *, url: str | None, as_json: bool) -> None:
    """List hand-overs: from the gateway where one runs, else from the database."""
    deployment = open_deployment()
    if brand:
        deployment.brand(brand)
    try:
        with Gateway.of(deployment.config, url) as gateway:
            query = {"brand": brand} if brand else {}
            found: list[dict[str, Any]] = gateway.get("/v1/handoffs", **query)["handoffs"]
    except NotRunning:
        if url:
            raise
        found = asyncio.run(_stored(deployment, brand))
    if as_json:
        output.data({"handoffs": found})
    elif not found:
        output.note("nobody waits for a person")
    else:
        keys = [key for key in ("created_at", "brand", "channel", "state", "reason", "conversation") if key in found[0]]
        output.table(keys, [[one.get(key) or "" for key in keys] for one in found])


async def _stored(deployment: Deployment, brand: str | None) -> list[dict[str, Any]]:
    from service import handoffs
    from service.database import Database

    url = deployment.config.service.database.url
    if url is None and not deployment.home.database.exists():
        return []
    db = await Database.open(url or f"sqlite:///{deployment.home.database}")
    try:
        return [handoffs.to_json(one) for one in await handoffs.list_handoffs(db, brand=brand)]
    finally:
        await db.close()
