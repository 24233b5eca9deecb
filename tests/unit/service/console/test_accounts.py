"""Accounts, sessions, pauses and the log in the database, SQLite or PostgreSQL."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from service.console import audit
from service.console.people import accounts, lockout, passwords, sessions
from service.console.person import EVERY, MACHINE, Person, Role
from service.errors import Forbidden, NotFound, NotPossible, RequestInvalid
from service.keeping import sign_ins
from service.storage.database import Database, now
from service.storage.people_tables import (
    audit_log,
    people,
    person_links,
    person_roles,
    person_sessions,
    sign_in_failures,
)

ROOT = Path(__file__).resolve().parents[4]


def made(connection: Connection, email: str, **roles: Role) -> Person:
    """A person who has joined; `every` is all brands."""
    wanted = {EVERY if brand == "every" else brand: role for brand, role in roles.items()}
    one, token = accounts.invite(connection, by="test", email=email, name=email.split("@")[0], roles=wanted)
    assert token
    accounts.use_link(connection, token, password="hash")
    return one.as_person()


def test_roles_include_those_below_in_the_brand_and_nowhere_else() -> None:
    person = Person("1", "Anna", roles={"velmora": Role.EDITOR})
    assert person.may(Role.AGENT, "velmora")
    assert person.may(Role.EDITOR, "velmora")
    assert not person.may(Role.ADMIN, "velmora")
    assert not person.may(Role.AGENT, "dicehollow")
    assert person.may(Role.EDITOR)
    assert not person.may_everywhere(Role.AGENT)
    assert person.only(Role.AGENT, {"velmora": 1, "dicehollow": 2}) == ("velmora",)
    everywhere = Person("2", "Budi", roles={EVERY: Role.AGENT, "velmora": Role.ADMIN})
    assert everywhere.may(Role.ADMIN, "velmora")
    assert not everywhere.may(Role.EDITOR, "dicehollow")
    assert everywhere.only(Role.AGENT, {"velmora": 1}) is None
    with pytest.raises(Forbidden, match="editor in dicehollow"):
        everywhere.must(Role.EDITOR, "dicehollow")
    assert MACHINE.may_everywhere(Role.ADMIN)


async def test_a_link_works_once_and_not_for_ever(db: Database) -> None:
    def work(connection: Connection) -> None:
        first = accounts.set_up_link(connection)
        second = accounts.set_up_link(connection)
        assert first
        assert second
        boss = accounts.use_link(connection, first, password="hash", email="Anna@Example.com", name="Anna")
        assert (boss.email, dict(boss.roles)) == ("anna@example.com", {EVERY: Role.ADMIN})
        # Another gateway's link went with it, and no other is made.
        for token in (first, second, "never-was"):
            with pytest.raises(NotFound):
                accounts.read_link(connection, token)
        assert accounts.set_up_link(connection) is None
        _, token = accounts.invite(
            connection, by=boss.as_person(), email="budi@example.com", name="Budi", roles={"velmora": Role.AGENT}
        )
        assert token
        connection.execute(update(person_links).values(ends_at=now() - timedelta(seconds=1)))
        with pytest.raises(NotFound):
            accounts.use_link(connection, token, password="hash")

    await db.write(work)


async def test_no_admin_of_one_brand_takes_over_whoever_has_more_to_say(db: Database) -> None:
    def work(connection: Connection) -> None:
        boss = made(connection, "boss@example.com", every=Role.ADMIN)
        small = made(connection, "small@example.com", velmora=Role.ADMIN)
        both = made(connection, "both@example.com", velmora=Role.AGENT, dicehollow=Role.AGENT)
        for person in (boss, both):
            assert person.id
            with pytest.raises(Forbidden):
                accounts.reset(connection, by=small, person=person.id)
            with pytest.raises(Forbidden):
                accounts.set_disabled(connection, by=small, person=person.id, disabled=True)
        assert both.id
        assert small.id
        for roles in ({EVERY: Role.ADMIN}, {"dicehollow": Role.AGENT}, {"velmora": Role.AGENT, EVERY: None}):
            with pytest.raises(Forbidden):
                accounts.change_roles(connection, by=small, person=small.id, roles=roles)
        with pytest.raises(Forbidden):
            accounts.invite(connection, by=small, email="x@y.z", name="X", roles={EVERY: Role.AGENT})
        after = accounts.change_roles(connection, by=small, person=both.id, roles={"velmora": Role.EDITOR})
        assert after.roles == {"velmora": Role.EDITOR, "dicehollow": Role.AGENT}

    await db.write(work)


async def test_an_invitation_of_somebody_who_is_there_gives_no_new_password(db: Database) -> None:
    def work(connection: Connection) -> None:
        made(connection, "boss@example.com", every=Role.ADMIN)
        small = made(connection, "small@example.com", velmora=Role.ADMIN)
        one, token = accounts.invite(
            connection, by=small, email="BOSS@example.com", name="Other", roles={"velmora": Role.AGENT}
        )
        assert token is None
        assert one.name == "boss"

    await db.write(work)


async def test_the_last_admin_stays(db: Database) -> None:
    def work(connection: Connection) -> None:
        boss = made(connection, "boss@example.com", every=Role.ADMIN)
        # Whoever was only invited cannot look after anything yet.
        accounts.invite(connection, by=boss, email="new@example.com", name="New", roles={EVERY: Role.ADMIN})

    await db.write(work)

    def keep_out(connection: Connection) -> None:
        boss = accounts.accounts(connection, email="boss@example.com")[0]
        accounts.set_disabled(connection, by=boss.as_person(), person=boss.id, disabled=True)

    with pytest.raises(NotPossible):
        await db.write(keep_out)

    def take_role(connection: Connection) -> None:
        boss = accounts.accounts(connection, email="boss@example.com")[0]
        accounts.change_roles(connection, by=boss.as_person(), person=boss.id, roles={EVERY: Role.EDITOR})

    with pytest.raises(NotPossible):
        await db.write(take_role)
    assert (await db.read(accounts.has_admin)) is True
    await db.write(lambda c: made(c, "second@example.com", every=Role.ADMIN))
    await db.write(take_role)


async def test_a_session_ends_by_itself_and_with_its_person(db: Database) -> None:
    def work(connection: Connection) -> None:
        boss = made(connection, "boss@example.com", every=Role.ADMIN)
        assert boss.id
        old = sessions.begin(connection, boss.id, client="old")
        token = sessions.begin(connection, boss.id, client="new", instead_of=old)
        assert sessions.find(connection, old) is None
        found = sessions.find(connection, token)
        assert found
        assert (found[0].id, found[1]) == (boss.id, False)
        kept = connection.execute(select(person_sessions)).one()
        assert token not in str(kept)
        assert found[0].csrf not in str(kept)
        for column, age in (("seen_at", sessions.IDLE), ("ends_at", timedelta(0))):
            before = getattr(kept, column)
            connection.execute(update(person_sessions).values({column: now() - age - timedelta(seconds=1)}))
            assert sessions.find(connection, token) is None, column
            connection.execute(update(person_sessions).values({column: before}))
        connection.execute(update(people).values(disabled=True))
        assert sessions.find(connection, token) is None

    await db.write(work)


async def test_pauses_are_by_account_and_by_address(db: Database) -> None:
    def work(connection: Connection) -> None:
        address = lockout.of_address("2001:db8::1")
        assert address == lockout.of_address("2001:db8::2")
        account = lockout.of_account("anna@example.com")
        for _ in range(account.free + 1):
            assert lockout.attempt(connection, account, address) == 0
        assert 0 < lockout.attempt(connection, account, address) <= 1
        assert lockout.attempt(connection, lockout.of_account("budi@example.com"), address) == 0
        for number in range(address.free):
            lockout.attempt(connection, lockout.of_account(f"{number}@example.com"), address)
        assert lockout.attempt(connection, lockout.of_account("dewi@example.com"), address) > 0
        kept = str(connection.execute(select(sign_in_failures)).all())
        assert "anna" not in kept
        assert "2001" not in kept

    await db.write(work)


async def test_what_is_over_is_swept_and_the_rest_stays(db: Database) -> None:
    def work(connection: Connection) -> None:
        boss = made(connection, "boss@example.com", every=Role.ADMIN)
        assert boss.id
        sessions.begin(connection, boss.id, client="")
        accounts.reset(connection, by=boss, person=boss.id)
        lockout.attempt(connection, lockout.of_account("x"))
        tables = (people, person_roles, audit_log, person_sessions, person_links, sign_in_failures)
        kept = [len(connection.execute(select(table)).all()) for table in tables]
        assert all(kept)
        assert sign_ins.sweep(connection, now()) == 0
        assert sign_ins.sweep(connection, now() + timedelta(days=8)) == 3
        assert [len(connection.execute(select(table)).all()) for table in tables] == [*kept[:3], 0, 0, 0]

    await db.write(work)


async def test_the_log_is_filtered_and_paged(db: Database) -> None:
    def work(connection: Connection) -> None:
        boss = made(connection, "boss@example.com", every=Role.ADMIN)
        for number in range(3):
            audit.note(connection, by=boss, brand="velmora", action="adapter.promoted", subject=str(number))
        audit.note(connection, by="command line", brand="dicehollow", action="adapterless", detail={"fields": ["why"]})
        everything = audit.entries(connection, brands=None)
        assert [one.action for one in everything[-2:]] == ["person.password", "person.invited"]
        assert [one.subject for one in audit.entries(connection, brands=None, action="adapter")] == ["2", "1", "0"]
        assert [one.detail for one in audit.entries(connection, brands=("dicehollow",))] == [{"fields": ["why"]}]
        assert not audit.entries(connection, brands=())
        page = audit.entries(connection, brands=("velmora",), limit=2)
        rest = audit.entries(connection, brands=("velmora",), before=page[-1].id)
        assert [one.subject for one in (*page, *rest)] == ["2", "1", "0"]
        assert len(audit.entries(connection, brands=None, person=boss.id)) == 4

    await db.write(work)


def test_nothing_of_ours_changes_the_log() -> None:
    """It is named by the module that adds and the one that reads; whole databases are copied by their metadata."""
    for path in (ROOT / "service").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if "audit_log" not in names or path.name == "people_tables.py":
            continue
        assert path.name in ("audit_rows.py", "audit.py")
        assert not names & {"update", "delete"}


async def test_passwords_are_argon2id_and_long_enough() -> None:
    kept = await passwords.hashed("four words do well")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.matches(kept, "four words do well")
    assert not await passwords.matches(kept, "four words do wel")
    assert not await passwords.matches(None, "nobody has this password")
    for bad in ("short", "x" * 201):
        with pytest.raises(RequestInvalid):
            passwords.check_rules(bad)


@pytest.mark.parametrize("email", ["", "anna", "a b@c.d", "@", "a" * 200 + "@b.c"])
def test_an_address_must_look_like_one(email: str) -> None:
    with pytest.raises(RequestInvalid):
        accounts.email_of(email)
