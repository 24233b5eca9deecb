"""The database's tables. Times are UTC; JSON is text in SQLite and json in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMES)
_RUNNING = text("state = 'running'")
_HELD = text("state IN ('waiting', 'person')")
_UNTOLD = text("notified_at IS NULL")
_AT_WORK = text("gateway IS NOT NULL")
_REFUSED = text("outcome = 'refused'")
_IDENTIFIED = text("identity IS NOT NULL")


class Utc(TypeDecorator[datetime]):
    """A moment with its zone: SQLite forgets zones, so they are put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """To UTC, whatever the dialect."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """With its zone."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


gateways = Table(
    "gateways",
    metadata,
    # Made anew at each start, and never used again: a gateway lives as long as its row.
    Column("id", String(32), primary_key=True),
    Column("started_at", Utc, nullable=False),
    # Grows while it lives; whoever watches tells by a clock of their own that it stands still.
    Column("beat", Integer, nullable=False, server_default="0"),
)
conversations = Table(
    "conversations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(40), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("account", String(200), nullable=False),
    Column("external_key", String(300), nullable=False),
    Column("visitor_hash", String(64)),
    Column("created_at", Utc, nullable=False),
    # Who has it; see `service.conversation.takeover`.
    Column("state", String(10), nullable=False, server_default="bot"),
    Column("owner", String(100)),
    # Their account, where they have one: names may be alike, or change.
    Column("owner_id", String(32)),
    Column("state_at", Utc),
    Column("told", Integer, nullable=False, server_default="0"),
    Column("rules_from", Integer, nullable=False, server_default="0"),
    # The gateway that answers what is unanswered, and how often that has changed; see `service.storage.leases`.
    Column("gateway", String(32)),
    Column("fence", Integer, nullable=False, server_default="0"),
    # Of a thread in which a team speaks: the customer's conversation; see `service.people.slack`.
    Column("about", String(64)),
    # Of somebody who is logged in on the brand's site: who they are there; see `service.conversation.visitors`.
    Column("identity", String(200)),
    Index("ix_conversations_about", "about"),
    Index("ix_conversations_identity", "identity", sqlite_where=_IDENTIFIED, postgresql_where=_IDENTIFIED),
    Index("ix_conversations_at_work", "gateway", sqlite_where=_AT_WORK, postgresql_where=_AT_WORK),
    # With the brand: a number that moves to another brand starts anew there, without the old brand's history.
    UniqueConstraint("brand", "channel", "account", "external_key"),
    # Of the few that no bot has.
    Index("ix_conversations_held", "state", sqlite_where=_HELD, postgresql_where=_HELD),
)
turns = Table(
    "turns",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("question", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("text", Text, nullable=False, default=""),
    Column("outcome", String(20)),
    Column("citations", JSON, nullable=False, default=list),
    Column("adapter_version", String(64)),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("timings", JSON),
    Column("evidence", JSON),
    Column("error_code", String(40)),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    # Processes that began it; see `service.conversation.inbox.begin_again`.
    Column("starts", Integer, nullable=False, default=1, server_default="1"),
    # Of a person's message: their name, and the id that its sender gave it.
    Column("author", String(100)),
    Column("author_key", String(100)),
    # Of an answer: the score of its best citation, 0 to 1; 0 where it has none.
    Column("support", Float),
    # Of questions that nobody answered yet; see `service.people.unanswered`.
    Index("ix_turns_refused", "created_at", sqlite_where=_REFUSED, postgresql_where=_REFUSED),
    Index("ix_turns_author_key", "conversation_id", "author_key", unique=True),
    UniqueConstraint("conversation_id", "number"),
    # With all that a walk from the newest turn back must know, so that it reads no rows; see `service.people.listing`.
    Index("ix_turns_created_at", "created_at", "id", "conversation_id", "number"),
    # Of the few that run, so that a lane finds its own at once in the longest conversation.
    Index("ix_turns_running", "conversation_id", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
)
inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("channel", String(20), nullable=False),
    Column("account", String(200), nullable=False),
    Column("message_id", String(300), nullable=False),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("reply_to", JSON, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("turn_id", ForeignKey("turns.id")),
    # Its sender took it back: it stays, so that a repeat of it is still known, and is not answered.
    Column("withdrawn", Boolean, nullable=False, default=False, server_default=false()),
    # Who wrote it on the platform, so that one person among several can be forgotten; unknown of older messages.
    Column("sender", String(300)),
    UniqueConstraint("channel", "account", "message_id"),
    Index("ix_inbox_turn_id", "turn_id"),
    Index("ix_inbox_conversation_id", "conversation_id", "turn_id"),
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("turn_id", ForeignKey("turns.id"), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("app", String(60), nullable=False),
    Column("account", String(200), nullable=False),
    Column("reply_to", JSON, nullable=False),
    Column("text", Text, nullable=False),
    Column("sources", JSON, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", Utc, nullable=False),
    Column("provider_ids", JSON, nullable=False, default=list),
    Column("last_error", Text),
    # The gateway that sends it now, or sent it last.
    Column("gateway", String(32)),
    # The platform's id of a message with the beginning of the reply; see `service.delivery.growing`.
    Column("begun", String(300)),
    UniqueConstraint("turn_id"),
    Index("ix_outbox_due", "state", "next_attempt_at"),
)
# What platforms have of our replies, by their own ids: receipts, echoes and reactions name a message by that.
sent_parts = Table(
    "sent_parts",
    metadata,
    Column("channel", String(20), primary_key=True),
    Column("account", String(200), primary_key=True),
    Column("message_id", String(300), primary_key=True),
    Column("outbox_id", ForeignKey("outbox.id", ondelete="CASCADE"), nullable=False),
    Column("part", Integer, nullable=False),
    # Why the platform could not deliver it after all; see `service.delivery.receipts`.
    Column("failure", JSON(none_as_null=True)),
    Index("ix_sent_parts_outbox_id", "outbox_id"),
)
feedback = Table(
    "feedback",
    metadata,
    Column("turn_id", ForeignKey("turns.id"), primary_key=True),
    Column("value", String(10), nullable=False),
    Column("at", Utc, nullable=False),
)
# What people said was wrong with an answer; see `service.corrections`. Personal data is masked in all texts.
corrections = Table(
    "corrections",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("turn_id", ForeignKey("turns.id"), nullable=False),
    Column("brand", String(40), nullable=False),
    Column("adapter_version", String(64)),
    Column("kind", String(12), nullable=False),
    Column("state", String(10), nullable=False),
    # Grows with each change of the words: who accepted others did not accept these.
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("question", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("corrected", Text),
    Column("outcome", String(20)),
    Column("documents", JSON, nullable=False, default=list),
    # What was said before, and the whole prompt, where they were kept.
    Column("history", JSON, nullable=False, default=list),
    Column("prompt", JSON(none_as_null=True)),
    Column("why", Text, nullable=False),
    # Of a wrong fact: the page, the digest of the text that was edited, all that it shall say, what an answer holds.
    Column("document", Text),
    Column("document_sha256", String(64)),
    Column("document_text", Text),
    Column("holds", JSON, nullable=False, default=list),
    Column("knowledge_version", String(64)),
    # Of a missed hand-over: the words that call for a person.
    Column("keyword", Text),
    Column("masked", Integer, nullable=False, server_default="0"),
    Column("proposed_by", String(100), nullable=False),
    # The account's id, or the name of who has none: tells people apart.
    Column("proposed_key", String(100), nullable=False),
    Column("proposed_at", Utc, nullable=False),
    Column("decided_at", Utc),
    Index("ix_corrections_turn_id", "turn_id"),
    Index("ix_corrections_queue", "brand", "state", "proposed_at"),
)
correction_reviews = Table(
    "correction_reviews",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("correction_id", ForeignKey("corrections.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("by", String(100), nullable=False),
    Column("key", String(100), nullable=False),
    Column("accepts", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Utc, nullable=False),
    UniqueConstraint("correction_id", "revision", "key"),
)
handoffs = Table(
    "handoffs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(40), nullable=False),
    Column("conversation_id", ForeignKey("conversations.id")),
    Column("turn_id", ForeignKey("turns.id")),
    Column("reason", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("notified_at", Utc),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", Utc),
    Column("summary", JSON),
    Column("taken_by", String(100)),
    Column("taken_at", Utc),
    Column("closed_at", Utc),
    UniqueConstraint("turn_id"),
    Index("ix_handoffs_conversation_id", "conversation_id"),
)
files = Table(
    "files",
    metadata,
    # Of visitors of the widget; what is in them lies in the state folder, see `service.conversation.files`.
    Column("id", String(64), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    # None until a message takes it along.
    Column("inbox_id", ForeignKey("inbox.id")),
    Column("name", String(200), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("size", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Index("ix_files_conversation_id", "conversation_id"),
    Index("ix_files_inbox_id", "inbox_id"),
    Index("ix_files_digest", "digest"),
)
tombstones = Table(
    "tombstones",
    metadata,
    # Digest of a message that was deleted: its platform may deliver it again until then, and it must not come back.
    Column("digest", String(64), primary_key=True),
    Column("until", Utc, nullable=False),
    Index("ix_tombstones_until", "until"),
)
# Refused questions that somebody has seen to: by a page that answers them, or because no page ever will.
settled_questions = Table(
    "settled_questions",
    metadata,
    Column("turn_id", ForeignKey("turns.id"), primary_key=True),
    Column("by", String(100), nullable=False),
    Column("at", Utc, nullable=False),
    # Of the knowledge base; none where the question was set aside.
    Column("document", String(300)),
)
canned_replies = Table(
    "canned_replies",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(40), nullable=False),
    Column("title", String(100), nullable=False),
    Column("text", Text, nullable=False),
    Column("changed_by", String(100), nullable=False),
    Column("changed_at", Utc, nullable=False),
    UniqueConstraint("brand", "title"),
)
transitions = Table(
    "transitions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("was", String(10), nullable=False),
    Column("became", String(10), nullable=False),
    Column("by", String(100), nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Index("ix_transitions_conversation_id", "conversation_id"),
)
hooks = Table(
    "hooks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("turn_id", ForeignKey("turns.id")),
    Column("data", JSON, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("notified_at", Utc),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", Utc, nullable=False),
    Index("ix_hooks_due", "next_attempt_at", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    Index("ix_hooks_conversation_id", "conversation_id"),
    Index("ix_hooks_turn_id", "turn_id"),
)
# Trainings that were started in the console or by the API; see `service.trainings`.
training_jobs = Table(
    "training_jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(40), nullable=False),
    Column("state", String(12), nullable=False),
    # What runs, or ran last: the training, or the gate's questions about what came of it.
    Column("step", String(8), nullable=False),
    Column("choice", JSON, nullable=False),
    # What it learnt from, counted when it began.
    Column("data", JSON, nullable=False),
    Column("version", String(64)),
    Column("run", String(200)),
    # The process, known by number and beginning, on which machine.
    Column("host", String(200), nullable=False),
    Column("pid", Integer),
    Column("pid_began", String(100)),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("error", Text),
    Column("started_by", String(100), nullable=False),
    Column("started_at", Utc, nullable=False),
    # Of the attempt that runs, or ran last.
    Column("attempt_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("discarded_by", String(100)),
    Index("ix_training_jobs_brand", "brand", "started_at"),
)
# Files and pages that are taken into a brand's knowledge; see `service.intake`.
knowledge_jobs = Table(
    "knowledge_jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("brand", String(40), nullable=False),
    Column("kind", String(10), nullable=False),
    # The address; of files, the first one's name.
    Column("source", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("step", String(10), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer),
    Column("at", Text, nullable=False),
    Column("results", JSON, nullable=False),
    # Of the knowledge, once it was taken in.
    Column("version", String(64)),
    Column("error", Text),
    # Somebody wants it to stop; the gateway that runs it looks here.
    Column("stopping", Boolean, nullable=False, default=False, server_default=false()),
    Column("gateway", String(64), nullable=False),
    Column("started_by", String(100), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Index("ix_knowledge_jobs_brand", "brand", "started_at"),
)
installations = Table(
    "installations",
    metadata,
    Column("channel", String(20), primary_key=True),
    Column("app", String(60), primary_key=True),
    Column("account", String(200), primary_key=True),
    Column("brand", String(40), nullable=False),
    Column("name", Text, nullable=False),
    # Encrypted: see service/sealing.py.
    Column("secrets", Text, nullable=False),
    Column("installed_at", Utc, nullable=False),
    Column("ends_at", Utc),
    # Until then another gateway renews the secrets, which can be done once only.
    Column("renewing_until", Utc),
)
used_states = Table(
    "used_states",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", Utc, nullable=False),
)
unbound_events = Table(
    "unbound_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("channel", String(20), nullable=False),
    Column("app", String(60), nullable=False),
    Column("account", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("received_at", Utc, nullable=False),
)

# Written out, not bound, so that both databases see that the index of running turns fits.
is_running = turns.c.state == literal_column("'running'")
