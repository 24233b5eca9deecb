"""`brandvoice forget` from end to end: what is kept of a person, in rows, files and adapters, and a receipt of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import URL

from configs.adapter_manifest import AdapterManifest, read_adapter
from configs.brand import Brand
from configs.errors import AdapterInvalid
from configs.home import Home
from configs.whole_file import replace_text
from service.keeping import attachments
from service.keeping.forgetting import find, forget, scrub
from service.keeping.traces import ROWS, Needles, clean_home, data_digest, drop_rows, rows_with
from service.storage.database import Database, now


class Digest(Protocol):
    """The digest of files that were learnt as one, as a manifest names it; None where they cannot be learnt."""

    def __call__(self, *paths: Path) -> str | None:
        """Read the files in this order."""
        ...


@dataclass(frozen=True, slots=True)
class Dataset:
    """A brand's own file in which rows of a person stand, or may stand."""

    brand: str
    path: str
    rows: int
    """Taken out: an id of the person's stands in them."""
    alike: list[int]
    """Numbers of lines that say word for word what the person wrote, and not whose it is: left for people to judge."""


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter of a brand whose training data held rows of a person, or may have."""

    brand: str
    version: str
    active: bool
    held: Literal["yes", "cannot be told"]


@dataclass(slots=True)
class Receipt:
    """How much went; never what, or whose."""

    receipt: str
    at: str
    dry_run: bool
    channel: str | None
    rows: dict[str, int] = field(default_factory=dict)
    """Deleted, by table; `tombstones` are digests that were laid."""
    shared_conversations: int = 0
    """With others in them, who keep theirs; its evidence went."""
    file_rows: dict[str, int] = field(default_factory=dict)
    """Taken out of files of the state folder."""
    file_places: dict[str, int] = field(default_factory=dict)
    """Overwritten in files of the state folder, such as logs."""
    files_deleted: int = 0
    """That visitors sent, and nobody's row names any more."""
    files_not_read: list[str] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    adapters: list[Trained] = field(default_factory=list)
    scrubbed: bool = False
    """Nothing deleted is left in the database's own files."""
    to_do: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As it is printed and kept."""
        return asdict(self)


async def erase(
    brands: Mapping[str, Brand],
    home: Home,
    database: URL,
    contact: str,
    *,
    channel: str | None = None,
    dry_run: bool = False,
    digest: Digest,
) -> Receipt:
    """Take a person out of everything; a second run finds nothing more.

    Args:
        brands: All of the deployment.
        home: The state folder.
        database: The one in use, which is there.
        contact: An id as a platform writes it, a conversation's id, or of the widget a visitor's id or
            the user id of somebody who is logged in on the brand's site.
        channel: On this platform only.
        dry_run: Change nothing.
        digest: Of a file of conversations.

    Raises:
        StorageError: The database cannot be read or written; files may have changed already. Run it again.
        OSError: A file cannot be read or written. Run it again.
    """
    at = now()
    receipt = Receipt(secrets.token_hex(8), at.isoformat(), dry_run, channel)
    db = await Database.open(database.render_as_string(hide_password=False))
    try:
        person = await find(db, contact, channel)
        digests = _datasets(brands, home, person.needles, receipt, digest)
        found = clean_home(home, person.needles, dry_run=dry_run)
        receipt.file_rows, receipt.file_places, receipt.files_not_read = found.rows, found.places, found.closed
        receipt.shared_conversations = len(person.shared)
        touched = {one.brand for one in receipt.datasets}
        receipt.adapters = _adapters(home, brands, digests | found.digests, touched)
        receipt.rows = await forget(db, person, dry_run=dry_run)
        if not dry_run:
            receipt.files_deleted = await attachments.sweep(db, home, spare_s=0.0)
    finally:
        await db.close()
    if not dry_run:
        receipt.scrubbed = await scrub(database)
    receipt.to_do = _to_do(receipt)
    if not dry_run:
        folder = home.root / "receipts"
        replace_text(
            folder / f"forget-{at:%Y%m%dT%H%M%S}-{receipt.receipt}.json", json.dumps(receipt.to_json(), indent=2)
        )
    return receipt


def _datasets(brands: Mapping[str, Brand], home: Home, needles: Needles, receipt: Receipt, digest: Digest) -> set[str]:
    """Take rows out of what brands learn from; returns the digests of files that hold some, as they were before."""
    by_id, by_words = needles.pattern(only_ids=True), needles.pattern()
    digests: set[str] = set()
    for name, brand in brands.items():
        corrected = home.corrections(name).conversations
        for path in (brand.conversations, brand.intents, brand.questions, corrected):
            if path is None or by_words is None or not path.is_file() or path.suffix not in ROWS:
                continue
            theirs = set(rows_with(path, by_id)) if by_id else set()
            alike = [number for number in rows_with(path, by_words) if number not in theirs]
            if not theirs and not alike:
                continue
            if path == brand.conversations:
                digests |= {one for one in (digest(path),) if one}
            if brand.conversations is not None and corrected.is_file() and path in (brand.conversations, corrected):
                digests |= {one for one in (digest(brand.conversations, corrected),) if one}
            digests |= data_digest(path)
            # In the state folder both kinds go, with all other files there.
            inside = path.absolute().is_relative_to(home.root)
            receipt.datasets.append(Dataset(name, str(path), len(theirs), [] if inside else alike))
            if theirs and by_id and not receipt.dry_run:
                drop_rows(path, by_id)
    return digests


def _adapters(home: Home, brands: Mapping[str, Brand], digests: set[str], touched: set[str]) -> list[Trained]:
    found = []
    for name in brands:
        folder = home.adapters / name
        pointer = folder / "active"
        active = pointer.read_text("utf-8").strip() if pointer.is_file() else ""
        for path in sorted(folder.glob("*/manifest.json")):
            manifest = _manifest(path.parent)
            known = manifest is not None and manifest.data_sha256 in digests
            if known or name in touched:
                version = path.parent.name
                found.append(Trained(name, version, version == active, "yes" if known else "cannot be told"))
    return found


def _manifest(folder: Path) -> AdapterManifest | None:
    try:
        return read_adapter(folder, verify=False)
    except AdapterInvalid:
        return None


def _to_do(receipt: Receipt) -> list[str]:
    advice = [
        f"{one.brand}@{one.version} was trained on rows of this person: train a new version "
        f"(brandvoice train --brand {one.brand}), let the gate judge it, promote it, and delete the old folder"
        for one in receipt.adapters
        if one.held == "yes"
    ]
    if any(one.held != "yes" for one in receipt.adapters):
        advice.append(
            "of the other adapters listed, nothing says whether their data held these rows: a version from before the "
            "rows were added did not, a later one may have"
        )
    advice += [
        f"{one.path}: look at the lines {', '.join(map(str, one.alike))} yourself; they say what this person wrote, "
        "and not whose it is"
        for one in receipt.datasets
        if one.alike
    ]
    if receipt.files_not_read:
        advice.append("files that are packed were not looked into: delete those that may hold this person's words")
    if not receipt.scrubbed and not receipt.dry_run:
        advice.append("the database was busy: run the same command again, so that nothing deleted is left in its files")
    advice.append(
        "backups from before, copies outside the state folder and the platform's own records still hold this person"
    )
    return advice
