"""A page or a sitemap on the web to documents. What a page links to or shows is never fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from retrieval.documents.fetching import Fetched, Fetcher, NotFetched, host_of
from retrieval.documents.readers.extract import Refused
from retrieval.documents.readers.sandbox import Sandbox
from retrieval.documents.readers.sitemap import INDEX
from retrieval.documents.reading import FORMATS, MACROS, Loaded, Note, Skipped, read_document
from retrieval.errors import DocumentUnreadable
from retrieval.passages import Document

MAX_BYTES = 20_000_000
"""Of one page."""
SECONDS = 30.0
"""For one page."""
MAX_PAGES = 2_000
"""Of one sitemap, those of its parts included."""
MAX_SITEMAPS = 50
_SUFFIXES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
}


def load_address(
    url: str, fetcher: Fetcher | None = None, each: Callable[[str], None] = lambda _address: None
) -> Loaded:
    """Load one page, or all pages of a sitemap.

    Args:
        url: `http(s)` address; one of XML is taken for a sitemap.
        fetcher: Fetches; one with the limits of this module where absent.
        each: Told of each address before it is fetched; what it raises ends the reading.

    Raises:
        DocumentUnreadable: The address itself cannot be fetched or read.
    """
    fetcher = fetcher or Fetcher(max_bytes=MAX_BYTES, seconds=SECONDS)
    with Sandbox() as sandbox:
        found = _Found(fetcher, sandbox, each)
        each(url)
        try:
            first = fetcher.fetch(url)
            if _is_sitemap(first):
                found.take_sitemap(first)
            else:
                found.take_page(first)
        except (NotFetched, Refused) as error:
            raise DocumentUnreadable(f"{url} was not taken in: {error}.") from None
        return Loaded(tuple(found.documents.values()), tuple(found.skipped), tuple(found.notes))


def _is_sitemap(answer: Fetched) -> bool:
    head = answer.body[:2000].lower()
    return b"<urlset" in head or b"<sitemapindex" in head


@dataclass(slots=True)
class _Found:
    fetcher: Fetcher
    sandbox: Sandbox
    each: Callable[[str], None]
    documents: dict[str, Document] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def take_page(self, answer: Fetched) -> None:
        """Read one page."""
        name = _name(answer.url)
        if name in self.documents:
            return
        suffix = _suffix(answer)
        if suffix in MACROS:
            raise Refused(f"{suffix} files hold macros")
        document, notes = read_document(name, answer.body, suffix, self.sandbox, charset=answer.charset)
        known = document.metadata
        self.documents[name] = replace(document, metadata=replace(known, source=known.source or answer.url))
        self.notes.extend(notes)

    def take_sitemap(self, answer: Fetched) -> None:
        """Fetch and read what a sitemap names; a page that cannot be had is skipped."""
        for taken, url in enumerate(self._pages(answer)):
            if taken == MAX_PAGES:
                self.skipped.append(Skipped(answer.url, f"it names more than {MAX_PAGES:,} pages; the rest was left"))
                return
            self.each(url)
            try:
                page = self.fetcher.fetch(url)
                if host_of(page.url) == host_of(answer.url):
                    self.take_page(page)
                else:
                    self.skipped.append(Skipped(url, f"it leads to another host ({host_of(page.url)})"))
            except (NotFetched, Refused) as error:
                self.skipped.append(Skipped(url, str(error)))

    def _pages(self, answer: Fetched) -> Iterator[str]:
        """Addresses of pages, each once, of the sitemap's own host (sitemaps.org: "must be from a single host")."""
        host = host_of(answer.url)
        seen: set[str] = set()
        for url in self._entries(answer):
            if url in seen:
                continue
            seen.add(url)
            if host_of(url) == host:
                yield url
            else:
                self.skipped.append(Skipped(url, f"of another host than its sitemap ({host})"))

    def _entries(self, answer: Fetched) -> Iterator[str]:
        kind, urls = self._read(answer)
        if kind != INDEX:
            yield from urls
            return
        for url in urls[:MAX_SITEMAPS]:
            if host_of(url) != host_of(answer.url):
                self.skipped.append(Skipped(url, "a sitemap of another host"))
                continue
            try:
                kind, inner = self._read(self.fetcher.fetch(url))
            except (NotFetched, Refused) as error:
                self.skipped.append(Skipped(url, str(error)))
                continue
            if kind == INDEX:
                self.skipped.append(Skipped(url, "an index inside an index"))
            else:
                yield from inner
        for url in urls[MAX_SITEMAPS:]:
            self.skipped.append(Skipped(url, f"more than {MAX_SITEMAPS} sitemaps in one index"))

    def _read(self, answer: Fetched) -> tuple[str, list[str]]:
        extract = self.sandbox.read(answer.body, "sitemap")
        return extract.title, [line for part in extract.parts for line in part.splitlines() if line]


def _name(url: str) -> str:
    """The id of a page: its address without the scheme."""
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    return (parts.netloc.lower() + (f"/{path}" if path else "")) + (f"?{parts.query}" if parts.query else "")


def _suffix(answer: Fetched) -> str:
    """What the server says that it is, then what the address says; a page without either is HTML."""
    if suffix := _SUFFIXES.get(answer.media_type):
        return suffix
    suffix = PurePosixPath(urlsplit(answer.url).path).suffix.lower()
    return suffix if suffix in FORMATS or suffix in MACROS else ".html"
