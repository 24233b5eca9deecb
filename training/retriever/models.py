"""The two models of a brand's search that can be trained: where each lies, how it is made and how it is opened."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from configs.home import Home
from configs.training import CrossEncoderRecipe, SearchRecipe
from retrieval.encoder import OnnxEncoder
from retrieval.encoder_export import NAME, export_encoder, packaged_model
from retrieval.reranker import OnnxReranker
from retrieval.reranker_export import Probe, export_reranker
from training.progress import Progress, Report
from training.recipes import cross_encoder, retriever
from training.retriever.fitting import Job, Settings
from training.retriever.gate import Searching
from training.retriever.material import Material

PROBES = 6
"""Questions that an export is compared with the model on, each with all of their passages."""


Train = Callable[[Material, Path, Path], tuple[float, ...]]
"""From the material, a folder for the trained model and the run's folder to the losses."""
Load = Callable[[Material, Path], Searching]
"""From the material and that folder to what searches with it."""


@dataclass(frozen=True, slots=True)
class Model:
    """How one of the two is made and opened."""

    train: Train
    load: Load


def versions(home: Home, recipe: SearchRecipe) -> Path:
    """Where the versions of all brands lie."""
    return home.rerankers if isinstance(recipe, CrossEncoderRecipe) else home.encoders


def model_of(recipe: SearchRecipe, progress: Progress, say: Callable[[str], object]) -> Model:
    """The real training: fine-tune, export to ONNX, quantise, compare with the model."""
    if isinstance(recipe, CrossEncoderRecipe):
        train = _training(recipe.cross_entropy, cross_encoder.main, _export_cross_encoder, progress, say)
        return Model(train, _load_cross_encoder)
    return Model(_training(recipe.contrastive, retriever.main, _export_encoder, progress, say), _load_encoder)


def _training(
    settings: Settings,
    fine_tune: Callable[[Job[Settings]], tuple[float, ...]],
    export: Callable[[Material, Path, Path], object],
    progress: Progress,
    say: Callable[[str], object],
) -> Train:
    def train(material: Material, built: Path, run: Path) -> tuple[float, ...]:
        with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
            model, name = Path(scratch) / "model", material.brand.name
            losses = fine_tune(
                Job(name, material.pairs, settings, packaged_model(), model, run, progress=progress, say=say)
            )
            progress(Report(f"exporting the model of {name}", 0, 0))
            export(material, model, built)
            return losses

    return train


def _export_encoder(material: Material, model: Path, built: Path) -> None:
    export_encoder(model, built, name=f"{NAME}/{material.brand.name}")


def _load_encoder(_material: Material, folder: Path) -> Searching:
    return Searching(OnnxEncoder.load(folder))


def _export_cross_encoder(material: Material, model: Path, built: Path) -> None:
    about = {"brand": material.brand.name, "encoder_sha256": material.encoder.sha256}
    export_reranker(model, built, probes(material), about)


def _load_cross_encoder(material: Material, folder: Path) -> Searching:
    encoder = material.encoder
    return Searching(encoder, OnnxReranker.load(folder, brand=material.brand.name, encoder=encoder))


def probes(material: Material) -> list[Probe]:
    """The first questions of the pairs, each with the right and the wrong passages of all of them."""
    first = material.pairs[:PROBES]
    passages = list(dict.fromkeys(text for one in first for text in (one.passage, *one.negatives)))
    return [(one.question, passages) for one in first]
