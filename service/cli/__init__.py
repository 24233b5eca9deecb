"""The command line, `brandvoice`: data on stdout, progress on stderr, errors as what, why and what to try.

Commands import what they need when they run, so that `brandvoice --help` is there at once; torch is never imported.
Start reading in `service.cli.app`, then `service.cli.commands`; what `brandvoice demo` does is in
`service.starting.demo`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process: 0 fine, 1 failed, 2 wrong use, 3 refused by a gate."""
    from service.cli.app import app
    from service.cli.failures import explain, show

    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="brandvoice")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        show(failure)
        sys.exit(failure.code)
