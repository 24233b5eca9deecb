"""`brandvoice backup|restore|forget`: the state as a whole, and a person's part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.commands.shared import Json


def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write, such as monday.tar.gz.", show_default=False)],
    with_models: Annotated[
        bool, typer.Option("--with-models", help="Also base models, and logs and records of runs.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it is there already.")] = False,
    json: Json = False,
) -> None:
    """Put the state folder and the database into one archive, of one moment, while the gateway runs.

    It holds what customers wrote: keep it as safe as the state folder. Configuration and samples are not in it.
    """
    from service.cli.safekeeping import run_backup

    run_backup(file, with_models=with_models, force=force, as_json=json)


def restore(
    file: Annotated[Path, typer.Argument(help="What `brandvoice backup` wrote.", show_default=False)],
    force: Annotated[
        bool, typer.Option("--force", help="Replace what the state folder and the database hold now.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring back what an archive holds, whole or not at all; every digest is checked before anything is changed.

    No gateway may run meanwhile.
    """
    from service.cli.safekeeping import run_restore

    run_restore(file, force=force, as_json=json)


def forget(
    contact: Annotated[
        str,
        typer.Option(
            "--contact",
            help="A person's phone number or user id on a platform; of the widget, the conversation's id.",
            show_default=False,
        ),
    ],
    channel: Annotated[str | None, typer.Option("--channel", help="On this platform only.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Remove a person from conversations, evidence, inbox, outbox, files and training rows; print a receipt.

    A running gateway may go on. The receipt names the adapters that were trained on the person's rows.
    """
    from service.cli.forgetting import run_forget

    run_forget(contact, channel=channel, dry_run=dry_run, as_json=json)
