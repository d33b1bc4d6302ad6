"""What streams and padded documents share: a batch is a table of places in a token store."""

import numpy as np
from jaxtyping import Bool, Int64

from thence.batches.batch import Batch
from thence.tokens import TokenStore

Places = Int64[np.ndarray, "batch time"]


def ragged(
    starts: Int64[np.ndarray, " batch"], lengths: Int64[np.ndarray, " batch"]
) -> tuple[Places, Bool[np.ndarray, "batch time"] | None]:
    """Return the places of rows that begin at ``starts``, and which of them count (None: all).

    Where a row has ended, its last place is repeated; what stands there does not count.
    """
    time = np.arange(int(lengths.max(initial=0)))
    places = starts[:, None] + np.minimum(time, np.maximum(lengths - 1, 0)[:, None])
    if np.all(lengths == len(time)):
        return places, None
    return places, time < lengths[:, None]


def batch_of(
    store: TokenStore, places: Places, valid: Bool[np.ndarray, "batch time"] | None, fresh: bool
) -> Batch:
    """Return the batch that reads the store at the given places.

    Args:
        store: The tokens.
        places: Where in ``store.ids`` each id stands; its target is the next one.
        valid: Which of them count.
        fresh: Whether the rows begin anew.
    """
    size = float(places.size if valid is None else np.count_nonzero(valid))
    return Batch(
        store.ids[places].astype(np.int64),
        store.targets[places].astype(np.int64),
        size,
        size,
        valid=valid,
        fresh=fresh,
    )
