"""Forks processes in which everything slow to import is there already; see ``processes.py``."""

import json
import os
import random
import runpy
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

SLOW = ("torch", "torch.distributed.run", "alembic.command", "optuna.storages", "uvicorn")
SLOW += ("matplotlib.figure", "thence.cli.main", "thence.training.train", "thence.training.trainer")
SLOW += ("thence.autopilot", "thence.serve.app", "thence.sweeps.sweep", "thence.sweeps.database")


def next_job(control: socket.socket) -> dict[str, Any]:
    """Return a job in a process of its own; in the server itself this ends when tests end."""
    while True:
        message, files, _, _ = socket.recv_fds(control, 1 << 18, 3)
        if not message:
            sys.exit()
        if os.fork() == 0 and (job := watched(message, files)):
            control.close()
            return job
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def watched(message: bytes, files: list[int]) -> dict[str, Any]:
    """Fork the process of a job and return the job there; tell its number and how it ended."""
    *streams, answers = files
    pid = os.fork()
    if pid == 0:
        os.close(answers)
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
            os.close(stream)
        return json.loads(message)
    for stream in streams:
        os.close(stream)
    os.write(answers, f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        os.write(answers, f"{code}\n".encode())
    os._exit(0)


def become(job: dict[str, Any]) -> None:
    """Be a Python that was started with these arguments."""
    # Those of the server believe that their files can be rewound.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    random.seed()
    os.chdir(job["folder"])
    if job["own_group"]:
        os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(job["environment"])
    kind, what, *words = job["words"]
    sys.argv = [what if kind == "-m" else "-c", *words]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<program>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    for name in SLOW:
        with suppress(ImportError):
            import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        job = next_job(connection)
    become(job)
