"""Models and tokenizers of other packages: found by name, recorded in runs, and missed politely."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import thence
from thence import plugins
from thence.cli.main import main
from thence.errors import RunError, SettingError
from thence.models import registry
from thence.models.base import Classes
from thence.models.labels.neural import NeuralClassifier
from thence.models.language.bigram import Bigram
from thence.models.language.neural import NeuralLanguageModel
from thence.models.output_layer import FullSoftmax
from thence.runs.description import list_runs
from thence.tokens import options

CODE = '''
from dataclasses import dataclass
import numpy as np
from thence import Family, TokenizerFamily
from thence.tokens import Vocabulary

@dataclass(frozen=True)
class Options:
    """Settings."""
    strength: float = 1.0
    """How much is added to each count."""

class Unigram:
    def __init__(self, options, size):
        self.options, self.vocabulary_size, self.counts = options, size, np.zeros(size, np.int64)
    def fit(self, store, carry_context=False, dev=None):
        self.counts = np.bincount(store.targets, minlength=self.vocabulary_size)
    def start(self, batch_size):
        return None
    def step(self, ids, state):
        counts = self.counts + self.options.strength
        return np.tile(np.log(counts / counts.sum()), (len(ids), 1)), None
    def score(self, store, carry_context=False):
        return self.step([0], None)[0][0, store.targets]
    def tensors(self):
        return {"counts": self.counts}
    def load_tensors(self, tensors):
        self.counts = tensors["counts"]
    def num_parameters(self):
        return self.vocabulary_size

class Pairs:
    """Two characters are a token; of an odd number the last is one alone."""
    def __init__(self, pairs):
        self.definition, self.vocabulary = list(pairs), Vocabulary(tuple(pairs))
        self.ids = {pair: index for index, pair in enumerate(pairs)}
    def encode_chunk(self, chunk):
        cut = [[text[i : i + 2] for i in range(0, len(text), 2)] for text in chunk]
        unknown = self.vocabulary.unknown_id
        ids = [self.ids.get(pair, unknown) for pairs in cut for pair in pairs]
        return np.array(ids, np.int64), np.array([len(pairs) for pairs in cut], np.int64)
    def decode(self, ids):
        return "".join(self.definition[i] for i in ids if i < len(self.definition))

def learn(chunks, options):
    found = (text[i : i + 2] for chunk in chunks for text in chunk for i in range(0, len(text), 2))
    return Pairs(sorted(set(found)))

UNIGRAM = Family("unigram", "language", "fit", Options, Unigram, "counts of symbols")
WRONG = Family("other-name", "language", "fit", Options, Unigram, "named otherwise")
PAIRS = TokenizerFamily("pairs", learn, Pairs)
'''
ENTRY_POINTS = """
[thence.models]
unigram = own_unigram:UNIGRAM
wrong = own_unigram:WRONG
broken = own_unigram_that_is_not_there:FAMILY
mlp = own_unigram:UNIGRAM
[thence.tokenizers]
pairs = own_unigram:PAIRS
"""
TEXT = ["abab", "abba", "baba", "aabb", "ab", "ba"] * 5

Install = Callable[[], None]


@pytest.fixture
def forget() -> Iterator[None]:
    """Forget, after a test, what it has added."""
    tables = (registry.FAMILIES, options._plugins.table)
    before = [dict(table) for table in tables]
    yield
    sys.modules.pop("own_unigram", None)
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: None) -> Install:
    """Install the package: what pip would leave in a folder that Python looks into."""
    site = tmp_path / "site"
    about = site / "own_unigram-1.2.dist-info"
    about.mkdir(parents=True)
    (site / "own_unigram.py").write_text(CODE, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-unigram\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.chdir(tmp_path)
    return lambda: monkeypatch.syspath_prepend(str(site))


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("/site")])
    sys.modules.pop("own_unigram", None)
    registry.FAMILIES.pop("unigram", None)
    options._plugins.table.pop("pairs", None)


def test_a_model_of_an_installed_package_works_everywhere(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingError, match="no model 'unigram'"):
        thence.train(TEXT, "unigram")
    install()
    Path("text").write_text("\n".join(TEXT), encoding="utf-8")
    main(["train", "text", "--model", "unigram", "--strength", "2", "-o", "one"])  # Reports too.
    thence.train("text", "unigram", output="two")
    run = thence.Run("one")
    assert run.recipe.options.strength == 2
    assert run.provenance["packages"] == {"models": {"unigram": "own-unigram==1.2"}}
    assert run.resume().evaluate("dev").nats_per_token > 0
    assert thence.compare(["one", "two"])
    mixed = thence.mix(["one", "two"], output="mixed")
    assert mixed.provenance["packages"] == run.provenance["packages"]
    space = "[sweep]\nsampler = 'grid'\n[sweep.space]\nstrength = [0.5, 5.0]\n"
    Path("sweep.toml").write_text(f"text = 'text'\nmodel = 'unigram'\n{space}")
    assert len(thence.sweep("sweep.toml", "sweep").trials) == 2
    uninstall(monkeypatch)
    capsys.readouterr()
    needs = (
        r"The run (one|mixed) needs the model 'unigram' of the package own-unigram \(1\.2 when it "
        r"was made\): pip install own-unigram\."
    )
    for name in ("one", "mixed"):
        with pytest.raises(RunError, match=needs):
            thence.Run(name)
        with pytest.raises(SystemExit, match="2"):
            main(["evaluate", name])
    listed = {one.name: one.problem for one in list_runs(".")}
    assert "pip install own-unigram" in str(listed["one"])


@pytest.mark.slow
def test_help_names_it_without_importing_it(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install()
    main(["train", "--help"])
    assert "unigram: of a package installed" in capsys.readouterr().out
    assert "own_unigram" not in sys.modules
    main(["train", "--model", "unigram", "--help"])
    assert "--strength" in capsys.readouterr().out


def test_what_is_wrong_with_a_package_is_said(install: Install) -> None:
    install()
    with pytest.raises(SettingError, match=r"'broken' of the package own-unigram==1\.2 cannot be"):
        registry.get_family("broken")
    with pytest.raises(SettingError, match="'wrong' must be a Family of that name"):
        registry.get_family("wrong")
    assert "NGramOptions" in str(registry.get_family("ngram").options)  # Ours come first.
    assert registry.get_family("mlp").supplier == ""
    with pytest.raises(SettingError, match=r"choose one of .*, broken, unigram, wrong"):
        registry.get_family("nothing")


def test_a_tokenizer_of_an_installed_package(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingError, match="'pairs'; it must be one of"):
        thence.train(TEXT, "bigram-counts", tokens="pairs")
    install()
    run = thence.train(TEXT, "bigram-counts", tokens="pairs", output="pairs")
    assert run.tokenizer.vocabulary.symbols == ("aa", "ab", "ba", "bb")
    assert thence.Run("pairs").tokenizer.encode(["abba"]).ids.tolist() == [5, 1, 2, 5]
    assert thence.evaluate("pairs").nats_per_token == run.evaluate().nats_per_token
    assert run.provenance["packages"] == {"tokenizers": {"pairs": "own-unigram==1.2"}}
    uninstall(monkeypatch)
    with pytest.raises(RunError, match="tokenizer 'pairs' of the package own-unigram"):
        thence.Run("pairs")


@dataclass(frozen=True)
class NoOptions:
    """A model without settings."""


class Sum(nn.Module):
    """A classifier of the sum of a learned row per token."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.table = nn.Embedding(size, classes)

    def forward(self, ids: Any, lengths: Any) -> Any:
        import torch

        inside = torch.arange(ids.shape[1]) < lengths[:, None]
        return (self.table(ids) * inside[..., None]).sum(1)


def own_bigram(options: NoOptions, size: int) -> NeuralLanguageModel:
    return NeuralLanguageModel(Bigram(size), FullSoftmax(nn.Identity()), size)


def own_sum(options: NoOptions, size: int, classes: Classes) -> NeuralClassifier:
    return NeuralClassifier(Sum(size, classes.num_classes), classes, 100)


OWN = thence.Family("own-bigram", "language", "train", NoOptions, own_bigram, "of this test")
OWN_LABELS = thence.Family("own-sum", "labels", "train", NoOptions, own_sum, "of this test")


@pytest.mark.usefixtures("forget")
def test_networks_of_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    thence.register_model(OWN)
    thence.register_model(OWN)  # As a notebook does whose cell is run again.
    thence.register_model(OWN_LABELS)
    run = thence.train(TEXT, "own-bigram", steps=20, output="own")
    same = thence.train(TEXT, "bigram", steps=20, output="ours")
    # One is asked in NumPy, the other in torch: equal in single precision.
    found, expected = run.evaluate().nats_per_token, same.evaluate().nats_per_token
    assert found == pytest.approx(expected, rel=1e-6)
    Path("table.csv").write_text("text,label\n" + "".join(f"{x},{x[0]}\n" for x in TEXT))
    labels = thence.train("table.csv", "own-sum", label="label", epochs=1, output="labels")
    assert labels.evaluate("dev").documents > 0
    del registry.FAMILIES["own-bigram"]
    with pytest.raises(RunError, match="model 'own-bigram', which a script added: call thence"):
        thence.Run("own")


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "mlp"}, "The name 'mlp' is taken by thence"),
        ({"name": "My Model"}, "'My Model' must be a Family of that name, in small letters"),
        ({"task": "speech"}, "task is 'speech'; choose one of language, labels"),
        ({"method": "guess"}, "method is 'guess'; choose one of fit, train, combine"),
        ({"options": dict}, "The options of the model 'own-bigram' are not a dataclass"),
    ],
)
def test_what_cannot_be_registered(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        thence.register_model(replace(OWN, **changes))
    with pytest.raises(SettingError, match="'words' is taken"):
        thence.register_tokenizer(thence.TokenizerFamily("words", str, str))


def test_all_packages_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[dict[str, Any]] = []

    def count(**given: Any) -> Any:
        looked.append(given)
        return entry_points(**given)

    plugins._scan.cache_clear()
    monkeypatch.setattr("importlib.metadata.entry_points", count)
    assert not any(registry.is_known("no-such-model") for _ in range(100))
    assert len(looked) == 1
