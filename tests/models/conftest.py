from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

import thence.corpus
from thence.models.base import CountedModel, LanguageModel
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.registry import Family, families, get_family
from thence.tokens import TokenStore


@pytest.fixture(scope="session")
def train(store_of: Callable[[Iterable[str]], TokenStore]) -> TokenStore:
    """Real names, enough for every family to learn from."""
    path = Path(thence.corpus.__file__).parent / "texts" / "given-names.txt"
    names = [line.lower() for line in path.read_text("utf-8").splitlines() if line.isascii()]
    return store_of(names[::3][:400])


@pytest.fixture(scope="session")
def vocabulary_size(train: TokenStore) -> int:
    return train.boundary_id + 1


SMALL: dict[str, Any] = {"hidden_size": 12, "embedding_size": 8, "layers": 2, "context": 6}
"""Sizes of the networks that read sequences, whose long sums would hide errors in rounding."""


INFERENCE = " inference"
NAMES = [
    *families("language"),
    *(name + INFERENCE for name, family in families("language").items() if family.inference),
]


def family_of(name: str) -> Family:
    return get_family(name.removesuffix(INFERENCE))


def options_of(name: str) -> Any:
    """Settings to make a family by: its defaults, small sizes, and members for a mixture."""
    if name == "mixture":
        return MixtureOptions((Member("ngram", {"order": 3}), Member("bigram-counts", {})))
    kind = family_of(name).options_class()
    small = SMALL if family_of(name).reads_sequences else {}
    return kind(**{key: value for key, value in small.items() if hasattr(kind, key)})


def make(name: str, train: TokenStore, seed: int = 0) -> LanguageModel:
    """A model that says something: counted, or with random weights."""
    family = family_of(name)
    torch.manual_seed(seed)
    model = family.language_model(options_of(name), train.boundary_id + 1)
    if isinstance(model, Mixture):
        for member in model.models:
            assert isinstance(member, CountedModel)
            member.fit(train)
        model.learn_weights(train)
        return model
    if family.method == "fit":
        assert isinstance(model, CountedModel)
        model.fit(train)
        return model
    assert isinstance(model, torch.nn.Module)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    if not name.endswith(INFERENCE):
        return model
    asked = family.language_model(options_of(name), train.boundary_id + 1, inference=True)
    asked.load_tensors(model.tensors())
    return asked


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Each family in turn, and those again that are asked in NumPy."""
    return str(request.param)


@pytest.fixture
def model(name: str, train: TokenStore) -> LanguageModel:
    return make(name, train)
