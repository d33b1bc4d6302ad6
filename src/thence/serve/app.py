"""The whole server as one ASGI application: the API, the page, and the guard around them."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST

from thence import __version__
from thence.errors import SettingError
from thence.runs import Run, open_run
from thence.serve.blanks import blanks_routes
from thence.serve.classification import classification_routes
from thence.serve.completions import completion_routes
from thence.serve.guard import Guard
from thence.serve.limits import Limits
from thence.serve.listing import run_routes
from thence.serve.maps import map_routes
from thence.serve.models import model_routes
from thence.serve.monitor import Monitor
from thence.serve.playground import reading_routes
from thence.serve.problems import PROBLEMS, UNAVAILABLE, answer_problems, problem
from thence.serve.served import ServedRun
from thence.serve.tokens import token_routes
from thence.serve.worker import Worker

PAGE = Path(__file__).parent / "page"
FRESH = {"Cache-Control": "no-cache"}


def open_runs(runs: Iterable[Run | str | Path], batching: bool = True) -> dict[str, ServedRun]:
    """Open runs and load their models; each gets the name of its folder.

    Raises:
        RunError: If one cannot be opened, or its model is missing or damaged.
        SettingError: If two have the same name.
    """
    models: dict[str, ServedRun] = {}
    for item in runs:
        run = open_run(item)
        if run.name in models:
            other = models[run.name].run.folder
            if other.resolve() == run.folder.resolve():
                raise SettingError(f"The run {run.folder} is given twice; give it once.")
            raise SettingError(
                f"Two runs are called {run.name}: {other} and {run.folder}. "
                "Rename one of the folders."
            )
        made = int(datetime.fromisoformat(run.provenance["made"]).timestamp())
        served = ServedRun(run.name, run, Worker(run.name, batching), made)
        served.load()
        models[run.name] = served
    return models


def create_app(
    models: dict[str, ServedRun],
    limits: Limits = Limits(),
    *,
    token: str | None = None,
    hosts: frozenset[str] | None = None,
    folders: Iterable[Path] | None = None,
) -> Guard:
    """Return the server as an ASGI application.

    Args:
        models: What to serve, by name (see ``open_runs``).
        limits: Bounds on requests.
        token: What clients must show as a bearer token; None: nothing.
        hosts: Names under which clients may ask without a token; None: any.
        folders: Whose runs the page lists, served or not; None: those that hold the served runs.
    """
    if folders is None:
        folders = dict.fromkeys(served.run.folder.resolve().parent for served in models.values())
    monitor = Monitor(models.values())
    app = FastAPI(
        title="thence",
        version=__version__,
        summary="Small language models and classifiers, with OpenAI's completions API.",
        docs_url=None,
        redoc_url=None,
    )
    answer_problems(app)
    for router in (
        completion_routes(models, limits),
        classification_routes(models, limits),
        model_routes(models),
        token_routes(models, limits),
        reading_routes(models, limits),
        blanks_routes(models),
        run_routes(models, folders),
        map_routes(models),
        _own_routes(monitor, models, limits),
    ):
        app.include_router(router)
    app.mount("/page", PageFiles(directory=PAGE))
    return Guard(app, limits, monitor, token, hosts)


class PageFiles(StaticFiles):
    """The files of the page; a browser asks each time whether it has the newest."""

    def file_response(self, *arguments: Any, **settings: Any) -> Response:
        """Answer with a file, or that it has not changed."""
        response = super().file_response(*arguments, **settings)
        response.headers.update(FRESH)
        return response


def _own_routes(monitor: Monitor, models: dict[str, ServedRun], limits: Limits) -> APIRouter:
    router = APIRouter()

    @router.get("/health", responses=PROBLEMS)
    def health() -> Any:
        """Say that the server is there, and whether its models can be asked."""
        found = (served.worker.trouble(limits.timeout) for served in models.values())
        if troubles := [trouble for trouble in found if trouble is not None]:
            return problem(503, " ".join(troubles), code=UNAVAILABLE, kind=UNAVAILABLE)
        states = {served.name: served.on_disk() for served in models.values()}
        changed = {name: state for name, state in states.items() if state != "unchanged"}
        return {"status": "ok", "models": len(models), **({"on_disk": changed} if changed else {})}

    @router.get("/metrics", responses=PROBLEMS, response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Give the counts of the server for Prometheus."""
        return Response(monitor.to_text(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers=FRESH)

    @router.get("/docs", include_in_schema=False)
    async def documentation() -> FileResponse:
        return FileResponse(PAGE / "docs.html", headers=FRESH)

    return router
