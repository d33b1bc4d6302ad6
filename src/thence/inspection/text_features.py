"""What can be said of each place of a text by looking at it: what units of networks may track."""

import unicodedata
from collections.abc import Callable

import numpy as np

from thence.array_types import Float64

VOWELS = frozenset("aeiouyæøœαεηιουωаеёиоуыэюяіїєاويىאהוי")
"""Letters for vowels, without their marks: Latin, Greek, Cyrillic, Arabic and Hebrew."""
OPENING = {"(": ")", "[": "]", "{": "}", "<": ">", "（": "）", "「": "」", "『": "』", "【": "】"}
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "‹": "›"}
"""What opens a quotation, and what closes it; single quotes are apostrophes as often."""
Values = Float64[np.ndarray, " characters"]


def character_features(text: str) -> dict[str, Values]:
    """Return numbers for each character of a document, by what they say of the text up to it.

    Those of a kind are 1 or 0, places count from 1.
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
    """Return how many characters there are since the last that passes a test, 0 for itself."""
    passes = _each(text, test) > 0
    places = np.arange(1, len(text) + 1)
    counted: Values = (places - np.maximum.accumulate(np.where(passes, places, 0))).astype(float)
    return counted


def _inside(text: str, pairs: dict[str, str]) -> Values:
    """Return 1 from what opens to before what closes it; an empty line closes all."""
    inside, found, closing = np.zeros(len(text)), False, ""
    for place, character in enumerate(text):
        ends = character == "\n" and text[place - 1 : place] == "\n"
        if found and (character == closing or ends):
            found = False
        elif not found and character in pairs:
            found, closing = True, pairs[character]
        inside[place] = found
    return inside
