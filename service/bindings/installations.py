"""Accounts that installed an app themselves: their tokens, encrypted, and the brand that answers them.

They are bindings like those of the configuration, only that they come and go while the gateway runs. `Installations`
keeps the brands' bindings and the channels' tokens as the database has them; other gateways on the same database see
a change within `FOLLOW_S`, or with the first message of an account that they do not know.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select, update

from channels.base import Channel, Removal
from channels.installs import Grant, Installs
from configs.brand import Binding, Brand, SlackBinding
from service.delivery.outbox import Send
from service.sealing import SealBroken, Sealer
from service.storage.database import Database, insert_new, now, storable
from service.storage.tables import installations, used_states

log = logging.getLogger(__name__)

FOLLOW_S = 5.0
"""How often the table is looked at."""
RENEW_BEFORE_S = 1800.0
"""Secrets that end are renewed this long before."""
RENEWING_S = 60.0
"""How long one gateway has for it; after a failure it is tried again as late."""
STATES_KEPT = timedelta(days=1)
"""Longer than a state is good for."""

BINDINGS: Mapping[str, Callable[[str, str], Binding]] = {
    "slack": lambda app, account: SlackBinding(channel="slack", app=app, team_id=account),
}
"""How an account of a platform is bound: a line each for those whose apps accounts can install."""

PURPOSE = "installation"


@dataclass(frozen=True, slots=True)
class Known:
    """One installation, without its secrets."""

    channel: str
    app: str
    account: str
    brand: str
    name: str
    installed_at: datetime


async def known(db: Database) -> list[Known]:
    """All installations, by platform, app and account; nothing is decrypted."""
    table = installations.c
    query = select(table.channel, table.app, table.account, table.brand, table.name, table.installed_at).order_by(
        table.channel, table.app, table.account
    )
    return [Known(*row) for row in await db.read(lambda connection: connection.execute(query).all())]


class Installations:
    """What is installed, as this gateway knows it."""

    def __init__(self, db: Database, brands: dict[str, Brand], sealer: Sealer | None) -> None:
        """Begin with what is configured; `refresh` brings the rest.

        Args:
            db: Holds the installations.
            brands: By name; a brand is replaced here by one with more bindings or fewer when an account comes or goes.
            sealer: Reads the secrets; without one nothing can be installed, and what was installed is not answered.
        """
        self.sealer = sealer
        self._db = db
        self._brands = brands
        self._configured = {name: brand.channels for name, brand in brands.items()}
        self._bound: dict[tuple[str, str, str], str] = {
            (one.channel, one.app, one.account): name for name, bound in self._configured.items() for one in bound
        }
        self._seen: dict[tuple[str, str, str], Row[Any]] = {}
        self._secrets: dict[tuple[str, str], dict[str, Mapping[str, str]]] = {}

    def secrets(self, channel: str, app: str) -> Mapping[str, Mapping[str, str]]:
        """The secrets of an app's accounts, by account: always the latest, so it may be kept."""
        return self._secrets.setdefault((channel, app), {})

    def configured(self, channel: str, app: str, account: str) -> str | None:
        """The brand that the configuration binds to an account; no installation changes that."""
        return self._bound.get((channel, app, account))

    def accounts(self, channel: str, app: str) -> set[str]:
        """The accounts that a brand answers through this app."""
        return {key[2] for key in self._bound if key[:2] == (channel, app)}

    def rewritten(self, name: str) -> None:
        """A brand was put in, or replaced, as its file says now; or taken out."""
        brand = self._brands.get(name)
        if brand is None:
            self._configured.pop(name, None)
        else:
            self._configured[name] = brand.channels
        self._bind()

    async def brand(self, channel: str, app: str, account: str) -> Brand | None:
        """Who answers an account; one that is not known may have been installed by another gateway just now."""
        found = self._brand(channel, app, account)
        if found is None and self.sealer is not None:
            await self.refresh()
            found = self._brand(channel, app, account)
        return found

    async def refresh(self) -> None:
        """Take over what the database has.

        Raises:
            StorageUnavailable: It cannot be read; all stays as it was.
        """
        if self.sealer is None:
            return
        query = select(installations)
        rows = await self._db.read(lambda connection: connection.execute(query).all())
        found = {(row.channel, row.app, row.account): row for row in rows}
        if found == self._seen:
            return
        for key in self._seen.keys() - found.keys():
            self._secrets.get(key[:2], {}).pop(key[2], None)
        for key, row in found.items():
            before = self._seen.get(key)
            if before is None or before.secrets != row.secrets:
                self._read(key, row)
        self._seen = found
        self._bind()

    async def add(self, channel: str, app: str, brand: str, grant: Grant) -> None:
        """Keep what an account gave us; an earlier installation of it is replaced.

        Raises:
            StorageUnavailable: Nothing was kept.
        """
        key = {"channel": channel, "app": app, "account": storable(grant.account)}
        values = {
            "brand": brand,
            "name": storable(grant.name)[:200],
            "secrets": self._sealed(channel, app, storable(grant.account), grant.secrets),
            "installed_at": now(),
            "ends_at": now() + timedelta(seconds=grant.lasts_s) if grant.lasts_s else None,
            "renewing_until": None,
        }

        def store(connection: Connection) -> None:
            if connection.execute(insert_new(connection, installations), key | values).rowcount == 0:
                connection.execute(update(installations).where(*_is(key)).values(**values))

        await self._db.write(store)
        await self.refresh()

    async def remove(self, channel: str, app: str, removal: Removal) -> bool:
        """Forget an account's secrets; False where it has none, or gave us new ones since.

        Raises:
            StorageUnavailable: It must be told again.
        """
        # The platform's stamp is in whole seconds: of what happened within one, the removal counts as the later.
        since = datetime.fromtimestamp(removal.at_s + 1, tz=now().tzinfo)
        key = {"channel": channel, "app": app, "account": storable(removal.account)}
        change = delete(installations).where(*_is(key), installations.c.installed_at < since)
        gone = await self._db.write(lambda connection: connection.execute(change).rowcount)
        await self.refresh()
        return gone > 0

    async def use_state(self, state: str) -> bool:
        """Use up the state of one installation; False where it was used before.

        Raises:
            StorageUnavailable: It is not used up.
        """
        digest = hashlib.sha256(state.encode(errors="replace")).hexdigest()

        def use(connection: Connection) -> bool:
            connection.execute(delete(used_states).where(used_states.c.at < now() - STATES_KEPT))
            row = {"digest": digest, "at": now()}
            return connection.execute(insert_new(connection, used_states), row).rowcount > 0

        return await self._db.write(use)

    async def renew_due(self, channels: Mapping[tuple[str, str], Channel], send: Send) -> None:
        """Renew the secrets that end soon; what fails is tried again, and told in the log."""
        for key, row in list(self._seen.items()):
            platform = channels.get(key[:2])
            due = row.ends_at is not None and row.ends_at <= now() + timedelta(seconds=RENEW_BEFORE_S)
            if due and platform and isinstance(platform, Installs) and await self._claim(key):
                await self._renew(key, platform, send)

    async def _renew(self, key: tuple[str, str, str], platform: Installs, send: Send) -> None:
        channel, app, account = key
        call = platform.renewal(self.secrets(channel, app).get(account, {}))
        if call is None:
            return
        try:
            status, _, body = await send(call)
            grant = platform.granted(status, body)
            values: dict[str, Any] = {"secrets": self._sealed(*key, grant.secrets), "renewing_until": None}
            values["ends_at"] = now() + timedelta(seconds=grant.lasts_s) if grant.lasts_s else None
            change = update(installations).where(*_is(_key(key))).values(**values)
            await self._db.write(lambda connection: connection.execute(change))
        except Exception as error:
            # The secrets that there are go on working until they end; `renewing_until` spaces the attempts.
            log.warning("installation_not_renewed", extra={"channel": channel, "app": app, "reason": str(error)[:300]})
            return
        log.info("installation_renewed", extra={"channel": channel, "app": app})
        await self.refresh()

    async def _claim(self, key: tuple[str, str, str]) -> bool:
        table, until = installations.c, now() + timedelta(seconds=RENEWING_S)
        free = or_(table.renewing_until.is_(None), table.renewing_until < now())
        soon = table.ends_at <= now() + timedelta(seconds=RENEW_BEFORE_S)
        change = update(installations).where(*_is(_key(key)), free, soon).values(renewing_until=until)
        return await self._db.write(lambda connection: connection.execute(change).rowcount) > 0

    def _brand(self, channel: str, app: str, account: str) -> Brand | None:
        name = self._bound.get((channel, app, account))
        return self._brands.get(name) if name else None

    def _bind(self) -> None:
        """Bindings of the configuration come first: an operator's word stands."""
        bound: dict[tuple[str, str, str], str] = {
            (one.channel, one.app, one.account): name for name, all_ in self._configured.items() for one in all_
        }
        added: dict[str, list[Binding]] = {}
        for key, row in self._seen.items():
            usable = row.channel in BINDINGS and row.account in self._secrets.get(key[:2], {})
            if key not in bound and usable and row.brand in self._brands:
                bound[key] = row.brand
                added.setdefault(row.brand, []).append(BINDINGS[row.channel](row.app, row.account))
        self._bound = bound
        for name, brand in list(self._brands.items()):
            channels = (*self._configured[name], *added.get(name, ()))
            if brand.channels != channels:
                self._brands[name] = brand.model_copy(update={"channels": channels})

    def _read(self, key: tuple[str, str, str], row: Row[Any]) -> None:
        channel, app, account = key
        of_app = self._secrets.setdefault((channel, app), {})
        of_app.pop(account, None)
        if self.sealer is None:
            return
        try:
            content = self.sealer.open(PURPOSE, row.secrets)
        except SealBroken:
            log.error("installation_unreadable", extra={"channel": channel, "app": app, "account": account})  # noqa: TRY400
            return
        # A row that was copied over another one must not speak for it.
        if content.get("for") == [channel, app, account]:
            of_app[account] = content["secrets"]

    def _sealed(self, channel: str, app: str, account: str, secrets: Mapping[str, str]) -> str:
        if self.sealer is None:
            raise AssertionError("nothing is installed without keys")
        return self.sealer.seal(PURPOSE, {"for": [channel, app, account], "secrets": dict(secrets)})

    async def seal_anew(self) -> int:
        """Encrypt with the newest key what an older one had encrypted, so that the older one can go; returns how many.

        Raises:
            StorageUnavailable: Some may be left.
        """
        if self.sealer is None:
            return 0
        changed = 0
        for key, row in list(self._seen.items()):
            secrets = self.secrets(*key[:2]).get(key[2])
            if secrets is None or self.sealer.is_current(PURPOSE, row.secrets):
                continue
            sealed = self._sealed(*key, secrets)
            change = (
                update(installations)
                .where(*_is(_key(key)), installations.c.secrets == row.secrets)
                .values(secrets=sealed)
            )
            changed += await self._db.write(lambda connection, change=change: connection.execute(change).rowcount)  # type: ignore[misc]
        return changed


def _key(key: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("channel", "app", "account"), key, strict=True))


def _is(key: Mapping[str, str]) -> list[Any]:
    return [installations.c[name] == value for name, value in key.items()]
