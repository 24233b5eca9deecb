"""One adapter trained on a tiny random base, shared by the tests that look at it."""

from pathlib import Path

import pytest

from training.recipes import sft
from training.testing import tiny_base, tiny_job


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny_base(folder)
    return folder


@pytest.fixture(scope="session")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> sft.Trained:
    return sft.main(tiny_job(base, tmp_path_factory.mktemp("trained")))
