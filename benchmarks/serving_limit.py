"""The server at its own limit: as many clients as are allowed, for a minute, beside idle ones.

    python benchmarks/serving_limit.py [--seconds 60] [--idle 1100]

Trains an MLP of the bundled names, serves it with at most 1,024 open files, and lets 64 clients ask
(the default of ``--max-requests``), each the next time as soon as it has its answer. Most ask for
whole texts; one in eight asks for a stream, one closes its connection after the answer, one leaves
in the middle of a stream and asks anew at once. Meanwhile connections are opened on which nothing
is ever sent, and opened anew a second after the server has closed them. Needs Linux and no data.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Results
from serving import as_bytes, resident

import thence

CLIENTS = 64
FILES = 1024
KINDS = ("stream", "close", "leave", *["plain"] * 5)
SERVER = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
from thence.cli.main import main
main(["serve", sys.argv[1], "--port", "0"])
"""


@dataclass
class Found:
    """What was seen: statuses by number, seconds that ``/health`` took, bytes of memory."""

    statuses: Counter[int] = field(default_factory=Counter)
    health: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    opened: int = 0


def main() -> None:
    """Measure, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--idle", type=int, default=1100, help="connections that ask for nothing")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        run = thence.train("given-names", "mlp", output=f"{folder}/names", steps=300)
        command = [sys.executable, "-c", SERVER, str(run.folder)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            port = int(process.stderr.readline().rpartition(":")[2].split()[0])
            try:
                asyncio.run(work(port, process.pid, 2.0, 0, Found()))
                found = Found()
                asyncio.run(work(port, process.pid, given.seconds, given.idle, found))
            finally:
                process.terminate()
            log = process.stderr.read().splitlines()
    keep(found, given.seconds, log)


def keep(found: Found, seconds: float, log: list[str]) -> None:
    """Keep the results."""
    results = Results("serving_limit", "python benchmarks/serving_limit.py", ("uvicorn",))
    total, middle = sum(found.statuses.values()), len(found.memory) // 2
    note = f"{seconds:.0f} s, {CLIENTS} clients at work, {found.opened:,} idle connections opened"
    for key, claim, value, unit, goal in (
        ("requests", "requests", total / seconds, "a second", ""),
        ("refused", "refused", total - found.statuses[200], "", "= 0"),
        ("health", "/health, slowest answer", max(found.health) * 1000, "ms", ""),
        ("log", "lines in the log", len(log), "", "= 0"),
    ):
        results.add(key, claim, {"thence": [value]}, unit, goal=goal, note=note)
    memory = {"start": 0, "middle": middle, "end": -1}
    shown = {name: [found.memory[place] / 2**20] for name, place in memory.items()}
    results.add("memory", "memory", shown, "MB", note=note)


async def work(port: int, process: int, seconds: float, idle: int, found: Found) -> None:
    """Let all clients work for some seconds, and watch the server."""
    end = time.perf_counter() + seconds
    clients = [ask(port, number, end, found.statuses) for number in range(CLIENTS)]
    # One after another: in one rush this program would be too slow to ask for anything itself.
    idlers = [wait_idly(port, 1 + number / 500, end, found) for number in range(idle)]
    await asyncio.gather(*clients, *idlers, watch(port, process, end, found))


async def ask(port: int, number: int, end: float, statuses: Counter[int]) -> None:
    """Ask again and again; count the statuses."""
    draw, reader, writer = random.Random(number), None, None
    while time.perf_counter() < end:
        if reader is None or writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        kind = draw.choice(KINDS)
        fields: dict[str, Any] = {"prompt": "mar", "max_tokens": 12, "seed": draw.randrange(99)}
        writer.write(as_bytes({**fields, "stream": kind in ("stream", "leave")}))
        try:
            statuses[await status_of(reader, kind == "leave")] += 1
        except (ConnectionError, asyncio.IncompleteReadError):  # Closed without an answer.
            statuses[0] += 1
            kind = "close"
        if kind in ("close", "leave"):
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()


async def status_of(reader: asyncio.StreamReader, leave: bool) -> int:
    """Read an answer to its end, or only the beginning of a stream; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    if "chunked" not in head:
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
    elif not leave:
        await reader.readuntil(b"\r\n0\r\n\r\n")
    return int(head.split()[1])


async def wait_idly(port: int, wait: float, end: float, found: Found) -> None:
    """Keep a connection on which nothing is sent; open another when it is closed."""
    await asyncio.sleep(wait)
    while (left := end - time.perf_counter()) > 0:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(left):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                found.opened += 1
                try:
                    await reader.read()
                finally:
                    writer.close()
        await asyncio.sleep(1.0)


async def watch(port: int, process: int, end: float, found: Found) -> None:
    """Ask for the health of the server on new connections, and look at its memory."""
    while time.perf_counter() < end:
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await status_of(reader, leave=False) == 200
        writer.close()
        found.health.append(time.perf_counter() - started)
        found.memory.append(resident(process))
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
