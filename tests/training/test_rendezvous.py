"""Processes find each other, and none takes what a dead one has left for a sign of another."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import HashStore
from torch.distributed.distributed_c10d import PrefixStore

from thence.errors import TrainingError
from thence.training import distributed as meeting


def names_of_a_start(store: HashStore) -> list[str]:
    with ThreadPoolExecutor(3) as threads:
        last = [threads.submit(meeting.learn_prefix, store, rank, 3) for rank in (2, 1)]
        first = threads.submit(meeting.new_prefix, store, 3)
        return [future.result() for future in [first, *last]]


def test_each_start_has_a_name_of_its_own() -> None:
    store = HashStore()
    names = [names_of_a_start(store) for _ in range(3)]  # Later ones find what is left of others.
    assert all(len(set(of_one)) == 1 for of_one in names)
    assert len({of_one[0] for of_one in names}) == 3


def test_a_greeting_of_a_dead_process_is_none() -> None:
    soon = timedelta(seconds=0.3)
    store = HashStore()
    store.set("greeting-1", "dead")
    with pytest.raises(TrainingError, match="number 1, 2 did not come"):
        meeting.new_prefix(store, 3, soon)
    with pytest.raises(TrainingError, match="number 0 did not come"):
        meeting.learn_prefix(store, 1, 3, soon)


@pytest.mark.parametrize(
    ("name", "value", "waits"),
    [
        ("RANK", "0", False),
        ("GROUP_WORLD_SIZE", "2", True),
        ("TORCHELASTIC_MAX_RESTARTS", "1", True),
    ],
)
def test_one_machine_without_restarts_needs_no_greeting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, waits: bool
) -> None:
    store = HashStore()
    monkeypatch.setattr(meeting, "rendezvous", lambda *_, **__: iter([(store, 0, 2)]))
    monkeypatch.setattr(meeting, "new_prefix", lambda *_: "name")
    monkeypatch.setenv(name, value)
    met, rank, size = meeting.rendezvous_store()
    assert (rank, size) == (0, 2)
    assert isinstance(met, PrefixStore) == waits
