"""The connections of the server: how many are open at once, and how long one may ask for nothing.

What waits for a client costs an open file and some memory. So a connection on which the head of a
request does not come in time is closed, and where the most that are allowed are open, a new one
takes the place of that which has been waited for longest, of those that were never answered first.
Requests that are being worked on keep theirs. Nothing of this is worth a line of the log.
"""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from thence.serve.guard import is_work
from thence.serve.limits import SECONDS_WITHOUT_REQUEST

SECONDS_BETWEEN_SWEEPS = 1.0


class Connections:
    """All connections of a server.

    Args:
        most: How many may be open at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "Connection") -> None:
        """Take a new connection; close another for it if there are too many."""
        self._open.add(connection)
        if len(self._open) > self._most:
            waiting = [one for one in self._open if not one.is_at_work]
            oldest = min(waiting, key=lambda one: (one.answered, one.since), default=connection)
            self._open.discard(oldest)
            oldest.transport.abort()
        if self._sweeping is None:
            self._sweep()

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)

    def _sweep(self) -> None:
        """Close what has been waited for too long, as long as there are connections."""
        for connection in list(self._open):
            connection.close_if_late()
        self._sweeping = None
        if self._open:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(SECONDS_BETWEEN_SWEEPS, self._sweep)


class Connection(H11Protocol):
    """One connection; uvicorn makes one for each client."""

    all: ClassVar[Connections]

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._unsent = 0
        self.answered = False
        self.since = self.loop.time()

    @property
    def is_asking(self) -> bool:
        """Whether the head of a request has come that is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_at_work(self) -> bool:
        """Whether the client has done its part, and waits for an answer."""
        return self.is_asking and not self.cycle.more_body and not self.transport.is_closing()

    def close_if_late(self) -> None:
        """Close the connection if its client has been waited for too long.

        A client that asks for nothing, or takes nothing of what it was sent; one whose request
        lacks but the body is waited for by the guard.
        """
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if self.is_at_work or unsent < self._unsent:  # It is reading.
            self.since = now
        self._unsent = unsent
        lacks_body = self.is_asking and not self.transport.is_closing()
        if now - self.since > SECONDS_WITHOUT_REQUEST and not lacks_body:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.all.remove(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as far as an answer can still be sent, and close.

        What is wrong may follow the head of a request, whose own answer cannot be sent then.
        """
        if self.is_asking:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Let the client send nothing more; say whether it may still be there to be answered.

        Programs that watch a server may end their side after a request without a body. Of a request
        that makes work this means that the client has gone.
        """
        if not self.is_asking or is_work(self.cycle.scope):
            return False
        self.cycle.keep_alive = False
        return True

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self.since, self.answered = self.loop.time(), True
        super().on_response_complete()


def connections_of(most: int) -> type[Connection]:
    """Return the connections of a server that may have so many at once."""
    return type("Connection", (Connection,), {"all": Connections(most)})
