"""What people do after they wrote: they change a message, take it back, or put a thumb on an answer."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from channels.base import Edit, Reaction
from service.conversation import feedback
from service.storage.database import Database, now, storable
from service.storage.tables import conversations, inbox, outbox, sent_parts, turns


async def take_edits(db: Database, channel: str, edits: Sequence[Edit]) -> tuple[list[str], int]:
    """Change messages that nobody has answered yet, or take them out; what is answered stays as it was answered.

    Of a turn that runs, the question changes; its lane must begin it anew. A turn of which nothing is left ends.

    Args:
        db: Holds the messages.
        channel: Of all of them.
        edits: In their order; `text` is what may be stored.

    Returns:
        Conversations with something changed, and how many edits came too late or were of no message we know.
    """

    def work(connection: Connection) -> tuple[list[str], int]:
        changed = [_edit(connection, channel, one) for one in edits]
        found = [one for one in changed if one is not None]
        return list(dict.fromkeys(found)), len(changed) - len(found)

    return await db.write(work, urgent=True)


def _edit(connection: Connection, channel: str, edit: Edit) -> str | None:
    key = {"channel": channel, "account": storable(edit.account), "message_id": storable(edit.message_id)}
    # As with every message of a conversation: its row is locked, so that no turn takes the message meanwhile.
    connection.execute(_LOCKED, key)
    message = connection.execute(_MESSAGE, key).one_or_none()
    if message is None or message.turn_state not in (None, "running"):
        return None
    change = {"withdrawn": True} if edit.text is None else {"text": storable(edit.text)}
    connection.execute(update(inbox).where(inbox.c.id == message.id).values(**change))
    if message.turn_id is not None:
        _ask_anew(connection, message.turn_id)
    return str(message.conversation_id)


def _ask_anew(connection: Connection, turn: str) -> None:
    """Make the question of a running turn of the messages that are left of it."""
    left = connection.execute(_LEFT, {"turn": turn}).scalars().all()
    question = "\n".join(text for text in left if text)
    change = {"question": question} if left else {"state": "withdrawn", "finished_at": now()}
    connection.execute(update(turns).where(turns.c.id == turn, turns.c.state == "running").values(**change))


async def take_reactions(db: Database, channel: str, app: str, reactions: Sequence[Reaction]) -> list[str | None]:
    """Keep thumbs on messages of ours as feedback on their turns; a thumb taken back is taken back.

    Args:
        db: Holds the replies.
        channel: Whose webhook they came by.
        app: Its app.
        reactions: In their order.

    Returns:
        The brand that spoke, for each; None where the message is none of our replies.
    """
    return await db.write(lambda connection: [_react(connection, channel, app, one) for one in reactions], urgent=True)


def _react(connection: Connection, channel: str, app: str, reaction: Reaction) -> str | None:
    key = {
        "channel": channel,
        "app": app,
        "account": storable(reaction.account),
        "message_id": storable(reaction.message_id),
    }
    found = connection.execute(_ANSWERED, key).one_or_none()
    if found is None:
        return None
    feedback.keep(connection, found.turn_id, reaction.value)
    return str(found.brand)


_ITS_KEY = tuple(inbox.c[name] == bindparam(name) for name in ("channel", "account", "message_id"))
_LOCKED = (
    select(conversations.c.id)
    .where(conversations.c.id.in_(select(inbox.c.conversation_id).where(*_ITS_KEY)))
    .with_for_update()
)
_MESSAGE = (
    select(inbox.c.id, inbox.c.conversation_id, inbox.c.turn_id, turns.c.state.label("turn_state"))
    .outerjoin(turns, turns.c.id == inbox.c.turn_id)
    .where(*_ITS_KEY)
)
_LEFT = select(inbox.c.text).where(inbox.c.turn_id == bindparam("turn"), ~inbox.c.withdrawn).order_by(inbox.c.id)
_ANSWERED = (
    select(outbox.c.turn_id, conversations.c.brand)
    .join(sent_parts, sent_parts.c.outbox_id == outbox.c.id)
    .join(turns, turns.c.id == outbox.c.turn_id)
    .join(conversations, conversations.c.id == turns.c.conversation_id)
    .where(
        *(sent_parts.c[name] == bindparam(name) for name in ("channel", "account", "message_id")),
        outbox.c.app == bindparam("app"),
        # A team's thumb on what is told to them is none on an answer.
        conversations.c.about.is_(None),
    )
)
