"""A desk of brands over a state folder of its own, as a gateway has it, with nobody who serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from configs.home import Home
from configs.load import load_config
from configs.made import Around
from retrieval.testing import HashEncoder
from service.brands.desk import BrandDesk, Served

COMPANY = "Fernhill Pots"


@dataclass
class Told:
    """Who is told of changes."""

    names: list[str] = field(default_factory=list)

    def rewritten(self, name: str) -> None:
        self.names.append(name)


@dataclass
class House:
    """One gateway's part of it."""

    home: Home
    served: Served
    desk: BrandDesk
    told: Told

    async def indexed(self, name: str) -> None:
        await self.desk.indexed(name)
        found = self.desk.indexing(name)
        assert found is not None
        assert found.state == "done", found.trouble


def house(folder: Path) -> House:
    """A gateway on this state folder; several may share it."""
    config, home, told = load_config(Path("configs"), {}), Home(folder), Told()
    around = Around(home, config.service, Path("configs/service.yaml").absolute(), config.brands)
    served = Served(dict(config.brands), {}, {})
    return House(home, served, BrandDesk(around, served, HashEncoder(), (told,)), told)
