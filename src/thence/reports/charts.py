"""Charts and heat maps as HTML and SVG, whose text can be selected and searched.

The drawing is an SVG that is stretched to the available width, with strokes of constant width. All
text is HTML beside it, so that it keeps its size on a phone. Tooltips are ``<title>`` elements.
Styles are inline, so that a page and a notebook show the same.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from thence.reports.colours import BLUE, ORANGE
from thence.reports.content import Cell, Chart, HeatMap, Series
from thence.reports.elements import element, escaped

SIDE = 4000
"""Width and height of the view box of an SVG, in its units."""
MOST_DOTS = 40
"""Longest line whose points are marked with dots."""
TICKS = 5
"""Approximate number of ticks at an axis."""
MOST_LETTERS = 60
"""Letters of all ticks at the x axis above which they are rotated."""
FEWEST_TICKS = 3
"""Fewest ticks of a logarithmic axis."""
LARGE, SMALLEST = 1e7, 1e-5
"""Ticks have an exponent if they are above the first, or their step is below the second."""
LOW = 8
"""Height in rem below which a chart has half as many ticks."""
MARGIN = 0.06
"""Margin above and below the data, as a share of its range."""
LABELLED_WIDTH, MANY_LABELS = 36, 16
"""Minimum width in rem of a chart with more labels than this; on narrow screens it scrolls."""
UPRIGHT = 2
"""Length of the longest column name above which column names are rotated."""
CELL = (0.75, 1.6)
"""Minimum and maximum width of a cell of a heat map, in rem."""
TO_THE_LEFT = 0.6
"""Labels to the right of this share of the width are drawn on the left of their points."""
FIXED = 'vector-effect="non-scaling-stroke"'
ROUND = 'stroke-linecap="round" stroke-width'
SMALL = "font-size: .8rem; font-variant-numeric: tabular-nums; line-height: 1"
NUMBER = "position: absolute; white-space: nowrap"
"""Style of a tick."""
SCROLLS = 'tabindex="0" style="overflow-x: auto"'


def chart_html(chart: Chart) -> str:
    """Return a chart as HTML; empty if no point can be drawn."""
    xs = [x for one in chart.series for x, y in one.points if _is_drawn(chart, x, y)]
    ys = [y for one in chart.series for x, y in one.points if _is_drawn(chart, x, y)]
    if not xs:
        return ""
    low, high = chart.limits or _widened_log(min(ys), max(ys), chart.is_log_y)
    if chart.in_percent:  # No share is above 1.
        high = min(high, 1.0)
    axes = _Axes(chart, _ends(chart, xs), (low, high))
    drawn = [_grid(axes), _bands(axes), *(_series(axes, one) for one in chart.series)]
    names = [one for one in chart.series if one.name]
    body = _framed(axes, "".join(drawn), "".join(_label(axes, *one) for one in chart.labels))
    if len(chart.labels) > MANY_LABELS:
        body = element(
            "div", SCROLLS, element("div", f'style="min-width: {LABELLED_WIDTH}rem"', body)
        )
    return _figure(chart.title, "".join(map(_legend, names)), body)


def heat_map_html(heat_map: HeatMap) -> str:
    """Return a heat map as HTML: a table if its cells have texts, else an SVG."""
    axes = f"{escaped(heat_map.y)} ↓ &nbsp; {escaped(heat_map.x)} →"
    inner = _as_table if any(cell.text for cell in heat_map.cells) else _as_drawing
    body = element("div", SCROLLS, inner(heat_map))
    return _figure(heat_map.title, f'<span style="{SMALL}; opacity: .8">{axes}</span>', body)


def _figure(title: str, beside: str, body: str) -> str:
    caption = (
        f'<figcaption style="margin-bottom: .5rem"><b>{escaped(title)}</b> {beside}</figcaption>'
    )
    return f'<figure dir="ltr" style="margin: 1rem 0">{caption}{body}</figure>'


def _is_drawn(chart: Chart, x: float, y: float) -> bool:
    is_positive = (x > 0 or not chart.is_log) and (y > 0 or not chart.is_log_y)
    return math.isfinite(x) and math.isfinite(y) and is_positive


def _ends(chart: Chart, xs: list[float]) -> tuple[float, float]:
    """Return the limits of the x axis; scatter charts and labels have a margin, lines have none."""
    if chart.tick_names:
        return -0.3, len(chart.tick_names) - 0.7
    if not chart.labels and chart.series[-1].form != "points":
        return min(xs), max(xs)
    if chart.is_log:
        return _widened_log(min(xs), max(xs), True)
    return _widened(min(xs), max(xs))


def _widened_log(low: float, high: float, is_log: bool) -> tuple[float, float]:
    if not is_log:
        return _widened(low, high)
    low, high = _widened(math.log(low), math.log(high))
    return math.exp(low), math.exp(high)


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = MARGIN * (high - low) or MARGIN * abs(high) or 1.0
    return low - margin, high + margin


class _Axes:
    """The mapping from data to drawing coordinates."""

    def __init__(self, chart: Chart, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.chart, self.y = chart, y
        self.x = (
            x if x[1] > x[0] else (x[0] * 0.5, x[0] * 2) if chart.is_log else (x[0] - 1, x[0] + 1)
        )

    def across(self, x: float) -> float:
        """Return the horizontal position of an x, from 0 (left) to 1 (right)."""
        low, high = self.x
        if self.chart.is_log:
            return (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))
        return (x - low) / (high - low)

    def down(self, y: float) -> float:
        """Return the vertical position of a y, from 0 (top) to 1, clipped to the limits."""
        low, high = self.y
        if self.chart.is_log_y:
            low, high, y = math.log(low), math.log(high), math.log(y)
        return min(max((high - y) / (high - low), 0.0), 1.0)

    def place(self, x: float, y: float) -> str:
        """Return the SVG coordinates of a point."""
        return f"{SIDE * self.across(x):.0f} {SIDE * self.down(y):.0f}"

    def written(self, y: float) -> str:
        """Return a y as text for a tooltip."""
        return f"{y:.2%}" if self.chart.in_percent else f"{y:.4g}"


def _grid(axes: _Axes) -> str:
    rows = [f"M0 {SIDE * axes.down(y):.0f}H{SIDE}" for y, _ in _y_ticks(axes)]
    columns = [f"M{SIDE * axes.across(x):.0f} 0V{SIDE}" for x, _ in _x_ticks(axes)]
    lines = "".join(rows + columns)
    return f'<path d="{lines}" stroke="currentColor" stroke-opacity=".18" {FIXED}/>'


def _series(axes: _Axes, one: Series) -> str:
    """Return the SVG elements of a series."""
    points = [(x, y) for x, y in one.points if _is_drawn(axes.chart, x, y)]
    # A path of length 0 with round caps is drawn as a dot, which the stretched SVG keeps round.
    dots = "".join(f"M{axes.place(x, y)}h0" for x, y in points)
    stroke = f'stroke="{one.colour}" fill="none" {FIXED}'
    if one.form == "points":
        abouts = one.abouts or [f"{_plain(x)}: {axes.written(y)}" for x, y in one.points]
        return "".join(
            f'<path d="M{axes.place(x, y)}h0" {stroke} {ROUND}="9">'
            f"<title>{escaped(about)}</title></path>"
            for (x, y), about in zip(one.points, abouts, strict=True)
            if _is_drawn(axes.chart, x, y)
        )
    places = [axes.place(x, y) for x, y in points]
    line = "M" + "L".join(places)
    if one.form == "steps":
        corners = (f"H{b.split()[0]}V{b.split()[1]}" for b in places[1:])
        line = f"M{places[0]}" + "".join(corners) if places else ""
    dashes = ' stroke-dasharray="5 5"' if one.form == "dashes" else ""
    if one.about:
        title = f"<title>{escaped(one.about)}</title>"
        return f'<path d="{line}" {stroke} stroke-width="1.6">{title}</path>'
    drawn = (
        f'<path d="{line}" {stroke} stroke-width="2" pointer-events="none"{dashes}/>'
        if points
        else ""
    )
    if one.form == "line" and len(points) <= MOST_DOTS:
        drawn += f'<path d="{dots}" {stroke} {ROUND}="7" pointer-events="none"/>'
    return drawn


def _bands(axes: _Axes) -> str:
    """Return invisible vertical bands, one per x, whose tooltips have the values of all lines."""
    said: dict[float, list[str]] = {}
    for one in axes.chart.series:
        if one.form in ("points", "dashes") or one.about:
            continue
        for at, (x, y) in enumerate(one.points):
            if _is_drawn(axes.chart, x, y):
                about = one.abouts[at] if one.abouts else f"{one.name} {axes.written(y)}"
                said.setdefault(x, []).append(about)
    if not said:
        return ""
    xs = sorted(said)
    places = [SIDE * axes.across(x) for x in xs]
    edges = [0.0, *((one + other) / 2 for one, other in pairwise(places)), float(SIDE)]
    name = axes.chart.x.partition(" (")[0]
    return "".join(
        f'<rect x="{left:.0f}" width="{max(right - left, 1):.0f}" height="{SIDE}" fill-opacity="0">'
        f"<title>{escaped(f'{name} {_plain(x)}: ' + ', '.join(said[x]))}</title></rect>"
        for x, (left, right) in zip(xs, pairwise(edges), strict=True)
    )


def _framed(axes: _Axes, drawn: str, labels: str) -> str:
    """Return a drawing with its ticks and axis labels."""
    y_ticks, x_ticks = _y_ticks(axes), _x_ticks(axes)
    width = 0.58 * max((len(text) for _, text in y_ticks), default=0) + 0.6
    left = "".join(
        f'<span style="{NUMBER}; right: .5em; top: {100 * axes.down(y):.1f}%; '
        f'transform: translateY(-50%)">{text}</span>'
        for y, text in y_ticks
    )
    long = sum(len(text) + 1 for _, text in x_ticks) > MOST_LETTERS
    height = 0.62 * max(len(text) for _, text in x_ticks) + 0.8 if long else 1.4
    turned = "; writing-mode: vertical-rl" if long else ""
    below = "".join(
        f'<span style="{NUMBER}; left: {100 * axes.across(x):.1f}%{turned}; '
        f'transform: translateX({-50 if long else -100 * axes.across(x):.0f}%)">{text}</span>'
        for x, text in x_ticks
    )
    chart = axes.chart
    drawing = (
        f'<svg role="img" aria-label="{escaped(chart.description)}" viewBox="0 0 {SIDE} {SIDE}" '
        f'preserveAspectRatio="none" style="display: block; width: 100%; overflow: visible; '
        f'height: {chart.height:g}rem">{drawn}</svg>'
    )
    return (
        f'<div style="{SMALL}; opacity: .85; margin-bottom: .5rem">{escaped(chart.y)}</div>'
        f'<div style="{SMALL}; display: grid; grid-template-columns: {width:.1f}em minmax(0, 1fr)">'
        f'<div style="position: relative">{left}</div>'
        f'<div style="position: relative">{drawing}{labels}</div><div></div>'
        f'<div style="position: relative; height: {height:.1f}em; margin-top: .5em">{below}</div>'
        f'<div></div><div style="text-align: right; opacity: .85">{escaped(chart.x)}</div></div>'
    )


def _label(axes: _Axes, x: float, y: float, text: str) -> str:
    few = len(axes.chart.labels) <= MANY_LABELS
    place = f"left: {100 * axes.across(x):.1f}%; top: {100 * axes.down(y):.1f}%"
    # Labels near the right edge are drawn on the left of their points.
    side = "calc(-100% - .4em)" if axes.across(x) > TO_THE_LEFT and few else ".4em"
    shift = f"transform: translate({side}, -50%); white-space: nowrap; pointer-events: none"
    return f'<span dir="auto" style="position: absolute; {place}; {shift}">{escaped(text)}</span>'


def _legend(one: Series) -> str:
    mark = f"width: .7em; height: .7em; border-radius: 50%; background: {one.colour}"
    if one.form in ("dashes", "steps"):
        line = "dashed" if one.form == "dashes" else "solid"
        mark = f"width: 1.2em; border-top: 2px {line} {one.colour}; vertical-align: middle"
    name = f'<span style="display: inline-block; {mark}"></span> {escaped(one.name)}'
    look = f"{SMALL}; white-space: nowrap; margin-left: .9em"
    return f'<span dir="auto" style="{look}">{name}</span> '


def _y_ticks(axes: _Axes) -> list[tuple[float, str]]:
    if not axes.chart.y and axes.chart.labels:
        return []
    if axes.chart.is_log_y:
        return _log_ticks(*axes.y)
    return _linear_ticks(*axes.y, axes.chart.in_percent, 3 if axes.chart.height < LOW else TICKS)


def _x_ticks(axes: _Axes) -> list[tuple[float, str]]:
    if axes.chart.tick_names:
        return [(float(at), escaped(name)) for at, name in enumerate(axes.chart.tick_names)]
    return _log_ticks(*axes.x) if axes.chart.is_log else _linear_ticks(*axes.x)


def _linear_ticks(
    low: float, high: float, in_percent: bool = False, count: int = TICKS
) -> list[tuple[float, str]]:
    """Return ticks at multiples of 1, 2 or 5 times a power of ten, with their texts."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    decimals = max(0, -math.floor(math.log10(step * (100 if in_percent else 1)) + 1e-9))
    kind = f".{decimals}%" if in_percent else f",.{decimals}f"
    if max(abs(low), abs(high)) >= LARGE or step < SMALLEST:
        kind = ".3g"
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last == first:
        return _linear_ticks(low, high, in_percent, 2 * count)
    return [(at * step, f"{at * step + 0.0:{kind}}") for at in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return ticks for a logarithmic axis at round numbers, with their texts."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    chosen: list[float] = []
    for leading in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1,)):
        found = [times * 10.0**power for power in powers for times in leading]
        found = [one for one in found if low * 0.999 <= one <= high * 1.001]
        if len(found) < FEWEST_TICKS:
            break
        chosen = found
        if len(found) <= TICKS + 1:
            break
    if not chosen:  # So short an axis is hardly a logarithmic one.
        return _linear_ticks(low, high)
    apart = 0.999 * math.log(high / low) / (TICKS + 1)
    kept = chosen[:1]
    for one in chosen[1:]:
        if math.log(one / kept[-1]) >= apart:
            kept.append(one)
    return [(one, _brief(one)) for one in kept]


def _brief(number: float) -> str:
    """Return a tick as text, abbreviated with k, M or G.

    >>> _brief(0.25), _brief(500), _brief(20_000), _brief(1.5e6)
    ('0.25', '500', '20k', '1.5M')
    """
    for least, size, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if number >= least:
            return f"{number / size:g}{letter}"
    return _plain(number)


def _plain(number: float) -> str:
    """Return a number with three significant digits, from 100 on as a whole number.

    >>> _plain(1200.0), _plain(0.25), _plain(1e9)
    ('1,200', '0.25', '1,000,000,000')
    """
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _as_drawing(heat_map: HeatMap) -> str:
    """Return a heat map as an SVG with row and column names beside it."""
    width, height = len(heat_map.columns), len(heat_map.rows)
    squares = {sign: [_square(c) for c in heat_map.cells if sign * c.share > 0] for sign in (1, -1)}
    drawn = "".join(
        f'<g fill="{colour}">{"".join(squares[sign])}</g>'
        for colour, sign in ((BLUE, 1), (ORANGE, -1))
    )
    frame = 'fill="none" stroke="currentColor" stroke-opacity=".25"'
    drawing = (
        f'<svg role="img" aria-label="{escaped(heat_map.description)}" '
        f'viewBox="0 0 {width} {height}" style="display: block; width: 100%">'
        f'<path d="M0 0H{width}V{height}H0z" {frame} {FIXED}/>{drawn}</svg>'
    )
    least, greatest = (width * size for size in CELL)
    columns = f"grid-template-columns: max-content minmax({least:g}rem, {greatest:g}rem)"
    names = f"{SMALL}; font-size: .72rem; display: flex"
    upright = max(map(len, heat_map.columns)) > UPRIGHT
    at = (
        "writing-mode: vertical-rl; display: flex; align-items: center"
        if upright
        else "text-align: center"
    )
    beside = _names(
        heat_map.rows, "flex: 1; display: flex; align-items: center; justify-content: end"
    )
    below = _names(heat_map.columns, f"flex: 1 1 0; min-width: 0; {at}")
    return (
        f'<div style="display: grid; justify-content: start; {columns}; gap: .3rem">'
        f'<div style="{names}; flex-direction: column">{beside}</div><div>{drawing}</div>'
        f'<div></div><div style="{names}; align-items: start">{below}</div></div>'
    )


def _names(names: Sequence[str], look: str) -> str:
    return "".join(f'<span dir="auto" style="{look}">{escaped(name)}</span>' for name in names)


def _square(cell: Cell) -> str:
    return (
        f'<rect x="{cell.column + 0.04:g}" y="{cell.row + 0.04:g}" width=".92" height=".92" '
        f'fill-opacity="{min(abs(cell.share), 1):.2f}"><title>{escaped(cell.about)}</title></rect>'
    )


def _as_table(heat_map: HeatMap) -> str:
    """Return a heat map as a table with coloured cells."""
    found = {(cell.row, cell.column): cell for cell in heat_map.cells}
    name = "font-weight: normal; padding: .25rem .5rem; max-width: 12rem; overflow-wrap: anywhere"
    right = f'scope="col" dir="auto" style="{name}; text-align: right"'
    left = f'scope="row" dir="auto" style="{name}; min-width: 4rem; text-align: left"'
    head = "".join(element("th", right, escaped(one)) for one in heat_map.columns)
    lines = [f"<tr><td></td>{head}</tr>"]
    for row, title in enumerate(heat_map.rows):
        cells = (_table_cell(found.get((row, at))) for at in range(len(heat_map.columns)))
        lines.append(f"<tr>{element('th', left, escaped(title))}{''.join(cells)}</tr>")
    look = 'style="border-collapse: collapse; font-variant-numeric: tabular-nums"'
    label = f'aria-label="{escaped(heat_map.description)}"'
    return element("div", SCROLLS, element("table", f"{label} {look}", "".join(lines)))


def _table_cell(cell: Cell | None) -> str:
    if cell is None:
        return "<td></td>"
    colour = "47 127 209" if cell.share > 0 else "217 115 13"
    ground = f"background: rgb({colour} / {60 * min(abs(cell.share), 1):.0f}%)"
    look = f'style="padding: .25rem .5rem; text-align: right; white-space: nowrap; {ground}"'
    return element("td", f'{look} title="{escaped(cell.about)}"', escaped(cell.text))
