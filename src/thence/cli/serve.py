"""``thence serve RUN [RUN ...]``: models behind an HTTP port, and a page to see them with."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.streams import print_note
from thence.errors import SettingError
from thence.extras import import_extra


def command(
    *runs: Path,
    folders: Annotated[tuple[Path, ...], Parameter(name="--runs", negative=())] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    no_auth: Annotated[bool, Parameter(negative=())] = False,
    max_tokens: int = 2048,
    max_prompt: int = 16384,
    max_body: int = 4 << 20,
    max_requests: int = 64,
    timeout: float = 120,
    max_connections: int = 1000,
) -> None:
    """Serve models with an API that OpenAI's clients understand, and a page to see them with.

    Args:
        runs: The run folders; each model gets the name of its folder.
        folders: Folders whose runs the page lists with their learning curves (default: those that
            hold the served runs).
        host: Address to listen on; by default only this machine can ask.
        port: Port to listen on; 0 takes a free one.
        token: What clients must show as a bearer token (default: the variable THENCE_TOKEN).
        no_auth: Let other machines ask without a token.
        max_tokens: Tokens that a completion may ask for.
        max_prompt: Tokens that a prompt may have.
        max_body: Bytes that a request may have.
        max_requests: Requests that are worked on at the same time.
        timeout: Seconds that a request may take.
        max_connections: Connections that are open at the same time.
    """
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        import_extra(module, "serve", "serving")
    if not runs:
        raise SettingError("Say which run to serve: thence serve RUN [RUN ...].")
    from thence.serve import Limits, open_runs, serve

    limits = Limits(max_tokens, max_prompt, max_body, max_requests, timeout, max_connections)
    if token is not None and not token.strip():
        raise SettingError("--token is empty; give one, or leave it out.")
    token = (token or os.environ.get("THENCE_TOKEN", "")).strip() or None
    models = open_runs(runs)

    def say_where(address: str) -> None:
        print_note(f"Serving {', '.join(models)} at {address} (Ctrl+C stops).")

    serve(models, host, port, limits, token, no_auth, say_where, folders or None)
