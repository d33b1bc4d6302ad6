"""Before and around every request: who may ask, how much, how many at once, and for how long.

A plain ASGI application around the other. A request takes one of the places for those that are
worked on when its body is whole, and gives it back before its answer's last byte is sent. A client
that goes away, and a request that takes too long, cancel the work that was begun for them.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from time import perf_counter
from typing import Any

from fastapi.responses import JSONResponse

from thence.serve.limits import SECONDS_BETWEEN_PIECES, SMALL_BODY, Limits
from thence.serve.monitor import Monitor
from thence.serve.problems import problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/docs", "/openapi.json", "/health")
"""What needs no token: the page without its data, and whether the server is there."""
SECONDS_TO_END = 2.0
"""For a stream to end after its time, if its client still reads."""
TURNS_TO_NOTICE = 16
"""Turns of the event loop before a request finds no place: that a client has left is known after
some 5, and a client that leaves and asks anew must not find its own place taken."""
CLOSE = {"Connection": "close"}
"""For a request that may not be whole: what comes next on the connection is no request."""
SECURITY_HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
     b"; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]  # fmt: skip
"""No page of this server may fetch from, or send to, anywhere else."""


class Guard:
    """Lets requests through to an application.

    Args:
        app: The application.
        limits: Bounds on requests.
        monitor: Counts them.
        token: What a client must show; None: nothing.
        hosts: Names under which the server may be asked for without a token (numbers always may);
            None: any. A page of another site, whose name its owner points here, has none of these.
    """

    def __init__(
        self,
        app: Application,
        limits: Limits,
        monitor: Monitor,
        token: str | None,
        hosts: frozenset[str] | None,
    ) -> None:
        self._app, self._limits, self._monitor = app, limits, monitor
        self._token, self._hosts = token, hosts
        self._at_work = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 499  # As others call it: the client has gone.
        visit = _Visit()

        async def send_watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            visit.begun = True
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            elif not message.get("more_body", False):
                # Not after the last byte is sent: who has it may ask again before anything else
                # happens here, and would find its own place taken.
                self._leave(visit)
            await send(message)

        # What sends the answer leaves out the body of one to HEAD, by the method of its own scope.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            refusal = self._refusal(asked)
            if refusal is not None:
                await refusal(asked, receive, send_watched)
            else:
                await self._answer(asked, receive, send_watched, visit)
        finally:
            self._leave(visit)
            self._bytes -= visit.counted
            route = getattr(asked.get("route"), "path", "none")
            self._monitor.count_request(route, status, perf_counter() - started)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Return the answer to a request that is not let through."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        # HTTP/1.0 needs no host, and no browser speaks it.
        host = headers.get(b"host", None if scope["http_version"] == "1.0" else "")
        if self._hosts is not None and host is not None and not _may_be_host(host, self._hosts):
            return problem(
                421, "This server answers only to its own address; start it with --host or --token."
            )
        opened = scope["path"] in OPEN_PATHS or scope["path"].startswith("/page/")
        if not opened and headers.get(b"sec-fetch-site") == "cross-site":
            return problem(403, "The pages of other sites may not ask this server.")
        if b"transfer-encoding" in headers and b"content-length" in headers:
            return problem(400, "The request says its length in two ways; send one of them.")
        if self._token is not None and not opened:
            kind, _, given = headers.get(b"authorization", "").partition(" ")
            # Only spaces: a byte of a letter beyond ASCII may look like other white space.
            right = hmac.compare_digest(given.strip(" ").encode("latin-1"), self._token.encode())
            if kind.lower() != "bearer" or not right:
                wrong = "The token is wrong. " if given else ""
                return problem(
                    401,
                    f"{wrong}This server asks for its token: send the header 'Authorization: "
                    "Bearer …'.",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        if scope["method"] != "POST":
            return None
        kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return problem(415, "The request must be JSON: send 'Content-Type: application/json'.")
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._limits.max_body:
            return problem(413, self._too_large())
        return None

    def _too_large(self) -> str:
        return f"The request is larger than {self._limits.max_body} bytes (--max-body)."

    async def _answer(self, scope: Scope, receive: Receive, send: Send, visit: "_Visit") -> None:
        """Take a request whose head is in order: its body, then a place among those at work."""
        end = asyncio.get_running_loop().time() + self._limits.timeout
        try:
            body = b"" if scope["method"] != "POST" else await self._body(receive, end, visit)
            if is_work(scope) and not await self._enter(visit):
                bound = self._limits.max_requests
                raise _overloaded(f"The server is at {bound} requests already; try again soon.")
            await self._within_time(scope, body, receive, send, end, visit)
        except _ClientGoneError:
            pass
        except _RefusedError as refused:
            if not visit.begun:
                await refused.answer(scope, receive, send)
        except asyncio.CancelledError:  # The server is being stopped, and has waited for a while.
            if not visit.begun:
                await problem(503, "The server is being stopped.")(scope, receive, send)

    async def _body(self, receive: Receive, end: float, visit: "_Visit") -> bytes:
        """Return the whole body of a request.

        Raises:
            _RefusedError: If it is too large or takes too long, or all together take too much room.
            _ClientGoneError: If the client leaves before.
        """
        body, more = bytearray(), True
        clock = asyncio.get_running_loop().time
        while more:
            try:
                async with asyncio.timeout(min(SECONDS_BETWEEN_PIECES, end - clock())):
                    message = await receive()
            except TimeoutError:
                if clock() >= end:
                    raise self._too_slow() from None
                said = f"Nothing more of the request came for {SECONDS_BETWEEN_PIECES:g} seconds."
                raise _RefusedError(problem(408, said, headers=CLOSE)) from None
            if message["type"] == "http.disconnect":
                raise _ClientGoneError
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limits.max_body:
                raise _RefusedError(problem(413, self._too_large()))
            counted = max(0, len(body) - SMALL_BODY)
            self._bytes += counted - visit.counted
            visit.counted = counted
            if self._bytes > self._limits.max_requests * self._limits.max_body:
                raise _overloaded("Large requests fill the room for them; try again soon.")
        return bytes(body)

    async def _enter(self, visit: "_Visit") -> bool:
        """Take one of the places for requests that are worked on, if one is free."""
        for _ in range(TURNS_TO_NOTICE):
            if self._at_work < self._limits.max_requests:
                self._at_work += 1
                visit.at_work = True
                return True
            await asyncio.sleep(0)
        return False

    def _leave(self, visit: "_Visit") -> None:
        """Give the place back."""
        self._at_work -= visit.at_work
        visit.at_work = False

    async def _within_time(
        self,
        scope: Scope,
        body: bytes,
        receive: Receive,
        send: Send,
        end: float,
        visit: "_Visit",
    ) -> None:
        """Let the application answer while the client is there and there is time.

        Raises:
            _RefusedError: If the time is over.
        """

        async def client_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        gone = asyncio.create_task(client_gone())
        bodies = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive_whole() -> MutableMapping[str, Any]:
            for message in bodies:
                return message
            await asyncio.wait({gone})
            return {"type": "http.disconnect"}

        work = asyncio.ensure_future(self._app(scope, receive_whole, send))
        try:
            for seconds in (end - asyncio.get_running_loop().time(), SECONDS_TO_END):
                done, _ = await asyncio.wait(
                    {work, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                # A stream that has begun says by itself that time is over.
                if done or not visit.begun:
                    break
            self._leave(visit)
            if work in done:
                await work
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({work, gone})
            if work.done() and not work.cancelled():
                work.exception()  # If nobody is there to be told, it need not be missed either.
        if not done:
            raise self._too_slow()

    def _too_slow(self) -> "_RefusedError":
        said = f"The request took longer than {self._limits.timeout:g} seconds (--timeout)."
        return _RefusedError(problem(504, said, headers=CLOSE))


@dataclass
class _Visit:
    """What a request has taken of the server.

    Attributes:
        at_work: Whether it has one of the places for requests that are worked on.
        counted: Bytes of its body that count among those of all.
        begun: Whether its answer has begun.
    """

    at_work: bool = False
    counted: int = 0
    begun: bool = False


class _ClientGoneError(Exception):
    """The client has left before its request was whole."""


class _RefusedError(Exception):
    """A request is not answered, but refused with this answer."""

    def __init__(self, answer: JSONResponse) -> None:
        super().__init__()
        self.answer = answer


def _overloaded(said: str) -> _RefusedError:
    return _RefusedError(problem(503, said, headers={"Retry-After": "1"}))


def is_work(scope: Mapping[str, Any]) -> bool:
    """Whether a request makes a model, or the disk, work."""
    return scope["method"] == "POST" or str(scope["path"]).startswith("/playground/")


def _may_be_host(host: str, names: frozenset[str]) -> bool:
    """Whether a request's host is one of the names, or an address and no name at all."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower()
    with suppress(ValueError):
        return bool(ip_address(name))
    return name in names
