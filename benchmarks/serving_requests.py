"""Processor time of the server for each request, of two states of the code in turn.

    python benchmarks/serving_requests.py OTHER_CLONE/src path/to/data [--rounds 3] [--requests 400]

Both states serve the same runs (those of ``serving.py``), each in a process of its own. Clients on
the loopback, in this process, each send their next request when they have its answer; the server's
processor time comes from ``/proc``. Beside them stands an endpoint of FastAPI that does nothing.
Prints medians of milliseconds per request, their ratio, and the spread of the ratios. Needs Linux.
"""

import argparse
import asyncio
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from serving import CLIENTS, MODELS, as_bytes, requests_of, status_of_answer, train

HERE = Path(__file__).parents[1] / "src"
TICKS = os.sysconf("SC_CLK_TCK")
WARM_UP = 20
LONG_WORK = 10
"""A completion is asked for so many times less often than a single token."""

SERVER = """
import sys
import torch
from thence.serve import Limits, open_runs, serve
torch.set_num_threads(1)
limits = Limits()
serve(open_runs(sys.argv[1:]), "127.0.0.1", 0, limits, None, False,
      lambda address: print(address, flush=True))
"""
NOTHING = """
import socket, uvicorn
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
print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
config = uvicorn.Config(app, log_level="warning", access_log=False, http="h11", loop="asyncio")
uvicorn.Server(config).run(sockets=[listening])
"""
ASKED = {
    ("names-mlp", "next token"),
    ("names-mlp", "scoring"),
    ("ptb-5gram", "next token"),
    ("ptb-5gram", "scoring"),
    ("names-mlp", "50-token completion"),
    ("ptb-lstm", "next token"),
    ("ptb-lstm", "50-token completion"),
}

Server = tuple[int, int]
"""The port of a server, and the number of its process."""


def main() -> None:
    """Measure everything and print the table."""
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
        before, now = (
            stack.enter_context(serving(SERVER, source, *runs))
            for source in (given.other.resolve(), HERE)
        )
        nothing = stack.enter_context(serving(NOTHING, HERE))
        print(f"{processor()}, Python {platform.python_version()}")
        print("\n| model | what | clients | before ms | now ms | now / before | spread |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for model in MODELS:
            for what, request in requests_of(model).items():
                if (model, what) in ASKED and given.only in f"{model} {what}":
                    count = given.requests // (1 if request["max_tokens"] < 2 else LONG_WORK)
                    for clients in CLIENTS:
                        asked = {"model": model, "seed": 1, **request}
                        show(model, what, clients, (before, now), asked, count, given.rounds)
        asked = {"model": "names-mlp", **requests_of("names-mlp")["next token"]}
        for clients in CLIENTS:
            used = [
                milliseconds(nothing, asked, clients, given.requests) for _ in range(given.rounds)
            ]
            print(f"| - | FastAPI doing nothing | {clients} | - | {median(used):.2f} | - | - |")


def show(
    model: str,
    what: str,
    clients: int,
    servers: tuple[Server, Server],
    asked: dict[str, Any],
    count: int,
    rounds: int,
) -> None:
    """Measure both states in turn, and print a line of the table."""
    both = [[milliseconds(one, asked, clients, count) for one in servers] for _ in range(rounds)]
    ratios = [now / before for before, now in both]
    before, now = (median(column) for column in zip(*both, strict=True))
    print(
        f"| {model} | {what} | {clients} | {before:.2f} | {now:.2f} | {now / before:.2f} | "
        f"{min(ratios):.2f} to {max(ratios):.2f} |",
        flush=True,
    )


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


def processor() -> str:
    """Return the name of the machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")


@contextmanager
def serving(program: str, source: Path, *arguments: str) -> Iterator[Server]:
    """Run a server with the library of a source folder."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        try:
            yield int(address.rpartition(":")[2]), process.pid
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
