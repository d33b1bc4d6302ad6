"""What a score depends on: never on what comes later; without carried context on no neighbour.

Every family, every kind of mixture, and files of other programs, fitted with and without carried
context. Streams, windows and caches are so short here that a few symbols go through many of them.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from thence.exchange.arpa_reader import read_arpa
from thence.models.base import CountedModel, LanguageModel, read, static_model
from thence.models.language.dynamic_evaluation import gradient_sizes
from thence.models.language.inference import InferenceModel
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.language.neural import NeuralLanguageModel, Scoring
from thence.models.ngram import NGram
from thence.models.ngram.smoothing import Smoothing
from thence.models.registry import families, get_family
from thence.tokens import TokenStore

from .conftest import options_of

LETTERS = 4
BOUNDARY = LETTERS
SIZE = LETTERS + 1
CLOSE = 2e-5

Texts = list[list[int]]
texts = st.lists(st.lists(st.integers(0, LETTERS - 1), max_size=7), min_size=1, max_size=6)
property_of_texts = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # Inputs are small already.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def store_of_ids(documents: Texts) -> TokenStore:
    counts = np.array([len(document) + 1 for document in documents], np.int64)
    ids = [BOUNDARY, *(index for document in documents for index in (*document, BOUNDARY))]
    offsets = np.concatenate([np.ones(1, np.int64), counts]).cumsum()
    return TokenStore(np.array(ids, np.uint8), offsets, counts, counts, BOUNDARY)


@cache
def train_store() -> TokenStore:
    """Documents of 0 to 8 letters, of which each tends to follow its predecessor."""
    random = np.random.default_rng(5)
    lengths = random.integers(0, 9, 80)
    steps = [random.choice(LETTERS, length, p=[0.1, 0.6, 0.2, 0.1]) for length in lengths]
    return store_of_ids([(np.cumsum(some) % LETTERS).tolist() for some in steps])


def member(name: str, carry: bool, dynamic: float | None = None, **options: Any) -> Member:
    return Member(name, options, carry, dynamic)


def small_network(carry: bool, dynamic: float | None = None) -> Member:
    sizes = {"hidden_size": 6, "embedding_size": 5, "layers": 1}
    return member("lstm", carry, dynamic, **sizes)


def members_of(kind: str, carry: bool) -> tuple[Member, ...]:
    counted = member("ngram", carry, order=4)
    caches = [member("cache", True, length=5, order=order) for order in (1, 2)]
    neural_cache = member("neural-cache", True, length=5, theta=0.7, of=1)
    members: dict[str, list[Member]] = {
        "plain": [counted, member("bigram-counts", carry), small_network(carry)],
        "caches": [counted, *caches],
        "neural cache": [counted, small_network(carry), neural_cache],
        "dynamic": [counted, small_network(carry, 0.5)],
        "dynamic by rms": [counted, replace(small_network(carry, 0.05), dynamic_rule="rms")],
        "everything": [counted, small_network(carry, 0.5), neural_cache, *caches],
        "some carry": [member("ngram", not carry, order=3), small_network(carry), *caches],
    }
    return tuple(members[kind])


MIXTURES = {
    f"{weights} plain": (weights, "plain") for weights in ("gated", "buckets", "single")
} | {
    f"gated {kind}": ("gated", kind)
    for kind in ("caches", "neural cache", "dynamic", "dynamic by rms", "everything", "some carry")
}
COUNTED = {
    f"ngram {smoothing}": {"smoothing": smoothing, "order": 4}
    for smoothing in (*get_args(Smoothing), "jelinek-mercer")
} | {
    "ngram of pairs": {"order": 2},
    "ngram pruned": {"order": 4, "prune": (0, 1)},
    "ngram pruned by entropy": {"order": 4, "prune_entropy": 1e-3},
    "cache 2": {"length": 5, "order": 2},
}
ONE_WAY = [name for name in families("language") if name not in ("ngram", "mixture")]
"""Families whose fitting does not depend on carried context, in this file."""
KINDS = [
    *((kind, False) for kind in (*ONE_WAY, "cache 2", "imported")),
    *((kind, carry) for kind in (*COUNTED, *MIXTURES) for carry in (False, True)),
]


@cache
def make(kind: str, carry: bool) -> LanguageModel:
    """A model of a kind that was fitted with or without carried context."""
    torch.manual_seed(1)
    if kind == "imported":
        return imported()
    if kind in MIXTURES:
        return mixture(*MIXTURES[kind], carry)
    name = kind.split()[0]
    options = (
        get_family(name).options_class()(**COUNTED[kind]) if kind in COUNTED else options_of(name)
    )
    return fitted(get_family(name).language_model(options, SIZE), carry)


SHORT = Scoring(
    window=4, warm_up=4, stream_length=6, streams=2, dynamic_window=3
)  # fmt: skip


def fitted(model: LanguageModel, carry: bool) -> LanguageModel:
    if isinstance(model, CountedModel):
        model.fit(train_store(), carry, train_store())
    elif isinstance(model, NeuralLanguageModel):
        model.scoring = SHORT
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.5)
    return model


def mixture(weights: Any, kind: str, carry: bool) -> Mixture:
    model = Mixture(MixtureOptions(members_of(kind, carry), weights), SIZE)
    for part, settings_of in zip(model.models, model.options.members, strict=True):
        if isinstance(part, InferenceModel):
            family = get_family(settings_of.model)
            trained = family.language_model(family.make_options(settings_of.options), SIZE)
            part.load_tensors(fitted(trained, settings_of.carry_context).tensors())
            part.scoring = SHORT
        fitted(part, settings_of.carry_context)
        if settings_of.dynamic_rule == "rms":
            network = cast(NeuralLanguageModel, part)
            model.gradient_sizes[model.models.index(part)] = gradient_sizes(network, train_store())
    model.learn_weights(train_store(), carry)
    return model


def imported() -> LanguageModel:
    """What another program may write: n-grams end with the boundary, and some back off after it."""
    content = """
\\data\\
ngram 1=6
ngram 2=4
ngram 3=1

\\1-grams:
-0.9 a -0.2
-0.7 b -0.3
-0.8 c -0.1
-0.6 d -0.1
-0.7 </s> -0.4
-99 <s> -0.2

\\2-grams:
-0.3 <s> a -0.2
-0.2 a b -0.3
-0.4 b </s> -0.6
-0.2 c </s> -0.6

\\3-grams:
-0.1 a b </s>
\\end\\
"""
    path = Path(__file__).parent / "unused.arpa"
    return NGram.from_tables(read_arpa_text(content, path), SIZE)


def read_arpa_text(content: str, path: Path) -> Any:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        file.write_text(content)
        return read_arpa(file).tables


@pytest.fixture(params=KINDS, ids=lambda given: f"{given[0]}{' carrying' * given[1]}")
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return make(*request.param)


@pytest.mark.slow
@property_of_texts
@given(documents=texts)
def test_without_carried_context_no_neighbour_matters(
    model: LanguageModel, documents: Texts
) -> None:
    together = model.score(store_of_ids(documents))
    alone = [model.score(store_of_ids([document])) for document in documents]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=CLOSE)


@pytest.mark.slow
@property_of_texts
@given(documents=texts, others=texts, place=st.integers(0, 40))
def test_what_comes_later_changes_no_score(
    model: LanguageModel, documents: Texts, others: Texts, place: int
) -> None:
    one, other = store_of_ids(documents), store_of_ids(with_another_end(documents, place, others))
    size = min(one.num_targets, other.num_targets)
    differs = np.append(one.targets[:size] != other.targets[:size], True)
    same = slice(0, int(differs.argmax()))
    for carry in (False, True):
        found = [model.score(store, carry)[same] for store in (one, other)]
        np.testing.assert_allclose(*found, atol=CLOSE)


def with_another_end(documents: Texts, place: int, others: Texts) -> Texts:
    """Replace everything from one place on: the rest of its document, and all later ones."""
    kept: Texts = []
    for document in documents:
        if place <= len(document):
            return [*kept, document[:place] + others[0], *others[1:]]
        kept.append(document)
        place -= len(document) + 1
    return kept + others


@pytest.mark.slow
@property_of_texts
@given(documents=texts)
def test_steps_give_the_scores(
    model: LanguageModel, documents: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for network in model.models if isinstance(model, Mixture) else [model]:
        if isinstance(network, NeuralLanguageModel | InferenceModel):  # One pass, as steps are.
            monkeypatch.setattr(network, "scoring", replace(SHORT, stream_length=1000))
    store = store_of_ids(documents)
    for carry in (False, True):
        if carry and isinstance(model, Mixture) and any(map(learns, model.options.members)):
            continue  # Such a member learns from what it scores, and from nothing else.
        model = static_model(model) or model
        expected = by_steps(model, documents, carry)
        np.testing.assert_allclose(model.score(store, carry), expected, atol=CLOSE)


def learns(part: Member) -> bool:
    return part.carry_context and (part.dynamic is not None or part.model == "context-mixing")


def by_steps(model: LanguageModel, documents: Texts, carry: bool) -> list[float]:
    scores, state, last = [], model.start(1), BOUNDARY
    for document in documents:
        if not carry:
            state = model.start(1)
        for target in [*document, BOUNDARY]:
            log_probs, state = model.step(np.array([last]), state)
            scores.append(float(log_probs[0, target]))
            last = target
    return scores


@pytest.mark.slow
@property_of_texts
@given(document=st.lists(st.integers(0, LETTERS - 1), min_size=1, max_size=12))
def test_reading_several_at_once_gives_the_scores(
    model: LanguageModel, document: list[int]
) -> None:
    """As servers and samples read a text: in pieces, each from the state after the one before."""
    ids, parts, state = np.array([[BOUNDARY, *document]]), [], model.start(1)
    for piece in np.array_split(ids, 3, axis=1):
        if piece.shape[1]:
            log_probs, state = read(model, piece, state)
            parts.append(log_probs)
    found = np.concatenate(parts, axis=1)[0, np.arange(ids.shape[1]), [*document, BOUNDARY]]
    np.testing.assert_allclose(found, model.score(store_of_ids([document])), atol=CLOSE)
