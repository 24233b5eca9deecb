"""Pages and sitemaps from a web server, which does not always mean well."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retrieval.documents.fetching import Fetcher, NotFetched
from retrieval.documents.loading import is_address, load_documents
from retrieval.documents.web import load_address
from retrieval.errors import DocumentUnreadable
from tests.patience import PATIENCE_S

Answer = Callable[[BaseHTTPRequestHandler], None]
PAGE = b"<!doctype html><title>Returns</title><h1>Returns</h1><p>Within 30 days."


class Site:
    """A server on 127.0.0.1 that answers what a test says; a path it does not know is 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                answer = site.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """The client went away, as it should."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def page(self, path: str, body: bytes = PAGE, media: str = "text/html; charset=utf-8", status: int = 200) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Content-Type", media)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer

    def redirect(self, path: str, to: str) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", to)
            handler.end_headers()

        self.answers[path] = answer


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def fetcher(**limits: float) -> Fetcher:
    return Fetcher(max_bytes=int(limits.get("max_bytes", 100_000)), seconds=limits.get("seconds", 5), loopback=True)


def test_a_page_becomes_a_document_named_by_its_address(site: Site) -> None:
    site.page("/help/returns?lang=en")
    loaded = load_address(f"{site.url}/help/returns?lang=en#top", fetcher())
    assert [(one.id, one.title, one.text) for one in loaded.documents] == [
        (f"{site.url.removeprefix('http://')}/help/returns?lang=en", "Returns", "# Returns\n\nWithin 30 days.")
    ]
    assert site.asked == ["/robots.txt", "/help/returns?lang=en"]


@pytest.mark.parametrize(
    ("media", "body", "text"),
    [
        ("text/markdown", b"# Hi", "# Hi"),
        ("text/plain", b"Hi", "Hi"),
        ("text/csv", b"question,answer\nWhy?,So.", "## Why?\n\nSo."),
        ("text/html; charset=windows-1252", b"<p>10 \x80", "10 €"),
        ("application/octet-stream", PAGE, "# Returns\n\nWithin 30 days."),
    ],
)
def test_the_type_that_the_server_names_decides_how_it_is_read(site: Site, media: str, body: bytes, text: str) -> None:
    site.page("/a", body, media)
    assert load_address(f"{site.url}/a", fetcher()).documents[0].text == text


def test_nothing_that_a_page_links_to_is_fetched(site: Site) -> None:
    site.page("/a", b"<img src=/x.png><a href=/b>b</a><iframe src=/c></iframe><link rel=stylesheet href=/d><p>a")
    load_address(f"{site.url}/a", fetcher())
    assert site.asked == ["/robots.txt", "/a"]


def test_the_pages_of_a_sitemap_are_read_and_what_fails_is_skipped(site: Site) -> None:
    site.page("/robots.txt", b"User-agent: *\nDisallow: /private", "text/plain")
    site.page("/a")
    site.page("/b", PAGE.replace(b"30", b"14"))
    site.page("/private/c")
    urls = ["/a", "/a", "/gone", "/private/c", "/b"]
    entries = "".join(f"<url><loc> {site.url}{url} </loc></url>" for url in urls)
    entries += "<url><loc>http://10.0.0.1/x</loc></url>"
    namespace = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    site.page("/part.xml", f"<urlset {namespace}>{entries}</urlset>".encode(), "application/xml")
    index = (
        f"<sitemap><loc>{site.url}/part.xml</loc></sitemap><sitemap><loc>https://other.example/s.xml</loc></sitemap>"
    )
    site.page("/sitemap.xml", f"<sitemapindex {namespace}>{index}</sitemapindex>".encode(), "application/xml")
    loaded = load_address(f"{site.url}/sitemap.xml", fetcher())
    assert [one.text[-8:] for one in loaded.documents] == ["30 days.", "14 days."]
    assert [(one.path.removeprefix(site.url), one.reason) for one in loaded.skipped] == [
        ("/gone", "the server answered 404"),
        ("/private/c", "robots.txt of the site forbids it"),
        ("http://10.0.0.1/x", "of another host than its sitemap (127.0.0.1)"),
        ("https://other.example/s.xml", "a sitemap of another host"),
    ]
    assert "/private/c" not in site.asked
    assert site.asked.count("/a") == 1


def test_a_sitemap_that_is_a_bomb_is_refused(site: Site) -> None:
    bomb = b"<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><urlset><url><loc>&b;</loc></url></urlset>"
    site.page("/sitemap.xml", bomb, "application/xml")
    with pytest.raises(DocumentUnreadable, match="document type"):
        load_address(f"{site.url}/sitemap.xml", fetcher())


@pytest.mark.parametrize(
    ("robots", "status", "allowed"),
    [
        (b"User-agent: *\nDisallow: /", 200, False),
        (b"User-agent: brandvoice\nDisallow: /a", 200, False),
        (b"User-agent: *\nDisallow: /\n\nUser-agent: brandvoice\nAllow: /", 200, True),
        (b"User-agent: other\nDisallow: /", 200, True),
        (b"\xff\x00 no rules", 200, True),
        (b"User-agent: *\nDisallow: /", 404, True),
        (b"", 403, True),
        (b"", 500, False),
    ],
)
def test_robots_txt_is_obeyed(site: Site, robots: bytes, status: int, allowed: bool) -> None:
    site.page("/robots.txt", robots, "text/plain", status)
    site.page("/a")
    if allowed:
        assert load_address(f"{site.url}/a", fetcher()).documents
        return
    with pytest.raises(DocumentUnreadable, match=r"robots\.txt"):
        load_address(f"{site.url}/a", fetcher())
    assert "/a" not in site.asked


def test_redirects_are_followed_and_checked_at_each_hop(site: Site) -> None:
    site.page("/robots.txt", b"User-agent: *\nDisallow: /private", "text/plain")
    site.page("/c")
    site.redirect("/a", "/b")
    site.redirect("/b", f"{site.url}/c")
    assert load_address(f"{site.url}/a", fetcher()).documents[0].id.endswith("/c")
    for to, why in {
        "/private/x": "robots",
        "http://169.254.169.254/": "not a public address",
        "http://[::ffff:127.0.0.1]/": "not a public address",
        "http://2130706433/": "a number where a name should be",
        "file:///etc/passwd": "neither with http",
        "//10.0.0.1/": "not a public address",
        "/loop": "in a circle",
    }.items():
        site.redirect("/start", to)
        site.redirect("/loop", "/start")
        with pytest.raises(NotFetched, match=why):
            fetcher().fetch(f"{site.url}/start")
    for number in range(7):
        site.redirect(f"/long/{number}", f"/long/{number + 1}")
    with pytest.raises(NotFetched, match="more than 5 redirects"):
        fetcher().fetch(f"{site.url}/long/0")


def test_a_name_is_resolved_once_for_a_request_so_a_second_answer_does_not_count(site: Site) -> None:
    answers: list[list[str]] = []

    def rebinding(host: str, port: int) -> list[str]:
        # Public at the first look, inside at the second: the classic of rebinding.
        answers.append([["127.0.0.1"], ["10.0.0.1"]][len(answers) % 2])
        return answers[-1]

    site.page("/a")
    port = site.server.server_port
    one = Fetcher(max_bytes=1000, seconds=PATIENCE_S, loopback=True, resolver=rebinding)
    with pytest.raises(NotFetched, match=r"10\.0\.0\.1, which is not a public address"):
        one.fetch(f"http://127.0.0.1:{port}/a")
    assert site.asked == []
    assert len(answers) == 2  # one for the page, one for robots.txt, each used for what it was asked for


def test_the_checked_address_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[tuple[str, int]] = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    one = Fetcher(max_bytes=1000, seconds=PATIENCE_S, resolver=lambda _host, _port: ["93.184.215.14"])
    with pytest.raises(NotFetched, match="cannot be read"):
        one.fetch("https://shop.example/")
    assert connected == [("93.184.215.14", 443)]


def never_ending(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.end_headers()
    while True:
        handler.wfile.write(b"a" * 10_000)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(int(10 * PATIENCE_S)):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.1)


def dripping_head(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(int(10 * PATIENCE_S)):
        handler.wfile.write(b"H")
        handler.wfile.flush()
        time.sleep(0.1)


def compressed(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(b"\x1f\x8b")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (never_ending, "larger than 0.1 MB"),
        (dripping, "no whole answer within 0.5 s"),
        (dripping_head, "no whole answer within 0.5 s"),
        (compressed, "compressed"),
    ],
)
def test_an_answer_that_does_not_end_is_given_up(site: Site, answer: Answer, why: str) -> None:
    site.answers["/a"] = answer
    with pytest.raises(DocumentUnreadable, match=why):
        load_address(f"{site.url}/a", fetcher(seconds=0.5))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate of this test")
def test_https_is_read_when_the_certificate_is_trusted_and_for_this_host(site: Site, tmp_path: Path) -> None:
    for name in ("127.0.0.1", "127.0.0.2"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{name}"),
                *("-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"),
            ],
            check=True,
            capture_output=True,
        )
    site.page("/a")
    for name, why in (("127.0.0.1", None), ("127.0.0.2", "certificate verify failed: IP address mismatch")):
        there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        there.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        plain = site.server.socket
        site.server.socket = there.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        here = ssl.create_default_context(cafile=str(tmp_path / f"{name}.pem"))
        url = f"https://127.0.0.1:{site.server.server_port}/a"
        trusting = Fetcher(max_bytes=1000, seconds=PATIENCE_S, loopback=True, tls=here)
        if why is None:
            assert trusting.fetch(url).body == PAGE
            with pytest.raises(NotFetched, match="certificate verify failed"):
                fetcher(seconds=PATIENCE_S).fetch(url)
        else:
            with pytest.raises(NotFetched, match=why):
                trusting.fetch(url)
        inner = site.server.socket.detach()
        site.server.socket = socket.socket(fileno=inner)


def test_loopback_is_closed_where_no_test_opens_it(site: Site) -> None:
    site.page("/a")
    with pytest.raises(DocumentUnreadable, match="neither 80 nor 443"):
        load_documents(f"{site.url}/a")
    with pytest.raises(DocumentUnreadable, match="not a public address"):
        load_documents("http://127.0.0.1/")
    assert site.asked == []


def test_an_address_is_told_from_a_path() -> None:
    assert is_address("https://shop.example/")
    assert is_address("HTTP://shop.example/")
    assert not is_address("pages/https/index.md")
