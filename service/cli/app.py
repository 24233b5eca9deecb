"""The program: all commands in the order in which `brandvoice --help` shows them; `service.cli.commands` says each."""

from __future__ import annotations

import typer

from service.cli.commands import (
    adapter,
    answer,
    channel,
    config,
    conversations,
    data,
    db,
    handoffs,
    intents,
    kb,
    learning,
    outbox,
    people,
    retention,
    running,
    safekeeping,
    voice,
)

app = typer.Typer(
    name="brandvoice",
    help="A chatbot service that speaks in a brand's own voice and answers only from that brand's knowledge.",
    epilog="Exit codes: 0 fine, 1 failed, 2 wrong use, 3 refused by a gate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(running.demo)
app.command()(running.serve)
app.command()(running.ask)
app.command()(learning.train)
app.command()(running.doctor)
app.command("eval")(learning.evaluate)
app.command()(safekeeping.backup)
app.command()(safekeeping.restore)
app.command()(safekeeping.forget)
app.add_typer(kb.app, name="kb")
app.add_typer(answer.app, name="answer")
app.add_typer(data.app, name="data")
app.add_typer(adapter.app, name="adapter")
app.add_typer(channel.app, name="channel")
app.add_typer(outbox.app, name="outbox")
app.add_typer(handoffs.app, name="handoffs")
app.add_typer(conversations.app, name="conversations")
app.add_typer(people.app, name="people")
app.add_typer(intents.app, name="intents")
app.add_typer(voice.app, name="voice")
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.add_typer(retention.app, name="retention")
