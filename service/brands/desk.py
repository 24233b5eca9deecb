"""Where people make brands and change them, and how this gateway and others take that up while they run."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from configs.brand import BRAND_NAME, Brand
from configs.errors import ConfigError
from configs.made import Around, made_brand, read_made
from configs.whole_file import replace_text
from retrieval.brand_search import open_search, search_encoder
from retrieval.encoder import Encoder
from retrieval.errors import RetrievalError
from retrieval.grounding.fence import Fence
from retrieval.knowledge import store
from retrieval.search.knowledge_base import KnowledgeBase
from service.brands import settings as fields
from service.brands.files import BrandFiles, archived, check_name, dumped, name_of, revision, site_key
from service.brands.settings import Settings
from service.brands.template import answers_to, filled, settings_of, template
from service.errors import BrandUnknown, NotPossible, RequestInvalid
from service.storage.database import storable

log = logging.getLogger(__name__)
FOLLOW_S = 1.0
"""How often files are looked at, which is how late other gateways are."""
MOST_GUIDE_CHARS = 8000


class Rewritten(Protocol):
    """What keeps something of each brand that its file says."""

    def rewritten(self, name: str, /) -> None:
        """A brand was put in, or replaced, as its file says now; or taken out."""


@dataclass(frozen=True, slots=True)
class Served:
    """What turns of a gateway look brands up in."""

    brands: dict[str, Brand]
    knowledge: dict[str, KnowledgeBase]
    guides: dict[str, str]


@dataclass(slots=True)
class Indexing:
    """How far a brand's pages are taken into its knowledge."""

    state: Literal["running", "done", "failed"] = "running"
    done: int = 0
    total: int = 0
    """Chunks."""
    skipped: list[str] = field(default_factory=list)
    """Pages that cannot be read, with the reason."""
    trouble: str = ""


class BrandDesk:
    """Brands of a gateway that people made, beside those of its configuration."""

    def __init__(self, around: Around, served: Served, encoder: Encoder, keepers: Sequence[Rewritten]) -> None:
        """Open it; `refresh` brings the brands.

        Args:
            around: The deployment.
            served: Is changed here.
            encoder: The deployment's.
            keepers: Told of each change.
        """
        self._around = around
        self._served = served
        self._encoder = encoder
        self._keepers = keepers
        self._taken: dict[str, tuple[Brand, str]] = {}
        """By name: what its file says, and its voice guide."""
        self._seen: object = None
        self._taking = asyncio.Lock()
        self.writing = asyncio.Lock()
        """Held while files of brands are changed."""
        self._indexing: dict[str, Indexing] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.left_out: Mapping[str, str] = {}
        """Brands whose files are wrong, and what is; what they said before goes on serving."""

    # --- looking ---------------------------------------------------------------------------------------------------

    def made(self, name: str) -> bool:
        """Whether people made it, so that it can be changed here."""
        return name in self._taken or name in self.left_out

    def files(self, name: str) -> BrandFiles:
        """Where its files are.

        Raises:
            BrandUnknown: No brand is called so.
        """
        if not re.fullmatch(BRAND_NAME, name):
            raise BrandUnknown(f"There is no brand {name!r}.")
        return BrandFiles(self._around.home, name)

    def archived(self) -> list[str]:
        """Names of those that were put away."""
        return archived(self._around.home)

    def settings(self, name: str) -> tuple[Settings, str]:
        """What the forms show, with the revision of the file.

        Raises:
            BrandUnknown: There is no such brand.
        """
        brand = self._taken[name][0] if name in self._taken else self._served.brands.get(name)
        if brand is None:
            raise BrandUnknown(f"There is no brand {name!r}.")
        return fields.settings_of(brand), revision(self.files(name).read()) if self.made(name) else ""

    # --- changing --------------------------------------------------------------------------------------------------

    async def create(self, kind: str, given: Mapping[str, str], name: str = "") -> Brand:
        """Make a brand of a template; it answers when this returns, and knows its pages as soon as they are indexed.

        Args:
            kind: The template.
            given: Answers to its form.
            name: Of the brand; made of the company's where it is empty.

        Raises:
            NotFound: No such template.
            RequestInvalid: An answer or the name is none.
            NotPossible: The name is taken.
        """
        one = template(kind)
        answers = answers_to(one.about, given)
        name = check_name(name or name_of(answers["company"]))
        async with self.writing:
            files = self.files(name)
            if name in self._around.configured or await asyncio.to_thread(lambda: files.known):
                raise NotPossible(f"The name {name!r} is taken. Choose another one.")
            below = f"brands/{name}"
            values = settings_of(one, answers)
            tagline = str(values.pop("tagline", ""))
            values = {
                "name": name,
                "display_name": answers["company"],
                "tagline": tagline[:1].upper() + tagline[1:],
                "pages": f"{below}/pages",
                "voice_guide": f"{below}/voice.md",
                "conversations": f"{below}/conversations.jsonl",
                "questions": f"{below}/questions.jsonl",
                **values,
                "widget": {"site_key": site_key(), **values.get("widget", {})},
            }
            text = dumped(values)
            self._checked(name, text)
            await asyncio.to_thread(files.make, text, filled(one, answers))
        await self.refresh()
        self.index(name)
        return self._served.brands[name]

    async def change(self, name: str, wanted: Settings, known: str | None) -> None:
        """Change the settings that are set.

        Args:
            name: The brand.
            wanted: What its forms say.
            known: The revision that this is a change of; None for whatever is there.

        Raises:
            RequestInvalid: The settings would be wrong; what served goes on serving.
            NotPossible: Somebody changed them meanwhile.
        """
        async with self.writing:
            before = self._read(name, known)
            try:
                values = yaml.safe_load(before)
            except yaml.YAMLError as error:
                raise NotPossible("The file of this brand is not YAML. Mend it under “Whole file” first.") from error
            await self._write(name, dumped(fields.changed(values if isinstance(values, dict) else {}, wanted)))
        await self.refresh()

    async def rewrite(self, name: str, text: str, known: str | None) -> None:
        """Replace the whole file; as `change`."""
        async with self.writing:
            self._read(name, known)
            await self._write(name, storable(text).replace("\r\n", "\n"))
        await self.refresh()

    async def write_guide(self, name: str, text: str) -> None:
        """Replace the voice guide.

        Raises:
            RequestInvalid: It is empty, or far too long.
            BrandUnknown: No such brand was made here.
        """
        text = storable(text).replace("\r\n", "\n").strip()
        if not text or len(text) > MOST_GUIDE_CHARS:
            raise RequestInvalid(f"A voice guide has 1 to {MOST_GUIDE_CHARS} characters.", param="text")
        brand = self.own(name)
        await asyncio.to_thread(replace_text, brand.voice_guide, text + "\n")
        await self.refresh()

    def own(self, name: str) -> Brand:
        """A brand that was made here, as its file says.

        Raises:
            BrandUnknown: There is none of this name.
        """
        if name not in self._taken:
            raise BrandUnknown(f"There is no brand {name!r} that was made here.")
        return self._taken[name][0]

    def conversations(self, name: str) -> Path:
        """The file of its conversations.

        Raises:
            BrandUnknown: No such brand was made here.
        """
        brand = self.own(name)
        return brand.conversations or self.files(name).folder / "conversations.jsonl"

    async def archive(self, name: str) -> None:
        """Put a brand away: it answers no longer.

        Raises:
            BrandUnknown: No such brand was made here.
        """
        async with self.writing:
            await asyncio.to_thread(self.files(name).archive)
        await self.refresh()

    async def restore(self, name: str) -> None:
        """Bring a brand back.

        Raises:
            BrandUnknown: None of this name is archived.
            RequestInvalid: Its settings fit no longer to the others.
        """
        async with self.writing:
            files = self.files(name)
            if not files.put_away[0].is_file():
                raise BrandUnknown(f"There is no archived brand {name!r}.")
            await asyncio.to_thread(files.restore)
        await self.refresh()

    # --- knowledge -------------------------------------------------------------------------------------------------

    def indexing(self, name: str) -> Indexing | None:
        """How far its pages are; None where this gateway was not asked for that."""
        return self._indexing.get(name)

    def index(self, name: str) -> Indexing:
        """Take a brand's pages into its knowledge, in the background; those that are there stay as they are.

        Raises:
            BrandUnknown: No such brand was made here.
        """
        brand, running = self.own(name), self._indexing.get(name)
        if running is not None and running.state == "running":
            return running
        found = self._indexing[name] = Indexing()
        task = asyncio.create_task(self._index(brand, found), name=f"index {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return found

    async def indexed(self, name: str) -> None:
        """Wait until a brand's pages are taken in, where that is under way."""
        for task in list(self._tasks):
            if task.get_name() == f"index {name}":
                await asyncio.wait((task,))

    async def _index(self, brand: Brand, found: Indexing) -> None:
        def progress(done: int, total: int) -> None:
            found.done, found.total = done, total

        def work() -> store.Change:
            encoder = search_encoder(self._around.home, brand, self._encoder)
            home = self._around.home.knowledge
            return store.add(home, brand.name, brand.pages, encoder, progress, judge=Fence(self._encoder))

        try:
            change = await asyncio.to_thread(work)
            await asyncio.to_thread(self._served.knowledge[brand.name].refresh)
            found.skipped = [f"{one.path}: {one.reason}" for one in change.skipped]
            found.state = "done"
        except Exception as error:
            log.exception("pages_not_indexed", extra={"brand": brand.name})
            found.state, found.trouble = "failed", str(error)

    # --- taking up -------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Refresh for as long as the gateway runs; the outermost loop, so it survives all."""
        while True:
            try:
                await self.refresh()
            except Exception:
                log.exception("brands_not_followed")
            await asyncio.sleep(FOLLOW_S)

    async def refresh(self) -> None:
        """Take up what the files say now, where they are others than before."""
        async with self._taking:
            seen = await asyncio.to_thread(self._looks)
            if seen == self._seen:
                return
            found = await asyncio.to_thread(read_made, self._around)
            left_out, failed = dict(found.left_out), False
            for name, brand in found.brands.items():
                try:
                    await self._take(brand)
                except (RetrievalError, OSError) as error:
                    left_out[name], failed = str(error), True
            for name in self._taken.keys() - found.brands.keys() - left_out.keys():
                self._let_go(name)
            for name, reason in left_out.items():
                if self.left_out.get(name) != reason:
                    log.error("brand_not_taken_up", extra={"brand": name, "reason": reason})
            # What cannot be opened may be a moment later, without a change of these files.
            self.left_out, self._seen = left_out, None if failed else seen

    async def _take(self, brand: Brand) -> None:
        name, before = brand.name, self._taken.get(brand.name)
        now = (brand, await asyncio.to_thread(brand.voice_guide.read_text, "utf-8"))
        if now == before:
            return
        if before is None or (before[0].retrieval, before[0].conversations) != (brand.retrieval, brand.conversations):
            search = await asyncio.to_thread(open_search, self._around.home, brand, self._encoder)
            self._served.knowledge[name] = search
        self._served.guides[name] = now[1]
        self._taken[name] = now
        self._served.brands[name] = brand
        self._tell(name)
        log.info("brand_taken_up", extra={"brand": name})

    def _let_go(self, name: str) -> None:
        # Its knowledge and guide stay: a turn that runs may be about to ask them.
        del self._taken[name]
        self._served.brands.pop(name, None)
        self._tell(name)
        log.info("brand_let_go", extra={"brand": name})

    def _tell(self, name: str) -> None:
        for keeper in self._keepers:
            keeper.rewritten(name)

    def _looks(self) -> Any:
        """What changes when a file does."""
        folder = self._around.home.brands
        found = []
        for path in (*folder.glob("*.yaml"), *folder.glob("*/*.*")):
            try:
                stat = path.stat()
            except OSError:
                continue
            found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return sorted(found)

    def _read(self, name: str, known: str | None) -> str:
        before = self.files(name).read()
        if known is not None and known != revision(before):
            raise NotPossible("Somebody changed this brand since you opened the page. Load it again, and repeat yours.")
        return before

    async def _write(self, name: str, text: str) -> None:
        self._checked(name, text)
        await asyncio.to_thread(replace_text, self.files(name).settings, text)

    def _checked(self, name: str, text: str) -> Brand:
        others = {other: taken[0] for other, taken in self._taken.items()}
        try:
            return made_brand(text, self.files(name).settings, self._around, others)[1]
        except ConfigError as error:
            # Whoever reads this has a browser, and no use for where the state folder is.
            raise RequestInvalid(str(error).replace(f"{self._around.home.root}/", "")) from error
