"""How far a command is."""

from __future__ import annotations

import sys

from service.starting.stages import bar


class Bar:
    """A bar on a terminal; elsewhere a line at the end."""

    def __init__(self, what: str, *, unit: int = 1) -> None:
        self._what = what
        self._unit = unit
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        step = 100 * done // total if total else 100
        if step == self._shown or not (sys.stderr.isatty() or done == total):
            return
        self._shown = step
        drawn = f"{bar(-(-done // self._unit), -(-total // self._unit))} {self._what}"
        sys.stderr.write(f"\r{drawn}" + ("\n" if done == total else "") if sys.stderr.isatty() else f"{drawn}\n")
        sys.stderr.flush()
