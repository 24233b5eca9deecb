"""Files of the widget's visitors: brought and fetched by the visitor with a ticket, fetched by people with a key.

A ticket is sealed for one conversation and is told to its visitor over the socket, so that neither a conversation's id
nor a file's opens anything. Files go out as downloads only, never shown by the browser under this address.
"""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from configs.brand import Brand, FileKind, Files
from service.bootstrap import Gateway
from service.console.access import Agent
from service.conversation import files
from service.errors import AccessDenied, RequestInvalid, ServiceError
from service.problems import openai_error, status_of
from service.security import origin_allowed

AT_ONCE = 8
"""Uploads that are held in memory at one time; more wait."""
Ticket = Annotated[str, Query(description="As the socket told it.", max_length=1000)]
Id = Annotated[str, Path(max_length=64)]


class Kept(BaseModel):
    """A file that is kept."""

    id: str = Field(description="What a message names it by, over the socket.")
    name: str
    kind: FileKind = Field(description="By what is in it.")
    size: int = Field(description="In bytes.")


def files_router(gateway: Gateway) -> APIRouter:
    """The routes `/v1/widget/files` and `/v1/conversations/{conversation}/files/{file}`."""
    router = APIRouter(prefix="/v1", tags=["Files"])
    places = asyncio.Semaphore(AT_ONCE)

    def opened(ticket: str, request: Request) -> tuple[Brand, Files, str, dict[str, str]]:
        """The brand, its rules, the conversation of a ticket, and the headers of the answer."""
        brand, conversation = gateway.visitors.conversation(ticket)
        about = gateway.config.brands.get(brand)
        origin = request.headers.get("origin")
        if about is None or about.widget.files is None:
            raise AccessDenied("This brand takes no files.")
        if not origin_allowed(about, origin, request.headers.get("host")):
            raise AccessDenied("This page may not use this brand's chat.")
        headers = {"Vary": "Origin", **({"Access-Control-Allow-Origin": origin} if origin else {})}
        return about, about.widget.files, conversation, headers

    @router.options("/widget/files", include_in_schema=False)
    async def ask_first(ticket: Ticket, request: Request) -> Response:
        *_, headers = opened(ticket, request)
        allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type"}
        return Response(status_code=204, headers=headers | allowed | {"Access-Control-Max-Age": "600"})

    @router.post("/widget/files", status_code=201, response_model=Kept)
    async def bring(ticket: Ticket, name: Annotated[str, Query(max_length=1000)], request: Request) -> JSONResponse:
        """Bring a file, as the body; a message of the same conversation then takes it along by its id."""
        brand, rules, conversation, headers = opened(ticket, request)
        try:
            gateway.limits.take(account=brand.name, visitor=conversation)
            async with places:
                content = await _body(request, int(rules.max_mb * 1_000_000))
                kept = await files.keep(gateway.db, gateway.home, rules, brand.name, conversation, name, content)
        except ServiceError as error:
            # A page of another origin reads the reason only with this origin's headers.
            return JSONResponse(openai_error(error), status_of(error), headers=headers)
        return JSONResponse(kept.to_json(), 201, headers=headers)

    @router.get("/widget/files/{file}", response_class=FileResponse)
    async def fetch(file: Id, ticket: Ticket) -> FileResponse:
        """A visitor's own file."""
        brand, conversation = gateway.visitors.conversation(ticket)
        return _download(await files.find(gateway.db, gateway.home, brand, conversation, file))

    @router.get("/conversations/{conversation}/files/{file}", response_class=FileResponse)
    async def read(conversation: Id, file: Id, person: Agent) -> FileResponse:  # noqa: ARG001 - says who may
        """A file that a customer sent."""
        about = await gateway.desk.shown(conversation)
        return _download(await files.find(gateway.db, gateway.home, about["brand"], conversation, file))

    return router


async def _body(request: Request, most: int) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > most:
            raise RequestInvalid(f"A file may have at most {most / 1_000_000:g} MB.", code="too_large")
    return bytes(content)


def _download(file: files.Stored) -> FileResponse:
    """Source: OWASP File Upload Cheat Sheet (read 2026-11): a download, of a type that we say, run by nobody."""
    return FileResponse(
        file.path,
        media_type=files.MEDIA_TYPES[file.kind],
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, no-store",
        },
    )
