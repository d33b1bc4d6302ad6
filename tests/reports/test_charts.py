"""Charts and heat maps: what is drawn where, and that nothing in a name becomes markup."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.reports.charts import SIDE, _linear_ticks, _log_ticks
from thence.reports.content import Cell, Chart, HeatMap, Series
from thence.reports.markup import to_html

from .conftest import SCRIPT, Page

TEXT = st.text(max_size=12)
NUMBER = st.floats(allow_nan=True, allow_infinity=True)


def drawn(series: list[Series], **more: object) -> str:
    return to_html([Chart("title", "what it shows", series, "steps", "bits", **more)])  # type: ignore[arg-type]


def test_a_line_goes_where_its_points_are() -> None:
    # y from 1 to 3 with 6 % of 2 above and below: 3 is 0.12 of 2.24 below the top.
    html = drawn([Series("dev", [(0, 1), (5, 2), (10, 3)], "#000")])
    top, bottom = round(SIDE * 0.12 / 2.24), round(SIDE * 2.12 / 2.24)
    assert f'd="M0 {bottom}L{SIDE // 2} {SIDE // 2}L{SIDE} {top}"' in html
    assert "<title>steps 5: dev 2</title>" in html


def test_steps_and_dashes() -> None:
    points = [(0.0, 0.0), (1.0, 1.0)]
    html = drawn([Series("a", points, "#000", "steps")], limits=(0, 1))
    assert f'd="M0 {SIDE}H{SIDE}V0"' in html
    assert "stroke-dasharray" in drawn([Series("a", points, "#000", "dashes")])


def test_what_is_not_finite_is_left_out() -> None:
    html = drawn([Series("a", [(0, 1), (1, math.inf), (2, math.nan), (3, 2)], "#000")])
    assert "nan" not in html and "inf" not in html
    assert drawn([Series("a", [(0, math.inf)], "#000")]) == ""
    assert drawn([Series("a", [(0, 1)], "#000")], is_log=True) == ""


def test_each_point_says_what_it_is() -> None:
    html = drawn([Series("a", [(1, 2), (2, 3)], "#000", "points", ["trial 1", "trial 2"])])
    assert html.count("<title>trial") == 2


def test_one_point_has_a_place() -> None:
    assert f'd="M{SIDE // 2} {SIDE // 2}' in drawn([Series("a", [(7, 2)], "#000")])
    assert f'd="M{SIDE // 2} ' in drawn([Series("a", [(7, 2)], "#000")], is_log=True)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.0, 10.0, ["0", "2", "4", "6", "8", "10"]),
        (2.9, 3.6, ["3.0", "3.2", "3.4", "3.6"]),
        (0.0, 2000.0, ["0", "500", "1,000", "1,500", "2,000"]),
    ],
)
def test_numbers_at_an_axis_are_round(low: float, high: float, texts: list[str]) -> None:
    assert [text for _, text in _linear_ticks(low, high)] == texts


def test_numbers_at_a_logarithmic_axis() -> None:
    assert [text for _, text in _log_ticks(1, 100)] == ["1", "10", "100"]
    assert [text for _, text in _log_ticks(2, 9)] == ["2", "3", "4", "6", "8"]
    # Not 60k, 70k, 80k, 90k and 100k, which would touch each other on a telephone.
    assert [text for _, text in _log_ticks(55_000, 153_000)] == ["60k", "80k", "100k"]
    assert [text for _, text in _log_ticks(2.53, 4.78)] == ["3.0", "3.5", "4.0", "4.5"]
    assert [text for _, text in _log_ticks(0.02, 0.5)] == ["0.02", "0.05", "0.1", "0.2", "0.5"]


def test_a_heat_map_with_texts_is_a_table() -> None:
    cells = [Cell(0, 0, 0.5, "three", "3"), Cell(1, 0, -1.0, "four", "4")]
    page = Page(to_html([HeatMap("t", "d", ["a", "b"], ["c", "d"], cells, "x", "y")]))
    assert page.tags["table"] == 1 and page.tags["svg"] == 0 and page.tags["td"] == 5
    html = to_html([HeatMap("t", "d", ["a"], ["c"], [Cell(0, 0, -0.25, "q", "")], "x", "y")])
    assert '<g fill="#d9730d"><rect' in html and 'fill-opacity="0.25"><title>q</title>' in html


@settings(max_examples=12)
@given(
    name=TEXT | st.just(SCRIPT),
    points=st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=6),
    form=st.sampled_from(["line", "steps", "dashes", "points"]),
    is_log=st.booleans(),
    is_log_y=st.booleans(),
)
def test_any_name_and_any_number_can_be_drawn(
    name: str, points: list[tuple[float, float]], form: str, is_log: bool, is_log_y: bool
) -> None:
    # A range that a float can hardly hold has no numbers between.
    points = [p for p in points if all(one == 0 or not abs(one) < 1e-90 for one in p)]
    points = [p for p in points if not any(abs(one) > 1e90 for one in p)]
    labels = [(1.0, 1.0, name)]
    series = [Series(name, points, "#000", form)]  # type: ignore[arg-type]
    html = drawn(series, is_log=is_log, is_log_y=is_log_y, labels=labels)
    page = Page(html)
    assert page.is_harmless() and set(page.tags) <= {
        "figure", "figcaption", "b", "span", "div", "svg", "path", "rect", "title",
    }  # fmt: skip
    assert not re.search(
        r"\b(nan|inf)\b", re.sub(r"<title>.*?</title>", "", html.replace(name, ""))
    )


@settings(max_examples=8)
@given(st.lists(TEXT, min_size=1, max_size=4), st.booleans())
def test_any_name_can_be_in_a_heat_map(names: list[str], has_text: bool) -> None:
    cells = [Cell(at, 0, 0.5, name, name if has_text else "") for at, name in enumerate(names)]
    page = Page(to_html([HeatMap(names[0], names[0], names, names, cells, names[0], names[0])]))
    assert page.is_harmless() and page.tags["script"] == 0
