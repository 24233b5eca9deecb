"""How the tests are shared out to two processes, with pytest-xdist, and what Hypothesis may ask of a busy machine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time: a change fails by what it did. New ones: `pytest --hypothesis-profile=searching`.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("searching"), derandomize=True)
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay together, for their fixtures, and so do all of tests/e2e, for the one vLLM."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)

    return ByFile(config, log)
