"""Sampling: documents drawn from a model, many as one batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import Float, Integer
from thence.corpus import Documents
from thence.deadline import check_deadline
from thence.errors import DownloadError, SettingError, TextError, nearest
from thence.generation.sampling_filters import (
    DecodingOptions,
    LogProbs,
    apply_filters,
    without_bad_words,
)
from thence.mapped import release
from thence.models.base import LanguageModel, State, read, take_rows
from thence.printable import printable
from thence.results import Listing
from thence.runs import open_run
from thence.runs.run import Run
from thence.settings import NonNegativeInt, PositiveInt, validate

Ids = Integer[np.ndarray, " _"]
PREFIX_CHUNK = 64
"""Ids of a prefix per forward pass, which bounds the memory of intermediate states."""
UNIFORMS_AT_ONCE = 256
"""Random numbers drawn per text at a time: 2 kB per text, and few calls of its generator."""
CELLS_AT_ONCE = 1 << 20
"""Cells of the matrix of next-token probabilities (texts, V) per batch: 8 MB, more than enough to
be fast."""
DOCUMENTS_AT_ONCE = 1 << 16
"""Train documents that texts are compared with at a time: their offsets take 8 MB."""
FEW_LEFT = 0.75
"""Finished texts are removed from the batch when this share or less is left: copying the states of
the others costs about as much as a step."""


@dataclass(frozen=True)
class Samples(Listing[str]):
    """Texts drawn from a model.

    Attributes:
        texts: The texts, their prefix included as it was given.
        finished: Whether each ended at a boundary rather than at ``max_length``.
        copies: Number of copies of whole train documents; None if the train text can no longer be
            read.
        unknown: Number of unknown symbols in each; the text shows one as ``<unk>`` if tokens are
            words, and as U+FFFD if they are characters.
        copied: Whether each is a copy of a whole train document; empty if ``copies`` is None.
    """

    _listed = "texts"

    texts: list[str]
    finished: list[bool]
    copies: int | None
    unknown: list[int] = field(default_factory=list)
    copied: list[bool] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the texts, safe to print: control characters are shown as codes."""
        return printable("\n".join(self.texts))


def sample(
    run: Run | str | Path,
    count: int = 20,
    *,
    prefix: str = "",
    max_length: int = 200,
    seed: int = 0,
    bad_words: Sequence[str] = (),
    **decoding: Any,
) -> Samples:
    """Draw texts from a run's best model.

    Args:
        run: The run or its folder.
        count: How many texts.
        prefix: How each begins.
        max_length: Tokens to draw at most.
        seed: The same seed gives the same texts; text i does not depend on ``count``.
        bad_words: Words that no text may contain; ``<unk>`` is the unknown symbol.
        **decoding: ``temperature``, ``top_k``, ``top_p``, ``greedy`` (see ``DecodingOptions``).

    Raises:
        SettingError: If a number is out of range.
        UnknownSymbolError: If the vocabulary is closed and the prefix leaves it.
    """
    run = open_run(run)
    validate("count", count, PositiveInt)
    validate("max_length", max_length, PositiveInt)
    validate("seed", seed, NonNegativeInt)
    known = [item.name for item in fields(DecodingOptions)]
    for name in decoding:
        if name not in known:
            raise SettingError(
                f"There is no setting `{name}` for sampling." + nearest(name, known, "`")
            )
    options = DecodingOptions(**decoding)
    prefix_ids = encode_prefix(run, prefix)
    model = without_bad_words(run, bad_words)
    running_text = run.recipe.training.carry_context
    drawn = draw(model, prefix_ids, count, max_length, options, seed, past_boundary=running_text)
    boundary = run.tokenizer.vocabulary.boundary_id
    whole = [np.concatenate([prefix_ids, ids]) for ids in drawn]
    texts = [append(run, prefix, prefix_ids, ids) for ids in drawn]
    finished = [bool(len(ids) and ids[-1] == boundary) for ids in drawn]
    unknown = [int(run.tokenizer.vocabulary.are_unknown(ids).sum()) for ids in whole]
    copied = _are_copies(run, whole)
    copies = None if copied is None else sum(copied)
    return Samples(texts, finished, copies, unknown, copied or [])


def encode_prefix(run: Run, prefix: str) -> Ids:
    """Return the ids of a prefix, without boundaries."""
    return run.tokenizer.encode(Documents.from_strings([prefix])).document(0).astype(np.int64)


def unknown_symbols(run: Run, text: str) -> int:
    """Return the number of unknown symbols among the tokens of a text."""
    return int(run.tokenizer.vocabulary.are_unknown(encode_prefix(run, text)).sum())


def read_prefix(
    model: LanguageModel, prefix: Ids, count: int, boundary_id: int
) -> tuple[Any, State]:
    """Read the boundary and a prefix once, and copy the result to ``count`` rows.

    Returns:
        Log-probabilities (count, V) of the next token, and the state of as many rows.
    """
    ids, state = np.concatenate([[boundary_id], prefix])[None], model.start(1)
    for first in range(0, ids.shape[1], PREFIX_CHUNK):
        log_probs, state = read(model, ids[:, first : first + PREFIX_CHUNK], state, last=True)
    rows = np.zeros(count, np.int64)
    return log_probs[rows, 0], take_rows(state, rows)


def draw(
    model: LanguageModel,
    prefix: Ids,
    count: int,
    max_length: int,
    options: DecodingOptions,
    seed: int,
    past_boundary: bool = False,
) -> list[Ids]:
    """Draw token ids after a prefix until the boundary.

    Args:
        model: The language model.
        prefix: Ids to begin with, without boundaries.
        count: Number of sequences.
        max_length: Maximum number of tokens of each.
        options: How each token is chosen.
        seed: Seed of the draws; each sequence has its own generator (see ``text_generator``).
        past_boundary: Continue after the boundary, as running text does.

    Returns:
        The ids of each sequence after its prefix, including the closing boundary if it was drawn.
    """
    boundary_id = model.vocabulary_size - 1
    log_probs, state = read_prefix(model, prefix, 1, boundary_id)
    at_once = max(1, CELLS_AT_ONCE // model.vocabulary_size)
    drawn: list[Ids] = []
    for begin in range(0, count, at_once):
        generators = [
            text_generator(seed, row) for row in range(begin, min(begin + at_once, count))
        ]
        copies = np.zeros(len(generators), np.int64)
        after = log_probs[copies], take_rows(state, copies)
        end = None if past_boundary else boundary_id
        drawn += _draw_rows(model, after, generators, max_length, options, end)
    return drawn


def _draw_rows(
    model: LanguageModel,
    after: tuple[LogProbs, State],
    generators: Sequence[np.random.Generator],
    max_length: int,
    options: DecodingOptions,
    end: int | None,
) -> list[Ids]:
    """Draw ids as one batch, a row per generator, until each row has drawn the id ``end``."""
    log_probs, state = after
    rows = np.arange(len(generators))  # The rows in the batch.
    chosen = np.zeros((len(rows), max_length), np.int64)
    lengths = np.full(len(rows), max_length)
    for position in range(max_length):
        check_deadline()
        if position % UNIFORMS_AT_ONCE == 0:
            more = min(UNIFORMS_AT_ONCE, max_length - position)
            uniforms = np.stack([generator.random(more) for generator in generators])
        ids = choose_at(log_probs, options, uniforms[rows, position % UNIFORMS_AT_ONCE])
        chosen[rows, position] = ids
        ended = (ids == end) & (lengths[rows] == max_length)
        lengths[rows[ended]] = position + 1
        unfinished = np.flatnonzero(lengths[rows] > position + 1)
        if not len(unfinished):
            break
        if len(unfinished) <= FEW_LEFT * len(rows):
            rows, ids, state = rows[unfinished], ids[unfinished], take_rows(state, unfinished)
        log_probs, state = model.step(ids, state)
    return [ids[:length] for ids, length in zip(chosen, lengths, strict=True)]


def text_generator(seed: int, index: int) -> np.random.Generator:
    """Return the random number generator of text number ``index`` of a seed.

    No two pairs of seed and index share a stream: ``SeedSequence`` mixes both into the state, as it
    does for the generators that it spawns (https://numpy.org/doc/stable/reference/random/parallel.html).
    With ``seed + index``, text 1 of seed 1 would equal text 0 of seed 2.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def choose(
    log_probs: LogProbs, options: DecodingOptions, generator: np.random.Generator
) -> Integer[np.ndarray, " batch"]:
    """Choose one token per row with random numbers of one generator (see ``choose_at``)."""
    return choose_at(log_probs, options, generator.random(len(log_probs)))


def choose_at(
    log_probs: LogProbs, options: DecodingOptions, uniforms: Float[np.ndarray, " batch"]
) -> Integer[np.ndarray, " batch"]:
    """Choose one token per row: the likeliest, or by inverting the cumulative distribution.

    Args:
        log_probs: Log-probabilities of the next token, a row for each text.
        options: How to choose.
        uniforms: A number in [0, 1) for each row: the token is the first at which the cumulative
            filtered probability exceeds it.
    """
    if options.greedy:
        likeliest: Integer[np.ndarray, " batch"] = log_probs.argmax(axis=1)
        return likeliest
    filtered = apply_filters(log_probs, options)
    cumulative = np.subtract(filtered, filtered.max(axis=1, keepdims=True), dtype=np.float64)
    np.exp(cumulative, out=cumulative)
    np.cumsum(cumulative, axis=1, out=cumulative)
    thresholds = uniforms[:, None] * cumulative[:, -1:]
    first_above: Integer[np.ndarray, " batch"] = (cumulative > thresholds).argmax(axis=1)
    return first_above


def append(run: Run, text: str, prefix: Ids, ids: Ids) -> str:
    """Return a text, spelled as it was given, followed by the text of ids.

    Args:
        run: The run.
        text: The text.
        prefix: Its ids.
        ids: Those that follow it.
    """
    added = _decode(run, np.concatenate([prefix, ids]))[len(run.tokenizer.decode(prefix)) :]
    if run.tokenizer.ends_in_space(text):
        added = added.removeprefix(" ")  # The text has the space between the two words already.
    return text + added


def _decode(run: Run, ids: Ids) -> str:
    """Return the text of ids, one line per document."""
    boundary, decode = run.tokenizer.vocabulary.boundary_id, run.tokenizer.decode
    whole = ids.tolist()
    if whole and whole[-1] == boundary:
        del whole[-1]
    if boundary not in whole:
        return decode(whole)
    parts = np.split(whole, np.flatnonzero(np.equal(whole, boundary)))
    return "\n".join(decode(part[part != boundary]) for part in parts)


def _are_copies(run: Run, drawn: list[Ids]) -> list[bool] | None:
    """Return whether each sequence equals a whole train document; None without a train text."""
    try:
        train = run.store("train")
    except (TextError, DownloadError):
        return None
    boundary = run.tokenizer.vocabulary.boundary_id
    documents = [ids[:-1] if len(ids) and ids[-1] == boundary else ids for ids in drawn]
    # In running text the inner boundaries stay, so only a single document can match.
    lengths = [len(ids) + 1 for ids in documents]
    wanted = {ids.astype(train.ids.dtype).tobytes() for ids in documents}
    known, size, data = set(), train.ids.itemsize, train.ids.view(np.uint8).data
    for first in range(0, train.num_documents, DOCUMENTS_AT_ONCE):
        bounds = train.offsets[first : first + DOCUMENTS_AT_ONCE + 1]
        some = np.flatnonzero(np.isin(np.diff(bounds), lengths))
        starts, ends = bounds[some] * size, (bounds[some + 1] - 1) * size
        places = zip(starts.tolist(), ends.tolist(), strict=True)
        known |= wanted.intersection(bytes(data[a:b]) for a, b in places)
        release(train.ids, train.offsets)
    return [ids.astype(train.ids.dtype).tobytes() in known for ids in documents]
