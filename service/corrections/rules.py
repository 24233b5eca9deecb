"""Words that call for a person, beside those of the brand's file: they came from corrections."""

from __future__ import annotations

from collections.abc import Iterable

from configs.brand import Brand
from service.corrections.terms import Correction


class Rules:
    """Keeps the keywords of running brands as accepted corrections have them."""

    def __init__(self, brands: dict[str, Brand]) -> None:
        """Begin with what the files say.

        Args:
            brands: By name; a brand is replaced here by one with more keywords or fewer.
        """
        self._brands = brands
        self._written = {name: brand.handover.keywords for name, brand in brands.items()}
        self._accepted: tuple[Correction, ...] = ()

    def written(self, brand: str) -> tuple[str, ...]:
        """The keywords of the brand's file."""
        return self._written[brand]

    def rewritten(self, name: str) -> None:
        """A brand was put in, or replaced, as its file says now; or taken out."""
        brand = self._brands.get(name)
        if brand is None:
            self._written.pop(name, None)
            return
        self._written[name] = brand.handover.keywords
        self.take(self._accepted)

    def take(self, accepted: Iterable[Correction]) -> None:
        """Let the keywords of these corrections, and no others, stand beside the files'."""
        self._accepted = tuple(accepted)
        added: dict[str, dict[str, None]] = {}
        for one in self._accepted:
            if one.keyword:
                added.setdefault(one.brand, {})[one.keyword] = None
        for name, written in self._written.items():
            keywords = tuple(dict.fromkeys((*written, *added.get(name, ()))))
            brand = self._brands.get(name)
            if brand is not None and brand.handover.keywords != keywords:
                handover = brand.handover.model_copy(update={"keywords": keywords})
                self._brands[name] = brand.model_copy(update={"handover": handover})
