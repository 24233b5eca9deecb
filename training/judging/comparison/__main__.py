"""Compare a candidate with what speaks now; what `brandvoice eval` starts. Writes one JSON object to stdout."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from configs.errors import ConfigError
from retrieval.errors import RetrievalError
from training.errors import TrainingError
from training.judging.comparison.run import PAGE_FILE, Request, compare
from training.train import show_progress


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.judging.comparison", description=__doc__)
    parser.add_argument("--brand", required=True)
    parser.add_argument("--candidate", required=True, help="a version of the brand's adapter")
    parser.add_argument("--url", required=True, help="of the running gateway")
    parser.add_argument("--limit", type=int, help="ask this many questions only, for a first look")
    parser.add_argument("--no-baseline", action="store_true", help="leave out the base model with the voice guide")
    parser.add_argument("--no-general", action="store_true", help="leave out what is left of general ability")
    parser.add_argument("--general", type=Path, nargs="+", default=[], help="cases for that beside those that ship")
    shown = "bar" if sys.stderr.isatty() else "lines"
    parser.add_argument("--progress", choices=("bar", "lines", "json"), default=shown)
    given = parser.parse_args()
    request = Request(
        given.brand,
        given.candidate,
        given.url,
        limit=given.limit,
        baseline=not given.no_baseline,
        general=not given.no_general,
        general_files=tuple(given.general),
    )
    try:
        with show_progress(given.progress) as progress:
            compared = compare(request, os.environ, progress)
    except (TrainingError, ConfigError, RetrievalError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    told = {**compared.report, "folder": str(compared.folder), "page": str(compared.folder / PAGE_FILE)}
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
