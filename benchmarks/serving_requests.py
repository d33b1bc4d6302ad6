"""Processor time of the server for each request, of two states of the code in turn.

    python benchmarks/serving_requests.py OTHER_CLONE/src path/to/data [--rounds 3] [--requests 400]

Both states serve the same runs (those of ``serving.py``), each in a process of its own. Clients on
the loopback, in this process, each send their next request when they have its answer; the server's
processor time comes from ``/proc``. An endpoint of FastAPI that does nothing is measured too. Needs
Linux.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Results
from serving import CLIENTS, MODELS, as_bytes, requests_of, status_of_answer, train

COMMAND = "python benchmarks/serving_requests.py SRC DATA"
RESULTS = Results("serving_requests", COMMAND, ("torch", "uvicorn", "fastapi"))
HERE = Path(__file__).parents[1] / "src"
TICKS = os.sysconf("SC_CLK_TCK")
WARM_UP = 20
LONG_WORK = 10
"""A completion is asked for so many times less often than a single token."""

SERVE = ("-m", "thence", "serve", "--port", "0")
NOTHING = """
import socket, sys, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
class Request(BaseModel):
    model: str
    prompt: str
    max_tokens: int
class Answer(BaseModel):
    text: str
app = FastAPI()
@app.post("/v1/completions")
async def answer(request: Request) -> Answer:
    return Answer(text=request.prompt)
listening = socket.create_server(("127.0.0.1", 0))
print(f"at http://127.0.0.1:{listening.getsockname()[1]} ", file=sys.stderr, flush=True)
config = uvicorn.Config(app, log_level="warning", access_log=False, http="h11", loop="asyncio")
uvicorn.Server(config).run(sockets=[listening])
"""
GOALS = {
    ("names-mlp", "next token"): "<= 2",
    ("names-mlp", "scoring"): "<= 2",
    ("names-mlp", "50-token completion"): "",
    ("ptb-lstm", "next token"): "",
    ("ptb-lstm", "50-token completion"): "ratio <= 0.333",
    ("ptb-5gram", "next token"): "<= 2",
    ("ptb-5gram", "scoring"): "<= 2",
}
"""What is asked of which model, and the goal; that of a ratio is for one client."""

Server = tuple[int, int]
"""The port of a server, and the number of its process."""


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="the source folder of the state before")
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--runs", type=Path, help="folder of runs to serve, made there if missing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=400, help="of each kind in each round")
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    given = parser.parse_args()
    with TemporaryDirectory() as made, ExitStack() as stack:
        folder = given.runs or Path(made)
        train(given.data, folder)
        runs = [str(folder / name) for name in MODELS]
        servers = {
            name: stack.enter_context(
                serving(source, "-m", "thence", "serve", "--port", "0", *runs)
            )
            for name, source in (("now", HERE), ("before", given.other.resolve()))
        }
        nothing = stack.enter_context(serving(HERE, "-c", NOTHING))
        for model in MODELS:
            for what, request in requests_of(model).items():
                if (model, what) in GOALS and given.only in f"{model} {what}":
                    count = given.requests // (1 if request["max_tokens"] < 2 else LONG_WORK)
                    asked = {"model": model, "seed": 1, **request}
                    goal = GOALS[model, what]
                    measure(f"{model}, {what}", servers, asked, count, given.rounds, goal)
        asked = {"model": "names-mlp", **requests_of("names-mlp")["next token"]}
        claim = "an endpoint of FastAPI that does nothing"
        measure(claim, {"now": nothing}, asked, given.requests, given.rounds)


def measure(
    claim: str,
    servers: dict[str, Server],
    asked: dict[str, Any],
    count: int,
    rounds: int,
    goal: str = "",
) -> None:
    """Measure servers in turn with each number of clients, and keep the results."""
    for clients in CLIENTS:
        sides = {
            name: partial(milliseconds, server, asked, clients, count)
            for name, server in servers.items()
        }
        name = f"{claim}, {clients} clients"
        of_these = goal if clients == 1 or "ratio" not in goal else ""
        unit = "ms of the processor a request"
        RESULTS.measure(name, name, sides, unit, rounds=rounds, goal=of_these)


def milliseconds(server: Server, asked: dict[str, Any], clients: int, count: int) -> float:
    """Return the processor time of a server for each of about ``count`` requests."""
    port, process = server
    each = max(1, count // clients)
    asyncio.run(ask(port, asked, clients, max(1, WARM_UP // clients)))
    before = processor_seconds(process)
    asyncio.run(ask(port, asked, clients, each))
    return 1000 * (processor_seconds(process) - before) / (each * clients)


async def ask(port: int, asked: dict[str, Any], clients: int, each: int) -> None:
    """Let every client send so many requests, one after another on one connection."""

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        message = as_bytes(asked)
        for _ in range(each):
            writer.write(message)
            assert await status_of_answer(reader) == 200
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))


def processor_seconds(process: int) -> float:
    """Return the processor time of all threads of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def serving(source: Path, *arguments: str) -> Iterator[Server]:
    """Run a server with the library of a source folder; it says first where it listens."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        port = re.search(r"at http://127.0.0.1:(\d+) ", process.stderr.readline())
        assert port is not None
        try:
            yield int(port[1]), process.pid
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
