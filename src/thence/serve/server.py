"""Listening on a port until somebody stops the server."""

import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

import uvicorn

from thence.errors import SettingError
from thence.serve.app import create_app
from thence.serve.changes import Changes
from thence.serve.connections import connections_of
from thence.serve.limits import SECONDS_WITHOUT_REQUEST, Limits
from thence.serve.served import ServedRun
from thence.signals import SIGHUP

WAITING_CONNECTIONS = 2048
ACCEPTED_AT_ONCE = 16
OTHER_FILES = 128
"""Open files that are no connections: runs that are read, libraries, and what is just accepted."""
SECONDS_BETWEEN_LOOKS = 30
"""At the runs on disk."""
SEEN_BY_CLIENTS = (
    "Cancel %s running task",
    "ASGI callable returned without",
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "No supported WebSocket library",
)
"""How lines of uvicorn's log begin of which clients could make it write as many as they like."""
SECONDS_TO_STOP = 10
"""Time for requests that are being worked on when the server is stopped."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and nobody else can reach it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    models: dict[str, ServedRun],
    host: str,
    port: int,
    limits: Limits,
    token: str | None,
    no_auth: bool,
    on_start: Callable[[str], None],
    folders: Iterable[Path] | None = None,
) -> None:
    """Serve until a signal stops it; requests that are being worked on get some time to finish.

    Args:
        models: What to serve.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        limits: Bounds on requests.
        token: What clients must show; None: nothing.
        no_auth: Whether others than this machine may ask without a token.
        on_start: Called with the address when the server listens.
        folders: Whose runs the page lists; None: those that hold the served runs.

    Raises:
        SettingError: If others could ask and there is no token, or the port cannot be had.
    """
    if not is_loopback(host) and token is None and not no_auth:
        raise SettingError(
            f"--host {host} lets other machines in; give --token (or THENCE_TOKEN) to let in only "
            "those who know it, or --no-auth to let in everyone."
        )
    hosts = frozenset({"localhost", host.lower()}) if token is None and not no_auth else None
    app = create_app(models, limits, token=token, hosts=hosts, folders=folders)
    logging.getLogger("uvicorn.error").addFilter(_is_worth_a_line)
    with _listen(host, port) as listening:
        shown = f"[{host}]" if ":" in host else host
        on_start(f"http://{shown}:{listening.getsockname()[1]}")
        # Being stopped is the end that was meant, and no error.
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
            for served in models.values():
                served.worker.close()


class Server(uvicorn.Server):
    """Answers requests at sockets that listen.

    Args:
        app: What answers.
        limits: Bounds on connections.
        models: Looked at from time to time, whether their runs are still what was loaded.
        settings: More of uvicorn's own.
    """

    def __init__(
        self,
        app: Any,
        limits: Limits = Limits(),
        models: Mapping[str, ServedRun] = MappingProxyType({}),
        **settings: Any,
    ) -> None:
        changes = Changes(models.values())
        given = {
            # h11 bounds the size of headers, which the faster one does not.
            "http": connections_of(most_connections(limits.max_connections)),
            "loop": "asyncio",  # Whose way to accept connections is known (see ``startup``).
            "ws": "none",
            "lifespan": "off",
            "log_level": "warning",
            "access_log": False,
            "server_header": False,
            "backlog": ACCEPTED_AT_ONCE,
            "timeout_keep_alive": math.ceil(SECONDS_WITHOUT_REQUEST),
            "timeout_graceful_shutdown": SECONDS_TO_STOP,
            "callback_notify": changes.tell,
            "timeout_notify": SECONDS_BETWEEN_LOOKS,
        }
        super().__init__(uvicorn.Config(app, **{**given, **settings}))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen.

        What asyncio is given as the backlog is how many connections it accepts before it looks
        at any of them, so it is few, or a rush would use up the open files first. As many as before
        may wait to be accepted.
        """
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(WAITING_CONNECTIONS)


def most_connections(wanted: int) -> int:
    """Return how many connections there may be, with what else must be open of the open files."""
    try:
        import resource
    except ImportError:  # Windows has no such bound.
        return wanted
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, files - OTHER_FILES))


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a line of the log says more than that a client was wrong, or cut off, as it sees."""
    return not str(record.msg).startswith(SEEN_BY_CLIENTS)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise SettingError(f"--port is {port}; it must be from 0 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends answers at once rather than wait 40 ms for more.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # A port that was served a moment ago may be taken again.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(WAITING_CONNECTIONS)
    except (OSError, UnicodeError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose another --port (0 takes a "
            "free one) or --host."
        ) from error
    return listening
