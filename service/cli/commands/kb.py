"""`brandvoice kb`: documents, search, versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.commands.shared import Brand, Json, group

app = group("The knowledge of a brand: documents in, cited passages out.")


@app.command("add")
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


@app.command("list")
def kb_list(brand: Brand, json: Json = False) -> None:
    """List the documents that a brand answers from."""
    from service.cli.knowledge import run_list

    run_list(brand, as_json=json)


@app.command("show")
def kb_show(
    document: Annotated[str, typer.Argument(help="As `kb list` names it.", show_default=False)],
    brand: Brand,
    json: Json = False,
) -> None:
    """Show a document as it is searched: what is known of it, and its chunks with their places in the text."""
    from service.cli.knowledge import run_show

    run_show(document, brand, as_json=json)


@app.command("search")
def kb_search(
    question: Annotated[str, typer.Argument(help="What a customer would ask.", show_default=False)],
    brand: Brand,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, max=50, help="Passages wanted.")] = 4,
    json: Json = False,
) -> None:
    """Show the passages that a question finds, best first."""
    from service.cli.knowledge import run_search

    run_search(question, brand, top_k=top_k, as_json=json)


@app.command("remove")
def kb_remove(
    documents: Annotated[list[str], typer.Argument(help="As `kb list` names them.", show_default=False)],
    brand: Brand,
    json: Json = False,
) -> None:
    """Remove documents."""
    from service.cli.knowledge import run_remove

    run_remove(documents, brand, as_json=json)


@app.command("versions")
def kb_versions(brand: Brand, json: Json = False) -> None:
    """List the versions that are kept, the newest first, and what each changed against the one before."""
    from service.cli.knowledge import run_versions

    run_versions(brand, as_json=json)


@app.command("rollback")
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


@app.command("why")
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


@app.command("eval")
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
