"""Judging parts in several processes, or on a cluster; results come in order.

A process is started with its standard input and output as pipes, through which parts and results
go as bytes. It ends when its input does, so none outlives the one that started it.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import IO, Any

import numpy as np
import orjson

from thence.errors import TextError, ThenceError, TrainingError
from thence.filtering.judge import JUDGED, Judge, Panel
from thence.filtering.records import Part
from thence.tokens import parallel

Found = tuple[np.ndarray[Any, np.dtype[Any]], int]
"""What is known of each record of a part, and the bytes of its texts."""
Ask = Callable[[Iterable[Part]], Iterator[Found]]
"""Judges parts, in order."""
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
"""What keeps the processes from taking each other's cores."""
PROGRAM = "from thence.filtering.workers import work; work()"


@contextmanager
def judging(panel: Panel, processes: int, cluster: str | None) -> Iterator[Ask]:
    """Judge in this process, in others, or on a cluster.

    Args:
        panel: What judges.
        processes: How many; one is this process.
        cluster: Address of a Dask cluster, to whose workers the models are sent.
    """
    if cluster is not None:
        from thence.cluster import engine

        with engine.connect(cluster) as client:
            shared = engine.broadcast(client, panel.open())
            yield lambda parts: engine.map_in_order(client, judge_part, parts, shared)
    elif processes == 1:
        yield partial(map, panel.open())
    else:
        with _in_processes(panel, processes) as ask:
            yield ask


@contextmanager
def _in_processes(panel: Panel, processes: int) -> Iterator[Ask]:
    with ExitStack() as stack:
        free: SimpleQueue[_Process] = SimpleQueue()
        for _ in range(processes):
            free.put(stack.enter_context(_process(panel.to_json())))

        def judge(part: Part) -> Found:
            process = free.get()
            try:
                return process.judge(part)
            finally:
                free.put(process)

        yield lambda parts: parallel.in_threads(judge, parts, processes)


def judge_part(part: Part, judge: Judge) -> Found:
    """Judge a part: what a worker of a cluster does."""
    return judge(part)


class _Process:
    """A process that judges one part after another."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def judge(self, part: Part) -> Found:
        """Judge a part.

        Raises:
            ThenceError: That of the process.
            TrainingError: If it has ended.
        """
        try:
            _send(self._process.stdin, part.to_bytes())
            kind, _, rest = _receive(self._process.stdout).partition(b"\n")
        except (OSError, EOFError) as error:
            raise TrainingError(
                f"A process that judges texts has ended (exit code {self._process.wait()}), most "
                "likely for want of memory. Take fewer `processes`; the same command goes on where "
                "it was."
            ) from error
        if kind == b"error":
            raise TextError(rest.decode("utf-8"))
        return np.frombuffer(rest, JUDGED), int(kind)


@contextmanager
def _process(about: Mapping[str, Any]) -> Iterator[_Process]:
    """Start a process; it ends with the block."""
    pipe = subprocess.PIPE
    # In a group of its own Ctrl-C does not reach it: it ends when this process closes its input.
    words = [sys.executable, "-P", "-c", PROGRAM]
    same = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment = {**os.environ, **same, **ONE_THREAD}
    with subprocess.Popen(
        words, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
    ) as process:
        try:
            with suppress(BrokenPipeError):  # Who asks one that has ended is told so.
                _send(process.stdin, orjson.dumps(about))
            yield _Process(process)
        finally:
            process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # Of what it has not read.
                process.stdin.close()


def work() -> None:
    """Judge parts from standard input until it ends: the program of a process."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # Whatever prints must not come between the results.
    parallel.MOST_THREADS = 1  # There are as many processes as are to work.
    about = orjson.loads(_receive(source))
    judge: Judge | None = None
    while True:
        try:
            part = Part.from_bytes(_receive(source))
        except EOFError:
            return
        try:
            judge = judge or Panel.from_json(about).open()
            judged, size = judge(part)
            _send(sink, b"%d\n%b" % (size, judged.tobytes()))
        except ThenceError as error:
            _send(sink, b"error\n" + str(error).encode("utf-8", "replace"))


def _send(stream: IO[bytes] | None, message: bytes) -> None:
    assert stream is not None
    stream.write(len(message).to_bytes(8, "little"))
    stream.write(message)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes:
    """Return the next message.

    Raises:
        EOFError: If there is none.
    """
    assert stream is not None
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    return stream.read(int.from_bytes(size, "little"))
