"""What every page of ours is sent with, and where its parts lie."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

WEB = Path(__file__).resolve().parent / "web"


def _policy(form_action: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",  # same-origin WebSockets too, since CSP level 3
            "img-src 'self' data:",
            f"form-action {form_action}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


HEADERS = {
    "Content-Security-Policy": _policy("'none'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept by browsers, but asked about each time by its ETag
}
FORM_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": _policy("'self'"),
    # `no-referrer` would make browsers send `Origin: null` with a form, which tells nothing.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",  # made for one person
}
"""Of pages with forms, made for whoever is signed in."""
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent: read once, when the server starts."""

    content: bytes
    packed: bytes
    """The same, compressed; nothing secret is in it that an attacker could learn from its length."""
    media_type: str
    etag: str

    @staticmethod
    def of(content: bytes, media_type: str) -> File:
        """With its digest as ETag."""
        packed = gzip.compress(content, 9, mtime=0)
        return File(content, packed, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    def answer(self, request: Request, status: int = 200) -> Response:
        """The file, or 304 where the browser has this very one."""
        headers = {**HEADERS, "ETag": self.etag, "Vary": "Accept-Encoding"}
        content = self.content
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            content = self.packed
            headers |= {"Content-Encoding": "gzip", "ETag": f"W/{self.etag}"}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if status == 200 and self.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(content, status, headers=headers, media_type=self.media_type)


def _takes_gzip(accepted: str) -> bool:
    """Source: RFC 9110, 12.5.3; a weight of zero refuses."""
    for one in accepted.split(","):
        coding, _, weight = one.strip().partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
    return False


def files_of(folder: Path) -> Mapping[str, File]:
    """Every file of a folder that browsers know, by its name: whatever is not among them is never opened."""
    return {
        path.name: File.of(path.read_bytes(), MEDIA_TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.suffix in MEDIA_TYPES
    }
