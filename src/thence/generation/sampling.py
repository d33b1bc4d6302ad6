"""Sampling: whole documents drawn from a model, many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from thence.corpus import Documents
from thence.errors import DownloadError, SettingError, TextError, nearest
from thence.evaluation.results import Listing
from thence.generation.bad_words import without_words
from thence.generation.filters import DecodingOptions, LogProbs, apply_filters, probabilities
from thence.models.base import LanguageModel, State
from thence.models.batched_forward import read
from thence.models.states import take_rows
from thence.notebook import repr_html
from thence.printable import printable
from thence.runs.run import Run
from thence.tokens import TokenStore

Ids = Integer[np.ndarray, " _"]
READ_AT_ONCE = 64
"""Ids of a prefix read at once, which bounds the memory."""
DRAWN_AT_ONCE = 256
"""Places of each text for which random numbers are drawn at once: 2 kB a text."""


@dataclass(frozen=True)
class Samples(Listing[str]):
    """Texts drawn from a model.

    Attributes:
        texts: The texts, their prefix included.
        finished: Whether each ended by itself rather than at the greatest length.
        copies: How many are copies of whole train documents; None where the train text cannot
            be read any more.
        unknown: How many tokens of each are the unknown symbol; its text shows ``<unk>`` for it
            where tokens are words, and U+FFFD where they are characters.
    """

    _repr_html_ = repr_html

    texts: list[str]
    finished: list[bool]
    copies: int | None
    unknown: list[int] = field(default_factory=list)

    def items(self) -> list[str]:
        """Return ``texts``, over which this is iterated."""
        return self.texts

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        return {
            "texts": self.texts,
            "finished": self.finished,
            "copies": self.copies,
            "unknown": self.unknown,
        }

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
        seed: The same seed gives the same texts, and its text number i is the same whatever
            ``count`` is.
        bad_words: Words that no text may hold; ``<unk>`` is the unknown symbol.
        **decoding: ``temperature``, ``top_k``, ``top_p``, ``greedy`` (see ``DecodingOptions``).

    Raises:
        SettingError: If a number is out of range.
        UnknownSymbolError: If the vocabulary is closed and the prefix leaves it.
    """
    run = run if isinstance(run, Run) else Run(run)
    if count < 1 or max_length < 1:
        raise SettingError(
            f"--count is {count} and --max-length {max_length}; both must be at least 1."
        )
    if seed < 0:
        raise SettingError(f"--seed is {seed}; it must be 0 or above.")
    known = [item.name for item in fields(DecodingOptions)]
    for name in decoding:
        if name not in known:
            raise SettingError(f"There is no setting '{name}' for sampling." + nearest(name, known))
    options = DecodingOptions(**decoding)
    prefix_ids = encode_prefix(run, prefix)
    running = run.recipe.training.carry_context
    model = without_words(run, bad_words)
    drawn = draw(model, prefix_ids, count, max_length, options, seed, through=running)
    boundary = run.tokenizer.vocabulary.boundary_id
    whole = [np.concatenate([prefix_ids, ids]) for ids in drawn]
    texts = [_decode(run, ids) for ids in whole]
    finished = [bool(len(ids) and ids[-1] == boundary) for ids in drawn]
    unknown_id = run.tokenizer.vocabulary.unknown_id
    unknown = [0 if unknown_id is None else int(np.sum(ids == unknown_id)) for ids in whole]
    return Samples(texts, finished, _count_copies(run, whole), unknown)


def encode_prefix(run: Run, prefix: str) -> Ids:
    """Return the ids of a prefix, without boundaries."""
    return run.tokenizer.encode(Documents.from_strings([prefix])).document(0).astype(np.int64)


def unknown_symbols(run: Run, text: str) -> int:
    """Return how many tokens of a text the model reads as the unknown symbol."""
    unknown_id = run.tokenizer.vocabulary.unknown_id
    return 0 if unknown_id is None else int(np.sum(encode_prefix(run, text) == unknown_id))


def read_prefix(
    model: LanguageModel, prefix: Ids, count: int, boundary_id: int
) -> tuple[Any, State]:
    """Read the boundary and a prefix; return what follows in each of ``count`` rows, and states."""
    ids, state = np.concatenate([[boundary_id], prefix])[None], model.start(1)
    for first in range(0, ids.shape[1], READ_AT_ONCE):
        log_probs, state = read(model, ids[:, first : first + READ_AT_ONCE], state, last=True)
    rows = np.zeros(count, np.int64)
    return log_probs[rows, 0], take_rows(state, rows)


def draw(
    model: LanguageModel,
    prefix: Ids,
    count: int,
    max_length: int,
    options: DecodingOptions,
    seed: int,
    through: bool = False,
) -> list[Ids]:
    """Draw token ids after a prefix until the boundary.

    Args:
        model: Gives the distributions.
        prefix: Ids to begin with, without boundaries.
        count: How many sequences, drawn side by side.
        max_length: Tokens of each at most.
        options: How each token is chosen.
        seed: Of the draws; each sequence has a generator of its own (see ``text_generator``).
        through: Go on after the boundary, as running text does.

    Returns:
        The ids of each sequence after its prefix, the closing boundary included where it came.
    """
    boundary_id = model.vocabulary_size - 1
    generators = [text_generator(seed, index) for index in range(count)]
    log_probs, state = read_prefix(model, prefix, count, boundary_id)
    chosen = np.full((count, max_length), boundary_id)
    lengths = np.full(count, max_length)
    for place in range(max_length):
        if place % DRAWN_AT_ONCE == 0:
            more = min(DRAWN_AT_ONCE, max_length - place)
            uniforms = np.stack([generator.random(more) for generator in generators])
        chosen[:, place] = choose_at(log_probs, options, uniforms[:, place % DRAWN_AT_ONCE])
        ended = (chosen[:, place] == boundary_id) & (lengths == max_length) & (not through)
        lengths[ended] = place + 1
        if np.all(lengths <= place + 1) or place == max_length - 1:
            break
        log_probs, state = model.step(chosen[:, place], state)
    return [ids[:length] for ids, length in zip(chosen, lengths, strict=True)]


def text_generator(seed: int, index: int) -> np.random.Generator:
    """Return the random numbers of one of the texts of a seed.

    No two pairs of seed and index share a stream: ``SeedSequence`` mixes both into the state, as it
    does for the generators that it spawns (https://numpy.org/doc/stable/reference/random/parallel.html).
    ``seed + index`` would make text 1 of seed 1 text 0 of seed 2.

    Args:
        seed: From 0 up.
        index: The number of the text, from 0.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def choose(
    log_probs: LogProbs, options: DecodingOptions, generator: np.random.Generator
) -> Integer[np.ndarray, " batch"]:
    """Choose one token per row, all with numbers of one generator (see ``choose_at``)."""
    return choose_at(log_probs, options, generator.random(len(log_probs)))


def choose_at(
    log_probs: LogProbs, options: DecodingOptions, uniforms: Float[np.ndarray, " batch"]
) -> Integer[np.ndarray, " batch"]:
    """Choose one token per row: the likeliest, or that of a random number.

    Args:
        log_probs: Of what may follow, a row for each text.
        options: How to choose.
        uniforms: A number from 0 up to but not including 1 for each row: the token is the first
            at which the cumulative filtered probability exceeds it.
    """
    if options.greedy:
        likeliest: Integer[np.ndarray, " batch"] = log_probs.argmax(axis=1)
        return likeliest
    cumulative = np.cumsum(probabilities(apply_filters(log_probs, options)), axis=1)
    thresholds = uniforms[:, None] * cumulative[:, -1:]
    first_above: Integer[np.ndarray, " batch"] = (cumulative > thresholds).argmax(axis=1)
    return first_above


def _decode(run: Run, ids: Ids) -> str:
    boundary = run.tokenizer.vocabulary.boundary_id
    ends = np.flatnonzero(ids == boundary)
    pieces = [piece[piece != boundary] for piece in np.split(ids, ends)]
    texts = [run.tokenizer.decode(piece.tolist()) for piece in pieces]
    return "\n".join(texts[:-1] if len(ends) and ends[-1] == len(ids) - 1 else texts)


def _count_copies(run: Run, drawn: list[Ids]) -> int | None:
    try:
        train = run.store("train")
    except (TextError, DownloadError):
        return None
    boundary = run.tokenizer.vocabulary.boundary_id
    documents = [ids[:-1] if len(ids) and ids[-1] == boundary else ids for ids in drawn]
    # Running text keeps its boundaries within: several documents are no copy of any one of them.
    return sum(_occurs(train, ids) for ids in documents)


def _occurs(store: TokenStore, ids: Ids) -> bool:
    """Whether a store holds a document of exactly these ids."""
    rows = np.flatnonzero(store.target_counts == len(ids) + 1)
    found = store.ids[store.offsets[rows][:, None] + np.arange(len(ids))]
    return bool(np.all(found == ids, axis=1).any())
