"""Context mixing that reads dev last, with the other models as its inputs."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from thence._core import library
from thence.autopilot.candidates import TrainedCandidate
from thence.autopilot.combining import combine_language_models, mixture_of, prune
from thence.autopilot.mixer_inputs import with_inputs, with_log_odds
from thence.models.language.context_mixing import ContextMixing, ContextMixingOptions
from thence.training.data import TrainingData

Counted = Callable[..., TrainedCandidate]
pytestmark = pytest.mark.skipif(library() is None, reason="it takes too long without the core")


@pytest.fixture
def mixer(data: TrainingData) -> TrainedCandidate:
    options = ContextMixingOptions(slot_bits=12)
    model = ContextMixing(options, len(data.tokenizer.vocabulary))
    model.fit(data.train, carry_context=True)
    scores = model.score(data.dev, carry_context=True)
    nats = -float(scores.mean())
    return TrainedCandidate(
        "mixing", "context-mixing", options, model, scores, nats, carry_context=True
    )


@pytest.fixture
def ngram(data: TrainingData, counted: Counted) -> TrainedCandidate:
    one = counted(3)
    size = len(data.tokenizer.vocabulary)
    model = type(one.model)(one.model.options, size)
    model.fit(data.train)
    scores = model.score(data.dev)
    return replace(one, model=model, scores=scores, nats=-float(np.mean(scores)))


def test_it_reads_dev_as_one_more_part_of_train(
    data: TrainingData, mixer: TrainedCandidate
) -> None:
    (alone,) = with_inputs([mixer], data.dev)
    np.testing.assert_array_equal(alone.scores, mixer.scores)
    learned = mixer.model.tensors()["learned"], alone.model.tensors()["learned"]
    assert int(learned[1][0] - learned[0][0]) == data.dev.num_targets


def test_the_best_ngram_is_an_input_and_stays(
    data: TrainingData, mixer: TrainedCandidate, ngram: TrainedCandidate
) -> None:
    members = with_inputs([mixer, ngram, replace(ngram, name="worse", nats=9.0)], data.dev)
    assert [one.name for one in members] == [ngram.name, "worse", "mixing"]
    assert members[-1].inputs == [ngram.name]
    size = len(data.tokenizer.vocabulary)
    kept = prune(members, data.dev, size)
    if kept[-1].name == "mixing":
        assert ngram.name in [one.name for one in kept]
    mixture = mixture_of(members, size)
    assert mixture.options.members[-1].inputs == (0,)
    scores = mixture.member_scores(data.dev.take(np.arange(3)), carry_context=True)
    assert np.isfinite(scores).all()


def test_context_mixing_with_inputs_is_never_the_result_without_them(
    data: TrainingData, mixer: TrainedCandidate, ngram: TrainedCandidate
) -> None:
    members = with_inputs([mixer, ngram], data.dev)
    best = [*members[:-1], replace(members[-1], scores=0 * members[-1].scores, nats=0.0)]
    for ends in (math.inf, 0.0):
        made = combine_language_models(best, data.dev, len(data.tokenizer.vocabulary), ends)
        names = [one.name for one in made.members]
        assert ngram.name in names and (made.family == "mixture") == ("mixing" in names)


def test_without_a_mixer_nobody_is_asked(data: TrainingData, ngram: TrainedCandidate) -> None:
    assert with_log_odds(ngram, [ngram], data.dev) is ngram
    assert with_inputs([ngram], data.dev) == [ngram]


def test_scores_and_decisions_come_by_one_reading(
    data: TrainingData, mixer: TrainedCandidate, ngram: TrainedCandidate
) -> None:
    """A network that learns as it reads takes long: what is kept for that is one reading."""
    wrong = replace(ngram, scores=np.zeros_like(ngram.scores), nats=0.0)
    one = with_log_odds(wrong, [mixer], data.dev)
    np.testing.assert_allclose(one.scores, ngram.scores, atol=1e-5)
    assert one.nats == pytest.approx(ngram.nats, abs=1e-5)
    assert one.log_odds is not None
    # The log-probabilities of the decisions add up to those of the targets.
    code = mixer.model._code
    bits = [code.bits[code.starts[v] : code.starts[v + 1]] for v in data.dev.targets]
    signs = 1 - 2.0 * np.concatenate(bits)  # of the odds against what was decided
    total = -np.log1p(np.exp(signs * one.log_odds)).sum()
    assert total == pytest.approx(one.scores.sum(dtype=np.float64), rel=1e-4)
