"""What a run was made with, so that it can be made again: values, libraries, and the commit of this code."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from configs.adapter_manifest import Provenance
from configs.training import AdapterRecipe, DpoRecipe
from training.trainer.ranks import processes

LIBRARIES = ("accelerate", "datasets", "peft", "torch", "transformers", "trl")
ROOT = Path(__file__).resolve().parents[2]


def provenance(recipe: AdapterRecipe) -> Provenance:
    """Of a run that begins now."""
    return Provenance(
        recipe=recipe.model_dump(mode="json"),
        seed=(recipe.dpo if isinstance(recipe, DpoRecipe) else recipe.sft).seed,
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
        python=platform.python_version(),
        commit=commit(),
        processes=processes(),
    )


def commit(root: Path = ROOT) -> str | None:
    """The commit that is checked out, with `-dirty` behind it where files differ; None where there is no repository.

    Args:
        root: The folder that must be the repository's own: one around an installed package says nothing.
    """
    if not (root / ".git").exists():
        return None
    try:
        found = _git(root, "rev-parse", "HEAD")
        return f"{found}-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else found
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
