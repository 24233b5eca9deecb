"""The widget's WebSocket: what its reader lacks first, then what changes; sends are idempotent by `client_id`."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping
from typing import Any, Literal

import orjson
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from channels.base import InboundMessage
from configs.brand import Brand
from service.bootstrap import Gateway
from service.conversation import feedback
from service.conversation import store as conversations
from service.conversation.files import MEDIA_TYPES
from service.errors import AccessDenied, Busy, ConversationUnknown, RequestInvalid, ServiceError
from service.security import brand_of_site, origin_allowed
from service.turns.hub import Subscription

MAX_FRAME_BYTES = 64 * 1024
HELLO_S = 10.0
RENEW_S = 3600.0
"""Age at which a token is made anew while its page stays open."""
MAX_TOKEN = 500
CLIENT_ID = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
BAD_SITE_KEY, BAD_ORIGIN, TOO_BIG, RESTARTING, TRY_LATER = 4401, 4403, 1009, 1012, 1013


def chat_router(gateway: Gateway) -> APIRouter:
    """The route `/ws/chat`."""
    router = APIRouter()

    @router.websocket("/ws/chat")
    async def chat(socket: WebSocket) -> None:
        origin = socket.headers.get("origin")
        host = socket.headers.get("host")
        listed = any(origin_allowed(brand, origin, host) for brand in gateway.config.brands.values())
        await socket.accept()
        if not listed:
            await socket.close(BAD_ORIGIN, "origin not allowed")
            return
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await _Session(gateway, socket).run(origin, host)

    return router


class _Session:
    """One open socket."""

    def __init__(self, gateway: Gateway, socket: WebSocket) -> None:
        self._gateway = gateway
        self._socket = socket
        self._brand: Brand
        self._conversation = ""
        self._visitor = ""
        self._renew_at = 0.0

    async def run(self, origin: str | None, host: str | None) -> None:
        try:
            async with asyncio.timeout(HELLO_S):
                hello = await self._receive()
        except TimeoutError:
            await self._socket.close(1008, "no hello")
            return
        if hello is None or hello.get("type") != "hello":
            await self._error("bad_frame", "The first frame must be a hello.")
            await self._socket.close(1008, "no hello")
            return
        try:
            self._brand = brand_of_site(self._gateway.config.brands, hello.get("site_key"))
        except AccessDenied as error:
            await self._error("unknown_site", str(error))
            await self._socket.close(BAD_SITE_KEY, "unknown site key")
            return
        if not origin_allowed(self._brand, origin, host):
            await self._error("bad_origin", "This page may not open this brand's chat.")
            await self._socket.close(BAD_ORIGIN, "origin not allowed")
            return
        visitors, brand = self._gateway.visitors, self._brand.name
        opened = await conversations.open_visitor_conversation(
            self._gateway.db,
            brand,
            _text(hello, "conversation"),
            visitors.visitor(brand, _text(hello, "visitor", MAX_TOKEN)),
            await self._identity(hello.get("identity")),
        )
        self._conversation, self._visitor = opened.id, opened.visitor
        # Subscribe before the snapshot is read, so that nothing falls between the two; what then is in both is
        # idempotent by turn and index, and tokens, which are not, are dropped from what waits.
        with self._gateway.hub.subscribe(opened.id) as subscription:
            after = None if opened.created else _text(hello, "after")
            await self._send(await self._welcome(after, subscription))
            sender = asyncio.create_task(self._forward(subscription))
            reader = asyncio.create_task(self._read())
            done, pending = await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            for task in done:
                failure = task.exception()
                if failure is not None and not isinstance(failure, WebSocketDisconnect):
                    raise failure

    async def _identity(self, claim: object) -> str | None:
        """Who the brand's site says that this is; a claim that does not hold opens what anybody may open."""
        if not isinstance(claim, dict):
            return None
        try:
            return self._gateway.visitors.identity(self._brand.name, claim)
        except AccessDenied as error:
            await self._error("bad_identity", str(error))
            return None

    def _token(self) -> str:
        self._renew_at = time.monotonic() + RENEW_S
        return self._gateway.visitors.token(self._brand.name, self._visitor)

    async def _forward(self, subscription: Subscription) -> None:
        while True:
            for frame in await subscription.next():
                if frame is None:
                    await self._socket.close(RESTARTING, "restarting")
                    return
                await self._send(frame)
            if subscription.overrun:
                await self._socket.close(TRY_LATER, "too slow; reconnect for a snapshot")
                return

    async def _read(self) -> None:
        handlers = {
            "message": self._message,
            "stop": self._stop,
            "feedback": self._feedback,
            "to_assistant": self._to_assistant,
            "ping": self._ping,
        }
        while True:
            frame = await self._receive()
            if frame is None:
                continue
            handler = handlers.get(str(frame.get("type")))
            if handler is None:
                await self._error("bad_frame", f"Unknown frame type. Known: {', '.join(handlers)}.")
                continue
            try:
                await handler(frame)
            except RequestInvalid as error:
                await self._error(error.code, str(error), frame.get("client_id"))
            except Busy as error:
                await self._error(error.code, str(error), frame.get("client_id"), retry_after_s=error.retry_after_s)
            except ServiceError as error:
                await self._error(error.code, str(error), frame.get("client_id"))

    async def _message(self, frame: Mapping[str, Any]) -> None:
        client_id = frame.get("client_id")
        if not isinstance(client_id, str) or not CLIENT_ID.match(client_id):
            raise RequestInvalid("A message needs a client_id of 8 to 64 letters and digits.", code="bad_frame")
        files = self._files_of(frame)
        text = "" if files and not frame.get("text") else self._gateway.clean_text(frame.get("text"))
        self._gateway.lanes.admit()
        self._gateway.limits.take(account=self._brand.name, visitor=self._conversation)
        accepted = await self._gateway.lanes.accept(
            self._brand.name,
            InboundMessage(
                channel="web",
                account=self._brand.name,
                message_id=f"{self._conversation}:{client_id}",
                conversation_key=self._conversation,
                sender=self._conversation,
                text=text,
                files=files,
            ),
        )
        await self._send({"type": "accepted", "client_id": client_id, "turn": None})
        if accepted.duplicate:
            self._gateway.metrics.inbox_repeats.labels("web").inc()

    def _files_of(self, frame: Mapping[str, Any]) -> tuple[str, ...]:
        """Ids of files that a message takes along."""
        rules, files = self._brand.widget.files, frame.get("files") or []
        if not isinstance(files, list) or not all(isinstance(one, str) and len(one) <= 64 for one in files):
            raise RequestInvalid("Files of a message are a list of ids.", code="bad_frame")
        if len(files) > (rules.max_count if rules else 0):
            raise RequestInvalid("A message may not take so many files along.", code="too_many_files")
        return tuple(files)

    def _taken(self) -> dict[str, Any]:
        """What files this visitor may bring, and the ticket for it; nothing where the brand takes none."""
        rules = self._brand.widget.files
        if rules is None:
            return {}
        ticket = self._gateway.visitors.ticket(self._brand.name, self._conversation)
        types = [MEDIA_TYPES[kind].partition(";")[0] for kind in rules.kinds]
        most = {"max_bytes": int(rules.max_mb * 1_000_000), "max_count": rules.max_count}
        return {"files": {"ticket": ticket, "types": types, **most}}

    async def _feedback(self, frame: Mapping[str, Any]) -> None:
        value: Literal["up", "down"] | None
        match frame.get("value"):
            case "up":
                value = "up"
            case "down":
                value = "down"
            case None:
                value = None
            case _:
                raise RequestInvalid("Feedback is up, down or null.", code="bad_frame")
        turn = str(frame.get("turn"))
        try:
            await feedback.set_feedback(self._gateway.db, turn, value, conversation_id=self._conversation)
        except ConversationUnknown as error:
            raise RequestInvalid(str(error), code="bad_frame") from error
        self._gateway.metrics.feedback.labels(self._brand.name, value or "taken_back").inc()
        await self._send({"type": "feedback", "turn": turn, "value": value})

    async def _to_assistant(self, _: Mapping[str, Any]) -> None:
        """The visitor waits for a person no longer."""
        await self._gateway.desk.leave_queue(self._conversation)

    async def _stop(self, frame: Mapping[str, Any]) -> None:
        # No answer of its own: the turn ends with a reply, for all who watch it.
        self._gateway.member.stop(self._conversation, str(frame.get("turn")))

    async def _ping(self, _: Mapping[str, Any]) -> None:
        renewed = {"visitor": self._token(), **self._taken()} if time.monotonic() > self._renew_at else {}
        await self._send({"type": "pong", **renewed})

    async def _turns(self, after: str | None, subscription: Subscription) -> tuple[list[dict[str, Any]], bool]:
        """The conversation so far, or what is new since `after`; what its running turn says next comes by itself."""
        gateway, conversation = self._gateway, self._conversation
        views, resumed = await conversations.transcript(gateway.db, conversation, after=after)
        if not any(view.state in ("running", "pending") for view in views):
            return [conversations.to_json(view) for view in views], resumed
        so_far = await gateway.hub.so_far(conversation, subscription)
        if so_far is None or so_far.turn not in {view.id for view in views}:
            # What ran may have ended between the two looks, at another gateway.
            views, resumed = await conversations.transcript(gateway.db, conversation, after=after)
        turns = [conversations.to_json(view) for view in views]
        for turn in turns:
            if so_far and turn["turn"] == so_far.turn and turn["state"] == "running":
                turn |= {"sentences": so_far.sentences, "text": so_far.text, "status": so_far.state}
        return turns, resumed

    async def _welcome(self, after: str | None, subscription: Subscription) -> dict[str, Any]:
        brand, (turns, resumed) = self._brand, await self._turns(after, subscription)
        return {
            "type": "welcome",
            "visitor": self._token(),
            "conversation": self._conversation,
            "brand": {
                "name": brand.name,
                "display_name": brand.display_name,
                "language": brand.language,
                "greeting": brand.words.greeting,
                "starters": list(brand.widget.starters),
                "theme": {"accent": brand.theme.accent, "font": brand.theme.font},
            },
            "engine": self._gateway.engine.state,
            **self._taken(),
            "with": await conversations.holder(self._gateway.db, self._conversation),
            "resumed": resumed,
            "turns": turns,
        }

    async def _receive(self) -> dict[str, Any] | None:
        """The next frame as an object; a bad one is answered with an error and gives None."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1000)
        data = message.get("text")
        if data is None:
            await self._error("bad_frame", "Frames are JSON text, not binary.")
            return None
        if len(data) > MAX_FRAME_BYTES:
            await self._error("too_long", f"A frame holds at most {MAX_FRAME_BYTES // 1024} kB.")
            return None
        try:
            frame = orjson.loads(data)
        except orjson.JSONDecodeError:
            await self._error("bad_json", "This frame is not JSON.")
            return None
        if not isinstance(frame, dict):
            await self._error("bad_json", "A frame is a JSON object.")
            return None
        return frame

    async def _error(
        self, code: str, message: str, client_id: object = None, *, retry_after_s: int | None = None
    ) -> None:
        frame: dict[str, Any] = {"type": "error", "code": code, "message": message}
        if retry_after_s is not None:
            frame["retry_after_s"] = retry_after_s
        if isinstance(client_id, str):
            frame["client_id"] = client_id[:64]
        await self._send(frame)

    async def _send(self, frame: Mapping[str, Any]) -> None:
        await self._socket.send({"type": "websocket.send", "text": orjson.dumps(frame).decode()})


def _text(frame: Mapping[str, Any], key: str, most: int = 200) -> str | None:
    value = frame.get(key)
    return value if isinstance(value, str) and 0 < len(value) <= most else None
