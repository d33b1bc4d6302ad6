"""The whole server as one ASGI application: endpoints, page, and the middleware around them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from thence import __version__
from thence.serve.errors import ERROR_RESPONSES, handle_errors
from thence.serve.limits import Limits
from thence.serve.loaded_runs import LoadedRun
from thence.serve.middleware import Metrics, Middleware
from thence.serve.routes import (
    Context,
    classify,
    completions,
    infill,
    look,
    maps,
    models,
    read,
    runs,
)

ROUTES = (completions, classify, models, read, look, infill, runs, maps)
"""The modules of endpoints, in the order in which the documentation has them."""
PAGE = Path(__file__).parent / "page"
REVALIDATE = {"Cache-Control": "no-cache"}
"""A browser asks each time whether it has the newest version of a file."""


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
        token: The bearer token that clients must send; None: none.
        hosts: Host names of this server for clients without a token; None: any.
        folders: Folders whose runs the page lists; None: those that hold the loaded runs.
    """
    if folders is None:
        folders = dict.fromkeys(loaded.run.folder.resolve().parent for loaded in models.values())
    context = Context(models, limits, tuple(folders), Metrics(models.values()))
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
    for path, name in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_api_route(path, _page(PAGE / name), include_in_schema=False)
    app.mount("/page", PageFiles(directory=PAGE))
    return Middleware(app, limits, context.metrics, token, hosts)


def _page(file: Path) -> Any:
    async def page() -> FileResponse:
        return FileResponse(file, headers=REVALIDATE)

    return page


class PageFiles(StaticFiles):
    """The scripts and styles of the page."""

    def file_response(self, *arguments: Any, **settings: Any) -> Response:
        """Answer with a file, or that it has not changed."""
        response = super().file_response(*arguments, **settings)
        response.headers.update(REVALIDATE)
        return response
