"""Serving: an HTTP API that OpenAI's clients understand, and a page to explore models."""

from typing import TYPE_CHECKING, Any

from thence.serve.limits import Limits
from thence.serve.start import check_extra, serve

if TYPE_CHECKING:
    from thence.serve.app import create_app as create_app
    from thence.serve.loaded_runs import open_runs as open_runs

__all__ = ["Limits", "create_app", "open_runs", "serve"]


def __getattr__(name: str) -> Any:
    if name not in ("create_app", "open_runs"):
        raise AttributeError(f"module 'thence.serve' has no attribute '{name}'")
    check_extra()  # Not at import time: ``thence serve --help`` must work without the extra.
    if name == "create_app":
        from thence.serve.app import create_app

        return create_app
    from thence.serve.loaded_runs import open_runs

    return open_runs
