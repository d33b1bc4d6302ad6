"""Language models of each label under Bayes' rule, by numbers worked by hand."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from thence.corpus.documents import Labels
from thence.errors import SettingError
from thence.models.base import Classes
from thence.models.labels.ngram_bayes import MAX_TABLES, NGramBayes, NGramBayesOptions
from thence.models.ngram import NGram, NGramOptions
from thence.tokens import Texts

Read = Callable[[Sequence[str]], Texts]
ORDERED = ["a b a b", "a b", "b a b a", "b a"] * 5


def labels_of(names: Sequence[str]) -> Labels:
    return Labels.from_lists([[name] for name in names], multilabel=False)


def fitted(
    texts: Texts, labels: Labels, classes: Classes | None = None, order: int = 3, dev: bool = True
) -> NGramBayes:
    kinds = classes or Classes(2)
    model = NGramBayes(NGramBayesOptions(order), len(texts.tokenizer.vocabulary), kinds)
    model.fit(texts, labels, np.ones(len(texts), np.float32), (texts, labels) if dev else None)
    return model


@pytest.fixture
def ordered(read: Read) -> tuple[Texts, Labels]:
    """Documents that begin with a or with b, of equally many of both."""
    return read(ORDERED), labels_of([text[0] for text in ORDERED])


def test_logits_are_log_probabilities_by_language_models(read: Read) -> None:
    texts, labels = read(["a b c", "a b d", "c a", "d d d"]), labels_of(["x", "x", "x", "y"])
    model = fitted(texts, labels)
    size, temperature = len(texts.tokenizer.vocabulary), float(model.tensors()["temperature"])
    models = [NGram(NGramOptions(3), size) for _ in range(2)]
    models[0].fit(texts.store.take(np.array([0, 1, 2])))
    models[1].fit(texts.store.take(np.array([3])))
    question = read(["d a b"])
    # Three tokens and the end are 4 targets. One document more than there are of each label:
    # p(x) = 4/6 and p(y) = 2/6.
    evidence = [one.score(question.store).sum() / 2 / temperature for one in models]
    odds = evidence[0] + math.log(4 / 6) - evidence[1] - math.log(2 / 6)
    log_probs = model.classify(question)[0]
    assert log_probs[0] - log_probs[1] == pytest.approx(odds, rel=1e-5)


def test_an_order_of_two_sees_what_counts_of_tokens_do_not(ordered: tuple[Texts, Labels]) -> None:
    texts, labels = ordered
    single = fitted(texts, labels, order=1).classify(texts)
    np.testing.assert_allclose(single, math.log(0.5), atol=1e-5)
    np.testing.assert_array_equal(
        fitted(texts, labels, order=2).classify(texts).argmax(1), labels.single
    )


def test_without_dev_the_temperature_is_that_of_held_out_documents(read: Read) -> None:
    random = np.random.default_rng(0)
    texts = read([" ".join(random.choice(list("abcdefgh"), 9)) for _ in range(60)])
    labels = labels_of(random.permutation(["x", "y"] * 30).tolist())
    # Each document is learned by heart, and says nothing of others.
    assert np.exp(fitted(texts, labels).classify(texts)).max() > 0.99
    assert np.exp(fitted(texts, labels, dev=False).classify(texts)).max() < 0.7


def test_documents_of_weight_0_are_left_out(ordered: tuple[Texts, Labels]) -> None:
    texts, labels = ordered
    kept = np.arange(2, len(texts))
    names = [labels.names[at] for at in labels.single]
    less = texts.take(kept), labels_of([names[at] for at in kept])
    weights = np.ones(len(texts), np.float32)
    weights[:2] = 0
    model, other = (
        NGramBayes(NGramBayesOptions(), len(texts.tokenizer.vocabulary), Classes(2)) for _ in "12"
    )
    model.fit(texts, labels, weights, dev=less)
    other.fit(*less, np.ones(len(kept), np.float32), dev=less)
    np.testing.assert_array_equal(model.classify(texts), other.classify(texts))


def test_a_label_without_documents_is_possible_and_unlikely(
    ordered: tuple[Texts, Labels],
) -> None:
    texts, labels = ordered
    more = Labels((*labels.names, "c"), labels.ids, labels.offsets)
    probabilities = np.exp(fitted(texts, more, Classes(3)).classify(texts))
    assert np.all(probabilities[:, 2] > 0)
    assert np.all(probabilities[:, 2] < 0.1)


def test_refitted_to_other_texts_it_keeps_its_temperature(ordered: tuple[Texts, Labels]) -> None:
    texts, labels = ordered
    model, half = fitted(texts, labels), np.arange(10)
    part = Labels(labels.names, labels.ids[half], np.arange(11))
    again = model.refitted(texts.take(half), part, np.ones(10, np.float32))
    assert again.tensors()["temperature"] == model.tensors()["temperature"]
    assert again.num_parameters() <= model.num_parameters()


def test_several_labels_are_judged_by_themselves(read: Read) -> None:
    names = [["a"], ["b"], ["a", "b"], []] * 5
    texts = read([" ".join([*some, "c"]) for some in names])
    labels = Labels.from_lists(names, multilabel=True)
    likely = fitted(texts, labels, Classes(2, multilabel=True)).classify(texts) > math.log(0.5)
    np.testing.assert_array_equal(likely, labels.matrix() > 0)


def test_too_many_models_are_refused() -> None:
    with pytest.raises(
        SettingError, match=r"1,000 language models of 40,001 tokens .* `model=.linear.`"
    ):
        NGramBayes(NGramBayesOptions(), MAX_TABLES // 1000 + 1, Classes(1000))


def test_unknown_tokens_say_nothing(read: Read) -> None:
    # The label y has less text, so that an unknown token is more probable under it.
    texts, labels = read(["a b c d e a b c d e"] * 8 + ["f z"]), labels_of([*"xxxxxxxx", "y"])
    model = fitted(texts, labels)
    few, many = model.classify(read(["unheard of", "unheard of " * 500]))
    np.testing.assert_allclose(few, many, atol=1e-5)
    # Known tokens count as before, wherever unknown ones are.
    assert model.classify(read(["f " + "unheard " * 50]))[0, 1] > few[1]
