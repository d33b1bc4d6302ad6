"""The table of thence's own families. To add one: its file, and an entry here."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from thence.models.candidates import Candidate
from thence.models.registry import Family, Method, Task, add_built_in

SEQUENCES: Mapping[str, Any] = {"batch_size": 32, "lr": 0.004, "clip": 5.0, "optimizer": "adamw"}
"""Training settings of language models that read sequences, where none are given."""
DOCUMENTS: Mapping[str, Any] = {"batch_size": 50, "lr": 0.002, "clip": 5.0, "optimizer": "adamw"}
"""Training settings of classifiers that read sequences, where none are given."""


def _built_in(
    task: Task,
    name: str,
    method: Method,
    options: str,
    make: str,
    summary: str,
    inference: str = "",
    core: str = "",
    **facts: Any,
) -> Family:
    """Return the entry of a family of this package.

    Args:
        task: What it is for.
        name: What ``--model`` calls it.
        method: How it learns.
        options: The dataclass of its settings, ``module:name`` below ``thence.models``.
        make: The function or class that makes a model, likewise.
        summary: One line for help.
        inference: The same for a model without torch that is not trained, likewise.
        core: The class that trains it with the compiled core, likewise.
        facts: The other attributes of a ``Family``.
    """
    within = "thence.models."
    named = {"inference": inference, "core": core}
    facts |= {name: within + value for name, value in named.items() if value}
    return Family(name, task, method, within + options, within + make, summary, **facts)


_TFIDF: Mapping[str, Any] = {"weighting": "tfidf", "loss": "squared_hinge"}
_PLAIN: Mapping[str, Any] = {**_TFIDF, "naive_bayes": 0.0, "min_ngram_count": 1}
_CHARACTERS: Mapping[str, Any] = {"character_ngrams": (3, 5)}
_CENTROID: Mapping[str, Any] = {**_PLAIN, "loss": "centroid", "ngrams": 1}
_LATENT: Mapping[str, Any] = {"weighting": "tfidf", "ngrams": 1}
LATENT_DIMENSIONS = (20, 100)
"""Latent dimensions of the linear classifiers that ``thence best`` tries where it has unlabelled
text: few for long documents and topics, more for opinions in a sentence."""
LINEAR: Sequence[Mapping[str, Any]] = (
    _TFIDF,
    {**_PLAIN, "ngrams": 2},
    {**_TFIDF, **_CHARACTERS},
    {**_PLAIN, **_CHARACTERS},
    {"loss": "squared_hinge", **_CHARACTERS},
    {**_CENTROID, "character_ngrams": (3, 4, 5, 6)},
    _CENTROID,
)
"""Linear classifiers that ``thence best`` tries: with naive Bayes, which suits opinions, and
without, which suits topics; of words, which is fast, and of characters too. Together they do better
on all texts than any of them. The last two are for few documents."""


def _cache(seconds: float = 0.0, **options: Any) -> Candidate:
    """Return a cache model that ``thence best`` tries on running text, from some budget on."""
    return Candidate(seconds, place=1, options=options, running=True)


def _classes(classes: int, seconds: float = 0.0) -> Candidate:
    """Return an n-gram model of word classes that ``thence best`` tries, from some budget on."""
    options = {"classes": classes, "order": 4}
    return Candidate(seconds, place=1, options=options, compiled=True)


_language, _labels = partial(_built_in, "language"), partial(_built_in, "labels")
_recurrent = partial(
    _language,
    method="train",
    make="language.recurrent:create",
    inference="language.inference:recurrent",
    reads_sequences=True,
    training=SEQUENCES,
)
add_built_in([
    _language(
        "bigram-counts", "fit",
        "language.bigram_counts:BigramCountsOptions", "language.bigram_counts:BigramCounts",
        "counts of symbol pairs with add-k smoothing",
    ),
    _language(
        "ngram", "fit", "ngram:NGramOptions", "ngram:NGram",
        "counts of up to N symbols, smoothed: modified Kneser-Ney and others",
        # The highest orders are no better alone, but tell a mixture how well a context is known.
        candidates={
            "names": [Candidate(place=0, options={"order": order}) for order in (2, 3, 4, 5, 6, 7)],
            "characters": [
                Candidate(place=0, options={"order": order}) for order in (3, 4, 5, 6, 7, 9)
            ],
            "words": [Candidate(place=0, options={"order": order}) for order in (3, 5)],
        },
        fit_many="thence.models.ngram.model:fit_orders",
    ),
    _language(
        "class-ngram", "fit",
        "language.class_ngram:ClassNGramOptions", "language.class_ngram:ClassNGram",
        "n-grams of word classes that are learned from the text (Brown et al. 1992)",
        # Classes of several sizes gain beside each other. Few are learned in a second.
        candidates={
            "words": (
                _classes(100), _classes(100, 20), _classes(400, 20),
                _classes(100, 60), _classes(400, 60), _classes(1000, 60),
            ),
        },
    ),
    _language(
        "cache", "fit", "language.cache:CacheOptions", "language.cache:Cache",
        "counts of the last few hundred symbols; for mixing with others on running text",
        adapts=True,
        # The high orders tell a mixture how well a context is known from what was read. Words
        # come in bursts of several lengths, characters do not.
        candidates={
            "names": (_cache(order=6, length=1 << 16, discount=0.4),),
            "characters": (_cache(order=6, length=1 << 16, discount=0.4),),
            "words": (
                _cache(order=1), _cache(order=2), _cache(order=4, length=1 << 16, discount=0.4),
                _cache(20, order=1, length=100), _cache(20, order=3, discount=0.4),
                _cache(20, order=2, length=2000, discount=0.4),
                _cache(20, order=4, length=1 << 16, discount=0.4),
            ),
        },
    ),
    _language(
        "context-mixing", "fit",
        "language.context_mixing:ContextMixingOptions", "language.context_mixing:ContextMixing",
        "bit by bit, what many contexts say, mixed by a network that learns as it reads (PAQ)",
        adapts=True,
        # It knows characters best. Of words, with little time, it gains less than it takes from
        # learning the weights of the mixture.
        candidates={
            "names": (Candidate(place=2, compiled=True),),
            "characters": (Candidate(place=2, compiled=True),),
            "words": (Candidate(place=2, compiled=True, whole=True),),
        },
    ),
    _language(
        "bigram", "train", "language.options:BigramOptions", "language.bigram:create",
        "a network of one linear layer on a one-hot input: bigram counts, learned",
        inference="language.inference:bigram",
    ),
    _language(
        "mlp", "train", "language.options:MLPOptions", "language.mlp:create",
        "embeddings of a fixed window, tanh layers, softmax (Bengio et al. 2003)",
        inference="language.inference:mlp", window=True,
    ),
    _recurrent(
        "rnn", options="language.options:RNNOptions",
        summary="a recurrent network of tanh units (Elman 1990, Mikolov et al. 2010)",
    ),
    _recurrent(
        "lstm", options="language.options:LSTMOptions",
        summary="long short-term memory: a recurrent network with gates and cells",
        candidates={
            "names": (Candidate(4, place=0),),
            "characters": (Candidate(4, place=0),),
            "words": (Candidate(10, place=0), Candidate(200, place=0, options={"layers": 2})),
        },
        size="thence.models.language.recurrent:lstm_size",
    ),
    _recurrent(
        "gru", options="language.options:GRUOptions",
        summary="gated recurrent units: gates without cells",
    ),
    _language(
        "transformer", "train",
        "language.options:TransformerOptions", "language.transformer:create",
        "attention to the last places, layer upon layer (Vaswani et al. 2017)",
        reads_sequences=True, training=SEQUENCES,
    ),
    _language(
        "mixture", "combine", "language.members:MixtureOptions", "language.mixture:Mixture",
        "a weighted average of runs, made by thence mix",
    ),
    _labels(
        "averaging", "train", "labels.averaging:AveragingOptions",
        "labels.averaging_network:AveragingNetwork",
        "the mean of the embeddings of words and runs of words (fastText, deep averaging)",
        inference="labels.averaging:Averaging", core="labels.averaging_fit:AveragingFit",
        word_vectors=True, bags=True, epochs=2.0,
        training={"batch_size": 64, "lr": 0.2, "optimizer": "adagrad"},
        candidates={
            "labels": (
                Candidate(0, share=0.5, place=1),
                Candidate(15, share=1.0, place=1),
                Candidate(15, share=1.0, place=2, options={"ngrams": 3}),
            ),
        },
    ),
    _labels(
        "fasttext", "fit", "labels.fasttext:FastTextOptions", "labels.fasttext:FastText",
        "the classifier of fastText in its format: imported from its files, or trained here",
        training=DOCUMENTS,
    ),
    _labels(
        "finetuned", "train",
        "labels.options:FinetunedOptions", "labels.finetuned:FinetunedClassifier",
        "a language model trained here before, with a head on its states (ULMFiT)",
        reads_sequences=True, pretrained=True, truncates=True, epochs=4.0,
        training={**DOCUMENTS, "lr": 0.004},
    ),
    _labels(
        "linear", "fit", "labels.linear:LinearOptions", "labels.linear:Linear",
        "logistic regression or a support vector machine on runs of words (NBSVM, TF-IDF)",
        bags=True, unlabelled=True, training=DOCUMENTS,
        candidates={
            "labels": (
                *(
                    Candidate(place=place / 10, options=options)
                    for place, options in enumerate(LINEAR)
                ),
                *(
                    Candidate(
                        place=0.9, options={**_LATENT, "latent_dimensions": size}, unlabelled=True
                    )
                    for size in LATENT_DIMENSIONS
                ),
            ),
        },
    ),
    _labels(
        "ngram-bayes", "fit",
        "labels.ngram_bayes:NGramBayesOptions", "labels.ngram_bayes:NGramBayes",
        "an n-gram language model of each label, and Bayes' rule (Peng et al. 2004)",
        training=DOCUMENTS,
        candidates={"labels": (Candidate(place=0.05, options={"prune": (0, 1)}),)},
    ),
    _labels(
        "convolution", "train", "labels.options:ConvolutionOptions", "labels.convolution:create",
        "filters over a few words in a row, the largest of each (Kim 2014)",
        reads_sequences=True, word_vectors=True, truncates=True, epochs=6.0, training=DOCUMENTS,
        candidates={"labels": (Candidate(15, share=2.0, place=4, options={"adversarial": 0.0}),)},
    ),
    _labels(
        "recurrent", "train", "labels.options:RecurrentOptions", "labels.recurrent:create",
        "an LSTM or GRU that reads a document from both sides",
        reads_sequences=True, word_vectors=True, truncates=True, training=DOCUMENTS,
        candidates={
            "labels": (
                Candidate(15, share=2.0, place=3, options={"adversarial": 0.0, "max_length": 250}),
            ),
        },
    ),
    _labels(
        "ensemble", "combine", "labels.ensemble:EnsembleOptions", "labels.ensemble:Ensemble",
        "several runs of classifiers as one, made by thence mix",
        training=DOCUMENTS,
    ),
])  # fmt: skip
