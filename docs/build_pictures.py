"""Draw the pictures of the tutorial's pages on recurrent networks and attention, as SVG.

    python docs/build_pictures.py

They show networks that are trained here in some seconds, as the pages train them. Colours are such
that they can be read on a light page and on a dark one.
"""

import sys
from collections.abc import Iterable, Iterator
from html import escape
from math import log10
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import thence

IMAGES = Path(__file__).parent / "images"
NAME = "Maximiliana Theodora"
SIZES = {"hidden_size": 48, "embedding_size": 16, "steps": 200}
GREY = "#8a8f98"
COLOURS = {"rnn": "#d9534f", "lstm": "#e0a030", "gru": "#4a90d9"}
LOWEST = -16
"""The logarithm of the smallest gradient that is drawn."""


def main() -> None:
    """Train the networks and write the pictures."""
    with TemporaryDirectory() as folder:
        runs = {
            model: thence.train("given-names", model, output=f"{folder}/{model}", **SIZES)
            for model in COLOURS
        }
        small = thence.train(
            "given-names", "transformer", output=f"{folder}/transformer",
            embedding_size=32, layers=2, heads=2, steps=200,
        )  # fmt: skip
        write("vanishing", 640, 300, vanishing(runs))
        (layer,) = thence.look(runs["gru"], NAME, lenses=["gates"]).lenses["gates"].layers
        write("gates", 640, 340, heat_map(layer.gates["update"].T[:24], NAME))
        layers = thence.look(small, "Marianna", lenses=["attention"]).lenses["attention"].layers
        write("attention", 640, 300, attention(layers[0].heads, "Marianna"))


def write(name: str, width: int, height: int, parts: Iterable[str]) -> None:
    """Write a picture."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{GREY}">'
    )
    (IMAGES / f"{name}.svg").write_text("\n".join([head, *parts, "</svg>\n"]), "utf-8")


def text(x: float, y: float, content: str, anchor: str = "middle", more: str = "") -> str:
    """Return a text."""
    at = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {at} {more}>{escape(content)}</text>"


def vanishing(runs: dict[str, thence.Run]) -> Iterator[str]:
    """Yield a curve for each network: the length of the gradient against the steps back."""
    left, right, top, bottom = 60, 560, 20, 255
    steps = len(NAME)

    def place(k: int, norm: float) -> tuple[float, float]:
        share = max(log10(norm), LOWEST) / LOWEST
        return left + (right - left) * k / (steps - 1), top + (bottom - top) * share

    for power in range(0, LOWEST - 1, -4):
        y = place(0, 10.0**power)[1]
        yield f'<path d="M{left} {y:.1f}H{right}" stroke="{GREY}" stroke-opacity=".35"/>'
        yield text(left - 8, y + 4, "1" if power == 0 else f"1e{power}", "end")
    for k in range(0, steps, 5):
        yield text(place(k, 1)[0], bottom + 20, str(k))
    yield text((left + right) / 2, bottom + 40, "steps back")
    for model, run in runs.items():
        layers = thence.look(run, NAME, lenses=["flow"]).lenses["flow"].layers
        norms = sum(layer.norms for layer in layers)
        places = [place(k, float(norm)) for k, norm in enumerate(norms)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = COLOURS[model]
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        x, y = places[-1]
        yield text(x + 8, y + 4, model, "start", f'fill="{colour}" font-weight="600"')


def heat_map(values: np.ndarray, columns: str) -> Iterator[str]:
    """Yield cells, the stronger the larger, below the letters of their columns."""
    left, top, height = 60, 24, 13
    width = (640 - left - 20) / len(columns)
    for number, letter in enumerate(columns):
        yield text(left + width * (number + 0.5), top - 8, "␣" if letter == " " else letter)
    for row, line in enumerate(values):
        for number, value in enumerate(line):
            at = f'x="{left + width * number:.1f}" y="{top + height * row:.1f}"'
            size = f'width="{width - 1:.1f}" height="{height - 0.6:.1f}"'
            yield f'<rect {at} {size} fill="#4a90d9" fill-opacity="{value:.2f}"/>'
    yield text(left - 8, top + 12, "unit 0", "end")
    yield text(left - 8, top + height * len(values) - 2, str(len(values) - 1), "end")


def attention(heads: np.ndarray, name: str) -> Iterator[str]:
    """Yield a triangle for each head: who looks (rows) at whom (columns)."""
    symbols, cell = f"^{name}", 28
    for number, head in enumerate(heads):
        left, top = 40 + 310 * number, 66
        yield text(
            left + cell * len(symbols) / 2, 24, f"head {number + 1}", more='font-weight="600"'
        )
        for column, letter in enumerate(symbols):
            yield text(left + cell * (column + 0.5), top - 10, letter)
        for row, line in enumerate(head):
            yield text(left - 8, top + cell * (row + 0.65), name[row], "end")
            for column, value in enumerate(line[: row + 2]):  # The boundary is the first key.
                at = f'x="{left + cell * column}" y="{top + cell * row}"'
                yield (
                    f'<rect {at} width="{cell - 1}" height="{cell - 1}" fill="#4a90d9" '
                    f'fill-opacity="{0.06 + 0.94 * float(value):.2f}"/>'
                )


if __name__ == "__main__":
    sys.exit(main())
