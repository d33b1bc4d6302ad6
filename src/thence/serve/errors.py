"""Errors as JSON in the shape of OpenAI's API: a sentence, a type, and an HTTP status."""

import json
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from thence.errors import SettingError, ThenceError

SERVER_ERROR = "The server made a mistake; its log says more."
UNAVAILABLE = "model_unavailable"
"""Type and code of the error for a model whose thread has ended."""
MAX_MESSAGE = 600
"""Maximum length of an error message, in characters."""
MAX_VALUE = 60
"""Characters of an invalid value that a message quotes at most."""
CHARACTERS_PER_TOKEN = 16
"""A text with more characters than this per allowed token is rejected before it is tokenised, which
would block the model's thread. Words of most languages are half as long."""
UNION_MEMBER = re.compile(r"str|(list|constrained|function)\b.*")
"""Names that pydantic puts into an error's location for the members of a union of types."""
TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    500: "internal_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class UnknownModelError(SettingError):
    """A request names a model that is not served, or one of the wrong kind."""


class ThreadEndedError(RuntimeError):
    """A model's thread has ended, so that the model cannot answer any more."""


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(BaseModel):
    """The answer to a request that failed."""

    error: ErrorDetail


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "The request cannot be answered"},
    "5XX": {"model": ErrorAnswer, "description": "The server cannot answer now"},
}
"""Documentation of the errors of every route."""


def error_response(
    status: int, message: str, *, headers: Mapping[str, str] | None = None, **fields: str | None
) -> JSONResponse:
    """Return an error as an HTTP response; ``fields`` are those of ``error_content``."""
    return JSONResponse(error_content(status, message, **fields), status, headers=headers)


def error_content(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    kind: str | None = None,
) -> dict[str, Any]:
    """Return the JSON of an error; its type follows from the status by default."""
    # A message may quote a lone surrogate of the request, which cannot be encoded in UTF-8.
    said, about = (
        text and text.encode("utf-8", "backslashreplace").decode("utf-8")[:MAX_MESSAGE]
        for text in (message, param)
    )
    kind = kind or TYPES.get(status, "invalid_request_error")
    detail = ErrorDetail(message=said or "", type=kind, param=about or None, code=code)
    return ErrorAnswer(error=detail).model_dump()


def reject(message: str, code: str | None = None) -> HTTPException:
    """Return the exception (status 400) to raise for a request beyond a limit."""
    return HTTPException(400, {"message": message, "code": code})


def check_characters(what: str, characters: int, max_tokens: int) -> None:
    """Check a text's number of characters before it is tokenised.

    Raises:
        HTTPException: With status 400, if it is too long for ``max_tokens`` tokens.
    """
    most = CHARACTERS_PER_TOKEN * max_tokens
    if characters > most:
        raise reject(
            f"The {what} has {characters:,} characters; this server reads at most {most:,}, "
            f"{CHARACTERS_PER_TOKEN} for each of {max_tokens:,} tokens (--max-prompt).",
            "context_length_exceeded",
        )


def check_length(what: str, tokens: int, max_tokens: int) -> None:
    """Check a text's number of tokens.

    Raises:
        HTTPException: With status 400, if it is above ``max_tokens``.
    """
    if tokens > max_tokens:
        raise reject(
            f"The {what} has {tokens:,} tokens; this server reads at most {max_tokens:,} "
            "(--max-prompt).",
            "context_length_exceeded",
        )


def handle_errors(app: FastAPI) -> None:
    """Install exception handlers, so that every error is answered as ``ErrorAnswer``."""

    @app.exception_handler(StarletteHTTPException)
    async def on_http(request: Request, error: StarletteHTTPException) -> JSONResponse:
        unrouted = {"message": _no_route(request, error.status_code) or str(error.detail)}
        detail = error.detail if isinstance(error.detail, dict) else unrouted
        code, message = detail.get("code"), detail["message"]
        return error_response(error.status_code, message, code=code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        message, param = _describe(max(error.errors(), key=_closeness))
        return error_response(400, message, param=param)

    @app.exception_handler(UnknownModelError)
    async def on_unknown_model(_: Request, error: UnknownModelError) -> JSONResponse:
        return error_response(404, str(error), param="model", code="model_not_found")

    @app.exception_handler(ThreadEndedError)
    async def on_ended(_: Request, error: ThreadEndedError) -> JSONResponse:
        return error_response(503, str(error), code=UNAVAILABLE, kind=UNAVAILABLE)

    @app.exception_handler(ThenceError)
    async def on_user_error(_: Request, error: ThenceError) -> JSONResponse:
        return error_response(400, str(error))

    @app.exception_handler(Exception)
    async def on_bug(_: Request, __: Exception) -> JSONResponse:
        return error_response(500, SERVER_ERROR)  # Starlette raises it again, and uvicorn logs it.


def _no_route(request: Request, status: int) -> str | None:
    """Return a sentence for a request that matches no route; None for other errors."""
    asked = f"{request.method} {request.url.path}"
    if status == 404:
        return f"There is no {asked} here; /openapi.json lists what there is."
    return f"{asked} is not how it is asked for; see /openapi.json." if status == 405 else None


def _closeness(error: Mapping[str, Any]) -> tuple[int, list[int], bool]:
    """Return a sort key of a pydantic error: how far into the value validation got.

    Pydantic reports an error for each type of a union; the error that is furthest into the value
    belongs to the type that the client meant.
    """
    indices = [part for part in error["loc"] if isinstance(part, int)]
    return len(error["loc"]), indices, not error["type"].endswith("_type")


def _describe(error: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return a sentence for one of pydantic's errors, and the field that it is about."""
    if error["type"] == "json_invalid":
        reason = error.get("ctx", {}).get("error", "")
        return f"The request is not valid JSON: {reason}.", None
    parts = [str(part) for part in error["loc"][1:]]
    field = ".".join(part for part in parts if not UNION_MEMBER.fullmatch(part))
    if error["type"] == "missing":
        return (f'The request lacks "{field}".' if field else "The request has no body."), field
    if error["type"] == "extra_forbidden":
        return f'There is no setting "{field}" here; leave it out.', field
    message = error["msg"][:1].lower() + error["msg"][1:]
    if len(error["loc"]) == 3 and error["type"].endswith("_type") and field == "prompt":
        message = "it must be a text, token ids, or a list of either"
    subject = f'"{field}"' if field else "The request"
    return f"{subject} is {_shorten(error.get('input'))}; {message}.", field


def _shorten(value: Any) -> str:
    """Return the beginning of a value as JSON."""
    shown = ""
    try:
        for part in json.JSONEncoder(ensure_ascii=False).iterencode(value):
            shown += part[: MAX_VALUE + 1]
            if len(shown) > MAX_VALUE:
                return shown[:MAX_VALUE] + "…"
    except (TypeError, ValueError, RecursionError):
        return "no value of JSON"
    return shown
