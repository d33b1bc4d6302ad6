"""The HTTP server: listening on a port until a signal stops it."""

import asyncio
import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import uvicorn

from thence.errors import SettingError
from thence.runs.run import Run
from thence.serve.app import create_app
from thence.serve.connections import connection_class
from thence.serve.limits import Limits
from thence.serve.loaded_runs import LoadedRun, open_runs
from thence.settings import Range, validate
from thence.signals import SIGHUP

BACKLOG = 2048
"""Connections that may wait to be accepted."""
ACCEPTED_AT_ONCE = 16
"""Connections that asyncio accepts before it handles any of them (see ``Server.startup``)."""
OTHER_FILES = 128
"""Open files to reserve for other things than connections: runs, libraries, new sockets."""
SECONDS_BETWEEN_CHECKS = 30
"""Time between two checks whether the runs on disk have changed."""
CLIENT_ERRORS = (
    "Cancel %s running task",
    "ASGI callable returned without",
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "No supported WebSocket library",
)
"""Beginnings of uvicorn's log lines that clients cause, as many as they like; they are dropped."""
SECONDS_TO_STOP = 10
"""Time for requests in progress when the server is stopped."""


def run_server(
    runs: Sequence[Run | str | Path],
    limits: Limits,
    *,
    folders: Sequence[str | Path],
    host: str,
    port: int,
    token: str | None,
    hosts: frozenset[str] | None,
    on_start: Callable[[Iterable[str], str], None],
) -> None:
    """Open runs and serve them until a signal comes; see ``serve``, which has checked the rest.

    Args:
        runs: The runs or their folders.
        limits: Limits of requests and connections.
        folders: Folders whose runs the page lists.
        host: Address to listen on.
        port: Port to listen on.
        token: The bearer token that clients must send; None for no token.
        hosts: Host names that requests may have; None for any.
        on_start: Called with the names of the models and the address when the server listens.
    """
    models = open_runs(runs)
    app = create_app(
        models, limits, token=token, hosts=hosts, folders=[Path(one) for one in folders] or None
    )
    logging.getLogger("uvicorn.error").addFilter(_is_no_client_error)
    with _listen(host, port) as listening:
        shown = f"[{host}]" if ":" in host else host
        on_start(models, f"http://{shown}:{listening.getsockname()[1]}")
        # Handlers of our own, so that a signal ends the server with exit code 0.
        before = {signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: None)}
        if SIGHUP is not None and signal.getsignal(SIGHUP) is not signal.SIG_IGN:
            before[SIGHUP] = signal.signal(SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        try:
            Server(app, limits, models).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for loaded in models.values():
                loaded.worker.close()


class Server(uvicorn.Server):
    """A uvicorn server with bounded connections, which logs runs that change on disk.

    Args:
        app: The ASGI application.
        limits: Limits of connections.
        models: The models whose runs are checked.
        settings: More settings of uvicorn.
    """

    def __init__(
        self,
        app: Any,
        limits: Limits = Limits(),
        models: Mapping[str, LoadedRun] = MappingProxyType({}),
        **settings: Any,
    ) -> None:
        watcher = RunWatcher(models.values())
        given = {
            # h11 bounds the size of headers, which the faster httptools does not.
            "http": connection_class(max_connections(limits.max_connections), limits.idle_timeout),
            "loop": "asyncio",  # ``startup`` depends on how asyncio accepts connections.
            "ws": "none",
            "lifespan": "off",
            "log_level": "warning",
            "access_log": False,
            "server_header": False,
            "backlog": ACCEPTED_AT_ONCE,
            "timeout_keep_alive": math.ceil(limits.idle_timeout),
            "timeout_graceful_shutdown": SECONDS_TO_STOP,
            "callback_notify": watcher.check,
            "timeout_notify": SECONDS_BETWEEN_CHECKS,
        }
        super().__init__(uvicorn.Config(app, **{**given, **settings}))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen.

        asyncio accepts as many connections as its backlog before it handles any of them, so that
        backlog is small, or a rush would use up the open files. The socket's own stays large.
        """
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(BACKLOG)


class RunWatcher:
    """Logs a warning when a loaded run is replaced or deleted on disk, once for each state.

    Args:
        models: The loaded runs.
    """

    def __init__(self, models: Iterable[LoadedRun]) -> None:
        self._models = list(models)
        self._logged: dict[str, str] = {}

    async def check(self) -> None:
        """Check all runs, and log what is new."""
        for loaded in self._models:
            found = await asyncio.to_thread(loaded.on_disk)
            if found not in ("unchanged", self._logged.get(loaded.name)):
                self._logged[loaded.name] = found
                what = "has been deleted" if found == "deleted" else "has changed"
                logging.getLogger("thence.serve").warning(
                    "The run %s on disk %s since it was loaded; the server keeps what it loaded.",
                    loaded.name,
                    what,
                )


def max_connections(wanted: int) -> int:
    """Return the limit of open connections, lowered to what the limit of open files allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return wanted
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, files - OTHER_FILES))


def _is_no_client_error(record: logging.LogRecord) -> bool:
    """Return whether a log line is not about a client's mistake (a filter of ``logging``)."""
    return not str(record.msg).startswith(CLIENT_ERRORS)


def _listen(host: str, port: int) -> socket.socket:
    validate("port", port, Annotated[int, Range(ge=0, le=65535)])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; else answers may wait 40 ms for more data.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # So that a restarted server can take its port again at once.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose another `port` (0 takes a "
            "free one) or `host`."
        ) from error
    return listening
