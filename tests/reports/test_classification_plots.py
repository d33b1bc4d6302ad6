from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from thence.evaluation.metrics import calibration_bins
from thence.reports.plots.classification import (
    draw_confusion_matrix,
    draw_reliability,
    most_mistaken,
)
from thence.reports.style import shortened, to_png, to_svg


def confusion_of(size: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, 4, (size, size)) + 50 * np.eye(size, dtype=np.int64)


def names_of(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_few_labels_have_their_counts_written() -> None:
    confusion = np.array([[12_345, 7], [0, 0]])
    figure = draw_confusion_matrix(confusion, ["$x$", "New York"], "dev split")
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["12,345", "7", "0", "0"]
    assert names_of(figure) == ["$x$", "New York"]
    assert figure.axes[0].get_title(loc="left") == "Confusion matrix, dev split"
    # Colours are shares of each row, and of a row without documents none.
    shares = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(shares, [[12_345 / 12_352, 7 / 12_352], [0, 0]])
    assert to_png(figure).startswith(b"\x89PNG")


def test_many_labels_are_coloured_only() -> None:
    figure = draw_confusion_matrix(confusion_of(13), [f"label {at}" for at in range(13)], "dev")
    assert not figure.axes[0].texts


def test_of_very_many_labels_the_most_mistaken_are_drawn() -> None:
    confusion = np.diag(np.full(50, 9))
    confusion[3, 45] = 2
    figure = draw_confusion_matrix(confusion, [f"label {at}" for at in range(50)], "dev")
    assert names_of(figure)[-1] == "label 45"
    assert len(names_of(figure)) == 40
    assert "40 most mistaken of 50" in figure.axes[0].get_title(loc="left")
    assert most_mistaken(confusion, 2).tolist() == [3, 45]
    # A row's colours stay shares of all its documents, shown or not.
    shares = np.asarray(figure.axes[0].images[0].get_array())
    assert shares[3].max() == pytest.approx(9 / 11)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4, 12, 20, 40])
def test_labels_do_not_overlap(size: int) -> None:
    names = [f"a label that is much too long for this picture, {at}" for at in range(size)]
    figure = draw_confusion_matrix(confusion_of(size), names, "dev")
    figure.draw_without_rendering()
    for ticks in (figure.axes[0].get_xticklabels(), figure.axes[0].get_yticklabels()):
        boxes = [tick.get_window_extent() for tick in ticks]
        assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_short_labels_of_few_lie_flat() -> None:
    figure = draw_confusion_matrix(
        confusion_of(4), ["World", "Sports", "Business", "Sci/Tech"], "dev"
    )
    figure.draw_without_rendering()
    ticks = figure.axes[0].get_xticklabels()
    assert {tick.get_rotation() for tick in ticks} == {0}
    boxes = [tick.get_window_extent() for tick in ticks]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_long_names_lose_their_middle() -> None:
    assert shortened("New  York\n") == "New York"
    assert shortened("a" * 40) == "a" * 40
    assert shortened("a" * 30 + "b" * 30) == "a" * 20 + "…" + "b" * 19


def test_reliability_shows_bins_and_error() -> None:
    # Error as in the test of calibration: 1.42 / 3.
    calibration = calibration_bins(np.array([0.95, 0.97, 0.5]), np.array([True, False, True]))
    figure = draw_reliability(calibration, "dev split", "answers")
    top, bottom = figure.axes
    assert "expected calibration error 47.33 %" in top.get_title(loc="left")
    heights = [bar.get_height() for bar in top.patches]
    assert heights == [0] * 7 + [1] + [0] * 6 + [0.5]
    assert [bar.get_height() for bar in bottom.patches][-1] == pytest.approx(2 / 3)
    assert bottom.get_xlabel() == "confidence of 3 answers"
    assert to_svg(figure).startswith(b"<?xml")
