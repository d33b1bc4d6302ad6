"""Everything that goes wrong, as JSON in the shape of OpenAI's API: a sentence and a status."""

import json
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from thence.errors import ThenceError
from thence.serve.limits import CHARACTERS_OF_A_TOKEN
from thence.serve.model_thread import ThreadEndedError
from thence.serve.served import UnknownModelError

KINDS = re.compile(r"str|(list|constrained|function)\b.*")
"""What pydantic calls the kinds of value that a field may have, in the place of an error."""
MISTAKE = "The server made a mistake; its log says more."
LONGEST_MESSAGE = 600
"""Characters of an error."""
LONGEST_VALUE = 60
"""Characters of a wrong value that an error repeats."""


class Problem(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ProblemAnswer(BaseModel):
    """The answer to a request that failed."""

    error: Problem


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemAnswer, "description": "The request cannot be answered"},
    "5XX": {"model": ProblemAnswer, "description": "The server cannot answer now"},
}
"""For the documentation of every route."""

TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    500: "internal_error",
    503: "overloaded_error",
    504: "timeout_error",
}


UNAVAILABLE = "model_unavailable"
"""Code and kind of what is said of a model that cannot be asked any more."""


def problem(
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    kind: str | None = None,
) -> JSONResponse:
    """Return an answer that says what went wrong; its kind follows from the status by default."""
    content = problem_content(status, message, param, code, kind)
    return JSONResponse(content, status, headers=dict(headers or {}))


def problem_content(
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
    kind: str | None = None,
) -> dict[str, Any]:
    """Return what such an answer holds."""
    kind = kind or TYPES.get(status, "invalid_request_error")
    # Not all that a client may send can be sent back: half a surrogate pair is no UTF-8.
    said, about = (
        text and text.encode("utf-8", "backslashreplace").decode("utf-8")[:LONGEST_MESSAGE]
        for text in (message, param)
    )
    return ProblemAnswer(
        error=Problem(message=said or "", type=kind, param=about or None, code=code)
    ).model_dump()


def refuse(status: int, message: str, code: str | None = None) -> HTTPException:
    """Return the error to raise for a request beyond a bound."""
    return HTTPException(status, {"message": message, "code": code})


def check_characters(what: str, characters: int, tokens: int) -> None:
    """Refuse a text that is longer than so many tokens may be, before it is cut into tokens.

    Raises:
        HTTPException: With status 400, if it is.
    """
    most = CHARACTERS_OF_A_TOKEN * tokens
    if characters > most:
        raise refuse(
            400,
            f"The {what} has {characters} characters; this server reads at most {most}, "
            f"{CHARACTERS_OF_A_TOKEN} for each of {tokens} tokens (--max-prompt).",
            "context_length_exceeded",
        )


def check_length(what: str, tokens: int, most: int) -> None:
    """Refuse a text of more tokens than the server reads.

    Raises:
        HTTPException: With status 400, if it has more.
    """
    if tokens > most:
        raise refuse(
            400,
            f"The {what} has {tokens} tokens; this server reads at most {most} (--max-prompt).",
            "context_length_exceeded",
        )


def answer_problems(app: FastAPI) -> None:
    """Let an application answer every error in the one shape."""

    @app.exception_handler(StarletteHTTPException)
    async def on_http(request: Request, error: StarletteHTTPException) -> JSONResponse:
        said = {"message": _of_route(request, error.status_code) or str(error.detail)}
        detail = error.detail if isinstance(error.detail, dict) else said
        return problem(
            error.status_code, detail["message"], None, detail.get("code"), error.headers
        )

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        message, param = _in_words(max(error.errors(), key=_nearness))
        return problem(400, message, param)

    @app.exception_handler(UnknownModelError)
    async def on_unknown_model(_: Request, error: UnknownModelError) -> JSONResponse:
        return problem(404, str(error), "model", "model_not_found")

    @app.exception_handler(ThreadEndedError)
    async def on_ended(_: Request, error: ThreadEndedError) -> JSONResponse:
        return problem(503, str(error), code=UNAVAILABLE, kind=UNAVAILABLE)

    @app.exception_handler(ThenceError)
    async def on_refused(_: Request, error: ThenceError) -> JSONResponse:
        return problem(400, str(error))

    @app.exception_handler(Exception)
    async def on_bug(_: Request, __: Exception) -> JSONResponse:
        return problem(500, MISTAKE)  # What the server runs on logs it.


def _of_route(request: Request, status: int) -> str | None:
    """Return a sentence for a request that no route takes."""
    asked = f"{request.method} {request.url.path}"
    if status == 404:
        return f"There is no {asked} here; /docs lists what there is."
    return f"{asked} is not how it is asked for; see /docs." if status == 405 else None


def _nearness(error: Mapping[str, Any]) -> tuple[int, list[int], bool]:
    """Return how near to valid something is of which pydantic says why it is not.

    Of all that a field may be it tried each; the one meant is the one that it got furthest with.
    """
    places = [part for part in error["loc"] if isinstance(part, int)]
    return len(error["loc"]), places, not error["type"].endswith("_type")


def _in_words(error: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return a sentence for what pydantic found, and the field that it is about."""
    if error["type"] == "json_invalid":
        reason = error.get("ctx", {}).get("error", "")
        return f"The request is not valid JSON: {reason}.", None
    place = ".".join(str(part) for part in error["loc"][1:] if not KINDS.fullmatch(str(part)))
    if error["type"] == "missing":
        return (f'The request lacks "{place}".' if place else "The request has no body."), place
    if error["type"] == "extra_forbidden":
        return f'There is no setting "{place}" here; leave it out.', place
    message = error["msg"][:1].lower() + error["msg"][1:]
    if len(error["loc"]) == 3 and error["type"].endswith("_type") and place == "prompt":
        message = "it must be a text, token ids, or a list of either"
    subject = f'"{place}"' if place else "The request"
    return f"{subject} is {_shortened(error.get('input'))}; {message}.", place


def _shortened(value: Any) -> str:
    said = ""
    try:
        for part in json.JSONEncoder(ensure_ascii=False).iterencode(value):
            said += part[: LONGEST_VALUE + 1]
            if len(said) > LONGEST_VALUE:
                return said[:LONGEST_VALUE] + "…"
    except (TypeError, ValueError, RecursionError):
        return "no value of JSON"
    return said
