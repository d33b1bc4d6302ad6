"""``score``: the log-probability of each text and of each of its tokens."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from thence.array_types import Float64
from thence.corpus import Documents, documents_of
from thence.evaluation.data import EvaluationData
from thence.evaluation.metrics import bits, finite
from thence.evaluation.unusual import Calibration, calibration_of
from thence.models.base import LanguageModel
from thence.results import Results, Score
from thence.runs.run import LanguageRun, Run, open_run
from thence.tokens import TokenStore

Display = tuple[int, str, Callable[[str], list[dict[str, Any]]] | None]
LINES_AT_ONCE = 1024
"""Documents whose JSON lines are written together: enough that the overhead per chunk is small."""
LINE = (
    b'{"text":%b,"log_probability":%b,"targets":%b,"nats_per_token":%b,"bits_per_byte":%b,'
    b'"unknown":%b'
)
"""Template of the JSON of a score, without its tokens and its closing brace."""


def score(
    run: Run | str | Path,
    texts: Documents | Iterable[str] | str,
    tokens: bool = False,
    static: bool = False,
    calibrate: bool = False,
) -> Results[Score]:
    """Return the score of each text, in order and one by one.

    Args:
        run: The run or its folder.
        texts: The texts, each a document of its own, or a single one.
        tokens: Add every token with its surprisal.
        static: Keep the model from adapting to the texts: caches are left out, and nothing goes on
            learning from one text to the next.
        calibrate: Add how unusual each text is beside the dev split, read by itself and without
            adapting (``thence.calibrate``).

    Returns:
        Dictionaries with ``text``, ``log_probability`` (natural logarithm; None if impossible),
        ``targets`` (its tokens and its end), ``nats_per_token``, ``bits_per_byte`` (the end counts
        as one byte), ``unknown`` (targets that are unknown symbols) and, if asked for, ``tokens``:
        each with ``token``, ``log_probability``, ``surprisal_bits`` and ``special``, whether it is
        none that a text spells (the boundary, the unknown symbol). If asked for, there is also
        ``more_unusual_than``, the share of the texts of the calibration that are less unusual.

    Raises:
        UnknownSymbolError: If the vocabulary is closed and a text leaves it.
        SettingError: If ``static`` leaves nothing of the model.
        TextError: If there is nothing to calibrate on.
    """
    run = open_run(run)
    if calibrate:
        documents, known = documents_of(texts), calibration_of(LanguageRun(run))
        return Results(unusual_scores(run, documents, known, tokens), len(documents))
    if not tokens and not static and (one := _score_of_one(run, texts)) is not None:
        return Results([one], 1)
    strings = texts if isinstance(texts, list) else None
    documents = documents_of(texts)
    model = EvaluationData(static=static).model(run)
    return Results(_scores(run, model, documents, strings or documents, tokens), len(documents))


def _score_of_one(run: Run, texts: Documents | Iterable[str] | str) -> Score | None:
    """Return the score of a single text by the run's ``text_scorer``, which skips the token store.

    None if the run has no such scorer, or the text cannot be scored by it.
    """
    text = texts[0] if isinstance(texts, list) and len(texts) == 1 else texts
    if not isinstance(text, str) or not isinstance(run, LanguageRun) or run.text_scorer is None:
        return None
    found = run.text_scorer(text)
    if found is None:  # Lone surrogates have no UTF-8 bytes.
        return None
    size = len(text) if text.isascii() else len(text.encode("utf-8"))
    if run.may_be_test_split(1, size):
        return None
    nats, targets = -found.log_prob, found.targets
    per_byte = bits(nats) / (size + 1)
    return _result(_display(run), text, -nats, targets, nats / targets, per_byte, found.unknown)


def _result(
    display: Display,
    text: str,
    log_prob: float,
    targets: int,
    per_token: float,
    per_byte: float,
    unknown: int,
) -> Score:
    """Return the result of a document; numbers that are infinite become None."""
    possible = log_prob > -math.inf
    line = Score(
        text=text,
        log_probability=log_prob if possible else None,
        targets=targets,
        nats_per_token=per_token if possible else None,
        bits_per_byte=per_byte if possible else None,
        unknown=unknown,
    )
    line.display = display
    return line


def _display(run: Run) -> Display:
    """Return the vocabulary size, separator and tokens for the display of a ``Score``."""
    separator = " " if run.tokenizer.options.tokens == "words" else ""
    tokens = None if run.recipe.training.carry_context else partial(_tokens_alone, run)
    return len(run.tokenizer.vocabulary), separator, tokens


def _tokens_alone(run: Run, text: str) -> list[dict[str, Any]]:
    """Return the tokens of a single text, scored without context."""
    found = _score_documents(run, run.model, Documents.from_strings([text]), alone=True)
    return next(_token_lists(run, found.store, found.scores))


@dataclass(frozen=True)
class _ScoredDocuments:
    """Scored documents.

    Attributes:
        store: Their tokens.
        scores: The log-probability of each target, in nats.
        columns: One array per number in a document's result, in the order of ``LINE``:
            log-probability, targets, nats per token, bits per byte, unknown targets.
    """

    store: TokenStore
    scores: Float64[np.ndarray, " targets"]
    columns: tuple[np.ndarray[Any, np.dtype[Any]], ...]


def _score_documents(
    run: Run, model: LanguageModel, documents: Documents, alone: bool = False
) -> _ScoredDocuments:
    """Score documents; with ``alone``, each without the context of those before it."""
    store = run.encode(documents, "score")
    carry_context = run.recipe.training.carry_context and not alone
    scores = model.score(store, carry_context).astype(np.float64, copy=False)
    log_probs = store.sum_by_document(scores)
    unknown = store.sum_by_document(run.tokenizer.vocabulary.are_unknown(store.targets))
    columns = (
        log_probs,
        store.target_counts,
        -log_probs / store.target_counts,
        -log_probs / math.log(2) / (store.byte_counts + 1),
        unknown.astype(np.int64),
    )
    return _ScoredDocuments(store, scores, columns)


def _scores(
    run: Run, model: LanguageModel, documents: Documents, texts: Iterable[str], tokens: bool
) -> Iterator[Score]:
    """Yield the score of each document; ``texts`` are the documents as strings."""
    yield from _results(run, _score_documents(run, model, documents), texts, tokens)


def unusual_scores(
    run: Run, documents: Documents, known: Calibration, tokens: bool = False
) -> Iterator[Score]:
    """Yield the score of each document, read by itself, and how unusual it is; see ``score``."""
    found = _score_documents(run, EvaluationData(static=True).model(run), documents, alone=True)
    log_probs, targets = found.columns[:2]
    shares = known.more_unusual_than(-log_probs, targets).tolist()
    for line, share in zip(_results(run, found, documents, tokens), shares, strict=True):
        line["more_unusual_than"] = share
        yield line


def _results(
    run: Run, found: _ScoredDocuments, texts: Iterable[str], tokens: bool
) -> Iterator[Score]:
    """Yield the result of each scored document, with its tokens if asked for."""
    columns = [column.tolist() for column in found.columns]
    lines = map(partial(_result, _display(run)), texts, *columns)
    if not tokens:
        yield from lines
        return
    for line, of_text in zip(lines, _token_lists(run, found.store, found.scores), strict=False):
        line["tokens"] = of_text
        yield line


def _token_lists(
    run: Run, store: TokenStore, scores: Float64[np.ndarray, " targets"]
) -> Iterator[list[dict[str, Any]]]:
    """Yield, for each document, the list of its targets with their log-probabilities."""
    vocabulary = run.tokenizer.vocabulary
    names, special = vocabulary.names(), vocabulary.first_special_id
    for first, last in pairwise((store.offsets - 1).tolist()):
        ids, log_probs = store.targets[first:last].tolist(), scores[first:last]
        columns = _json_numbers(log_probs), _json_numbers(-log_probs / math.log(2))
        yield [
            {
                "token": names[index],
                "log_probability": value,
                "surprisal_bits": surprisal,
                "special": index >= special,
            }
            for index, value, surprisal in zip(ids, *columns, strict=True)
        ]


def _json_numbers(values: Float64[np.ndarray, " numbers"]) -> list[float | None]:
    """Return the numbers as a list, None for those that are not finite."""
    numbers: list[float] = values.tolist()
    return [*numbers] if np.isfinite(values).all() else [finite(number) for number in numbers]


def score_lines(
    run: Run, documents: Documents, tokens: bool = False, static: bool = False
) -> Iterator[str]:
    """Yield the results of ``score`` as JSON lines, ``LINES_AT_ONCE`` documents per string.

    They are written straight from arrays: making a dictionary for each token would take most of
    the time.
    """
    found = _score_documents(run, EvaluationData(static=static).model(run), documents)
    bounds = found.store.offsets - 1
    line_of_tokens = _token_writer(run, found) if tokens else None
    for first in range(0, len(documents), LINES_AT_ONCE):
        part = slice(first, first + LINES_AT_ONCE)
        texts = documents.take(np.arange(len(documents))[part])
        columns = [_json_texts(column[part]) for column in found.columns]
        rows = zip(map(orjson.dumps, texts), *columns, strict=True)
        lines = [LINE % row for row in rows]
        if line_of_tokens is not None:
            ends = bounds[first : first + len(lines) + 1]
            token_lists = line_of_tokens(int(ends[0]), ends.tolist())
            lines = [b'%b,"tokens":[%b]' % pair for pair in zip(lines, token_lists, strict=True)]
        yield b"}\n".join([*lines, b""])[:-1].decode("utf-8")


class _TokenPrefixes(dict[int, bytes]):
    """The beginning of a token's JSON object by token id, made when it is first looked up."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __missing__(self, index: int) -> bytes:
        head = b'{"token":%b,"log_probability":' % orjson.dumps(self._names[index])
        return self.setdefault(index, head)


def _token_writer(run: Run, found: _ScoredDocuments) -> Callable[[int, list[int]], list[bytes]]:
    """Return a function that writes the tokens of documents as JSON.

    It takes the first target and the bounds of the documents, and returns a list of JSON objects,
    joined by commas, for each document.
    """
    vocabulary = run.tokenizer.vocabulary
    heads, special = _TokenPrefixes(vocabulary.names()), vocabulary.first_special_id
    tails = b',"special":false},', b',"special":true},'

    def write(first: int, ends: list[int]) -> list[bytes]:
        ids = found.store.targets[first : ends[-1]].tolist()
        log_probs = found.scores[first : ends[-1]]
        parts = zip(
            [heads[index] for index in ids],
            _json_texts(log_probs),
            repeat(b',"surprisal_bits":'),
            _json_texts(-log_probs / math.log(2)),
            [tails[index >= special] for index in ids],
            strict=False,
        )
        return [
            b"".join(chain.from_iterable(islice(parts, end - begin)))[:-1]
            for begin, end in pairwise(ends)
        ]

    return write


def _json_texts(values: np.ndarray[Any, np.dtype[Any]]) -> list[bytes]:
    """Return each number as JSON text, ``null`` where it is not finite."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[1:-1].split(b",")
