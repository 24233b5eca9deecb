"""Accounts: people, their roles, and the links by which they choose a password.

Functions of a connection, so that each change and its line in the audit log are one transaction. Whoever changes a
person must be an admin wherever that person has a role: else an admin of one brand could take over, by a new password,
a person who has more to say than they have.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from service.console import audit
from service.console.people.tokens import digest, new_token
from service.console.person import EVERY, Person, Role
from service.console.said import Said, _
from service.errors import Forbidden, NotFound, NotPossible, RequestInvalid
from service.storage.database import now, storable
from service.storage.people_tables import people, person_links, person_roles
from service.storage.tables import conversations

SET_UP_ENDS, INVITE_ENDS, RESET_ENDS = timedelta(hours=24), timedelta(days=7), timedelta(hours=24)
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True, slots=True)
class Account:
    """A person as those see them who look after accounts."""

    id: str
    email: str
    name: str
    language: str
    roles: Mapping[str, Role]
    disabled: bool
    joined: bool
    """Whether they have chosen a password."""
    created_at: datetime

    def as_person(self) -> Person:
        """What they may do."""
        return Person(self.id, self.name, self.email, self.language, self.roles)


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is for."""

    account: Account | None
    """None: whoever holds it becomes the first admin."""


def email_of(text: str) -> str:
    """An address in the form in which it is compared.

    Raises:
        RequestInvalid: It is none.
    """
    email = storable(text).strip().lower()
    if len(email) > 200 or not _EMAIL.fullmatch(email):
        raise RequestInvalid(_("An e-mail address has an @ and no spaces, such as anna@example.com."), param="email")
    return email


def name_of(text: str) -> str:
    """A person's name, as customers may read it.

    Raises:
        RequestInvalid: Empty or too long.
    """
    name = " ".join(storable(text).split())
    if not 0 < len(name) <= 100:
        raise RequestInvalid(_("A name has 1 to 100 characters."), param="name")
    return name


def account(connection: Connection, person: str) -> Account:
    """The account of this id.

    Raises:
        NotFound: There is none.
    """
    found = accounts(connection, person=person)
    if not found:
        raise NotFound(_("There is no such person."))
    return found[0]


def accounts(connection: Connection, *, person: str | None = None, email: str | None = None) -> list[Account]:
    """All accounts by name, or the one of this id or address."""
    wanted = select(people).order_by(people.c.name, people.c.id)
    if person is not None:
        wanted = wanted.where(people.c.id == person)
    if email is not None:
        wanted = wanted.where(people.c.email == email)
    rows = connection.execute(wanted).all()
    roles: dict[str, dict[str, Role]] = {row.id: {} for row in rows}
    mine = select(person_roles).where(person_roles.c.person_id.in_(list(roles))).order_by(person_roles.c.brand)
    for one in connection.execute(mine):
        roles[one.person_id][one.brand] = Role(one.role)
    return [
        Account(
            row.id, row.email, row.name, row.language, roles[row.id], row.disabled, row.password is not None,
            row.created_at,
        )
        for row in rows
    ]  # fmt: skip


def person_of(connection: Connection, person: str) -> Person | None:
    """The person of this id, where they may sign in."""
    found = accounts(connection, person=person)
    return found[0].as_person() if found and not found[0].disabled else None


def password_of(connection: Connection, email: str) -> tuple[str, str | None] | None:
    """Id and hashed password of whoever signs in with this address; None where nobody may."""
    row = connection.execute(
        select(people.c.id, people.c.password).where(people.c.email == email, people.c.disabled.is_(False))
    ).first()
    return (row.id, row.password) if row else None


def governs(by: Person, roles: Mapping[str, Role]) -> bool:
    """Whether a person is an admin wherever these roles are held."""
    return all(by.may(Role.ADMIN, brand) for brand in roles)


def has_admin(connection: Connection) -> bool:
    """Whether anybody can look after this deployment: an admin of all brands who has a password."""
    admins = (
        select(people.c.id)
        .join(person_roles, person_roles.c.person_id == people.c.id)
        .where(
            people.c.disabled.is_(False),
            people.c.password.is_not(None),
            person_roles.c.brand == EVERY,
            person_roles.c.role == Role.ADMIN.value,
        )
    )
    return connection.execute(admins.limit(1)).first() is not None


def invite(
    connection: Connection, *, by: Person | str, email: str, name: str, roles: Mapping[str, Role], language: str = "en"
) -> tuple[Account, str | None]:
    """Let somebody in, or give whoever has this address more roles.

    Returns:
        The account, and the token of a link by which they choose a password; None where they have one.

    Raises:
        Forbidden: `by` is no admin where the roles are.
        RequestInvalid: No address, no name, or no role.
    """
    email, name = email_of(email), name_of(name)
    if not roles:
        raise RequestInvalid(_("Say in which brand they work, and as what."), param="roles")
    _must_govern(by, roles)
    known = accounts(connection, email=email)
    person = known[0].id if known else secrets.token_hex(8)
    if not known:
        connection.execute(
            insert(people).values(
                id=person, email=email, name=name, language=language, disabled=False, created_at=now()
            )
        )
    for brand, role in roles.items():
        _put_role(connection, person, brand, role)
    audit.note(connection, by=by, action="person.invited", subject=email, detail={"person": person, **_said(roles)})
    made = account(connection, person)
    return made, None if made.joined else _new_link(connection, person, INVITE_ENDS)


def change_roles(connection: Connection, *, by: Person | str, person: str, roles: Mapping[str, Role | None]) -> Account:
    """Give or take roles; brands that are not named stay as they are.

    Raises:
        Forbidden: `by` is no admin in one of these brands.
        NotPossible: Nobody would be left to look after the deployment.
    """
    before = account(connection, person)
    _must_govern(by, dict.fromkeys(roles, Role.ADMIN))
    for brand, role in roles.items():
        connection.execute(
            delete(person_roles).where(person_roles.c.person_id == person, person_roles.c.brand == brand)
        )
        if role is not None:
            _put_role(connection, person, brand, role)
    after = account(connection, person)
    if after.roles != before.roles:
        _keep_an_admin(connection, before)
        detail = {"person": person, "was": _said(before.roles)["roles"], "became": _said(after.roles)["roles"]}
        audit.note(connection, by=by, action="person.roles", subject=before.email, detail=detail)
    return after


def set_disabled(connection: Connection, *, by: Person | str, person: str, disabled: bool) -> Account:
    """Keep a person out, from the next request on, or let them in again.

    Raises:
        Forbidden: `by` is no admin wherever they have a role.
        NotPossible: Nobody would be left to look after the deployment.
    """
    before = account(connection, person)
    _must_govern(by, before.roles)
    if before.disabled != disabled:
        connection.execute(update(people).where(people.c.id == person).values(disabled=disabled))
        connection.execute(delete(person_links).where(person_links.c.person_id == person))
        _keep_an_admin(connection, before)
        action = "person.disabled" if disabled else "person.enabled"
        audit.note(connection, by=by, action=action, subject=before.email, detail={"person": person})
    return account(connection, person)


def reset(connection: Connection, *, by: Person | str, person: str) -> str:
    """Make a link by which a person chooses a new password; the old one works until then. Returns its token.

    Raises:
        Forbidden: `by` is no admin wherever they have a role.
        NotPossible: They are disabled.
    """
    of = account(connection, person)
    _must_govern(by, of.roles)
    if of.disabled:
        raise NotPossible(Said(_("%(name)s is disabled. Let them in again first."), name=of.name))
    audit.note(connection, by=by, action="person.reset", subject=of.email, detail={"person": person})
    return _new_link(connection, person, RESET_ENDS if of.joined else INVITE_ENDS)


def set_up_link(connection: Connection) -> str | None:
    """A token by which the first admin is made; None where there is an admin."""
    connection.execute(delete(person_links).where(person_links.c.ends_at <= now()))
    return None if has_admin(connection) else _new_link(connection, None, SET_UP_ENDS)


def read_link(connection: Connection, token: str) -> Link:
    """What a link is for.

    Raises:
        NotFound: It was used, has ended, or never was.
    """
    row = connection.execute(
        select(person_links).where(person_links.c.digest == digest(token), person_links.c.ends_at > now())
    ).first()
    if row is None or (row.person_id is None and has_admin(connection)):
        raise NotFound(_("This link does not work any more: it was used, or has ended. Ask for a new one."))
    return Link(None if row.person_id is None else account(connection, row.person_id))


def use_link(
    connection: Connection, token: str, *, password: str, email: str = "", name: str = "", language: str = "en"
) -> Account:
    """Use a link up: keep a password, and make the first admin where the link is for that.

    Args:
        connection: Of a transaction that writes.
        token: The link's.
        password: Hashed.
        email: Of the first admin.
        name: Of the first admin.
        language: Of the first admin.

    Raises:
        NotFound: It does not work any more.
        RequestInvalid: No address, or no name.
    """
    link = read_link(connection, token)
    if link.account is None:
        made, _ = invite(
            connection, by="set-up link", email=email, name=name, roles={EVERY: Role.ADMIN}, language=language
        )
        # Those that other gateways showed, too.
        connection.execute(delete(person_links).where(person_links.c.person_id.is_(None)))
    else:
        made = link.account
    connection.execute(delete(person_links).where(person_links.c.person_id == made.id))
    connection.execute(update(people).where(people.c.id == made.id).values(password=password))
    audit.note(connection, by=made.as_person(), action="person.password", subject=made.email, detail={"by": "link"})
    return account(connection, made.id)


def change_own(
    connection: Connection,
    person: Person,
    *,
    name: str | None = None,
    language: str | None = None,
    password: str | None = None,
) -> None:
    """Change one's own name, language or (hashed) password."""
    values = {"name": None if name is None else name_of(name), "language": language, "password": password}
    changed = {key: value for key, value in values.items() if value is not None}
    connection.execute(update(people).where(people.c.id == person.id).values(**changed))
    if "name" in changed:
        # What they have stays theirs by their account; whoever looks reads the name that they go by now.
        had = update(conversations).where(conversations.c.owner_id == person.id)
        connection.execute(had.values(owner=changed["name"]))
    if changed.keys() - {"password"}:
        detail = {key: value for key, value in changed.items() if key != "password"}
        audit.note(connection, by=person, action="person.changed", subject=person.email, detail=detail)
    if password is not None:
        audit.note(connection, by=person, action="person.password", subject=person.email, detail={"by": "person"})


def _must_govern(by: Person | str, roles: Mapping[str, Role]) -> None:
    # A name alone is the command line's, whose user holds the database itself.
    if isinstance(by, Person) and not governs(by, roles):
        where = ", ".join("all brands" if brand == EVERY else brand for brand in roles)
        raise Forbidden(Said(_("Only an admin may do this in: %(where)s."), where=where))


def _keep_an_admin(connection: Connection, before: Account) -> None:
    was_one = before.joined and not before.disabled and before.roles.get(EVERY) is Role.ADMIN
    if was_one and not has_admin(connection):
        raise NotPossible(_("They are the only admin of all brands. Make another one first."))


def _put_role(connection: Connection, person: str, brand: str, role: Role) -> None:
    connection.execute(delete(person_roles).where(person_roles.c.person_id == person, person_roles.c.brand == brand))
    connection.execute(insert(person_roles).values(person_id=person, brand=brand, role=role.value))


def _new_link(connection: Connection, person: str | None, ends: timedelta) -> str:
    if person is not None:
        # One at a time: a second link is asked for where the first went astray.
        connection.execute(delete(person_links).where(person_links.c.person_id == person))
    token = new_token()
    connection.execute(insert(person_links).values(digest=digest(token), person_id=person, ends_at=now() + ends))
    return token


def _said(roles: Mapping[str, Role]) -> dict[str, dict[str, str]]:
    return {"roles": {brand: role.value for brand, role in roles.items()}}
