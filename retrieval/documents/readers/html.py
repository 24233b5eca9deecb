"""HTML: the main part of a page to Markdown; navigation, scripts and what a browser does not show are left out.

The tree is Lexbor's, which follows the HTML standard as browsers do. Of styles only those written on an element are
seen: text that a style sheet hides is read.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from retrieval.documents.hidden import COMMENTS, ELEMENTS, HIDING_STYLE
from retrieval.documents.readers.extract import Extract, Limits, Refused
from retrieval.documents.readers.faq import bom_encoding, decoded
from retrieval.documents.readers.html_text import Writer

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

UNREAD = (
    "script, style, template, noscript, svg, iframe, object, canvas, nav, footer, aside, button, select, textarea, "
    "dialog, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=complementary], [role=dialog]"
)
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_LATIN_1 = frozenset({"iso8859-1", "ascii"})
_DECLARED_IN = 4096
_SITE = re.compile(r"\s+[|\u2013\u2014\u00b7-]\s+")
_HIDING = re.compile(rf"(?:^|;)\s*{HIDING_STYLE}", re.IGNORECASE)
_WHITE = re.compile(
    r"^(?:white|#fff[0-9a-f]?|#ffffff(?:[0-9a-f]{2})?|rgba?\(\s*255[\s,]+255[\s,]+255\b.*)$", re.IGNORECASE
)
_COLOUR = re.compile(r"(?:^|;)\s*color\s*:\s*([^;!]+)", re.IGNORECASE)
_GROUND = re.compile(r"(?:^|;)\s*background(?:-color|-image)?\s*:\s*([^;!]+)", re.IGNORECASE)


def read_html(data: bytes, limits: Limits, charset: str | None = None) -> Extract:
    """Read a page.

    Args:
        data: The bytes of the page.
        limits: How long the text may be.
        charset: As the server named it; the page's own `meta` counts where it did not.
    """
    from selectolax.lexbor import LexborHTMLParser

    text = decoded(data, _known(charset) or _declared(data))
    tree = LexborHTMLParser(text)
    hidden = _strip(tree)
    title = _title(tree)
    body = tree.body
    if body is None:
        raise Refused("empty")
    written = Writer(limits.chars).page(_main(tree) or body) or Writer(limits.chars).page(body)
    if written and not re.search(r"^# ", written, re.MULTILINE) and title:
        written = f"# {title}\n\n{written}"
    return Extract((written,), title=title, hidden=hidden)


def _declared(data: bytes) -> str | None:
    if bom_encoding(data):
        return None
    match = _DECLARED.search(data[:_DECLARED_IN])
    return _known(match[1].decode("ascii")) if match else None


def _known(label: str | None) -> str | None:
    """The codec of a label, as browsers take it: Latin-1 and ASCII mean Windows-1252."""
    if not label:
        return None
    try:
        codec = codecs.lookup(label)
        "".encode(codec.name)  # refuses codecs that are no text encodings, such as zip
    except LookupError:
        raise Refused(f"its encoding {label!r} is not known; save it as UTF-8") from None
    if codec.name == "utf-7":
        raise Refused("in UTF-7, which browsers do not read either; save it as UTF-8")
    # A page whose `meta` can be read byte by byte is not in UTF-16, whatever it says.
    return "cp1252" if codec.name in _LATIN_1 else None if codec.name.startswith("utf-16") else codec.name


def _title(tree: LexborHTMLParser) -> str:
    """The page's title without the name of the site behind it."""
    node = tree.css_first("head > title")
    return _SITE.split(" ".join(node.text().split()))[0] if node is not None else ""


def _main(tree: LexborHTMLParser) -> LexborNode | None:
    main = tree.css_first("main, [role=main]")
    if main is not None:
        return main
    articles = tree.css("article")
    return articles[0] if len(articles) == 1 else None


def _strip(tree: LexborHTMLParser) -> Counter[str]:
    """Take out what is not read, and count what was hidden in what would be."""
    for node in tree.css(UNREAD):
        node.decompose()
    for node in tree.css("body > header, body > div > header"):
        # A site's head goes, an article's head holds its title.
        if node.css_first("h1") is None:
            node.decompose()
    found: Counter[str] = Counter()
    root = tree.root
    if root is None:
        return found
    for node in [node for node in [*_beside(root), *root.traverse(include_text=True)] if node.is_comment_node]:
        found[COMMENTS] += 1
        node.decompose()
    for node in tree.css("[hidden], [style]"):
        if _is_hidden(node) and node.text(strip=True):
            found[ELEMENTS] += 1
        if _is_hidden(node):
            # Emptied rather than removed: an element inside it may be next.
            node.inner_html = ""
    return +found


def _beside(root: LexborNode) -> Iterator[LexborNode]:
    """Nodes before and after the root element."""
    before, after = root.prev, root.next
    while before is not None:
        yield before
        before = before.prev
    while after is not None:
        yield after
        after = after.next


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if "hidden" in attributes and attributes["hidden"] != "until-found":
        return True
    style = attributes.get("style") or ""
    return bool(_HIDING.search(style)) or _is_white_on_white(node, style)


def _is_white_on_white(node: LexborNode, style: str) -> bool:
    colour = _COLOUR.search(style)
    if colour is None or not _WHITE.match(colour[1].strip()):
        return False
    at: LexborNode | None = node
    while at is not None and at.is_element_node:
        attributes = at.attributes
        ground = _GROUND.search(attributes.get("style") or "")
        if ground is not None:
            return bool(_WHITE.match(ground[1].strip()))
        if attributes.get("bgcolor"):
            return bool(_WHITE.match((attributes["bgcolor"] or "").strip()))
        if attributes.get("class"):
            # A style sheet may paint it: text on a coloured bar is seen.
            return False
        at = at.parent
    return True
