"""Filling in blanks with a model that reads from left to right.

Such a model cannot look at what follows a blank, but it can judge whole texts: of all fillings the
one is best that makes the whole text likeliest, so the text after a blank decides as much as the
text before. Where there are few candidates, all are judged, and the answer is exact. Where there
are too many, a beam finds likely ones: each blank is filled with the likeliest tokens so far, the
fixed text after it is read and counts, and so on. A filling whose first tokens look bad until the
text after it is read may be missed then. Either way, what was found is ranked at the end by the
log-probability of the whole text, the same that ``score`` gives.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.evaluation.results import Listing
from thence.generation.beam import NO_ID, Beam, check_width, join_beams
from thence.generation.filters import probabilities
from thence.generation.sampling import Ids, encode_prefix
from thence.models.base import LanguageModel
from thence.notebook import repr_html
from thence.printable import printable
from thence.runs.run import Run
from thence.tokens import Tokenizer

BLANK = "___"
"""Three underscores or more are a blank."""
EXACT = 8192
"""Up to so many candidates are all judged."""
DEFAULT_BEAM = 64
DEFAULT_COUNT = 5
LONGEST = 100
"""Tokens of a blank at most: what it takes grows with the square of it."""
LONGEST_PIECES = 8
"""Tokens of a blank at most by default, where tokens are less than words."""

Tokens = tuple[int, ...]
Allowed = Bool[np.ndarray, " vocab"]


@dataclass(frozen=True)
class Filling:
    """One way to fill the blanks.

    Attributes:
        blanks: What stands in each.
        text: The text with its blanks filled.
        share: Its probability among all that were found, from 0 to 1.
        log_probability: Of the whole text, in nats.
    """

    blanks: list[str]
    text: str
    share: float
    log_probability: float


@dataclass(frozen=True)
class Fillings(Listing[Filling]):
    """The best ways to fill the blanks of a text.

    Attributes:
        text: The text with its blanks.
        fillings: The best first.
        found: How many were judged; the shares of all of them add up to 1.
        exact: Whether those are all there are; else a beam found them.
    """

    _repr_html_ = repr_html

    text: str
    fillings: list[Filling]
    found: int
    exact: bool

    def items(self) -> list[Filling]:
        """Return ``fillings``, over which this is iterated."""
        return self.fillings

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        return asdict(self)

    def __str__(self) -> str:
        width = max(len(f"{found.log_probability:.2f}") for found in self.fillings)
        return "\n".join(
            f"{found.share:.4f}  {found.log_probability:{width}.2f}  {printable(found.text)}"
            for found in self.fillings
        )


def fill(
    run: Run | str | Path,
    text: str,
    count: int | None = None,
    *,
    among: Iterable[str] | None = None,
    longest: int | None = None,
    blank: str = BLANK,
    goes_on: bool = False,
    beam: int = DEFAULT_BEAM,
) -> Fillings:
    """Fill the blanks of a text that is a whole document.

    Exact where there are at most 8192 candidates, as for one blank of one word and a vocabulary up
    to that size; else a beam search, which may miss some.

    Args:
        run: The run or its folder.
        text: The text with its blanks.
        count: How many fillings to return at most (default: 5, or all of ``among``).
        among: Only these may stand in a blank, and all are judged; they may be several words. Of
            several blanks every combination is.
        longest: Tokens in each blank at most (default: 1 for words, else 8).
        blank: The mark that stands for a blank; ``___`` stands for three underscores or more.
        goes_on: The text is only the beginning of a document: its end does not count.
        beam: Width of the beam, where one is needed.

    Raises:
        SettingError: If a number is out of range or the mark is empty.
        TextError: If the text has no blank, one within a word, or the model holds no filling
            for possible.
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = run if isinstance(run, Run) else Run(run)
    tokenizer = run.tokenizer
    words = tokenizer.options.tokens == "words"
    if among is not None:
        if longest is not None:
            raise SettingError("--longest says how long what is looked for may be; leave it out.")
        return _fill_among(run, text, _candidates(among), count, split_blanks(text, blank), goes_on)
    count = DEFAULT_COUNT if count is None else count
    longest = (1 if words else LONGEST_PIECES) if longest is None else longest
    for name, value in (("count", count), ("longest", longest), ("beam", beam)):
        if value < 1:
            raise SettingError(f"--{name} is {value}; it must be at least 1.")
    check_width(beam)
    if longest > LONGEST:
        raise SettingError(f"--longest is {longest}; it must be at most {LONGEST}.")
    pieces = split_blanks(text, blank)
    if words:
        _check_apart(text, pieces, tokenizer)
    pieces, starts, allowed = _what_may_stand(tokenizer, pieces)
    number = prod(_number_of_runs(first, allowed, longest) for first in starts)
    candidates: Iterable[Sequence[Tokens]]
    if number <= EXACT:
        candidates = product(*(_runs(first, allowed, longest) for first in starts))
    else:
        ids = [encode_prefix(run, piece) for piece in pieces]
        candidates = _search(run.model, ids, starts, allowed, longest, beam)
    texts = _texts(tokenizer, pieces, candidates)
    fillings = _judge(run, texts, goes_on)
    if not fillings:
        raise TextError(
            f"No filling of {text!r} has a probability above 0; widen --beam, or use a model with "
            "smoothing."
        )
    return Fillings(text, fillings[:count], len(fillings), number <= EXACT)


def _candidates(among: Iterable[str]) -> list[str]:
    """Return what may stand in a blank, each once.

    Raises:
        SettingError: If there is nothing, or it is no text.
    """
    found = list(dict.fromkeys([among] if isinstance(among, str) else among))
    for candidate in found:
        if not isinstance(candidate, str) or not candidate.strip():
            raise SettingError(f"--among has {candidate!r}; what stands in a blank must be a text.")
    if not found:
        raise SettingError("--among is empty; name what may stand in the blank.")
    return found


def _fill_among(
    run: Run,
    text: str,
    candidates: Sequence[str],
    count: int | None,
    pieces: Sequence[str],
    goes_on: bool,
) -> Fillings:
    """Judge every way to fill the blanks with some of the candidates."""
    if count is not None and count < 1:
        raise SettingError(f"--count is {count}; it must be at least 1.")
    blanks = len(pieces) - 1
    if len(candidates) ** blanks > EXACT:
        raise SettingError(
            f"--among has {len(candidates):,} candidates for {blanks} blanks, which is more than "
            f"{EXACT:,} texts to judge; name fewer."
        )
    texts = {_joined(pieces, chosen): list(chosen) for chosen in product(candidates, repeat=blanks)}
    fillings = _judge(run, texts, goes_on)
    if not fillings:
        raise TextError(f"With none of the candidates {text!r} has a probability above 0.")
    return Fillings(text, fillings[:count], len(texts), exact=True)


def _joined(pieces: Sequence[str], blanks: Sequence[str]) -> str:
    """Return the text with its blanks filled."""
    return pieces[0] + "".join(b + piece for b, piece in zip(blanks, pieces[1:], strict=True))


def split_blanks(text: str, blank: str = BLANK) -> list[str]:
    """Return the pieces of text before, between and after the blanks.

    Raises:
        SettingError: If the mark is empty.
        TextError: If there is no blank.
    """
    if not blank:
        raise SettingError("--blank is empty; it must be the mark of a blank, such as ___.")
    pieces = re.split("_{3,}" if blank == BLANK else re.escape(blank), text)
    if len(pieces) == 1:
        raise TextError(
            f"There is no blank in {text!r}: write {blank} where something is missing, or name "
            "another mark with --blank."
        )
    return pieces


def _check_apart(text: str, pieces: Sequence[str], tokenizer: Tokenizer) -> None:
    """Refuse a blank that is only part of a word where tokens are words."""
    # A mark beside a word is a token of its own, but an apostrophe between letters is part of one.
    if tokenizer.options.word_split == "whitespace":
        beside = [*(piece[-1:] for piece in pieces[:-1]), *(piece[:1] for piece in pieces[1:])]
        touches = any(end and not tokenizer.is_space(end) for end in beside)
    else:
        touches = any(re.search(r"[^\W_]['’]?\Z", piece) for piece in pieces[:-1])
        touches = touches or any(re.match(r"['’]?[^\W_]", piece) for piece in pieces[1:])
    if touches or "" in pieces[1:-1]:
        raise TextError(
            f"A blank in {text!r} touches a word or another blank, but the tokens of this model "
            "are whole words; set spaces around it."
        )


def _what_may_stand(
    tokenizer: Tokenizer, pieces: Sequence[str]
) -> tuple[list[str], list[Allowed], Allowed]:
    """Return the pieces to read, what each blank may begin with, and what any may go on with.

    Unknown symbols, bytes beside other symbols and the boundary fill no blank. Subwords hold the
    space before them, so a space before a blank goes into the blank, which must begin with one.
    """
    vocabulary = tokenizer.vocabulary
    allowed = np.zeros(len(vocabulary), bool)
    allowed[: len(vocabulary.symbols) or vocabulary.boundary_id] = True
    pieces, starts = list(pieces), [allowed] * (len(pieces) - 1)
    if tokenizer.options.tokens == "subwords":
        spaced = np.char.startswith(np.array(vocabulary.names()), "Ġ")
        for place, piece in enumerate(pieces[:-1]):
            if piece.endswith(" "):
                pieces[place], starts[place] = piece[:-1], allowed & spaced
    return pieces, starts, allowed


def _number_of_runs(first: Allowed, allowed: Allowed, longest: int) -> int:
    begin, go_on = int(first.sum()), int(allowed.sum())
    return sum(begin * go_on**more for more in range(longest))


def _runs(first: Allowed, allowed: Allowed, longest: int) -> list[Tokens]:
    """Return every run of tokens that one blank may hold, shorter ones first."""
    begin, go_on = np.flatnonzero(first).tolist(), np.flatnonzero(allowed).tolist()
    return [run for more in range(longest) for run in product(begin, *[go_on] * more)]


def _search(
    model: LanguageModel,
    pieces: Sequence[Ids],
    starts: Sequence[Allowed],
    allowed: Allowed,
    longest: int,
    width: int,
) -> list[list[Tokens]]:
    """Find likely fillings of all blanks with a beam.

    In a blank the beam goes on token by token; the likeliest runs of each length all stay, until
    the piece after the blank has been read and tells which of them lead on.
    """
    beam = Beam.after(model, pieces[0])
    for first, piece in zip(starts, pieces[1:], strict=True):
        before, runs = beam.ids.shape[1], []
        for length in range(longest):
            best = beam.best(width, allowed if length else first)
            if len(best.rows) == 0:
                break
            beam = beam.extend(best)
            runs.append(beam)
        if not runs:
            return []
        beam = join_beams(runs).read(piece).widened(before + longest)
    blanks = beam.ids.reshape(len(beam.ids), len(starts), longest)
    return [[tuple(run[run != NO_ID].tolist()) for run in row] for row in blanks]


def _texts(
    tokenizer: Tokenizer, pieces: Sequence[str], candidates: Iterable[Sequence[Tokens]]
) -> dict[str, list[str]]:
    """Return the filled texts, and what each blank holds; no blank stays blank or broken."""
    shown: dict[Tokens, str] = {}
    texts = {}
    for candidate in candidates:
        for run in candidate:
            if run not in shown:
                shown[run] = tokenizer.decode(run)
        blanks = [shown[run] for run in candidate]
        if all(blank.strip() and "\ufffd" not in blank for blank in blanks):
            texts[_joined(pieces, blanks)] = [blank.strip() for blank in blanks]
    return texts


def _judge(run: Run, texts: dict[str, list[str]], goes_on: bool) -> list[Filling]:
    """Rank filled texts by their log-probability; impossible ones are left out."""
    store = run.tokenizer.encode(Documents.from_strings(texts))
    scores = run.model.score(store).astype(np.float64)
    if goes_on:
        scores[store.offsets[1:] - 2] = 0  # The boundary is the last target of each document.
    totals = store.sum_by_document(scores)
    order = np.argsort(-totals, kind="stable")
    order = order[np.isfinite(totals[order])]
    if len(order) == 0:
        return []
    shares: Float[np.ndarray, " found"] = probabilities(totals[None, order])[0]
    ranked = list(texts.items())
    return [
        Filling(ranked[place][1], ranked[place][0], float(share), float(totals[place]))
        for place, share in zip(order, shares, strict=True)
    ]
