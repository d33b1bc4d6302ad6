"""What a classifier says of texts, checked against the classifier itself."""

from importlib import import_module

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.errors import SettingError, UnknownSymbolError
from thence.evaluation.classify import Classification, classify_documents
from thence.tokens import encode_texts

MODULE = import_module("thence.evaluation.classify")  # The package has a function of that name.
TEXTS = ["a good film", "", "a bad film", "zzz qqq", "good good bad"]


def test_it_is_the_classifiers_own_answer(opinions):
    texts = encode_texts(opinions.tokenizer, Documents.from_strings(TEXTS))
    expected = np.exp(opinions.classifier.classify(texts))
    found = list(thence.classify(opinions.folder, TEXTS))
    assert [one.text for one in found] == TEXTS
    for one, row in zip(found, expected, strict=True):
        assert one.labels == (one.likeliest,) == (opinions.label_names[row.argmax()],)
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
        for name, chance in zip(opinions.label_names, row, strict=True):
            assert one.probabilities[name] == pytest.approx(chance, abs=1e-6)
        assert list(one.probabilities.values()) == sorted(one.probabilities.values(), reverse=True)


def test_a_single_text_and_no_text(opinions):
    (one,) = thence.classify(opinions, "a good film")
    assert one.labels == ("pos",)
    assert list(thence.classify(opinions, [])) == []


def test_blocks_change_nothing(opinions):
    documents = Documents.from_strings(TEXTS * 3)
    whole = list(thence.classify(opinions, TEXTS * 3))
    small = list(classify_documents(opinions, documents, block_size=15))
    rows = list(classify_documents(opinions, documents, cells=4))
    for some in (small, rows):
        assert [one.text for one in some] == TEXTS * 3
        assert [one.labels for one in some] == [one.labels for one in whole]


def test_a_refused_symbol_is_named_by_its_document_in_the_whole_text(tmp_path):
    text = tmp_path / "two.csv"
    text.write_text("text,label\n" + "aa,x\nbb,y\n" * 8)
    run = thence.train(
        text,
        label="label",
        tokens="characters",
        unknown="refuse",
        buckets=64,
        epochs=1,
        output=tmp_path / "run",
    )
    documents = Documents.from_strings(["aa", "bb", "aa", "bb", "bc"])
    with pytest.raises(UnknownSymbolError, match=r"'c' \(symbol 2 of document 5\)"):
        list(classify_documents(run, documents, block_size=4))


def test_several_labels_are_those_that_are_probable_enough(topics):
    (one,) = thence.classify(topics, ["war and trade"])
    assert one.multilabel and set(one.labels) == {"politics", "economy"}
    (none,) = thence.classify(topics, ["war and trade"], threshold=1.0)
    assert none.labels == () and none.likeliest in ("politics", "economy")
    (every,) = thence.classify(topics, ["war and trade"], threshold=0, top=1)
    assert len(every.labels) == 3 and len(every.probabilities) == 1
    assert every.to_json(with_text=False) == {
        "labels": list(every.labels),
        "probabilities": {every.likeliest: round(every.probabilities[every.likeliest], 6)},
        "unknown": 0.0,
        "nothing_known": False,
    }


def test_settings_are_checked_before_the_first_text(opinions, topics, sentences):
    with pytest.raises(SettingError, match="`top` is 0; it must be a whole number of at least 1"):
        thence.classify(opinions, TEXTS, top=0)
    with pytest.raises(SettingError, match="exactly one label, the most probable; leave"):
        thence.classify(opinions, TEXTS, threshold=0.4)
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(
            SettingError, match=r"`threshold` is .*; it must be a number from 0 to 1"
        ):
            thence.classify(topics, TEXTS, threshold=threshold)
    with pytest.raises(SettingError, match="is a language model"):
        thence.classify(sentences, TEXTS)


def test_as_text():
    one = Classification("x", ("yes",), {"yes": 0.75, "no": 0.25})
    assert str(one) == f"yes  0.7500  {'█' * 30}\nno   0.2500  {'█' * 10}"
