"""The files of a brand that was made here: `brands/<name>.yaml` of the state folder and the folder beside it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.brand import BRAND_NAME
from configs.home import Home
from configs.whole_file import replace_text
from service.errors import BrandUnknown, NotPossible, RequestInvalid

ARCHIVED = "archived"
"""Folder of what was put away."""
RESERVED = frozenset({ARCHIVED, "new"})
"""Names that mean something else in the folder or in an address."""
HEAD = (
    "# Made in the console, which writes this file anew when its forms are saved; docs/configuration.md explains it.\n"
)


@dataclass(frozen=True, slots=True)
class BrandFiles:
    """Where one brand's files are."""

    home: Home
    name: str

    @property
    def settings(self) -> Path:
        """Its YAML."""
        return self.home.brands / f"{self.name}.yaml"

    @property
    def folder(self) -> Path:
        """Its pages, voice guide and conversations."""
        return self.home.brands / self.name

    @property
    def put_away(self) -> tuple[Path, Path]:
        """Where settings and folder lie once it is archived."""
        below = self.home.brands / ARCHIVED
        return below / f"{self.name}.yaml", below / self.name

    @property
    def known(self) -> bool:
        """Whether it is there, archived or not, or has left something behind that a new one would take for its own."""
        left = (folder / self.name for folder in (self.home.knowledge, self.home.adapters, self.home.pages))
        return any(one.exists() for one in (self.settings, self.folder, *self.put_away, *left))

    def read(self) -> str:
        """Its YAML.

        Raises:
            BrandUnknown: It was not made here, or is archived.
        """
        try:
            return self.settings.read_text("utf-8")
        except OSError:
            raise BrandUnknown(f"There is no brand {self.name!r} that was made here.") from None

    def make(self, settings: str, files: Mapping[str, str]) -> None:
        """Write all of a new brand; it is there whole, or not at all.

        Raises:
            NotPossible: One of this name is there already.
        """
        self.home.brands.mkdir(parents=True, exist_ok=True)
        fresh = self.home.brands / f".making-{secrets.token_hex(8)}"
        try:
            for name, text in files.items():
                replace_text(fresh / name, text)
            try:
                os.rename(fresh, self.folder)
            except OSError as error:
                raise NotPossible(f"The name {self.name!r} is taken. Choose another one.") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        replace_text(self.settings, settings)

    def archive(self) -> None:
        """Put it away: it answers no longer, and nothing of it is lost."""
        settings, folder = self.put_away
        settings.parent.mkdir(parents=True, exist_ok=True)
        self.read()
        os.replace(self.settings, settings)
        os.replace(self.folder, folder)

    def restore(self) -> None:
        """Bring it back.

        Raises:
            BrandUnknown: None of this name is archived.
        """
        settings, folder = self.put_away
        if not settings.is_file():
            raise BrandUnknown(f"There is no archived brand {self.name!r}.")
        if folder.is_dir():
            os.replace(folder, self.folder)
        os.replace(settings, self.settings)


def archived(home: Home) -> list[str]:
    """Names of brands that were put away."""
    return sorted(path.stem for path in (home.brands / ARCHIVED).glob("*.yaml"))


def revision(text: str) -> str:
    """What a text is known by, so that nobody overwrites what somebody else wrote meanwhile."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dumped(values: Mapping[str, Any]) -> str:
    """Settings as YAML, in the order in which they come."""
    return HEAD + yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=110)


def name_of(company: str) -> str:
    """A brand's name made of a company's: `Ødegård & Sons` becomes `odegard-sons`."""
    plain = unicodedata.normalize("NFKD", company.replace("ø", "o").replace("Ø", "O"))
    name = re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower()).strip("-")[:40].strip("-")
    if name and not name[0].isalpha():
        name = f"b-{name}"[:40].strip("-")
    return name if re.fullmatch(BRAND_NAME, name) else ""


def check_name(name: str) -> str:
    """The name, where one can be called so.

    Raises:
        RequestInvalid: It is none.
    """
    if not re.fullmatch(BRAND_NAME, name) or name in RESERVED:
        raise RequestInvalid(
            f"{name!r} cannot be a brand's name: 2 to 40 small letters, digits and hyphens, a letter first.",
            param="name",
        )
    return name


def site_key() -> str:
    """A public key for a widget."""
    return f"pk_{secrets.token_hex(10)}"
