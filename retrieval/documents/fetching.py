"""Fetching from the web: to the address that was checked, within limits, hop by hop, as robots.txt allows.

`http.client` rather than a client with a pool: here a connection goes to an IP address that was resolved before, and
nothing resolves the name a second time.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from retrieval.documents.addresses import AddressRefused, Resolver, Target, checked, resolve

AGENT = "brandvoice"
MAX_REDIRECTS = 5
MAX_ROBOTS_BYTES = 500_000
"""RFC 9309, 2.5: at least 500 KiB must be read."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PIECE = 1 << 16


class NotFetched(Exception):
    """Nothing came of an address; the message says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered."""

    url: str
    """After redirects."""
    status: int
    media_type: str
    """Small letters, such as `text/html`; empty where the server named none."""
    charset: str | None
    body: bytes
    location: str | None = None


class Fetcher:
    """Fetches public addresses.

    Args:
        max_bytes: Of one body.
        seconds: For one answer, from the connection to the last byte.
        resolver: Gives the IP addresses of a host.
        loopback: Whether a server on 127.0.0.1, on any port, may be fetched from. For tests; no setting reaches it.
        tls: Trusts the system's authorities where absent.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        seconds: float,
        resolver: Resolver = resolve,
        loopback: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._resolver = resolver
        self._loopback = loopback
        self._tls = tls
        self._robots: dict[str, RobotFileParser | str] = {}
        self._last: dict[str, float] = {}

    def fetch(self, url: str) -> Fetched:
        """Fetch an address and follow its redirects; each hop is checked as the first one was.

        Raises:
            NotFetched: It may not be fetched, or there was no answer of use.
        """
        seen: set[str] = set()
        for _ in range(MAX_REDIRECTS + 1):
            if url in seen:
                raise NotFetched("its redirects lead in a circle")
            seen.add(url)
            target = self._checked(url)
            self._ask_robots(target)
            answer = self._get(target, self._max_bytes)
            if answer.status not in REDIRECTS:
                if answer.status != http.client.OK:
                    raise NotFetched(f"the server answered {answer.status}")
                return answer
            if not answer.location:
                raise NotFetched(f"the server answered {answer.status} without saying where to go")
            url = urljoin(url, answer.location).partition("#")[0]
        raise NotFetched(f"more than {MAX_REDIRECTS} redirects")

    def _checked(self, url: str) -> Target:
        try:
            return checked(url, self._resolver, loopback=self._loopback)
        except AddressRefused as refusal:
            raise NotFetched(str(refusal)) from None

    def _ask_robots(self, target: Target) -> None:
        """Raise where robots.txt forbids the address; wait where it wants a pause."""
        rules = self._robots.get(target.origin)
        if rules is None:
            rules = self._robots[target.origin] = self._robots_of(target)
        if isinstance(rules, str):
            raise NotFetched(rules)
        if not rules.can_fetch(AGENT, target.url):
            raise NotFetched("robots.txt of the site forbids it")
        pause = float(rules.crawl_delay(AGENT) or 0)
        wait = self._last.get(target.origin, 0.0) + min(pause, self._seconds) - time.monotonic()
        if pause and wait > 0:
            time.sleep(wait)
        self._last[target.origin] = time.monotonic()

    def _robots_of(self, target: Target) -> RobotFileParser | str:
        """The rules of a site, or why nothing of it may be fetched (RFC 9309, 2.3.1)."""
        rules = RobotFileParser()
        try:
            answer = self._robots_answer(target)
        except NotFetched as error:
            return f"robots.txt of the site cannot be read, which forbids everything ({error})"
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            return f"robots.txt of the site cannot be read, which forbids everything (answer {answer.status})"
        lines = answer.body.decode("utf-8", "replace").splitlines() if answer.status == http.client.OK else []
        rules.parse(lines)
        return rules

    def _robots_answer(self, target: Target) -> Fetched:
        url = f"{target.origin}/robots.txt"
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._get(self._checked(url), MAX_ROBOTS_BYTES, cut=True)
            if answer.status not in REDIRECTS or not answer.location:
                return answer
            url = urljoin(url, answer.location)
        raise NotFetched(f"more than {MAX_REDIRECTS} redirects")

    def _get(self, target: Target, max_bytes: int, *, cut: bool = False) -> Fetched:
        """One request; a longer body is cut where `cut` says so, else refused."""
        try:
            with self._connected(target) as connection:
                connection.request("GET", target.path, headers=_HEADERS)
                answer = connection.getresponse()
                location = answer.getheader("Location")
                if answer.status in REDIRECTS:
                    return Fetched(target.url, answer.status, "", None, b"", location)
                if answer.getheader("Content-Encoding", "identity").lower() not in {"identity", ""}:
                    raise NotFetched("the server compressed its answer although it was asked not to")
                body = _body(answer, max_bytes, cut=cut)
                return Fetched(target.url, answer.status, *_media_type(answer.headers), body, None)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotFetched(f"no answer from {target.host} ({str(error) or type(error).__name__})") from None

    @contextmanager
    def _connected(self, target: Target) -> Iterator[http.client.HTTPConnection]:
        """A connection that ends when the time is up, however slowly the server speaks."""
        connection = http.client.HTTPConnection(target.host, target.port, timeout=self._seconds)
        sock = socket.create_connection((target.ip, target.port), timeout=self._seconds)
        if target.scheme == "https":
            context = self._tls or ssl.create_default_context()
            # The handshake comes below, under the clock.
            sock = context.wrap_socket(sock, server_hostname=target.host, do_handshake_on_connect=False)
        connection.sock = sock
        late = threading.Event()

        def end() -> None:
            late.set()
            # Wakes up whoever reads; closing alone would not.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._seconds, end)
        timer.start()
        try:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            yield connection
        except (OSError, http.client.HTTPException, ValueError):
            if late.is_set():
                raise NotFetched(f"no whole answer within {self._seconds:g} s") from None
            raise
        finally:
            timer.cancel()
            connection.close()
            sock.close()
        if late.is_set():
            raise NotFetched(f"no whole answer within {self._seconds:g} s")


_HEADERS = {
    "User-Agent": AGENT,
    "Accept": "text/html, application/pdf, text/markdown, text/plain, */*;q=0.5",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


def _body(answer: http.client.HTTPResponse, max_bytes: int, *, cut: bool) -> bytes:
    pieces: list[bytes] = []
    left = max_bytes
    while piece := answer.read(min(_PIECE, left + 1)):
        left -= len(piece)
        pieces.append(piece)
        if left < 0:
            if cut:
                break
            raise NotFetched(f"larger than {max_bytes / 1e6:g} MB")
    return b"".join(pieces)[:max_bytes]


def _media_type(headers: Message) -> tuple[str, str | None]:
    if "Content-Type" not in headers:
        return "", None
    return headers.get_content_type(), headers.get_content_charset()


def host_of(url: str) -> str:
    """The host of an address."""
    return (urlsplit(url).hostname or "").lower()
