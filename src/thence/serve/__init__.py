"""Serving: an HTTP API that OpenAI's clients understand, and a page to explore models."""

from thence.errors import import_extra

for module in ("fastapi", "uvicorn", "prometheus_client"):
    import_extra(module, "serve", "serving")

from thence.serve.app import create_app  # noqa: E402  (needs what was just sought)
from thence.serve.loaded_runs import open_runs  # noqa: E402
from thence.serve.schemas import Limits  # noqa: E402
from thence.serve.server import serve  # noqa: E402

__all__ = ["Limits", "create_app", "open_runs", "serve"]
