"""Infilling: blanks filled by a model that reads from left to right.

Such a model cannot condition on the text after a blank, but it can score whole texts: the best
filling is the one that makes the whole text likeliest, so both sides of a blank count. If there are
few candidates, all are scored and the answer is exact. Otherwise a beam search proposes some: each
blank is filled with the likeliest tokens given the text before it, then the fixed text after it is
read and scored, and so on. It may miss a filling whose first tokens look unlikely until the text
after the blank is read. Either way, fillings are ranked by the log-probability of the whole text,
as ``score`` gives it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated

import numpy as np

from thence.array_types import Bool
from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.generation.beam import NO_ID, Beam, BeamWidth, join_beams
from thence.generation.sampling import Ids, encode_prefix
from thence.generation.sampling_filters import softmax
from thence.models.base import LanguageModel
from thence.printable import printable
from thence.results import Listing
from thence.runs import open_run
from thence.runs.run import Run
from thence.settings import PositiveInt, Range, validate
from thence.tokens import Tokenizer

BLANK = "___"
"""Default mark of a blank: stands for three underscores or more."""
MAX_EXACT = 8192
"""Up to this many candidates, all are scored rather than searched with a beam."""
DEFAULT_BEAM = 64
"""Partial fillings that a search keeps at each token."""
DEFAULT_COUNT = 5
"""Fillings that are returned."""
MAX_LONGEST = 100
"""Maximum tokens in a blank: the time of a search grows with their square."""
DEFAULT_LONGEST_PIECES = 8
"""Default maximum tokens in a blank if tokens are less than words."""

Tokens = tuple[int, ...]
Allowed = Bool[np.ndarray, " vocab"]


@dataclass(frozen=True)
class Filling:
    """One way to fill the blanks.

    Attributes:
        blanks: The content of each blank.
        text: The text with its blanks filled.
        share: Its probability divided by the sum over all fillings that were scored, 0 to 1.
        log_probability: Log-probability of the whole text, in nats.
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
        found: Number of fillings that were scored; the shares of all of them sum to 1.
        exact: Whether these are all candidates; else a beam search proposed them.
    """

    _listed = "fillings"

    text: str
    fillings: list[Filling]
    found: int
    exact: bool

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
    max_exact: int = MAX_EXACT,
) -> Fillings:
    """Fill the blanks of a text that is a whole document.

    Exact if there are at most ``max_exact`` candidates, as for one blank of one word and a
    vocabulary up to that size; else a beam search, which may miss some.

    Args:
        run: The run or its folder.
        text: The text with its blanks.
        count: How many fillings to return at most (default: 5, or all of ``among``).
        among: Score only these candidates, which may be several words each; with several blanks,
            every combination of them.
        longest: Tokens in each blank at most (default: 1 for words, else 8).
        blank: The mark that stands for a blank; ``___`` stands for three underscores or more.
        goes_on: The text is only the beginning of a document: its end does not count.
        beam: Width of the beam, if one is needed.
        max_exact: Up to this many candidates, all are scored.

    Raises:
        SettingError: If a number is out of range or the mark is empty.
        TextError: If the text has no blank, one within a word, or every filling has probability 0.
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = open_run(run)
    if among is None:
        count = DEFAULT_COUNT if count is None else count
        is_words = run.tokenizer.options.tokens == "words"
        default_longest = 1 if is_words else DEFAULT_LONGEST_PIECES
        longest = default_longest if longest is None else longest
        validate("count", count, PositiveInt)
        validate("beam", beam, BeamWidth)
        validate("longest", longest, Annotated[int, Range(ge=1, le=MAX_LONGEST)])
        texts, exact = _propose(run, text, split_blanks(text, blank), longest, beam, max_exact)
    elif longest is not None:
        raise SettingError(
            "`longest` limits a search, and `among` names all candidates; leave one out."
        )
    else:
        candidates = _check_candidates(among)
        validate("count", count, PositiveInt | None)
        texts, exact = _combine(candidates, split_blanks(text, blank), max_exact), True
    fillings = _rank(run, texts, goes_on)
    if not fillings and among is not None:
        raise TextError(f"With none of the candidates {text!r} has a probability above 0.")
    if not fillings:
        raise TextError(
            f"No filling of {text!r} has a probability above 0; widen `beam`, or use a model with "
            "smoothing."
        )
    found = len(fillings) if among is None else len(texts)
    return Fillings(text, fillings[:count], found, exact)


def split_blanks(text: str, blank: str = BLANK) -> list[str]:
    """Return the pieces of text before, between and after the blanks.

    Raises:
        SettingError: If the mark is empty.
        TextError: If there is no blank.
    """
    if not blank:
        raise SettingError("`blank` is empty; it must be the mark of a blank, such as ___.")
    pieces = re.split("_{3,}" if blank == BLANK else re.escape(blank), text)
    if len(pieces) == 1:
        raise TextError(
            f"There is no blank in {text!r}: write {blank} where something is missing, or name "
            "another mark with `blank`."
        )
    return pieces


def _check_candidates(among: Iterable[str]) -> list[str]:
    """Return the candidates without repetitions; SettingError if there are none, or blank ones."""
    candidates = list(dict.fromkeys([among] if isinstance(among, str) else among))
    for candidate in candidates:
        if not isinstance(candidate, str) or not candidate.strip():
            raise SettingError(f"`among` has {candidate!r}; what fills a blank must be a text.")
    if not candidates:
        raise SettingError("`among` is empty; name what may fill the blank.")
    return candidates


def _combine(
    candidates: Sequence[str], pieces: Sequence[str], max_exact: int
) -> dict[str, list[str]]:
    """Return the text of every combination of candidates, with the content of its blanks."""
    blanks = len(pieces) - 1
    if len(candidates) ** blanks > max_exact:
        raise SettingError(
            f"`among` has {len(candidates):,} candidates for {blanks} blanks, which is more than "
            f"{max_exact:,} texts to score; name fewer."
        )
    return {_join(pieces, chosen): list(chosen) for chosen in product(candidates, repeat=blanks)}


def _join(pieces: Sequence[str], blanks: Sequence[str]) -> str:
    """Return the text with its blanks filled."""
    return pieces[0] + "".join(b + piece for b, piece in zip(blanks, pieces[1:], strict=True))


def _propose(
    run: Run, text: str, pieces: Sequence[str], longest: int, beam: int, max_exact: int
) -> tuple[dict[str, list[str]], bool]:
    """Return filled texts with the contents of their blanks, and whether these are all candidates.

    It enumerates all token sequences if these are at most ``max_exact``, else uses a beam search.
    """
    tokenizer = run.tokenizer
    if tokenizer.options.tokens == "words":
        _check_separate(text, pieces, tokenizer)
    pieces, firsts, allowed = _allowed_tokens(tokenizer, pieces)
    # A blank holds 1 to `longest` tokens: one that may begin it, then any of the allowed ones.
    sizes = [
        sum(int(first.sum()) * int(allowed.sum()) ** more for more in range(longest))
        for first in firsts
    ]
    candidates: Iterable[Sequence[Tokens]]
    exact = prod(sizes) <= max_exact
    if exact:
        candidates = product(*(_sequences(first, allowed, longest) for first in firsts))
    else:
        ids = [encode_prefix(run, piece) for piece in pieces]
        candidates = _beam_fill(run.model, ids, firsts, allowed, longest, beam)
    return _decode(tokenizer, pieces, candidates), exact


def _check_separate(text: str, pieces: Sequence[str], tokenizer: Tokenizer) -> None:
    """Raise TextError for a blank that touches a word or another blank; for tokens of words."""
    # A punctuation mark is a token of its own, but an apostrophe between letters is part of a word.
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


def _allowed_tokens(
    tokenizer: Tokenizer, pieces: Sequence[str]
) -> tuple[list[str], list[Allowed], Allowed]:
    """Return the pieces to read, and masks of the tokens that may fill blanks.

    The unknown symbol, the boundary, and single bytes beside other symbols are not allowed.

    Returns:
        The pieces; a mask of the first tokens of each blank; a mask of the tokens after the first.
    """
    vocabulary = tokenizer.vocabulary
    allowed = np.zeros(len(vocabulary), bool)
    allowed[: len(vocabulary.symbols) or vocabulary.boundary_id] = True
    pieces, firsts = list(pieces), [allowed] * (len(pieces) - 1)
    if tokenizer.options.tokens == "subwords":
        # Subwords include the space before them, so a space before a blank moves into the blank.
        spaced = np.char.startswith(np.array(vocabulary.names()), "Ġ")
        for place, piece in enumerate(pieces[:-1]):
            if piece.endswith(" "):
                pieces[place], firsts[place] = piece[:-1], allowed & spaced
    return pieces, firsts, allowed


def _sequences(first: Allowed, allowed: Allowed, longest: int) -> list[Tokens]:
    """Return every token sequence that one blank may hold, shorter ones first."""
    begin, rest = np.flatnonzero(first).tolist(), np.flatnonzero(allowed).tolist()
    return [ids for more in range(longest) for ids in product(begin, *[rest] * more)]


def _beam_fill(
    model: LanguageModel,
    pieces: Sequence[Ids],
    firsts: Sequence[Allowed],
    allowed: Allowed,
    longest: int,
    width: int,
) -> list[list[Tokens]]:
    """Propose fillings of all blanks with a beam search.

    Within a blank the beam grows token by token, and hypotheses of every length are kept until the
    piece after the blank has been read, which adds to their scores.
    """
    beam = Beam.after(model, pieces[0])
    for first, piece in zip(firsts, pieces[1:], strict=True):
        before, by_length = beam.ids.shape[1], list[Beam]()
        for length in range(longest):
            best = beam.best(width, allowed if length else first)
            if len(best.rows) == 0:
                break
            beam = beam.extend(best)
            by_length.append(beam)
        if not by_length:
            return []
        beam = join_beams(by_length).read(piece).padded(before + longest)
    blanks = beam.ids.reshape(len(beam.ids), len(firsts), longest)
    return [[tuple(ids[ids != NO_ID].tolist()) for ids in row] for row in blanks]


def _decode(
    tokenizer: Tokenizer, pieces: Sequence[str], candidates: Iterable[Sequence[Tokens]]
) -> dict[str, list[str]]:
    """Return the filled texts with the contents of their blanks, without empty or broken ones."""
    decoded: dict[Tokens, str] = {}
    texts = {}
    for candidate in candidates:
        for ids in candidate:
            if ids not in decoded:
                decoded[ids] = tokenizer.decode(ids)
        blanks = [decoded[ids] for ids in candidate]
        if all(blank.strip() and "\ufffd" not in blank for blank in blanks):
            texts[_join(pieces, blanks)] = [blank.strip() for blank in blanks]
    return texts


def _rank(run: Run, texts: dict[str, list[str]], goes_on: bool) -> list[Filling]:
    """Return the fillings by falling log-probability, without those of probability 0."""
    store = run.tokenizer.encode(Documents.from_strings(texts))
    scores = run.model.score(store).astype(np.float64)
    if goes_on:
        scores[store.offsets[1:] - 2] = 0  # The boundary is the last target of each document.
    totals = store.sum_by_document(scores)
    order = np.argsort(-totals, kind="stable")
    order = order[np.isfinite(totals[order])]
    if len(order) == 0:
        return []
    shares = softmax(totals[None, order])[0]
    filled = list(texts.items())
    return [
        Filling(filled[place][1], filled[place][0], float(share), float(totals[place]))
        for place, share in zip(order, shares, strict=True)
    ]
