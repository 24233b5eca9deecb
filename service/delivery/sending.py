"""The web session over which platforms and hooks are called, and what sends a channel's call over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from channels.base import Request
from service.delivery.receipts import Send


def outside_session() -> aiohttp.ClientSession:
    """For calls to platforms and hooks: it unpacks what they compress, as they may, and trusts no connection twice."""
    # A connection that was kept open may be dead: a reply sent over it would be neither delivered nor refused.
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))


def sender(session: aiohttp.ClientSession) -> Send:
    """Makes one call of a channel."""

    async def send(request: Request) -> tuple[int, Mapping[str, str], bytes]:
        timeout = aiohttp.ClientTimeout(total=20)
        body: dict[str, Any] = {} if request.json is None else {"json": dict(request.json)}
        if request.form is not None:
            body = {"data": dict(request.form)}
        async with session.request(
            request.method, request.url, **body, headers=dict(request.headers), timeout=timeout, allow_redirects=False
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status, headers, await response.read()

    return send
