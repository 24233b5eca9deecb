"""Write the pages of docs/ that are made from the code: `python -m service.cli.docs [--check]`.

docs/command-line.md comes from the commands, docs/configuration.md from the fields' descriptions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.main import get_command

from configs.brand import Brand
from configs.load import PLAIN_NAMES, variable_of
from configs.schema import fields, type_name
from configs.service import Secret, ServiceConfig
from configs.training import CrossEncoderRecipe, DpoRecipe, Recipe, RetrieverRecipe
from service.cli.app import app

FOLDER = Path("docs")
MARK = "<!-- Made by `make docs`; change the code, not this page. -->\n"


def pages() -> dict[str, str]:
    """Text of each generated page, by file name."""
    return {"command-line.md": command_line(), "configuration.md": configuration()}


def command_line() -> str:
    """The page about commands."""
    parts = [
        "# Command line\n",
        MARK,
        "Data goes to stdout, progress to stderr; `--json` prints data as JSON. Exit codes: 0 fine, 1 failed, "
        "2 wrong use, 3 refused by a gate. An error is three lines: what, why, and what to try.\n",
    ]
    root: Any = get_command(app)
    parts += [_command(path, command) for path, command in commands(root, "brandvoice")]
    return "\n".join(parts)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its whole name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from commands(one, f"{path} {name}")


def _command(path: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    usage = " ".join([path, *(_argument(one) for one in arguments), *(_usage(one) for one in options if one.required)])
    rows = [(f"`{_argument(one)}`", one.help or "", _default(one.default)) for one in arguments]
    rows += [(f"`{', '.join(one.opts)}`", one.help or "", _default(one.default)) for one in options]
    text = f"## `{path}`\n\n{command.help}\n\n```\n{usage}{' [options]' if options else ''}\n```\n"
    if rows:
        text += "\n" + _table(("option", "meaning", "default"), rows)
    return text


def _argument(one: Any) -> str:
    name = str(one.metavar or one.name).upper()
    return name if one.required else f"[{name}]"


def _usage(one: Any) -> str:
    return f"{one.opts[0]} {one.name.upper()}"


def configuration() -> str:
    """The page about settings."""
    parts = [
        "# Configuration\n",
        MARK,
        "Three kinds of files say what a deployment is: `configs/service.yaml`, `configs/brands/<brand>.yaml` and "
        "`configs/training/<recipe>.yaml`. An unknown key is refused, with the nearest one that is known. The "
        "environment beats `service.yaml`: `BRANDVOICE_` and the key in capitals, with two underscores for each dot. "
        "An empty variable counts as unset, and an unknown one is refused. `brandvoice config show` prints each value "
        "with its origin, `brandvoice config check` looks whether all is sound.\n",
        "Secrets never stand in a file of these: a setting of the kind *secret* names a variable, `{env: NAME}`, or a "
        "file, `{file: PATH}`. Relative paths are relative to the folder that holds `configs`.\n",
        "## Variables of their own\n",
        _table(("variable", "meaning"), [(f"`{name}`", text) for name, text in PLAIN_NAMES.items()]),
        "## `configs/service.yaml`\n",
        _settings(ServiceConfig, variables=True),
        "## `configs/brands/<brand>.yaml`\n",
        "A brand that was made in the console is a file of the same form, `brands/<brand>.yaml` of the state folder; "
        "see [A new brand](new-brand.md). Its paths begin there, and stay in `brands/<brand>/`.\n",
        _settings(Brand),
        "## `configs/training/<recipe>.yaml`\n",
        _settings(Recipe),
        "## `configs/training/<recipe>.yaml` with `method: dpo`\n",
        _settings(DpoRecipe),
        "## `configs/training/<recipe>.yaml` of a retriever\n",
        _settings(RetrieverRecipe),
        "## `configs/training/<recipe>.yaml` of a cross-encoder\n",
        _settings(CrossEncoderRecipe),
    ]
    return "\n".join(parts)


def _settings(model: type[BaseModel], *, variables: bool = False) -> str:
    rows = []
    for name, field in fields(model, whole=(Secret,)):
        meaning = field.description or ""
        if variables and "<name>" not in name:
            ending = "__ENV" if Secret.__name__.lower() == type_name(field.annotation) else ""
            meaning = f"{meaning}<br>`{variable_of(name)}{ending}`".removeprefix("<br>")
        rows.append((f"`{name}`", type_name(field.annotation), _default(_default_of(field)), meaning))
    return _table(("key", "kind", "default", "meaning"), rows)


def _default_of(field: FieldInfo) -> Any:
    if field.is_required():
        return "**required**"
    return field.get_default(call_default_factory=True, validated_data={})


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None or value is PydanticUndefined or value in ("", ()):
        return ""
    return str(value) if str(value).startswith("**") else f"`{value}`"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` only say whether they are current."""
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
            if "--check" not in arguments:
                FOLDER.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"error: not current: {', '.join(stale)}\n  why: the code has changed\n  try: make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
