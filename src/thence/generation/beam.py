"""Beam search: an approximate search for the likeliest continuations.

Greedy decoding takes the likeliest token each time and may end in an unlikely text. A beam of width
K keeps the K likeliest hypotheses of each length instead. A hypothesis that is dropped early may
have the best continuation, so the search is exact only if the beam has room for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from thence.array_types import Bool, Float, Int64
from thence.generation.sampling import Ids, read_prefix
from thence.models.base import LanguageModel, State, join_rows, take_rows
from thence.settings import Range

NO_ID = -1
"""Pads the ids of hypotheses that are shorter than others of their beam."""
BeamWidth = Annotated[int, Range(ge=1, le=10_000, why="so must `count` be, unless texts are drawn")]
"""Number of hypotheses. Time and memory grow with it, while the best hypotheses hardly change."""


@dataclass(frozen=True)
class Extensions:
    """Hypotheses extended by one token, the likeliest first.

    Attributes:
        rows: Row of the hypothesis that each extends.
        tokens: Id of the token that it adds.
        scores: Log-probability of the extended hypothesis, in nats.
    """

    rows: Int64[np.ndarray, " chosen"]
    tokens: Int64[np.ndarray, " chosen"]
    scores: Float[np.ndarray, " chosen"]

    def where(self, kept: Bool[np.ndarray, " chosen"]) -> "Extensions":
        """Return the extensions for which the mask is true."""
        return Extensions(self.rows[kept], self.tokens[kept], self.scores[kept])


@dataclass(frozen=True)
class Beam:
    """Hypotheses of equal length that a model reads as one batch; immutable.

    Attributes:
        model: The language model.
        ids: The tokens chosen so far, without those that were given to ``read``.
        scores: Log-probability of all tokens chosen or read since the prefix, in nats.
        log_probs: Log-probabilities of the next token.
        state: State of the model after each hypothesis.
    """

    model: LanguageModel
    ids: Int64[np.ndarray, "beam time"]
    scores: Float[np.ndarray, " beam"]
    log_probs: Float[np.ndarray, "beam vocab"]
    state: State

    @classmethod
    def after(cls, model: LanguageModel, prefix: Ids) -> "Beam":
        """Return a beam of one empty hypothesis after a prefix."""
        log_probs, state = read_prefix(model, prefix, 1, model.vocabulary_size - 1)
        return cls(model, np.zeros((1, 0), np.int64), np.zeros(1), log_probs, state)

    def best(self, count: int, allowed: Bool[np.ndarray, " vocab"] | None = None) -> Extensions:
        """Return the ``count`` likeliest extensions, without impossible ones.

        Of equal scores the lower row comes first, then the lower id.
        """
        log_probs = self.log_probs
        if allowed is not None:
            log_probs = np.where(allowed, log_probs, -np.inf)
        totals = (self.scores[:, None] + log_probs).ravel()
        count = min(count, len(totals))
        # Among equal scores argpartition chooses arbitrary ones; take the first ones instead.
        edge = totals[np.argpartition(-totals, count - 1)[count - 1]]
        above, equal = np.flatnonzero(totals > edge), np.flatnonzero(totals == edge)
        chosen = np.concatenate([above, equal[: count - len(above)]])
        chosen = chosen[np.isfinite(totals[chosen])]
        chosen = chosen[np.argsort(-totals[chosen], kind="stable")]
        rows, tokens = np.divmod(chosen, log_probs.shape[1])
        return Extensions(rows, tokens, totals[chosen])

    def extend(self, by: Extensions) -> "Beam":
        """Return the extended hypotheses after the model has read their new tokens."""
        ids = np.concatenate([self.ids[by.rows], by.tokens[:, None]], axis=1)
        log_probs, state = self.model.step(by.tokens, take_rows(self.state, by.rows))
        return Beam(self.model, ids, by.scores, log_probs, state)

    def read(self, ids: Ids) -> "Beam":
        """Return the hypotheses after all have read the same ids, which add to their scores."""
        beam = self
        for index in ids:
            scores = beam.scores + beam.log_probs[:, index]
            log_probs, state = self.model.step(np.full(len(scores), index), beam.state)
            beam = replace(beam, scores=scores, log_probs=log_probs, state=state)
        return beam

    def padded(self, length: int) -> "Beam":
        """Return the same hypotheses, their ids padded to a length with ``NO_ID``."""
        missing = length - self.ids.shape[1]
        ids = np.pad(self.ids, ((0, 0), (0, missing)), constant_values=NO_ID)
        return replace(self, ids=ids)


def join_beams(beams: Sequence[Beam]) -> Beam:
    """Return one beam of the hypotheses of all, ids padded to the longest."""
    length = max(beam.ids.shape[1] for beam in beams)
    return Beam(
        beams[0].model,
        np.concatenate([beam.padded(length).ids for beam in beams]),
        np.concatenate([beam.scores for beam in beams]),
        np.concatenate([beam.log_probs for beam in beams]),
        join_rows([beam.state for beam in beams]),
    )


@dataclass(frozen=True)
class Continuation:
    """A continuation of a prefix.

    Attributes:
        ids: Its tokens, with the closing boundary if finished.
        score: Its log-probability given the prefix, in nats.
        finished: Whether it ended at a boundary rather than at the maximum length.
    """

    ids: Ids
    score: float
    finished: bool


def beam_search(
    model: LanguageModel,
    prefix: Ids,
    width: int,
    max_length: int,
    length_penalty: float = 0.0,
) -> list[Continuation]:
    """Find the likeliest continuations of a prefix.

    A width of 1 is greedy decoding. A hypothesis that ends leaves its place in the beam to another.

    Args:
        model: The language model.
        prefix: Ids to begin with, without boundaries.
        width: Hypotheses kept (K), and maximum number of continuations returned.
        max_length: Tokens of each at most; those that reach it are cut.
        length_penalty: Continuations are ranked by log-probability / length ** this. 0 ranks by
            probability, which prefers short ones; 1 ranks by the mean per token.

    Returns:
        At most ``width`` continuations, the best first; none if all have probability 0.
    """
    boundary_id = model.vocabulary_size - 1
    beam = Beam.after(model, prefix)
    found: list[Continuation] = []

    def rank(continuation: Continuation) -> float:
        return -continuation.score / float(len(continuation.ids) ** length_penalty)

    for length in range(1, max_length + 1):
        best = beam.best(width)
        ended = best.tokens == boundary_id
        done = ended | (length == max_length)
        for row in np.flatnonzero(done):
            ids = np.append(beam.ids[best.rows[row]], best.tokens[row])
            found.append(Continuation(ids, float(best.scores[row]), bool(ended[row])))
        found = sorted(found, key=rank)[:width]
        best = best.where(~done)
        # Log-probabilities only fall as a hypothesis grows, and the length divides by max_length at
        # most: no descendant of the beam can rank above this bound.
        bound = best.scores.max(initial=-np.inf) / max_length**length_penalty
        if len(best.rows) == 0 or (len(found) == width and bound <= -rank(found[-1])):
            break
        beam = beam.extend(best)
    return found
