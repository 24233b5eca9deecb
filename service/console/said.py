"""A sentence whose blanks are filled and that can still be translated: errors are told in the reader's language."""

from __future__ import annotations

from collections.abc import Callable

from service.console.marked import _
from service.console.reworded import reworded

__all__ = ["Said", "_", "told"]


class Said(str):
    """The English sentence; remembers what it was made of."""

    __slots__ = ("template", "values")
    template: str
    values: dict[str, object]

    def __new__(cls, template: str, **values: object) -> Said:
        """Fill the blanks `%(name)s` of a text that is marked for translation."""
        made = super().__new__(cls, template % values)
        made.template, made.values = template, values
        return made

    def told(self, translate: Callable[[str], str]) -> str:
        """The sentence in another language."""
        return translate(self.template) % self.values


def told(error: Exception, translate: Callable[[str], str]) -> str:
    """What an error says, in another language where its sentence is in the catalogue."""
    said = error.args[0] if error.args else ""
    return said.told(translate) if isinstance(said, Said) else reworded(str(said), translate) if said else ""
