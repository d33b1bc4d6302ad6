from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from thence.sklearn.inputs import documents_of, targets_of, weights_of


class Series:
    """As much of a pandas Series as is used."""

    ndim = 1

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def tolist(self) -> list[Any]:
        return self._values


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, lambda texts: np.array(texts, object), Series]
)
def test_texts_of_any_sequence(kind: Callable[[list[str]], Any]) -> None:
    assert list(documents_of(kind(["a b", "", "zoë"]))) == ["a b", "", "zoë"]


@pytest.mark.parametrize("texts", ["a text", {"a"}, {"a": 1}, (text for text in "ab"), None, 3])
def test_what_is_no_sequence_is_refused(texts: Any) -> None:
    with pytest.raises(TypeError, match="give a list, a tuple, an array or a series"):
        documents_of(texts)


@pytest.mark.parametrize("missing", [float("nan"), None, 3, b"bytes"])
def test_what_is_no_text_is_refused_with_its_place(missing: Any) -> None:
    with pytest.raises(TypeError, match=r"at 1, of the type .* each must be a text"):
        documents_of(["a", missing])


def test_no_texts_and_columns_of_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="X is empty"):
        documents_of([])
    with pytest.raises(ValueError, match="2 dimensions"):
        documents_of(np.array([["a"], ["b"]]))
    with pytest.raises(ValueError, match="2 dimensions"):
        documents_of(sparse.eye(2).tocsr())
    with pytest.raises(ValueError, match="X at 1 is not valid Unicode"):
        documents_of(["a", "\ud800"])


@pytest.mark.parametrize("given", [[3, 1, 3], ["b", "a", "b"], [True, False, True]])
def test_one_label_each(given: list[Any]) -> None:
    targets = targets_of(given)
    assert targets.form == "one"
    assert targets.classes.tolist() == sorted(set(given))
    assert targets.classes[targets.labels.single].tolist() == given


@pytest.mark.parametrize("kind", [list, np.array, sparse.csr_array])
def test_a_matrix_of_labels(kind: Callable[[list[list[int]]], Any]) -> None:
    targets = targets_of(kind([[1, 0, 1], [0, 0, 0]]))
    assert (targets.form, targets.classes.tolist()) == ("matrix", [0, 1, 2])
    assert targets.labels.matrix().tolist() == [[1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("given", [[("b", "a"), ()], [["b", "a"], []], [{"b", "a"}, frozenset()]])
def test_sets_of_labels(given: Any) -> None:
    targets = targets_of(given)
    assert (targets.form, targets.classes.tolist()) == ("sets", ["a", "b"])
    assert targets.labels.matrix().tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    "given",
    [
        None,
        [0.5, 1.2],
        ["a", None],
        ["a", float("nan")],
        [1.0, float("nan")],
        np.array([1, np.nan], np.float32),
    ],
)
def test_labels_that_are_none_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"None|Unknown label type"):
        targets_of(given)


def test_weights_of_texts_and_of_labels_multiply() -> None:
    targets = targets_of(["a", "b", "b"])
    assert weights_of(None, None, targets).tolist() == [1, 1, 1]
    assert weights_of([1, 2, 3], {"b": 10}, targets).tolist() == [1, 20, 30]


@pytest.mark.parametrize(
    "weights", [[1, 2], [[1], [2], [3]], [0, 0, 0], [1, -1, 1], [1, float("nan"), 1]]
)
def test_unusable_weights_are_refused(weights: list[Any]) -> None:
    with pytest.raises(ValueError, match="sample_weight"):
        weights_of(weights, None, targets_of(["a", "b", "b"]))


def test_unusable_class_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="class_weight is 'even'"):
        weights_of(None, "even", targets_of(["a", "b"]))
    with pytest.raises(ValueError, match="only be 'balanced'"):
        weights_of(None, {"a": 2}, targets_of([("a",), ("b",)]))
