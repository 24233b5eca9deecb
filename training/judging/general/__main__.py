"""Measure general ability: of a base model, and of an adapter beside it.

    python -m training.judging.general --base FOLDER [--adapter FOLDER] [--files FILE ...] [--limit N]
                               [--device cpu|cuda] [--off N] [--json]

Results are kept in the state folder, so that a base is measured once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from configs.errors import ConfigError
from configs.home import Home
from training.errors import TrainingError
from training.judging.general import General, Off, adapter_off, measure_general, read_cases
from training.judging.general.cases import some
from training.progress import LineProgress


def main() -> int:
    """Print a table, or JSON, of what was measured."""
    parser = argparse.ArgumentParser(
        prog="python -m training.judging.general",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--adapter", type=Path, help="folder of an adapter, measured beside the base")
    parser.add_argument("--files", type=Path, nargs="+", default=[], help="cases beside those that ship")
    parser.add_argument("--limit", type=int, help="cases of each kind, at most")
    parser.add_argument("--device", choices=["cpu", "cuda"])
    parser.add_argument("--off", type=int, default=0, metavar="N", help="compare N replies with the adapter off, too")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.off and arguments.adapter is None:
        parser.error("--off needs an --adapter")
    try:
        sides = {
            name: measure_general(
                arguments.base,
                adapter,
                files=arguments.files,
                limit=arguments.limit,
                device=arguments.device,
                cache_folder=Home.from_environment(os.environ).general,
                progress=LineProgress(),
            )
            for name, adapter in (("base", None), ("adapter", arguments.adapter))
            if name == "base" or adapter is not None
        }
        off = _off(arguments) if arguments.off else None
    except (TrainingError, ConfigError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if arguments.json:
        found = {name: side.as_json() for name, side in sides.items()} | ({"off": asdict(off)} if off else {})
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.write(table(sides, off))
    return 0


def table(sides: dict[str, General], off: Off | None) -> str:
    """What was measured, as people read it."""
    base, adapter = sides["base"], sides.get("adapter")
    lines = [f"{'':44}{'cases':>6}{'base':>9}" + (f"{'adapter':>9}{'change':>9}" if adapter else "")]
    for name, value in base.scores.items():
        row = f"{name:44}{base.cases[name]:>6}{value:>9.3f}"
        if adapter:
            after = adapter.scores[name]
            change = f"{after / value - 1:+.1%}" if name.startswith("loss") else f"{after - value:+.3f}"
            row += f"{after:>9.3f}{change:>9}"
        lines.append(row)
    lines += [f"left out: {count} ({reason})" for reason, count in base.left_out.items()]
    if off is not None:
        lines.append(
            f"adapter off: {off.identical} of {off.prompts} replies are the base's token by token; "
            f"on, {off.changed} are not"
        )
    took = ", ".join(
        f"{name} {'from before' if side.cached else f'{side.seconds:.0f} s'}" for name, side in sides.items()
    )
    return "\n".join([*lines, f"on the {base.device}: {took}", ""])


def _off(arguments: argparse.Namespace) -> Off:
    asked = some(read_cases(arguments.files).choices, arguments.off)
    return adapter_off(arguments.base, arguments.adapter, [one.question for one in asked], device=arguments.device)


if __name__ == "__main__":
    sys.exit(main())
