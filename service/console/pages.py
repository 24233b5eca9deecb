"""How pages of the console are made: templates, words, errors, and what each of them is sent with.

A story's router is `page_router()`, its handlers return `render(request, person, "<story>/<page>.html", ...)` or, after
a change, `redirect(request, "/console/...", notice)`. The same handler answers htmx with a part of a page: it renders
the part's template.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any
from urllib.parse import quote, unquote

from babel import Locale
from babel.dates import format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_decimal, format_percent
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.browser import FORM_HEADERS, WEB, File, files_of
from service.console import charts
from service.console.access import CONSOLE, Person, Role, is_secure
from service.console.reworded import reworded
from service.console.said import _, told
from service.console.words import LANGUAGES, language_of, words
from service.errors import NotSignedIn, ServiceError
from service.problems import status_of
from service.storage.database import now

NOTICE = "brandvoice_notice"
FOLDER = WEB / "console"


@dataclass(frozen=True, slots=True)
class Place:
    """A page in the navigation; shown to whoever may see it, where its story is there."""

    title: str
    path: str
    role: Role | None


NAVIGATION = (
    Place(_("Inbox"), "/console/inbox", Role.AGENT),
    Place(_("Bench"), "/console/bench", Role.AGENT),
    Place(_("Inspector"), "/console/inspector", Role.AGENT),
    Place(_("Corrections"), "/console/corrections", Role.AGENT),
    Place(_("Training"), "/console/training", Role.EDITOR),
    Place(_("Knowledge"), "/console/knowledge", Role.AGENT),
    Place(_("Overview"), "/console/overview", Role.AGENT),
    Place(_("Brands"), "/console/brands", Role.ADMIN),
    Place(_("People"), "/console/people", Role.ADMIN),
    Place(_("Changes"), "/console/changes", Role.EDITOR),
)


class PageRoute(APIRoute):
    """A route whose errors are pages, and that sends whoever is not signed in to sign in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with our errors caught."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except NotSignedIn:
                return _to_sign_in(request)
            except ServiceError as error:
                return problem(request, status_of(error), error)
            except RequestValidationError as error:
                first = error.errors()[0]
                return problem(request, 400, f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}")

        return handler


def page_router() -> APIRouter:
    """A router below `/console` for a story's pages."""
    return APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)


def render(
    request: Request, person: Person | None, template: str, *, status: int = 200, language: str | None = None,
    **values: object,
) -> Response:  # fmt: skip
    """A page, or a part of one, in the person's language.

    Args:
        request: What is answered.
        person: Who asks; None where nobody is signed in.
        template: Below `service/web/console`.
        status: Of the answer.
        language: Instead of the person's.
        values: What the template shows.
    """
    language = language or (person.language if person else language_of(request.headers.get("accept-language", "")))
    if language not in LANGUAGES:
        language = "en"
    notice = unquote(request.cookies.get(NOTICE, ""))
    html = _environment(language).get_template(template).render(
        person=person,
        csrf=person.csrf if person else "",
        htmx_headers=json.dumps({"X-CSRF-Token": person.csrf}) if person else "{}",
        places=_places(request, person),
        here=request.url.path,
        outage=request.app.state.outage() if person else None,
        notice=notice,
        **values,
    )  # fmt: skip
    response = Response(html, status, FORM_HEADERS, media_type="text/html; charset=utf-8")
    if notice:
        response.delete_cookie(NOTICE, path=CONSOLE)
    return response


def redirect(request: Request, path: str, notice: str = "") -> Response:
    """To another page after a change, which says there that it was made."""
    if request.headers.get("hx-request"):
        response: Response = Response(status_code=204, headers={**FORM_HEADERS, "HX-Redirect": path})
    else:
        response = RedirectResponse(path, 303, FORM_HEADERS)
    if notice:
        response.set_cookie(
            NOTICE, quote(notice), max_age=20, path=CONSOLE, httponly=True, secure=is_secure(request), samesite="lax"
        )
    return response


def problem(request: Request, status: int, said: str | ServiceError) -> Response:
    """The page, or for htmx the line, that says what went wrong."""
    template = "part_problem.html" if request.headers.get("hx-request") else "problem.html"
    person: Person | None = getattr(request.state, "person", None)
    # Not in the template: there, `gettext` takes a text for safe and for a format, and this one may hold what was sent.
    translate = gettext(person, request)
    message = translate(said) if isinstance(said, str) else told(said, translate)
    return render(request, person, template, status=status, message=message, code=status)


def gettext(person: Person | None, request: Request | None = None) -> Callable[[str], str]:
    """`_` for what code says to a person."""
    accept = request.headers.get("accept-language", "") if request else ""
    return words(person.language if person else language_of(accept)).gettext


@cache
def static_files() -> Mapping[str, File]:
    """Every file below `/console/static/`."""
    return files_of(FOLDER / "static")


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    path = f"{CONSOLE}/sign-in" + (f"?next={quote(wanted)}" if request.method == "GET" else "")
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={**FORM_HEADERS, "HX-Redirect": f"{CONSOLE}/sign-in"})
    return RedirectResponse(path, 303, FORM_HEADERS)


def _places(request: Request, person: Person | None) -> list[Place]:
    if person is None:
        return []
    there: frozenset[str] = request.app.state.console_paths
    return [place for place in NAVIGATION if place.path in there and (place.role is None or person.may(place.role))]


@cache
def _environment(language: str) -> Environment:
    locale, catalogue = Locale.parse(language), words(language)
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        catalogue.gettext, catalogue.ngettext, newstyle=True, pgettext=catalogue.pgettext, npgettext=catalogue.npgettext
    )
    made.filters.update(
        when=lambda at: format_datetime(at, "d MMM y HH:mm", locale=locale),
        day=lambda at: format_skeleton("MMMd", at, locale=locale),
        ago=partial(_ago, locale=locale),
        number=lambda value: format_decimal(value, locale=locale),
        percent=lambda value: format_percent(value, "#,##0.#%", locale=locale),
        # Not `gettext`, which would take for safe what was written by somebody: this stays a text to be escaped.
        reworded=partial(reworded, translate=catalogue.gettext),
        attributes=lambda thing, *names: [getattr(thing, name) for name in names],
    )
    made.globals.update(
        language=language, direction=locale.text_direction, languages=LANGUAGES, charts=charts, Role=Role, every="*"
    )
    return made


def _ago(at: datetime, *, locale: Locale) -> str:
    return format_timedelta(at - now(), add_direction=True, locale=locale)
