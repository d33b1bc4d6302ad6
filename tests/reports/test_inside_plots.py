"""Plots of gates, attention and the reach of gradients: what is drawn, and of which text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.inspection import Look, look
from thence.reports.insides import dev_text
from thence.reports.plots.insides import inside_plots
from thence.runs import LanguageRun
from thence.training import train


def make(folder: Path, model: str, dev: str = "abca\nab\n", **settings: Any) -> LanguageRun:
    (folder / "text.txt").write_text("abc\nbca\nabcab\n" * 9, encoding="utf-8")
    (folder / "dev.txt").write_text(dev, encoding="utf-8")
    sizes = {"embedding_size": 8, "layers": 2, "steps": 1, **settings}
    run = train(
        folder / "text.txt", model=model, dev=folder / "dev.txt", output=folder / "run", **sizes
    )
    assert isinstance(run, LanguageRun)
    return run


def test_gates_of_each_layer_and_the_reach_of_gradients(tmp_path: Path) -> None:
    run = make(tmp_path, "lstm", hidden_size=30)
    drawn = {plot.name: plot for plot in inside_plots(run)}
    assert list(drawn) == ["gates-layer-1", "gates-layer-2", "gradient-flow"]
    found = look(run, "abca", lenses=["gates", "flow"])
    assert isinstance(found, Look)
    gates = found.lenses["gates"].layers[1].gates
    axes = [axes for axes in drawn["gates-layer-2"].figure.axes if axes.get_ylabel() in gates]
    assert [one.get_ylabel() for one in axes] == list(gates)
    for one in axes:
        shown = np.asarray(one.images[0].get_array())
        assert shown.shape == (24, 4)
        assert np.isin(np.round(shown, 4), gates[one.get_ylabel()]).all()
    assert [tick.get_text() for tick in axes[-1].get_xticklabels()] == list("abca")
    lines = drawn["gradient-flow"].figure.axes[0].lines
    for line, layer in zip(lines, found.lenses["flow"].layers, strict=True):
        np.testing.assert_allclose(np.asarray(line.get_ydata()), layer.norms, rtol=1e-5)


def test_attention_of_each_head(tmp_path: Path) -> None:
    (plot,) = inside_plots(make(tmp_path, "transformer", heads=2))
    titles = [axes.get_title(loc="left") for axes in plot.figure.axes]
    assert titles == [f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2)]
    shares = np.asarray(plot.figure.axes[0].images[0].get_array())
    assert shares.shape == (4, 5)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert "“abca”" in plot.figure.get_suptitle()


@pytest.mark.parametrize(
    ("dev", "text"),
    [
        ("ab\nabcab\n", "abcab"),
        ("a" * 1000 + "\n", "a" * 400),  # None is short enough: the beginning of the first.
        (f"{'b' * 60}\nab\n", "ab"),
    ],
)
def test_which_text_of_dev(tmp_path: Path, dev: str, text: str) -> None:
    assert dev_text(make(tmp_path, "gru", dev)) == text


def test_nothing_without_networks_or_dev(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abc\nbca\nabcab\n" * 9)
    counted = train(tmp_path / "text.txt", model="ngram", output=tmp_path / "counted")
    assert inside_plots(LanguageRun(counted)) == []
    without: dict[str, Any] = {"split": "100/0/0", "steps": 1, "hidden_size": 8}
    run = train(tmp_path / "text.txt", model="gru", output=tmp_path / "without", **without)
    assert inside_plots(LanguageRun(run)) == []
