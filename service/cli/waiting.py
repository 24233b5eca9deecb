"""`brandvoice handoffs` and `brandvoice outbox`: what waits, for a person or for a platform."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from service.cli import output
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import FAILED, WRONG_USE, Failure
from service.cli.gateway import Gateway, NotRunning

if TYPE_CHECKING:
    from service.delivery.stuck import Stuck
    from service.storage.database import Database

T = TypeVar("T")


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

        async def stored(db: Database) -> list[dict[str, Any]]:
            from service.people import handoffs

            return [
                handoffs.to_json(one) for one in await handoffs.list_handoffs(db, brands=(brand,) if brand else None)
            ]

        found = in_database(deployment, stored, [])
    if as_json:
        output.data({"handoffs": found})
    elif not found:
        output.note("nobody waits for a person")
    else:
        keys = [key for key in ("created_at", "brand", "channel", "state", "reason", "conversation") if key in found[0]]
        output.table(keys, [[one.get(key) or "" for key in keys] for one in found])


def run_outbox(*, as_json: bool) -> None:
    """List replies that are stuck."""
    none: list[Stuck] = []
    found = in_database(open_deployment(), outbox_of, none)
    if as_json:
        output.data({"replies": [asdict(one) for one in found]})
    elif not found:
        output.note("every reply has reached its platform, or is on its way")
    else:
        output.table(
            ["id", "state", "brand", "channel", "tried", "reason"],
            [[one.id, one.state, one.brand, f"{one.channel}/{one.app}", one.attempts, one.reason] for one in found],
        )


def run_replay(items: Sequence[str], *, every: bool, as_json: bool) -> None:
    """Plan stuck replies again; a running gateway sends them within seconds, else the next one to start."""
    if bool(items) == every:
        raise Failure(
            "it is not clear what to send again",
            "either ids or --all must be given",
            "look at `brandvoice outbox list`",
            code=WRONG_USE,
        )

    async def again(db: Database) -> list[str]:
        from service.delivery.stuck import send_again, stuck

        wanted = items or [one.id for one in await stuck(db, limit=10_000) if one.state == "failed"]
        return await send_again(db, wanted)

    none: list[str] = []
    planned = in_database(open_deployment(), again, none)
    if missing := sorted(set(items) - set(planned)):
        raise Failure(
            f"not stuck: {', '.join(missing)}",
            f"{len(planned)} of {len(items)} are planned again",
            "look at `brandvoice outbox list`",
            code=FAILED,
        )
    if as_json:
        output.data({"planned": planned})
    else:
        output.line(f"{len(planned)} planned again")


async def outbox_of(db: Database) -> list[Stuck]:
    """What is stuck there."""
    from service.delivery.stuck import stuck

    return await stuck(db)


def in_database(deployment: Deployment, work: Callable[[Database], Awaitable[T]], nothing: T) -> T:
    """The result of this work; `nothing` where no gateway has ever run."""

    async def run() -> T:
        from service.storage.database import Database

        url = deployment.config.service.database.url
        if url is None and not deployment.home.database.exists():
            return nothing
        db = await Database.open(url or f"sqlite:///{deployment.home.database}")
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(run())
