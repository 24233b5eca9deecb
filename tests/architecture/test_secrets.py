"""Secrets are compared in constant time: `==` and `in` on one tell by their time how much of it was right."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"secret|signature|token|password|digest|hmac|api_key|authorization", re.IGNORECASE)
PUBLIC = re.compile(r"token_index|tokens|max_|completion|prompt|_chars|first_token|token_url|url", re.IGNORECASE)
"""Names that hold such a word and no secret: counts of tokens, addresses, limits."""
NO_SECRET = {
    "channels/slack/installing.py": ("access.token_type",),  # says what kind of token it is
    "service/keeping/archive.py": ("digest.hexdigest()",),  # of a file, written beside it
    "service/keeping/erasure.py": ("manifest.data_sha256",),  # of training data, as its manifest says
    "service/bindings/installations.py": ("before.secrets", "installations.c.secrets"),  # reads of one row, both sealed
    "service/storage/tombstones.py": ("tombstones.c.digest",),  # a look-up in the database, of a message's public ids
    # Look-ups in the database of what a random token was hashed to: the time of one tells nothing of the token.
    "service/console/people/accounts.py": ("person_links.c.digest",),
    "service/console/people/sessions.py": ("table.c.digest",),
    "service/console/people/lockout.py": ("table.c.digest",),  # of an address, or of the name of an account
    "service/console/people/passwords.py": ("password != again",),  # typed twice by one person
}
"""Comparisons by file whose names only look so, each with why nobody can learn from their time."""
FILES = [
    path
    for folder in ("channels", "service")
    for path in sorted((ROOT / folder).rglob("*.py"))
    # Stand-ins play the platform, and know nothing that is secret.
    if path.name not in ("stand_in.py", "testing.py", "simulator.py")
]


def named(node: ast.expr) -> str:
    """The name under which a value is known here."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.Call():
            return named(node.func)
        case ast.Subscript():
            inside = node.slice.value if isinstance(node.slice, ast.Constant) else ""
            return f"{named(node.value)} {inside}"
    return ""


def loose(source: str) -> Iterator[str]:
    """Comparisons that are not made in constant time, of a value whose name says that it is a secret."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        # Whether it is there, or empty, tells nothing of what is in it.
        if any(isinstance(side, ast.Constant) and side.value in (None, "", b"") for side in sides):
            continue
        if not isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            continue
        if isinstance(node.ops[0], ast.In | ast.NotIn) and isinstance(node.left, ast.Constant):
            continue
        names = [name for side in sides if (name := named(side))]
        if any(SECRET.search(name) and not PUBLIC.search(name) for name in names):
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_secret_is_compared_by_equality(path: Path) -> None:
    excused = NO_SECRET.get(str(path.relative_to(ROOT)), ())
    assert [one for one in loose(path.read_text()) if not any(words in one for words in excused)] == []


def test_what_is_excused_is_there() -> None:
    for file, excused in NO_SECRET.items():
        found = list(loose((ROOT / file).read_text()))
        assert all(any(words in one for one in found) for words in excused), file


@pytest.mark.parametrize(
    "source",
    ["signature == given", "x != self._secret", "headers['authorization'] == x", "token in known", "digest(a) == b"],
)
def test_a_loose_comparison_is_found(source: str) -> None:
    assert list(loose(source))


def test_what_tells_nothing_is_let_be() -> None:
    assert not list(loose("token is None or secret == '' or prompt_tokens > 3 or 'secret' in names"))
