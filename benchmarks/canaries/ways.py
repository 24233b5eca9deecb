"""The ways in: each function makes one request, or speaks one message, as one brand, and looks at all that comes back.

A request as the other brand's is made by the same person with ids that they could only have guessed.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from benchmarks.canaries.world import QUESTION, Side, World
from benchmarks.chaos.delivery import taken
from benchmarks.chaos.rig import sender_of
from service.console.access import Needs

Way = Callable[[World, Side, random.Random, int], Awaitable[None]]
"""Gets the world, the brand as which it asks, chance, and a number that no other request has."""
PAGE = "/console"
GUESSED = ", the other's ids"


async def fetch(
    world: World, side: Side, way: str, path: str, method: str = "GET", *, program: bool = False, **more: Any
) -> tuple[int, str]:
    """One request by a brand's person, or by a program; returns the status and the body."""
    session = world.program if program else side.browser
    if method != "GET" and not program:
        more["headers"] = {"X-CSRF-Token": side.csrf} | dict(more.get("headers", {}))
    async with session.request(method, world.url + path, allow_redirects=False, **more) as answer:
        text = await answer.text(errors="replace")
        whole = f"{answer.headers}\n{text}\n{_joined(text)}"
        sent = (path, json.dumps({name: more.get(name) for name in ("params", "json", "data")}, default=str))
        world.watch.look(way, side.name, whole, where=f"{method} {path} {more.get('params') or ''}", sent=sent)
        world.watch.refused[way] += 400 <= answer.status < 500
        return answer.status, text


def _joined(text: str) -> str:
    """The words of a stream without what stands between its pieces."""
    if not text.startswith("data: "):
        return ""
    events = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {"))
    choices = (choice for event in events for choice in json.loads(event).get("choices", ()))
    return "".join(str(choice.get("delta", {}).get("content") or "") for choice in choices)


# --- customers -------------------------------------------------------------------------------------------------------


async def widget(
    world: World, side: Side, chance: random.Random, number: int, *, guessed: Mapping[str, str] | None = None
) -> None:
    """A message over the socket, of a visitor who is new or has come before; or one with what is another brand's."""
    way = f"widget{GUESSED}" if guessed else "widget"
    known = guessed or (side.visitor if chance.random() < 0.5 else {})
    if known is side.visitor:
        # One message at a time in a conversation, since the first reply that comes is taken for its own.
        side.visitor = {}
    hello = {"type": "hello", "site_key": side.brand.widget.site_key}
    hello |= {name: known[name] for name in ("visitor", "conversation") if name in known}
    if "turn" in known and chance.random() < 0.5:
        hello["after"] = known["turn"]
    said = f"{QUESTION} I am {world.watch.mark(side.name, 'visitor')}."
    frames: list[str] = []
    async with world.program.ws_connect(f"{world.url}/ws/chat") as socket:
        await socket.send_json(hello)
        welcome = await _until(socket, "welcome", frames)
        if guessed:
            for frame in (
                {"type": "feedback", "turn": guessed["turn"], "value": "up"},
                {"type": "stop", "turn": guessed["turn"]},
            ):
                await socket.send_json(frame)
        await socket.send_json({"type": "message", "client_id": f"client-{number:06d}", "text": said})
        reply = await _until(socket, "reply", frames)
    world.watch.look(
        way, side.name, "\n".join(frames), where=f"a visitor's message {number}", sent=(json.dumps(hello),)
    )
    # A conversation that grows for ever has prompts that do.
    if not guessed and len(welcome["turns"]) < 6:
        side.visitor = {name: welcome[name] for name in ("visitor", "conversation")} | {"turn": reply["turn"]}


async def widget_guessed(world: World, side: Side, chance: random.Random, number: int) -> None:
    """A visitor who says the other brand's conversation, turn and token."""
    theirs = world.other(side)
    await widget(world, side, chance, number, guessed=theirs.visitor or _first_visitor(theirs))


def _first_visitor(side: Side) -> dict[str, str]:
    return {"conversation": side.has["conversation"], "turn": side.has["turn"], "visitor": "none"}


async def _until(socket: aiohttp.ClientWebSocketResponse, kind: str, frames: list[str]) -> dict[str, Any]:
    while True:
        text = await socket.receive_str(timeout=60)
        frames.append(text)
        frame: dict[str, Any] = json.loads(text)
        if frame["type"] == kind:
            return frame


async def webhook(world: World, side: Side, _: random.Random, number: int) -> None:
    """A message that a platform delivers; what goes back to it is looked at in the end."""
    app = side.apps[number % len(side.apps)]
    mark = f"k{number:05d}x00"
    sender = sender_of(app.channel.name, mark)
    side.senders.add(sender)
    text = f"{QUESTION} I am {world.watch.mark(side.name, app.channel.name)}."
    body = app.channel.simulate(text, account=app.account, message_id=f"wamid.{mark.encode().hex()}", sender=sender)
    status = await taken(world.program, world.url, app, body, within_s=60)
    if status >= 300:
        raise RuntimeError(f"{app.path} was answered with {status}")
    world.watch.looked["webhooks"] += 1


def look_at_platforms(world: World) -> None:
    """What stands in customers' windows on platforms."""
    for shown in world.platforms.shown:
        reader = [side.name for side in world.sides.values() if any(one in shown.to for one in side.senders)]
        if len(reader) == 1:
            world.watch.look("platforms' windows", reader[0], shown.text, where=f"{shown.channel} to {shown.to}")
        else:
            world.watch.look_at_prompt(shown.text, "platforms' windows")


# --- programs --------------------------------------------------------------------------------------------------------


async def openai(world: World, side: Side, chance: random.Random, number: int) -> None:
    """`/v1/chat/completions`, whole or streamed; now and then with the other brand's version."""
    versions = ("", "", "@base", f"@{world.other(side).has['version']}", f"@../{world.other(side).name}/base")
    said = [{"role": "user", "content": f"{QUESTION} I am {world.watch.mark(side.name, 'caller')}."}]
    body = {"model": side.name + chance.choice(versions), "messages": said, "stream": bool(number % 2)}
    await fetch(world, side, "/v1/chat/completions", "/v1/chat/completions", "POST", program=True, json=body)


async def bench(world: World, side: Side, chance: random.Random, number: int) -> None:
    """The bench: by a program's route, by the people's, by the page."""
    question = f"{QUESTION} I am {world.watch.mark(side.name, 'bench')}."
    guess = f"../{world.other(side).name}/{world.other(side).has['version']}"
    voices = chance.choice((["base", "base:no-guide"], ["base", "base:no-knowledge"], ["base", guess]))
    match number % 4:
        case 0:
            asked = {"brand": side.name, "question": question, "versions": voices}
            await fetch(world, side, "bench", "/v1/bench", "POST", json=asked)
        case 1:
            asked = {"brand": side.name, "question": question, "contenders": voices}
            status, text = await fetch(world, side, "bench", "/v1/bench/runs", "POST", json=asked)
            if status == 202:
                side.has["run"] = json.loads(text)["id"]
        case 2:
            asked = {"turn": world.other(side).has["turn"], "contenders": voices}
            await fetch(world, side, "bench", "/v1/bench/runs", "POST", json=asked)
        case _:
            form = {"brand": side.name, "question": question, "contender": voices[0], "blind": "1"}
            await fetch(world, side, "bench", f"{PAGE}/bench", "POST", data=[*form.items(), ("contender", voices[1])])


# --- people of one brand ---------------------------------------------------------------------------------------------


def readable(world: World, *, pages: bool) -> list[APIRoute]:
    """Every route that a person of a brand reads: pages of the console, or the API."""
    return [
        route
        for route in world.routes
        if "GET" in route.methods
        and route.path.startswith(f"{PAGE}/" if pages else "/v1/")
        and any(isinstance(call, Needs) for call in _calls(route.dependant))
    ]


def _calls(dependant: Dependant) -> list[Any]:
    return [found for one in dependant.dependencies for found in (one.call, *_calls(one))]


async def _read(world: World, side: Side, chance: random.Random, *, pages: bool, guess: bool) -> None:
    """Any route, with what is one's own in its address, or with what is the other brand's."""
    routes = readable(world, pages=pages)
    if guess:
        routes = [route for route in routes if "{" in route.path]
    theirs = world.other(side)
    has = {"letter": "A", "path": "nowhere"} | (theirs.has if guess else side.has)
    has["brand"] = theirs.name if guess else side.name
    route = chance.choice(routes)
    names = [name for name in route.param_convertors if name not in has]
    path = route.path.replace(":path}", "}").format(**has, **dict.fromkeys(names, "none"))
    # A brand in the query opens nothing that the path names, and no list of the other one.
    brand = chance.choice((None, side.name, theirs.name))
    params = {"brand": brand} if brand else {}
    if "document" in str(route.dependant.query_params):
        params["document"] = has["document"]
    way = ("pages of the console" if pages else "/v1 of people") + (GUESSED if guess else "")
    status, _ = await fetch(world, side, way, path, params=params)
    if guess and "{" in route.path and status < 300 and not route.path.endswith(":path}"):
        raise RuntimeError(f"{side.name} may read {path}")


async def pages(world: World, side: Side, chance: random.Random, _: int) -> None:
    """Pages of the console."""
    await _read(world, side, chance, pages=True, guess=False)


async def pages_guessed(world: World, side: Side, chance: random.Random, _: int) -> None:
    """Pages of what is the other brand's."""
    await _read(world, side, chance, pages=True, guess=True)


async def api(world: World, side: Side, chance: random.Random, _: int) -> None:
    """The API as people with a session use it."""
    await _read(world, side, chance, pages=False, guess=False)


async def api_guessed(world: World, side: Side, chance: random.Random, _: int) -> None:
    """The API about what is the other brand's."""
    await _read(world, side, chance, pages=False, guess=True)


async def search(world: World, side: Side, chance: random.Random, number: int) -> None:
    """Searches for words that both brands have, and for the beginning of one of the other's canaries."""
    theirs = [mark for mark, (brand, _) in world.watch.places.items() if brand != side.name]
    words = chance.choice(("unopened", "item", chance.choice(theirs)[:8]))
    turn = side.has["turn"]
    path, params = (
        (f"{PAGE}/inbox", {"show": "all", "text": words}),
        (f"{PAGE}/inbox/rows", {"show": "all", "text": words}),
        ("/v1/conversations", {"text": words}),
        (f"{PAGE}/inspector", {"words": words}),
        (f"/v1/turns/{turn}/why", {"document": world.other(side).has["document"]}),
        (f"{PAGE}/turns/{turn}", {"expected": world.other(side).has["document"]}),
        (f"/v1/corrections/brands/{side.name}/page", {"document": world.other(side).has["document"]}),
    )[number // 2 % 7]
    await fetch(world, side, "search", path, params=params)


async def export(world: World, side: Side, chance: random.Random, number: int) -> None:
    """Files that people take away, their own and the other's."""
    one = chance.choice((side, side, world.other(side)))
    paths = (
        f"/v1/corrections/brands/{one.name}/export?file=conversations",
        f"/v1/corrections/brands/{one.name}/export?file=pairs",
        f"/v1/corrections/brands/{one.name}/export?file=questions",
        f"/v1/brands/{one.name}/bench/preferences",
        f"{PAGE}/bench/brands/{one.name}/preferences",
        f"/v1/training/brands/{one.name}/versions/{one.has['version']}/notes?form=markdown",
        f"/v1/conversations/{one.has['conversation']}/files/{one.has['file']}",
        f"/v1/audit?brand={one.name}&limit=200",
    )
    await fetch(world, side, "exports", paths[number // 2 % len(paths)])


async def change(world: World, side: Side, chance: random.Random, number: int) -> None:
    """What people write: in pages and over the API, about what is theirs and, half the time, what is not."""
    one = chance.choice((side, world.other(side)))
    mark = world.watch.mark(side.name, "person's words")
    talk, turn, brand = one.has["conversation"], one.has["turn"], one.name
    path, more = _writes(one, mark, number)[number // 2 % 14]
    status, _ = await fetch(world, side, "changes", path, "POST", **more)
    if one is not side and status < 400 and (talk in path or turn in path or brand in str(more)):
        raise RuntimeError(f"{side.name} may change {path}")


def _writes(one: Side, mark: str, number: int) -> list[tuple[str, dict[str, Any]]]:
    talk, turn, brand = one.has["conversation"], one.has["turn"], one.name
    voice = {"kind": "voice", "corrected": f"We are glad to say {mark}.", "documents": [one.has["document"]]}
    written = {"brand": brand, "title": f"On {mark}", "text": f"We wrote {mark}."}
    answer = {**written, "question": f"Is it {mark}?", "turn": one.has["refused"]}
    return [
        (f"/v1/conversations/{talk}/messages", {"json": {"text": f"It is {mark}.", "id": f"m{number}"}}),
        (f"/v1/conversations/{talk}/notes", {"json": {"text": f"Think of {mark}."}}),
        (f"/v1/conversations/{talk}/return", {"json": {"why": mark}}),
        (f"{PAGE}/inbox/{talk}/say", {"data": {"text": f"Here is {mark}.", "key": f"k{number}"}}),
        (f"{PAGE}/inbox/{talk}/note", {"data": {"text": f"Note {mark}."}}),
        (f"{PAGE}/inbox/lint", {"data": {"brand": brand, "text": f"Dear {mark}."}}),
        ("/v1/canned-replies", {"json": written}),
        (f"{PAGE}/inbox/canned", {"data": written}),
        (f"/v1/corrections/turns/{turn}", {"json": voice}),
        (f"{PAGE}/corrections/new/{turn}", {"data": voice}),
        (f"/v1/corrections/{one.has['correction']}/review", {"json": {"accepts": True, "note": mark}}),
        (f"/v1/corrections/brands/{brand}/difference", {"json": {"document": one.has["document"], "text": mark}}),
        (f"{PAGE}/inbox/unanswered/answer", {"data": answer}),
        (f"/v1/training/brands/{brand}/plan", {"json": {"recipe": "quick_cpu", "changes": [f"note={mark}"]}}),
    ]


_numbers = itertools.count(1)


async def begin(world: World, side: Side) -> None:
    """What a brand has before the mix, made as people make it: a talk, corrections, a canned reply, a run, a file."""
    watch, chance = world.watch, random.Random(0)  # noqa: S311
    await widget(world, side, chance, next(_numbers))
    side.has |= {name: side.visitor[name] for name in ("conversation", "turn")}
    side.visitor = {}
    talk, turn = side.has["conversation"], side.has["turn"]

    async def made(path: str, json_: dict[str, Any], method: str = "POST", key: str = "id") -> str:
        status, text = await fetch(world, side, "before", path, method, json=json_)
        if status >= 300:
            raise RuntimeError(f"{path} was answered with {status}: {text}")
        return str(json.loads(text)[key]) if text else ""

    def mark(place: str) -> str:
        return watch.mark(side.name, place)

    await made(f"/v1/conversations/{talk}/notes", {"text": f"A note, {mark('note')}."})
    await made(
        f"/v1/conversations/{talk}/messages", {"text": f"I am {mark('answer of a person')}.", "id": "first"}, key="turn"
    )
    await made(f"/v1/conversations/{talk}/return", {}, key="conversation")
    pages = json.loads((await fetch(world, side, "before", f"/v1/corrections/brands/{side.name}/pages"))[1])
    side.has["document"] = next(name for name in pages["documents"] if name.startswith("own-"))
    said: dict[str, Any] = {"kind": "voice", "corrected": f"With pleasure, {mark('correction')}.", "why": mark("why")}
    said["documents"] = [side.has["document"]]
    done = await made(f"/v1/corrections/turns/{turn}", said)
    await made(f"/v1/corrections/{done}/review", {"accepts": True, "note": mark("review")})
    await widget(world, side, chance, next(_numbers))
    said = {"kind": "refusal", "corrected": f"We regret, {mark('correction')}.", "why": mark("why")}
    side.has["correction"] = await made(f"/v1/corrections/turns/{side.visitor['turn']}", said)
    canned = {"brand": side.name, "title": f"On {mark('canned reply')}", "text": f"Dear {mark('canned reply')}."}
    side.has["reply"] = await made("/v1/canned-replies", canned)
    asked = {"brand": side.name, "question": f"{QUESTION} {mark('bench')}?", "contenders": ["base", "base:no-guide"]}
    side.has["run"] = await made("/v1/bench/runs", asked)
    ticket = world.gateway.visitors.ticket(side.name, talk)
    params = {"ticket": ticket, "name": f"{mark('name of a file')}.txt"}
    async with world.program.post(
        f"{world.url}/v1/widget/files", params=params, data=f"In it is {mark('file')}.".encode()
    ) as answer:
        side.has["file"] = (await answer.json())["id"]
