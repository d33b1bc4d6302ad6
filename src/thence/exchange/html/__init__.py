"""A model as one page: it works without a network, on a telephone too, and asks nobody.

The page has the model's weights in base64 and a few hundred lines of plain JavaScript: a language
model says what may come next, how surprising each token is, and writes on; a classifier says the
label of a text, and which words speak for it. Nothing is loaded from elsewhere, and the content
security policy of the page forbids it.

Weights have as many bits as it takes for log-probabilities within ``TOLERANCE`` of the run's, or as
many as there is room for.
"""

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from thence.atomic import whole_file
from thence.errors import RunError, SettingError
from thence.exchange.html import differences, labels, language
from thence.exchange.html.about import facts_of, left_out_of
from thence.exchange.html.packing import Bits, Pack
from thence.exchange.tokenizer_file import byte_alphabet, word_pattern
from thence.runs.run import ClassifierRun, LanguageRun, Run
from thence.tokens import COUNTED, Tokenizer

LARGEST = 2_000_000
"""Bytes of a page at most: it is sent by mail, and opened on telephones."""
TOLERANCE = 1e-3
"""Nats by which log-probabilities may differ from the run's, if there is room for the bits."""
FEWER: tuple[Bits, ...] = (14, 12, 10, 8)
"""Bits where there is no room for 16: the first that there is room for is taken."""
LEAST_SHARE = 0.6
"""A page with 8 bits per weight has more than this times half of what it has with 16."""
MOST_NUMBERS = 8_000_000
"""Numbers of a model beyond which no page has room for it: it is not even tried."""
PAGE = Path(__file__).parent / "page"
SCRIPTS = {
    "language": ("pack", "numbers", "graph", "models", "tokens", "reader", "elements", "language"),
    "labels": ("pack", "numbers", "tokens", "bags", "fasttext", "explain", "elements", "labels"),
}
"""The files of JavaScript of each kind of page, in order."""
ONLY_FOR = {
    "graph": {"network"},
    "models": {"ngrams", "classes", "mixture"},
    "bags": {"averaging", "linear"},
    "fasttext": {"fasttext"},
}
"""Files that a page has only if its model, or a member of it, is of one of these kinds."""


@dataclass(frozen=True)
class Page:
    """A page that was made.

    Attributes:
        content: Its HTML.
        bits: Of each weight.
        difference: Of log-probabilities from the run's at most, in nats.
    """

    content: bytes
    bits: Bits
    difference: float


def export_html(run: Run, path: Path, largest: int = LARGEST) -> tuple[float, str]:
    """Write a model as a page; return its greatest difference from the run, and what was done.

    Raises:
        SettingError: If it is a model or a tokenizer that a page cannot ask.
        RunError: If the page would be too large.
        OSError: If the file cannot be written.
    """
    page = best_page(run, largest)
    with whole_file(path, new=True) as file:
        file.write(page.content)
    rounding = "in single precision" if page.bits == 32 else f"with {page.bits} bits each"
    texts = "documents of words" if isinstance(run, ClassifierRun) else "texts drawn from it"
    left_out = ", ".join(left_out_of(run))
    note = (
        f"{len(page.content) / 1000:,.0f} kB, weights {rounding}; on {texts}, log-probabilities "
        f"differ from the run's{left_out and f' without {left_out}'} by at most "
        f"{page.difference:.1e}."
    )
    if left_out:
        note += f" The page has no {left_out}: the other parts of the model have that weight."
    if page.difference > TOLERANCE:
        note += f" A page of up to {largest / 1e6:g} MB has no room for more bits."
    return page.difference, note


def best_page(run: Run, largest: int = LARGEST) -> Page:
    """Return the page with the fewest bits that are enough, or the most that there is room for.

    Raises:
        SettingError: If it is a model or a tokenizer that a page cannot ask.
        RunError: If there is no room for the fewest.
    """
    tokenizer = tokenizer_of_page(run.tokenizer, run.recipe.tokens.tokens)
    if run.num_parameters > MOST_NUMBERS:
        raise RunError(_too_large(run, "far", largest))
    size, page = page_with(run, tokenizer, 16, largest)
    if page is not None:
        if page.difference <= TOLERANCE:
            return page
        return page_with(run, tokenizer, 32, largest)[1] or page
    what = f"{size / 1e6:.1f} MB with 16 bits each,"
    for bits in FEWER:
        if LEAST_SHARE * size * bits / 16 > largest:
            continue
        smaller, page = page_with(run, tokenizer, bits, largest)
        if page is not None:
            return page
        what = f"{smaller / 1e6:.1f} MB with {bits} bits each,"
    raise RunError(_too_large(run, what, largest))


def page_with(
    run: Run, tokenizer: dict[str, Any], bits: Bits, largest: int
) -> tuple[int, Page | None]:
    """Return how many bytes a page with so many bits per weight has, and the page if it fits."""
    pack = Pack()
    header: dict[str, Any] = {
        "tokenizer": tokenizer,
        "boundary": run.tokenizer.vocabulary.boundary_id,
    }
    if isinstance(run, ClassifierRun):
        kind, (classifier, _) = "labels", labels.asked_of(run)
        rounded_one = labels.with_bits(classifier, bits)
        difference = partial(differences.of_labels, classifier, rounded_one, run.tokenizer)
        header["tokenizer"] = tokenizer | {"symbols": labels.symbols_of(run)}
        header |= {"labels": run.label_names, "multilabel": run.classes.multilabel}
        header["model"] = labels.describe(pack, rounded_one, bits)
    else:
        kind, (model, _) = "language", language.asked_of(cast(LanguageRun, run))
        rounded = language.with_bits(model, bits)
        difference = partial(differences.of_language, model, rounded)
        header["model"] = language.describe(pack, rounded, bits)
    kinds = _kinds(header["model"])
    scripts = [one for one in SCRIPTS[kind] if one not in ONLY_FOR or ONLY_FOR[one] & kinds]
    content = page_of(run.name, facts_of(run), kind, scripts, pack.to_base64(header)).encode()
    fits = len(content) <= largest
    return len(content), Page(content, bits, difference()) if fits else None


def _too_large(run: Run, what: str, largest: int) -> str:
    if isinstance(run, ClassifierRun):
        ways = "a lower `max_size`, a higher `min_ngram_count` or `ngrams=1` leave fewer features"
    elif run.recipe.model == "ngram":
        ways = "thence prune leaves fewer n-grams, and so does a lower `order` or `max_size`"
    else:
        ways = "take a lower `hidden_size`, or a lower `max_size` of the tokens"
    return (
        f"{run.folder} has {run.num_parameters:,} numbers: a page with them would have {what} more "
        f"than the {largest / 1e6:g} MB that one may have. Make the model smaller: {ways}."
    )


def tokenizer_of_page(tokenizer: Tokenizer, kind: str) -> dict[str, Any]:
    """Return a tokenizer as the script knows it (``page/tokens.js``).

    Raises:
        SettingError: If it is none of ours.
    """
    vocabulary, options = tokenizer.vocabulary, tokenizer.options
    found = {
        "kind": kind, "symbols": [*vocabulary.symbols], "rule": vocabulary.unknown,
        "lowercase": options.lowercase, "nfc": options.nfc, "split": options.word_split,
    }  # fmt: skip
    if kind in ("words", "subwords"):
        pattern = word_pattern(options.word_split, tokenizer.edition)
        found["pattern"] = pattern.replace(r"\x{", r"\u{")
    if kind == "subwords":
        # Only subwords have a definition, which the type of all levels does not say.
        merges = tokenizer.level.definition["model"]["merges"]  # type: ignore[attr-defined]
        found["merges"] = [pair if isinstance(pair, str) else " ".join(pair) for pair in merges]
        found["alphabet"] = "".join(byte_alphabet())
    elif kind not in COUNTED:
        raise SettingError(
            f"The tokenizer {kind!r} comes from another package, and a page has no script for it; "
            "train on characters, bytes, words or subwords."
        )
    return found


def _kinds(model: dict[str, Any]) -> set[str]:
    """Return the kinds of a model and its members, as the script knows them."""
    return {model["kind"]}.union(*map(_kinds, model.get("members", ())))


def page_of(
    name: str, facts: Iterable[tuple[str, str]], kind: str, scripts: Iterable[str], data: str
) -> str:
    """Return the HTML of a page.

    Args:
        name: Of the model.
        facts: What else is said of it.
        kind: ``language`` or ``labels``.
        scripts: Names of the files of JavaScript that it needs, in order.
        data: Of the model, from ``Pack.to_base64``.
    """
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    texts = [(PAGE / f"{file}.js").read_text(encoding="utf-8") for file in scripts]
    script = '"use strict";\n' + "\n".join(texts)
    rows = "".join(
        f"<div><dt>{html.escape(fact)}</dt><dd>{html.escape(value)}</dd></div>"
        for fact, value in facts
    )
    parts = {
        "NAME": html.escape(name),
        "FACTS": rows,
        "KIND": kind,
        "STYLE": style,
        "STYLE_HASH": _hash(style),
        "SCRIPT": script,
        "SCRIPT_HASH": _hash(script),
        "MODEL": data,
    }
    whole = (PAGE / "page.html").read_text(encoding="utf-8")
    pieces = whole.split("@")  # Every other piece is the name of a part.
    return "".join(parts[piece] if at % 2 else piece for at, piece in enumerate(pieces))


def _hash(content: str) -> str:
    """Return what a content security policy knows a script or style by."""
    return "sha256-" + base64.b64encode(sha256(content.encode()).digest()).decode()
