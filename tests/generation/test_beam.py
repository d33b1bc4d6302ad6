from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.errors import SettingError
from thence.generation import DecodingOptions, complete
from thence.generation.beam import Beam, beam_search, join_beams
from thence.generation.sampling import draw

NOTHING = np.zeros(0, np.int64)


class Table:
    """A model of given probabilities of the next id after each; the boundary is the last.

    Its state counts what was read, so that rows that are mixed up are found out.
    """

    def __init__(self, weights: Any) -> None:
        self.chances = np.array(weights, float)
        self.chances /= self.chances.sum(axis=1, keepdims=True)
        self.vocabulary_size = len(self.chances)

    def start(self, batch_size: int) -> Any:
        return [np.zeros((batch_size, self.vocabulary_size), np.int64), None]

    def step(self, ids: Any, state: Any) -> tuple[Any, Any]:
        read = state[0] + np.eye(self.vocabulary_size, dtype=np.int64)[ids]
        with np.errstate(divide="ignore"):
            return np.log(self.chances[ids]), [read, None]


def every_sequence(model: Table, max_length: int) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Every sequence that ends at the boundary or is cut, with its log-probability."""
    boundary = model.vocabulary_size - 1
    for length in range(1, max_length + 1):
        for body in product(range(boundary), repeat=length - 1):
            for last in range(boundary + 1) if length == max_length else [boundary]:
                ids = (*body, last)
                chances = [model.chances[pair] for pair in pairwise((boundary, *ids))]
                if min(chances) > 0:
                    yield float(np.log(chances).sum()), ids


tables = st.integers(2, 4).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, 20), min_size=size, max_size=size).filter(any),
        min_size=size,
        max_size=size,
    ).map(Table)
)


@given(tables, st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_wide_beam_is_an_exhaustive_search(model: Table, length: int, penalty: float) -> None:
    expected = dict(map(reversed, every_sequence(model, length)))
    found = beam_search(model, NOTHING, 4**4, length, penalty)
    assert {tuple(c.ids): c.score for c in found} == pytest.approx(expected)
    ranks = [c.score / len(c.ids) ** penalty for c in found]
    assert ranks == sorted(ranks, reverse=True)
    assert all(c.finished == (c.ids[-1] == model.vocabulary_size - 1) for c in found)


@given(tables, st.integers(1, 8))
def test_a_beam_of_one_is_greedy(model: Table, length: int) -> None:
    (greedy,) = draw(model, NOTHING, 1, length, DecodingOptions(greedy=True), seed=0)
    (found,) = beam_search(model, NOTHING, 1, length)
    assert found.ids.tolist() == greedy.tolist()


@given(tables, st.integers(1, 5), st.integers(1, 6))
def test_a_narrow_beam_tells_true_scores(model: Table, width: int, length: int) -> None:
    expected = dict(map(reversed, every_sequence(model, length)))
    found = beam_search(model, NOTHING, width, length)
    assert 1 <= len(found) <= width
    assert len({tuple(c.ids) for c in found}) == len(found)
    for continuation in found:
        assert continuation.score == pytest.approx(expected[tuple(continuation.ids)])


def test_a_beam_sees_past_the_greedy_choice() -> None:
    # First 0 (0.6) or 1 (0.4). After 0 anything may come; after 1 the end is certain.
    model = Table([[1, 1, 1], [0, 0, 1], [0.6, 0.4, 0]])
    assert beam_search(model, NOTHING, 1, 5)[0].ids[0] == 0
    best = beam_search(model, NOTHING, 2, 5)[0]
    assert best.ids.tolist() == [1, 2]
    assert np.exp(best.score) == pytest.approx(0.4)


def test_a_prefix_is_read_and_costs_nothing() -> None:
    model = Table([[0, 3, 1], [0, 0, 1], [1, 0, 0]])
    found = beam_search(model, np.array([0]), 2, 5)
    assert [c.ids.tolist() for c in found] == [[1, 2], [2]]
    assert np.exp([c.score for c in found]) == pytest.approx([3 / 4, 1 / 4])


def test_ties_go_to_earlier_hypotheses_and_lower_ids() -> None:
    model = Table(np.ones((4, 4)))
    assert Beam.after(model, NOTHING).best(2).tokens.tolist() == [0, 1]
    beam = Beam.after(model, NOTHING)
    beam = beam.extend(beam.best(2))
    best = beam.best(5)
    assert (best.rows.tolist(), best.tokens.tolist()) == ([0, 0, 0, 0, 1], [0, 1, 2, 3, 0])


def test_a_length_penalty_prefers_longer_texts() -> None:
    # At once the end (0.6), or 0 (0.4), after which the end comes with 0.9.
    model = Table([[1, 9], [4, 6]])
    assert beam_search(model, NOTHING, 3, 4)[0].ids.tolist() == [1]
    # The means are ln(0.6) = -0.51 and ln(0.36) / 2 = -0.51: the longer is likelier by a hair.
    assert beam_search(model, NOTHING, 3, 2, length_penalty=1.5)[0].ids.tolist() == [0, 1]


def test_nothing_possible_is_nothing_found() -> None:
    model = Table([[1, 0], [1, 0]])
    model.chances[:] = 0
    assert beam_search(model, NOTHING, 3, 4) == []


def test_beams_are_joined_with_their_states() -> None:
    model = Table([[1, 2, 3], [3, 2, 1], [1, 1, 1]])
    first = Beam.after(model, NOTHING)
    short = first.extend(first.best(3))
    long = short.extend(short.best(2))
    joined = join_beams([short, long])
    assert joined.ids[:3, 1].tolist() == [-1, -1, -1]
    assert joined.scores.tolist() == [*short.scores, *long.scores]
    counts = [np.bincount(ids[ids >= 0], minlength=3) for ids in joined.ids]
    assert np.array_equal(joined.state[0] - [0, 0, 1], counts)  # One boundary came before all.
    read = joined.read(np.array([0, 2]))
    expected = joined.scores + joined.log_probs[:, 0] + np.log(model.chances[0, 2])
    assert read.scores == pytest.approx(expected)


@pytest.mark.parametrize("width", [10_001, 10**30])
def test_a_beam_too_wide_for_any_machine_is_refused(
    trained: Callable[..., Any], width: int
) -> None:
    run = trained("bigram-counts")
    with pytest.raises(SettingError, match=r"`beam` is .*64 bits|`beam` is .*from 1 to 10,000"):
        complete(run, beam=width, max_length=1)
    complete(run, beam=10_000, max_length=1)
