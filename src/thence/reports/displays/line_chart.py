"""A small chart of lines as SVG within HTML: it has the colour of the text around it."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
WIDTH, HEIGHT = 420, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 44, 12, 24
"""Margins around the lines, in the same units."""
APART = 12
"""The least distance between two names, one above the other."""


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: Stands at its end.
        colour: As CSS writes it.
        points: From left to right; all are finite.
    """

    name: str
    colour: str
    points: Sequence[Point]


def line_chart(lines: Sequence[Line], y: str, x: str, mark: Point | None = None) -> str:
    """Return the chart, or nothing without any points.

    Args:
        lines: What to draw.
        y: What the height is, with its unit.
        x: What the width is.
        mark: A point with a ring around it.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return ""
    scale = _Scale.around([point for line in drawn for point in line.points])
    parts = [_axes(scale, x)]
    for line in drawn:
        places = (scale.place(point) for point in line.points)
        points = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        style = f'fill="none" stroke="{line.colour}" stroke-width="2"'
        parts.append(f'<polyline points="{points}" {style}/>')
    parts.append(_names(drawn, scale))
    if mark is not None:
        across, down = scale.place(mark)
        ring = f'cx="{across:.1f}" cy="{down:.1f}" r="5" fill="none" stroke="currentColor"'
        parts.append(f"<circle {ring}/>")
    label = html.escape(f"{y} against {x}: {', '.join(line.name for line in drawn)}")
    style = f"display: block; width: 100%; max-width: {WIDTH}px; overflow: visible"
    font = 'font-family="system-ui, sans-serif" font-size="11" fill="currentColor"'
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}" style="{style}" '
        f"{font}>{''.join(parts)}</svg>"
    )


@dataclass(frozen=True)
class _Scale:
    last: float
    low: float
    high: float

    @classmethod
    def around(cls, points: Sequence[Point]) -> "_Scale":
        heights = [height for _, height in points]
        return cls(max(step for step, _ in points), min(heights), max(heights))

    def place(self, point: Point) -> Point:
        """Return how far to the right and down a point lies."""
        across = point[0] / self.last if self.last else 0.0
        up = (point[1] - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        floor = HEIGHT - BOTTOM
        return LEFT + across * (WIDTH - LEFT - RIGHT), floor - up * (floor - TOP)


def _axes(scale: _Scale, x: str) -> str:
    floor, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    heights = [scale.low] if scale.high == scale.low else [scale.low, scale.high]
    parts = [f'<g stroke="currentColor" opacity=".35"><path d="M{LEFT} {floor}H{end}"/></g>']
    for height in heights:
        _, down = scale.place((0.0, height))
        parts.append(_text(LEFT - 6, down + 4, f"{height:.3g}", "end"))
    parts.append(_text(LEFT, HEIGHT - 8, "0", "middle"))
    parts.append(_text(end, HEIGHT - 8, f"{scale.last:,.0f} {x}", "middle"))
    return "".join(parts)


def _names(lines: Sequence[Line], scale: _Scale) -> str:
    """Write each name at the end of its line, lower where another stands there already."""
    ends = sorted((scale.place(line.points[-1])[1], place) for place, line in enumerate(lines))
    parts, lowest = [], float("-inf")
    for down, place in ends:
        lowest = max(down + 4, lowest + APART)
        name, colour = lines[place].name, lines[place].colour
        parts.append(_text(WIDTH - RIGHT + 8, lowest, name, "start", colour))
    return "".join(parts)


def _text(across: float, down: float, words: str, anchor: str, colour: str = "") -> str:
    fill = f' fill="{colour}"' if colour else ""
    place = f'x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}"'
    return f"<text {place}{fill}>{html.escape(words)}</text>"
