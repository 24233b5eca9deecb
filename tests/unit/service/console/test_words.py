"""Every word of the console stands in each of its languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

import training
from service.browser import WEB
from service.console import pages
from service.console.change_words import ACTIONS, KINDS
from service.console.words import LANGUAGES, SOURCE, WORDS, language_of, words

KEYWORDS = {"gettext": None, "_": None, "ngettext": (1, 2)}
OPTIONS = {"newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}
MODULES = {path.stem for path in Path(training.__file__).parent.iterdir()}
OTHERS = sorted(set(LANGUAGES) - {SOURCE})


def messages() -> Iterator[tuple[str, Path]]:
    """Every text that is to be translated, and where it stands."""
    files = [(path, "jinja2.ext:babel_extract") for path in (WEB / "console").rglob("*.html")]
    files += [(path, "python") for path in Path(pages.__file__).parent.rglob("*.py")]
    for path, method in files:
        with path.open("rb") as file:
            for _, message, _, _ in extract(method, file, keywords=KEYWORDS, options=OPTIONS):
                # Of a plural, the first form is the key.
                yield (message if isinstance(message, str) else message[0]), path


def test_there_is_something_to_translate() -> None:
    assert len({message for message, _ in messages()}) > 50
    assert "id" in OTHERS


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language: str) -> None:
    catalogue = words(language)
    known = getattr(catalogue, "_catalog", {})
    missing = {
        (message, path.name) for message, path in messages() if not (known.get(message) or known.get((message, 0)))
    }
    assert not missing


@pytest.mark.parametrize("path", sorted(WORDS.rglob("*.po")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_translation_has_the_blanks_of_its_text_and_is_still_needed(path: Path) -> None:
    used = {message for message, _ in messages()}
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.parent.name)
    for message in catalogue:
        if not message.id:
            continue
        first = message.id if isinstance(message.id, str) else message.id[0]
        assert first in used, f"{first!r} stands nowhere any more"
        assert not message.fuzzy, first
        forms = [message.string] if isinstance(message.string, str) else message.string
        for form in forms:
            assert set(re.findall(r"%\(\w+\)s", form)) == set(re.findall(r"%\(\w+\)s", first)), first


def test_a_browser_says_which_language_it_wants() -> None:
    assert language_of("id-ID,id;q=0.9,en;q=0.8") == "id"
    assert language_of("fr-FR,fr;q=0.9") == "en"
    assert language_of("") == "en"


def test_whatever_the_audit_log_holds_has_a_name() -> None:
    kinds = "|".join(KINDS)
    rooms = (path for path in Path(pages.__file__).parents[1].rglob("*.py") if path.name != "change_words.py")
    found = re.findall(rf'"((?:{kinds})\.[a-z_]+)"', "".join(path.read_text("utf-8") for path in rooms))
    files_and_modules = {name for name in found if name.startswith("training.") and name.split(".")[1] in MODULES}
    # The rest of these is put behind the dot where it is written.
    composed = {"correction.accepted", "correction.rejected", "question.added", "question.removed"}
    assert {*found, *composed} - files_and_modules - {"brand.yaml"} == set(ACTIONS)
