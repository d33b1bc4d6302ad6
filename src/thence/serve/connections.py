"""The connections of the server: how many are open at once, and how long one may be idle.

An idle connection costs an open file and some memory. So a connection is closed if the head of its
next request does not arrive in time. If the maximum is open, a new connection replaces the one that
has been idle longest, those without any answer so far first. Connections with a request in progress
are never closed. None of this is logged.
"""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from thence.serve.middleware import is_work

SWEEPS = 10
"""Number of searches for idle connections per idle timeout."""


class Connections:
    """All connections of a server.

    Args:
        maximum: Maximum number of open connections.
        idle_timeout: Seconds that a connection may be idle.
    """

    def __init__(self, maximum: int, idle_timeout: float) -> None:
        self._maximum, self.idle_timeout = maximum, idle_timeout
        self._open: set[Connection] = set()
        self._next_sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "Connection") -> None:
        """Add a new connection; close an idle one if there are too many."""
        self._open.add(connection)
        if len(self._open) > self._maximum:
            idle = [one for one in self._open if not one.is_in_progress]
            oldest = min(idle, key=lambda one: (one.answered, one.since), default=connection)
            self._open.discard(oldest)
            oldest.transport.abort()
        if self._next_sweep is None:
            self._sweep()

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)

    def _sweep(self) -> None:
        """Close idle connections, and schedule the next search while any are open."""
        for connection in list(self._open):
            connection.close_if_idle()
        self._next_sweep = None
        if self._open:
            loop = asyncio.get_running_loop()
            self._next_sweep = loop.call_later(self.idle_timeout / SWEEPS, self._sweep)


class Connection(H11Protocol):
    """One connection of a client, created by uvicorn.

    Attributes:
        answered: Whether a request on it has been answered.
        since: When it became idle, by the clock of the event loop.
    """

    all: ClassVar[Connections]

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._unsent = 0
        self.answered = False
        self.since = self.loop.time()

    @property
    def has_request(self) -> bool:
        """Whether the head of a request has arrived that is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_in_progress(self) -> bool:
        """Whether a complete request has arrived that is not answered yet."""
        return self.has_request and not self.cycle.more_body and not self.transport.is_closing()

    def close_if_idle(self) -> None:
        """Close the connection if its client has sent or read nothing for too long.

        The middleware waits for the rest of a request whose head has come.
        """
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if self.is_in_progress or unsent < self._unsent:  # Less unsent: the client is reading.
            self.since = now
        self._unsent = unsent
        lacks_body = self.has_request and not self.transport.is_closing()
        if now - self.since > self.all.idle_timeout and not lacks_body:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the new connection."""
        super().connection_made(transport)
        self.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the closed connection."""
        self.all.remove(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP with status 400 if possible, and close the connection.

        It may follow the head of a valid request, which then gets no answer of its own.
        """
        if self.has_request:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Handle a client that has closed its sending side; return whether to keep the connection.

        Health checks may do so after the request and still read the answer. After a request that
        needs a model, it means that the client has gone.
        """
        if not self.has_request or is_work(self.cycle.scope):
            return False
        self.cycle.keep_alive = False
        return True

    def on_response_complete(self) -> None:
        """Note that the request was answered; uvicorn reads the next one."""
        self.since, self.answered = self.loop.time(), True
        super().on_response_complete()


def connection_class(maximum: int, idle_timeout: float) -> type[Connection]:
    """Return the connection class of one server, which has its ``Connections``."""
    return type("Connection", (Connection,), {"all": Connections(maximum, idle_timeout)})
