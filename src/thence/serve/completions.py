r"""``POST /v1/completions``: texts that go on, and the score of texts, as OpenAI's API has them.

Where it differs: ``top_k`` may be given too; a model of running text goes on after the end of a
document (stop it with ``"stop": "\n"``); the first token of a prompt has no log-probability unless
a boundary stands before it; what is impossible has -9999.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from itertools import count as numbers
from time import time
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from thence.serve.choices import Writing
from thence.serve.completion_shapes import CompletionAnswer, CompletionRequest
from thence.serve.limits import Limits
from thence.serve.model_thread import ThreadEndedError
from thence.serve.off_loop import off_loop
from thence.serve.problems import MISTAKE, PROBLEMS, UNAVAILABLE, problem_content
from thence.serve.prompts import check_size, length_of, prompts_of
from thence.serve.served import ServedRun, choose_served

SHORT = 2000
"""Characters or ids of prompts that are made ready in the event loop."""


def completion_routes(models: dict[str, ServedRun], limits: Limits) -> APIRouter:
    """Return the route for completions."""
    router, serial = APIRouter(), numbers(1)

    @router.post("/v1/completions", responses=PROBLEMS, response_model=CompletionAnswer)
    async def completions(request: CompletionRequest) -> Response:
        """Go on from one or more prompts, or score them (``echo`` with ``logprobs``)."""
        served = choose_served(models, request.model, classifier=False)
        check_size(request, limits)
        if length_of(request.prompt) <= SHORT:  # Sooner done than handed to another thread.
            prompts = prompts_of(served, request, limits)
        else:
            prompts = await served.worker.run(prompts_of, served, request, limits)
        about = CompletionAnswer(
            id=f"cmpl-{next(serial)}", created=int(time()), model=served.name, choices=[]
        )
        writing = Writing(served, request, prompts)
        if request.stream:
            events = _events(writing, about, limits.timeout)
            return StreamingResponse(events, media_type="text/event-stream")
        about.choices = await writing.whole()
        about.usage = writing.usage()
        content = await off_loop(about.usage.total_tokens, about.model_dump_json)
        return Response(content, media_type="application/json")

    return router


async def _events(writing: Writing, about: CompletionAnswer, timeout: float) -> AsyncIterator[str]:
    """Yield the completions as server-sent events; what goes wrong is the last one."""
    end = asyncio.get_running_loop().time() + timeout
    pieces = writing.pieces()
    try:
        while True:
            # Not around the whole: there it would break off the sending of what was yielded.
            async with asyncio.timeout_at(end):
                piece = await anext(pieces, None)
            if piece is None:
                break
            about.choices = [await off_loop(len(piece.steps), writing.choice, piece)]
            if piece.text or piece.steps or piece.finish_reason:
                yield await off_loop(len(piece.steps), _event, about.model_dump(exclude={"usage"}))
    except TimeoutError:
        message = f"The request took longer than {timeout:g} seconds (--timeout)."
        yield _event(problem_content(504, message))
        return
    except ThreadEndedError as error:  # The log has it already, once.
        yield _event(problem_content(503, str(error), code=UNAVAILABLE, kind=UNAVAILABLE))
        return
    except Exception:
        logging.getLogger("thence.serve").exception("a stream failed")
        yield _event(problem_content(500, MISTAKE))
        return
    finally:
        await pieces.aclose()
    if writing.tells_usage:
        about.choices, about.usage = [], writing.usage()
        yield _event(about.model_dump())
    yield "data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
