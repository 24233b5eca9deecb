"""Growing pauses after passwords that were wrong, by account and by address.

An attempt is counted before the password is looked at, so that many at once gain nothing, and whether the account
exists makes no difference: the name is counted as it was typed.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from service.console.people.tokens import digest
from service.console.said import _
from service.storage.database import insert_new, now
from service.storage.people_tables import sign_in_failures

WAIT = _("Too many attempts. Wait %(seconds)s seconds, then try again.")
LONGEST_S = 900.0
FORGOTTEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Counted:
    """Somebody whose failures are counted."""

    digest: str
    free: int
    """Failures that cost no pause."""


def of_account(email: str) -> Counted:
    """An account, by the name that was typed."""
    return Counted(digest(f"account\n{email}"), free=4)


def of_address(host: str) -> Counted:
    """An address; of IPv6 the network, since a caller has a whole one."""
    try:
        address = ipaddress.ip_address(host)
        if address.version == 6:
            host = str(ipaddress.ip_network((address, 64), strict=False))
    except ValueError:
        pass
    # An office of many people shares one.
    return Counted(digest(f"address\n{host}"), free=20)


def pause_s(failures: int, free: int) -> float:
    """Seconds until the next attempt: 1, 2, 4, ... up to a quarter of an hour."""
    return 0.0 if failures <= free else min(LONGEST_S, 2.0 ** min(failures - free - 1, 20))


def attempt(connection: Connection, *counted: Counted) -> float:
    """Count an attempt; returns 0, or the seconds to wait, and then nothing was counted."""
    moment = now()
    rows = _kept(connection, counted)
    waits = [(until - moment).total_seconds() for _, until, _ in rows.values() if until > moment]
    if waits:
        return max(waits)
    for one in counted:
        before, _, forget_at = rows.get(one.digest, (0, moment, moment))
        failures = (before if forget_at > moment else 0) + 1
        values = {
            "count": failures,
            "until": moment + timedelta(seconds=pause_s(failures, one.free)),
            "forget_at": moment + FORGOTTEN_AFTER,
        }
        table = sign_in_failures
        connection.execute(insert_new(connection, table).values(digest=one.digest, **values))
        connection.execute(update(table).where(table.c.digest == one.digest).values(**values))
    return 0.0


def succeeded(connection: Connection, account: Counted, address: Counted) -> None:
    """The password was right: the account starts anew, and the address is not charged for it."""
    table = sign_in_failures
    connection.execute(delete(table).where(table.c.digest == account.digest))
    connection.execute(
        update(table)
        .where(table.c.digest == address.digest, table.c.count > 0)
        .values(count=table.c.count - 1, until=now())
    )


def _kept(connection: Connection, counted: tuple[Counted, ...]) -> dict[str, tuple[int, datetime, datetime]]:
    """Failures, until when it is paused, and when it is forgotten, by digest."""
    table = sign_in_failures
    wanted = select(table.c.digest, table.c.count, table.c.until, table.c.forget_at)
    rows = connection.execute(wanted.where(table.c.digest.in_([one.digest for one in counted])))
    return {digest_: (failures, until, forget_at) for digest_, failures, until, forget_at in rows}
