"""`brandvoice forget` and `brandvoice retention`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli import output
from service.cli.deployment import Deployment, open_deployment, run_module
from service.cli.failures import WRONG_USE, Failure
from service.cli.moving import database_in_use

if TYPE_CHECKING:
    from sqlalchemy import URL

    from service.keeping.erasure import Receipt
    from service.keeping.retention import Pass


def run_forget(contact: str, *, channel: str | None, dry_run: bool, as_json: bool) -> None:
    """Take a person out of everything, and print the receipt."""
    from service.keeping.erasure import erase

    if not contact.strip():
        raise Failure("there is no contact", "--contact is empty", "name a phone number or a user id", code=WRONG_USE)
    deployment = open_deployment()
    receipt = asyncio.run(
        erase(
            deployment.config.brands,
            deployment.home,
            _there(deployment),
            contact,
            channel=channel,
            dry_run=dry_run,
            digest=_digest,
        )
    )
    if as_json:
        output.data(receipt.to_json())
    else:
        _tell(receipt)


def run_retention(*, dry_run: bool, as_json: bool) -> None:
    """Delete what is too old now, or count it."""
    deployment = open_deployment()
    done = asyncio.run(_pass(deployment, _there(deployment), dry_run=dry_run))
    if as_json:
        output.data(done.to_json())
        return
    days = {name: brand.retention.days for name, brand in deployment.config.brands.items() if brand.retention.days}
    if not days:
        output.note("no brand has retention.days, so everything is kept")
        return
    lines = [
        [name or "(no brand)", days.get(name, ""), table, count]
        for name, counts in done.rows.items()
        for table, count in counts.items()
    ]
    if lines:
        output.table(["brand", "days", "would be deleted" if dry_run else "deleted", "rows"], lines)
    else:
        output.note("nothing is too old")
    for name, count in done.still_open.items():
        output.note(f"{name}: {count} old turns stay, because something about them is open")


async def _pass(deployment: Deployment, url: URL, *, dry_run: bool) -> Pass:
    from service.corrections import files
    from service.keeping import attachments, retention
    from service.storage.database import Database

    db = await Database.open(url.render_as_string(hide_password=False))
    try:
        done = await retention.run(db, deployment.config.brands, dry_run=dry_run)
        if not dry_run:
            await attachments.sweep(db, deployment.home)
            await files.write_all(db, deployment.home, deployment.config.brands)
        return done
    finally:
        await db.close()


def _there(deployment: Deployment) -> URL:
    from service.keeping.copying import shown

    url = database_in_use(deployment)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise Failure(f"{shown(url)} is not there", "no gateway has run yet", "start one: brandvoice demo")
    return url


def _digest(*paths: Path) -> str | None:
    return run_module("training.seen", *map(str, paths), what=f"{paths[0]} cannot be read").strip() or None


def _tell(receipt: Receipt) -> None:
    rows = [["database", name, count] for name, count in receipt.rows.items()]
    rows += [[name, "rows", count] for name, count in receipt.file_rows.items()]
    rows += [[name, "places overwritten", count] for name, count in receipt.file_places.items()]
    rows += [["files", "that they sent", receipt.files_deleted]] if receipt.files_deleted else []
    rows += [[one.path, "training rows", one.rows] for one in receipt.datasets if one.rows]
    if rows:
        output.table(["where", "would go" if receipt.dry_run else "gone", "how many"], rows)
    else:
        output.note("nothing of this contact is kept")
    if receipt.adapters:
        output.line()
        output.table(
            ["adapter", "speaks now", "trained on this person's rows"],
            [[f"{one.brand}@{one.version}", "yes" if one.active else "no", one.held] for one in receipt.adapters],
        )
    for one in receipt.to_do:
        output.note(f"to do: {one}")
    if not receipt.dry_run:
        output.note(f"receipt {receipt.receipt}, kept in the state folder under receipts")
