"""Logs and metrics: one JSON line a turn, counters for Prometheus; never the text of a message."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from typing import Any, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.conversation.events import Reply

log = logging.getLogger("service.turns")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
SEARCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: event name, level, time, and the facts given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure_logging(level: str = "INFO") -> None:
    """Send all logs to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").setLevel("WARNING")


def short_hash(text: str) -> str:
    """A stable stand-in for an id that must not be in a log."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class TurnIds(Protocol):
    """What a log line says of a turn."""

    @property
    def id(self) -> str:
        """The turn."""
        ...

    @property
    def conversation_id(self) -> str:
        """Its conversation."""
        ...

    @property
    def brand(self) -> str:
        """Its brand."""
        ...

    @property
    def channel(self) -> str:
        """Where it came from."""
        ...


def turn_log(turn: TurnIds, reply: Reply) -> None:
    """The one line of a finished turn."""
    log.info(
        "turn",
        extra={
            "turn": turn.id,
            "conversation": short_hash(turn.conversation_id),
            "brand": turn.brand,
            "channel": turn.channel,
            "outcome": reply.outcome,
            "adapter": reply.adapter["version"],
            "documents": [citation.document for citation in reply.citations],
            **reply.usage,
            "ms": dict(reply.timings_ms),
        },
    )


class Metrics:
    """Everything that `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.turns = Counter("brandvoice_turns", "Finished turns.", ["brand", "channel", "outcome"], registry=r)
        self.turn_failures = Counter("brandvoice_turn_failures", "Failed turns.", ["brand", "code"], registry=r)
        self.turn_seconds = Histogram("brandvoice_turn_seconds", "Whole turn.", ["brand"], buckets=SECONDS, registry=r)
        self.first_seconds = Histogram(
            "brandvoice_first_sentence_seconds", "Until the first shown words.", ["brand"], buckets=SECONDS, registry=r
        )
        self.retrieve_seconds = Histogram(
            "brandvoice_retrieve_seconds", "Search.", ["brand"], buckets=SEARCH_SECONDS, registry=r
        )
        self.prompt_tokens = Counter("brandvoice_prompt_tokens", "Tokens read.", ["brand"], registry=r)
        self.completion_tokens = Counter("brandvoice_completion_tokens", "Tokens written.", ["brand"], registry=r)
        self.dropped_sentences = Counter(
            "brandvoice_dropped_sentences", "Sentences that failed the check.", ["brand"], registry=r
        )
        self.lane_failures = Counter("brandvoice_lane_failures", "Lanes that broke.", registry=r)
        self.taken_over = Counter(
            "brandvoice_turns_taken_over", "Turns that ended here after another gateway took them over.", registry=r
        )
        self.gateways = Gauge("brandvoice_gateways", "Gateways that share the database and live.", registry=r)
        self.buried = Counter("brandvoice_gateways_buried", "Gateways that this one found dead.", registry=r)
        self.webhooks = Counter("brandvoice_webhooks", "Webhook calls.", ["channel", "result"], registry=r)
        self.inbox_repeats = Counter("brandvoice_inbox_repeats", "Messages delivered again.", ["channel"], registry=r)
        self.ignored = Counter(
            "brandvoice_ignored_events", "Events that are no message.", ["channel", "reason"], registry=r
        )
        self.told = Counter(
            "brandvoice_told",
            "What platforms told of our messages, and people changed of theirs.",
            ["channel", "what"],
            registry=r,
        )
        self.unbound = Counter("brandvoice_unbound_events", "Signed events bound to no brand.", ["channel"], registry=r)
        self.deliveries = Counter("brandvoice_deliveries", "Replies to platforms.", ["result"], registry=r)
        self.slowed_down = Counter("brandvoice_slowed_down", "Messages beyond a limit.", ["of"], registry=r)
        self.feedback = Counter("brandvoice_feedback", "Thumbs.", ["brand", "value"], registry=r)
        self.sockets = Gauge("brandvoice_sockets", "Open widget connections.", registry=r)
        self.engine_ready = Gauge("brandvoice_engine_ready", "1 while the engine answers.", registry=r)
        self.engines_ready = Gauge("brandvoice_engines_ready", "Engines that answer.", registry=r)
        self.engine_breaker = Gauge(
            "brandvoice_engine_breaker",
            "0 closed, 1 half-open, 2 open: left alone.",
            ["engine"],
            registry=r,
        )
        self.breaker_opened = Counter("brandvoice_breaker_opened", "Times it opened.", ["engine"], registry=r)
        self.engine_restarts = Counter("brandvoice_engine_restarts", "Times the engine was started again.", registry=r)

    def limited(self, of: str) -> None:
        """A message was refused by the limit of a visitor, an account or everybody."""
        self.slowed_down.labels(of).inc()

    def breaker(self, engine: str, state: Literal["closed", "half-open", "open"]) -> None:
        """An engine's breaker moved."""
        self.engine_breaker.labels(engine).set(("closed", "half-open", "open").index(state))
        if state == "open":
            self.breaker_opened.labels(engine).inc()

    def turn(self, brand: str, channel: str, reply: Reply, seconds: float) -> None:
        """Count a finished turn."""
        self.turns.labels(brand, channel, reply.outcome).inc()
        self.turn_seconds.labels(brand).observe(seconds)
        if "first_sentence" in reply.timings_ms:
            self.first_seconds.labels(brand).observe(reply.timings_ms["first_sentence"] / 1000)
        if "retrieve" in reply.timings_ms:
            self.retrieve_seconds.labels(brand).observe(reply.timings_ms["retrieve"] / 1000)
        self.prompt_tokens.labels(brand).inc(reply.usage["prompt_tokens"])
        self.completion_tokens.labels(brand).inc(reply.usage["completion_tokens"])
        generations = reply.evidence.get("generations")
        if isinstance(generations, list):
            dropped = sum(not s.get("shown", True) for g in generations for s in g.get("sentences", ()))
            self.dropped_sentences.labels(brand).inc(dropped)
