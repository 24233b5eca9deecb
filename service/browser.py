"""What every page of ours is sent with, and where its parts lie."""

from __future__ import annotations

from pathlib import Path

WEB = Path(__file__).resolve().parent / "web"
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",  # same-origin WebSockets too, since CSP level 3
            "img-src 'self' data:",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept by browsers, but asked about each time by its ETag
}
