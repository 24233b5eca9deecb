"""`brandvoice conversations`: people take over, write, give back."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from service.cli.commands.shared import Json, Url, group

app = group("Conversations: who has them, what was said; take one, write in it, give it back.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As `conversations list` shows it.", show_default=False)]
By = Annotated[
    str | None,
    typer.Option("--by", help="Your name, as customers read it; BRANDVOICE_PERSON where absent.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", help="Also where another person has it.")]
Why = Annotated[str, typer.Option("--why", help="For the record.")]


@app.command("list")
def conversations_list(
    brand: Annotated[str | None, typer.Option("--brand", "-b", help="Of this brand only.")] = None,
    state: Annotated[
        Literal["bot", "waiting", "person", "closed"] | None, typer.Option(help="Only those in this state.")
    ] = None,
    channel: Annotated[str | None, typer.Option(help="Only those on this channel; web is the widget.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
    url: Url = None,
    json: Json = False,
) -> None:
    """List conversations, those in which something was said last first."""
    from service.cli.people import run_list

    run_list(brand, state, channel, limit=limit, url=url, as_json=json)


@app.command("show")
def conversations_show(conversation: Id, url: Url = None, json: Json = False) -> None:
    """Show a conversation: who said what, hand-overs with their summaries, changes of hands, notes."""
    from service.cli.people import run_show

    run_show(conversation, url=url, as_json=json)


@app.command("take")
def conversations_take(
    conversation: Id, by: By = None, force: Force = False, why: Why = "", url: Url = None, json: Json = False
) -> None:
    """Take a conversation over: the bot is silent from now on, and an answer in flight is withheld."""
    from service.cli.people import run_act

    run_act("take", conversation, by, force=force, why=why, url=url, as_json=json)


@app.command("say")
def conversations_say(
    conversation: Id,
    text: Annotated[str, typer.Argument(help="What the customer reads.", show_default=False)],
    by: By = None,
    force: Force = False,
    message_id: Annotated[
        str | None, typer.Option("--id", help="Your own id of the message: a second one with it is dropped.")
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Write to the customer, where they write to us; whoever writes has taken it over."""
    from service.cli.people import run_say

    run_say(conversation, text, by, force=force, key=message_id, url=url, as_json=json)


@app.command("note")
def conversations_note(
    conversation: Id,
    text: Annotated[str, typer.Argument(help="For the team.", show_default=False)],
    by: By = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Leave a private note, which stands in `show`; customers never see it, nor does the bot."""
    from service.cli.people import run_note

    run_note(conversation, text, by, url=url, as_json=json)


@app.command("return")
def conversations_return(
    conversation: Id, by: By = None, force: Force = False, why: Why = "", url: Url = None, json: Json = False
) -> None:
    """Give a conversation back to the bot, which answers from the customer's next message on."""
    from service.cli.people import run_act

    run_act("return", conversation, by, force=force, why=why, url=url, as_json=json)


@app.command("close")
def conversations_close(
    conversation: Id, by: By = None, force: Force = False, why: Why = "", url: Url = None, json: Json = False
) -> None:
    """Close a conversation; the customer's next message opens it again, as the bot's."""
    from service.cli.people import run_act

    run_act("close", conversation, by, force=force, why=why, url=url, as_json=json)
