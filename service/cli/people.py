"""`brandvoice conversations`: through the gateway where one runs, else in the database itself."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from service.cli import output
from service.cli.deployment import Deployment, open_deployment
from service.cli.failures import WRONG_USE, Failure
from service.cli.gateway import Gateway, NotRunning
from service.cli.waiting import in_database
from service.storage.ids import fresh_id

if TYPE_CHECKING:
    from service.conversation.takeover import State
    from service.people.desk import Desk
    from service.storage.database import Database

PATH = "/v1/conversations"
Act = Literal["take", "return", "close"]


def run_list(
    brand: str | None, state: State | None, channel: str | None, *, limit: int, url: str | None, as_json: bool
) -> None:
    """List conversations."""
    deployment = open_deployment()
    if brand:
        deployment.brand(brand)
    query: dict[str, str | int] = {"limit": limit}
    query |= {key: value for key, value in (("brand", brand), ("state", state), ("channel", channel)) if value}

    async def stored(desk: Desk) -> dict[str, Any]:
        from service.people.listing import Wanted

        wanted = Wanted(brands=(brand,) if brand else None, state=state, channel=channel)
        found = await desk.listed(wanted, limit=limit)
        return {"conversations": found.conversations, "next": found.next}

    found = _either(
        deployment, url, lambda gateway: gateway.get(PATH, **query), stored, {"conversations": [], "next": None}
    )
    if as_json:
        output.data(found)
    elif not found["conversations"]:
        output.note("no such conversation")
    else:
        keys = ["id", "brand", "channel", "state", "owner", "since"]
        output.table(keys, [[one[key] or "" for key in keys] for one in found["conversations"]])


def run_show(conversation: str, *, url: str | None, as_json: bool) -> None:
    """Show one conversation."""
    found = _either(
        open_deployment(),
        url,
        lambda gateway: gateway.get(f"{PATH}/{conversation}"),
        lambda desk: desk.shown(conversation),
        None,
    )
    if as_json:
        output.data(found)
        return
    owner = f" ({found['owner']})" if found["owner"] else ""
    output.line(f"{found['brand']} on {found['channel']}: {found['state']}{owner} since {found['since']}")
    for one in found["messages"]:
        state = f" [{one['state']}]" if one["state"] not in (None, "sent") else ""
        output.line(f"  {one['at'][:16]}  {one['name'] or one['from']}{state}: {one['text']}")
        for source in one["sources"]:
            output.line(f"                      from {source}")
    for one in found["handoffs"]:
        output.line(f"handed over at {one['created_at'][:16]}, {one['state']}: {one['reason']}")
    for one in found["changes"]:
        output.line(f"{one['at'][:16]}  {one['from']} -> {one['to']} by {one['by']}: {one['why']}")
    for one in found["notes"]:
        output.line(f"{one['at'][:16]}  note by {one['by']}: {one['text']}")


def run_act(
    act: Act, conversation: str, by: str | None, *, force: bool, why: str, url: str | None, as_json: bool
) -> None:
    """Take a conversation, give it back, or close it."""
    name = _name(by)
    body = {"by": name, "force": force, "why": why}

    async def stored(desk: Desk) -> dict[str, Any]:
        way = {"take": desk.take, "return": desk.give_back, "close": desk.close}[act]
        change = await way(conversation, by=name, force=force, why=why)
        return {"state": change.became, **asdict(change)}

    path = f"{PATH}/{conversation}/{act}"
    _said(_either(open_deployment(), url, lambda gateway: gateway.post(path, body), stored, None), as_json=as_json)


def run_say(
    conversation: str, text: str, by: str | None, *, force: bool, key: str | None, url: str | None, as_json: bool
) -> None:
    """Write to a customer."""
    name = _name(by)
    key = key or fresh_id()
    body = {"by": name, "text": text, "id": key, "force": force}

    async def stored(desk: Desk) -> dict[str, Any]:
        change = await desk.say(conversation, by=name, text=text, key=key, force=force)
        return {"state": change.became, **asdict(change)}

    path = f"{PATH}/{conversation}/messages"
    _said(_either(open_deployment(), url, lambda gateway: gateway.post(path, body), stored, None), as_json=as_json)


def run_note(conversation: str, text: str, by: str | None, *, url: str | None, as_json: bool) -> None:
    """Leave a note for the team."""
    name = _name(by)
    noted = {"conversation": conversation, "by": name, "text": text}

    def ask(gateway: Gateway) -> dict[str, str]:
        gateway.post(f"{PATH}/{conversation}/notes", {"by": name, "text": text})
        return noted

    async def stored(desk: Desk) -> dict[str, str]:
        await desk.note(conversation, by=name, text=text)
        return noted

    done = _either(open_deployment(), url, ask, stored, None)
    if as_json:
        output.data(done)
    else:
        output.note(f"noted by {done['by']}")


def _said(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.data(done)
    else:
        owner = f" ({done['owner']})" if done["owner"] else ""
        output.line(f"{done['conversation']}: {done['state']}{owner}")


def _name(by: str | None) -> str:
    name = by or os.environ.get("BRANDVOICE_PERSON", "")
    if not name.strip():
        raise Failure(
            "it is not clear who does this",
            "a customer must read a name, and the record must hold one",
            "give --by NAME, or set BRANDVOICE_PERSON",
            code=WRONG_USE,
        )
    return name


def _either(
    deployment: Deployment,
    url: str | None,
    ask: Callable[[Gateway], Any],
    stored: Callable[[Desk], Awaitable[Any]],
    nothing: Any,
) -> Any:
    """What the gateway says where one runs, else the database; `nothing`, or a failure, where there is neither."""
    try:
        with Gateway.of(deployment.config, url) as gateway:
            return ask(gateway)
    except NotRunning:
        if url:
            raise

    async def work(db: Database) -> Any:
        from service.conversation.house import House
        from service.people import hooks
        from service.people.desk import Desk
        from service.people.slack import Threads

        brands = deployment.config.brands
        hook = (hooks.plan,) if deployment.config.service.handoff.webhook_url else ()
        return await stored(Desk(db, House(brands, (*hook, Threads(brands).plan))))

    found = in_database(deployment, work, nothing)
    if found is None:
        raise Failure(
            "there is no such conversation",
            "no gateway has ever run with this state folder",
            "start one with `brandvoice demo` or `brandvoice serve`",
            code=WRONG_USE,
        )
    return found
