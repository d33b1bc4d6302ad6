"""The server, measured on the loopback: requests a second, and how long each waits.

    python benchmarks/serving.py path/to/data [--seconds 4] [--requests 10000]

The folder holds ``names`` and ``ptb``. Trains an MLP of names, an LSTM and a 5-gram of PTB (three
minutes), serves them in a process of its own, and asks with 1, 8 and 32 clients, each of which
sends its next request when it has its answer. Then sends many requests and watches the memory, and
serves the LSTM once more with requests read one at a time, to see what reading them together gains.
Takes six minutes.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import Results

import thence

CLIENTS = (1, 8, 32)
MODELS = ("names-mlp", "ptb-lstm", "ptb-5gram")
PROMPTS = {
    "names-mlp": "mar",
    "ptb-lstm": "the company said it",
    "ptb-5gram": "the company said it",
}
SENTENCE = {
    "names-mlp": "maximiliana",
    "ptb-lstm": "the company said it will sell its stake in the unit for about N million",
    "ptb-5gram": "the company said it will sell its stake in the unit for about N million",
}
ONE = "50-token completion, one request at a time"
WARM_UP = 0.5
RESULTS = Results("serving", "python benchmarks/serving.py DATA", ("torch", "uvicorn", "fastapi"))

SERVER = """
import sys
from thence.serve import create_app, open_runs
from thence.serve.server import Server, _listen
batching, *runs = sys.argv[1:]
models = open_runs(runs, batching == "together")
with _listen("127.0.0.1", 0) as listening:
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    Server(create_app(models), models=models).run(sockets=[listening])
"""


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--runs", type=Path, help="folder of runs to serve, made there if missing")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each number of clients")
    parser.add_argument("--requests", type=int, default=10_000, help="while memory is watched")
    given = parser.parse_args()
    with TemporaryDirectory() as made:
        folder = given.runs or Path(made)
        train(given.data, folder)
        together: dict[int, float] = {}
        with serving(folder, "together") as (port, process):
            for model in MODELS:
                for what, request in requests_of(model).items():
                    for clients in CLIENTS:
                        rate = measure(port, model, what, request, clients, given.seconds)
                        if (model, what) == ("ptb-lstm", "50-token completion"):
                            together[clients] = rate
            watch_memory(port, process, given.requests)
        with serving(folder, "apart") as (port, _):
            request = requests_of("ptb-lstm")["50-token completion"]
            apart = {
                clients: measure(port, "ptb-lstm", ONE, request, clients, given.seconds)
                for clients in (1, 32)
            }
        claim = "ptb-lstm, 50-token completion, 32 clients: the rate"
        rates = {"read together": [together[32]], "one at a time": [apart[32]]}
        RESULTS.add("together", claim, rates, "requests/s", ratio=True)


def train(data: Path, folder: Path) -> None:
    """Train what is not there yet."""
    data = data.resolve()
    splits = {"dev": str(data / "ptb/ptb.valid.txt"), "test": str(data / "ptb/ptb.test.txt")}
    words = {"tokens": "words", "word_split": "whitespace", "unknown": "refuse"}
    ptb = data / "ptb/ptb.train.txt.gz"
    if not (folder / "names-mlp").exists():
        sizes = {"context": 3, "embedding_size": 10, "hidden_size": 200}
        thence.train(data / "names/names.txt", "mlp", output=folder / "names-mlp", **sizes)
    if not (folder / "ptb-5gram").exists():
        thence.train(ptb, "ngram", output=folder / "ptb-5gram", order=5, **words, **splits)
    if not (folder / "ptb-lstm").exists():
        sizes = {"hidden_size": 400, "embedding_size": 400, "layers": 2, "tied": True}
        learning = {"softmax": "sampled", "dropout": 0.4, "batch_size": 40, "carry_context": True}
        thence.train(
            ptb, "lstm", output=folder / "ptb-lstm", time="3m",
            **sizes, **learning, **words, **splits,
        )  # fmt: skip


def requests_of(model: str) -> dict[str, dict[str, Any]]:
    """Return what is asked for, by name."""
    return {
        "next token": {"prompt": PROMPTS[model], "max_tokens": 1, "logprobs": 10},
        "scoring": {"prompt": SENTENCE[model], "max_tokens": 0, "echo": True, "logprobs": 1},
        "50-token completion": {"prompt": PROMPTS[model], "max_tokens": 50},
    }


@contextmanager
def serving(folder: Path, batching: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Serve the runs of a folder in a process of its own; give its port."""
    runs = [str(folder / name) for name in MODELS]
    command = [sys.executable, "-c", SERVER, batching, *runs]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        try:
            yield int(address.rpartition(":")[2]), process
        finally:
            process.terminate()


def measure(
    port: int, model: str, what: str, request: dict[str, Any], clients: int, seconds: float
) -> float:
    """Ask for some seconds with so many clients; keep and return the rate."""
    asked = {"model": model, "seed": 1, **request}
    asyncio.run(ask(port, asked, clients, time.perf_counter() + WARM_UP))
    started = time.perf_counter()
    times, errors = asyncio.run(ask(port, asked, clients, started + seconds))
    rate = len(times) / (time.perf_counter() - started)
    middle, slowest = np.percentile(np.array(times) * 1000, [50, 99])
    claim = f"{model}, {what}, {clients} clients"
    found = {"requests/s": [rate], "p50, ms": [middle], "p99, ms": [slowest], "errors": [errors]}
    RESULTS.add(claim, claim, found)
    return rate


async def ask(
    port: int, request: dict[str, Any], clients: int, end: float
) -> tuple[list[float], int]:
    """Let clients ask until a time; return the seconds of every request, and the errors."""
    times: list[float] = []
    errors = 0

    async def client(number: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        message = as_bytes({**request, "seed": number})
        while time.perf_counter() < end:
            started = time.perf_counter()
            writer.write(message)
            errors += await status_of_answer(reader) != 200
            times.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return times, errors


def as_bytes(request: dict[str, Any]) -> bytes:
    """Return a request as it goes over the wire."""
    body = json.dumps(request).encode()
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def status_of_answer(reader: asyncio.StreamReader) -> int:
    """Read an answer to its end; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
    return int(head.split()[1])


def watch_memory(port: int, process: "subprocess.Popen[str]", requests: int) -> None:
    """Send many requests of all kinds; keep the memory before and after."""
    kinds = [
        {"model": model, **request}
        for model in MODELS
        for request in requests_of(model).values()
        if request["max_tokens"] < 50
    ]

    async def send(count: int) -> int:
        async def client(first: int) -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            wrong = 0
            for number in range(first, count, 8):
                writer.write(as_bytes(kinds[number % len(kinds)]))
                wrong += await status_of_answer(reader) != 200
            writer.close()
            return wrong

        return sum(await asyncio.gather(*(client(first) for first in range(8))))

    asyncio.run(send(requests // 10))  # What is made once, the first requests make.
    before = resident(process.pid)
    wrong = asyncio.run(send(requests))
    after = resident(process.pid)
    found = {"before": [before / 2**20], "after": [after / 2**20], "errors": [wrong]}
    RESULTS.add("memory", f"memory over {requests:,} requests, MB", found)


def resident(process: int) -> int:
    """Return the bytes of memory that a process holds (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
