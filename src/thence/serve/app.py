"""The server as one ASGI application: endpoints, page, and the middleware around them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response

from thence import __version__
from thence.serve.errors import ERROR_RESPONSES, handle_errors
from thence.serve.limits import Limits
from thence.serve.loaded_runs import LoadedRun
from thence.serve.middleware import Metrics, Middleware
from thence.serve.page_files import page_file
from thence.serve.routes import (
    Context,
    classify,
    completions,
    continuations,
    embeddings,
    infill,
    look,
    models,
    page_models,
    read,
    replay,
    runs,
    strips,
)
from thence.serve.run_listing import RunListing
from thence.serve.run_queries import RunQueries

ROUTES = (
    completions,
    classify,
    models,
    read,
    strips,
    look,
    page_models,
    continuations,
    infill,
    runs,
    replay,
    embeddings,
)
"""The modules of endpoints, in the order of the API's documentation."""


def create_app(
    models: dict[str, LoadedRun],
    limits: Limits = Limits(),
    *,
    token: str | None = None,
    hosts: frozenset[str] | None = None,
    folders: Iterable[Path] | None = None,
) -> Middleware:
    """Return the server as an ASGI application.

    Args:
        models: The models by name (see ``open_runs``).
        limits: Limits of requests.
        token: The bearer token that clients must send; None for no token.
        hosts: Host names that requests may have; None for any.
        folders: Folders whose runs the page lists; None for those of the loaded runs.
    """
    if folders is None:
        folders = dict.fromkeys(loaded.run.folder.resolve().parent for loaded in models.values())
    listing = RunListing(models, tuple(folders))
    context = Context(models, limits, Metrics(models.values()), listing, RunQueries(listing))
    app = FastAPI(
        title="thence",
        version=__version__,
        summary="Small language models and classifiers, with OpenAI's completions API.",
        docs_url=None,
        redoc_url=None,
    )
    handle_errors(app)
    for module in ROUTES:
        app.include_router(module.routes(context), responses=ERROR_RESPONSES)
    for path, name in (("/", "index.html"), ("/page/{name}", None)):
        app.add_api_route(path, _page(name), include_in_schema=False)
    return Middleware(app, limits, context.metrics, token, hosts)


def _page(fixed: str | None) -> Any:
    async def page(request: Request, name: str = "") -> Response:
        found = page_file(fixed or name)
        if found is None:
            raise HTTPException(404, f"There is no file {name!r} here.")
        return found.answer(request)

    return page
