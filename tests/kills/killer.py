"""Runs commands in forks of one process that has everything loaded, and kills them where asked.

Reads one JSON object a line: ``arguments``, ``folder`` (to run in), ``kill_at`` (the number of the
change to the file system before which to die; null: never) and ``seed``. Answers with one: ``code``
and ``changes``, how many changes there were.

A change is what opens a file for writing, makes, renames, removes, cuts or flushes one below the
folder. Where death comes before a flush, a part of the file may be lost too: what was never flushed
need not have reached the disk.
"""

import gc
import json
import os
import random
import resource
import signal
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import thence
from thence.cli.main import main
from thence.corpus.catalogue import CATALOGUE, DataFile, Dataset, Remote, copy

torch.set_num_threads(1)

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink")
LIMIT = 60
"""Seconds of processor time after which a command is taken to hang."""


class Killer:
    """Counts changes below a folder and dies before one of them."""

    def __init__(self, folder: str, kill_at: int | None, seed: int, told: int) -> None:
        self.folder, self.kill_at, self.told = folder, kill_at, told
        self.chance = random.Random(seed)
        self.changes = 0
        self.fsync = os.fsync

    def listen(self) -> None:
        sys.addaudithook(self.hear)
        os.fsync = self.flush

    def hear(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(given[0], str | bytes) and isinstance(given[2], int):
            if given[2] & (os.O_WRONLY | os.O_RDWR):
                self.change(os.fsdecode(given[0]))
        elif event in CHANGES and isinstance(given[0], str | bytes | Path):
            self.change(os.fsdecode(given[0]))

    def flush(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self.counts(str(path)) and self.changes + 1 == self.kill_at and path.is_file():
            content = path.read_bytes()
            # Lines are added to a file whose earlier ones were flushed; others are new.
            safe = content[:-1].rfind(b"\n") + 1 if path.suffix == ".jsonl" else 0
            if self.chance.random() < 0.5:
                os.truncate(path, self.chance.randint(safe, len(content)))
        self.change(str(path))
        self.fsync(descriptor)

    def counts(self, path: str) -> bool:
        return os.path.abspath(path).startswith(self.folder)  # noqa: PTH100  (follows no link)

    def change(self, path: str) -> None:
        if not self.counts(path):
            return
        self.changes += 1
        if self.changes == self.kill_at:
            os.write(self.told, str(self.changes).encode())
            os.kill(os.getpid(), signal.SIGKILL)


def run(job: dict[str, Any], told: int) -> None:
    os.chdir(job["folder"])
    os.environ["THENCE_HOME"] = str(Path(job["folder"], "home"))
    nowhere = os.open(Path(job["folder"]).with_suffix(".said"), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    killer = Killer(job["folder"], job["kill_at"], job["seed"], told)
    killer.listen()
    code: Any = 0
    try:
        main(job["arguments"])
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001  (this is the end of the process)
        import traceback

        traceback.print_exc()
        code = 1
    os.write(told, str(killer.changes).encode())
    sys.stdout.flush()
    os._exit(code)


def serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            run(job, told)
        os.close(told)
        changes = os.read(heard, 100)
        os.close(heard)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"code": code, "changes": int(changes or 0)}), flush=True)


def offer_toy() -> None:
    """Put a set of one file into the catalogue: the text of the tests, packed, from a folder."""
    size, digest = int(sys.argv[1]), sys.argv[2]
    remote = Remote("http://127.0.0.1:9/toy.txt", size, digest)
    file = DataFile("toy.txt", "all", remote, copy, size, digest, "toy.txt")
    CATALOGUE["toy"] = Dataset("a toy", "free", "us", (file,))


if __name__ == "__main__":
    assert thence.__version__
    # What its forks would each import anew.
    hugging_face = [
        f"transformers.models.auto.{name}_auto" for name in ("modeling", "tokenization")
    ]
    for name in ("matplotlib.figure", "alembic.command", "optuna.storages", *hugging_face):
        with suppress(ImportError):
            import_module(name)
    offer_toy()
    gc.freeze()  # Else a fork that looks for garbage copies all the memory that it shares.
    serve()
