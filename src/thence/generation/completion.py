"""What follows a text: the next token's distribution, and whole continuations.

Continuations come from a beam search, or are drawn as ``sample`` does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import Float, Integer
from thence.errors import SettingError, TextError
from thence.generation.beam import Beam, BeamWidth, Continuation, beam_search
from thence.generation.sampling import Ids, append, draw, encode_prefix, read_prefix
from thence.generation.sampling_filters import DecodingOptions, without_bad_words
from thence.models.base import LanguageModel
from thence.printable import printable, printable_symbol
from thence.results import Listing
from thence.runs import open_run
from thence.runs.run import Run
from thence.settings import NonNegativeFloat, NonNegativeInt, PositiveInt, validate
from thence.tokens import BOUNDARY, UNKNOWN

DEFAULT_BEAM = 10
"""Hypotheses kept by the search; more if more completions are asked for."""


@dataclass(frozen=True)
class NextTokens(Listing[tuple[str, float]]):
    """The most probable next tokens.

    Attributes:
        text: The text that they follow.
        tokens: Each token and its probability, the likeliest first.
        special: Those of the tokens that are not text: the boundary, the unknown symbol.
    """

    _listed = "tokens"

    text: str
    tokens: list[tuple[str, float]]
    special: frozenset[str] = frozenset((BOUNDARY, UNKNOWN))

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        tokens = [
            {"token": token, "probability": prob, "special": token in self.special}
            for token, prob in self.tokens
        ]
        return {"text": self.text, "next": tokens}

    def __str__(self) -> str:
        names = [
            token if token in self.special else printable_symbol(self.quoted(token))
            for token, _ in self.tokens
        ]
        width = max(map(len, names))
        return "\n".join(
            f"{name:<{width}}  {prob:.4f}  {'█' * round(prob * 40)}"
            for name, (_, prob) in zip(names, self.tokens, strict=True)
        )

    def quoted(self, token: str) -> str:
        """Return a token, in quotes if it is a word of the text spelled like a special symbol."""
        literal = token in (BOUNDARY, UNKNOWN) and token not in self.special
        return f'"{token}"' if literal else token


def next_tokens(run: Run | str | Path, text: str = "", count: int = 10) -> NextTokens:
    """Return the most probable tokens after a text that begins a document.

    Args:
        run: The run or its folder.
        text: What has been written so far; empty for the first token.
        count: How many tokens to return.

    Raises:
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = open_run(run)
    validate("count", count, PositiveInt)
    vocabulary = run.tokenizer.vocabulary
    log_probs, _ = read_prefix(run.model, encode_prefix(run, text), 1, vocabulary.boundary_id)
    likeliest = _likeliest(log_probs[0], count)
    names = vocabulary.names()
    # An imported model may give more than 1, and more than can be written.
    likely = np.exp(np.minimum(log_probs[0, likeliest], 0)).tolist()
    tokens = [(names[index], prob) for index, prob in zip(likeliest, likely, strict=True)]
    special = frozenset(names[index] for index in likeliest if vocabulary.is_special(int(index)))
    return NextTokens(text, tokens, special)


def _likeliest(
    log_probs: Float[np.ndarray, " vocab"], count: int
) -> Integer[np.ndarray, " chosen"]:
    """Return the ids of the highest values, the highest first; of equal ones the lower ids."""
    candidates = np.arange(len(log_probs))
    if count < len(log_probs):  # A sort of the whole vocabulary would take most of the time.
        least = np.partition(log_probs, -count)[-count]
        candidates = np.flatnonzero(log_probs >= least)
    order = np.argsort(-log_probs[candidates], kind="stable")
    return candidates[order[:count]]


@dataclass(frozen=True)
class Completion:
    """One continuation of a text.

    Attributes:
        text: The text with its continuation.
        log_probability: Log-probability of the continuation given the text, in nats; including its
            end if finished.
        finished: Whether it ended at a boundary rather than at ``max_length``.
    """

    text: str
    log_probability: float
    finished: bool


@dataclass(frozen=True)
class Completions(Listing[Completion]):
    """Continuations of a text.

    Attributes:
        text: The text that was given.
        completions: The best first, or in the order they were drawn.
    """

    _listed = "completions"

    text: str
    completions: list[Completion]

    def __str__(self) -> str:
        probs = [_format_probability(found.log_probability) for found in self.completions]
        width = max(map(len, probs))
        return "\n".join(
            f"{prob:<{width}}  {printable(found.text)}"
            for prob, found in zip(probs, self.completions, strict=True)
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
        text: The text so far.
        count: Number of completions; fewer if the beam is narrower or no more are possible.
        beam: Width of the beam (default: 10, or the count if that is more); 1 is greedy.
        length_penalty: Rank by log-probability / length ** this (default: 0, by probability).
        temperature: Below 1, probable tokens become more probable (default 1).
        top_k: Sample from the k most probable tokens only.
        top_p: Sample from the most probable tokens that together have this probability.
        seed: The same seed draws the same continuations (default 0).
        max_length: Tokens to add at most.
        bad_words: Words that no continuation may complete; ``<unk>`` is the unknown symbol.

    Raises:
        SettingError: If a number is out of range, or both a search and a draw are asked for.
        TextError: If every continuation has probability 0.
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = open_run(run)
    drawing = any(given is not None for given in (temperature, top_k, top_p, seed))
    if drawing and not (beam is None and length_penalty is None):
        raise SettingError(
            "`beam` and `length_penalty` search for the most probable continuations, while "
            "`temperature`, `top_k`, `top_p` and `seed` sample some; give only one kind."
        )
    options = DecodingOptions(1.0 if temperature is None else temperature, top_k, top_p)
    beam = max(DEFAULT_BEAM, count) if beam is None else beam
    penalty, seed = length_penalty or 0.0, seed or 0
    validate("count", count, PositiveInt)
    validate("beam", beam, BeamWidth)
    validate("max_length", max_length, PositiveInt)
    validate("length_penalty", penalty, NonNegativeFloat)
    validate("seed", seed, NonNegativeInt)
    prefix = encode_prefix(run, text)
    model = without_bad_words(run, bad_words)
    if drawing:
        drawn = draw(model, prefix, count, max_length, options, seed)
        found = _score_drawn(run.model, prefix, drawn)
    else:
        found = beam_search(model, prefix, beam, max_length, penalty)[:count]
    if not found:
        raise TextError(
            f"The model gives every continuation of {text!r} the probability 0; use one with "
            "smoothing."
        )
    return Completions(
        text, [Completion(append(run, text, prefix, c.ids), c.score, c.finished) for c in found]
    )


def _score_drawn(model: LanguageModel, prefix: Ids, drawn: Sequence[Ids]) -> list[Continuation]:
    """Return drawn continuations with the log-probability of the unfiltered model."""
    boundary_id = model.vocabulary_size - 1
    start = Beam.after(model, prefix)
    return [
        Continuation(ids, float(start.read(ids).scores[0]), bool(ids[-1] == boundary_id))
        for ids in drawn
    ]


def _format_probability(log_probability: float) -> str:
    """Return a probability as text; if it is too small for a float, as a power of ten."""
    probability = math.exp(min(log_probability, 0))  # An imported model may give more than 1.
    if probability >= 1e-4:
        return f"{probability:.4f}"
    return f"{probability:.1e}" if probability else f"1e{log_probability / math.log(10):.0f}"
