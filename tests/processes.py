"""Processes for tests that kill, restart or serve: real ones, but forked when torch is loaded.

To start Python and import torch takes two or three seconds of a processor each time, far more than
most tests do with it. ``Process`` behaves like ``subprocess.Popen`` of ``python -m thence ...``; in
the folder ``COMMANDS`` a shell finds a ``python`` and a ``thence`` that are forked so. Tests of
start-up itself, of pipes and of the terminal use ``subprocess``.
"""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
from atexit import register
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

ADDRESS = "THENCE_TEST_FORK_SERVER"
"""Variable that names the folder of the server's socket; the first process of a session sets it."""
COMMANDS = Path(__file__).with_name("commands")


@cache
def fork_server() -> socket.socket:
    """Return a connection to the process that forks, which is started if there is none."""
    folder = Path(os.environ[ADDRESS])
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            connection.connect(str(folder / "socket"))
        except (FileNotFoundError, ConnectionRefusedError):
            _start(folder / "socket")
            connection.connect(str(folder / "socket"))
    register(connection.close)  # Before the server is waited for, which ends thereupon.
    return connection


def _start(path: Path) -> None:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen()
        script = Path(__file__).with_name("fork_server.py")
        words = [sys.executable, str(script), str(listening.fileno())]
        server = subprocess.Popen(words, pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL)
    register(server.wait)


class Process:
    """A process of Python.

    Args:
        words: What stands behind ``python``: ``-m module ...`` or ``-c program ...``.
        folder: Where it runs; here if not given.
        own_group: Whether it leads a process group of its own.
        environment: What it has beside the variables of this process.
        talks: Whether its standard input is ``stdin``; else it is empty.
    """

    def __init__(
        self,
        *words: object,
        folder: Path | None = None,
        own_group: bool = False,
        environment: Mapping[str, str] | None = None,
        talks: bool = False,
    ) -> None:
        job = {
            "words": [str(word) for word in words],
            "folder": str(folder or Path.cwd()),
            "own_group": own_group,
            "environment": {**os.environ, **(environment or {})},
            "files": [0, 1, 2],
        }
        ours, theirs = socket.socketpair()
        reading, writing = zip(os.pipe(), os.pipe(), os.pipe(), strict=True)
        files = [reading[0], *writing[1:]]
        socket.send_fds(fork_server(), [json.dumps(job).encode()], [theirs.fileno(), *files])
        theirs.close()
        for file in files:
            os.close(file)
        self.stdin = os.fdopen(writing[0], "w", encoding="utf-8")
        self.stdout, self.stderr = (os.fdopen(file, encoding="utf-8") for file in reading[1:])
        if not talks:
            self.stdin.close()
        self.returncode: int | None = None
        self._answers = ours
        self.pid = int(ours.makefile("rb", buffering=0).readline())

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code, minus the number of a signal."""
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("python", timeout or 0.0)
            self.returncode = int(self._answers.recv(100))
            self._answers.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end and return what was written, and what was said on standard error."""
        found = {}
        readers = [
            Thread(target=lambda name=name: found.update({name: getattr(self, name).read()}))
            for name in ("stdout", "stderr")
            if not getattr(self, name).closed
        ]
        for reader in readers:
            reader.daemon = True
            reader.start()
        for reader in readers:
            reader.join(timeout)
        self.wait(timeout)
        self.stdin.close()
        self.stdout.close()
        self.stderr.close()
        return found.get("stdout", ""), found.get("stderr", "")

    def send_signal(self, number: int) -> None:
        """Send a signal to the process if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.communicate()
