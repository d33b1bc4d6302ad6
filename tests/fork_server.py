"""Forks processes in which everything slow to import is there already; see ``processes.py``.

One server is shared by all workers of a session. It listens on a socket that it is given, and ends
when the last of those that were connected to it is gone.
"""

import atexit
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

SLOW = ("torch", "torch.distributed.run", "alembic.command", "optuna.storages", "uvicorn")
SLOW += ("matplotlib.figure", "thence.cli.main", "thence.training.train", "thence.training.trainer")
SLOW += ("thence.autopilot", "thence.serve.app", "thence.sweeps.sweep", "thence.sweeps.database")
MESSAGE = 1 << 18
MAX_FILES = 16


def next_job(listening: socket.socket) -> dict[str, Any]:
    """Return a job in a process of its own; in the server itself this ends when tests end."""
    clients: list[socket.socket] = []
    while True:
        for ready in select.select([listening, *clients], [], [])[0]:
            if ready is listening:
                clients.append(listening.accept()[0])
                continue
            message, files, _, _ = socket.recv_fds(ready, MESSAGE, MAX_FILES)
            if not message:
                ready.close()
                clients.remove(ready)
                if not clients:
                    sys.exit()
                continue
            if os.fork() == 0:
                for connection in (listening, *clients):
                    connection.close()
                return watched(message, files)
            for file in files:
                os.close(file)
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def watched(message: bytes, files: list[int]) -> dict[str, Any]:
    """Fork the process of a job and return the job there; tell its number and how it ended.

    When whoever asked for the process is gone, it is killed. The processor seconds that it used are
    written into a file together with the test that wanted it; see ``processor_time.py``.
    """
    job: dict[str, Any] = json.loads(message)
    answers, *streams = files
    pid = os.fork()
    if pid == 0:
        os.close(answers)
        for number, stream in zip(job["files"], streams, strict=True):
            os.dup2(stream, number)
            os.close(stream)
        return job
    for stream in streams:
        os.close(stream)
    os.write(answers, f"{pid}\n".encode())

    def kill() -> None:
        if os.read(answers, 1) == b"" and not ended:
            os.kill(pid, signal.SIGKILL)

    ended: list[int] = []
    threading.Thread(target=kill, daemon=True).start()
    _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    ended.append(code)
    test = job["environment"].get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    with Path(os.environ["THENCE_TEST_FORK_SERVER"], "seconds").open("a") as file:
        file.write(f"{used.ru_utime + used.ru_stime} {test}\n")
    with suppress(BrokenPipeError):
        os.write(answers, f"{code}\n".encode())
    os._exit(0)


def become(job: dict[str, Any]) -> None:
    """Be a Python that was started with these arguments."""
    # Those of the server believe that their files can be rewound.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    random.seed()
    if hasattr(signal, "SIGHUP"):  # ``nohup`` ignores it, for its children too.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(job["folder"])
    if job["own_group"]:
        os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(job["environment"])
    places = job["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [place for place in places if place and place not in sys.path]
    kind, what, *words = job["words"]
    sys.argv = [what if kind == "-m" else "-c", *words]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<program>", "exec"), {"__name__": "__main__"})
        end(0)
    except SystemExit as stop:
        if isinstance(stop.code, int | None):
            end(stop.code or 0)
        raise


def end(code: int) -> NoReturn:
    """End as Python does, without taking all modules apart, which takes longer than most jobs."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        for name in SLOW:
            with suppress(ImportError):
                import_module(name)
        with suppress(ImportError):  # SQLAlchemy prepares its tables when they are used first.
            import_module("optuna").storages.RDBStorage("sqlite://")
        gc.freeze()
        job = next_job(listening)
    become(job)
