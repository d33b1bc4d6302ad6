"""Export of a model as one HTML page that works offline, in any browser, on a phone too.

The page has the model's weights in base64 and a few hundred lines of plain JavaScript. A language
model shows next tokens, the surprisal of each token, and completions; a classifier shows the label
of a text and the weights of its words. Nothing is loaded from elsewhere; the content security
policy of the page forbids it.

Weights have 16 bits if that keeps log-probabilities within ``TOLERANCE`` of the run's, else 32 if
they fit; and fewer than 16 if 16 do not fit.
"""

import base64
import html
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from thence.atomic import whole_file
from thence.errors import RunError, SettingError
from thence.exchange.html import differences, labels, language
from thence.exchange.html.packing import Bits, Pack
from thence.exchange.tokenizer_file import byte_alphabet, word_pattern
from thence.models.registry import get_family
from thence.runs.metrics import best_line
from thence.runs.run import ClassifierRun, LanguageRun, Run
from thence.tokens import COUNTED, Tokenizer

LARGEST = 2_000_000
"""Largest page in bytes, so that it can be sent by mail and opened on phones."""
TOLERANCE = 1e-3
"""Allowed difference of log-probabilities from the run's, in nats, if the bits for it fit."""
FEWER: tuple[Bits, ...] = (14, 12, 10, 8)
"""Bits that are tried if 16 do not fit; the first that fits is taken."""
LEAST_SHARE = 0.6
"""Lower bound of the compressed size with b bits, relative to b / 16 of that with 16 bits; numbers
of bits that cannot fit by this estimate are not tried."""
MOST_NUMBERS = 8_000_000
"""Largest model, in parameters, that is tried; a larger one cannot fit."""
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
    """A page.

    Attributes:
        content: Its HTML, in UTF-8.
        bits: Bits of each weight.
        difference: Largest difference of log-probabilities from the run's, in nats.
    """

    content: bytes
    bits: Bits
    difference: float


def export_html(run: Run, path: Path, largest: int = LARGEST) -> tuple[float, str]:
    """Write a model as a page; return its largest difference from the run in nats, and a note.

    Raises:
        SettingError: If pages do not support the model or the tokenizer.
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
    """Return the page with 16 bits if precise enough, else 32 if they fit; fewer if 16 do not fit.

    Raises:
        SettingError: If pages do not support the model or the tokenizer.
        RunError: If not even the fewest bits fit.
    """
    tokenizer = tokenizer_of_page(run.tokenizer, run.recipe.tokens.tokens)
    if run.num_parameters > MOST_NUMBERS:
        raise RunError(_too_large(run, "far", largest))
    size, page = build_page(run, tokenizer, 16, largest)
    if page is not None:
        if page.difference <= TOLERANCE:
            return page
        return build_page(run, tokenizer, 32, largest)[1] or page
    what = f"{size / 1e6:.1f} MB with 16 bits each,"
    for bits in FEWER:
        if LEAST_SHARE * size * bits / 16 > largest:
            continue
        smaller, page = build_page(run, tokenizer, bits, largest)
        if page is not None:
            return page
        what = f"{smaller / 1e6:.1f} MB with {bits} bits each,"
    raise RunError(_too_large(run, what, largest))


def build_page(
    run: Run, tokenizer: dict[str, Any], bits: Bits, largest: int
) -> tuple[int, Page | None]:
    """Return the size in bytes of a page with ``bits`` bits per weight, and the page if it fits."""
    pack = Pack()
    header: dict[str, Any] = {
        "tokenizer": tokenizer,
        "boundary": run.tokenizer.vocabulary.boundary_id,
    }
    if isinstance(run, ClassifierRun):
        kind, (classifier, _) = "labels", labels.exportable_part(run)
        rounded_one = labels.quantized(classifier, bits)
        difference = partial(differences.label_difference, classifier, rounded_one, run.tokenizer)
        header["tokenizer"] = tokenizer | {"symbols": labels.symbols_of(run)}
        header |= {"labels": run.label_names, "multilabel": run.classes.multilabel}
        header["model"] = labels.describe(pack, rounded_one, bits)
    else:
        kind, (model, _) = "language", language.exportable_part(cast(LanguageRun, run))
        rounded = language.quantized(model, bits)
        difference = partial(differences.language_difference, model, rounded)
        header["model"] = language.describe(pack, rounded, bits)
    kinds = _kinds(header["model"])
    scripts = [one for one in SCRIPTS[kind] if one not in ONLY_FOR or ONLY_FOR[one] & kinds]
    content = page_of(run.name, facts_of(run), kind, scripts, pack.to_base64(header)).encode()
    fits = len(content) <= largest
    return len(content), Page(content, bits, difference()) if fits else None


def left_out_of(run: Run) -> tuple[str, ...]:
    """Return the names of the parts of a run's model that are left out of its page."""
    if isinstance(run, ClassifierRun):
        return labels.exportable_part(run)[1]
    return language.exportable_part(cast(LanguageRun, run))[1]


def facts_of(run: Run) -> list[tuple[str, str]]:
    """Return names and values that describe the run, shown before any script runs; no paths."""
    family = get_family(run.recipe.model)
    facts = [
        ("Model", f"{family.name}: {family.summary[0].lower()}{family.summary[1:]}"),
        ("Text", Path(run.text_name).name or run.text_name),
        ("Tokens", f"{run.recipe.tokens.tokens}, {len(run.tokenizer.vocabulary):,} in all"),
        ("Size", f"{run.num_parameters:,} numbers learned or counted"),
    ]
    if left_out := left_out_of(run):
        facts.append(("Not on this page", f"{', '.join(left_out)}: other parts have their weight"))
    if isinstance(run, ClassifierRun):
        facts.append(("Labels", f"{len(run.label_names):,}"))
    lines = run.metrics()
    if run.step is not None:  # A snapshot has metrics only if dev was evaluated at its step.
        lines = [line for line in lines if line["step"] == run.step]
    best = best_line(lines)
    loss = best.get(f"dev_nats_per_{run.loss_unit}")
    if loss is not None:
        bits = loss / math.log(2)
        score = f"{bits:.3f} bits ({loss:.3f} nats) per {run.loss_unit}"
        accuracy = best.get("dev_accuracy")
        score += " for the whole run" if left_out else ""
        facts.append(("Dev", score if accuracy is None else f"{accuracy:.2%} right, {score}"))
    return facts


def _too_large(run: Run, what: str, largest: int) -> str:
    """Return the error message for a model that is too large for a page, with ways to shrink it."""
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
    """Return the description of a tokenizer for the script (``page/tokens.js``).

    Raises:
        SettingError: If it comes from another package.
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
    """Return the kinds of a model and its members, from its description for the script."""
    return {model["kind"]}.union(*map(_kinds, model.get("members", ())))


def page_of(
    name: str, facts: Iterable[tuple[str, str]], kind: str, scripts: Iterable[str], data: str
) -> str:
    """Return the HTML of a page.

    Args:
        name: Name of the model.
        facts: Names and values that describe it.
        kind: ``language`` or ``labels``.
        scripts: Names of the JavaScript files to include, in order.
        data: The model, from ``Pack.to_base64``.
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
    pieces = whole.split("@")  # Placeholders are @NAME@, so every other piece is a name.
    return "".join(parts[piece] if at % 2 else piece for at, piece in enumerate(pieces))


def _hash(content: str) -> str:
    """Return the hash of a script or style for the content security policy."""
    return "sha256-" + base64.b64encode(sha256(content.encode()).digest()).decode()
