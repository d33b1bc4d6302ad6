"""Small texts with labels, and every family of classifiers in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from thence.corpus import Documents
from thence.corpus.documents import Labels
from thence.models.base import Classes, Classifier, FittedClassifier
from thence.models.labels.averaging import Averaging
from thence.models.labels.averaging_network import AveragingNetwork
from thence.models.labels.ensemble import Ensemble, Member
from thence.models.registry import get_family
from thence.tokens import Texts, TokenOptions, encode_texts, make_tokenizer

SMALL: dict[str, Any] = {
    "embedding_size": 8,
    "buckets": 1 << 12,
    "hidden_size": 6,
    "filters": 5,
    "layers": 2,
}
"""Sizes of networks: long sums would hide errors in rounding."""


@dataclass(frozen=True)
class Line:
    """A family, perhaps with settings of its own."""

    family: str
    settings: tuple[tuple[str, Any], ...] = ()
    inference: bool = False

    def create(self, vocabulary_size: int, classes: Classes, seed: int, **more: Any) -> Any:
        torch.manual_seed(seed)
        family = get_family(self.family)
        kind = family.options_class()
        small = {name: value for name, value in SMALL.items() if hasattr(kind, name)}
        options = kind(**{**small, **dict(self.settings), **more})
        return family.classifier(options, vocabulary_size, classes, self.inference)


FAMILIES = {
    "averaging": Line("averaging"),
    "averaging-deep": Line("averaging", (("hidden_sizes", (16, 8)), ("ngrams", 1))),
    "averaging-of-characters": Line("averaging", (("character_ngrams", (2, 3)),)),
    "averaging-inference": Line("averaging", (("hidden_sizes", (6,)),), inference=True),
    "fasttext": Line("fasttext", (("passes", 100), ("rate", 1.0))),
    "fasttext-of-runs": Line(
        "fasttext", (("buckets", 99), ("ngrams", 2), ("longest_subword", 3), ("passes", 50))
    ),
    "linear": Line("linear", (("buckets", 1 << 16),)),
    "linear-of-characters": Line("linear", (("character_ngrams", (3,)), ("buckets", 1 << 16))),
    "linear-machine": Line(
        "linear", (("loss", "squared_hinge"), ("weighting", "tfidf"), ("buckets", 1 << 16))
    ),
    "linear-latent": Line("linear", (("latent_dimensions", 3), ("buckets", 1 << 16))),
    "linear-plain": Line("linear", (("naive_bayes", 0.0), ("buckets", 1 << 16))),
    "ngram-bayes": Line("ngram-bayes"),
    "ngram-bayes-naive": Line("ngram-bayes", (("order", 1),)),
    "convolution": Line("convolution"),
    "convolution-of-words": Line("convolution", (("widths", (1, 6)),)),
    "recurrent-lstm": Line("recurrent", (("pooling", "max"),)),
    "recurrent-gru": Line("recurrent", (("cell", "gru"), ("pooling", "mean"))),
    "recurrent-last": Line("recurrent", (("pooling", "last"), ("layers", 1))),
    "recurrent-one-way": Line("recurrent", (("pooling", "last"), ("bidirectional", False))),
}
TINY = {"embedding_size": 5, "hidden_size": 6, "layers": 2}
for family, more in {
    "rnn": {},
    "lstm": {"tied": True},
    "gru": {"layers": 1},
    "transformer": {"embedding_size": 8, "heads": 2, "context": 9, "positions": "learned"},
}.items():
    encoder = {"model": family, **({} if family == "transformer" else TINY), **more}
    FAMILIES[f"finetuned-{family}"] = Line("finetuned", (("encoder", encoder),))
MEMBERS = tuple(
    Member(name, {key: value for key, value in SMALL.items() if key in known})
    for name, known in (
        ("linear", ["buckets"]),
        ("averaging", ["embedding_size", "buckets"]),
        ("convolution", ["embedding_size", "filters"]),
    )
)
FAMILIES["ensemble"] = Line("ensemble", (("members", MEMBERS),))
CHOICES = [Classes(3), Classes(2), Classes(4, multilabel=True)]


@pytest.fixture(scope="session")
def read() -> Callable[[Sequence[str]], Texts]:
    """Turn strings into texts, with a vocabulary of ten words and the unknown one."""
    words = Documents.from_strings(["a b c d e f g h good bad"])
    tokenizer = make_tokenizer(words, TokenOptions("words"))
    return lambda strings: encode_texts(tokenizer, Documents.from_strings(strings))


@pytest.fixture(scope="session")
def some(read: Callable[[Sequence[str]], Texts]) -> Texts:
    """Documents of all lengths from 0 to 30, in no order, some of words never seen."""
    random = np.random.default_rng(1)
    words = [*"abcdefghz", "good", "bad"]
    return read([" ".join(random.choice(words, size)) for size in random.permutation(31)])


@pytest.fixture(scope="session")
def labelled(read: Callable[[Sequence[str]], Texts]) -> tuple[Texts, Labels]:
    """Forty documents, good or bad by one of their words."""
    random = np.random.default_rng(2)
    names = ["good", "bad"] * 20
    texts = []
    for name in names:
        words = random.choice(list("abcdefgh"), random.integers(0, 8)).tolist()
        words.insert(int(random.integers(len(words) + 1)), name)
        texts.append(" ".join(words))
    return read(texts), Labels.from_lists([[name] for name in names], multilabel=False)


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=CHOICES, ids=str)
def classes(request: pytest.FixtureRequest) -> Classes:
    chosen: Classes = request.param
    return chosen


@pytest.fixture
def make(some: Texts) -> Callable[..., Any]:
    """Make a family's classifier that says something: fitted, or with random weights."""

    def made(name: str, classes: Classes, seed: int = 0, **more: Any) -> Classifier:
        vocabulary_size = len(some.tokenizer.vocabulary)
        model: Classifier = FAMILIES[name].create(vocabulary_size, classes, seed, **more)
        for part in model.members if isinstance(model, Ensemble) else [model]:
            fill(part, some)
        return model

    return made


def fill(model: Classifier, some: Texts) -> None:
    """Fit a classifier to labels in turn, or give it random weights."""
    classes = model.classes
    if isinstance(model, FittedClassifier):
        ids = np.arange(len(some)) % classes.num_classes
        names = tuple(map(str, range(classes.num_classes)))
        labels = Labels(names, ids, np.arange(len(some) + 1), classes.multilabel)
        # Held-out documents would show that there is nothing to learn.
        model.fit(some, labels, np.ones(len(some), np.float32), dev=(some, labels))
    if isinstance(model, Averaging):
        network = AveragingNetwork(model.options, model.vocabulary_size, classes)
        fill(network, some)
        model.load_tensors(network.tensors())
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.5)


@pytest.fixture
def model(make: Callable[..., Classifier], name: str, classes: Classes) -> Classifier:
    return make(name, classes)
