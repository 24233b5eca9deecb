"""What the pages of the knowledge call things, and why files are refused, named here so that it is translated."""

from __future__ import annotations

import re
from collections.abc import Callable

from service.console.said import _

CHANGED = _("Somebody has changed this document meanwhile. What you see is your text against theirs.")
GONE = _("This version is not kept any more. Look at the list of versions.")
ORIGINS = {
    "web": _("from the web"),
    "pages": _("from the brand's folder"),
    "written": _("written in the inbox"),
    "brought": _("uploaded"),
    "file": _("from a file"),
}
STATES = {
    "running": _("running"),
    "done": _("done"),
    "failed": _("failed"),
    "stopped": _("stopped"),
    "interrupted": _("interrupted"),
}
INTAKE_STEPS = {
    "waiting": _("It waits for another job."),
    "reading": _("Reading"),
    "embedding": _("Making passages searchable"),
}
OUTCOMES = {
    "added": _("added"),
    "changed": _("changed"),
    "unchanged": _("unchanged"),
    "refused": _("refused"),
}
SAID = (
    _("Choose at least one file."),
    _(
        "An address begins with https:// or http:// and has at most 2,000 characters, such as "
        "https://shop.example/help or https://shop.example/sitemap.xml."
    ),
    _("5 jobs already take documents into this brand's knowledge. Wait until one is done, or stop one."),
    _("It is over already."),
    _("its name begins with a dot, or it has none; give it another one"),
    _("its name is longer than 200 bytes; give it a shorter one"),
    _("another file of this name was brought with it"),
    _("empty"),
    _("hidden"),
    _("a picture"),
    _("a program"),
    _("compressed; unpack it"),
    _("an RTF file; save it as .docx"),
    _("an old Office file, or one with a password; save it as .docx, .xlsx or .pptx"),
    _("binary: it holds NUL characters"),
    _("a zip archive, not a document; unpack it"),
    _("locked with a password; save it without"),
    _("encrypted; save it without a password"),
    _("it holds macros; save it as a file without macros (.docx, .xlsx, .pptx)"),
    _("no text in it: a scan needs recognition of its letters (OCR) first"),
    _("no pages in it"),
    _("no list of objects with the keys question and answer, or title and text"),
    _("the document that it describes is not there"),
    _("robots.txt of the site forbids it"),
    _("its redirects lead in a circle"),
    _("zero-width characters"),
    _("tag characters"),
    _("bidi controls"),
    _("HTML comments"),
    _("hidden elements"),
    _("invisible characters of a PDF"),
    _("hidden sheets of an XLSX"),
    _("speaker notes of a PPTX"),
    _("hidden slides of a PPTX"),
    _("hidden runs of a DOCX"),
    _("deleted runs of a DOCX"),
)
"""What the rooms below say, word for word (`service.intake`, `retrieval.documents`)."""
PATTERNS = (
    (r"read as (?P<form>\w+), which it is whatever its name says", _("read as %(form)s, whatever its name says")),
    (r"not one of (?P<formats>\..+)", _("not one of %(formats)s")),
    (r"(?P<suffix>\.\w+) files hold macros.*", _("%(suffix)s files hold macros; save it as a file without them")),
    (r"larger than (?P<most>[\d.]+) MB.*", _("larger than %(most)s MB; split it")),
    (r"the server answered (?P<status>\d+)", _("the server answered %(status)s")),
    (r"not (?P<form>\w+), whatever its name says", _("not %(form)s, whatever its name says")),
    (r"not (?P<form>UTF-8) \(.*", _("not %(form)s; save it as UTF-8")),
    (r"damaged or not a PDF .*", _("damaged, or not a PDF")),
    (r"damaged: not a whole zip archive .*", _("damaged: a part of the file is missing")),
    (r"of another host than its sitemap \((?P<host>.+)\)", _("of another host than its sitemap (%(host)s)")),
    (r"it leads to another host \((?P<host>.+)\)", _("it leads to another host (%(host)s)")),
    (r"the host .* leads to .*, which is not a public address", _("its host is not on the public internet")),
    (r"the host .* has no address.*", _("its host has no address; check how it is written")),
)
"""What they say with a figure or a name in it."""


def note_in(note: str, translate: Callable[[str], str]) -> str:
    """What was seen in a document, in another language; a count may stand behind it."""
    found = re.fullmatch(r"(?P<what>.+?)(?P<count> \(\d+\))?", note, re.DOTALL)
    return reason_in(found["what"], translate) + (found["count"] or "") if found else note


def reason_in(reason: str, translate: Callable[[str], str]) -> str:
    """Why a file or page was refused, in another language; as it was said where nobody knows it in that."""
    same = translate(reason)
    if same != reason:
        return same
    for pattern, text in PATTERNS:
        if found := re.fullmatch(pattern, reason, re.DOTALL):
            said = translate(text)
            return said % found.groupdict() if said != text else reason
    return reason
