"""Beam search: the likeliest continuations, several kept in view at every step.

Greedy choice takes the likeliest token each time and may walk into a dead end. A beam of width K
keeps the K likeliest beginnings instead. It is no exact search (what is dropped early might have
ended well), but with a beam as wide as there are beginnings it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int64

from thence.errors import SettingError
from thence.generation.sampling import Ids, read_prefix
from thence.models.base import LanguageModel, State
from thence.models.states import join_rows, take_rows

NO_ID = -1
"""Fills up the ids of a hypothesis that is shorter than others of its beam."""


WIDEST = 10_000
"""Texts that a beam may follow at once: time and memory grow with them, the best hardly change."""


def check_width(beam: int) -> None:
    """Refuse a beam too wide for any machine.

    Raises:
        SettingError: Names the flag.
    """
    if beam > WIDEST:
        raise SettingError(
            f"--beam is {beam:,}; it must be at most {WIDEST:,}, and so must --count where texts "
            "are not drawn."
        )


@dataclass(frozen=True)
class Extensions:
    """The best ways to go on by one token, the likeliest first.

    Attributes:
        rows: Which hypothesis each goes on from.
        tokens: With which token.
        scores: Log-probability of the longer hypothesis, in nats.
    """

    rows: Int64[np.ndarray, " chosen"]
    tokens: Int64[np.ndarray, " chosen"]
    scores: Float[np.ndarray, " chosen"]

    def where(self, kept: Bool[np.ndarray, " chosen"]) -> "Extensions":
        """Return those that are to be kept."""
        return Extensions(self.rows[kept], self.tokens[kept], self.scores[kept])


@dataclass(frozen=True)
class Beam:
    """Hypotheses that a model reads side by side: a value, like the state within.

    Attributes:
        model: Reads them.
        ids: What was chosen so far; what was only read is not in it.
        scores: Log-probability of all that was chosen or read since the prefix, in nats.
        log_probs: Log-probabilities of the next token.
        state: What the model remembers.
    """

    model: LanguageModel
    ids: Int64[np.ndarray, "beam time"]
    scores: Float[np.ndarray, " beam"]
    log_probs: Float[np.ndarray, "beam vocab"]
    state: State

    @classmethod
    def after(cls, model: LanguageModel, prefix: Ids) -> "Beam":
        """Return the one hypothesis that begins after a prefix."""
        log_probs, state = read_prefix(model, prefix, 1, model.vocabulary_size - 1)
        return cls(model, np.zeros((1, 0), np.int64), np.zeros(1), log_probs, state)

    def best(self, count: int, allowed: Bool[np.ndarray, " vocab"] | None = None) -> Extensions:
        """Return the likeliest extensions of all hypotheses together; none that is impossible.

        Equally likely ones come in order of hypothesis, then of id.
        """
        log_probs = self.log_probs
        if allowed is not None:
            log_probs = np.where(allowed, log_probs, -np.inf)
        totals = (self.scores[:, None] + log_probs).ravel()
        count = min(count, len(totals))
        # argpartition leaves open which of several equals it takes: here the earlier ones.
        edge = totals[np.argpartition(-totals, count - 1)[count - 1]]
        above, level = np.flatnonzero(totals > edge), np.flatnonzero(totals == edge)
        chosen = np.concatenate([above, level[: count - len(above)]])
        chosen = chosen[np.isfinite(totals[chosen])]
        chosen = chosen[np.argsort(-totals[chosen], kind="stable")]
        rows, tokens = np.divmod(chosen, log_probs.shape[1])
        return Extensions(rows, tokens, totals[chosen])

    def extend(self, by: Extensions) -> "Beam":
        """Return the extended hypotheses, read one token further."""
        ids = np.concatenate([self.ids[by.rows], by.tokens[:, None]], axis=1)
        log_probs, state = self.model.step(by.tokens, take_rows(self.state, by.rows))
        return Beam(self.model, ids, by.scores, log_probs, state)

    def read(self, ids: Ids) -> "Beam":
        """Return the hypotheses after all have read the same ids; their log-probabilities count."""
        beam = self
        for index in ids:
            scores = beam.scores + beam.log_probs[:, index]
            log_probs, state = self.model.step(np.full(len(scores), index), beam.state)
            beam = replace(beam, scores=scores, log_probs=log_probs, state=state)
        return beam

    def widened(self, length: int) -> "Beam":
        """Return the same hypotheses, their ids filled up to a length with ``NO_ID``."""
        missing = length - self.ids.shape[1]
        ids = np.pad(self.ids, ((0, 0), (0, missing)), constant_values=NO_ID)
        return replace(self, ids=ids)


def join_beams(beams: Sequence[Beam]) -> Beam:
    """Return one beam of the hypotheses of several, with as many ids as the longest has."""
    length = max(beam.ids.shape[1] for beam in beams)
    return Beam(
        beams[0].model,
        np.concatenate([beam.widened(length).ids for beam in beams]),
        np.concatenate([beam.scores for beam in beams]),
        np.concatenate([beam.log_probs for beam in beams]),
        join_rows([beam.state for beam in beams]),
    )


@dataclass(frozen=True)
class Continuation:
    """What a search found to follow a prefix.

    Attributes:
        ids: Its tokens, the closing boundary included where it came.
        score: Its log-probability after the prefix, in nats.
        finished: Whether it ended by itself rather than at the greatest length.
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

    A width of 1 is greedy choice. Extensions that end leave the beam, which fills up again.

    Args:
        model: Gives the distributions.
        prefix: Ids to begin with, without boundaries.
        width: Hypotheses kept (K), and continuations returned at most.
        max_length: Tokens of each at most; those that reach it are cut.
        length_penalty: Continuations are ranked by log-probability / length ** this. With 0 they
            are ranked by probability, which is what the model says of them; as every token costs
            some, that prefers short ones, and 1 ranks by the mean per token instead.

    Returns:
        At most ``width`` continuations, the best first; none if all are impossible.
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
        # A sum of log-probabilities only falls, and the greatest length divides it by the most.
        hope = best.scores.max(initial=-np.inf) / max_length**length_penalty
        if len(best.rows) == 0 or (len(found) == width and hope <= -rank(found[-1])):
            break
        beam = beam.extend(best)
    return found
