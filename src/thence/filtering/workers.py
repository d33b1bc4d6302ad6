"""Scoring parts in several processes, or on a cluster; results are in order.

Each process gets parts and returns results as bytes through pipes at its standard input and output.
It ends when its input ends, so it cannot outlive the process that started it.
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
from thence.filtering.records import Part
from thence.filtering.scorer import SCORES, Scorer, ScoringRuns
from thence.tokens import parallel

Found = tuple[np.ndarray[Any, np.dtype[Any]], int]
"""The scores of the records of a part (dtype ``SCORES``), and the bytes of its texts."""
ScoreParts = Callable[[Iterable[Part]], Iterator[Found]]
"""Scores parts; results are in order."""
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
"""Environment of the processes: each uses one thread, so they do not compete for processors."""
PROGRAM = "from thence.filtering.workers import work; work()"


@contextmanager
def scoring(scoring_runs: ScoringRuns, processes: int, cluster: str | None) -> Iterator[ScoreParts]:
    """Context manager: a function that scores parts in this process, in others, or on a cluster.

    Args:
        scoring_runs: The runs of the models.
        processes: Number of processes; with one, it is this process.
        cluster: Address of a Dask cluster, to whose workers the models are sent.
    """
    if cluster is not None:
        from thence.cluster import engine

        with engine.connect(cluster) as client:
            shared = engine.broadcast(client, scoring_runs.open())
            yield lambda parts: engine.map_in_order(client, score_part, parts, shared)
    elif processes == 1:
        yield partial(map, scoring_runs.open())
    else:
        with _in_processes(scoring_runs, processes) as ask:
            yield ask


@contextmanager
def _in_processes(scoring_runs: ScoringRuns, processes: int) -> Iterator[ScoreParts]:
    """Context manager: a function that scores parts in other processes."""
    with ExitStack() as stack:
        free: SimpleQueue[_Process] = SimpleQueue()
        for _ in range(processes):
            free.put(stack.enter_context(_process(scoring_runs.to_json())))

        def score(part: Part) -> Found:
            process = free.get()
            try:
                return process.score(part)
            finally:
                free.put(process)

        yield lambda parts: parallel.in_threads(score, parts, processes)


def score_part(part: Part, scorer: Scorer) -> Found:
    """Return the scores of a part: the task of a worker of a cluster."""
    return scorer(part)


class _Process:
    """A process that scores one part after another."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def score(self, part: Part) -> Found:
        """Return the scores of a part.

        Raises:
            TextError: The error of the process.
            TrainingError: If the process has ended.
        """
        try:
            _send(self._process.stdin, part.to_bytes())
            kind, _, rest = _receive(self._process.stdout).partition(b"\n")
        except (OSError, EOFError) as error:
            raise TrainingError(
                f"A process that scores texts has ended (exit code {self._process.wait()}), most "
                "likely for want of memory. Take fewer `processes`; the same command continues "
                "from there."
            ) from error
        if kind == b"error":
            raise TextError(rest.decode("utf-8"))
        return np.frombuffer(rest, SCORES), int(kind)


@contextmanager
def _process(about: Mapping[str, Any]) -> Iterator[_Process]:
    """Context manager: start a process, and end it with the block."""
    pipe = subprocess.PIPE
    # In its own session Ctrl-C does not reach it: it ends when this process closes its input.
    words = [sys.executable, "-P", "-c", PROGRAM]
    same = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment = {**os.environ, **same, **ONE_THREAD}
    with subprocess.Popen(
        words, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
    ) as process:
        try:
            with suppress(BrokenPipeError):  # If it has ended already, ``score`` raises.
                _send(process.stdin, orjson.dumps(about))
            yield _Process(process)
        finally:
            process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # There may be buffered data that it did not read.
                process.stdin.close()


def work() -> None:
    """Score parts from standard input until it ends: the program of a process."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # Prints must not be mixed with the results.
    parallel.MOST_THREADS = 1  # The other processors are used by the other processes.
    about = orjson.loads(_receive(source))
    scorer: Scorer | None = None
    while True:
        try:
            part = Part.from_bytes(_receive(source))
        except EOFError:
            return
        try:
            scorer = scorer or ScoringRuns.from_json(about).open()
            scores, size = scorer(part)
            _send(sink, b"%d\n%b" % (size, scores.tobytes()))
        except ThenceError as error:
            _send(sink, b"error\n" + str(error).encode("utf-8", "replace"))


def _send(stream: IO[bytes] | None, message: bytes) -> None:
    assert stream is not None
    stream.write(len(message).to_bytes(8, "little"))
    stream.write(message)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes:
    """Return the next message; EOFError if there is none."""
    assert stream is not None
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    return stream.read(int.from_bytes(size, "little"))
