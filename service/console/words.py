"""The console's words in the languages it speaks: gettext catalogues of many stories, read at start.

English is what stands in templates and code; `service/web/console/words/<language>/<story>.po` holds the rest.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from service.browser import WEB

WORDS = WEB / "console" / "words"
SOURCE = "en"
LANGUAGES = {SOURCE: "English", **{path.name: Locale.parse(path.name).get_display_name() or path.name
                                  for path in sorted(WORDS.iterdir()) if path.is_dir()}}  # fmt: skip
"""Tag to the language's own name."""


@cache
def words(language: str) -> NullTranslations:
    """The catalogue of a language, of all stories; what is not translated stays English."""
    merged: NullTranslations = NullTranslations()
    for path in sorted((WORDS / language).glob("*.po")) if language in LANGUAGES and language != SOURCE else ():
        one = _read(path)
        merged = one if not isinstance(merged, Translations) else merged.merge(one)
    return merged


def language_of(accept: str) -> str:
    """The language for somebody who is not known, by the header `Accept-Language`."""
    wanted = [part.split(";")[0].strip() for part in accept.split(",")]
    return negotiate_locale(wanted, list(LANGUAGES), sep="-") or SOURCE


def _read(path: Path) -> Translations:
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.parent.name, domain="messages")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
