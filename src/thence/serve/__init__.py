"""Serving: an HTTP API that OpenAI's clients understand, and a page to explore models."""

from thence.serve.app import create_app
from thence.serve.loaded_runs import open_runs
from thence.serve.schemas import Limits
from thence.serve.server import serve

__all__ = ["Limits", "create_app", "open_runs", "serve"]
