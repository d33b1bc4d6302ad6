"""The lens ``units``: units that correlate with features of the text, such as being inside quotes.

For each feature (``character_features``), the units with the largest correlation are selected on
the first half of a text, and their correlation is measured on the second half: among hundreds of
units some correlate with anything by chance, but not on held-out text. Source: A. Karpathy, J.
Johnson and L. Fei-Fei 2015, "Visualizing and understanding recurrent networks".
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from thence.array_types import Float64
from thence.corpus import Documents
from thence.errors import ThenceError
from thence.inspection.distributions import truncate_store
from thence.inspection.hidden import after_tokens, gates_and_cells, units_of
from thence.inspection.networks import networks_of
from thence.inspection.spans import Lines, token_spans
from thence.inspection.subject import Subject
from thence.inspection.tracing import Trace
from thence.models.base import Array

VOWELS = frozenset("aeiouyæøœαεηιουωаеёиоуыэюяіїєاويىאהוי")
"""Vowel letters without diacritics: Latin, Greek, Cyrillic, Arabic and Hebrew."""
OPENING = {"(": ")", "[": "]", "{": "}", "<": ">", "（": "）", "「": "」", "『": "』", "【": "】"}
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "‹": "›"}
"""Opening and closing quotation marks; no single quotes, which are apostrophes as often."""
Values = Float64[np.ndarray, " characters"]


def character_features(text: str) -> dict[str, Values]:
    """Return features of each character of a document, by name, from the text up to it.

    Kinds of characters are 1 or 0; positions count from 1.
    """
    kinds = {name: _each(text, test) for name, test in KINDS.items()}
    return {
        **kinds,
        "place in the document": np.arange(1.0, len(text) + 1),
        "place in the line": _since(text, lambda character: character == "\n"),
        "place in the word": _since(text, lambda character: not character.isalnum()),
        "inside quotes": _inside(text, QUOTES),
        "inside brackets": _inside(text, OPENING),
    }


def _is_vowel(character: str) -> bool:
    return unicodedata.normalize("NFD", character.lower())[:1] in VOWELS


KINDS: dict[str, Callable[[str], bool]] = {
    "a vowel": _is_vowel,
    "an upper-case letter": str.isupper,
    "a digit": str.isdigit,
    "white space": str.isspace,
    "punctuation": lambda character: unicodedata.category(character)[0] == "P",
}


def _each(text: str, test: Callable[[str], bool]) -> Values:
    known = {character: float(test(character)) for character in set(text)}
    return np.array([known[character] for character in text], np.float64)


def _since(text: str, test: Callable[[str], bool]) -> Values:
    """Return the distance from each character to the last that passes a test, 0 for itself."""
    passes = _each(text, test) > 0
    places = np.arange(1, len(text) + 1)
    counted: Values = (places - np.maximum.accumulate(np.where(passes, places, 0))).astype(float)
    return counted


def _inside(text: str, pairs: dict[str, str]) -> Values:
    """Return 1 from an opening mark to before its closing mark; an empty line closes it too."""
    inside, found, closing = np.zeros(len(text)), False, ""
    for place, character in enumerate(text):
        ends = character == "\n" and text[place - 1 : place] == "\n"
        if found and (character == closing or ends):
            found = False
        elif not found and character in pairs:
            found, closing = True, pairs[character]
        inside[place] = found
    return inside


ENOUGH = 1000
"""Length of a text in tokens from which on it is used itself; for a shorter one, dev is."""
MOST_CHARACTERS = 4000
"""Characters of dev that are read: half a second with most networks."""
MOST_TOKENS = 4000
"""Tokens of the text that are read."""
LEAST = 60
"""Fewest tokens to estimate correlations from."""
OCCURRENCES = 5
"""Tokens in each half that must have a feature, and lack it, for a correlation to be estimated."""
BEST = 3
"""Units that are shown for each feature."""
WEAK = 0.3
"""Smallest absolute correlation that is shown."""


@dataclass(frozen=True)
class TrackingUnit:
    """A unit whose activation correlates with a feature of the text.

    Attributes:
        feature: Name of the feature.
        layer: Name of the unit's layer.
        unit: Its index, from 0.
        correlation: Correlation with the feature on held-out text, from -1 to 1.
    """

    feature: str
    layer: str
    unit: int
    correlation: float


@dataclass(frozen=True)
class TrackingUnits:
    """The units that correlate with features of a text.

    Attributes:
        about: Which text was read, in words.
        units: The best units for each feature, features with the largest correlation first.
    """

    about: str
    units: tuple[TrackingUnit, ...]


def units(subject: Subject) -> TrackingUnits:
    """Return the units that correlate with features of the text; of dev if the text is short."""
    text, name = _beginning(subject), "this text"
    if subject.size < ENOUGH and (dev := _dev(subject)) is not None:
        text, name = dev, "the beginning of dev"
    if text.size < LEAST:
        return TrackingUnits(f"It takes {LEAST} tokens or more to tell what units track.", ())
    values, layers, numbers = _values(text)
    kept = ~(text.ids[:-1] == text.store.boundary_id)
    features = {feature: of[kept] for feature, of in _features(text).items()}
    if np.array_equal(features["place in the line"], features["place in the document"]):
        del features["place in the line"]
    about = (
        f"Units were chosen by the first half of {name} ({np.count_nonzero(kept):,} tokens), and "
        "their correlations are of the second."
    )
    found = [
        TrackingUnit(feature, layers[unit], numbers[unit], round(correlation, 3))
        for feature, of in features.items()
        for unit, correlation in _best(values[kept], of)
    ]
    strength = {one.feature: 0.0 for one in found}
    for one in found:
        strength[one.feature] = max(strength[one.feature], abs(one.correlation))
    found.sort(key=lambda one: (-strength[one.feature], one.feature, -abs(one.correlation)))
    return TrackingUnits(about, tuple(found))


def _beginning(subject: Subject) -> Subject:
    """Return the subject truncated to its first ``MOST_TOKENS`` tokens."""
    if subject.size <= MOST_TOKENS:
        return subject
    store = truncate_store(subject.store, MOST_TOKENS + 1)
    return replace(subject, store=store, spans=subject.spans[:MOST_TOKENS])


def _dev(subject: Subject) -> Subject | None:
    """Return a subject with the beginning of dev as its text; None if dev cannot be read."""
    run, texts = subject.run, list[str]()
    try:
        documents = run.documents("dev")
    except ThenceError:
        return None
    for number in range(len(documents)):
        texts.append(documents[number])
        if sum(map(len, texts)) > MOST_CHARACTERS:
            break
    if not texts:
        return None
    texts[-1] = texts[-1][: len(texts[-1]) - max(0, sum(map(len, texts)) - MOST_CHARACTERS)]
    starts = [0, *accumulate(len(text) + 1 for text in texts[:-1])]
    lines = Lines(texts, np.array(starts, np.int64))
    store = run.encode(Documents.from_strings(texts), "look")
    spans = token_spans(run.tokenizer, lines, store)
    return replace(
        subject, text="\n".join(texts), store=store, spans=spans, first=0, stop=len(spans)
    )


def _values(subject: Subject) -> tuple[Float64[np.ndarray, "tokens units"], list[str], list[int]]:
    """Return the activations of all units after each token, and the layer and index of each."""
    columns, layers, numbers = list[Array](), list[str](), list[int]()
    for part in networks_of(subject.run, subject.model):
        for name, values in after_tokens(subject, part, range(subject.size), _tracking).items():
            columns.append(values.astype(np.float64))
            layers += [part.label(name)] * values.shape[1]
            numbers += range(values.shape[1])
    return np.concatenate(columns, axis=1), layers, numbers


def _tracking(trace: Trace) -> dict[str, Array]:
    """Return hidden states and cells, without embeddings, which depend on their own token only."""
    found = {name: values for name, values in units_of(trace).items() if name != "embedding"}
    for (layer, gate), values in gates_and_cells(trace).items():
        if gate == "cell":
            found[f"{layer} cell"] = values
    return found


def _features(subject: Subject) -> dict[str, Float64[np.ndarray, " tokens"]]:
    """Return the features of the text up to each token: those of its last character."""
    found: dict[str, list[Array]] = {}
    offsets = (subject.store.offsets - 1).tolist()
    for first, stop in zip(offsets[:-1], [*offsets[1:-1], subject.size], strict=True):
        spans = subject.spans[first:stop]
        start, end = (int(spans[0, 0]), int(spans[-1, 1])) if len(spans) else (0, 0)
        # The last character of a token, or the character that the token is a part of.
        places = np.clip(spans[:, 1] - 1, start, max(end - 1, start)) - start
        for name, values in character_features(subject.text[start:end]).items():
            found.setdefault(name, []).append(values[places] if len(values) else places * 0.0)
        lengths = (spans[:, 1] - spans[:, 0]).astype(np.float64)
        found.setdefault("length of the token", []).append(lengths)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _best(
    values: Float64[np.ndarray, "tokens units"], feature: Float64[np.ndarray, " tokens"]
) -> list[tuple[int, float]]:
    """Return the units with the largest correlations with a feature, measured on held-out text.

    Empty if the feature is nearly constant in one half.
    """
    half = len(feature) // 2
    for part in (feature[:half], feature[half:]):
        _, counts = np.unique(part, return_counts=True)
        if len(part) - counts.max() < OCCURRENCES or counts.max() < OCCURRENCES:
            return []
    chosen = np.argsort(-np.abs(_correlations(values[:half], feature[:half])))[:BEST]
    measured = _correlations(values[half:, chosen], feature[half:])
    pairs = zip(chosen.tolist(), measured.tolist(), strict=True)
    return [(unit, correlation) for unit, correlation in pairs if abs(correlation) >= WEAK]


def _correlations(
    values: Float64[np.ndarray, "tokens units"], feature: Float64[np.ndarray, " tokens"]
) -> Float64[np.ndarray, " units"]:
    """Return the Pearson correlation of each unit with a feature; 0 for a constant unit."""
    centred, of = values - values.mean(axis=0), feature - feature.mean()
    sizes = np.linalg.norm(centred, axis=0) * np.linalg.norm(of)
    found: Array = np.divide(of @ centred, sizes, out=np.zeros(len(sizes)), where=sizes > 1e-9)
    return found
