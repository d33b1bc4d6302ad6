"""What adapts to a text learns from each symbol only after it was scored: no leak."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.models.base import Adapts, CountedModel, LanguageModel
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.registry import families, get_family
from thence.tokens import TokenOptions, TokenStore, make_tokenizer

TEXT = ["abcab", "abcc", "", "bab", "cabcab", "aabbcc"]
TOKENIZER = make_tokenizer(Documents.from_strings(TEXT), TokenOptions(unknown="refuse"))
SIZE = len(TOKENIZER.vocabulary)
SMALL: dict[str, Any] = {"hidden_size": 5, "embedding_size": 4}
LSTM = Member("lstm", SMALL, carry_context=True)
BACKING_OFF = Member("cache", {"order": 4, "length": 30, "discount": 0.4}, carry_context=True)


def encoded(texts: list[str]) -> TokenStore:
    return TOKENIZER.encode(Documents.from_strings(texts))


def made(*members: Member) -> LanguageModel:
    """One model; of several members a mixture."""
    torch.manual_seed(0)
    text = encoded(TEXT)
    if len(members) == 1 and members[0].dynamic is None:
        family = get_family(members[0].model)
        model = family.language_model(family.make_options(members[0].options), SIZE)
        assert isinstance(model, CountedModel)
        model.fit(text, carry_context=True)
        return model
    mixture = Mixture(MixtureOptions(members, adapt=0.3), SIZE)
    for model in mixture.models:
        if isinstance(model, CountedModel):
            model.fit(text)
    mixture.learn_weights(text, carry_context=True)
    return mixture


ADAPTIVE: dict[str, Callable[[], LanguageModel]] = {
    "cache": lambda: made(Member("cache", {"length": 4, "order": 2})),
    "cache backing off": lambda: made(BACKING_OFF),
    "context-mixing": lambda: made(Member("context-mixing", {"slot_bits": 12})),
    "neural-cache": lambda: made(
        LSTM, Member("neural-cache", {"length": 9, "theta": 2.0, "of": 0}, carry_context=True)
    ),
    "dynamic evaluation": lambda: made(Member("lstm", SMALL, carry_context=True, dynamic=0.5)),
    "mixture": lambda: made(
        Member("ngram", {"order": 3}),
        BACKING_OFF,
        Member("lstm", SMALL, carry_context=True, dynamic=0.5),
    ),
    "context-mixing with inputs": lambda: made(
        Member("ngram", {"order": 3}),
        Member("lstm", SMALL, carry_context=True, dynamic=0.5),
        Member("context-mixing", {"slot_bits": 12}, carry_context=True, inputs=(0, 1)),
    ),
}
"""How a model that adapts is made; whatever family adapts has its entry here."""


def test_every_family_that_adapts_is_tested() -> None:
    adapting = {name for name, family in families("language").items() if family.adapts}
    assert adapting <= ADAPTIVE.keys()


@pytest.mark.parametrize("name", ADAPTIVE)
def test_what_follows_changes_no_score_and_is_a_distribution(name: str) -> None:
    model = ADAPTIVE[name]()
    assert isinstance(model, Adapts)
    assert model.adapting

    @settings(max_examples=15, deadline=None)
    @given(
        st.lists(st.text("abc", max_size=12), min_size=1, max_size=8), st.text("abc", max_size=9)
    )
    def check(texts: list[str], future: str) -> None:
        *before, last = texts
        size = encoded(texts).num_targets - 1  # The targets before the end of the last text.
        ways = [[*before, last, future], *([*before, last + v + future] for v in "abc")]
        scores = [model.score(encoded(way), carry_context=True) for way in ways]
        for other in scores[1:]:
            np.testing.assert_allclose(other[:size], scores[0][:size], atol=1e-6)
        # After the same past, the four symbols there are share a probability of one.
        assert sum(np.exp(one[size]) for one in scores) == pytest.approx(1, abs=1e-5)
        again = model.score(encoded(ways[0]), carry_context=True)
        np.testing.assert_array_equal(again, scores[0])

    check()


@pytest.mark.parametrize("name", ADAPTIVE)
def test_nothing_that_is_static_adapts(name: str) -> None:
    model = ADAPTIVE[name]()
    assert isinstance(model, Adapts)
    static = model.static()
    assert not (isinstance(static, Adapts) and static.adapting)
