"""The endpoints, a module for each group; ``app.ROUTES`` lists the modules.

A module has its request and answer schemas and a function ``routes(context)`` that returns a
FastAPI router. What an endpoint raises becomes an answer in ``serve.errors``.
"""

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute

from thence.serve.limits import Limits
from thence.serve.loaded_runs import LoadedRun
from thence.serve.middleware import Metrics
from thence.serve.run_listing import RunListing
from thence.serve.run_queries import RunQueries


@dataclass(frozen=True)
class Context:
    """The objects that endpoints share.

    Attributes:
        models: The loaded runs by name.
        limits: Limits of requests.
        metrics: Counts of requests and batches.
        listing: The runs of some folders, loaded or not.
        queries: Answers queries about whole runs.
    """

    models: dict[str, LoadedRun]
    limits: Limits
    metrics: Metrics
    listing: RunListing
    queries: RunQueries


class JsonRoute(APIRoute):
    """A route whose endpoint has one argument, the request body, and returns a Response.

    It avoids FastAPI's overhead per request, which is larger than the time of a small model.
    Invalid requests are passed on to FastAPI for its error messages.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        model = next(iter(get_type_hints(self.endpoint).values()))
        endpoint: Callable[[Any], Coroutine[Any, Any, Response]] = self.endpoint
        refuse = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                asked = model.model_validate(json.loads(await request.body()))
            except (ValueError, RecursionError):
                return await refuse(request)
            return await endpoint(asked)

        return handle
