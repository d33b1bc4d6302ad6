"""``look``: a text as a model reads it, token by token, and the results of lenses."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.evaluation.classify import classify
from thence.evaluation.data import EvaluationData
from thence.evaluation.explain import explain
from thence.inspection.lenses import (
    FOLLOWING,
    choose_label_lenses,
    choose_lenses,
    label_lenses_of,
    lenses_of,
)
from thence.inspection.result import LabelLook, Look, MemberPrediction
from thence.inspection.spans import split_lines, token_spans
from thence.inspection.subject import Subject, find_token, is_by_lines
from thence.inspection.tokens import Tokens
from thence.models.base import Adapts
from thence.models.labels.ensemble import Ensemble
from thence.runs import ClassifierRun, LanguageRun, open_run
from thence.runs.run import Run
from thence.settings import NonNegativeInt, validate
from thence.tokens import encode_texts

MOST_CELLS = 1 << 22
"""Places times vocabulary size, at most, if ``places`` is not given: some hundred places of a large
vocabulary."""
MOST_PLACES = 1000
"""Places shown at most if ``places`` is not given."""


def look(
    run: Run | str | Path,
    text: str,
    *,
    lenses: Iterable[str] | None = None,
    top: int = 10,
    places: tuple[int, int] | None = None,
    label: str | None = None,
    against: str | None = None,
    static: bool = False,
) -> Look | LabelLook:
    """Look inside a model while it reads a text.

    Args:
        run: The run or its folder.
        text: The beginning of a document, or a whole one.
        lenses: What to show of each token (``Look.available`` has the names); by default what
            costs little. None at all leaves the surprisal of each token.
        top: How many of the most probable tokens to list at each place.
        places: First of the tokens to show in full, and the one after the last, counted from 0;
            by default from the first on, as many as cost little. All have their surprisal.
        label: Of a classifier: explain this label instead of the most probable one.
        against: Of the lens ``why``: another token; it then shows what made each token likelier
            than this one would have been in its place.
        static: Keep the model from adapting to the text: caches are left out.

    Raises:
        SettingError: If the run has no such lens, label or token, or ``places`` are none of the
            text.
        TextError: If this is no text.
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = open_run(run)
    if not isinstance(text, str):
        raise TextError(f"`text` is of the type {type(text).__name__}; it must be one text (str).")
    validate("top", top, NonNegativeInt)
    if isinstance(run, ClassifierRun):
        return look_at_labels(run, text, label, lenses)
    if label is not None:
        raise SettingError(f"`label` is for classifiers, but {run.name} is a language model.")
    return _look(run, text, lenses, top, places, against, static)


def _look(
    run: LanguageRun,
    text: str,
    lenses: Iterable[str] | None,
    top: int,
    places: tuple[int, int] | None,
    against: str | None,
    static: bool,
) -> Look:
    """Return the look of a language model; see ``look``."""
    chosen = choose_lenses(run, lenses)
    other = None if against is None else find_token(run, against)
    by_lines = is_by_lines(run)
    lines = split_lines(text, by_lines, run.recipe.reading.keep_empty)
    store = run.encode(Documents.from_strings(lines.texts), "look")
    spans = token_spans(run.tokenizer, lines, store)
    model = EvaluationData(static=static).model(run)
    first, stop = _places(places, len(spans), model.vocabulary_size)
    subject = Subject(run, model, text, store, spans, first, stop, top, other)
    shown = {lens.name: lens(subject) for lens in chosen}
    at = shown.pop(FOLLOWING, {})
    after = at.pop(subject.size, None)
    vocabulary, ids = run.tokenizer.vocabulary, subject.ids[:-1]
    empty = np.flatnonzero(spans[:, 0] == spans[:, 1]).tolist()
    names = {place: subject.token_text(int(ids[place])) for place in empty}
    special = vocabulary.boundary_id, vocabulary.unknown_id
    return Look(
        run.name,
        run.recipe.model,
        text,
        by_lines,
        subject.carries,
        model.adapting if isinstance(model, Adapts) else (),
        model.vocabulary_size,
        Tokens(text, ids, spans, subject.log_probs[:-1], names, *special, at),
        -float(subject.log_probs[-1]) / math.log(2) + 0.0,
        after,
        (first, stop),
        tuple(lens.name for lens in lenses_of(run)),
        shown,
    )


def _places(places: tuple[int, int] | None, size: int, vocabulary_size: int) -> tuple[int, int]:
    """Return the first place to show and the one after the last, within a text of ``size`` tokens.

    Raises:
        SettingError: If ``places`` is not a range.
    """
    if places is None:
        return 0, min(size, MOST_PLACES, max(1, MOST_CELLS // vocabulary_size))
    first, stop = places
    if not 0 <= first <= stop:
        raise SettingError(
            f"`places` is {first}, {stop}; it must be the first token and the one after the last, "
            "counted from 0."
        )
    return min(first, size), min(stop, size)


def look_at_labels(
    run: ClassifierRun, text: str, label: str | None = None, lenses: Iterable[str] | None = None
) -> LabelLook:
    """Return a text as a classifier reads it; see ``look``."""
    chosen = choose_label_lenses(run, lenses)
    explained = explain(run, text, label)
    (found,) = classify(run, [text], top=len(run.label_names))
    return LabelLook(
        run.name,
        run.recipe.model,
        text,
        explained.label,
        found.probabilities,
        explained.tokens,
        _members(run, text),
        found.nothing_known,
        run.classes.multilabel,
        tuple(lens.name for lens in label_lenses_of(run)),
        {lens.name: lens(run, text, explained.label) for lens in chosen},
    )


def _members(run: ClassifierRun, text: str) -> tuple[MemberPrediction, ...]:
    """Return the probabilities by each member of an ensemble; empty for other classifiers."""
    model = run.classifier
    if not isinstance(model, Ensemble):
        return ()
    texts = encode_texts(run.tokenizer, Documents.from_strings([text]))
    said = (np.exp(one.classify(texts)[0].astype(np.float64)) for one in model.members)
    return tuple(
        MemberPrediction(name, weight, dict(zip(run.label_names, chances.tolist(), strict=True)))
        for name, weight, chances in zip(
            model.options.names, model.weights.tolist(), said, strict=True
        )
    )
