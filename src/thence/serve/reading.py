"""A cache of read texts for the page, where a text is read again after each edit.

A new text is scored as a whole by ``score``, which computes no distribution per token. If it begins
like a text that was read before, only the ids after the common beginning are read, from the model
state at that place.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from thence.array_types import Float64
from thence.corpus import Documents
from thence.inspection.spans import Lines, split_lines
from thence.models.base import Adapts
from thence.serve.batching import Ids, Work
from thence.serve.completion_stream import Cursor, read_text
from thence.serve.loaded_runs import LoadedRun

FEW_IDS = 64
"""Up to this many new ids are read one by one; for more, the whole text is scored again."""
FEW_LOG_PROBS = 1 << 18
"""Maximum number of log-probabilities (new ids x V) for reading one by one."""
MAX_READINGS = 4
"""Number of texts in the cache of each model: for a few users, or one who undoes edits."""
MAX_CURSORS = 6
"""Positions of each text whose distribution and state are kept: the end, the chosen token,
edits."""
MAX_REMEMBERED = 1 << 16
"""Largest text in the cache, in ids; the state of a transformer grows with the text."""


@dataclass
class Reading:
    """A text as a model has read it.

    Attributes:
        ids: A boundary, and the ids of the text.
        log_probs: The log-probability of each id but the first, in nats.
        cursors: Distribution and state after the first n ids, by n.
    """

    ids: Ids
    log_probs: Float64[np.ndarray, " targets"]
    cursors: OrderedDict[int, Cursor] = field(default_factory=OrderedDict)

    def keep(self, place: int, cursor: Cursor) -> None:
        """Store a cursor; drop the least recently used one if there are too many."""
        self.cursors[place] = cursor
        self.cursors.move_to_end(place)
        if len(self.cursors) > MAX_CURSORS:
            self.cursors.popitem(last=False)

    def shared(self, ids: Ids) -> int:
        """Return the length of the common beginning with other ids."""
        size = min(len(ids), len(self.ids))
        differ = np.flatnonzero(ids[:size] != self.ids[:size])
        return int(differ[0]) if len(differ) else size


class Readings:
    """The texts that one model has read most recently.

    Args:
        loaded: The run whose model reads.
    """

    def __init__(self, loaded: LoadedRun) -> None:
        self._loaded = loaded
        self._known: list[Reading] = []  # Newest last; used in the model's thread only.

    def read(self, lines: Lines, ids: Ids) -> Work[Reading]:
        """Read a text, or only its new part.

        Args:
            lines: Its documents.
            ids: Their ids, as ``LoadedRun.encode`` gives them.
        """
        whole = np.concatenate([[self._loaded.boundary_id], ids])
        best = max(self._known, key=lambda one: one.shared(whole), default=None)
        shared = 0 if best is None else best.shared(whole)
        if best is not None and shared == len(whole) == len(best.ids):
            return best
        found = Reading(whole, np.zeros(len(ids)))
        if best is not None and shared:
            found.log_probs[: shared - 1] = best.log_probs[: shared - 1]
            for place, cursor in best.cursors.items():
                if place <= shared:
                    found.keep(place, cursor)
        shared = max(shared, 1)
        if shared < len(whole):
            yield from self._read_rest(found, shared, lines)
        if len(whole) <= MAX_REMEMBERED:
            replaces = best is not None and shared >= min(len(best.ids), len(whole)) - FEW_IDS
            self._known = [one for one in self._known if not (replaces and one is best)]
            self._known = [*self._known, found][-MAX_READINGS:]
        return found

    def _read_rest(self, found: Reading, shared: int, lines: Lines) -> Work[None]:
        loaded, model, rest = self._loaded, self._loaded.worker.model, found.ids[shared:]
        is_few = len(rest) <= FEW_IDS and len(rest) * model.vocabulary_size <= FEW_LOG_PROBS
        if not (is_few or adapts(loaded)):
            found.log_probs[:] = score_whole(loaded, lines)
            return
        before = yield from self.at(found, shared)
        tokens, cursor = yield from read_text(loaded, rest, before, top=0)
        found.log_probs[shared - 1 :] = [token.log_probability for token in tokens]
        found.keep(len(found.ids), cursor)

    def at(self, reading: Reading, place: int) -> Work[Cursor]:
        """Return distribution and state after the first ``place`` (at least 1) ids of a text."""
        if place in reading.cursors:
            reading.cursors.move_to_end(place)
            return reading.cursors[place]
        first, cursor = 0, None
        if not self._loaded.is_running_text:  # Documents are independent.
            first = int(np.flatnonzero(reading.ids[:place] == self._loaded.boundary_id)[-1])
        nearest = max((one for one in reading.cursors if first < one < place), default=None)
        if nearest is not None:
            first, cursor = nearest, reading.cursors[nearest]
        _, found = yield from read_text(self._loaded, reading.ids[first:place], cursor)
        reading.keep(place, found)
        return found


def score_whole(loaded: LoadedRun, lines: Lines) -> Float64[np.ndarray, " targets"]:
    """Return the log-probability of each id of a text, in nats; a model that adapts does so."""
    store = loaded.run.tokenizer.encode(Documents.from_strings(lines.texts))
    scores = loaded.worker.model.score(store, loaded.is_running_text)
    return np.asarray(scores[:-1])


def adapts(loaded: LoadedRun) -> bool:
    """Return whether the model adapts to a text in ``score``, which then differs from ``step``."""
    model = loaded.worker.model
    return isinstance(model, Adapts) and bool(model.adapting)


def lines_of(loaded: LoadedRun, text: str) -> Lines:
    """Return the documents of a typed text, split as in ``LoadedRun.encode``."""
    return split_lines(text, loaded.is_by_lines, loaded.run.recipe.reading.keep_empty)
