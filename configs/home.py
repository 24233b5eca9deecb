"""The state folder: everything that a deployment makes, as against what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from configs.corrections import CorrectionFiles

DEFAULT = "var"


@dataclass(frozen=True, slots=True)
class Home:
    """`$BRANDVOICE_HOME`; its folders are made by whoever writes into them."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Home:
        """The folder that `BRANDVOICE_HOME` names, or `./var`."""
        return cls(Path(environment.get("BRANDVOICE_HOME") or DEFAULT).expanduser().absolute())

    @property
    def models(self) -> Path:
        """Base models and encoders, a folder each."""
        return self.root / "models"

    @property
    def brands(self) -> Path:
        """`<brand>.yaml` and `<brand>/`, brands that people made in the browser; see `configs.made`."""
        return self.root / "brands"

    @property
    def encoders(self) -> Path:
        """`<brand>/<version>/`, encoders that were trained on a brand's own pages."""
        return self.models / "encoders"

    @property
    def rerankers(self) -> Path:
        """`<brand>/<version>/`, cross-encoders that were trained on a brand's own pages."""
        return self.models / "rerankers"

    @property
    def adapters(self) -> Path:
        """`<brand>/<version>/`, and the pointer `<brand>/active`."""
        return self.root / "adapters"

    @property
    def evaluations(self) -> Path:
        """`<brand>/<version>/`, what was asked of a candidate, its answers, the report and the verdict."""
        return self.root / "evaluations"

    def corrections(self, brand: str) -> CorrectionFiles:
        """What people corrected of a brand's answers and accepted in review."""
        return CorrectionFiles(self.root / "corrections" / brand)

    @property
    def knowledge(self) -> Path:
        """`<brand>/<version>/`, and the pointer `<brand>/current`."""
        return self.root / "knowledge"

    @property
    def questions(self) -> Path:
        """`<brand>.jsonl`, held-out questions that people added; see `configs.cases`."""
        return self.root / "questions"

    @property
    def pages(self) -> Path:
        """`<brand>/`, pages that people wrote for a brand's knowledge while it served."""
        return self.root / "pages"

    @property
    def intents(self) -> Path:
        """`<brand>/`, the trained classifier of a brand's intents."""
        return self.root / "intents"

    @property
    def voices(self) -> Path:
        """`<brand>.json`, how each brand speaks, learnt from its conversations."""
        return self.root / "voices"

    @property
    def general(self) -> Path:
        """What `training.judging.general` measured, a file a model and set of cases; may be deleted at any time."""
        return self.root / "general"

    @property
    def runs(self) -> Path:
        """Logs and records of training runs, engines and demos."""
        return self.root / "runs"

    @property
    def files(self) -> Path:
        """`<brand>/<digest>`, files that visitors of the widget sent."""
        return self.root / "files"

    @property
    def uploads(self) -> Path:
        """`<job>/`, files that people brought for a brand's knowledge, until they are read."""
        return self.root / "uploads"

    @property
    def secrets(self) -> Path:
        """Secrets that we made for ourselves; only their owner can read them."""
        return self.root / "secrets"

    @property
    def database(self) -> Path:
        """The SQLite file, where no other database is configured."""
        return self.root / "brandvoice.db"
