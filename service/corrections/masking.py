"""Personal data hidden before a correction is kept, as the data doctor hides it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from configs.brand import Brand
from retrieval.language import personal


class Masker:
    """Hides personal data in what is said around a brand's answers, and counts what it hid."""

    def __init__(self, brand: Brand) -> None:
        """Begin; contacts that stand in the brand's own pages are public."""
        pages = sorted(brand.pages.rglob("*.md")) if brand.pages.is_dir() else []
        self._known = personal.contacts("\n\n".join(one.read_text("utf-8", errors="replace") for one in pages))
        self._names: dict[str, re.Pattern[str]] = {}
        self.hidden = 0

    def meet(self, *texts: str | None) -> None:
        """Learn the names by which people introduce themselves here: they are hidden wherever they stand."""
        for text in texts:
            for one in personal.find(text or "", known=self._known):
                if one.kind == "name":
                    name = (text or "")[one.start : one.end]
                    self._names[name] = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")

    def customer(self, text: str) -> str:
        """What a customer or an author wrote."""
        return self._hide(text, reply=False)

    def reply(self, text: str) -> str:
        """What the brand said: a number that is free to call is its own."""
        return self._hide(text, reply=True)

    def messages(self, messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        """Messages of a prompt."""
        return [
            {"role": one["role"], "content": self._hide(one["content"], reply=one["role"] == "assistant")}
            for one in messages
        ]

    def _hide(self, text: str, *, reply: bool) -> str:
        found = personal.find(text, reply=reply, known=self._known)
        text = personal.hide(text, found)
        self.hidden += len(found)
        for name in self._names.values():
            text, count = name.subn("[masked name]", text)
            self.hidden += count
        return text
