"""Before and around every request: who may ask, how much, how many at once, and for how long.

A plain ASGI application around the other. A client that goes away, and a request that takes too
long, cancel the work that was begun for them.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from ipaddress import ip_address
from time import perf_counter
from typing import Any

from fastapi.responses import JSONResponse

from thence.serve.limits import Limits
from thence.serve.monitor import Monitor
from thence.serve.problems import problem, refuse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/docs", "/openapi.json", "/health")
"""What needs no token: the page without its data, and whether the server is there."""
SECONDS_TO_END = 2.0
"""For a stream to end after its time, if its client still reads."""
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
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 499  # As others call it: the client has gone.

        async def send_watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        counted = _is_work(scope)
        self._at_work += counted
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send_watched)
            else:
                await self._within_time(scope, receive, send_watched)
        finally:
            self._at_work -= counted
            route = getattr(scope.get("route"), "path", "none")
            self._monitor.count_request(route, status, perf_counter() - started)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Return the answer to a request that is not let through."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._hosts is not None and not _may_be_host(headers.get(b"host", ""), self._hosts):
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
        if _is_work(scope) and self._at_work > self._limits.max_requests:
            return problem(
                503,
                f"The server is at {self._limits.max_requests} requests already; try again soon.",
                headers={"Retry-After": "1"},
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

    async def _within_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer while the client is there and there is time."""
        begun = stopping = False
        complete = asyncio.Event()
        size = 0
        if scope["method"] != "POST":  # It has no body to wait for, but a client that may leave.
            complete.set()

        async def receive_counted() -> MutableMapping[str, Any]:
            nonlocal size
            if complete.is_set():  # Whether the client is still there is asked for below.
                return await receive()
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limits.max_body:
                raise refuse(413, self._too_large())
            if not message.get("more_body", False):
                complete.set()
            return message

        async def send_noted(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        async def client_gone() -> None:
            await complete.wait()
            while (await receive())["type"] != "http.disconnect":
                pass

        work = asyncio.ensure_future(self._app(scope, receive_counted, send_noted))
        gone = asyncio.create_task(client_gone())
        try:
            for seconds in (self._limits.timeout, SECONDS_TO_END):
                done, _ = await asyncio.wait(
                    {work, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if done or not begun:  # A stream that has begun says by itself that time is over.
                    break
            if work in done:
                await work
        except asyncio.CancelledError:  # The server is being stopped, and has waited for a while.
            stopping = True
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({work, gone})
            if work.done() and not work.cancelled():
                work.exception()  # If nobody is there to be told, it need not be missed either.
        if stopping and not begun:
            await problem(503, "The server is being stopped.")(scope, receive, send)
        elif not stopping and not done and not begun:
            sentence = f"The request took longer than {self._limits.timeout:g} seconds (--timeout)."
            await problem(504, sentence)(scope, receive, send)


def _is_work(scope: Scope) -> bool:
    """Whether a request makes a model, or the disk, work."""
    return scope["method"] == "POST" or str(scope["path"]).startswith("/playground/")


def _may_be_host(host: str, names: frozenset[str]) -> bool:
    """Whether a request's host is one of the names, or an address and no name at all."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower()
    with suppress(ValueError):
        return bool(ip_address(name))
    return name in names
