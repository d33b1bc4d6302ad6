"""Serving: an HTTP API that OpenAI's clients understand, and a page to see models with."""

from thence.serve.app import create_app, open_runs
from thence.serve.limits import Limits
from thence.serve.server import serve

__all__ = ["Limits", "create_app", "open_runs", "serve"]
