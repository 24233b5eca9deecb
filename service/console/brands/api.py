"""What people do with brands, with a line in the log for each change; and the same over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from configs.brand import Brand
from service.bootstrap import Gateway
from service.brands import conversations as examples
from service.brands.conversations import Example
from service.brands.files import revision
from service.brands.settings import Settings
from service.brands.template import Template, templates
from service.console import audit
from service.console.access import Admin, Person, Role
from service.console.inspector.prompt_parts import count_tokens
from service.console.said import _
from service.errors import Forbidden, RequestInvalid, brand_of

MOST_TOKENS = 600
"""Of a voice guide: beside passages and question, a small model reads no more."""
Name = Annotated[str, Path(max_length=40)]
Id = Annotated[str, Path(max_length=80)]


class Asked(BaseModel):
    """One field of a template's form."""

    name: str
    label: str
    given: str = Field(description="What it is where the answer is left out; a field without it must be answered.")
    hint: str


class Offer(BaseModel):
    """A template."""

    name: str
    title: str
    about: str
    pages: int
    conversations: int
    blanks: list[Asked]


class Offers(BaseModel):
    """The templates."""

    templates: list[Offer]


class NewBrand(BaseModel):
    """A brand to be made."""

    template: str = Field(max_length=40)
    answers: dict[str, str] = Field(description="By the names of the template's blanks; `company` at least.")
    name: str = Field(default="", max_length=40, description="Made of the company's where it is absent.")


class Shown(BaseModel):
    """A brand's settings."""

    name: str
    made: bool = Field(description="Whether it was made here; else its file is the operator's and is not changed here.")
    site_key: str
    revision: str = Field(description="Of the file; empty for a configured brand.")
    settings: Settings


class ChangedSettings(BaseModel):
    """Settings to change; what is absent stays."""

    settings: Settings
    revision: str | None = Field(
        default=None, max_length=32, description="Refused where the file is another one by now."
    )


class WholeFile(BaseModel):
    """A brand's YAML."""

    text: str = Field(max_length=100_000)
    revision: str | None = Field(default=None, max_length=32)


class Guide(BaseModel):
    """A voice guide."""

    text: str = Field(max_length=20_000)


class GuideShown(Guide):
    """A voice guide, counted."""

    tokens: int | None = Field(description="Of the base model; null where it cannot be asked.")


class Examples(BaseModel):
    """The conversations that a voice is trained on."""

    examples: list[Example]


class Indexed(BaseModel):
    """How far a brand's pages are in its knowledge."""

    state: Literal["idle", "running", "done", "failed"]
    done: int = 0
    total: int = Field(default=0, description="Chunks that are embedded.")
    documents: int = Field(description="In the knowledge that serves.")
    skipped: list[str] = []
    trouble: str = ""


class BrandShelf:
    """What people do with brands."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.desk = gateway.brand_desk
        self.brands = gateway.config.brands

    def brand(self, name: str) -> Brand:
        """A brand that is served.

        Raises:
            BrandUnknown: There is none of this name.
        """
        return brand_of(self.brands, name)

    async def shown(self, name: str) -> Shown:
        """Its settings."""
        settings, revision = await asyncio.to_thread(self.desk.settings, name)
        key = self.brand(name).widget.site_key
        return Shown(name=name, made=self.desk.made(name), site_key=key, revision=revision, settings=settings)

    async def make(self, person: Person, kind: str, answers: Mapping[str, str], name: str) -> Brand:
        """Make one of a template."""
        must_everywhere(person)
        made = await self.desk.create(kind, answers, name)
        await self._note(person, made.name, "brand.made", {"template": kind})
        return made

    async def change(self, person: Person, name: str, wanted: Settings, revision: str | None) -> None:
        """Change settings."""
        await self.desk.change(name, wanted, revision)
        await self._note(person, name, "brand.changed", {"settings": sorted(wanted.model_fields_set)})

    async def rewrite(self, person: Person, name: str, text: str, revision: str | None) -> None:
        """Replace the whole file."""
        must_everywhere(person)
        await self.desk.rewrite(name, text, revision)
        await self._note(person, name, "brand.file_changed")

    async def guide(self, name: str) -> GuideShown:
        """The voice guide."""
        text = await asyncio.to_thread(self.brand(name).voice_guide.read_text, "utf-8")
        return GuideShown(text=text, tokens=await self.tokens(text))

    async def tokens(self, text: str) -> int | None:
        """How many tokens a text has."""
        found = await count_tokens(self.gateway.home, self.gateway.config.service, [text])
        return found[0] if found else None

    async def write_guide(self, person: Person, name: str, text: str) -> None:
        """Replace the voice guide."""
        tokens = await self.tokens(text)
        if tokens is not None and tokens > MOST_TOKENS:
            raise RequestInvalid(
                f"The guide has {tokens} tokens; at most {MOST_TOKENS} fit beside the passages. Shorten it.",
                param="text",
            )
        await self.desk.write_guide(name, text)
        await self._note(person, name, "voice_guide.changed", {"tokens": tokens})

    async def examples(self, name: str) -> list[Example]:
        """Its conversations."""
        return await asyncio.to_thread(examples.read, self.desk.conversations(name))

    async def write_example(self, person: Person, name: str, wanted: Example) -> Example:
        """Put in a conversation, or change one."""
        path, new = self.desk.conversations(name), not wanted.id
        async with self.desk.writing:
            kept = await asyncio.to_thread(examples.write, path, wanted)
        await self._note(person, name, "example.made" if new else "example.changed", subject=kept.id)
        return kept

    async def remove_example(self, person: Person, name: str, example: str) -> None:
        """Take a conversation out."""
        path = self.desk.conversations(name)
        async with self.desk.writing:
            await asyncio.to_thread(examples.remove, path, example)
        await self._note(person, name, "example.deleted", subject=example)

    async def index(self, person: Person, name: str) -> None:
        """Take its pages into its knowledge."""
        self.desk.index(name)
        await self._note(person, name, "brand.indexed")

    def indexed(self, name: str) -> Indexed:
        """How far they are."""
        self.brand(name)
        documents, found = len(self.gateway.knowledge[name].documents()), self.desk.indexing(name)
        if found is None:
            return Indexed(state="idle", documents=documents)
        return Indexed(
            state=found.state, done=found.done, total=found.total, documents=documents, skipped=found.skipped,
            trouble=found.trouble,
        )  # fmt: skip

    async def archive(self, person: Person, name: str) -> None:
        """Put it away."""
        must_everywhere(person)
        await self.desk.archive(name)
        await self._note(person, name, "brand.archived")

    async def restore(self, person: Person, name: str) -> None:
        """Bring it back."""
        must_everywhere(person)
        await self.desk.restore(name)
        await self._note(person, name, "brand.restored")

    async def _note(
        self, person: Person, brand: str, action: str, detail: Mapping[str, Any] | None = None, *, subject: str = ""
    ) -> None:
        await self.gateway.db.write(
            lambda c: audit.note(c, by=person, brand=brand, action=action, subject=subject or brand, detail=detail)
        )


def must_everywhere(person: Person) -> None:
    """Raise Forbidden unless they are an admin of all brands, those to come included."""
    if not person.may_everywhere(Role.ADMIN):
        raise Forbidden(_("This needs the role admin in all brands. Ask somebody who has it."))


def offer(one: Template) -> Offer:
    """A template as it is told."""
    blanks = [Asked(name=b.name, label=b.label, given=b.given, hint=b.hint) for b in one.about.blanks]
    return Offer(
        name=one.name, title=one.about.title, about=one.about.about, pages=one.pages, conversations=one.conversations,
        blanks=blanks,
    )  # fmt: skip


def brands_api(shelf: BrandShelf) -> APIRouter:
    """The routes below `/v1/brands` that make and change brands, and `/v1/brand-templates`."""
    router = APIRouter(prefix="/v1", tags=["Brands"])

    @router.get("/brand-templates", response_model=Offers)
    async def offers(person: Admin) -> Any:  # noqa: ARG001
        """Templates that brands are made of, each with its form."""
        return {"templates": [offer(one) for one in templates().values()]}

    @router.post("/brands", response_model=Shown, status_code=201)
    async def make(person: Admin, wanted: NewBrand) -> Any:
        """Make a brand of a template; it answers at once, from its pages as soon as they are indexed.

        Needs the role admin in all brands.
        """
        made = await shelf.make(person, wanted.template, wanted.answers, wanted.name)
        return await shelf.shown(made.name)

    @router.get("/brands/{brand}/settings", response_model=Shown)
    async def settings(person: Admin, brand: Name) -> Any:  # noqa: ARG001
        """What forms change of a brand."""
        return await shelf.shown(brand)

    @router.patch("/brands/{brand}/settings", response_model=Shown)
    async def change(person: Admin, brand: Name, wanted: ChangedSettings) -> Any:
        """Change settings of a brand that was made here; every gateway takes them up within seconds."""
        await shelf.change(person, brand, wanted.settings, wanted.revision)
        return await shelf.shown(brand)

    @router.get("/brands/{brand}/file", response_model=WholeFile)
    async def file(person: Admin, brand: Name) -> Any:
        """The whole YAML of a brand that was made here. Needs the role admin in all brands."""
        must_everywhere(person)
        return await shelf_file(shelf, brand)

    @router.put("/brands/{brand}/file", response_model=WholeFile)
    async def rewrite(person: Admin, brand: Name, wanted: WholeFile) -> Any:
        """Replace it; what is wrong with it is told with its line, and what served goes on serving."""
        await shelf.rewrite(person, brand, wanted.text, wanted.revision)
        return await shelf_file(shelf, brand)

    @router.delete("/brands/{brand}", status_code=204)
    async def archive(person: Admin, brand: Name) -> None:
        """Put a brand away that was made here: it answers no longer, and nothing of it is lost."""
        await shelf.archive(person, brand)

    @router.post("/brands/{brand}/restore", response_model=Shown)
    async def restore(person: Admin, brand: Name) -> Any:
        """Bring an archived brand back."""
        await shelf.restore(person, brand)
        return await shelf.shown(brand)

    _content(router, shelf)
    return router


def _content(router: APIRouter, shelf: BrandShelf) -> None:
    @router.get("/brands/{brand}/voice-guide", response_model=GuideShown)
    async def guide(person: Admin, brand: Name) -> Any:  # noqa: ARG001
        """The voice guide, which the base model reads until the brand has a voice of its own."""
        return await shelf.guide(brand)

    @router.put("/brands/{brand}/voice-guide", response_model=GuideShown)
    async def write_guide(person: Admin, brand: Name, wanted: Guide) -> Any:
        """Replace the voice guide of a brand that was made here."""
        await shelf.write_guide(person, brand, wanted.text)
        return await shelf.guide(brand)

    @router.get("/brands/{brand}/examples", response_model=Examples)
    async def listed(person: Admin, brand: Name) -> Any:  # noqa: ARG001
        """The conversations that the voice of a brand that was made here is trained on."""
        return {"examples": await shelf.examples(brand)}

    @router.post("/brands/{brand}/examples", response_model=Example, status_code=201)
    async def add(person: Admin, brand: Name, wanted: Example) -> Any:
        """Put in a conversation."""
        return await shelf.write_example(person, brand, wanted.model_copy(update={"id": ""}))

    @router.put("/brands/{brand}/examples/{example}", response_model=Example)
    async def change_one(person: Admin, brand: Name, example: Id, wanted: Example) -> Any:
        """Change a conversation."""
        return await shelf.write_example(person, brand, wanted.model_copy(update={"id": example}))

    @router.delete("/brands/{brand}/examples/{example}", status_code=204)
    async def remove(person: Admin, brand: Name, example: Id) -> None:
        """Take a conversation out."""
        await shelf.remove_example(person, brand, example)

    @router.get("/brands/{brand}/index", response_model=Indexed)
    async def indexed(person: Admin, brand: Name) -> Any:  # noqa: ARG001
        """How far the pages of a brand are in its knowledge, as this gateway knows it."""
        return shelf.indexed(brand)

    @router.post("/brands/{brand}/index", response_model=Indexed, status_code=202)
    async def index(person: Admin, brand: Name) -> Any:
        """Take the pages of a brand that was made here into its knowledge, in the background."""
        await shelf.index(person, brand)
        return shelf.indexed(brand)


async def shelf_file(shelf: BrandShelf, brand: str) -> dict[str, str]:
    """A brand's YAML with its revision."""
    text = await asyncio.to_thread(shelf.desk.files(brand).read)
    return {"text": text, "revision": revision(text)}
