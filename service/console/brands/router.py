"""Brands: made of a template, changed by forms, shown in the widget as they will be, put away and brought back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from configs.handover import DAYS
from service.bootstrap import Gateway
from service.brands.settings import Settings
from service.brands.template import Template, template, templates
from service.console.access import CONSOLE, Admin, Person, Role
from service.console.brands.api import BrandShelf, Name, brands_api, must_everywhere
from service.console.brands.content import content_pages
from service.console.pages import gettext, page_router, redirect, render
from service.console.said import _, told
from service.console.together import together
from service.errors import BrandUnknown, NotPossible, RequestInvalid

HERE = f"{CONSOLE}/brands"
TEMPLATE_WORDS = (
    _("Shop"), _("An online shop that sends parcels. Delivery, returns, payment and the like; a warm, brief voice."),
    _("What you sell"), _("As it follows on “We sell …”."), _("Delivery takes"), _("Postage"), _("Free postage from"),
    _("Days to send something back"),
    _("Bank"),
    _("A bank or credit union for private customers. Accounts, cards, transfers, security; a calm, exact voice."),
    _("What you offer"), _("As it follows on “We offer …”."), _("Telephone for customers"),
    _("Telephone for blocking cards, day and night"), _("Monthly fee of the account"), _("Price of a new card"),
    _("Software"),
    _("A product that people subscribe to. Plans, billing, sign-in, data; a clear voice that goes step by step."),
    _("What the product does"), _("As it follows on the company's name: “Acme keeps …”."), _("Days of the free trial"),
    _("Price of the plan Starter"), _("Price of the plan Team"),
    _("Company"), _("E-mail for customers"), _("When people answer"),
)  # fmt: skip
"""What the templates' own files say to the maker, here to be translated."""
LINES = ("starters", "refusals", "handovers", "keywords", "origins")
SECTIONS: dict[str, Sequence[str]] = {
    "look": ("display_name", "tagline", "greeting", "starters", "accent", "font"),
    "words": ("refusals", "handovers", "unavailable"),
    "person": ("keywords", "frustration", "files", "unsure", "timezone", "hours", "outside_hours"),
    "websites": ("origins",),
}
"""Fields that each form of a brand's page saves."""


def brands_router(gateway: Gateway) -> APIRouter:
    """The pages below `/console/brands` and the routes that do the same below `/v1`."""
    shelf = BrandShelf(gateway)
    return together(brands_api(shelf), _making(shelf), _one(shelf), content_pages(shelf), _putting_away(shelf))


def _making(shelf: BrandShelf) -> APIRouter:
    router = page_router()

    @router.get("/brands")
    async def listed(request: Request, person: Admin) -> Response:
        """All brands that one is an admin of."""
        everywhere = person.may_everywhere(Role.ADMIN)
        mine = person.brands(Role.ADMIN, shelf.brands)
        return render(
            request, person, "brands/list.html", everywhere=everywhere,
            rows=[(shelf.brands[name], shelf.desk.made(name), shelf.indexed(name).documents) for name in mine],
            left_out={name: why for name, why in shelf.desk.left_out.items() if person.may(Role.ADMIN, name)},
            archived=shelf.desk.archived() if everywhere else [],
        )  # fmt: skip

    def form(request: Request, person: Person, one: Template, given: dict[str, str], trouble: str = "") -> Response:
        return render(
            request, person, "brands/new.html", status=400 if trouble else 200, one=one, given=given, trouble=trouble,
            offers=list(templates().values()),
        )  # fmt: skip

    @router.get("/brands/new")
    async def new(request: Request, person: Admin, kind: Annotated[str, Query(max_length=40)] = "shop") -> Response:
        """The form of a template."""
        must_everywhere(person)
        return form(request, person, template(kind), {})

    @router.post("/brands")
    async def make(request: Request, person: Admin) -> Response:
        """Make a brand of a template."""
        must_everywhere(person)
        sent = _texts(await request.form())
        one = template(sent.get("kind", ""))
        answers = {blank.name: sent[blank.name] for blank in one.about.blanks if blank.name in sent}
        try:
            made = await shelf.make(person, one.name, answers, sent.get("name", "").strip())
        except (RequestInvalid, NotPossible) as error:
            return form(request, person, one, sent, told(error, gettext(person)))
        _ = gettext(person)
        return redirect(
            request, f"{HERE}/{made.name}", _("The brand is made. It answers already; look at it, and ask it.")
        )

    return router


def _one(shelf: BrandShelf) -> APIRouter:
    router = page_router()

    async def page(
        request: Request,
        person: Person,
        brand: str,
        wanted: Settings | None = None,
        trouble: str = "",
        section: str = "",
    ) -> Response:
        shown = await shelf.shown(brand)
        return render(
            request, person, "brands/one.html", status=400 if trouble else 200, brand=brand, made=shown.made,
            shown=shown, now=wanted or shown.settings, trouble=trouble, section=section, days=day_names(person),
            here_url=str(request.base_url).rstrip("/"), indexed=shelf.indexed(brand),
            left_out=shelf.desk.left_out.get(brand, ""), everywhere=person.may_everywhere(Role.ADMIN),
        )  # fmt: skip

    @router.get("/brands/{brand}")
    async def one(request: Request, person: Admin, brand: Name) -> Response:
        """A brand's settings, its snippet, and the widget as it looks."""
        if brand not in shelf.brands and brand in shelf.desk.left_out:
            return redirect(request, f"{HERE}/{brand}/file")
        return await page(request, person, brand)

    @router.post("/brands/{brand}")
    async def change(request: Request, person: Admin, brand: Name) -> Response:
        """Save one of its forms."""
        sent = await request.form()
        section = str(sent.get("section", ""))
        shown, wanted = await shelf.shown(brand), None
        try:
            wanted = _settings(sent, section)
            await shelf.change(person, brand, wanted, str(sent.get("revision", "")) or None)
        except (RequestInvalid, NotPossible) as error:
            tried = shown.settings.model_copy(update=wanted.model_dump(exclude_unset=True)) if wanted else None
            return await page(request, person, brand, tried, told(error, gettext(person)), section)
        _ = gettext(person)
        return redirect(request, f"{HERE}/{brand}#{section}", _("Saved. New conversations see it at once."))

    @router.get("/brands/{brand}/index")
    async def indexed(request: Request, person: Admin, brand: Name) -> Response:
        """How far its pages are, as a part of the page."""
        return render(
            request,
            person,
            "brands/part_index.html",
            brand=brand,
            indexed=shelf.indexed(brand),
            made=shelf.desk.made(brand),
        )

    @router.post("/brands/{brand}/index")
    async def index(request: Request, person: Admin, brand: Name) -> Response:
        """Take its pages into its knowledge."""
        await shelf.index(person, brand)
        return redirect(request, f"{HERE}/{brand}")

    return router


def _putting_away(shelf: BrandShelf) -> APIRouter:
    router = page_router()

    @router.get("/brands/{brand}/archive")
    async def sure(request: Request, person: Admin, brand: Name) -> Response:
        """Ask whether it is meant."""
        must_everywhere(person)
        if not shelf.desk.made(brand):
            raise BrandUnknown(f"There is no brand {brand!r} that was made here.")
        return render(request, person, "brands/archive.html", brand=brand)

    @router.post("/brands/{brand}/archive")
    async def archive(request: Request, person: Admin, brand: Name) -> Response:
        """Put it away."""
        await shelf.archive(person, brand)
        _ = gettext(person)
        return redirect(request, HERE, _("%(brand)s is archived and answers no longer.") % {"brand": brand})

    @router.post("/brands/{brand}/restore")
    async def restore(request: Request, person: Admin, brand: Annotated[str, Path(max_length=40)]) -> Response:
        """Bring it back."""
        await shelf.restore(person, brand)
        _ = gettext(person)
        return redirect(request, f"{HERE}/{brand}", _("%(brand)s is back.") % {"brand": brand})

    return router


def day_names(person: Person | None) -> dict[str, str]:
    """Weekdays in the person's language."""
    _ = gettext(person)
    names = (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))
    return dict(zip(DAYS, names, strict=True))


def _settings(sent: FormData, section: str) -> Settings:
    """What one form says; a field that it does not have is not set."""
    texts, given = _texts(sent), dict[str, Any]()
    for name in SECTIONS.get(section, ()):
        if name in LINES:
            given[name] = [line.strip() for line in texts.get(name, "").splitlines() if line.strip()]
        elif name in ("frustration", "files"):
            given[name] = name in texts
        elif name == "unsure":
            given[name] = int(texts[name]) if texts.get(name, "").isdecimal() else None
        elif name == "hours":
            given[name] = {day: _spans(texts.get(f"hours-{day}", "")) for day in DAYS}
        else:
            given[name] = " ".join(texts.get(name, "").split())
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestInvalid(f"{'.'.join(str(one) for one in first['loc'])}: {first['msg']}") from error


def _spans(text: str) -> list[str]:
    return [one.strip() for one in text.replace("–", "-").split(",") if one.strip()]


def _texts(sent: FormData) -> dict[str, str]:
    return {name: value for name, value in sent.items() if isinstance(value, str)}
