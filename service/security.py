"""Who may do what: API keys for machines, site keys and origins for widgets."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers

from configs.brand import Brand
from configs.errors import ConfigError
from configs.service import is_loopback
from service.errors import AccessDenied


def check_exposure(host: str, keys: tuple[str, ...]) -> None:
    """Refuse to listen beyond this machine without keys.

    Raises:
        ConfigError: With what to set.
    """
    if not keys and not is_loopback(host):
        raise ConfigError(
            f"service.host is {host!r}, which others can reach, but no API keys are set, so anyone could use the API. "
            "Set service.api_keys to an environment variable or a file that holds keys, or listen on 127.0.0.1."
        )


class ApiKeys:
    """Checks the bearer token of a request; without keys (loopback only) everything passes."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def check(self, headers: Headers) -> None:
        """Let the request pass or raise AccessDenied."""
        if not self._keys:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip().encode()
        # Every key is compared, so that the time taken says nothing about which one is near.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if scheme.lower() != "bearer" or not any(matches):
            raise AccessDenied("A valid API key is needed: send `Authorization: Bearer <key>`.")

    async def __call__(self, request: Request) -> None:
        """FastAPI dependency."""
        self.check(request.headers)


def brand_of_site(brands: Mapping[str, Brand], site_key: object) -> Brand:
    """The brand that a widget's public key belongs to.

    Raises:
        AccessDenied: No brand has this key.
    """
    for brand in brands.values():
        if brand.widget.site_key == site_key:
            return brand
    raise AccessDenied("This site key is not known here. Copy the script tag from the brand's configuration.")


def origin_allowed(brand: Brand | None, origin: str | None, host: str | None) -> bool:
    """Whether a page of this origin may open the chat: the gateway's own pages, and those that the brand lists.

    A client that sends no Origin is no browser, and the rule protects browsers' users; it passes.
    Source: OWASP ASVS 5.0, 4.4.2 (WebSocket Origin check).
    """
    if origin is None:
        return True
    if host and urlsplit(origin).netloc == host:
        return True
    return brand is not None and origin.rstrip("/") in {allowed.rstrip("/") for allowed in brand.widget.origins}
