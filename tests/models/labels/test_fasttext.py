"""The classifier in fastText's format, trained here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.corpus.documents import Labels
from thence.errors import SettingError
from thence.models.base import Classes
from thence.models.fasttext.files import read_fasttext
from thence.models.fasttext.predictions import predict
from thence.models.labels.fasttext import FastText, FastTextOptions
from thence.models.labels.fasttext_fit import label_words, lines_of
from thence.tokens import Texts, TokenOptions, encode_texts, make_tokenizer

SMALL: dict[str, Any] = {"embedding_size": 4, "passes": 60, "rate": 1.0}


def read(*texts: str) -> Texts:
    documents = Documents.from_strings(texts)
    return encode_texts(make_tokenizer(documents, TokenOptions("words")), documents)


def test_lines_of_a_training_file() -> None:
    texts = read("two\nlines", "__label__x in a text", "not__label__x", "")
    labels = Labels.from_lists([["b"], ["a", "b"], [], ["a"]], multilabel=True)
    assert list(lines_of(texts, labels)) == [
        "__label__1 two lines\n",
        "__label__0 __label__1   in a text\n",
        "not__label__x\n",
        "__label__0 \n",
    ]


def test_words_of_labels() -> None:
    names = Labels.from_lists([["New York"], ["Oslo"]], multilabel=False)
    assert label_words(names) == ["__label__New_York", "__label__Oslo"]
    twice = Labels.from_lists([["a b"], ["a_b"]], multilabel=False)
    with pytest.raises(SettingError, match="'a b' and 'a_b' are both '__label__a_b'"):
        label_words(twice)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ngrams": 2, "buckets": 50},
        {"longest_subword": 3, "buckets": 50, "head": "hs"},
    ],
    ids=str,
)
def test_a_run_and_its_file_say_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    rows = [f"__label__{name} {text}" for name, text in [("up", "a b c"), ("down", "d e f")] * 9]
    rows += ["__label__off g h"] * 4
    (tmp_path / "text.txt").write_text("\n".join(rows))
    run = thence.train(
        tmp_path / "text.txt", "fasttext", output=tmp_path / "run", lowercase=False,
        split="100/0/0", **SMALL, **settings,
    )  # fmt: skip
    texts = ["a b", "f", "g h", "unseen", "B", ""]
    found = list(thence.classify(run, texts))
    assert [one.likeliest for one in found[:3]] == ["up", "down", "off"]
    model = read_fasttext(thence.export(run, tmp_path / "model.bin"))
    chances, _ = predict(model, Documents.from_strings(texts))
    names = [name.removeprefix("__label__") for name in model.dictionary.labels.names()]
    assert names[0] in ("up", "down") and names[2] == "off"  # The most frequent first.
    for one, row in zip(found, chances, strict=True):
        ours = [one.probabilities[name] for name in names]
        assert ours == pytest.approx(np.minimum(row, 1).tolist(), abs=1e-6)
    again = thence.import_model(tmp_path / "model.bin", tmp_path / "again")
    assert [one.likeliest for one in thence.classify(again, texts)] == [
        one.likeliest for one in found
    ]


def test_several_labels() -> None:
    texts = read(*["a b", "a", "b", "c"] * 10)
    labels = Labels.from_lists([["a", "b"], ["a"], ["b"], []] * 10, multilabel=True)
    classifier = FastText(
        FastTextOptions(embedding_size=4, passes=200, rate=1.0), 9, Classes(2, True)
    )
    classifier.fit(texts, labels, np.ones(40, np.float32))
    found = np.exp(classifier.classify(texts.take(np.arange(3)))) > 0.5
    assert found.tolist() == [[True, True], [True, False], [False, True]]


@pytest.mark.parametrize(
    ("head", "multilabel", "problem"),
    [("ova", False, "has one label: use 'softmax'"), ("hs", True, "several labels: use 'ova'")],
)
def test_heads_that_do_not_fit(head: str, multilabel: bool, problem: str) -> None:
    classifier = FastText(FastTextOptions(head=head), 9, Classes(2, multilabel))  # type: ignore[arg-type]
    labels = Labels.from_lists([["a"], ["b"]], multilabel=multilabel)
    with pytest.raises(SettingError, match=problem):
        classifier.fit(read("a", "b"), labels, np.ones(2, np.float32))


def test_probabilities_that_round_to_zero_have_a_logarithm() -> None:
    labels = Labels.from_lists([[f"{name:02}"] for name in range(40)], multilabel=False)
    classifier = FastText(FastTextOptions(embedding_size=2, head="hs"), 9, Classes(40))
    texts = read(*"a" * 40)
    classifier.fit(texts, labels, np.ones(40, np.float32))
    tensors = classifier.tensors()
    steep = {**tensors, "output": np.full((40, 2), 1e4, np.float32), "input": tensors["input"] + 1}
    classifier.load_tensors({**steep, "labels.counts": 2 ** np.arange(40)[::-1]})  # A deep tree.
    found = classifier.classify(texts)
    assert np.isfinite(found).all() and found.min() < -80


@pytest.mark.parametrize(
    ("options", "weights", "problem"),
    [
        ({}, [1, 2], "`class_weights`"),
        ({"tokens": "characters"}, [1, 1], "`tokens` is 'characters'"),
        ({"max_size": 5}, [1, 1], "`max_size` is 5"),
    ],
)
def test_settings_that_would_be_left_aside_are_refused(
    options: dict[str, Any], weights: list[float], problem: str
) -> None:
    documents = Documents.from_strings(["a", "b"])
    tokenizer = make_tokenizer(documents, TokenOptions(**{"tokens": "words", **options}))
    labels = Labels.from_lists([["a"], ["b"]], multilabel=False)
    with pytest.raises(SettingError, match=problem):
        FastText(FastTextOptions(), 9, Classes(2)).fit(
            encode_texts(tokenizer, documents), labels, np.array(weights, np.float32)
        )
