"""What a training would do before it is started: recipes, data, findings, the exact command."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.brand import Brand
from configs.errors import ConfigError
from configs.home import Home
from configs.training import DpoRecipe, Recipe, read_adapter_recipe, read_any_recipe
from service.engines.adapters import active_version
from service.errors import NotPossible, RequestInvalid
from service.trainings.terms import Choice

CHECK_S = 300
"""How long the data doctor may take."""
CHECKPOINT_STEPS = 25
"""Between two states of a training that could not go on after a stop without them."""


@dataclass(frozen=True, slots=True)
class RecipeInfo:
    """A recipe to choose."""

    name: str
    method: str
    about: str
    """What its file says of itself, in its first lines."""
    learns_from: str
    """`conversations` or `pairs`."""


def recipes(folder: Path) -> list[RecipeInfo]:
    """The recipes of adapters below a folder of configurations; one that cannot be read is left out."""
    found = []
    for path in sorted((folder / "training").glob("*.yaml")):
        try:
            recipe = read_any_recipe(path)
        except ConfigError:
            continue
        if isinstance(recipe, Recipe | DpoRecipe):
            learns = "pairs" if isinstance(recipe, DpoRecipe) else "conversations"
            found.append(RecipeInfo(recipe.name, recipe.method, _about(path), learns))
    return found


def _about(path: Path) -> str:
    lines = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# ").strip())
    return " ".join(lines).partition("  brandvoice")[0].split(" brandvoice train")[0].split(" make demo")[0].strip()


FIRST, AGAIN = "quick_cpu", "corrections"
"""Recipes to propose: for a first voice, and for one that speaks and was corrected."""


def proposed(folder: Path, *, goes_on: bool) -> str:
    """The recipe to propose.

    Args:
        folder: Of the configurations.
        goes_on: Whether a version speaks and there are corrections that it could learn.
    """
    return AGAIN if goes_on and (folder / "training" / f"{AGAIN}.yaml").is_file() else FIRST


def resolved(folder: Path, choice: Choice) -> tuple[Recipe | DpoRecipe, tuple[str, ...]]:
    """The recipe that a choice names, and the values that are set in place of its own.

    Raises:
        RequestInvalid: There is no such recipe, or a value does not fit it.
    """
    path = folder / "training" / f"{choice.recipe}.yaml"
    if not choice.recipe.isidentifier() or not path.is_file():
        raise RequestInvalid(f"There is no recipe {choice.recipe!r}.", param="recipe")
    try:
        recipe = read_adapter_recipe(path, choice.changes)
        changes = [*choice.changes, *_changes(recipe, choice)]
        return read_adapter_recipe(path, changes), tuple(changes)
    except ConfigError as error:
        raise RequestInvalid(str(error), param="changes") from error


def _changes(recipe: Recipe | DpoRecipe, choice: Choice) -> list[str]:
    """What a job sets besides: a state to go on from, and no corrections where none are wanted."""
    section = "dpo" if isinstance(recipe, DpoRecipe) else "sft"
    optimisation = recipe.dpo if isinstance(recipe, DpoRecipe) else recipe.sft
    kept = optimisation.checkpoint_every or optimisation.held_back
    found = [] if kept else [f"{section}.checkpoint_every={CHECKPOINT_STEPS}"]
    if isinstance(recipe, Recipe) and not choice.corrections:
        found.append("data.corrections=false")
    return found


def files(home: Home, brand: Brand, recipe: Recipe | DpoRecipe, choice: Choice) -> list[Path]:
    """The files that a choice learns from; those that are there.

    Raises:
        NotPossible: There are none.
    """
    corrected = home.corrections(brand.name)
    wanted: list[Path | None]
    if isinstance(recipe, DpoRecipe):
        wanted = [recipe.pairs.file or corrected.pairs]
    else:
        wanted = [brand.conversations, corrected.conversations if choice.corrections else None]
    found = [one for one in wanted if one is not None and one.is_file()]
    if not found:
        need = "pairs of replies: accept corrections first" if isinstance(recipe, DpoRecipe) else "conversations"
        raise NotPossible(f"{brand.display_name} has nothing to learn from yet; it needs {need}.")
    return found


def train_command(
    home: Home, folder: Path, brand: Brand, choice: Choice, version: str, *, program: str = sys.executable
) -> list[str]:
    """The command that trains; running it again goes on from the last state that it kept.

    Args:
        home: The state folder.
        folder: Of the configurations.
        brand: Whose voice.
        choice: What and how.
        version: Name of the new version.
        program: The Python that runs it.

    Raises:
        RequestInvalid: There is no such recipe, or a value does not fit it.
        NotPossible: There is nothing to learn from, or no version to go on from.
    """
    recipe, changes = resolved(folder, choice)
    learnt = files(home, brand, recipe, choice)
    if recipe.start_from == "active" and active_version(home, brand.name) is None:
        raise NotPossible(
            f"The recipe {recipe.name} goes on from the version that speaks, and {brand.display_name} has none yet: "
            f"train a first one, such as with {FIRST}, or set start_from=base."
        )
    command = [program, "-m", "training.train", "--brand", brand.name, "--recipe", choice.recipe]
    command += ["--version", version, "--progress", "json"]
    command += [word for change in changes for word in ("--set", change)]
    return [*command, *(["--pairs", str(learnt[0])] if isinstance(recipe, DpoRecipe) else [])]


def gate_command(choice: Choice, version: str, url: str, *, program: str = sys.executable) -> list[str]:
    """The command that asks the gate about a version.

    Args:
        choice: What was trained.
        version: The candidate.
        url: Of the running gateway.
        program: The Python that runs it.
    """
    command = [program, "-m", "training.judging.comparison", "--brand", choice.brand, "--candidate", version]
    command += ["--url", url, "--progress", "json"]
    command += [] if choice.general else ["--no-general"]
    command += [] if choice.baseline else ["--no-baseline"]
    return command + (["--limit", str(choice.limit)] if choice.limit else [])


async def check(paths: Sequence[Path], brand: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the data doctor finds (`brandvoice data check`, as a process of its own).

    Returns:
        `report`, `score`, `verdict`, `reasons` and `split`.

    Raises:
        NotPossible: It could not look, with what it said.
    """
    command = [sys.executable, "-m", "training.data.check", "--brand", brand, "--", *map(str, paths)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=dict(environment))
    try:
        out, err = await asyncio.wait_for(process.communicate(), CHECK_S)
    except TimeoutError:
        raise NotPossible(f"The data doctor was not done after {CHECK_S} seconds.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        said = next((one for one in reversed(lines) if one.startswith("error: ")), lines[-1] if lines else "")
        raise NotPossible(f"The data cannot be checked: {said.removeprefix('error: ')}")
    found: dict[str, Any] = json.loads(out)
    return found
