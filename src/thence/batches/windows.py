"""Fixed windows: every target of a store with the ``context`` ids before it.

Documents are set apart by ``context`` boundaries, so that one gather of neighbouring positions
gives a context that never reaches into another document. With context 3 and boundary ``|``::

    padded    |  |  |  a  b  |  |  |  c  |
    target             ^                      its context is the three ids to its left: | | |

With carried context (running text) one boundary stands between documents and the context
reaches across it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer, UInt

from thence.tokens import TokenStore


@dataclass(frozen=True)
class Windows:
    """All (context, target) examples of a token store.

    Attributes:
        padded: The ids with ``context`` boundaries before each document.
        positions: Where each target stands in ``padded``.
        context: Ids in each context (C).
    """

    padded: UInt[np.ndarray, " padded"]
    positions: Integer[np.ndarray, " targets"]
    context: int

    def __len__(self) -> int:
        return len(self.positions)

    def gather(
        self, chosen: Integer[np.ndarray, " batch"] | slice
    ) -> Int64[np.ndarray, "batch {self.context}+1"]:
        """Return the chosen examples, each its context followed by its target, as int64."""
        window = np.arange(-self.context, 1)
        return self.padded[self.positions[chosen][:, None] + window].astype(np.int64)


def windows(store: TokenStore, context: int, carry_context: bool = False) -> Windows:
    """Cut a store into one window per target.

    Args:
        store: The tokens.
        context: Ids in each context, at least 1.
        carry_context: Let contexts reach into the documents before.
    """
    gap = 0 if carry_context else context - 1
    position_type = np.min_scalar_type(-(store.num_targets + context + gap * store.num_documents))
    positions = np.arange(context, context + store.num_targets, dtype=position_type)
    if gap:
        document = np.arange(store.num_documents, dtype=position_type)
        positions += np.repeat(gap * document, store.target_counts)
    length = int(positions[-1]) + 1 if len(positions) else context
    padded = np.full(length, store.boundary_id, store.ids.dtype)
    padded[positions] = store.targets
    return Windows(padded, positions, context)
