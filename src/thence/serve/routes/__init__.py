"""The endpoints, a module for each group; ``app.ROUTES`` lists the modules.

A module has its request and answer schemas and a function ``routes(context)`` that returns a
FastAPI router. What an endpoint raises becomes an answer in ``serve.errors``.
"""

from dataclasses import dataclass
from pathlib import Path

from thence.serve.loaded_runs import LoadedRun
from thence.serve.middleware import Metrics
from thence.serve.schemas import Limits


@dataclass(frozen=True)
class Context:
    """What endpoints answer from.

    Attributes:
        models: The loaded runs by name.
        limits: Limits of requests.
        folders: Folders whose runs are listed, loaded or not.
        metrics: Counts of requests and batches.
    """

    models: dict[str, LoadedRun]
    limits: Limits
    folders: tuple[Path, ...]
    metrics: Metrics
