"""Training as fastText does it: one step by hand, the core beside NumPy, and what is learned."""

from itertools import pairwise

import numpy as np
import pytest

from thence._core import library
from thence.corpus import Documents
from thence.errors import TrainingError
from thence.models.fasttext import corpus as corpora
from thence.models.fasttext import steps, training
from thence.models.fasttext.contents import Arguments, FastTextModel
from thence.models.fasttext.corpus import read_corpus, read_with_dictionary
from thence.models.fasttext.predictions import predict
from thence.models.fasttext.training import Descent, train_model
from thence.models.fasttext.tree import paths

CLOSE = 1e-5
needs_core = pytest.mark.skipif(library() is None, reason="the compiled core is not built")
TEXT = (
    b"__label__fruit apple pear\n__label__tool saw drill apple\n"
    b"__label__fruit plum pear  plum\n__label__tool hammer\tsaw\nno label here\n"
) * 8


def as_bytes(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)


def trained(text: bytes = TEXT, seed: int = 0, rate: float = 0.5, **given) -> FastTextModel:
    wanted = {"model": "supervised", "loss": "softmax", "dim": 8, "minn": 0, "maxn": 0, "bucket": 0}
    arguments = Arguments(**{**wanted, **given})
    corpus = read_corpus(as_bytes(text), 1, 0, "__label__")
    return train_model(corpus, arguments, Descent(rate, seed))


def test_a_text_and_its_dictionary():
    text = as_bytes(b"__label__b x y x\n__label__a __label__b y z </s> x __label__rare\n")
    found = read_corpus(text, 2, 2, "__label__")
    # x and </s> occur 3 times each, and x first; y occurs twice.
    assert found.dictionary.words.names() == ["x", "</s>", "y"]
    assert found.dictionary.labels.names() == ["__label__b"]
    assert found.dictionary.num_tokens == 13
    words = [[found.distinct[token] for token in found.tokens[a:b]]
             for a, b in zip(found.offsets, found.offsets[1:], strict=False)]  # fmt: skip
    assert words == [[b"x", b"y", b"x", b"</s>"], [b"y", b"z", b"</s>"], [b"x", b"</s>"]]
    assert np.diff(found.target_offsets).tolist() == [1, 1, 0]
    again = read_with_dictionary(text, found.dictionary, "__label__")
    assert again.ids.tolist() == found.ids.tolist()
    assert again.targets.tolist() == found.targets.tolist()


def test_words_of_vectors_join_the_dictionary():
    found = read_corpus(as_bytes(b"a b a\n"), 1, 0, "__label__", [b"b", b"c", b"c"])
    words = found.dictionary.words
    assert words.names() == ["a", "b", "</s>", "c"]
    assert words.counts.tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("loss", ["softmax", "ns", "hs", "ova"])
@pytest.mark.parametrize(
    "features", [{}, {"word_ngrams": 2, "bucket": 50}, {"minn": 2, "maxn": 3, "bucket": 50}]
)
def test_labels_are_learned(loss, features, monkeypatch):
    model = trained(loss=loss, epoch=20, **features)
    scores, _ = predict(model, Documents.from_strings(["pear plum", "hammer drill"]))
    names = model.dictionary.labels.names()
    assert [names[row.argmax()] for row in scores] == ["__label__fruit", "__label__tool"]


def test_the_same_seed_gives_the_same_weights():
    one, same, other = trained(seed=1), trained(seed=1), trained(seed=2)
    assert np.array_equal(one.input.values, same.input.values)
    assert np.array_equal(one.output.values, same.output.values)
    assert not np.array_equal(one.input.values, other.input.values)


def test_a_training_in_numpy_is_the_same(monkeypatch):
    expected = trained(epoch=2)
    for module in (steps, corpora):
        monkeypatch.setattr(module, "library", lambda: None)
    found = trained(epoch=2)
    assert found.input.values == pytest.approx(expected.input.values, abs=CLOSE)
    assert found.output.values == pytest.approx(expected.output.values, abs=CLOSE)


def test_a_file_sorted_by_label_does_no_harm():
    lines = sorted(TEXT.splitlines())
    model = trained(b"\n".join(lines), epoch=20)
    scores, _ = predict(model, Documents.from_strings(["pear", "saw"]))
    names = model.dictionary.labels.names()
    assert [names[row.argmax()] for row in scores] == ["__label__fruit", "__label__tool"]


def test_unseen_buckets_stay_zero():
    model = trained(word_ngrams=2, bucket=500)
    words = len(model.dictionary.words)
    # Of four kinds of labelled lines: 3 runs of two words in the first, 4, 4 and 3 in the others,
    # the line end counting as a word; some are in the same lines.
    used = model.input.values[words:].any(axis=1).sum()
    assert 0 < used <= 14
    assert model.input.values[:words].any(axis=1).all()


@pytest.mark.skipif(library() is None, reason="NumPy takes minutes; it learns the same")
@pytest.mark.parametrize("kind", ["skipgram", "cbow"])
@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
def test_words_with_like_contexts_become_neighbours(kind, loss):
    sentences = [
        f"the {animal} eats {food}" for animal in ("cat", "dog") for food in ("meat", "fish")
    ]
    sentences += [
        f"a {tool} cuts {stuff}" for tool in ("saw", "knife") for stuff in ("wood", "tin")
    ]
    text = "\n".join(sentences * 60).encode()
    model = trained(text, model=kind, loss=loss, epoch=30, t=1.0, ws=3, neg=5, rate=0.1, dim=16)
    names = model.dictionary.words.names()
    vectors = model.input.values / np.linalg.norm(model.input.values, axis=1, keepdims=True)
    cat, dog, saw = (vectors[names.index(name)] for name in ("cat", "dog", "saw"))
    assert cat @ dog > cat @ saw


def test_too_high_a_rate_is_an_error():
    with pytest.raises(TrainingError, match="learning rate 1e\\+20 is too high"):
        trained(rate=1e20, epoch=3)


def test_paths_lead_to_the_root():
    """Counts 4, 2, 1, 1: the two rarest share node 4, it and 2 share 5, that and 4 share 6.

    Of node 4 the right child is the one that is taken second; rows are nodes less the 4 leaves.
    """
    text = b"".join(b"__label__%b x\n" % name * count for name, count in
                    ((b"a", 4), (b"b", 2), (b"c", 1), (b"d", 1)))  # fmt: skip
    model = trained(text, loss="hs")
    path, turns, bounds = paths(model.tree, 4)
    ways = [path[a:b].tolist() for a, b in pairwise(bounds)]
    assert ways == [[2], [1, 2], [0, 1, 2], [0, 1, 2]]
    right = {0: model.tree[2].right, 1: model.tree[1].right, 2: model.tree[0].right}
    for label, (a, b) in enumerate(pairwise(bounds)):
        node = label
        for row, turn in zip(path[a:b], turns[a:b], strict=True):
            assert turn == (node in right[row])
            node = row + 4


def test_pretrained_vectors_are_begun_with():
    corpus = read_corpus(as_bytes(TEXT), 1, 0, "__label__", [b"saw", b"new"])
    vectors = [b"saw", b"new"], np.full((2, 4), 7, np.float32)
    arguments = Arguments(dim=4, model="supervised", loss="softmax", minn=0, maxn=0, bucket=0)
    model = train_model(corpus, arguments, Descent(0.01), vectors)
    rows = {name: model.input.values[i] for i, name in enumerate(model.dictionary.words.names())}
    assert rows["new"].tolist() == [7] * 4
    assert rows["saw"] == pytest.approx([7] * 4, abs=0.5)
    assert abs(rows["apple"]).max() < 1


def test_long_lines_without_labels_are_cut():
    corpus = read_corpus(as_bytes(b"a " * 2500), 1, 0, "__label__")
    assert training.cut_long_lines(corpus).tolist() == [0, 1024, 2048, 2500]
    shown: list[float] = []
    arguments = Arguments(dim=4, minn=0, maxn=0, bucket=0, epoch=2)
    train_model(corpus, arguments, Descent(progress=lambda done, rate, loss: shown.append(done)))
    assert shown == [0.5, 1.0]  # All of the text is read, twice.
