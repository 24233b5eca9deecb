"""What most commands begin with: the configuration, the state folder, a brand of that name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.brand import Brand
from configs.home import Home
from configs.load import Config, configs_folder, load_config
from configs.yaml_file import did_you_mean
from service.cli.failures import WRONG_USE, Failure

if TYPE_CHECKING:
    from configs.adapter_terms import Terms
    from retrieval.encoder import Encoder
    from retrieval.grounding.fence import Fence


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment, as this process sees it."""

    config: Config
    home: Home

    def brand(self, name: str) -> Brand:
        """The brand of this name."""
        brands = self.config.brands
        if name not in brands:
            raise Failure(
                f"there is no brand {name!r}",
                f"{self.config.folder / 'brands'} holds {', '.join(sorted(brands))}",
                did_you_mean(name, tuple(brands)).removeprefix("; ") or "name one of these",
                code=WRONG_USE,
            )
        return brands[name]

    @property
    def terms(self) -> Terms:
        """What an adapter must be to be served here."""
        from configs.adapter_terms import Terms

        return Terms.of(self.config.service, self.home, os.environ)

    @property
    def encoder_folder(self) -> Path:
        """Where the encoder lies: the folder that `models.encoder` names, or the packaged one."""
        named = Path(self.config.service.models.encoder).expanduser()
        return named if named.is_dir() else self.home.models / self.config.service.models.encoder

    def encoder(self, say: Callable[[str], None]) -> Encoder:
        """The encoder, prepared first where it was not yet."""
        from retrieval.encoder import OnnxEncoder

        if not (self.encoder_folder / "manifest.json").is_file():
            say("preparing the encoder (once)")
            run_module("retrieval.encoder", str(self.encoder_folder), what="the encoder could not be prepared")
        return OnnxEncoder.load(self.encoder_folder)

    def search_encoder(self, brand: str, say: Callable[[str], None]) -> Encoder:
        """The encoder that searches for a brand: its own where one was trained and is named, else the deployment's."""
        from retrieval.brand_search import search_encoder

        return search_encoder(self.home, self.brand(brand), self.encoder(say))

    def intake(self, brand: str, say: Callable[[str], None]) -> tuple[Encoder, Fence]:
        """What a brand's documents are embedded with, and what judges them: that is the deployment's encoder always."""
        from retrieval.brand_search import search_encoder
        from retrieval.grounding.fence import Fence

        shared = self.encoder(say)
        return search_encoder(self.home, self.brand(brand), shared), Fence(shared)


def open_deployment() -> Deployment:
    """Read the configuration that this environment names."""
    home = Home.from_environment(os.environ)
    return Deployment(load_config(configs_folder(os.environ), os.environ, home), home)


def run_module(module: str, *arguments: str, what: str, code: int = 1) -> str:
    """Run a module of ours to its end as a process of its own, so that torch stays out of this one.

    Returns:
        What it wrote to stdout; what it writes to stderr goes to ours.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Failure(what, f"`python -m {module}` ended with {done.returncode}", "the lines above say why", code=code)
    return done.stdout
