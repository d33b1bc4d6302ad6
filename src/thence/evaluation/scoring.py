"""Scoring texts: the log-probability of each document, and of each of its tokens."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thence.corpus import Documents, documents_of
from thence.evaluation.results import Results, Score
from thence.evaluation.units import bits, finite
from thence.runs.run import Run, open_run


def score(
    run: Run | str | Path, texts: Documents | Iterable[str] | str, tokens: bool = False
) -> Results[Score]:
    """Return the score of each text, in order and one by one.

    Args:
        run: The run or its folder.
        texts: The texts, each a document of its own, or a single one.
        tokens: Add every token with its surprisal.

    Returns:
        Dictionaries with ``text``, ``log_probability`` (natural logarithm; None if impossible),
        ``targets`` (its tokens and its end), ``nats_per_token``, ``bits_per_byte`` (the end counts
        as one byte), ``unknown`` (targets that are unknown symbols) and, if asked for, ``tokens``:
        each with ``token``, ``log_probability``, ``surprisal_bits`` and ``special``, whether it is
        none that a text spells (the boundary, the unknown symbol).

    Raises:
        UnknownSymbolError: If the vocabulary is closed and a text leaves it.
    """
    run = open_run(run)
    documents = documents_of(texts)
    return Results(_scores(run, documents, tokens), len(documents))


def _scores(run: Run, documents: Documents, tokens: bool) -> Iterator[Score]:
    vocabulary = run.tokenizer.vocabulary
    names, unknown_id = vocabulary.names(), vocabulary.unknown_id
    separator = " " if run.tokenizer.options.tokens == "words" else ""
    carry_context = run.recipe.training.carry_context
    store = run.encode(documents, "score")
    scores = run.model.score(store, carry_context).astype(np.float64)
    sums = store.sum_by_document(scores)
    for index, text in enumerate(documents):
        place = slice(store.offsets[index] - 1, store.offsets[index + 1] - 1)
        ids = store.targets[place]
        nats = -float(sums[index])
        line: dict[str, Any] = {
            "text": text,
            "log_probability": finite(-nats),
            "targets": len(ids),
            "nats_per_token": finite(nats / len(ids)),
            "bits_per_byte": finite(bits(nats) / (int(store.byte_counts[index]) + 1)),
            "unknown": 0 if unknown_id is None else int(np.sum(ids == unknown_id)),
        }
        if tokens:
            line["tokens"] = [
                {
                    "token": names[token],
                    "log_probability": finite(float(value)),
                    "surprisal_bits": finite(bits(-float(value))),
                    "special": vocabulary.is_special(int(token)),
                }
                for token, value in zip(ids, scores[place], strict=True)
            ]
        yield Score(line, len(names), separator)
