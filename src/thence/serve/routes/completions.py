r"""``POST /v1/completions``: continue texts, or score them, as OpenAI's API does.

Differences: ``top_k`` is accepted too; a model of running text continues after the end of a
document (stop it with ``"stop": "\n"``); the first token of a prompt has no log-probability unless
a boundary stands before it; what is impossible has -9999.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from itertools import count
from time import time
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from thence.errors import SettingError
from thence.serve.batching import Ids
from thence.serve.completion_stream import CompletionStream, Prompt
from thence.serve.errors import (
    SERVER_ERROR,
    UNAVAILABLE,
    ThreadEndedError,
    check_characters,
    check_length,
    error_content,
    reject,
)
from thence.serve.limits import Limits
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.routes import Context, JsonRoute
from thence.serve.schemas import MAX_CHOICES, CompletionAnswer, CompletionRequest

Result = TypeVar("Result")

SHORT_PROMPTS = 2000
"""Up to this many characters or ids, prompts are tokenised in the event loop, which is faster than
in the model's thread."""
MAX_LOG_PROBS = 1 << 18
"""Maximum number of log-probabilities per request: tokens times ``logprobs`` + 1."""
FEW_TOKENS = 32
"""Work for up to this many tokens takes less time than handing it to another thread."""
PROMPTS_TOGETHER = 16
"""All prompts of a request together may be this many times as long as ``--max-prompt``."""


def routes(context: Context) -> APIRouter:
    """Return the endpoint for completions."""
    router, serial = APIRouter(route_class=JsonRoute), count(1)

    @router.post("/v1/completions", response_model=CompletionAnswer)
    async def completions(request: CompletionRequest) -> Response:
        """Continue one or more prompts, or score them (``echo`` with ``logprobs``)."""
        loaded = find_model(context.models, request.model, classifier=False)
        given = _as_list(request.prompt)
        _check_size(request, given, context.limits)
        if sum(map(len, given)) <= SHORT_PROMPTS:
            prompts = encode_prompts(loaded, request, context.limits)
        else:
            prompts = await loaded.worker.call(encode_prompts, loaded, request, context.limits)
        answer = CompletionAnswer(
            id=f"cmpl-{next(serial)}", created=int(time()), model=loaded.name, choices=[]
        )
        stream = CompletionStream(loaded, request, prompts)
        if request.stream:
            options = request.stream_options
            events = _events(
                stream,
                answer,
                context.limits.timeout,
                options is not None and options.include_usage,
            )
            return StreamingResponse(events, media_type="text/event-stream")
        pieces = await stream.whole()
        answer.usage = stream.usage()

        def render() -> str:
            answer.choices = [stream.choice(piece) for piece in pieces]
            return answer.model_dump_json()

        content = await run_in_thread(answer.usage.total_tokens, render)
        return Response(content, media_type="application/json")

    return router


async def run_in_thread(tokens: int, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function whose work grows with the tokens, in another thread if they are many."""
    if tokens <= FEW_TOKENS:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


async def _events(
    stream: CompletionStream, answer: CompletionAnswer, timeout: float, with_usage: bool
) -> AsyncIterator[str]:
    """Yield the completions as server-sent events; an error is the last one."""
    end = asyncio.get_running_loop().time() + timeout
    pieces = stream.pieces()
    try:
        while True:
            # Not around the yield: a timeout there would interrupt the sending.
            async with asyncio.timeout_at(end):
                piece = await anext(pieces, None)
            if piece is None:
                break
            size = len(piece.tokens)
            answer.choices = [await run_in_thread(size, stream.choice, piece)]
            if piece.text or piece.tokens or piece.finish_reason:
                yield await run_in_thread(size, _event, answer.model_dump(exclude={"usage"}))
    except TimeoutError:
        message = f"The request took longer than {timeout:g} seconds (--timeout)."
        yield _event(error_content(504, message))
        return
    except ThreadEndedError as error:  # It is in the log already.
        yield _event(error_content(503, str(error), code=UNAVAILABLE, kind=UNAVAILABLE))
        return
    except Exception:
        logging.getLogger("thence.serve").exception("a stream failed")
        yield _event(error_content(500, SERVER_ERROR))
        return
    finally:
        await pieces.aclose()
    if with_usage:
        answer.choices, answer.usage = [], stream.usage()
        yield _event(answer.model_dump())
    yield "data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _as_list(given: Any) -> list[str | list[int]]:
    """Return the prompts as a list; a list of ids is one of them."""
    is_one = isinstance(given, str) or (given and isinstance(given[0], int))
    return [given] if is_one else list(given)


def _check_size(request: CompletionRequest, given: list[str | list[int]], limits: Limits) -> None:
    """Check the size of a request before it uses the model's thread.

    Raises:
        HTTPException: With status 400, if a prompt or its completion is too long.
        SettingError: If it has no prompt, or asks for too many completions.
    """
    if not given:
        raise SettingError('"prompt" is an empty list; give at least one text.')
    if len(given) * request.n > MAX_CHOICES:
        raise SettingError(
            f"{len(given)} prompts with n = {request.n} are more than {MAX_CHOICES} "
            "completions; ask for fewer at a time."
        )
    if request.max_tokens > limits.max_tokens:
        raise reject(
            f'"max_tokens" is {request.max_tokens}; this server gives at most '
            f"{limits.max_tokens} (--max-tokens)."
        )
    if request.best_of not in (None, request.n):
        raise SettingError('"best_of" other than n is not offered; leave it out.')
    for check, kind in ((check_characters, str), (check_length, list)):
        _check_lengths(check, [len(one) for one in given if isinstance(one, kind)], limits)


def _check_lengths(
    check: Callable[[str, int, int], None], lengths: list[int], limits: Limits
) -> None:
    """Check the length of each prompt, and of all of them together."""
    check("prompt", max(lengths, default=0), limits.max_prompt)
    check("prompt", sum(lengths), PROMPTS_TOGETHER * limits.max_prompt)


def encode_prompts(loaded: LoadedRun, request: CompletionRequest, limits: Limits) -> list[Prompt]:
    """Return the prompts of a request as ids, or reject them."""
    given = _as_list(request.prompt)
    ids_of_each = [_encode_prompt(loaded, one) for one in given]
    _check_lengths(check_length, [len(ids) for ids in ids_of_each], limits)
    if request.logprobs is not None:
        echoed = sum(len(ids) for ids in ids_of_each) * request.echo
        size = (echoed + len(given) * request.n * request.max_tokens) * (1 + request.logprobs)
        if size > MAX_LOG_PROBS:
            raise SettingError(
                f"The request asks for {size} log-probabilities (tokens times one more than "
                f'"logprobs"); at most {MAX_LOG_PROBS} can be returned at once.'
            )
    return [_prompt_of(loaded, one, ids) for one, ids in zip(given, ids_of_each, strict=True)]


def _encode_prompt(loaded: LoadedRun, given: str | list[int]) -> Ids:
    if isinstance(given, str):
        ids = loaded.encode_prompt(given)
        if given.startswith("\n") and len(ids) and ids[0] == loaded.boundary_id:
            # The first document is empty and kept: its end is not the boundary that begins a text.
            ids = np.insert(ids, 0, loaded.boundary_id)
        return ids
    size = len(loaded.token_names)
    if wrong := [index for index in given if index >= size]:
        raise SettingError(
            f"{str(wrong[0])[:40]} is no token id of {loaded.name}; its ids are 0 to {size - 1}."
        )
    return np.array(given, np.int64)


def _prompt_of(loaded: LoadedRun, given: str | list[int], ids: Ids) -> Prompt:
    if isinstance(given, str):
        return Prompt(given, ids)
    after_boundary = ids[1:] if len(ids) and ids[0] == loaded.boundary_id else ids
    text = loaded.decode(after_boundary)
    complete = loaded.complete_text(after_boundary, text)
    return Prompt(complete, ids, incomplete=complete != text)
