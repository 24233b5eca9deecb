"""What people open in a browser: the chooser, the sample shops and the widget's script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import Field

from configs.brand import Brand, Strict
from configs.yaml_file import read_yaml
from service.browser import MEDIA_TYPES, WEB, File, files_of

WIDGET_PARTS = (
    *("words", "colours", "storage", "elements", "markdown", "connection"),
    *("announcer", "sheet", "attachments", "composer", "outbox", "transcript", "view", "chat", "page"),
)
"""The widget's files in order: each may use what stands in those before it."""


class Product(Strict):
    """One product on a shop page."""

    name: str
    price: str
    detail: str
    picture: str = Field(pattern=r"^[a-z0-9-]+\.svg$", description="File in the folder of static files.")


class Fact(Strict):
    """One line of the strip below the hero."""

    title: str
    text: str


class Shop(Strict):
    """What a sample shop shows besides its brand; a brand without such a file gets a neutral page."""

    eyebrow: str = ""
    headline: str = ""
    intro: str = ""
    picture: str | None = Field(default=None, pattern=r"^[a-z0-9-]+\.svg$")
    navigation: tuple[str, ...] = ()
    products_title: str = ""
    products_intro: str = ""
    products: tuple[Product, ...] = ()
    facts: tuple[Fact, ...] = ()
    ask_title: str = "Ask us anything"
    ask_text: str = "We answer from our own help pages and show you where each answer comes from."


def pages_router(brands: Mapping[str, Brand]) -> APIRouter:
    """The routes `/`, `/shop/<brand>`, `/bench`, `/widget.js` and `/static/<file>`."""
    router = APIRouter(include_in_schema=False)
    shown: list[tuple[dict[str, Brand], _Site]] = []

    def current() -> _Site:
        """Built anew where a brand came, changed or went."""
        if not shown or shown[0][0] != brands:
            shown[:] = [(dict(brands), _Site(brands))]
        return shown[0][1]

    @router.get("/")
    async def index(request: Request) -> Response:
        return current().index.answer(request)

    @router.get("/bench")
    async def bench() -> Response:
        return RedirectResponse("/console/bench", 308)

    @router.get("/shop/{brand}")
    async def shop(brand: str, request: Request) -> Response:
        site = current()
        page = site.shops.get(brand)
        return page.answer(request) if page else site.missing.answer(request, 404)

    @router.get("/widget.js")
    async def widget(request: Request) -> Response:
        return current().widget.answer(request)

    @router.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        site = current()
        file = site.static.get(name)
        return file.answer(request) if file else site.missing.answer(request, 404)

    return router


class _Site:
    """Every page and file, built once: names that are not among them do not exist, so no path is ever opened."""

    def __init__(self, brands: Mapping[str, Brand]) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(WEB / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.static = dict(files_of(WEB / "static"))
        for name, brand in brands.items():
            self.static[f"accent-{name}.css"] = _accent(brand)
        self.widget = File.of(_widget().encode(), MEDIA_TYPES[".js"])
        in_order = [brands[name] for name in sorted(brands)]
        self.index = self._page("index.html", brands=in_order)
        self.missing = self._page("missing.html", brands=in_order)
        self.shops = {
            name: self._page(
                "shop.html",
                brand=brand,
                shop=_shop(name),
                own_style=f"shop-{name}.css" if f"shop-{name}.css" in self.static else None,
            )
            for name, brand in brands.items()
        }

    def _page(self, template: str, **values: object) -> File:
        html = self._templates.get_template(template).render(**values)
        return File.of(html.encode(), "text/html; charset=utf-8")


def _widget() -> str:
    """One script of many small files, so that a shop's page asks for it once."""
    folder = WEB / "widget"
    looks = json.dumps((folder / "looks.css").read_text("utf-8"), ensure_ascii=False)
    parts = [f"const LOOKS = {looks};", *((folder / f"{name}.js").read_text("utf-8") for name in WIDGET_PARTS)]
    return (folder / "frame.js").read_text("utf-8").replace("/* parts */", _bare("\n".join(parts)))


def _bare(script: str) -> str:
    """Without indents and comments that have lines to themselves, which are a seventh of what a page is asked to carry.

    Lines are not told from the inside of a text that spans several: the widget has none.
    """
    return re.sub(r"(?m)^[ \t]+|^[ \t]*//.*\n", "", re.sub(r"(?ms)^[ \t]*/\*\*.*?\*/\n", "", script))


def _accent(brand: Brand) -> File:
    """The brand's colour as a style sheet, because the policy forbids inline style."""
    rule = f".brand-{brand.name} {{ --accent: {brand.theme.accent}; }}\n"
    return File.of(rule.encode(), MEDIA_TYPES[".css"])


def _shop(name: str) -> Shop:
    path = WEB / "shops" / f"{name}.yaml"
    return Shop.model_validate(read_yaml(path).values) if path.is_file() else Shop()
