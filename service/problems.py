"""From our errors to HTTP answers in OpenAI's form: one table."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from service.errors import (
    AccessDenied,
    AdapterUnknown,
    BrandUnknown,
    Busy,
    ContextTooLong,
    ConversationUnknown,
    Forbidden,
    Full,
    GenerationTimeout,
    ModelUnavailable,
    NotFound,
    NotPossible,
    PromotionRefused,
    RequestInvalid,
    ServiceError,
    StorageUnavailable,
    TakenByAnother,
)

log = logging.getLogger(__name__)

STATUS: dict[type[ServiceError], int] = {
    RequestInvalid: 400,
    ContextTooLong: 400,
    AccessDenied: 401,
    Forbidden: 403,
    BrandUnknown: 404,
    NotFound: 404,
    AdapterUnknown: 404,
    ConversationUnknown: 404,
    PromotionRefused: 409,
    TakenByAnother: 409,
    NotPossible: 409,
    Full: 503,
    Busy: 429,
    ModelUnavailable: 503,
    StorageUnavailable: 503,
    GenerationTimeout: 504,
}
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Problem(BaseModel):
    """What every error is answered with."""

    class Error(BaseModel):
        """OpenAI's error object."""

        message: str = Field(description="What is wrong, why, and what to try.")
        type: str
        param: str | None = Field(description="The field that is wrong.")
        code: str | None

    error: Error


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request cannot be answered as it is."},
    "5XX": {"model": Problem, "description": "The gateway, its engine or its database cannot answer now."},
}
"""For each route's description; where a route says more of a status, that counts."""


def status_of(error: ServiceError) -> int:
    """The HTTP status of one of our errors; what the table does not name is a fault of ours."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def openai_error(error: ServiceError) -> dict[str, Any]:
    """One of our errors as OpenAI's error object."""
    return _body(str(error), status_of(error), error.code, getattr(error, "param", None))


def install(app: FastAPI) -> None:
    """Answer every error in the same form."""

    @app.exception_handler(ServiceError)
    async def ours(_: Request, error: ServiceError) -> JSONResponse:
        headers = {"Retry-After": str(getattr(error, "retry_after_s", 5))} if error.retryable else None
        return JSONResponse(openai_error(error), status_of(error), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        return JSONResponse(_body(f"{where}: {first['msg']}.", 400, "invalid_request", where), 400)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        # With its headers: a 405 must say what is allowed (RFC 9110, 15.5.6).
        body = _body(str(error.detail), error.status_code, None, None)
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        log.exception("request_failed")
        return JSONResponse(
            _body("Something broke inside the gateway; its log says what.", 500, type(error).__name__, None), 500
        )


def _body(message: str, status: int, code: str | None, param: str | None) -> dict[str, Any]:
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
