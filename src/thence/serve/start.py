"""Starting the server: what ``thence serve`` and ``thence.serve.serve`` do first.

It loads nothing of the server, so that the help of the command is quick and needs no extra.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from thence.errors import SettingError, import_extra
from thence.runs.run import Run
from thence.serve.limits import Limits


def check_extra() -> None:
    """Check that the libraries of the server are installed.

    Raises:
        MissingExtraError: If one is; it names the extra.
    """
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        import_extra(module, "serve", "serving")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    runs: Sequence[Run | str | Path],
    *,
    folders: Sequence[str | Path] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    no_auth: bool = False,
    on_start: Callable[[Iterable[str], str], None] = lambda names, address: None,
    **limits: Any,
) -> None:
    """Serve models until a signal stops it; requests in progress get ten seconds to finish.

    The API is one that OpenAI's clients understand, and there is a page to see the models with.

    Args:
        runs: The runs or their folders; each model gets the name of its folder.
        folders: Folders whose runs the page lists with their learning curves (default: those that
            hold the served runs).
        host: Address to listen on; by default only this machine can ask.
        port: Port to listen on; 0 takes a free one.
        token: What clients must send as a bearer token (default: the variable THENCE_TOKEN).
        no_auth: Let other machines ask without a token.
        on_start: Called with the names of the models and the address when the server listens.
        **limits: Limits of requests, the fields of ``Limits``.

    Raises:
        SettingError: If no run is given, other machines could ask and there is no token, or the
            port is not free.
    """
    if not runs:
        raise SettingError("Say which run to serve: thence serve RUN [RUN ...].")
    bounds = Limits(**limits)
    if token is not None and not token.strip():
        raise SettingError("`token` is empty; give one, or leave it out.")
    token = (token or os.environ.get("THENCE_TOKEN", "")).strip() or None
    if not is_loopback(host) and token is None and not no_auth:
        raise SettingError(
            f"`host={host!r}` lets other machines in; give `token` (or THENCE_TOKEN) to let in "
            "only those who know it, or `no_auth` to let in everyone."
        )
    hosts = frozenset({"localhost", host.lower()}) if token is None and not no_auth else None
    check_extra()
    from thence.serve.server import run_server  # It needs what was just sought.

    run_server(
        runs,
        bounds,
        folders=folders,
        host=host,
        port=port,
        token=token,
        hosts=hosts,
        on_start=on_start,
    )
