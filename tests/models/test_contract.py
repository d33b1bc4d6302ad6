"""What every family of the table must do; a new line of the table is tested by itself."""

import copy
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from thence.batches import Batch, Padded, windows
from thence.errors import SettingError
from thence.models.base import CountedModel, LanguageModel, static_model
from thence.models.language.inference import InferenceModel
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import families, get_family
from thence.tokens import TokenStore

CLOSE = 1e-5
SMALL: dict[str, Any] = {"hidden_size": 12, "embedding_size": 8, "layers": 2, "context": 6}
"""Sizes of networks that read sequences: long sums hide errors in rounding. As in conftest.py."""
TRAINED = [name for name, line in families("language").items() if line.method == "train"]
COUNTED = [name for name, line in families("language").items() if line.method == "fit"]
INFERENCE = " inference"
"""Added to the name of a family: its model that is only asked, in NumPy."""
ASKED = [name for name, line in families("language").items() if line.inference]
LEARNING = [
    *(name for name in families("language") if name != "cache"),
    *(name + INFERENCE for name in ASKED),
]
"""Families that have tensors; a cache has learned nothing."""


@pytest.fixture
def some(train: TokenStore) -> TokenStore:
    """Five documents to judge, one of them empty."""
    chosen = train.take(np.array([7, 3, 50, 3, 120]))
    boundary = chosen.boundary_id
    empty = TokenStore(
        np.append(chosen.ids, chosen.ids[:1]),
        np.append(chosen.offsets, chosen.offsets[-1] + 1),
        np.append(chosen.byte_counts, 0),
        np.append(chosen.character_counts, 0),
        boundary,
    )
    return empty.take(np.array([0, 1, 5, 2, 3, 4]))


def create(name: str, vocabulary_size: int, seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    family = get_family(name.removesuffix(INFERENCE))
    kind = family.options_class()
    small = SMALL if family.reads_sequences else {}
    options = kind(**{key: value for key, value in small.items() if hasattr(kind, key)})
    if name == "mixture":
        options = MixtureOptions((Member("ngram", {"order": 3}), Member("bigram-counts", {})))
    return family.language_model(options, vocabulary_size, inference=name.endswith(INFERENCE))


def read(model: LanguageModel, ids: np.ndarray[Any, Any], state: Any = None) -> tuple[Any, Any]:
    """Step through ids of shape (B, T); return log-probabilities (B, T, V) and the state."""
    state = model.start(len(ids)) if state is None else state
    steps = []
    for column in ids.T:
        log_probs, state = model.step(column, state)
        steps.append(log_probs)
    return np.stack(steps, axis=1), state


def score_by_steps(model: LanguageModel, store: TokenStore, carry: bool) -> list[float]:
    if carry:
        log_probs, _ = read(model, store.ids[None, :-1])
        return log_probs[0, np.arange(store.num_targets), store.targets].tolist()
    scores = []
    for index in range(store.num_documents):
        ids = np.append(store.ids[:1], store.document(index))
        log_probs, _ = read(model, ids[None])
        targets = np.append(ids[1:], store.boundary_id)
        scores += log_probs[0, np.arange(len(ids)), targets].tolist()
    return scores


def test_step_gives_a_distribution_after_every_context(
    model: LanguageModel, vocabulary_size: int
) -> None:
    # From the start over the boundary, then every symbol twice over.
    everything = np.arange(vocabulary_size)
    boundary = np.full(vocabulary_size, vocabulary_size - 1)
    ids = np.stack([boundary, everything, np.roll(everything, 5), everything], axis=1)
    log_probs, _ = read(model, ids)
    assert log_probs.shape == (vocabulary_size, 4, vocabulary_size)
    assert np.issubdtype(log_probs.dtype, np.floating)
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1, atol=CLOSE)


@pytest.mark.parametrize("carry", [False, True])
def test_score_equals_step_by_step(model: LanguageModel, some: TokenStore, carry: bool) -> None:
    # What learns as it scores does so in none of the steps; what only remembers, in both.
    model = static_model(model) or model
    scores = model.score(some, carry)
    assert scores.shape == (some.num_targets,)
    np.testing.assert_allclose(scores, score_by_steps(model, some, carry), atol=CLOSE)


def test_small_unsigned_ids_may_be_stepped_with(model: LanguageModel, some: TokenStore) -> None:
    ids = some.ids[:4]
    assert ids.dtype == np.uint8
    small, _ = read(model, ids[None])
    large, _ = read(model, ids[None].astype(np.int64))
    np.testing.assert_array_equal(small, large)


def test_nothing_to_score(model: LanguageModel, some: TokenStore) -> None:
    nothing = some.take(np.zeros(0, np.int64))
    for carry in (False, True):
        assert model.score(nothing, carry).shape == (0,)


def test_a_score_ignores_what_comes_later(model: LanguageModel, some: TokenStore) -> None:
    scores = model.score(some)
    later = some.ids.copy()
    later[3:-1][later[3:-1] != some.boundary_id] = 0
    changed = TokenStore(
        later, some.offsets, some.byte_counts, some.character_counts, some.boundary_id
    )
    np.testing.assert_allclose(model.score(changed)[:2], scores[:2], atol=CLOSE)


def test_a_distribution_depends_on_what_came_before(
    model: LanguageModel, vocabulary_size: int
) -> None:
    log_probs, _ = read(model, np.array([[vocabulary_size - 1, 0], [vocabulary_size - 1, 4]]))
    np.testing.assert_allclose(log_probs[0, 0], log_probs[1, 0], atol=CLOSE)
    assert np.abs(np.exp(log_probs[0, 1]) - np.exp(log_probs[1, 1])).max() > 0.01


def test_a_batch_equals_its_rows(model: LanguageModel, vocabulary_size: int) -> None:
    ids = np.random.default_rng(0).integers(0, vocabulary_size, (5, 4))
    together, _ = read(model, ids)
    for row in range(5):
        alone, _ = read(model, ids[row : row + 1])
        np.testing.assert_allclose(together[row], alone[0], atol=CLOSE)


def test_a_step_leaves_the_state_as_it_was(model: LanguageModel, vocabulary_size: int) -> None:
    boundary = np.full(2, vocabulary_size - 1)
    _, state = model.step(boundary, model.start(2))
    first, _ = model.step(np.array([0, 1]), state)
    model.step(np.array([5, 6]), state)
    copied, _ = model.step(np.array([0, 1]), copy.deepcopy(state))
    again, _ = model.step(np.array([0, 1]), state)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(copied, first)


def test_without_carried_context_documents_are_strangers(
    model: LanguageModel, some: TokenStore
) -> None:
    whole = model.score(some)
    parts = [model.score(some.take(np.array([index]))) for index in range(some.num_documents)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=CLOSE)


def test_carried_context_changes_nothing_before_the_second_document(
    model: LanguageModel, some: TokenStore
) -> None:
    first, model = some.target_counts[0], static_model(model) or model
    carried, fresh = model.score(some, carry_context=True), model.score(some)
    np.testing.assert_allclose(carried[:first], fresh[:first], atol=CLOSE)


@pytest.mark.parametrize("name", LEARNING)
def test_tensors_make_the_same_model_again(
    model: LanguageModel, name: str, some: TokenStore, vocabulary_size: int
) -> None:
    tensors = model.tensors()
    for value in tensors.values():
        value.setflags(write=False)  # As a file that is mapped would be.
    other = create(name, vocabulary_size, seed=9)
    other.load_tensors(tensors)
    np.testing.assert_array_equal(other.score(some), model.score(some))
    assert other.num_parameters() == model.num_parameters() > 0


def test_tensors_are_a_snapshot(model: LanguageModel, some: TokenStore, name: str) -> None:
    tensors = model.tensors()
    before = copy.deepcopy(tensors)
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1)
    elif isinstance(model, InferenceModel):
        model.load_tensors({key: value + 1 for key, value in tensors.items()})
    else:
        for part in model.models if isinstance(model, Mixture) else [model]:
            assert isinstance(part, CountedModel)
            part.fit(some)
    for key, value in before.items():
        np.testing.assert_array_equal(tensors[key], value)


def without_one(tensors: dict[str, Any]) -> dict[str, Any]:
    return dict(list(tensors.items())[1:])


def with_another(tensors: dict[str, Any]) -> dict[str, Any]:
    return {**tensors, "another": np.zeros(2, np.float32)}


def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    return {f"x{name}": value for name, value in tensors.items()}


def longer(tensors: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(tensors))
    return {**tensors, first: np.concatenate([tensors[first], tensors[first][:1]])}


def of_another_shape(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value[None] for name, value in tensors.items()}


def of_another_type(tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.astype(np.int32 if value.dtype.kind == "f" else np.float32)
        for name, value in tensors.items()
    }


WRONG = [without_one, with_another, renamed, longer, of_another_shape, of_another_type]


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", LEARNING)
def test_tensors_that_do_not_fit_are_refused(
    model: LanguageModel, name: str, damage: Any, vocabulary_size: int
) -> None:
    with pytest.raises(ValueError):
        create(name, vocabulary_size).load_tensors(damage(model.tensors()))


@pytest.mark.parametrize("name", LEARNING)
def test_tensors_of_a_larger_vocabulary_are_refused(
    model: LanguageModel, name: str, vocabulary_size: int
) -> None:
    with pytest.raises(ValueError):
        create(name, vocabulary_size - 3).load_tensors(model.tensors())


def test_a_deep_copy_gives_the_same_scores(model: LanguageModel, some: TokenStore) -> None:
    np.testing.assert_array_equal(copy.deepcopy(model).score(some), model.score(some))


def test_the_same_seed_gives_the_same_model(name: str, train: TokenStore) -> None:
    made = [create(name, train.boundary_id + 1, seed=3) for _ in range(2)]
    for model in made:
        if isinstance(model, CountedModel):
            model.fit(train)
    one, other = (model.tensors() for model in made)
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize("name", COUNTED)
def test_counting_again_forgets_what_was_counted(
    model: LanguageModel, name: str, train: TokenStore
) -> None:
    assert isinstance(model, CountedModel)
    half = train.take(np.arange(200))
    model.fit(half)
    fresh = create(name, train.boundary_id + 1)
    assert isinstance(fresh, CountedModel)
    fresh.fit(half)
    np.testing.assert_array_equal(model.score(train), fresh.score(train))


@pytest.mark.parametrize("name", TRAINED)
def test_one_repeated_batch_is_learned_below_unigram_entropy(
    name: str, five_names: TokenStore
) -> None:
    model = create(name, five_names.boundary_id + 1)
    assert isinstance(model, NeuralLanguageModel)
    counts = np.array(list(Counter(five_names.targets.tolist()).values()))
    shares = counts / counts.sum()
    entropy = -(shares * np.log(shares)).sum()

    batch = whole(model, five_names)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    for step in range(60):
        loss = model.batch_loss(batch)[0] / five_names.num_targets
        if step == 0:
            # Before learning nothing is preferred: ln V, or near it.
            assert loss.item() == pytest.approx(np.log(five_names.boundary_id + 1), abs=0.3)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.9 * entropy
    # The loss that was trained is the score that is reported.
    scores = model.score(five_names)
    assert -scores.sum() == pytest.approx(model.eval().batch_loss(batch)[0].item(), rel=1e-5)


def whole(model: NeuralLanguageModel, store: TokenStore) -> Batch:
    """All of a store as one batch, as the network reads it."""
    context = model.network.context_length
    if context is None:
        return Padded(store, store.num_documents, 99).at(0)
    cut = windows(store, context).gather(slice(None))
    size = float(len(cut))
    return Batch(cut[:, -2:-1], cut[:, -1:], size, size, before=cut[:, :-2])


@pytest.mark.parametrize("name", ["bigram", "mlp"])
def test_targets_may_be_counts(name: str, five_names: TokenStore) -> None:
    model = create(name, five_names.boundary_id + 1)
    assert isinstance(model, NeuralLanguageModel)
    assert model.network.context_length is not None
    context = torch.zeros((1, model.network.context_length), dtype=torch.int64)
    counts = torch.zeros((1, 1, model.vocabulary_size))
    counts[0, 0, 1], counts[0, 0, 2] = 3, 1
    apart = [model.loss(context, torch.tensor([[target]])).item() for target in (1, 1, 1, 2)]
    assert model.loss(context, counts).item() == pytest.approx(sum(apart), rel=1e-6)


def test_an_unknown_family_lists_the_others() -> None:
    with pytest.raises(SettingError, match=r"no model 'bigrams'; .*mlp.* Did you mean 'bigram'\?"):
        get_family("bigrams")


@pytest.mark.parametrize("name", families("language"))
def test_every_line_of_the_table_is_whole(name: str) -> None:
    line = get_family(name)
    assert line.method in ("fit", "train", "combine")
    assert line.summary
    assert line.options_class().__doc__
