"""`brandvoice channel`: the platforms."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.commands.shared import Brand, Json, Url, group

app = group("Messaging platforms.")


@app.command("list")
def channel_list(json: Json = False) -> None:
    """Show every app: whether it is on, who speaks there, what to enter at the platform, what it can take."""
    from service.cli.channels import run_list

    run_list(as_json=json)


@app.command("check")
def channel_check(
    channel: Annotated[str | None, typer.Argument(help="A platform; all where absent.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Try every app without calling its platform: secrets, a signed event, a reply; say what keeps one off.

    A platform that is named and has no app that is on makes it fail.
    """
    from service.cli.channels import run_check

    run_check(channel, as_json=json)


@app.command("simulate")
def channel_simulate(
    channel: Annotated[str, typer.Argument(help="The platform, such as slack.", show_default=False)],
    text: Annotated[str, typer.Argument(help="What a customer would write.", show_default=False)],
    brand: Brand,
    sender: Annotated[
        str | None, typer.Option(help="A user id or phone number; the same one continues its conversation.")
    ] = None,
    url: Url = None,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for the reply.")] = 120,
    json: Json = False,
) -> None:
    """Sign and post a real-shaped event to the running gateway, and show the reply as the platform would get it."""
    from service.cli.simulate import run_simulate

    run_simulate(channel, text, brand, sender=sender, url=url, timeout_s=timeout_s, as_json=json)


@app.command("install-link")
def channel_install_link(
    name: Annotated[str, typer.Argument(metavar="CHANNEL/APP", help="Such as slack/main.", show_default=False)],
    brand: Brand,
    url: Annotated[
        str | None, typer.Option("--url", help="The gateway's public address; the configured one where absent.")
    ] = None,
    days: Annotated[float, typer.Option(min=0.01, max=90, help="How long the link is good for.")] = 7,
    json: Json = False,
) -> None:
    """Make a link by which a workspace installs an app itself, and is answered by this brand.

    Whoever has the link can do that in a workspace of theirs; nobody without one can.
    """
    from service.cli.installing import run_install_link

    run_install_link(name, brand, url=url, days=days, as_json=json)


@app.command("send")
def channel_send(
    target: Annotated[str, typer.Argument(metavar="CHANNEL[/APP]", help="Such as whatsapp/main.", show_default=False)],
    text: Annotated[str, typer.Argument(help="What to say.", show_default=False)],
    to: Annotated[
        str, typer.Option(help="A person who wrote: their id or number, or the conversation's.", show_default=False)
    ],
    account: Annotated[
        str | None, typer.Option(help="Ours that they wrote to; may be left out where the app has one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the calls, without secrets, and make none.")] = False,
    url: Url = None,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait until it is sent.")] = 30,
    json: Json = False,
) -> None:
    """Send a message of your own by the way that replies take; refused where the platform would not take it now."""
    from service.cli.sending import run_send

    run_send(target, text, account=account, to=to, dry_run=dry_run, url=url, timeout_s=timeout_s, as_json=json)
