"""Whether the models can be asked, and whether their runs are still what was loaded."""

import asyncio
import ctypes
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.serve import Limits, open_runs
from thence.serve.batching import Read, Work, Worker, call
from thence.serve.errors import ThreadEndedError
from thence.serve.loaded_runs import LoadedRun
from thence.serve.server import RunWatcher

Made = Callable[..., thence.Run]


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Iterator[dict[str, LoadedRun]]:
    """Two models, of which one has a run that may be spoiled."""
    lasting, spoiled = made("lasting", "lstm", tokens="words", carry_context=True), "spoiled"
    shutil.copytree(made("ngram", "ngram").folder, tmp_path / spoiled)
    models = open_runs([lasting.folder, tmp_path / spoiled])
    yield models
    for loaded in models.values():
        loaded.worker.close()


def end_thread(worker: Worker) -> None:
    """Let the thread of a worker end where it is, as no error of a model would."""
    identity = ctypes.c_ulong(worker._thread.ident or 0)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(SystemExit)) == 1
    worker._new.put(None)  # It ends when it next runs.
    worker._thread.join(20)


def test_a_thread_that_has_ended_is_told_and_nobody_waits_for_it(
    copied: dict[str, LoadedRun], serving: Any, at_once: Any, caplog: pytest.LogCaptureFixture
) -> None:
    worker = copied["spoiled"].worker
    with serving(copied, Limits(timeout=20)) as client:
        assert client.get("/health").json() == {"status": "ok", "models": 2}
        assert client.complete("spoiled", prompt="a", seed=1)
        end_thread(worker)
        asked = [{"model": "spoiled", "prompt": "a" * size} for size in (1, 5, 3000)]
        asked.append({**asked[0], "n": 3})
        for answer in at_once(
            [lambda one=one: client.post("/v1/completions", one) for one in asked]
        ):
            assert answer.status == 503
            said = answer.problem()
            assert (said["type"], said["code"]) == ("model_unavailable", "model_unavailable")
            assert "spoiled cannot be asked any more" in said["message"]
            assert "SystemExit" in said["message"]
        *_, last = client.post("/v1/completions", {**asked[0], "stream": True}).events()
        assert last["error"]["type"] == "model_unavailable"
        for path, body in [("/tokenize", {"prompt": "a"}), ("/playground/read", {"text": "a"})]:
            assert client.post(path, {"model": "spoiled", **body}).status == 503
        health = client.get("/health")
        assert health.status == 503
        assert "spoiled cannot be asked any more" in health.problem()["message"]
        assert client.complete("lasting", prompt="the", max_tokens=2)  # Others go on.
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in told] == ["the thread of model spoiled has ended"]
    caplog.clear()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_within_a_call_fails_all_that_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def leave() -> None:
        begun.wait(20)
        raise SystemExit

    begun, worker = threading.Event(), Worker("leaves")
    jobs = [worker.submit(call(leave)), *(worker.submit(call(int, "1")) for _ in range(3))]
    jobs[2].done.cancel()
    begun.set()
    worker._thread.join(20)
    for job in (jobs[0], jobs[1], jobs[3]):
        with pytest.raises(ThreadEndedError, match="leaves cannot be asked any more"):
            job.done.result(20)
    with pytest.raises(ThreadEndedError):
        worker.submit(call(int))
    caplog.clear()


def test_a_call_that_never_ends_does_not_keep_the_server_from_stopping() -> None:
    over, worker = threading.Event(), Worker("stuck")
    job = worker.submit(call(over.wait, 60))
    worker.close(timeout=0.1)
    with pytest.raises(ThreadEndedError, match="being stopped"):
        job.done.result(20)
    over.set()


def test_a_mistake_in_a_turn_is_told_to_all_who_wait() -> None:
    class Odd:
        @property
        def vocabulary_size(self) -> int:
            raise ValueError("no size")

    def read_one() -> Work[None]:
        yield [Read(np.array([0]), None)]

    async def ask() -> list[Any]:
        worker = Worker("odd", Odd())
        asked = [worker.run(read_one()) for _ in range(3)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        worker.close()
        return found

    assert [str(error) for error in asyncio.run(ask())] == ["no size"] * 3


@pytest.mark.slow
def test_a_call_that_never_ends_is_told(made: Made, serving: Any) -> None:
    models = open_runs([made("ngram", "ngram")])
    over = threading.Event()
    models["ngram"].worker.submit(call(over.wait, 60))
    try:
        with serving(models, Limits(timeout=1.0)) as client:
            assert client.post("/v1/completions", {"prompt": "a"}).status == 504
            health = client.get("/health")
            assert health.status == 503
            assert "at one piece of work for" in health.problem()["message"]
            over.set()
            while client.get("/health").status != 200:
                pass
        with serving(models) as client:
            assert client.complete(prompt="a", max_tokens=1)
    finally:
        over.set()


@pytest.mark.parametrize("how", ["deleted", "replaced", "written over", "shortened"])
def test_a_run_that_has_changed_on_disk_is_told_and_answers_as_before(
    copied: dict[str, LoadedRun], made: Made, serving: Any, how: str
) -> None:
    spoiled = copied["spoiled"]
    folder, asked = spoiled.run.folder, {"prompt": "the", "seed": 1, "n": 3, "max_tokens": 9}
    other = made("closed", "ngram", unknown="refuse").folder / "model.safetensors"
    with serving(copied) as client:
        before = client.complete("spoiled", **asked)["choices"]
        assert client.get("/v1/models/spoiled").json()["on_disk"] == "unchanged"
        if how == "deleted":
            shutil.rmtree(folder)
        elif how == "replaced":
            shutil.copy(other, folder / "new")
            (folder / "new").replace(folder / "model.safetensors")
        elif how == "written over":  # In its place, as cp does.
            shutil.copy(other, folder / "model.safetensors")
        else:
            (folder / "model.safetensors").write_bytes(b"")
        state = "deleted" if how == "deleted" else "changed"
        health = client.get("/health")
        assert health.status == 200
        assert health.json() == {"status": "ok", "models": 2, "on_disk": {"spoiled": state}}
        listed = {card["id"]: card["on_disk"] for card in client.get("/v1/models").json()["data"]}
        assert listed == {"lasting": "unchanged", "spoiled": state}
        assert client.complete("spoiled", **asked)["choices"] == before


def test_the_log_tells_of_a_change_once(
    copied: dict[str, LoadedRun], caplog: pytest.LogCaptureFixture
) -> None:
    watcher, folder = RunWatcher(copied.values()), copied["spoiled"].run.folder

    def told() -> list[str]:
        asyncio.run(watcher.check())
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    assert told() == []
    (folder / "config.toml").write_text("")
    assert told() == [
        "The run spoiled on disk has changed since it was loaded; the server keeps what it loaded."
    ]
    assert told() == []
    shutil.rmtree(folder)
    assert "has been deleted since" in told()[0]
    assert told() == []
