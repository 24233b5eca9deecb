"""Set-up, sign-in, sessions, forms and roles, at a real gateway."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, update

from service.console.access import BY_ITSELF
from service.console.people import accounts, lockout, sessions
from service.storage import audit_rows
from service.storage.database import now
from service.storage.people_tables import person_sessions
from tests.unit.service.console.seats import PASSWORD, Role, admin, browser, in_database, link_in, seat
from tests.unit.service.doors import KEY, Door

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")


def test_the_first_admin_comes_by_a_link_that_works_once(locked: Door) -> None:
    token = in_database(locked, accounts.set_up_link)
    one = browser(locked)
    assert one.get(f"/console/set-up?link={token}").status_code == 200
    fields = {"link": token, "email": "Anna@example.com", "name": "Anna", "password": PASSWORD, "again": PASSWORD}
    for wrong, status in (({"password": "short", "again": "short"}, 400), ({"again": "another one altogether"}, 400)):
        answer = one.client.post("/console/set-up", data=fields | wrong)
        assert answer.status_code == status
        assert "notice bad" in answer.text
    done = one.client.post("/console/set-up", data=fields, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/console/overview")
    own = one.get("/v1/me").json()
    assert (own["email"], own["roles"]) == ("anna@example.com", {"*": "admin"})
    assert browser(locked).client.post("/console/set-up", data=fields).status_code == 404
    assert in_database(locked, accounts.set_up_link) is None


def test_whoever_is_not_signed_in_is_led_to_the_door_and_back(locked: Door) -> None:
    admin(locked)
    one = browser(locked)
    away = one.get("/console/people?x=1")
    assert (away.status_code, away.headers["location"]) == (303, "/console/sign-in?next=/console/people%3Fx%3D1")
    fields = {"email": "anna@example.com", "password": PASSWORD, "next": "/console/people?x=1"}
    back = one.client.post("/console/sign-in", data=fields, follow_redirects=False)
    assert back.headers["location"] == "/console/people?x=1"
    # Never to a place that is not ours.
    for elsewhere in ("https://evil.example/console", "//evil.example/console", "/\\evil.example", "/v1/me"):
        again = browser(locked).client.post(
            "/console/sign-in", data=fields | {"next": elsewhere}, follow_redirects=False
        )
        assert again.headers["location"] == "/console"


def test_the_cookie_of_a_session_is_for_the_browser_alone(locked: Door) -> None:
    admin(locked)
    one = browser(locked)
    cookie = one.sign_in("ANNA@example.com ").headers["set-cookie"]
    assert all(word in cookie for word in (sessions.COOKIE, "HttpOnly", "SameSite=lax", "Path=/"))
    assert "Secure" not in cookie
    fields = {"email": "anna@example.com", "password": PASSWORD}
    one.client.base_url = "https://testserver"
    over_tls = one.client.post(
        "/console/sign-in", data=fields, headers={"Origin": "https://testserver"}, follow_redirects=False
    )
    assert "Secure" in over_tls.headers["set-cookie"]


def test_an_invitation_makes_a_person_with_that_role_and_no_other(locked: Door) -> None:
    boss = admin(locked)
    page = boss.send(
        "/console/people", data={"name": "Budi", "email": "budi@example.com", "brand": "velmora", "role": "agent"}
    )
    assert page.status_code == 200, page.text
    token = link_in(page.text)
    one = browser(locked)
    assert "Budi" in one.get(f"/console/set-up?link={token}").text
    fields = {"link": token, "password": PASSWORD, "again": PASSWORD}
    assert one.client.post("/console/set-up", data=fields, follow_redirects=False).status_code == 303
    assert one.get("/v1/me").json()["roles"] == {"velmora": "agent"}
    assert one.get("/console/people").status_code == 403
    assert one.get("/v1/people").status_code == 403
    assert (
        one.send("/v1/people", json={"email": "c@d.e", "name": "C", "roles": {"velmora": "admin"}}).status_code == 403
    )


@pytest.mark.parametrize("path", ["/console/account", "/console/sign-out"])
def test_a_form_of_another_page_is_refused(locked: Door, path: str) -> None:
    one = admin(locked)
    fields = {"name": "Anna B", "language": "id"}
    assert one.send(path, csrf="", data=fields).status_code == 403
    assert one.send(path, csrf="wrong", data=fields).status_code == 403
    assert one.send(path, headers={"Origin": "https://evil.example"}, data=fields).status_code == 403
    assert one.send(path, headers={"Sec-Fetch-Site": "cross-site"}, data=fields).status_code == 403
    good = one.csrf()
    assert one.get("/v1/me").json()["name"] == "Anna"
    assert one.client.post(path, data=fields | {"csrf": good}, follow_redirects=False).status_code == 303


def test_the_page_speaks_the_persons_language(locked: Door) -> None:
    one = admin(locked)
    one.send("/console/account", data={"name": "Anna", "language": "id"})
    page = one.get("/console/account").text
    assert '<html lang="id" dir="ltr">' in page
    assert "Kata sandi lama" in page
    assert "Akun Anda sudah diubah." in page
    assert "Akun Anda sudah diubah." not in one.get("/console/account").text


def test_wrong_passwords_are_slowed_down_whether_or_not_there_is_such_an_account(
    locked: Door,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Long ones, so that a slow machine does not outwait them.
    monkeypatch.setattr(lockout, "pause_s", lambda failures, free: 600.0 if failures > free else 0.0)
    admin(locked)
    told = []
    for email in ("anna@example.com", "nobody@example.com"):
        one = browser(locked)
        statuses = [one.sign_in(email, "not this password").status_code for _ in range(7)]
        page = one.sign_in(email, "not this password").text.replace(email, "")
        # The seconds left are fewer for whoever was locked out first.
        told.append((statuses, re.sub(r"\d+ seconds", "", page)))
    assert told[0] == told[1]
    assert told[0][0] == [401] * 5 + [429] * 2
    # Not even the right one is looked at meanwhile.
    assert browser(locked).sign_in("anna@example.com").status_code == 429


def test_pauses_grow_and_end() -> None:
    assert [lockout.pause_s(n, 4) for n in (4, 5, 6, 7, 14, 15, 99)] == [0, 1, 2, 4, 512, 900, 900]


def test_signing_out_and_keeping_out_end_sessions_at_once(locked: Door) -> None:
    boss = admin(locked)
    budi = seat(locked, {"velmora": Role.AGENT}, "budi@example.com")
    other = browser(locked)
    other.sign_in("budi@example.com")
    assert len(other.get("/v1/me/sessions").json()["sessions"]) == 2
    who = budi.get("/v1/me").json()["id"]
    other.send("/console/sign-out")
    assert other.get("/v1/me").status_code == 401
    assert budi.get("/v1/me").status_code == 200
    assert boss.send(f"/v1/people/{who}/disable").json()["disabled"]
    assert budi.get("/v1/me").status_code == 401
    assert browser(locked).sign_in("budi@example.com").status_code == 401


def test_what_a_page_asks_by_itself_keeps_nobody_signed_in(locked: Door) -> None:
    boss = admin(locked)

    def last_seen(ago: timedelta) -> None:
        in_database(locked, lambda c: c.execute(update(person_sessions).values(seen_at=now() - ago)))

    def idle(connection: Connection) -> timedelta:
        return now() - connection.execute(select(person_sessions.c.seen_at)).scalar_one()

    itself = {BY_ITSELF: "yes"}
    last_seen(timedelta(hours=7))
    for path in ("/console/inbox/rows", "/v1/conversations"):
        assert boss.get(path, headers=itself).status_code == 200
    assert in_database(locked, idle) >= timedelta(hours=7)
    assert boss.get("/console/inbox").status_code == 200
    assert in_database(locked, idle) < timedelta(minutes=1)
    last_seen(sessions.IDLE)
    over = boss.get("/console/inbox/rows", headers=itself | {"HX-Request": "true"})
    assert (over.status_code, over.headers["hx-redirect"]) == (401, "/console/sign-in")


def test_an_api_key_works_as_ever_and_is_nobody(locked: Door) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    client = locked.client
    assert client.get("/v1/me", headers=headers).json()["id"] is None
    assert client.get("/v1/people", headers=headers).json() == {"people": []}
    assert client.get("/console/account", headers=headers, follow_redirects=False).status_code == 303


def test_the_log_of_changes_speaks_the_language_of_its_reader(locked: Door) -> None:
    boss = admin(locked)
    detail = {"recipe": "lora", "kind": "fact", "accepts": True, "roles": {"*": "editor"}, "cause": "drift"}
    in_database(
        locked, lambda c: audit_rows.add(c, by="schedule", brand="velmora", action="training.started", detail=detail)
    )
    for language, words in (
        ("en", ("the schedule", "started a training", "recipe: lora", "what was wrong: a fact", "accepted: yes",
                "roles: All brands: editor", "because of: an alarm of drift")),
        ("id", ("jadwal", "resep: lora", "yang salah: fakta", "diterima: ya", "peran: Semua merek: editor",
                "karena: peringatan pergeseran")),
    ):  # fmt: skip
        boss.send("/v1/me", "PATCH", json={"language": language})
        page = re.sub(r"\s+", " ", boss.get("/console/changes").text)
        assert [one for one in words if one not in page] == []
