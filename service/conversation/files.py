"""Files that visitors of the widget send along: told by what is in them, kept outside the database, named by digest.

A file is uploaded first and belongs to its conversation; a message then takes it along. What is stored under a digest
is shared by all rows of a brand that name it, and goes with the last of them (`service.keeping.attachments`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from configs.brand import FileKind, Files
from configs.home import Home
from service.errors import ConversationUnknown, RequestInvalid
from service.storage.database import Database, now, storable
from service.storage.ids import fresh_id
from service.storage.tables import files, inbox

MEDIA_TYPES: Mapping[FileKind, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "text": "text/plain; charset=utf-8",
}
MOST_OF_A_CONVERSATION = 50
MAX_NAME = 200
_MAGIC: tuple[tuple[FileKind, bytes], ...] = (
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("jpeg", b"\xff\xd8\xff"),
    ("gif", b"GIF87a"),
    ("gif", b"GIF89a"),
    ("pdf", b"%PDF-"),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is kept."""

    id: str
    name: str
    kind: FileKind
    size: int
    path: Path

    def to_json(self) -> dict[str, Any]:
        """As the widget and the people's side show it."""
        return {"id": self.id, "name": self.name, "kind": self.kind, "size": self.size}


def kind_of(content: bytes) -> FileKind | None:
    """What a file is by its first bytes, or text where all of it is UTF-8 without control characters.

    Source: the WHATWG's MIME Sniffing standard, 6.1 (images) and 7.1 (text, PDF), read 2026-11.
    """
    for kind, magic in _MAGIC:
        if content.startswith(magic):
            return kind
    if content[:4] == b"RIFF" and content[8:14] == b"WEBPVP":
        return "webp"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "text" if text and not any(letter < " " and letter not in "\t\n\r\f\x1b" for letter in text) else None


def path_of(home: Home, brand: str, digest: str) -> Path:
    """Where what has this digest lies."""
    return home.files / brand / digest


async def keep(
    db: Database, home: Home, rules: Files, brand: str, conversation: str, name: str, content: bytes
) -> Stored:
    """Keep a file that no message has taken along yet.

    Args:
        db: Holds its row.
        home: Holds what is in it.
        rules: The brand's.
        brand: Whose.
        conversation: Of the visitor who sends it.
        name: As their machine calls it.
        content: What is in it.

    Raises:
        RequestInvalid: The brand does not take it, or there are too many.
    """
    kind = kind_of(content)
    if kind not in rules.kinds:
        told = f"it is {kind}" if kind else "it is none of these"
        raise RequestInvalid(f"Files may be {', '.join(rules.kinds)}; by what is in this one, {told}.", code="bad_file")
    digest = hashlib.sha256(content).hexdigest()
    clean = "".join(letter for letter in name if letter.isprintable() and letter not in '/\\<>:"|?*').strip(" .")
    row = {"id": fresh_id(16), "conversation_id": conversation, "kind": kind, "size": len(content)}
    row |= {"name": storable(clean[-MAX_NAME:]) or "file", "digest": digest, "created_at": now()}

    def store(connection: Connection) -> None:
        mine = files.c.conversation_id == conversation
        count = connection.execute(select(func.count()).select_from(files).where(mine)).scalar_one()
        unsent = select(func.count()).select_from(files).where(mine, files.c.inbox_id.is_(None))
        # As many again as one message takes: a visitor may have changed their mind.
        if count >= MOST_OF_A_CONVERSATION or connection.execute(unsent).scalar_one() >= 2 * rules.max_count:
            raise RequestInvalid("There are too many files in this conversation already.", code="too_many_files")
        connection.execute(files.insert(), row)

    # The row first: what no row names may be deleted at any time.
    await db.write(store)
    path = path_of(home, brand, digest)
    _put(path, content)
    return Stored(row["id"], row["name"], kind, len(content), path)  # type: ignore[arg-type]


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Temporary files are for their owner only.
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".new-", delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)


async def find(db: Database, home: Home, brand: str, conversation: str, file: str) -> Stored:
    """A file of this conversation.

    Raises:
        ConversationUnknown: It has no such file.
    """
    query = select(files).where(files.c.id == file, files.c.conversation_id == conversation)
    row = await db.read(lambda connection: connection.execute(query).one_or_none())
    path = path_of(home, brand, row.digest) if row else None
    if row is None or path is None or not path.is_file():
        raise ConversationUnknown(f"There is no file {file!r} in this conversation.")
    return Stored(row.id, row.name, row.kind, row.size, path)


def attach(connection: Connection, conversation: str, message: Mapping[str, Any], ids: Collection[str]) -> None:
    """A message takes files along that its own conversation has, and no other message took."""
    key = [inbox.c[name] == message[name] for name in ("channel", "account", "message_id")]
    of_message = select(inbox.c.id).where(*key).scalar_subquery()
    mine = files.c.id.in_(ids) & (files.c.conversation_id == conversation) & files.c.inbox_id.is_(None)
    connection.execute(update(files).where(mine).values(inbox_id=of_message))


def came_with(connection: Connection, messages: Sequence[int]) -> bool:
    """Whether a message took one along."""
    query = select(files.c.id).where(files.c.inbox_id.in_(messages)).limit(1)
    return connection.execute(query).first() is not None


def by_turn(connection: Connection, conversation: str) -> dict[str, list[dict[str, Any]]]:
    """What came with each turn's question."""
    return _grouped(connection, conversation, inbox.c.turn_id)


def by_message(connection: Connection, conversation: str) -> dict[int, list[dict[str, Any]]]:
    """What came with each message."""
    return _grouped(connection, conversation, inbox.c.id)


def _grouped(connection: Connection, conversation: str, key: Any) -> dict[Any, list[dict[str, Any]]]:
    query = (
        select(files, key.label("key"))
        .join(inbox, inbox.c.id == files.c.inbox_id)
        .where(files.c.conversation_id == conversation)
        .order_by(files.c.created_at)
    )
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in connection.execute(query).all():
        found.setdefault(row.key, []).append(_shown(row))
    return found


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "kind": row.kind, "size": row.size}
