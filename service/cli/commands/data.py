"""`brandvoice data`: training data, checked or written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.commands.shared import Brand, Json, group

app = group("Training data: what can be learnt from, and what should not be.")


@app.command("check")
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


@app.command("synthesize")
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


@app.command("review")
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
