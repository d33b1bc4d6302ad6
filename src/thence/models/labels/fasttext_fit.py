"""Training of the ``fasttext`` classifier: documents are written as lines of a train file.

A label is a word of the line with the prefix ``__label__``; white space in its name becomes ``_``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from thence.array_types import Float32, Int64
from thence.corpus.documents import Labels
from thence.errors import SettingError
from thence.models.fasttext.contents import Arguments, Dictionary, Entries, FastTextModel
from thence.models.fasttext.corpus import read_corpus
from thence.models.fasttext.features import LABEL
from thence.models.fasttext.training import Descent, train_model
from thence.tokens import Texts, TokenOptions
from thence.tokens.characters import strings
from thence.tokens.tokenizer import normalized_chunks

MARKED = re.compile(rf"(?<![^\s\0]){LABEL.decode()}\S*|\n")
"""Matches what fastText would read as a label or the end of a line within a text."""
SPACES = re.compile(r"[\s\0]+")


def fit_fasttext(
    texts: Texts,
    labels: Labels,
    sample_weight: Float32[np.ndarray, " documents"],
    settings: Mapping[str, Any],
    rate: float,
) -> tuple[FastTextModel, Int64[np.ndarray, " labels"]]:
    """Return a model trained on labelled texts, and the class of each of its labels.

    Args:
        texts: The train documents.
        labels: Their labels.
        sample_weight: The weight of each document; all must be equal.
        settings: Settings of ``Arguments``.
        rate: The initial learning rate.

    Raises:
        SettingError: If fastText has no such setting.
    """
    check_settings(texts.tokenizer.options, sample_weight)
    names = label_words(labels)
    lines = "".join(lines_of(texts, labels)).encode("utf-8")
    least = texts.tokenizer.options.min_count
    corpus = read_corpus(np.frombuffer(lines, np.uint8), least, 1, LABEL.decode())
    arguments = Arguments(min_count=least, **settings)
    model = train_model(corpus, arguments, Descent(rate))
    found = model.dictionary
    classes = [int(word.removeprefix(LABEL)) for word in found.labels.encoded()]
    named = Entries.of([names[place] for place in classes], found.labels.counts)
    dictionary = Dictionary(found.words, named, found.num_tokens)
    return replace(model, dictionary=dictionary), np.array(classes, np.int64)


def check_settings(options: TokenOptions, sample_weight: Float32[np.ndarray, " documents"]) -> None:
    """Raise an error for settings that fastText would silently ignore.

    Raises:
        SettingError: Names the setting.
    """
    if options.tokens != "words":
        raise SettingError(
            f"`tokens` is {options.tokens!r}, but fastText reads words; its runs of characters are "
            "`shortest_subword` and `longest_subword`."
        )
    if options.max_size is not None:
        raise SettingError(
            f"`max_size` is {options.max_size}, but a dictionary of fastText is limited by "
            "`min_count` alone."
        )
    if len(np.unique(sample_weight)) > 1:
        raise SettingError(
            "`class_weights`: fastText lets each document count alike; leave it out, or use "
            "`model='averaging'`."
        )


def label_words(labels: Labels) -> list[str]:
    """Return each label as a word of fastText: the prefix and the name without white space.

    Raises:
        SettingError: If two labels would be the same word.
    """
    words: dict[str, str] = {}
    for name in labels.names:
        word = LABEL.decode() + SPACES.sub("_", name)
        if word in words:
            raise SettingError(
                f"The labels {words[word]!r} and {name!r} are both {word!r} in a file of fastText, "
                "where white space ends a label; rename one."
            )
        words[word] = name
    return list(words)


def lines_of(texts: Texts, labels: Labels) -> Iterator[str]:
    """Yield each document as a line that begins with its labels, written as their indexes."""
    place = 0
    for chunk in normalized_chunks(texts.documents, texts.tokenizer.options):
        for text in strings(chunk):
            own = labels.ids[labels.offsets[place] : labels.offsets[place + 1]].tolist()
            marks = "".join(f"{LABEL.decode()}{label} " for label in own)
            yield f"{marks}{MARKED.sub(' ', text)}\n"
            place += 1
