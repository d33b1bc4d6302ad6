"""scikit-learn's own checks of estimators.

They have no texts to give, only rows of numbers, so they run on an estimator that spells rows as
texts and leaves all else to TextClassifier.
"""

import warnings
from typing import Any, Self

import numpy as np
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from thence.sklearn import TextClassifier

COUNTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "which words and runs are features follows from how many texts have them, and dev is drawn "
        "from the texts, so a text of weight 2 is not the same as two texts"
    ),
}
SINGLE_PRECISION = {
    "check_methods_subset_invariance": (
        "products of matrices in single precision are rounded by how many texts are read at once, "
        "in the seventh digit, where the check asks for the same within the seventh"
    ),
}
NEEDS = ("pandas is not installed", "SCIPY_ARRAY_API is not set")
"""Why checks may be left out that have nothing to do with the estimator."""


class RowsAsTexts(TextClassifier):
    """Reads rows of numbers: each cell is a word of its column and its rounded value."""

    def _texts(self, X: Any, reset: bool) -> list[str]:
        rows = np.clip(2 * validate_data(self, X, reset=reset), -99, 99).astype(int)
        return [" ".join(f"{at}:{cell}" for at, cell in enumerate(row)) for row in rows]

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        return super().fit(self._texts(X, reset=True), y, sample_weight)

    def _log_probs(self, X: Any) -> Any:
        check_is_fitted(self)
        return super()._log_probs(self._texts(X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = tags.input_tags.string = False
        return tags


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (RowsAsTexts("linear"), COUNTED),
        (RowsAsTexts(lr=0.5, settings={"steps": 40, "buckets": 4096}), COUNTED | SINGLE_PRECISION),
    ],
    ids=["linear", "averaging"],
)
def test_rows_as_texts_pass_the_checks(estimator: TextClassifier, expected: dict[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Some checks give what is warned of.
        results = check_estimator(estimator, expected_failed_checks=expected, on_skip=None)
    left = [result for result in results if result["status"] == "skipped"]
    assert all(any(reason in str(result["exception"]) for reason in NEEDS) for result in left)
    assert sum(result["status"] == "passed" for result in results) >= 60


def test_texts_alone_are_no_matrix_to_check() -> None:
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = check_estimator(TextClassifier())
    assert {result["status"] for result in results} == {"passed"}
