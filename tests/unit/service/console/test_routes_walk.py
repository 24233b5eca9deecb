"""Every route of the application, asked by nobody, by a person with too small a role, and by one of another brand.

A route that is not declared here, or that says nowhere what it needs, fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute

from service.console.access import Needs
from service.console.bench.runs import Asked, Bench
from service.corrections.terms import Proposal, Who
from service.security import ApiKeys
from service.storage.database import now
from service.storage.tables import knowledge_jobs, training_jobs
from tests.unit.service.console.seats import Browser, Role, admin, browser, seat
from tests.unit.service.corrections.support import answered
from tests.unit.service.doors import KEY, SENDERS, Door

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")

OPEN = {
    "/": "the sample shops",
    "/shop/{brand}": "the sample shops",
    "/bench": "nobody any more: it leads to the console",
    "/widget.js": "the widget",
    "/static/{name}": "its pictures",
    "/static-offline-docs": "the description of the interface",
    "/docs": "the description of the interface",
    "/docs/oauth2-redirect": "the description of the interface",
    "/redoc": "the description of the interface",
    "/openapi.json": "the description of the interface",
    "/livez": "whoever keeps it running",
    "/readyz": "whoever keeps it running",
    "/metrics": "whoever keeps it running",
    "/ws/chat": "visitors, by site key and origin",
    "/v1/widget/files": "visitors, by a sealed ticket and origin",
    "/v1/widget/files/{file}": "visitors, by a sealed ticket",
    "/webhooks/{channel}/{app}": "platforms, which sign",
    "/install/{channel}/{app}": "whoever holds a sealed link",
    "/install/{channel}/{app}/callback": "whoever holds a sealed link",
    "/simulator/{channel}/calls": "only on this machine's own address, in place of platforms",
    "/simulator/{channel}/{path:path}": "only on this machine's own address, in place of platforms",
    "/console/sign-in": "the door",
    "/console/set-up": "whoever holds a link",
    "/console/static/{name}": "style sheets and scripts",
}
"""Routes that need no credentials, each with whom it is for."""
LISTS = {
    "/v1/conversations", "/v1/handoffs", "/v1/brands", "/v1/people", "/v1/audit",
    "/console", "/console/people", "/console/changes",
    "/v1/corrections", "/console/corrections", "/console/bench", "/console/inspector",
    "/v1/training/jobs", "/console/training",
    "/v1/overview", "/console/overview",
    "/console/knowledge",
    "/v1/brand-templates", "/console/brands",
    "/v1/canned-replies", "/console/inbox", "/console/inbox/rows", "/console/inbox/canned", "/console/inbox/unanswered",
}  # fmt: skip
"""Routes without a brand in their address: they show what is of one's own brands; `test_lists...` looks at that."""
BODIES: dict[str, dict[str, Any]] = {
    "/v1/bench": {"brand": "velmora", "question": "How long may I return?"},
    "/v1/bench/runs": {"brand": "velmora", "question": "How long may I return?", "contenders": ["base", "1"]},
    "/v1/bench/runs/{run}/vote": {"best": "A"},
    "/v1/people": {"email": "x@example.com", "name": "X", "roles": {"velmora": "agent"}},
    "/v1/people/{who}/roles": {"roles": {"velmora": "admin"}},
    "/v1/conversations/{conversation}/messages": {"text": "Hello", "id": "1"},
    "/v1/conversations/{conversation}/notes": {"text": "Hello"},
    "/v1/brands/{brand}/adapters/{version}/promote": {"override": {"reason": "because"}},
    "/v1/corrections/turns/{turn}": {"kind": "voice", "corrected": "x"},
    "/v1/corrections/brands/{brand}/difference": {"document": "returns.md", "text": "x"},
    "/v1/corrections/{correction}": {"corrected": "x"},
    "/v1/corrections/{correction}/review": {"accepts": True},
    "/v1/training/brands/{brand}/plan": {"recipe": "quick_cpu"},
    "/v1/training/brands/{brand}/check": {"recipe": "quick_cpu"},
    "/v1/training/brands/{brand}/jobs": {"recipe": "quick_cpu"},
    "/v1/canned-replies": {"brand": "velmora", "title": "Hello", "text": "Hello"},
    "/v1/canned-replies/{reply}": {"title": "Hello", "text": "Hello"},
    "/v1/brands/{brand}/voice": {"text": "Hello"},
    "/v1/brands/{brand}/drift/quiet": {"days": 7},
    "/v1/brands/{brand}/knowledge/document": {"text": "x", "sha256": "x"},
    "/v1/brands/{brand}/knowledge/difference": {"document": "returns.md", "text": "x"},
    "/v1/brands/{brand}/knowledge/remove": {"documents": ["returns.md"]},
    "/v1/brands/{brand}/knowledge/restore": {"document": "returns.md", "version": "1"},
    "/v1/brands/{brand}/knowledge/pages": {"title": "Gifts", "text": "x"},
    "/v1/brands/{brand}/knowledge/crawl": {"address": "https://shop.example/"},
    "/v1/brands": {"template": "shop", "answers": {"company": "Fernhill"}},
    "/v1/brands/{brand}/settings": {"settings": {"greeting": "Hello"}},
    "/v1/brands/{brand}/file": {"text": "name: velmora"},
    "/v1/brands/{brand}/voice-guide": {"text": "Be brief."},
    "/v1/brands/{brand}/examples": {"exchanges": [{"said": "Hi", "reply": "Hello", "outcome": "small_talk"}]},
    "/v1/brands/{brand}/examples/{example}": {"exchanges": [{"said": "Hi", "reply": "Hello", "outcome": "small_talk"}]},
    "/v1/brands/{brand}/questions": {"questions": [{"question": "Is there a cafe?", "kind": "none"}]},
    "/v1/me/password": {"old": "x", "new": "y"},
    "/v1/chat/completions": {"model": "velmora", "messages": [{"role": "user", "content": "Hello"}]},
}
"""What a route needs in its body so that nothing but the role can be wrong."""
FORMS: dict[str, dict[str, str]] = {
    "/console/bench": {"brand": "velmora", "question": "How long may I return?"},
    "/console/bench/runs/{run}/vote": {"best": "A"},
    "/console/inbox/canned": {"brand": "velmora", "title": "Hello", "text": "Hello"},
    "/console/inbox/lint": {"brand": "velmora", "text": "Hello"},
    "/console/inbox/unanswered/answer": {"brand": "velmora", "title": "Hello", "text": "Hello", "question": "Hello?"},
    "/console/inbox/unanswered/set-aside": {"brand": "velmora", "turn": "1"},
    "/console/knowledge/{brand}/crawl": {"address": "https://shop.example/"},
    "/console/knowledge/{brand}/remove": {"document": "returns.md"},
    "/console/knowledge/{brand}/restore": {"document": "returns.md", "version": "1"},
    "/console/knowledge/{brand}/review": {"document": "returns.md", "sha256": "x", "text": "x"},
    "/console/knowledge/{brand}/edit": {"document": "returns.md", "sha256": "x", "text": "x"},
    "/console/brands": {"kind": "shop", "company": "Fernhill"},
    "/console/brands/{brand}": {"section": "look", "greeting": "Hello"},
    "/console/brands/{brand}/voice": {"text": "Be brief."},
    "/console/brands/{brand}/file": {"text": "name: velmora"},
    "/console/training/brands/{brand}/questions": {"questions": "Is there a cafe?", "answer": ":none"},
    "/console/training/brands/{brand}/questions/remove": {"case": "velmora-q01"},
    "/console/people": {"name": "X", "email": "x@example.com", "brand": "velmora", "role": "agent"},
    "/console/people/{who}/roles": {"brand": "velmora", "role": "admin"},
}


def calls(dependant: Dependant) -> Iterator[Any]:
    """Every dependency, however deep."""
    for one in dependant.dependencies:
        yield one.call
        yield from calls(one)


def needed(route: APIRoute) -> Needs | ApiKeys | None:
    """What lets somebody through."""
    found = [call for call in calls(route.dependant) if isinstance(call, Needs | ApiKeys)]
    assert len(found) <= 1, route.path
    return found[0] if found else None


def methods(route: BaseRoute) -> list[str]:
    return sorted((getattr(route, "methods", None) or {"GET"}) - {"HEAD", "OPTIONS"})


def ask(one: Browser, route: APIRoute, method: str, world: dict[str, str], **more: Any) -> Any:
    """One request, complete but for the right to make it."""
    path = route.path.replace(":path}", "}").format(**world)
    if method != "GET":
        if route.path.startswith("/console"):
            more["data"] = FORMS.get(route.path, {})
        else:
            more["json"] = BODIES.get(route.path, {})
    if method == "GET":
        return one.get(path, **more)
    return one.send(path, method, **more)


@pytest.fixture
def world(locked: Door) -> dict[str, str]:
    """Things of the brand velmora, by the names that paths give them."""
    bound = next(one for one in locked.gateway.config.brands["velmora"].channels if one.channel in SENDERS)
    platform = locked.gateway.channels[bound.channel, bound.app]
    body = platform.simulate("Hello?", account=bound.account, message_id="m1", sender=SENDERS[bound.channel])
    address = f"/webhooks/{bound.channel}/{bound.app}"
    taken = locked.client.post(address, content=body, headers=dict(platform.sign(body)))
    assert taken.status_code == 200, taken.text
    key = {"Authorization": f"Bearer {KEY}"}
    listed = locked.client.get("/v1/conversations", headers=key).json()["conversations"]
    assert listed[0]["brand"] == "velmora"
    conversation = listed[0]["id"]
    said = {"by": "Anna", "text": "Hello", "id": "first"}
    done = locked.client.post(f"/v1/conversations/{conversation}/messages", json=said, headers=key).json()
    colleague = seat(locked, {"velmora": Role.AGENT}, "dewi@example.com")
    return {
        "brand": "velmora",
        "conversation": conversation,
        "file": "a-file",
        "turn": done["turn"],
        "version": "1",
        "model": "velmora",
        "path": "nowhere",
        "who": colleague.get("/v1/me").json()["id"],
        "correction": corrected(locked),
        "run": compared(locked),
        "letter": "A",
        "job": trained(locked),
        "reply": canned(locked),
        "intake": taken_in(locked),
        "example": "returns-001",
        "case": "velmora-q01",
    }


def corrected(door: Door) -> str:
    """A correction that waits for review."""
    portal = door.client.portal
    assert portal is not None
    turn = portal.call(answered, door.gateway.db)
    proposal = Proposal(turn, "refusal", Who("Dewi"), corrected="We regret.")
    one: str = portal.call(door.gateway.corrections.propose, proposal).id
    return one


def compared(door: Door) -> str:
    """A run of the bench that nobody has answered yet."""
    bench = Bench(door.gateway.db, door.gateway.pipeline, lambda *_: {})
    asked = Asked(door.gateway.config.brands["velmora"], "How long may I return?", ("base", "1"), "dewi", blind=True)
    portal = door.client.portal
    assert portal is not None
    return str(portal.call(bench.begin, asked)[0])


def trained(door: Door) -> str:
    """A training that is over."""
    row = {
        "id": "job1", "brand": "velmora", "state": "done", "step": "train", "choice": {"recipe": "quick_cpu"},
        "data": {}, "host": "here", "started_by": "Dewi", "started_at": now(), "attempt_at": now(),
    }  # fmt: skip
    portal = door.client.portal
    assert portal is not None
    portal.call(door.gateway.db.write, lambda connection: connection.execute(training_jobs.insert(), row))
    return "job1"


def taken_in(door: Door) -> str:
    """Files that were brought, and are read."""
    row = {
        "id": "intake1", "brand": "velmora", "kind": "upload", "source": "returns.md", "state": "done",
        "step": "reading", "done": 1, "total": 1, "at": "", "results": [], "gateway": "", "started_by": "Dewi",
        "started_at": now(),
    }  # fmt: skip
    portal = door.client.portal
    assert portal is not None
    portal.call(door.gateway.db.write, lambda connection: connection.execute(knowledge_jobs.insert(), row))
    return "intake1"


def canned(door: Door) -> str:
    """A reply that the team keeps."""
    wanted = {"brand": "velmora", "title": "Hours", "text": "We are here from nine."}
    kept = door.client.post("/v1/canned-replies", json=wanted, headers={"Authorization": f"Bearer {KEY}"})
    assert kept.status_code == 201, kept.text
    return str(kept.json()["id"])


def routes(door: Door) -> list[BaseRoute]:
    return list(door.client.app.routes)  # type: ignore[attr-defined]


def test_every_route_is_open_for_a_reason_or_says_what_it_needs(door: Door) -> None:
    paths = set()
    for route in routes(door):
        path = str(getattr(route, "path", ""))
        paths.add(path)
        if isinstance(route, APIRoute):
            assert (needed(route) is None) == (path in OPEN), path
        elif isinstance(route, APIWebSocketRoute):
            assert path in OPEN, path
        else:
            assert path in OPEN, f"{path} is mounted, and nobody says for whom"
    assert not set(OPEN) - paths


def test_nobody_without_credentials_comes_in(locked: Door, world: dict[str, str]) -> None:
    asked = 0
    for route in routes(locked):
        if not isinstance(route, APIRoute) or needed(route) is None:
            continue
        for method in methods(route):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "brandvoice_session=wrong"}):
                answer = ask(browser(locked), route, method, world, headers=headers)
                if route.path.startswith("/console"):
                    assert answer.status_code == 303, (method, route.path)
                    assert answer.headers["location"].startswith("/console/sign-in"), route.path
                else:
                    assert answer.status_code == 401, (method, route.path, answer.text)
                asked += 1
    assert asked > 60


def test_nobody_with_too_small_a_role_comes_in(locked: Door, world: dict[str, str]) -> None:
    below = {
        Role.AGENT: seat(locked, {"dicehollow": Role.ADMIN}, "elsewhere@example.com"),
        Role.EDITOR: seat(locked, {"velmora": Role.AGENT}, "agent@example.com"),
        Role.ADMIN: seat(locked, {"velmora": Role.EDITOR}, "editor@example.com"),
    }
    asked = 0
    for route in routes(locked):
        need = needed(route) if isinstance(route, APIRoute) else None
        if not isinstance(route, APIRoute) or need is None:
            continue
        for method in methods(route):
            if isinstance(need, ApiKeys):
                # For programs only: a session is no key.
                assert ask(below[Role.ADMIN], route, method, world).status_code == 401, route.path
            elif need.role not in (None, Role.AGENT):
                assert ask(below[need.role], route, method, world).status_code == 403, (method, route.path)
            asked += 1
    assert asked > 20


def test_nobody_of_another_brand_comes_in(locked: Door, world: dict[str, str]) -> None:
    other = seat(locked, {"dicehollow": Role.ADMIN}, "other@example.com")
    wrong = []
    asked = 0
    for route in routes(locked):
        need = needed(route) if isinstance(route, APIRoute) else None
        if not isinstance(route, APIRoute) or not isinstance(need, Needs) or need.role is None:
            continue
        for method in methods(route):
            answer = ask(other, route, method, world)
            if method == "GET" and route.path in LISTS:
                if answer.status_code not in (200, 303):
                    wrong.append((method, route.path, answer.status_code))
            elif route.path == "/console/people":
                # The page says so where one is.
                assert answer.status_code == 400, answer.text
                assert "Only an admin may do this in: velmora" in answer.text
            elif answer.status_code != 403:
                wrong.append((method, route.path, answer.status_code))
            asked += 1
    assert wrong == []
    assert asked > 20


def test_lists_show_what_is_of_ones_own_brands(locked: Door, world: dict[str, str]) -> None:
    mine = seat(locked, {"velmora": Role.ADMIN}, "mine@example.com")
    other = seat(locked, {"dicehollow": Role.ADMIN}, "other@example.com")
    for path in sorted(path for path in LISTS if path.startswith("/v1/")):
        own, theirs = mine.get(path).text, other.get(path).text
        assert "velmora" in own or path in ("/v1/handoffs", "/v1/audit", "/v1/brand-templates"), path
        assert "velmora" not in theirs, path
        assert mine.get(f"{path}?brand=dicehollow").status_code in (200, 403)
        if path != "/v1/people":
            assert other.get(f"{path}?brand=velmora").status_code == 403, path


def test_a_role_is_enough(locked: Door, world: dict[str, str]) -> None:
    """The same requests, made by whoever may: else 403 everywhere would pass."""
    agent = seat(locked, {"velmora": Role.AGENT}, "agent@example.com")
    conversation = world["conversation"]
    assert agent.get(f"/v1/conversations/{conversation}").status_code == 200
    assert agent.get(f"/v1/turns/{world['turn']}").status_code == 200
    assert agent.send(f"/v1/conversations/{conversation}/notes", json={"text": "A note"}).status_code == 204
    done = agent.send(f"/v1/conversations/{conversation}/take", json={"force": True, "by": "somebody else"})
    assert (done.status_code, done.json()["owner"]) == (200, "Agent")
    editor = seat(locked, {"*": Role.EDITOR}, "editor@example.com")
    assert editor.get("/v1/brands/velmora/adapters").status_code == 200
    boss = admin(locked)
    assert boss.get("/v1/brands/dicehollow/adapters").status_code == 200


def test_a_program_must_say_for_whom_it_acts(locked: Door, world: dict[str, str]) -> None:
    answer = locked.client.post(
        f"/v1/conversations/{world['conversation']}/take", json={}, headers={"Authorization": f"Bearer {KEY}"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "by"
