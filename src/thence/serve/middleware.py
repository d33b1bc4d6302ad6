"""Middleware around all endpoints: access, request size, concurrency, timeouts, and metrics.

A plain ASGI application around another. A request is in progress from when its body is complete
until the last byte of its answer is sent; the number of requests in progress is limited. When a
client disconnects, or a request takes too long, its work is cancelled.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from time import perf_counter
from typing import Any

from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from thence.serve.errors import error_response
from thence.serve.limits import Limits
from thence.serve.loaded_runs import LoadedRun

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/openapi.json", "/health", "/playground/report")
"""Paths that need no token: the page without its data, the health check, and reports, whose
addresses contain a key."""
SMALL_BODY = 1 << 16
"""Bytes of each body that do not count towards the limit of all bodies together."""
SECONDS_TO_END = 2.0
"""Seconds that a stream has to end by itself after its timeout."""
LOOPS_TO_WAIT = 16
"""Iterations of the event loop before a request is refused because too many are in progress. A
disconnection is noticed after about 5; a client that disconnects and asks again must not be refused
because of its own cancelled request."""
CLIENT_CLOSED_REQUEST = 499
"""Status in the metrics of a request whose client disconnected, as in nginx."""
CLOSE = {"Connection": "close"}
"""Header of answers to incomplete requests, whose remaining bytes are not a new request."""
SECURITY_HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
     b"; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]  # fmt: skip
"""The page may fetch from, and send to, this server only. Reports have a policy of their own."""


class Metrics(Collector):
    """Counts of requests and batches, in the text format of Prometheus.

    Args:
        models: The loaded runs.
    """

    def __init__(self, models: Iterable[LoadedRun]) -> None:
        self._models = list(models)
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "thence_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "thence_request_seconds", "Seconds to answer.", ("route",), registry=self._registry
        )
        self._registry.register(self)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers of batches and rows that each model has read."""
        turns = CounterMetricFamily("thence_model_turns", "Calls of a model.", labels=["model"])
        rows = CounterMetricFamily(
            "thence_model_rows", "Texts read, over all calls.", labels=["model"]
        )
        for loaded in self._models:
            turns.add_metric([loaded.name], loaded.worker.batches_read)
            rows.add_metric([loaded.name], loaded.worker.rows_read)
        yield turns
        yield rows

    def to_text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


@dataclass
class _Request:
    """A request, and the resources that it holds.

    Attributes:
        scope: Its ASGI scope.
        receive: Returns the next message of the client.
        send: Sends a message of the response.
        end: Its deadline, by the clock of the event loop.
        in_progress: Whether it counts among the requests in progress.
        counted_bytes: Bytes of its body that count towards the limit of all bodies.
        responding: Whether its response has started.
    """

    scope: Scope
    receive: Receive
    send: Send
    end: float
    in_progress: bool = False
    counted_bytes: int = 0
    responding: bool = False


class _RefusedError(Exception):
    """Raised to answer with this response in place of the endpoint's; None: the client has gone."""

    def __init__(self, response: JSONResponse | None) -> None:
        super().__init__()
        self.response = response


class Middleware:
    """An ASGI application that checks and limits the requests to another one.

    Args:
        app: The application.
        limits: Limits of requests.
        metrics: Counts the requests.
        token: The bearer token that clients must send; None for no token.
        hosts: Host names that requests may have (IP addresses always may); None for any. This stops
            DNS rebinding, in which another site's name points to this server.
    """

    def __init__(
        self,
        app: Application,
        limits: Limits,
        metrics: Metrics,
        token: str | None,
        hosts: frozenset[str] | None,
    ) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics
        self._token, self._hosts = token, hosts
        self._in_progress = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), CLIENT_CLOSED_REQUEST

        async def send_watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            request.responding = True
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                own = {name.lower() for name, _ in headers}
                headers += [header for header in SECURITY_HEADERS if header[0] not in own]
                message["headers"] = headers
            elif not message.get("more_body", False):
                # Before the last byte is sent: a client that has it may ask again at once, and
                # must not be refused for its own finished request.
                self._finish(request)
            await send(message)

        # HEAD is answered like GET; uvicorn leaves out the body, by the method of its own scope.
        scope = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        end = asyncio.get_running_loop().time() + self._limits.timeout
        request = _Request(scope, receive, send_watched, end)
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send_watched)
            else:
                await self._answer(request)
        finally:
            self._finish(request)
            self._bytes -= request.counted_bytes
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.count_request(route, status, perf_counter() - began)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Return the error response for a request with an invalid head; None for a valid one."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        # HTTP/1.0 needs no host, and no browser uses it.
        host = headers.get(b"host", None if scope["http_version"] == "1.0" else "")
        if self._hosts is not None and host is not None and not _is_allowed(host, self._hosts):
            return error_response(
                421, "This server answers only to its own address; start it with --host or --token."
            )
        is_open = scope["path"] in OPEN_PATHS or scope["path"].startswith("/page/")
        if not is_open and headers.get(b"sec-fetch-site") == "cross-site":
            return error_response(403, "The pages of other sites may not ask this server.")
        if b"transfer-encoding" in headers and b"content-length" in headers:
            return error_response(400, "The request says its length in two ways; send one of them.")
        if not is_open and (refusal := self._check_token(headers.get(b"authorization", ""))):
            return refusal
        if scope["method"] != "POST":
            return None
        kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return error_response(
                415, "The request must be JSON: send 'Content-Type: application/json'."
            )
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._limits.max_body:
            return self._too_large()
        return None

    def _check_token(self, authorization: str) -> JSONResponse | None:
        """Return the error response for a request without a valid token; None for a valid one."""
        if self._token is None:
            return None
        kind, _, given = authorization.partition(" ")
        # Strip spaces only: other white space may be a byte of a non-ASCII letter.
        same = hmac.compare_digest(given.strip(" ").encode("latin-1"), self._token.encode())
        if kind.lower() == "bearer" and same:
            return None
        return error_response(
            401,
            f"{'The token is wrong. ' if given else ''}This server asks for its token: send the "
            "header 'Authorization: Bearer …'.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _answer(self, request: _Request) -> None:
        """Answer a request with a valid head: receive its body, then call the endpoint."""
        scope, refusal = request.scope, None
        try:
            body = await self._receive_body(request) if scope["method"] == "POST" else b""
            if is_work(scope) and not await self._begin(request):
                limit = self._limits.max_requests
                raise _overloaded(f"The server is at {limit} requests already; try again soon.")
            await self._call(request, body)
        except _RefusedError as refused:
            refusal = refused.response
        except asyncio.CancelledError:  # The server stops, and its grace period is over.
            refusal = error_response(503, "The server is being stopped.")
        if refusal is not None and not request.responding:
            await refusal(scope, request.receive, request.send)

    async def _receive_body(self, request: _Request) -> bytes:
        """Return the whole body of a request.

        Raises:
            _RefusedError: If the body is too large or too slow, all bodies together are too large,
                or the client disconnects.
        """
        body, more, idle = bytearray(), True, self._limits.idle_timeout
        clock = asyncio.get_running_loop().time
        while more:
            try:
                async with asyncio.timeout(min(idle, request.end - clock())):
                    message = await request.receive()
            except TimeoutError:
                if clock() >= request.end:
                    raise self._too_slow() from None
                said = f"Nothing more of the request came for {idle:g} seconds."
                raise _RefusedError(error_response(408, said, headers=CLOSE)) from None
            if message["type"] == "http.disconnect":
                raise _RefusedError(None)
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limits.max_body:
                raise _RefusedError(self._too_large())
            counted = max(0, len(body) - SMALL_BODY)
            self._bytes += counted - request.counted_bytes
            request.counted_bytes = counted
            if self._bytes > self._limits.max_requests * self._limits.max_body:
                raise _overloaded("Large requests fill the room for them; try again soon.")
        return bytes(body)

    async def _begin(self, request: _Request) -> bool:
        """Count a request among those in progress; return False if there are too many."""
        for _ in range(LOOPS_TO_WAIT):
            if self._in_progress < self._limits.max_requests:
                self._in_progress += 1
                request.in_progress = True
                return True
            await asyncio.sleep(0)
        return False

    def _finish(self, request: _Request) -> None:
        """Remove a request from those in progress."""
        self._in_progress -= request.in_progress
        request.in_progress = False

    async def _call(self, request: _Request, body: bytes) -> None:
        """Call the application, and cancel it when the client disconnects or time is over.

        Raises:
            _RefusedError: If it was cancelled.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # In a coroutine there is one.
        ended: _RefusedError | None = None
        timer: asyncio.TimerHandle

        def end(why: _RefusedError) -> None:
            nonlocal ended
            if ended is None:
                ended = why
                self._finish(request)
                task.cancel()

        def end_in_time() -> None:
            nonlocal timer
            if request.responding:  # A stream ends itself, with an error event.
                timer = loop.call_later(SECONDS_TO_END, end, self._too_slow())
            else:
                end(self._too_slow())

        async def wait_for_disconnect() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            end(_RefusedError(None))

        disconnected = asyncio.create_task(wait_for_disconnect())
        timer = loop.call_at(request.end, end_in_time)
        bodies = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive_whole() -> MutableMapping[str, Any]:
            for message in bodies:
                return message
            await asyncio.wait({disconnected})
            return {"type": "http.disconnect"}

        try:
            await self._app(request.scope, receive_whole, request.send)
        except (Exception, asyncio.CancelledError):
            if ended is None:
                raise
        finally:
            timer.cancel()
            disconnected.cancel()
        if ended is not None:
            task.uncancel()
            raise ended

    def _too_large(self) -> JSONResponse:
        return error_response(
            413, f"The request is larger than {self._limits.max_body} bytes (--max-body)."
        )

    def _too_slow(self) -> _RefusedError:
        said = f"The request took longer than {self._limits.timeout:g} seconds (--timeout)."
        return _RefusedError(error_response(504, said, headers=CLOSE))


def _overloaded(said: str) -> _RefusedError:
    return _RefusedError(error_response(503, said, headers={"Retry-After": "1"}))


def is_work(scope: Mapping[str, Any]) -> bool:
    """Return whether a request needs a model or the disk, and so counts as in progress."""
    return scope["method"] == "POST" or str(scope["path"]).startswith("/playground/")


def _is_allowed(host: str, names: frozenset[str]) -> bool:
    """Return whether a request's host is one of the names, or an IP address."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower()
    with suppress(ValueError):
        return bool(ip_address(name))
    return name in names
