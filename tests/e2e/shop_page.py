"""A shop's own site for browser tests: another origin than the gateway, with a policy as strict as a careful shop's."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.gateway_process import gateway_process

SITE_KEY = "pk_velmora0a7c41d93e5f"
IDENTITY_SECRET = "shop-page-identity-secret-0123456789"
SERVE = """
import json
import sys
from dataclasses import replace
from pathlib import Path
import pytest
from tests.unit.service import standing
from configs.brand import Files
from configs.home import Home
from configs.service import Secret, Visitors
from service.starting.serve import run, serve
standing.furnish(pytest.MonkeyPatch())
folder, origins, _, engine, _, port = sys.argv[1:]
config = standing.configured(engine, int(port))
brand = config.brands["velmora"]
taken = Files(max_mb=0.05, max_count=2)
widget = brand.widget.model_copy(update={"origins": tuple(json.loads(origins)), "files": taken})
settings = config.service.model_copy(
    update={"visitors": Visitors(identity={"velmora": Secret(env="VELMORA_IDENTITY")})}
)
brands = {**config.brands, "velmora": brand.model_copy(update={"widget": widget})}
run(serve(replace(config, service=settings, brands=brands), Home(Path(folder))))
"""


TYPES = {".js": "text/javascript", ".css": "text/css"}


@dataclass
class Site:
    """A listening site; what it shows, and under which Content-Security-Policy, may be changed while it runs."""

    url: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    policy: str = ""


@contextlib.contextmanager
def site(pages: Mapping[str, str]) -> Iterator[Site]:
    """Serve pages by path."""
    served = Site(pages=dict(pages))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = served.pages.get(self.path)
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", TYPES.get(Path(self.path).suffix, "text/html"))
            self.send_header("Content-Security-Policy", served.policy)
            self.end_headers()
            self.wfile.write((page or "").encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def chatting(home: Path, origins: list[str]) -> Iterator[str]:
    """The address of a gateway whose engine plays one, open to these origins."""
    words = ("-c", SERVE, str(home), json.dumps(origins))
    with gateway_process(home / "log", words, FAKE_TOKENS="24", VELMORA_IDENTITY=IDENTITY_SECRET) as url:
        yield url


def policy(gateway: str) -> str:
    """What a careful shop allows: itself, and the gateway for the script and the socket."""
    socket = gateway.replace("http", "ws")
    return (
        f"default-src 'none'; script-src 'self' {gateway}; style-src 'self'; img-src 'self'; "
        f"connect-src {gateway} {socket}; base-uri 'none'; form-action 'none'"
    )
