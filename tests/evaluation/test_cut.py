from types import SimpleNamespace
from typing import Any

from thence.batches.labelled import cut_share
from thence.evaluation.labels import cut_rows
from thence.tokens import TokenStore


def run_of(store: TokenStore, dev: TokenStore, **options: int) -> Any:
    """Return what stands for a run."""
    stores = {"train": store, "dev": dev}
    model = "convolution" if options else "linear"  # The one reads a beginning, the other all.
    recipe = SimpleNamespace(model=model, options=SimpleNamespace(**options))
    return SimpleNamespace(recipe=recipe, store=stores.get)


def test_the_share_of_tokens_that_is_cut_by_hand(store_of) -> None:
    # Of 4, 2 and 0 tokens the first loses 1 with 3 read, the first two 3 and 1 with 1 read.
    store = store_of(["abca", "bc", ""])
    assert cut_share(store, 4) == (0, 0)
    assert cut_share(store, 3) == (1 / 6, 1)
    assert cut_share(store, 1) == (4 / 6, 2)
    assert cut_share(store_of([]), 1) == (0, 0)


def test_only_splits_that_lose_something_are_named(store_of) -> None:
    store, dev = store_of(["abca", "bc"]), store_of(["a"])
    assert cut_rows(run_of(store, dev)) == []
    assert cut_rows(run_of(store, dev, max_length=4)) == []
    assert cut_rows(run_of(store, dev, max_length=3)) == [
        ("train tokens cut off", "16.67 %, of 1 of 2 documents (read up to --max-length 3)")
    ]
