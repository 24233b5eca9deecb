"""`brandvoice voice`: how a brand sounds."""

from __future__ import annotations

from service.cli.commands.shared import Brand, Json, group

app = group("How a brand speaks, and how much a text sounds like it.")


@app.command("score")
def voice_score(brand: Brand, json: Json = False) -> None:
    """Score texts from stdin, one a line or JSON lines {"text"}: 0 to 1, and in words why."""
    from service.cli.voice import run_score

    run_score(brand, as_json=json)


@app.command("profile")
def voice_profile(brand: Brand, json: Json = False) -> None:
    """Show how a brand speaks: length, person, tone, openers, closers, its own words and those it avoids."""
    from service.cli.voice import run_profile

    run_profile(brand, as_json=json)
