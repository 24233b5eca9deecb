"""Commands run in this process, on a state folder of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its data."""
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder, named by the environment, which names nothing else of ours."""
    import os

    for name in list(os.environ):
        if name.startswith("BRANDVOICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BRANDVOICE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `brandvoice` with these words."""

    def run(*words: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(words)
        captured = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run
