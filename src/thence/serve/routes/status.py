"""``GET /health`` and ``GET /metrics``: the state of the server."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from thence.serve.errors import UNAVAILABLE, error_response
from thence.serve.routes import Context


def routes(context: Context) -> APIRouter:
    """Return the endpoints about the server itself."""
    router = APIRouter()
    models = context.models.values()

    @router.get("/health")
    def health() -> Any:
        """Return whether the server runs and its models can answer."""
        found = (loaded.worker.find_trouble(context.limits.timeout) for loaded in models)
        if troubles := [trouble for trouble in found if trouble is not None]:
            return error_response(503, " ".join(troubles), code=UNAVAILABLE, kind=UNAVAILABLE)
        states = {loaded.name: loaded.on_disk() for loaded in models}
        changed = {name: state for name, state in states.items() if state != "unchanged"}
        return {"status": "ok", "models": len(models), **({"on_disk": changed} if changed else {})}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return the counts of requests and batches for Prometheus."""
        return Response(context.metrics.to_text(), media_type=CONTENT_TYPE_LATEST)

    return router
