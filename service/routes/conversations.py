"""People at work over HTTP: list conversations, read one, take it, write, give it back, close it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from configs.brand import FileKind
from service.bootstrap import Gateway
from service.console.access import Agent, Person, Role, speaks_as
from service.conversation.takeover import Change, State
from service.people.listing import LOW_SUPPORT, Sign, Wanted
from service.problems import Problem

Id = Annotated[str, Path(description="The conversation's id.", max_length=64)]
By = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=100,
        description="The person's name; the customer reads it. With an API key it must be said; whoever is signed in "
        "has a name already, which counts.",
        examples=["Anna"],
    ),
]
Force = Annotated[bool, Field(description="Also where another person has the conversation.")]
Why = Annotated[str, Field(max_length=1000, description="For the record.")]


class Listed(BaseModel):
    """A conversation in a list."""

    id: str
    brand: str
    channel: str
    account: str
    state: State = Field(description="Who has it: the bot, nobody yet, a person, or nobody any more.")
    owner: str | None = Field(description="The name of the person who has it.")
    owner_id: str | None = Field(description="Their account; null where they have none, such as in Slack.")
    since: datetime = Field(description="Since when it is in this state.")
    created_at: datetime
    identity: str | None = Field(description="Of the widget: the user id that the brand's site signed.")


class FileShown(BaseModel):
    """A file that a visitor sent; `/v1/conversations/{conversation}/files/{id}` gives it."""

    id: str
    name: str = Field(description="As the visitor's machine calls it; says nothing of what is in it.")
    kind: FileKind
    size: int = Field(description="In bytes.")


class LastWords(BaseModel):
    """What was said last."""

    from_: Literal["customer", "bot", "person"] = Field(alias="from")
    name: str | None = Field(description="The person's.")
    text: str = Field(description="Its beginning.")


class InList(Listed):
    """A conversation in a list, with what makes it worth a look."""

    last_at: datetime = Field(description="When the last message came, or the last turn began.")
    last: LastWords | None
    signs: list[Sign] = Field(description="What is amiss with it; the filter `sign` says what each means.")
    reason: str | None = Field(description="Why it was handed over, while that is open.")


class Line(BaseModel):
    """Something that was said."""

    from_: Literal["customer", "bot", "person"] = Field(alias="from")
    name: str | None = Field(description="The person's.")
    text: str
    at: datetime
    turn: str | None = Field(description="`/v1/turns/{turn}` explains a bot's; null for what waits to be taken up.")
    state: str | None = Field(description="Of what was said to the customer: that of its delivery, or `withheld`.")
    outcome: str | None
    support: float | None = Field(description="Of a bot's answer: the score of its best source, 0 to 1.")
    thumb: Literal["up", "down"] | None = Field(description="The customer's.")
    sources: list[str] = Field(description="What a bot's answer rests on.")
    files: list[FileShown] = Field(description="What a customer sent along.")


class HandoffShown(BaseModel):
    """A hand-over of this conversation."""

    id: str
    state: Literal["open", "taken", "closed"]
    reason: str
    taken_by: str | None
    created_at: datetime
    summary: dict[str, Any] | None = Field(description="What was asked, what was answered from which sources, and why.")


class Moved(BaseModel):
    """A change of hands."""

    from_: State = Field(alias="from")
    to: State
    by: str = Field(description="The person's name, `bot` or `customer`.")
    why: str
    at: datetime


class Note(BaseModel):
    """A private remark."""

    by: str
    text: str
    at: datetime


class Shown(Listed):
    """A conversation with all that was said."""

    messages: list[Line]
    handoffs: list[HandoffShown]
    changes: list[Moved]
    notes: list[Note]


class Page(BaseModel):
    """Conversations."""

    conversations: list[InList]
    next: str | None = Field(description="The `cursor` of the next page; null where this is the last.")


class Act(BaseModel):
    """Who does it, and why."""

    by: By = None
    force: Force = False
    why: Why = ""


class Words(BaseModel):
    """A person's message."""

    by: By = None
    text: str = Field(description="Goes to the customer as it stands.")
    id: str = Field(
        min_length=1, max_length=100, description="The caller's own; a second message with the same id is dropped."
    )
    force: Force = False


class Remark(BaseModel):
    """A private remark, for the team alone."""

    by: By = None
    text: str = Field(min_length=1, max_length=4000)


class Done(BaseModel):
    """What it came to."""

    conversation: str
    state: State
    owner: str | None
    withheld: list[str] = Field(description="Turns of the bot whose words do not go out any more.")
    turn: str | None = Field(default=None, description="Of the message that was said.")
    repeated: bool = Field(default=False, description="The message was said before, under this id.")


ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No valid API key, and nobody is signed in."},
    403: {"model": Problem, "description": "The conversation is of a brand in which one has no role."},
    404: {"model": Problem, "description": "No such conversation."},
    409: {"model": Problem, "description": "Another person has it; the message names them."},
}


SIGN = (
    "Only those of which all that is named holds. `unanswered`: it waits for a person, or who has it owes an "
    f"answer; `refused`: the bot refused a question; `low_support`: the best source of an answer scored below "
    f"{LOW_SUPPORT}; `thumbs_down`: the customer rated an answer so; `handed_off`: it was handed over once."
)


def conversations_router(gateway: Gateway) -> APIRouter:
    """The routes below `/v1/conversations`."""
    router = APIRouter(prefix="/v1/conversations", tags=["Conversations"], responses=ERRORS)
    desk = gateway.desk

    @router.get("", response_model=Page)
    async def listed(
        person: Agent,
        brand: str | None = None,
        state: State | None = None,
        channel: Annotated[str | None, Query(description="`web` is the widget.")] = None,
        sign: Annotated[list[Sign], Query(description=SIGN)] = [],  # noqa: B006
        owner: Annotated[str | None, Query(description="The name of the person who has it.", max_length=100)] = None,
        owner_id: Annotated[
            str | None, Query(description="Their account; `/v1/me` names one's own.", max_length=32)
        ] = None,
        text: Annotated[str, Query(description="Said by either side, in any case.", max_length=200)] = "",
        cursor: Annotated[str | None, Query(description="`next` of the page before.", max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Any:
        """Conversations of the brands that one is an agent of, those in which something was said last first."""
        brands = (brand,) if brand else person.only(Role.AGENT, gateway.config.brands)
        wanted = Wanted(brands, state, channel, owner, owner_id, sign, text)
        found = await desk.listed(wanted, cursor=cursor, limit=limit)
        return {"conversations": found.conversations, "next": found.next}

    @router.get("/{conversation}", response_model=Shown)
    async def shown(_: Agent, conversation: Id) -> Any:
        """A conversation: who said what, hand-overs with their summaries, changes of hands, notes."""
        return await desk.shown(conversation)

    @router.post("/{conversation}/take", response_model=Done)
    async def take(person: Agent, conversation: Id, act: Act) -> Done:
        """Take it over: the bot is silent from now on, and an answer in flight is withheld."""
        return _done(await desk.take(conversation, **_as(person, act)))

    @router.post("/{conversation}/messages", response_model=Done)
    async def say(person: Agent, conversation: Id, words: Words) -> Done:
        """Write to the customer, where they write to us; whoever writes has taken it over."""
        text = gateway.clean_text(words.text)
        by = speaks_as(person, words.by)
        return _done(await desk.say(conversation, by=by, account=person.id, text=text, key=words.id, force=words.force))

    @router.post("/{conversation}/return", response_model=Done)
    async def give_back(person: Agent, conversation: Id, act: Act) -> Done:
        """Give it back to the bot, which answers from the customer's next message on."""
        return _done(await desk.give_back(conversation, **_as(person, act)))

    @router.post("/{conversation}/close", response_model=Done)
    async def close(person: Agent, conversation: Id, act: Act) -> Done:
        """Close it; the customer's next message opens it again, as the bot's."""
        return _done(await desk.close(conversation, **_as(person, act)))

    @router.post("/{conversation}/notes", status_code=204)
    async def note(person: Agent, conversation: Id, remark: Remark) -> None:
        """Leave a private note; customers never see it, nor does the bot."""
        await desk.note(conversation, by=speaks_as(person, remark.by), text=remark.text)

    return router


def _as(person: Person, act: Act) -> dict[str, Any]:
    """Who acts, and how: people with a session as their account."""
    return {"by": speaks_as(person, act.by), "account": person.id, "force": act.force, "why": act.why}


def _done(change: Change) -> Done:
    return Done(
        conversation=change.conversation,
        state=cast("State", change.became),
        owner=change.owner,
        withheld=list(change.withheld),
        turn=change.said.turn if change.said else None,
        repeated=change.said.repeated if change.said else False,
    )
