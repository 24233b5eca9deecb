"""`brandvoice adapter`: the trained voices."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.commands.shared import Brand, Json, Version, group

app = group("The trained voices: which there are, and which one speaks.")


@app.command("list")
def adapter_list(
    brand: Annotated[str | None, typer.Option("--brand", "-b", help="Of this brand only.")] = None,
    json: Json = False,
) -> None:
    """List the adapters; the active one of a brand is marked."""
    from service.cli.adapters import run_list

    run_list(brand, as_json=json)


@app.command("show")
def adapter_show(version: Version, json: Json = False) -> None:
    """Show the manifest of an adapter: what it was made from, and for which base."""
    from service.cli.adapters import run_show

    run_show(version, as_json=json)


@app.command("promote")
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


@app.command("rollback")
def adapter_rollback(brand: Brand, json: Json = False) -> None:
    """Go back to the adapter that spoke before."""
    from service.cli.adapters import run_rollback

    run_rollback(brand, as_json=json)


@app.command("sign")
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
