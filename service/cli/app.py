"""All commands with their options: one function each, which hands on to the module that does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Brand = Annotated[str, typer.Option("--brand", "-b", help="Name of a brand, as in configs/brands.", show_default=False)]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the gateway; BRANDVOICE_URL or the configured one where absent."),
]
Version = Annotated[str, typer.Argument(metavar="BRAND@VERSION", show_default=False, help="Such as velmora@1.")]


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, no_args_is_help=True, pretty_exceptions_enable=False)


app = typer.Typer(
    name="brandvoice",
    help="A chatbot service that speaks in a brand's own voice and answers only from that brand's knowledge.",
    epilog="Exit codes: 0 fine, 1 failed, 2 wrong use, 3 refused by a gate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
kb = _group("The knowledge of a brand: documents in, cited passages out.")
adapter = _group("The trained voices: which there are, and which one speaks.")
channel = _group("Messaging platforms.")
outbox = _group("Replies that their platform does not have.")
handoffs = _group("Conversations that wait for a person.")
intents = _group("What messages are about: a classifier a brand, trained on its own labelled messages.")
config = _group("What this deployment says, and where each value comes from.")
answer = _group("Answers, sentence by sentence, against the passages they rest on.")
data = _group("Training data: what can be learnt from, and what should not be.")
voice = _group("How a brand speaks, and how much a text sounds like it.")
app.add_typer(kb, name="kb")
app.add_typer(answer, name="answer")
app.add_typer(data, name="data")
app.add_typer(adapter, name="adapter")
app.add_typer(channel, name="channel")
app.add_typer(outbox, name="outbox")
app.add_typer(handoffs, name="handoffs")
app.add_typer(intents, name="intents")
app.add_typer(voice, name="voice")
app.add_typer(config, name="config")


@app.command()
def demo(
    train: Annotated[bool, typer.Option("--train", help="Train both adapters on the CPU first.")] = False,
    once: Annotated[
        str | None, typer.Option("--once", help="Ask both brands this question, print the answers, and end.")
    ] = None,
) -> None:
    """Prepare everything, then two sample brands to talk to."""
    from service.cli.serving import run_demo

    run_demo(train=train, once=once)


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Same as BRANDVOICE_SERVICE__HOST; beyond loopback API keys are required.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Same as BRANDVOICE_SERVICE__PORT.")] = None,
) -> None:
    """Run the gateway, and the engine where none is named in engine.url; nothing is prepared."""
    from service.cli.serving import run_serve

    run_serve(host=host, port=port)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What a customer would ask.", show_default=False)],
    brand: Brand,
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="A version of the brand's adapter; the active one where absent.")
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Ask a brand; where no gateway runs, start what it needs for this one question."""
    from service.cli.serving import run_ask

    run_ask(question, brand, version=adapter, url=url, as_json=json)


@app.command()
def train(
    brand: Brand,
    what: Annotated[
        Literal["adapter", "retriever"],
        typer.Argument(
            metavar="WHAT",
            help="adapter: the voice, from conversations; retriever: its search, from its own pages.",
        ),
    ] = "adapter",
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Name of a file in configs/training; quick_cpu, or retriever, where absent; cross_encoder "
            "for a retriever that re-ranks."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Take this instead of the recipe's, such as lora.r=32."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="With a recipe such as dpo: rows of `prompt`, `chosen` and `rejected`.", show_default=False),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Name of the new version; the time where absent.")] = None,
    questions: Annotated[int, typer.Option(min=0, help="Held-out questions to answer for its score.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Train even where a version is up to date.")] = False,
    ship: Annotated[
        bool,
        typer.Option("--ship", help="With the recipe lora, and put it where the brand's shipped adapter stands."),
    ] = False,
    json: Json = False,
) -> None:
    """Train an adapter of a brand, which `adapter promote` lets speak; or its retriever, which a gate judges.

    A retriever that does not measurably help is refused with exit code 3. An encoder that is accepted searches once
    `retrieval.encoder` of the brand names it and `kb add` has embedded the pages again; a cross-encoder re-ranks once
    `retrieval.reranker` names it.
    """
    from service.cli import retriever
    from service.cli.adapters import run_train
    from service.cli.failures import WRONG_USE, Failure

    if what == "retriever":
        if questions or ship or changes or pairs:
            raise Failure(
                "a retriever is not trained that way",
                "--questions, --pairs, --set and --ship are for adapters",
                "leave them out",
                code=WRONG_USE,
            )
        retriever.run_train(brand, recipe or "retriever", version=version, force=force, as_json=json)
        return
    chosen = recipe or ("lora" if ship else "quick_cpu")
    run_train(
        brand,
        chosen,
        changes=changes or (),
        pairs=pairs,
        version=version,
        questions=questions,
        force=force,
        ship=ship,
        as_json=json,
    )


@app.command()
def doctor(json: Json = False) -> None:
    """Look at everything that must be in place, and say what to do where it is not."""
    from service.cli.doctor import run_doctor

    run_doctor(as_json=json)


@kb.command("add")
def kb_add(
    brand: Brand,
    path: Annotated[
        str | None,
        typer.Argument(help="A document, a folder of them, or an address; the brand's own pages where absent."),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on: add, change and remove as the files of the folder do, until Ctrl+C."),
    ] = False,
    json: Json = False,
) -> None:
    """Add documents; one of the same name is replaced, what has not changed is left alone."""
    from service.cli.knowledge import run_add, run_watch

    if watch:
        run_watch(brand, path, as_json=json)
    else:
        run_add(brand, path, as_json=json)


@kb.command("list")
def kb_list(brand: Brand, json: Json = False) -> None:
    """List the documents that a brand answers from."""
    from service.cli.knowledge import run_list

    run_list(brand, as_json=json)


@kb.command("show")
def kb_show(
    document: Annotated[str, typer.Argument(help="As `kb list` names it.", show_default=False)],
    brand: Brand,
    json: Json = False,
) -> None:
    """Show a document as it is searched: what is known of it, and its chunks with their places in the text."""
    from service.cli.knowledge import run_show

    run_show(document, brand, as_json=json)


@kb.command("search")
def kb_search(
    question: Annotated[str, typer.Argument(help="What a customer would ask.", show_default=False)],
    brand: Brand,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, max=50, help="Passages wanted.")] = 4,
    json: Json = False,
) -> None:
    """Show the passages that a question finds, best first."""
    from service.cli.knowledge import run_search

    run_search(question, brand, top_k=top_k, as_json=json)


@kb.command("remove")
def kb_remove(
    documents: Annotated[list[str], typer.Argument(help="As `kb list` names them.", show_default=False)],
    brand: Brand,
    json: Json = False,
) -> None:
    """Remove documents."""
    from service.cli.knowledge import run_remove

    run_remove(documents, brand, as_json=json)


@kb.command("versions")
def kb_versions(brand: Brand, json: Json = False) -> None:
    """List the versions that are kept, the newest first, and what each changed against the one before."""
    from service.cli.knowledge import run_versions

    run_versions(brand, as_json=json)


@kb.command("rollback")
def kb_rollback(
    brand: Brand,
    to: Annotated[
        str | None, typer.Option("--to", help="A version of `kb versions`; the one that served before where absent.")
    ] = None,
    json: Json = False,
) -> None:
    """Let an earlier version serve again; a running gateway takes it up within two seconds."""
    from service.cli.knowledge import run_rollback

    run_rollback(brand, to=to, as_json=json)


@kb.command("why")
def kb_why(
    question: Annotated[str, typer.Argument(help="What a customer asked.", show_default=False)],
    expect: Annotated[
        str, typer.Option(help="The document that holds the answer, as `kb list` names it.", show_default=False)
    ],
    brand: Brand,
    json: Json = False,
) -> None:
    """Say at which step of an answer the right passage was lost, with the numbers and a cure."""
    from service.cli.evaluating import run_why

    run_why(question, expect, brand, as_json=json)


@kb.command("eval")
def kb_eval(
    corpus: Annotated[
        Path, typer.Option(help='JSON lines {"id", "title", "text"}: documents or passages.', show_default=False)
    ],
    questions: Annotated[
        Path,
        typer.Option(help='JSON lines {"question" or "messages", "gold": [ids], "answerable"}.', show_default=False),
    ],
    brand: Annotated[str | None, typer.Option("--brand", "-b", help="Search with the settings of this brand.")] = None,
    json: Json = False,
) -> None:
    """Measure search and refusal on a corpus and questions about it, in a base of their own."""
    from service.cli.evaluating import run_eval

    run_eval(corpus, questions, brand, as_json=json)


@answer.command("check")
def answer_check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help='Lines {"answer", "passages": [{"id", "text"}]}, "question" beside them if known; stdin where absent.',
        ),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A name that needs no passage, such as the brand's own.")
    ] = None,
    json: Json = False,
) -> None:
    """Check each sentence of answers against their passages: claim, style or promise, and which passage says so."""
    from service.cli.answers import run_check

    run_check(file, names=tuple(name or ()), as_json=json)


@data.command("check")
def data_check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="JSONL, JSON, CSV, TSV or Parquet, looked at as one.", show_default=False),
    ],
    brand: Annotated[
        str | None,
        typer.Option("--brand", "-b", help="Whose language, base model, pages and held-out questions count."),
    ] = None,
    form: Annotated[
        Literal["instruction", "conversation", "sharegpt", "completion", "preference", "openai", "brandvoice"] | None,
        typer.Option("--format", help="Form of every row; told by its keys where absent."),
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Evaluation data that must not be trained on.")
    ] = None,
    mask: Annotated[bool, typer.Option("--mask", help="Hide personal data in what --out writes.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the accepted rows there, each with its side of the 80/20 split.")
    ] = None,
    card: Annotated[Path | None, typer.Option("--card", help="Write a dataset card into this folder.")] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            min=1,
            help="A row over so many tokens of the base model is rejected; its window where absent.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Look at training data: each rejected or doubtful row by file, line, rule and reason, and a score of 0 to 100.

    Rows that are broken, empty, too long or without a reply are rejected; every other rule warns. Data with bad rows
    is a check that worked (exit code 0); a file that cannot be read is none (1).
    """
    from service.cli.data import run_check

    run_check(
        files,
        brand=brand,
        form=form,
        against=against or (),
        mask=mask,
        out=out,
        card=card,
        max_tokens=max_tokens,
        as_json=json,
    )


@data.command("synthesize")
def data_synthesize(
    brand: Brand,
    out: Annotated[
        Path, typer.Option("--out", help="JSON lines; run the same command again to go on.", show_default=False)
    ],
    engine: Annotated[
        str | None,
        typer.Option(
            help="Address of any OpenAI-compatible API, such as http://127.0.0.1:8001/v1; engine.url where absent. Its "
            "key is read from BRANDVOICE_SYNTHESIS_API_KEY."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its name there; the only one there is where absent.")] = None,
    per_passage: Annotated[
        int, typer.Option("--per-passage", min=1, max=50, help="Examples of each kind a passage.")
    ] = 1,
    kinds: Annotated[
        str, typer.Option(help="Which ones, with commas between; paraphrases are made of the answers in the file.")
    ] = "answer,refusal,paraphrase",
    limit: Annotated[int | None, typer.Option(min=1, help="Passages, the first ones; all where absent.")] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="More evaluation data that must not be trained on.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one writes others.")] = 7,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Requests at once.")] = 4,
    json: Json = False,
) -> None:
    """Let a model write training conversations from the brand's documents; `data review` approves them.

    Each is checked: its question must find its passage, its reply must stand there, a refusal must be right, and none
    may repeat another or the evaluation. What fails lies beside FILE in FILE.rejected.jsonl, with the reason.
    """
    from service.cli.synthetic import run_synthesize

    run_synthesize(
        brand,
        out,
        engine=engine,
        model=model,
        per_passage=per_passage,
        kinds=kinds,
        limit=limit,
        against=against or (),
        seed=seed,
        parallel=parallel,
        as_json=json,
    )


@data.command("review")
def data_review(
    file: Annotated[Path, typer.Argument(help="What `data synthesize` wrote.", show_default=False)],
    approve: Annotated[list[str] | None, typer.Option("--approve", metavar="ID", help="Approve this row.")] = None,
    reject: Annotated[list[str] | None, typer.Option("--reject", metavar="ID", help="Reject this row.")] = None,
    approve_all: Annotated[bool, typer.Option("--approve-all", help="Approve every row that waits.")] = False,
    by: Annotated[
        str | None, typer.Option(help="Who decides; on a terminal its user, where absent.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the rows that may be trained on there, without the others.")
    ] = None,
    json: Json = False,
) -> None:
    """Approve or reject synthetic conversations, which are not trained on before; without options, one by one by key.

    a approves, r rejects, e opens question and reply in $EDITOR and checks them again, s skips, q ends.
    """
    from service.cli.synthetic import run_review

    run_review(file, approve=approve or (), reject=reject or (), approve_all=approve_all, by=by, out=out, as_json=json)


@app.command("eval")
def evaluate(
    brand: Brand,
    candidate: Annotated[str, typer.Option(help="The version to judge.", show_default=False)],
    url: Url = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask this many questions only: a first look, never a verdict.")
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Also ask the base model with the voice guide.")
    ] = True,
    general: Annotated[
        bool, typer.Option("--general/--no-general", help="Also measure what is left of the base's general ability.")
    ] = True,
    json: Json = False,
) -> None:
    """Is a trained adapter better than what speaks now? Asks both the held-out questions, and lets the gate judge.

    Everything goes through the running gateway, or one that is started for it. A candidate that is worse, or of which
    too little is known, is refused with exit code 3; a report shows each measure and the answers that changed most.
    """
    from service.cli.comparing import run_eval

    run_eval(brand, candidate, url=url, limit=limit, baseline=baseline, general=general, as_json=json)


@adapter.command("list")
def adapter_list(
    brand: Annotated[str | None, typer.Option("--brand", "-b", help="Of this brand only.")] = None,
    json: Json = False,
) -> None:
    """List the adapters; the active one of a brand is marked."""
    from service.cli.adapters import run_list

    run_list(brand, as_json=json)


@adapter.command("show")
def adapter_show(version: Version, json: Json = False) -> None:
    """Show the manifest of an adapter: what it was made from, and for which base."""
    from service.cli.adapters import run_show

    run_show(version, as_json=json)


@adapter.command("promote")
def adapter_promote(
    version: Version,
    override: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Let it speak though the gate did not pass it; kept in its manifest."),
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who answers for the override.")] = None,
    json: Json = False,
) -> None:
    """Let an adapter speak for its brand, where `brandvoice eval` passed it against the one that speaks now.

    A damaged or foreign one, and one that the gate did not pass, is refused with exit code 3.
    """
    from service.cli.adapters import run_promote

    run_promote(version, override=override, by=by, as_json=json)


@adapter.command("rollback")
def adapter_rollback(brand: Brand, json: Json = False) -> None:
    """Go back to the adapter that spoke before."""
    from service.cli.adapters import run_rollback

    run_rollback(brand, as_json=json)


@adapter.command("sign")
def adapter_sign(
    version: Annotated[
        str | None, typer.Argument(metavar="BRAND@VERSION", help="Which one.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All versions, but for those that another key signed.")] = False,
    json: Json = False,
) -> None:
    """Sign an adapter that you trust with the first of adapters.signing_keys, after its files were checked.

    One that changed after it was signed is refused with exit code 3.
    """
    from service.cli.adapters import run_sign

    run_sign(version, every=every, as_json=json)


@channel.command("list")
def channel_list(json: Json = False) -> None:
    """Show every app: whether it is on, who speaks there, what to enter at the platform, what it can take."""
    from service.cli.channels import run_list

    run_list(as_json=json)


@channel.command("check")
def channel_check(
    channel: Annotated[str | None, typer.Argument(help="A platform; all where absent.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Try every app without calling its platform: secrets, a signed event, a reply; say what keeps one off.

    A platform that is named and has no app that is on makes it fail.
    """
    from service.cli.channels import run_check

    run_check(channel, as_json=json)


@channel.command("simulate")
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


@outbox.command("list")
def outbox_list(json: Json = False) -> None:
    """Show replies that were given up, and those of which nobody knows whether they arrived."""
    from service.cli.waiting import run_outbox

    run_outbox(as_json=json)


@outbox.command("replay")
def outbox_replay(
    items: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `outbox list` shows them.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that were given up; not those that may have arrived.")
    ] = False,
    json: Json = False,
) -> None:
    """Send replies again. One of which nobody knows whether it arrived may then be read twice, so it must be named."""
    from service.cli.waiting import run_replay

    run_replay(items or (), every=every, as_json=json)


@handoffs.command("list")
def handoffs_list(
    brand: Annotated[str | None, typer.Option("--brand", "-b", help="Of this brand only.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """List the conversations that were handed over, newest first."""
    from service.cli.waiting import run_handoffs

    run_handoffs(brand, url=url, as_json=json)


@intents.command("train")
def intents_train(
    brand: Brand,
    data: Annotated[
        Path | None,
        typer.Option(help="JSON lines of text, intent, out_of_scope; the brand's `intents` where absent."),
    ] = None,
    json: Json = False,
) -> None:
    """Train the classifier of a brand; the gateway takes it up when it starts."""
    from service.cli.intents import run_train

    run_train(brand, data, as_json=json)


@intents.command("show")
def intents_show(
    text: Annotated[str, typer.Argument(help="What a customer would write.", show_default=False)],
    brand: Brand,
    json: Json = False,
) -> None:
    """Show the intent of a message, how probable it is, and the training messages nearest to it."""
    from service.cli.intents import run_show

    run_show(brand, text, as_json=json)


@intents.command("eval")
def intents_eval(
    train: Annotated[Path, typer.Option("--train", help="JSON lines to learn from.", show_default=False)],
    test: Annotated[Path, typer.Option("--test", help="JSON lines to measure on.", show_default=False)],
    json: Json = False,
) -> None:
    """Train on one file and measure on another; nothing is kept."""
    from service.cli.intents import run_eval

    run_eval(train, test, as_json=json)


@voice.command("score")
def voice_score(brand: Brand, json: Json = False) -> None:
    """Score texts from stdin, one a line or JSON lines {"text"}: 0 to 1, and in words why."""
    from service.cli.voice import run_score

    run_score(brand, as_json=json)


@voice.command("profile")
def voice_profile(brand: Brand, json: Json = False) -> None:
    """Show how a brand speaks: length, person, tone, openers, closers, its own words and those it avoids."""
    from service.cli.voice import run_profile

    run_profile(brand, as_json=json)


@config.command("show")
def config_show(json: Json = False) -> None:
    """Print each value with its origin; secrets are never read here."""
    from service.cli.settings import run_show

    run_show(as_json=json)


@config.command("check")
def config_check(json: Json = False) -> None:
    """Check all files and variables, and what they point at."""
    from service.cli.settings import run_check

    run_check(as_json=json)
