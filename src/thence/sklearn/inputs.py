"""Checks of the arguments of ``fit`` and ``predict``: texts, labels and weights.

Invalid values raise ValueError and wrong types TypeError, as scikit-learn does and its tools
expect.
"""

import re
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, cast

import numpy as np
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.utils import check_array, column_or_1d, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from thence.array_types import Float32
from thence.corpus import Documents, Labels
from thence.corpus.documents import bounds
from thence.errors import TextError
from thence.models.base import Array

_SURROGATE = re.compile("[\ud800-\udfff]")

Form = Literal["one", "matrix", "sets"]
"""Form of the labels for ``fit`` and ``predict``: one per text, a matrix of 0 and 1, or sets."""


@dataclass(frozen=True)
class Targets:
    """The labels of documents.

    Attributes:
        classes: All labels by id in their original type; for a matrix, the column numbers.
        labels: The label ids of each document.
        form: The form in which the labels were given.
    """

    classes: Array
    labels: Labels
    form: Form


def documents_of(texts: Any) -> Documents:
    """Return a list, a tuple, an array or a series of texts as documents.

    Raises:
        TypeError: If it is no such sequence, or has items that are not str.
        ValueError: If it is empty or has more than one dimension, or a text cannot be encoded.
    """
    dimensions = getattr(texts, "ndim", 1)
    if dimensions != 1:
        raise ValueError(
            f"X has {dimensions} dimensions; give the texts in one, such as a list or one column."
        )
    if isinstance(texts, str | bytes | Mapping | set) or not isinstance(texts, Sized):
        raise TypeError(
            f"X is of the type {type(texts).__name__}; give a list, a tuple, an array or a series "
            "of texts."
        )
    strings = texts.tolist() if hasattr(texts, "tolist") else list(cast(Any, texts))
    if not strings:
        raise ValueError("X is empty: there are 0 sample(s), a minimum of 1 is required.")
    for place, text in enumerate(strings):
        if not isinstance(text, str):
            raise TypeError(
                f"X holds {text!r} at {place}, of the type {type(text).__name__}; each must be a "
                "text (str). Leave out or fill in what is missing."
            )
    try:
        return Documents.from_strings(strings)
    except TextError as error:
        place = next(at for at, text in enumerate(strings) if _SURROGATE.search(text))
        raise ValueError(f"The text of X at {place} is not valid Unicode: {error}") from error


def targets_of(y: Any) -> Targets:
    """Return the labels of y: one per text, a matrix of 0 and 1, or a set of labels per text.

    A tuple, a set or a list of strings is a set of labels; a list of numbers is a row of a matrix,
    as everywhere in scikit-learn.

    Raises:
        ValueError: If y has another form, or a label is missing.
    """
    if y is None:
        raise ValueError("A TextClassifier requires y to be passed, but the target y is None.")
    _refuse_missing(y)
    if has_label_sets(y):
        binarizer = MultiLabelBinarizer()
        matrix = binarizer.fit_transform(y)
        return Targets(binarizer.classes_, _labels_of_matrix(matrix, binarizer.classes_), "sets")
    check_classification_targets(y)
    if type_of_target(y) == "multilabel-indicator":
        matrix = check_array(y, accept_sparse=True, input_name="y")
        matrix = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        classes = np.arange(matrix.shape[1])
        return Targets(classes, _labels_of_matrix(matrix, classes), "matrix")
    classes, ids = np.unique(column_or_1d(y, warn=True), return_inverse=True)
    return Targets(classes, Labels(_names(classes), ids, np.arange(len(ids) + 1)), "one")


def _refuse_missing(y: Any) -> None:
    if getattr(y, "ndim", 1) != 1 or not isinstance(y, Iterable):
        return
    for place, label in enumerate(y):
        if label is None or (isinstance(label, Real) and label != label):
            raise ValueError(
                f"Input y contains NaN or None: {label} at {place}. Leave out texts without a "
                "label; where there may be none, give the labels of each as a tuple."
            )


def has_label_sets(y: Any) -> bool:
    """Return whether each document has a set of labels."""
    if getattr(y, "ndim", 1) != 1 or not isinstance(y, Sized):
        return False
    return all(
        isinstance(labels, tuple | set | frozenset) or _is_list(labels) for labels in cast(Any, y)
    )


def _is_list(labels: Any) -> bool:
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


def _names(classes: Array) -> tuple[str, ...]:
    return tuple(map(str, classes.tolist()))


def _labels_of_matrix(matrix: Array, classes: Array) -> Labels:
    ids = np.nonzero(matrix)[1]
    return Labels(_names(classes), ids, bounds(np.count_nonzero(matrix, axis=1)), multilabel=True)


def weights_of(
    sample_weight: Any, class_weight: Any, targets: Targets
) -> Float32[np.ndarray, " documents"]:
    """Return the weight of each document: ``sample_weight`` times the weight of its class.

    Weights of classes come from a dict; those of ``class_weight="balanced"`` from the training.

    Raises:
        ValueError: If weights are negative, not finite, all zero, or do not fit the labels.
    """
    number = len(targets.labels)
    weights = np.ones(number)
    if sample_weight is not None:
        weights = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
        )
        if weights.shape != (number,):
            raise ValueError(
                f"sample_weight has the shape {weights.shape}; it must have one number for each of "
                f"the {number} texts."
            )
        if weights.min() < 0 or not weights.any():
            raise ValueError("sample_weight is negative, or all zero; some must be above zero.")
    if isinstance(class_weight, Mapping):
        if targets.form != "one":
            raise ValueError(
                "class_weight can only be 'balanced' or None where there may be several labels."
            )
        ids = targets.labels.single
        of_classes = compute_class_weight(
            class_weight, classes=targets.classes, y=targets.classes[ids]
        )
        weights = weights * of_classes[ids]
    elif class_weight not in (None, "balanced"):
        raise ValueError(f"class_weight is {class_weight!r}; give a dict, 'balanced' or None.")
    return weights.astype(np.float32)
