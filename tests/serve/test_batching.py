"""Requests read together give what each gives alone, and do not disturb each other."""

import asyncio
import random
import time
from collections.abc import Callable
from threading import Event, current_thread
from typing import Any

import numpy as np
import pytest

import thence
from thence.models.base import ReadsAtOnce, read
from thence.serve import Limits, open_runs
from thence.serve.batching import Read, Reading, Work, Worker, call, together
from thence.serve.completion_stream import read_text
from thence.serve.errors import ThreadEndedError
from thence.serve.large_network import LargeNetwork
from thence.serve.loaded_runs import LoadedRun

Made = Callable[..., thence.Run]
CLOSE = 1e-5
LONG = 200_000
"""Tokens of a text that takes seconds to write: longer than a server needs to notice a client."""
SLOWER = ("transformer", "mlp", "mixture", "running")


def requests(model: str, count: int) -> list[dict[str, Any]]:
    """Requests of different kinds, the same each time."""
    draw = random.Random(0)
    found = []
    for number in range(count):
        prompt = draw.choice(["", "the war", "a", "a song and the trade" * 2, ["a ", "the"]])
        asked: dict[str, Any] = {"model": model, "prompt": prompt, "seed": number}
        asked |= {"max_tokens": draw.choice([0, 1, 5, 12]), "logprobs": draw.choice([None, 3])}
        asked |= {"echo": draw.random() < 0.5, "n": draw.choice([1, 1, 2])}
        asked |= {"temperature": draw.choice([0, 0.7, 1]), "stop": draw.choice([None, " a", "e"])}
        found.append(asked)
    return found


def same(one: Any, other: Any) -> None:
    for first, second in zip(one["choices"], other["choices"], strict=True):
        assert first["text"] == second["text"]
        assert first["finish_reason"] == second["finish_reason"]
        if first["logprobs"] is not None:
            told = [choice["logprobs"]["token_logprobs"] for choice in (first, second)]
            numbers = [np.array(values, float) for values in told]
            np.testing.assert_allclose(*numbers, atol=CLOSE)
    assert one["usage"] == other["usage"]


@pytest.mark.parametrize(
    "name",
    ["lstm", "ngram", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOWER)],
)
def test_together_as_alone(client: Any, at_once: Any, wait_until: Any, name: str) -> None:
    asked = requests(name, 32)
    alone = [client.complete(**fields) for fields in asked]
    worker, all_wait = client.models[name].worker, Event()
    turns, rows = worker.batches_read, worker.rows_read
    worker.submit(call(all_wait.wait, 60))

    def begin() -> None:
        wait_until(lambda: len(worker._unfinished) == len(asked) + 1)
        all_wait.set()

    questions = [lambda fields=fields: client.complete(**fields) for fields in asked]
    _, *found = at_once([begin, *questions])
    for one, other in zip(alone, found, strict=True):
        same(one, other)
    turns, rows = worker.batches_read - turns, worker.rows_read - rows
    assert turns < 0.8 * rows


def test_models_do_not_wait_for_each_other(client: Any, at_once: Any) -> None:
    asked = [{"model": name, "prompt": "the", "seed": 1} for name in ("lstm", "ngram", "mlp")] * 8
    alone = [client.complete(**fields) for fields in asked]
    together = at_once(lambda fields=fields: client.complete(**fields) for fields in asked)
    for one, other in zip(alone, together, strict=True):
        same(one, other)


def test_without_batching_each_is_read_alone(made: Made, serving: Any, at_once: Any) -> None:
    models = open_runs([made("lstm", "lstm")], batching=False)
    with serving(models) as client:
        at_once([lambda: client.complete(prompt="the war", max_tokens=20)] * 8)
    worker = models["lstm"].worker
    assert worker.rows_read == worker.batches_read > 0


class Fails:
    """A model that breaks when it reads a certain id."""

    vocabulary_size = 5

    def start(self, batch_size: int) -> Any:
        return np.zeros(batch_size)

    def step(self, ids: Any, state: Any) -> Any:
        if 3 in ids:
            raise MemoryError("cannot read 3")
        return np.tile(ids[:, None], (1, 5)).astype(float), state + ids


def read_one(index: int) -> Work[Reading]:
    (reading,) = yield [Read(np.array([index]), np.zeros(1))]
    return reading


def test_an_error_is_for_those_who_caused_it_alone() -> None:
    async def ask() -> list[Any]:
        worker = Worker("fails", Fails())
        asked = [worker.run(read_one(index)) for index in (0, 1, 3, 2)]
        return await asyncio.gather(*asked, return_exceptions=True)

    zero, one, three, two = asyncio.run(ask())
    assert isinstance(three, MemoryError)
    assert [found[0][0, 0] for found in (zero, one, two)] == [0, 1, 2]


def test_who_gave_up_is_not_read_for() -> None:
    async def ask() -> Worker:
        all_wait, worker = Event(), Worker("cancelled", Fails())
        worker.submit(call(all_wait.wait, 20))
        tasks = [asyncio.create_task(worker.run(read_one(1))) for _ in range(6)]
        await asyncio.sleep(0)
        for task in tasks[:4]:
            task.cancel()
        await asyncio.sleep(0)
        all_wait.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(item, asyncio.CancelledError) for item in found] == [True] * 4 + [
            False
        ] * 2
        return worker

    worker = asyncio.run(ask())
    assert (worker.batches_read, worker.rows_read) == (1, 2)


def test_work_side_by_side_shares_batches_and_may_be_set_aside() -> None:
    def read_some(ids: list[int]) -> Work[list[float]]:
        found, state = [], np.zeros(1)
        for index in ids:
            while not is_wanted.is_set():
                yield []
            ((log_probs, state),) = yield [Read(np.array([index]), state)]
            found.append(float(log_probs[0, 0]))
        return found

    is_wanted, worker = Event(), Worker("side by side", Fails())
    job = worker.submit(together([read_some([0, 1, 2]), read_some([]), read_some([4, 1])]))
    worker.wake(job)
    with pytest.raises(TimeoutError):
        job.done.result(0.1)
    is_wanted.set()
    worker.wake(job)
    assert job.done.result(20) == [[0, 1, 2], [], [4, 1]]
    assert (worker.batches_read, worker.rows_read) == (3, 5)
    worker.close()


def test_a_cursor_is_a_value(core: dict[str, LoadedRun]) -> None:
    loaded = core["mixture"]

    def go_on(cursor: Any, ids: list[int]) -> Work[Any]:
        _, after = yield from read_text(loaded, np.array(ids), cursor)
        return after.log_probs

    async def both() -> None:
        _, cursor = await loaded.worker.run(read_text(loaded, loaded.encode("the")))
        first = await loaded.worker.run(go_on(cursor, [1, 2, 3]))
        await loaded.worker.run(together([go_on(cursor, [3, 1]), go_on(cursor, [2, 2])]))
        np.testing.assert_array_equal(await loaded.worker.run(go_on(cursor, [1, 2, 3])), first)

    asyncio.run(both())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_ends_its_text(
    made: Made, serving: Any, wait_until: Any, stream: bool
) -> None:
    models = open_runs([made("lasting", "lstm", tokens="words", carry_context=True)])
    worker = models["lasting"].worker
    with serving(models, Limits(max_tokens=LONG)) as client:
        connection = client.connect()
        body = f'{{"max_tokens": {LONG}, "n": 2, "stream": {str(stream).lower()}}}'
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        if stream:
            assert connection.getresponse().read(20)
        wait_until(lambda: worker.batches_read > 5)
        connection.close()
        client.get("/health")
        wait_until(lambda: 'status="499"' in client.get("/metrics").body.decode() or stream)
        wait_until(lambda: not worker_is_busy(worker))
        assert worker.batches_read < LONG
        assert client.complete(prompt="the", max_tokens=3)["choices"][0]["finish_reason"]


def worker_is_busy(worker: Worker) -> bool:
    before = worker.batches_read
    time.sleep(0.1)
    return worker.batches_read > before


def test_networks_read_at_once_what_others_read_step_by_step(core: dict[str, LoadedRun]) -> None:
    kinds = {name: isinstance(loaded.run.model, ReadsAtOnce) for name, loaded in core.items()}
    assert (kinds["lstm"], kinds["transformer"], kinds["mlp"]) == (True, True, True)
    assert (kinds["ngram"], kinds["mixture"]) == (True, False)
    ids = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    for loaded in core.values():
        model = loaded.run.model
        together, state = read(model, ids, model.start(2))
        steps, other = [], model.start(2)
        for column in ids.T:
            log_probs, other = model.step(column, other)
            steps.append(log_probs)
        np.testing.assert_allclose(together, np.stack(steps, 1), atol=CLOSE)
        after, _ = model.step(ids[:, 0], state)
        np.testing.assert_allclose(after, model.step(ids[:, 0], other)[0], atol=CLOSE)


def test_a_mistake_in_a_stream_is_its_last_event(
    made: Made, serving: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    models = open_runs([made("ngram", "ngram")])
    model, calls = models["ngram"].run.model, 0
    read = model.read

    def fail_late(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise RuntimeError("a bug")
        return read(*arguments)

    monkeypatch.setattr(model, "read", fail_late)
    with serving(models) as client:
        answer = client.post("/v1/completions", {"prompt": "a", "stream": True, "seed": 1})
        *events, last = answer.events()
        assert len(events) == 4
        assert last["error"]["type"] == "internal_error"
        assert "a bug" not in answer.body.decode()
        answer = client.post("/v1/completions", {"prompt": "a"})
        assert answer.status == 500
        assert answer.problem()["type"] == "internal_error"
        monkeypatch.undo()
        assert client.complete(prompt="a")
    assert any("a bug" in (record.exc_text or "") for record in caplog.records)
    caplog.clear()


def test_those_who_stay_are_not_disturbed_by_those_who_go(
    made: Made, serving: Any, at_once: Any
) -> None:
    models = open_runs([made("lasting", "lstm", tokens="words", carry_context=True)])
    asked: list[dict[str, Any]] = [{"prompt": "the", "seed": i, "max_tokens": 30} for i in range(6)]
    with serving(models) as client:
        alone = [client.complete(**fields) for fields in asked]

        def leave() -> None:
            connection = client.connect()
            body = '{"prompt": "a", "max_tokens": 2000, "stream": true}'
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/completions", body, headers)
            connection.getresponse().read(100)
            connection.close()

        stay = [lambda fields=fields: client.complete(**fields) for fields in asked]
        wrong = [lambda: client.refused("/v1/completions", {"prompt": [99999]})] * 3
        together = at_once([*stay, *[leave] * 6, *wrong])
        for one, other in zip(alone, together[: len(stay)], strict=True):
            same(one, other)


async def be_quick_and_free(worker: Worker) -> None:
    """Wait until a worker has let go of its model, and let it be quick on any machine."""
    worker._seconds_per_id = 1e-6
    while worker._in_use.locked():
        await asyncio.sleep(0.001)


def test_short_work_of_a_free_model_is_done_at_once() -> None:
    def read_where(threads: list[str]) -> Work[None]:
        threads.append(current_thread().name)
        yield [Read(np.array([1]), np.zeros(1))]

    async def ask() -> list[str]:
        threads, worker, over = list[str](), Worker("quick", Fails()), Event()
        await worker.run(read_where(threads), ids=1)  # How long it takes is not known yet.
        await be_quick_and_free(worker)
        await worker.run(read_where(threads), ids=1)
        await worker.run(read_where(threads), ids=10**9)
        worker.submit(call(over.wait, 20))
        waiting = asyncio.create_task(worker.run(read_where(threads), ids=1))
        await asyncio.sleep(0.1)
        over.set()
        await waiting
        await be_quick_and_free(worker)
        with pytest.raises(MemoryError):
            await worker.run(read_one(3), ids=1)
        assert (worker.batches_read, worker.rows_read) == (4, 4)
        worker.close()
        with pytest.raises(ThreadEndedError):
            await worker.run(read_where(threads), ids=1)
        return threads

    thread, here = "model quick", current_thread().name
    assert asyncio.run(ask()) == [thread, here, thread, thread]


def test_what_ends_a_thread_ends_it_in_short_work_too(caplog: pytest.LogCaptureFixture) -> None:
    def leave() -> Work[None]:
        yield [Read(np.array([1]), np.zeros(1))]
        raise SystemExit

    async def ask() -> None:
        worker = Worker("leaves", Fails())
        await worker.run(read_one(1))
        await be_quick_and_free(worker)
        for work in (leave(), read_one(1)):
            with pytest.raises(ThreadEndedError, match="SystemExit"):
                await worker.run(work, ids=1)
        assert "cannot be asked any more" in (worker.find_trouble(10) or "")

    asyncio.run(ask())
    caplog.clear()


def test_a_large_network_reads_several_ids_in_pytorch(made: Made, serving: Any) -> None:
    run = made("large", "lstm", hidden_size=256, embedding_size=256, steps=4)
    models = open_runs([run])
    model: Any = models["large"].worker.model
    ids = np.array([[0, 1, 2, 3]])
    assert isinstance(model, LargeNetwork)
    assert model.several is run.network  # type: ignore[attr-defined]
    expected, _ = read(run.model, ids, run.model.start(1))
    np.testing.assert_allclose(model.read(ids, model.start(1))[0], expected, atol=CLOSE)
    with serving(models) as client:
        assert client.complete(prompt="the", max_tokens=3, seed=1)["usage"]["prompt_tokens"] == 3
