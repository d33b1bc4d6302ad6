"""As many clients as are allowed are never refused, and no place is lost, whatever they do."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import thence
from thence.serve import Limits, open_runs

Made = Callable[..., thence.Run]
HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def lasting(made: Made) -> Any:
    """A model whose texts go on as long as asked."""
    return open_runs([made("lasting", "lstm", tokens="words", carry_context=True)])


def message(close: bool = False, **fields: Any) -> bytes:
    """Return a request for a completion."""
    body = json.dumps({"prompt": "the", "max_tokens": 3, **fields}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n" + "Connection: close\r\n" * close
    return f"{head}\r\n".encode() + body


async def status_of(reader: asyncio.StreamReader, leave: bool) -> int:
    """Read an answer to its last byte, or only the beginning of a stream; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    if "transfer-encoding: chunked" in head and leave:
        await reader.readuntil(b"data: ")
    elif "transfer-encoding: chunked" in head:
        while (await reader.readuntil(b"\r\n")) != b"0\r\n":
            pass
        await reader.readexactly(2)
    else:
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
    return int(head.split()[1])


def ask(port: int, clients: int, requests: int, kinds: list[str]) -> Counter[int]:
    """Let clients ask, each the next time as soon as it has its answer; count the statuses."""
    found = Counter[int]()

    async def client(number: int) -> None:
        draw, reader, writer = random.Random(number), None, None
        for _ in range(requests):
            kind = draw.choice(kinds)
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection(HOST, port)
            stream = kind in ("stream", "abort")
            tokens = 2000 if kind == "abort" else draw.randrange(4)
            writer.write(message(kind == "close", stream=stream, max_tokens=tokens))
            found[await status_of(reader, leave=kind == "abort")] += 1
            if kind in ("close", "abort"):
                writer.close()
                await writer.wait_closed()
                reader = writer = None
        if writer is not None:
            writer.close()
            await writer.wait_closed()

    async def all_clients() -> None:
        await asyncio.gather(*(client(number) for number in range(clients)))

    asyncio.run(all_clients())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [["plain"], ["abort"], ["plain", "stream", "close", "abort"]])
def test_as_many_clients_as_are_allowed_are_not_refused(
    lasting: Any, serving: Any, kinds: list[str]
) -> None:
    clients = 64 if kinds == ["plain"] else 16
    with serving(lasting, Limits(max_requests=clients)) as client:
        assert ask(client.port, clients, 10, kinds) == {200: clients * 10}


def test_no_place_is_lost_by_those_who_leave(lasting: Any, serving: Any) -> None:
    kinds = ["abort", "abort", "plain", "close"]
    with serving(lasting, Limits(max_requests=3)) as client:
        many = ask(client.port, 12, 12, kinds)  # More than are allowed.
        assert set(many) <= {200, 503}
        assert ask(client.port, 3, 10, ["plain"]) == {200: 30}
