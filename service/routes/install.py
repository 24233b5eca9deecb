"""Where accounts install an app by themselves: to the platform's consent page, and back with its answer.

What comes back must have been begun by a link of ours, in the same browser, not long ago, and only once; else anyone
could have their workspace answered by a brand, or put a workspace of theirs in another person's place.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from channels.errors import ChannelMisconfigured, InstallRefused
from channels.installs import Installs
from configs.brand import Brand
from configs.service import is_loopback
from service.bindings.install_links import STATE_S, Link, begin, came_back, read_link
from service.bindings.installations import BINDINGS
from service.bootstrap import Gateway
from service.browser import HEADERS, WEB
from service.delivery.calls import NOT_SENT, UNSURE
from service.errors import StorageUnavailable
from service.sealing import SealBroken, Sealer

log = logging.getLogger(__name__)

COOKIE = "brandvoice_install"
AGAIN = "Ask whoever sent you the link for a new one, or open it again in this browser."


@dataclass(frozen=True, slots=True)
class Page:
    """What a person reads at the end."""

    status: int
    title: str
    lines: tuple[str, ...]


class Stopped(Exception):
    """Nothing is installed."""

    def __init__(self, status: int, title: str, *lines: str) -> None:
        """Keep the page that says why."""
        super().__init__(title)
        self.page = Page(status, title, lines)


def install_router(gateway: Gateway) -> APIRouter:
    """The routes `/install/<channel>/<app>` and `/install/<channel>/<app>/callback`."""
    router = APIRouter(prefix="/install", include_in_schema=False)
    desk = _Desk(gateway)

    @router.get("/{channel}/{app}")
    async def start(channel: str, app: str, request: Request) -> Response:
        """Send the holder of a link to the platform."""
        try:
            return desk.start(channel, app, request)
        except Stopped as stopped:
            return desk.show(stopped.page)

    @router.get("/{channel}/{app}/callback")
    async def finish(channel: str, app: str, request: Request) -> Response:
        """Take the platform's answer."""
        try:
            page = await desk.finish(channel, app, request)
        except Stopped as stopped:
            page = stopped.page
        gateway.metrics.webhooks.labels(channel, f"install_{page.status}").inc()
        answer = desk.show(page)
        answer.delete_cookie(COOKIE, path=f"/install/{channel}/{app}")
        return answer

    return router


class _Desk:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        templates = Environment(loader=FileSystemLoader(WEB / "templates"), autoescape=True, undefined=StrictUndefined)
        self._template = templates.get_template("install.html")

    def start(self, channel: str, app: str, request: Request) -> Response:
        """To the platform's consent page, with a state that this browser alone can bring back."""
        sealer, platform = self._needed(channel, app)
        try:
            link = read_link(sealer, request.query_params.get("link", ""), channel, app, now_s=time.time())
        except SealBroken as error:
            raise Stopped(403, "This link does not work any more.", AGAIN) from error
        self._brand(link)
        begun = begin(sealer, link)
        try:
            answer = RedirectResponse(platform.consent_url(begun.state), 302, {"Cache-Control": "no-store"})
        except ChannelMisconfigured as error:
            raise Stopped(503, "This app cannot be installed yet.", str(error)) from error
        answer.set_cookie(
            COOKIE,
            begun.cookie,
            max_age=int(STATE_S),
            path=f"/install/{channel}/{app}",
            secure=not is_loopback(request.url.hostname or ""),
            httponly=True,
            samesite="lax",
        )
        return answer

    async def finish(self, channel: str, app: str, request: Request) -> Page:
        """Turn the platform's answer into an installation; returns the page that says so."""
        sealer, platform = self._needed(channel, app)
        query = request.query_params
        try:
            link = came_back(sealer, request.cookies.get(COOKIE, ""), query.get("state", ""), channel, app)
        except SealBroken as error:
            raise Stopped(
                400,
                "Nothing was installed.",
                "This was begun in another browser, or more than ten minutes ago.",
                AGAIN,
            ) from error
        brand = self._brand(link)
        if query.get("error") or not query.get("code"):
            raise Stopped(
                400, "Nothing was installed.", "You, or the platform, said no. Open the link again to change that."
            )
        try:
            if not await self._gateway.installations.use_state(query["state"]):
                raise Stopped(400, "Nothing was changed.", "This page was opened a second time.")
            return await self._install(platform, link, brand, query["code"])
        except StorageUnavailable as error:
            raise Stopped(
                503, "Nothing was installed.", "Our database is away. Open the link again in a few minutes."
            ) from error

    async def _install(self, platform: Installs, link: Link, brand: Brand, code: str) -> Page:
        installations = self._gateway.installations
        try:
            status, _, body = await self._gateway.send(platform.exchange(code))
            grant = platform.granted(status, body)
        except (*NOT_SENT, *UNSURE) as error:
            log.warning("install_unreachable", extra={"channel": link.channel, "reason": type(error).__name__})
            raise Stopped(
                502, "Nothing was installed.", "The platform cannot be reached. Open the link again."
            ) from error
        except InstallRefused as error:
            log.warning("install_refused", extra={"channel": link.channel, "reason": str(error)})
            raise Stopped(502, "Nothing was installed.", str(error)) from error
        name = grant.name or grant.account
        owner = installations.configured(link.channel, link.app, grant.account)
        if owner not in (None, brand.name):
            log.warning("install_of_another_brand", extra={"channel": link.channel, "account": grant.account})
            raise Stopped(409, "Nothing was installed.", f"{name} is answered by another brand here. Ask its operator.")
        await installations.add(link.channel, link.app, brand.name, grant)
        log.info("installed", extra={"channel": link.channel, "app": link.app, "brand": brand.name})
        return Page(
            200,
            f"{brand.display_name} now answers in {name}.",
            ("Write to the app there, or mention it in a channel. You can close this page.",),
        )

    def show(self, page: Page) -> Response:
        """The page."""
        html = self._template.render(title=page.title, lines=page.lines)
        headers = {**HEADERS, "Cache-Control": "no-store"}
        return Response(html, page.status, headers, media_type="text/html; charset=utf-8")

    def _needed(self, channel: str, app: str) -> tuple[Sealer, Installs]:
        platform = self._gateway.channels.get((channel, app))
        if platform is None or not isinstance(platform, Installs) or channel not in BINDINGS:
            raise Stopped(404, "There is no such app to install here.", "The address may be mistyped.")
        sealer = self._gateway.installations.sealer
        if sealer is None:
            raise Stopped(
                503,
                "This app cannot be installed yet.",
                "Tokens would have to be stored without encryption. Its operator must set installations.keys.",
            )
        return sealer, platform

    def _brand(self, link: Link) -> Brand:
        brand = self._gateway.config.brands.get(link.brand)
        if brand is None:
            raise Stopped(410, "This link does not work any more.", "Its brand is no longer here.")
        return brand
