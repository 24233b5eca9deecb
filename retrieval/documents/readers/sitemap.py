"""A sitemap: the addresses in it, one a line; those of a sitemap index under a heading."""

from __future__ import annotations

from retrieval.documents.readers.extract import Extract, Limits, Refused

INDEX = "sitemapindex"
PAGES = "urlset"


def read_sitemap(data: bytes, limits: Limits) -> Extract:
    """Read `<loc>` of each entry; the title says which kind it is."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise Refused("its XML declares a document type, which can hide a bomb") from None
    except ParseError as error:
        raise Refused(f"not XML ({error})") from None
    kind = root.tag.rpartition("}")[2]
    if kind not in {INDEX, PAGES}:
        raise Refused(f"not a sitemap: its root is {kind!r}")
    found = [(node.text or "").strip() for entry in root for node in entry if node.tag.rpartition("}")[2] == "loc"]
    text = "\n".join(one for one in found if one)
    if len(text) > limits.chars:
        raise Refused("longer than one sitemap may be")
    return Extract((text,), title=kind)
