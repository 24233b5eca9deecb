"""A model for tests: an HTTP server on a port of its own that speaks the chat completions of OpenAI."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = str | tuple[int, Mapping[str, str], str]
"""What the model says; or a status, headers and a body as they stand."""


@dataclass
class FakeEngine:
    """What was asked, and where."""

    url: str = ""
    models: tuple[str, ...] = ("tiny",)
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies, in the order in which they came."""
    keys: list[str | None] = field(default_factory=list)
    """The `Authorization` of each."""


@contextmanager
def fake_engine(
    say: Callable[[dict[str, Any]], Answer], *, models: tuple[str, ...] = ("tiny",)
) -> Iterator[FakeEngine]:
    """Serve until the end of the block.

    Args:
        say: Gets the body of a request for a completion.
        models: Names that it lists.
    """
    engine = FakeEngine(models=models)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"object": "list", "data": [{"id": name} for name in models]})
            self._answer(200, {}, body) if self.path == "/v1/models" else self._answer(404, {}, "no such page")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/v1/chat/completions":
                self._answer(404, {}, "no such page")
                return
            with lock:
                engine.requests.append(body)
                engine.keys.append(self.headers.get("authorization"))
            said = say(body)
            if isinstance(said, str):
                message = {"role": "assistant", "content": said}
                said = (200, {}, json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
            self._answer(*said)

        def _answer(self, status: int, headers: Mapping[str, str], body: str) -> None:
            sent = body.encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            # A client that was stopped does not wait for its answer.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    engine.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
