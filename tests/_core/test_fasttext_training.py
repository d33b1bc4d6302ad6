"""Reading, training and quantising as fastText does: the core beside NumPy, and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence._core import library
from thence._core.fasttext_training import CoreSteps, read_words
from thence._core.nearest import nearest_centres
from thence.models.fasttext import steps
from thence.models.fasttext.corpus import hash_of, read_words_in_python
from thence.models.fasttext.quantising import nearest_in_numpy
from thence.models.fasttext.steps import Job, NumpySteps

CLOSE = 1e-5
needs_core = pytest.mark.skipif(library() is None, reason="the compiled core is not built")


def as_bytes(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)


@needs_core
@given(st.lists(st.sampled_from([b"a", b"bc", b" ", b"\n", b"\t", b"\0", b"\r", b"</s>", b"\xc3"])))
def test_words_are_read_alike(pieces):
    text = as_bytes(b"".join(pieces))
    for name in ("tokens", "starts", "ends", "hashes"):
        found, expected = (getattr(f(text), name) for f in (read_words, read_words_in_python))
        assert np.array_equal(found, expected)


@needs_core
def test_the_table_of_words_grows():
    words = [f"w{number}" for number in range(5000)]
    found = read_words(as_bytes(" ".join(words * 2).encode()))
    assert found.tokens.tolist() == [*range(5000)] * 2
    assert found.hashes[4999] == hash_of(b"w4999")


def a_job(loss: int, draw: np.random.Generator, of_words: bool) -> Job:
    words, rows, size, outputs = 7, 20, 11, 7 if of_words else 3
    more = {
        steps.NEGATIVE: {"draws": np.arange(outputs, dtype=np.int32), "negatives": 3},
        steps.HIERARCHICAL: {
            "path": draw.integers(0, outputs, 2 * outputs).astype(np.int32),
            "turns": draw.integers(0, 2, 2 * outputs).astype(np.uint8),
            "path_bounds": np.arange(0, 2 * outputs + 1, 2),
        },
    }.get(loss, {})
    return Job(
        draw.normal(size=(rows, size)).astype(np.float32),
        draw.normal(size=(outputs, size)).astype(np.float32),
        draw.integers(0, words, 15).astype(np.int32), np.array([0, 3, 3, 9, 15]),
        np.array([0, 1, 2, -1, 3, 4, 5] if of_words else [0, 1, 1, 2, 0], np.int32),
        None if of_words else np.array([0, 1, 2, 4, 5]),
        draw.integers(0, 1 << 32, words).astype(np.uint32),
        draw.integers(0, rows, 9).astype(np.int32), np.array([0, 1, 3, 3, 4, 7, 8, 9]),
        8, 12, 3, loss, 100, int(draw.integers(1 << 60)), **more,
    )  # fmt: skip


@needs_core
@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.booleans(), st.booleans(), st.integers(0, 1 << 30))
def test_core_and_numpy_learn_the_same(loss, of_words, is_pruned, seed):
    draw = np.random.default_rng(seed)
    one = a_job(loss if not of_words else min(loss, 3), draw, of_words)
    if is_pruned:
        one = replace(one, bucket_rows=draw.integers(-1, 12, 12).astype(np.int32))
    other = replace(one, input=one.input.copy(), output=one.output.copy())
    learners = CoreSteps(one), NumpySteps(other)
    for learner in learners:
        if of_words:
            for cbow in (False, True):
                learner.words(0, 4, np.full(7, 1 << 31, np.uint32), 2, cbow, 0.3, 100.0)
        else:
            learner.documents(np.array([2, 0, 1, 3]), 0.3, 100.0)
    assert one.input == pytest.approx(other.input, abs=CLOSE)
    assert one.output == pytest.approx(other.output, abs=CLOSE)
    assert learners[0].seen == learners[1].seen
    assert learners[0].mean_loss == pytest.approx(learners[1].mean_loss, abs=CLOSE)
    if not of_words:
        assert np.array_equal(learners[0].used(), learners[1].used())


@pytest.mark.parametrize("made", [NumpySteps, pytest.param(CoreSteps, marks=needs_core)])
def test_a_step_by_hand(made):
    """E = (1, 3), W = (0, 2), one document of both rows with the first label, rate 0.5.

    h = (1 + 3) / 2 = 2; the scores are 0 and 4, p = (1 / (1 + e^4), e^4 / (1 + e^4)) =
    (0.0179862, 0.9820138). The step of W is 0.5 (y - p) h = (0.9820138, -0.9820138). The gradient
    of h is 0.5 (1 - p1) 0 + 0.5 (-p2) 2 = -0.9820138, and each of two rows gets half of it.
    """
    job = Job(
        np.array([[1], [3]], np.float32), np.array([[0], [2]], np.float32),
        np.array([0, 1], np.int32), np.array([0, 2]), np.array([0], np.int32), np.array([0, 1]),
        np.zeros(2, np.uint32), np.array([0, 1], np.int32), np.array([0, 1, 2]), 2, 0, 1,
        steps.SOFTMAX, 2, 0,
    )  # fmt: skip
    learner = made(job)
    learner.documents(np.array([0]), 0.5, 3.0)
    assert job.output.ravel() == pytest.approx([0.9820138, 2 - 0.9820138], abs=1e-6)
    assert job.input.ravel() == pytest.approx([1 - 0.4910069, 3 - 0.4910069], abs=1e-6)
    assert learner.seen == 3  # Two words and a label.
    assert learner.mean_loss == pytest.approx(-np.log(0.0179862 + 1e-5), abs=1e-5)


@needs_core
@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens": np.full(15, 7, np.int32)},
        {"targets": np.full(5, 3, np.int32)},
        {"word_rows": np.full(9, 20, np.int32)},
        {"offsets": np.array([0, 3, 2, 9, 15])},
        {"offsets": np.array([0, 3, 3, 9, 99])},
        {"buckets": 13},
        {"bucket_rows": np.full(12, 12, np.int32)},
        {"loss": steps.NEGATIVE, "draws": np.array([3], np.int32)},
    ],
)
def test_what_does_not_fit_is_refused(wrong):
    job = a_job(steps.SOFTMAX, np.random.default_rng(0), False)
    with pytest.raises(ValueError, match=r"fit|past"):
        CoreSteps(replace(job, **wrong))
    job.output.flags.writeable = False
    with pytest.raises(TypeError, match="cannot be written"):
        CoreSteps(job)
    job.output.flags.writeable = True
    with pytest.raises(ValueError, match="no room"):
        CoreSteps(replace(job, room=0)).documents(np.array([0]), 0.1, 1.0)


@needs_core
@given(st.integers(0, 40), st.integers(1, 4), st.integers(0, 3), st.integers(0, 1 << 30))
def test_the_nearest_centre_is_found_alike(points, size, more, seed):
    draw = np.random.default_rng(seed)
    matrix = draw.integers(-3, 4, (points, size + more)).astype(np.float32)  # Many ties.
    centres = draw.integers(-3, 4, (256, size)).astype(np.float32)
    part = matrix[:, more:]
    assert np.array_equal(nearest_centres(part, centres), nearest_in_numpy(part, centres))
    with pytest.raises(TypeError):
        nearest_centres(part, centres[:255])
