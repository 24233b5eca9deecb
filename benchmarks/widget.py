"""What the widget costs a page, beside deep-chat and Chainlit's copilot: bytes, requests, shift, time; and axe.

    npm pack deep-chat && tar xzf deep-chat-*.tgz                        # gives the folder package/
    pip download --no-deps chainlit && python -m zipfile -e chainlit-*.whl chainlit/
    python -m benchmarks.widget --deep-chat package --chainlit chainlit [--runs 5] [--out benchmarks/results/FILE.md]

One page of a shop, served by one server from 127.0.0.1, everything compressed with gzip -9, in headless Chromium with
a processor slowed down to a fourth. The page is loaded anew, without a cache, in turns: without a chat, with each of
them, and again. A chat is there when its launcher, or the chat itself, has a size on the screen. Our widget talks to a
gateway whose engine plays one; the others bring no server along, so that nothing is claimed of what they do after they
are there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, sync_playwright

from benchmarks.gateway_process import UNDER_TEST, gateway_process
from configs.load import load_config

SLOWER = 4
"""Times that the processor is slowed down, as for a middling phone."""
QUESTION = "How long do I have to return an unopened item?"
WITHIN_MS = 60_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A shop</title>
<meta name="viewport" content="width=device-width"><script src="/watch.js"></script>{head}</head>
<body><main><h1>A shop</h1>{paragraphs}{body}</main></body></html>"""
PARAGRAPHS = "".join(f"<h2>Ware {n}</h2><p>{'Leather, silk and wool, made by hand. ' * 12}</p>" for n in range(30))
WATCH = """
window.shift = 0; window.blocked = 0;
new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shift += one.value; })
  .observe({type: 'layout-shift', buffered: true});
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.blocked += Math.max(0, one.duration - 50);
}).observe({type: 'longtask', buffered: true});
window.seen = (root, find) => {
  const node = find(root);
  return Boolean(node && node.getBoundingClientRect().width && node.getBoundingClientRect().height);
};
"""


@dataclass(frozen=True)
class Subject:
    """A chat on the page."""

    name: str
    head: str = ""
    body: str = ""
    find: str = ""
    """JavaScript: the node that shows that the chat is there; none without a chat."""
    open: str = ""
    """JavaScript that opens it."""


@dataclass
class Visit:
    """One load of the page."""

    bytes: int = 0
    """Compressed, of all that the chat asked for."""
    raw: int = 0
    requests: int = 0
    strangers: int = 0
    """Requests to other hosts."""
    shift: float = 0.0
    load_ms: float = 0.0
    there_ms: float | None = None
    blocked_ms: float = 0.0
    script_ms: float = 0.0
    heap_mb: float = 0.0
    axe: dict[str, int | None] = field(default_factory=dict)


class Shelf:
    """What the server serves, by path."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}

    def put(self, path: str, content: str | bytes, kind: str = "text/html") -> None:
        """Lay a file there, compressed."""
        self.files[path] = (kind, gzip.compress(content.encode() if isinstance(content, str) else content, 9))


@contextmanager
def serving(shelf: Shelf) -> Iterator[str]:
    """The address of a server of these files."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """One file."""
            kind, content = shelf.files.get(self.path.partition("?")[0], ("text/plain", b""))
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", kind)
            if content:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def gateway(origin: str) -> Iterator[str]:
    """The address of a gateway that this site may use, in front of an engine that plays one."""
    with tempfile.TemporaryDirectory(prefix="brandvoice-widget-") as home:
        words = (*UNDER_TEST, "--home", home, "--encoder", "hash", "--origin", origin)
        with gateway_process(Path(home) / "log", words, FAKE_TOKENS="24", FAKE_PACE_MS="20") as url:
            yield url


def visit(browser: Browser, url: str, subject: Subject, *, with_axe: bool) -> Visit:
    """Load the page once, wait until the chat is there and all is quiet, and look."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page, found = context.new_page(), Visit()
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(url, wait_until="load", timeout=WITHIN_MS)
    found.load_ms = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
    if subject.find:
        page.wait_for_function(f"seen(document, {subject.find})", timeout=WITHIN_MS, polling=10)
        found.there_ms = page.evaluate("performance.now()")
    with suppress(Exception):
        page.wait_for_load_state("networkidle", timeout=5_000)
    page.wait_for_timeout(1_000)
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    found.script_ms, found.heap_mb = metrics["ScriptDuration"] * 1000, metrics["JSHeapUsedSize"] / 2**20
    found.shift, found.blocked_ms = page.evaluate("[shift, blocked]")
    for request in asked:
        if request.url.split("?")[0] in (url, f"{url.rpartition('/')[0]}/watch.js") or request.url.startswith("data:"):
            continue
        found.requests += 1
        found.strangers += not request.url.startswith("http://127.0.0.1:")
        with suppress(Exception):
            body = request.response().body()  # type: ignore[union-attr]
            found.raw += len(body)
            found.bytes += len(gzip.compress(body, 9))
    if with_axe:
        session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        found.axe = {scheme: violations(page, subject, scheme) for scheme in ("light", "dark")}
    context.close()
    return found


def violations(page: Page, subject: Subject, scheme: str) -> int | None:
    """What axe finds in the chat, open, in a scheme; the page around it is left out."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    if subject.open and scheme == "light":
        page.evaluate(subject.open)
        page.wait_for_timeout(2_000)
    found = Axe().run(page, options={"rules": {"region": {"enabled": False}}})
    own = [
        one["id"]
        for one in found.response["violations"]
        for node in one["nodes"]
        if subject.name == "no chat" or "main" not in str(node["target"]) or "chat" in str(node["target"])
    ]
    return len(set(own))


def frames(browser: Browser, url: str, runs: int) -> dict[str, list[float]]:
    """Of our widget, in milliseconds: from the click to the greeting, from a question to the answer's first word."""
    times: dict[str, list[float]] = {"from the click to the greeting": [], "from Enter to the first word": []}
    for _ in range(runs):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(url)
        page.locator("brandvoice-chat .launcher").wait_for()
        session = context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        for (name, values), act, shown in zip(
            times.items(),
            ("chat.launcher.click()", f"chat.say({json.dumps(QUESTION)})"),
            ("chat.greeting.getBoundingClientRect().height", "chat.transcript.list.querySelector('.bot')"),
            strict=True,
        ):
            values.append(page.evaluate(FIRST.replace("ACT", act).replace("SHOWN", shown)))
            assert values[-1] < WITHIN_MS, name
        context.close()
    return times


FIRST = """new Promise((done) => {
  const chat = document.querySelector('brandvoice-chat'), since = performance.now();
  const look = () => SHOWN ? done(performance.now() - since) : requestAnimationFrame(look);
  ACT; look();
})"""


def subjects(shelf: Shelf, ours: str, deep_chat: Path, chainlit: Path) -> list[Subject]:
    """All chats; their files are laid on the shelf."""
    key = next(iter(load_config(Path("configs"), {}).brands.values())).widget.site_key
    shelf.put("/deepChat.bundle.js", (deep_chat / "dist/deepChat.bundle.js").read_bytes(), "text/javascript")
    copilot = chainlit / "chainlit/copilot/dist"
    for path in sorted(copilot.rglob("*.*js")):
        shelf.put(f"/copilot/{path.relative_to(copilot).as_posix()}", path.read_bytes(), "text/javascript")
    shelf.put("/deep.js", "customElements.whenDefined('deep-chat').then(() => 0);", "text/javascript")
    shelf.put(
        "/mount.js",
        "addEventListener('load', () => mountChainlitWidget({chainlitServer: location.origin, theme: 'light'}));",
        "text/javascript",
    )
    shelf.put("/project/translations", json.dumps({"translation": {}}), "application/json")
    return [
        Subject("no chat"),
        Subject(
            "brandvoice",
            head=f'<script src="{ours}/widget.js" data-site="{key}" async></script>',
            find="(root) => root.querySelector('brandvoice-chat')?.shadowRoot?.querySelector('.launcher')",
            open="brandvoice('open')",
        ),
        Subject(
            "deep-chat",
            head='<script type="module" src="/deepChat.bundle.js" async></script>',
            body='<deep-chat style="width:400px;height:480px" connect=\'{"url":"/answer"}\'></deep-chat>',
            find="(root) => root.querySelector('deep-chat')?.shadowRoot?.querySelector('#text-input')",
        ),
        Subject(
            "Chainlit copilot",
            head='<script src="/copilot/index.js" defer></script><script src="/mount.js" defer></script>',
            find="(root) => root.querySelector('#chainlit-copilot')?.shadowRoot?.querySelector('button')",
            open="document.querySelector('#chainlit-copilot').shadowRoot.querySelector('button').click()",
        ),
    ]


def table(visits: Mapping[str, list[Visit]]) -> list[str]:
    """A row a chat: medians."""
    head = (
        "| | kB, gzipped | kB | requests | of them to other hosts | layout shift | load event, ms | chat is there, ms "
        "| main thread blocked, ms | script, ms | JavaScript heap, MB | axe, light | axe, dark |"
    )
    lines = [head, "|---|" + "---|" * 12]

    def median(values: list[float], digits: int = 0) -> str:
        return f"{statistics.median(values):.{digits}f}"

    for name, all_of in visits.items():
        there = [one.there_ms for one in all_of if one.there_ms is not None]
        axe = next((one.axe for one in all_of if one.axe), {})
        cells = [
            name if name != "brandvoice" else "**brandvoice**",
            median([one.bytes / 1000 for one in all_of], 1),
            median([one.raw / 1000 for one in all_of], 1),
            median([one.requests for one in all_of]),
            median([one.strangers for one in all_of]),
            median([one.shift for one in all_of], 4),
            median([one.load_ms for one in all_of]),
            median(there) if there else "",
            median([one.blocked_ms for one in all_of]),
            median([one.script_ms for one in all_of]),
            median([one.heap_mb for one in all_of], 1),
            *(str(axe.get(scheme, "")) for scheme in ("light", "dark")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def run(arguments: argparse.Namespace) -> str:
    """Measure all and render."""
    shelf = Shelf()
    shelf.put("/watch.js", WATCH, "text/javascript")
    visits: dict[str, list[Visit]] = {}
    with ExitStack() as stack:
        url = stack.enter_context(serving(shelf))
        ours = stack.enter_context(gateway(url))
        chats = subjects(shelf, ours, arguments.deep_chat, arguments.chainlit)
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=arguments.chromium, args=list(FLAGS)
        )
        stack.callback(browser.close)
        for number, chat in enumerate(chats):
            shelf.put(f"/{number}.html", PAGE.format(head=chat.head, paragraphs=PARAGRAPHS, body=chat.body))
        for turn in range(arguments.runs):
            for number, chat in enumerate(chats):
                found = visit(browser, f"{url}/{number}.html", chat, with_axe=turn == arguments.runs - 1)
                visits.setdefault(chat.name, []).append(found)
        first = frames(browser, f"{url}/1.html", arguments.runs)
        version = browser.version
    peers = f"deep-chat {_version(arguments.deep_chat)}, Chainlit {_wheel(arguments.chainlit)}"
    lines = [
        f"# What the widget costs a page, {date.today().isoformat()}",
        "",
        f"`python -m benchmarks.widget --runs {arguments.runs}` on {os.cpu_count()} cores ({platform.machine()}), "
        f"Chromium {version}, its processor slowed down {SLOWER} times; {peers}, from their packages. Medians of "
        f"{arguments.runs} loads of one page, in turns.",
        "",
        *table(visits),
        "",
        "Of our widget, with a gateway whose engine plays one (a word each 20 ms):",
        "",
        "| | median, ms | longest, ms |",
        "|---|---|---|",
        *(f"| {name} | {statistics.median(all_of):.0f} | {max(all_of):.0f} |" for name, all_of in first.items()),
        "",
        "Axe counts rules that the open chat breaks (the rule `region`, which judges the page around it, is off). "
        "deep-chat and the copilot have no server here: what they ask of one is answered with 404.",
    ]
    return "\n".join(lines) + "\n"


def _version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text("utf-8"))["version"])


def _wheel(folder: Path) -> str:
    return next(folder.glob("chainlit-*.dist-info")).name.removeprefix("chainlit-").removesuffix(".dist-info")


def main(argv: list[str] | None = None) -> int:
    """Print the table, and keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deep-chat", type=Path, required=True, help="the unpacked npm package")
    parser.add_argument("--chainlit", type=Path, required=True, help="the unpacked wheel")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    report = run(arguments)
    print(report)
    if arguments.out:
        arguments.out.write_text(report, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
