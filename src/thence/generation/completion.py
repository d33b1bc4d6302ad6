"""Completion: how a text goes on, by beam search or by drawing."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.errors import SettingError, TextError
from thence.evaluation.results import Listing
from thence.generation.bad_words import without_words
from thence.generation.beam import Beam, Continuation, beam_search, check_width
from thence.generation.filters import DecodingOptions
from thence.generation.sampling import Ids, draw, encode_prefix
from thence.models.base import LanguageModel
from thence.notebook import repr_html
from thence.printable import printable
from thence.runs.run import Run

DEFAULT_BEAM = 10
"""Width of the beam; wider where more completions are asked for."""


@dataclass(frozen=True)
class Completion:
    """One way in which a text may go on.

    Attributes:
        text: The text with its continuation.
        log_probability: Of the continuation after the text, in nats; its end included if finished.
        finished: Whether it ended by itself rather than at the greatest length.
    """

    text: str
    log_probability: float
    finished: bool


@dataclass(frozen=True)
class Completions(Listing[Completion]):
    """The ways in which a text may go on.

    Attributes:
        text: The text that was given.
        completions: The best first, or in the order they were drawn.
    """

    _repr_html_ = repr_html

    text: str
    completions: list[Completion]

    def items(self) -> list[Completion]:
        """Return ``completions``, over which this is iterated."""
        return self.completions

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        return asdict(self)

    def __str__(self) -> str:
        chances = [_probability(found.log_probability) for found in self.completions]
        width = max(map(len, chances))
        return "\n".join(
            f"{chance:<{width}}  {printable(found.text)}"
            for chance, found in zip(chances, self.completions, strict=True)
        )


def complete(
    run: Run | str | Path,
    text: str = "",
    count: int = 5,
    *,
    beam: int | None = None,
    length_penalty: float | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    max_length: int = 200,
    bad_words: Sequence[str] = (),
) -> Completions:
    """Continue a text that begins a document, to the document's end.

    The likeliest continuations are searched for with a beam. With any of ``temperature``,
    ``top_k``, ``top_p`` and ``seed`` they are drawn instead, as ``sample`` does.

    Args:
        run: The run or its folder.
        text: What has been written so far.
        count: How many completions; fewer come if the beam is narrower or no more are possible.
        beam: Width of the beam (default: 10, or the count if that is more); 1 is greedy.
        length_penalty: Rank by log-probability / length ** this (default 0, see ``beam_search``).
        temperature: Below 1 likelier tokens are preferred (default 1).
        top_k: Draw from the k likeliest tokens only.
        top_p: Draw from the fewest likeliest tokens that together have this probability.
        seed: The same seed draws the same continuations (default 0).
        max_length: Tokens to add at most.
        bad_words: Words that no continuation may complete; ``<unk>`` is the unknown symbol.

    Raises:
        SettingError: If a number is out of range, or both a search and a draw are asked for.
        TextError: If the model holds no continuation for possible.
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = run if isinstance(run, Run) else Run(run)
    drawing = any(given is not None for given in (temperature, top_k, top_p, seed))
    if drawing and not (beam is None and length_penalty is None):
        raise SettingError(
            "--beam and --length-penalty search for the likeliest continuations, while "
            "--temperature, --top-k, --top-p and --seed draw some; give only one kind."
        )
    options = DecodingOptions(1.0 if temperature is None else temperature, top_k, top_p)
    beam = max(DEFAULT_BEAM, count) if beam is None else beam
    penalty, seed = length_penalty or 0.0, seed or 0
    _check(count, beam, penalty, seed, max_length)
    prefix = encode_prefix(run, text)
    model = without_words(run, bad_words)
    if drawing:
        drawn = draw(model, prefix, count, max_length, options, seed)
        found = _scored(run.model, prefix, drawn)
    else:
        found = beam_search(model, prefix, beam, max_length, penalty)[:count]
    if not found:
        raise TextError(
            f"The model gives every continuation of {text!r} the probability 0; use one with "
            "smoothing."
        )
    return Completions(
        text, [Completion(_join(run, text, prefix, c.ids), c.score, c.finished) for c in found]
    )


def _check(count: int, beam: int, penalty: float, seed: int, max_length: int) -> None:
    for name, value in (("count", count), ("beam", beam), ("max-length", max_length)):
        if value < 1:
            raise SettingError(f"--{name} is {value}; it must be at least 1.")
    check_width(beam)
    if not 0 <= penalty < math.inf:
        raise SettingError(f"--length-penalty is {penalty}; it must be a number from 0 up.")
    if seed < 0:
        raise SettingError(f"--seed is {seed}; it must be 0 or above.")


def _scored(model: LanguageModel, prefix: Ids, drawn: Sequence[Ids]) -> list[Continuation]:
    """Return drawn continuations with the log-probability that the model gives them unfiltered."""
    boundary_id = model.vocabulary_size - 1
    start = Beam.after(model, prefix)
    return [
        Continuation(ids, float(start.read(ids).scores[0]), bool(ids[-1] == boundary_id))
        for ids in drawn
    ]


def _join(run: Run, text: str, prefix: Ids, ids: Ids) -> str:
    """Return a text, as it was written, with what follows it."""
    tokenizer, boundary_id = run.tokenizer, run.tokenizer.vocabulary.boundary_id
    whole = tokenizer.decode(np.concatenate([prefix, ids[ids != boundary_id]]))
    added = whole[len(tokenizer.decode(prefix)) :]
    if tokenizer.ends_in_space(text):
        added = added.removeprefix(" ")  # The space between two words is there already.
    return text + added


def _probability(log_probability: float) -> str:
    """Return a probability to show; of one too small for a float, the power of ten."""
    probability = math.exp(log_probability)
    if probability >= 1e-4:
        return f"{probability:.4f}"
    return f"{probability:.1e}" if probability else f"1e{log_probability / math.log(10):.0f}"
