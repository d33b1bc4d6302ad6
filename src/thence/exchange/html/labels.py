"""Classifiers on a page: their arrays for ``page/bags.js``.

    averaging    embeddings of features, and layers on their mean
    linear       weights of features
    ensemble     its members, their weights and the temperature
    fasttext     see ``fasttext.py``

Tables of features are stored transposed, so that each column is quantised with its own scale.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from thence.array_types import Int64
from thence.errors import SettingError
from thence.exchange.html import fasttext
from thence.exchange.html.packing import Bits, Pack, rounded
from thence.models.labels.averaging import Averaging
from thence.models.labels.ensemble import Ensemble
from thence.models.labels.fasttext import FastText
from thence.models.labels.linear import Linear
from thence.runs.run import ClassifierRun

TABLES = ("embeddings", "weights")
"""Tensors that have a row for each feature."""
KNOWN = (Averaging, Linear, FastText)
"""Families that the script supports."""
Spec = dict[str, Any]


def symbols_of(run: ClassifierRun) -> Sequence[str]:
    """Return the symbols of the tokenizer; none for fastText, whose model has words of its own."""
    is_fasttext = isinstance(run.classifier, FastText)
    return () if is_fasttext else run.tokenizer.vocabulary.symbols


def exportable_part(run: ClassifierRun) -> tuple[Any, tuple[str, ...]]:
    """Return the classifier for a page, and the names of members that are left out of it.

    Raises:
        SettingError: If the script supports no part of the model.
    """
    model: Any = run.classifier
    left_out: tuple[str, ...] = ()
    if isinstance(model, Ensemble):
        known = [isinstance(member, KNOWN) for member in model.members]
        names = model.options.names
        left_out = tuple(name for name, is_known in zip(names, known, strict=True) if not is_known)
        weights = model.weights[known]
        model = copy(model)
        model.members = [member for member in model.members if isinstance(member, KNOWN)]
        model.weights = weights / (weights.sum() or 1)
        if left_out:  # It was learned with them.
            model.options = replace(model.options, temperature=1.0)
    if not (model.members if isinstance(model, Ensemble) else isinstance(model, KNOWN)):
        raise SettingError(
            f"{run.folder} is a run of the model '{run.recipe.model}', which cannot be written as "
            "a page. Averaging, linear and fastText's classifiers, and ensembles of these, can: "
            "train one with `model='averaging'` or `model='linear'`."
        )
    return model, left_out


def quantized(model: Any, bits: Bits) -> Any:
    """Return a copy of a classifier whose tables are rounded to ``bits`` bits, as on the page."""
    if bits == 32:
        return model
    if isinstance(model, FastText):
        return fasttext.quantized(model, bits)
    if isinstance(model, Ensemble):
        found = copy(model)
        found.members = [quantized(member, bits) for member in model.members]
        return found
    tensors = model.tensors()
    for name in TABLES:
        if name in tensors:
            columns = np.ascontiguousarray(tensors[name].T)
            tensors[name] = np.ascontiguousarray(rounded(columns, bits).T)
    copied = copy(model)
    copied.load_tensors(tensors)
    return copied


def describe(pack: Pack, model: Any, bits: Bits, name: str = "") -> Spec:
    """Add a classifier's arrays to a pack; return its description for the script.

    Args:
        pack: The pack.
        model: A classifier, rounded by ``quantized``.
        bits: Bits of the numbers in its tables.
        name: Prefix of the names of its arrays, empty or ending in a slash.
    """
    if isinstance(model, Ensemble):
        weights = model.weights
        members = [
            describe(pack, member, bits, f"{name}{number}/")
            for number, member in enumerate(model.members)
        ]
        own = {"weights": weights.tolist(), "temperature": model.options.temperature}
        return {"kind": "ensemble", **own, "members": members}
    if isinstance(model, FastText):
        return fasttext.describe(pack, model, bits, name)
    tensors = model.tensors()
    kept, bags = tensors.pop("kept"), model.options.bags
    spec: Spec = {
        "bags": {
            "ngrams": bags.ngrams, "characters": bags.character_ngrams, "buckets": bags.buckets
        },
        "ids": model.vocabulary_size,
        "gaps": pack.add(f"{name}gaps", _gaps(kept)),
    }  # fmt: skip
    arrays = {
        part: pack.add(name + part, np.ascontiguousarray(value.T), bits)
        if part in TABLES
        else pack.add(name + part, value)
        for part, value in tensors.items()
        if part != "strength"
    }
    if isinstance(model, Averaging):
        return {**spec, "kind": "averaging", "arrays": arrays,
                "layers": len(model.options.hidden_sizes)}  # fmt: skip
    return {**spec, "kind": "linear", "arrays": arrays, "weighting": model.options.weighting}


def _gaps(kept: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """Return the differences of consecutive numbers, the first number first; they compress well."""
    return np.diff(kept.astype(np.int64), prepend=0)
