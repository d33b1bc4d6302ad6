"""The report of several runs: tables, curves, differences and links, all of it harmless."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import thence
from thence.errors import RunError
from thence.evaluation.compare import compare
from thence.evaluation.evaluate import evaluate
from thence.reports import report
from thence.reports.comparison import (
    comparison_html,
    differing_settings,
    evaluate_group,
    link,
    on_same_text,
)
from thence.reports.comparison_blocks import curves
from thence.reports.content import Chart
from thence.runs import Run

from .conftest import Page, run_with, train_on, train_rows, write_table

TRAP = "<img src=x onerror=alert(1)> & $x_1$"
NAMES = [a + b for a in ("emma", "ava", "mia", "lea", "joan", TRAP) for b in ("", "a", "na", "el")]
MakeClassifier = Callable[[str], Run]


class LinkedPage(Page):
    """A page with links to other reports, which must stay where they are."""

    def links(self) -> list[str]:
        return [str(value) for tag, name, value in self.attributes if (tag, name) == ("a", "href")]

    def is_harmless(self) -> bool:
        kept = self.attributes
        assert all(address.startswith("./") for address in self.links())
        self.attributes = [item for item in kept if item[0] != "a"]
        try:
            return super().is_harmless()
        finally:
            self.attributes = kept


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Language models by name, all but the last on the same text."""
    folder = tmp_path_factory.mktemp("runs")
    text, other = folder / "names.txt", folder / "others.txt"
    text.write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    other.write_text("\n".join(name[::-1] for name in NAMES) + "\n", encoding="utf-8")
    small: dict[str, Any] = {"embedding_size": 3, "hidden_size": 4, "steps": 4, "batch_size": 16}
    settings = {
        "counts": (text, "bigram-counts", {}),
        TRAP: (text, "mlp", {**small, "evaluate_every": 2}),
        "bytes": (text, "bigram-counts", {"tokens": "bytes"}),
        "other": (other, "bigram-counts", {}),
    }
    return {
        name: thence.train(path, model, output=folder / name, split="50/50/0", **more)
        for name, (path, model, more) in settings.items()
    }


def several(runs: dict[str, Run], *names: str) -> list[Run]:
    return [runs[name] for name in names]


def test_runs_on_the_same_text(runs: dict[str, Run]) -> None:
    chosen = several(runs, TRAP, "counts")
    table = evaluate_group({run.name: run for run in chosen})
    compared = compare(chosen)
    assert [row[0] for row in table.rows] == list(table.runs) == [c.run for c in compared.runs]
    assert table.unit == "nats per token"
    for row, name in zip(table.rows, table.runs, strict=True):
        judged = evaluate(runs[name], "dev")
        nats = judged.nats_per_token
        assert row[4:7] == [f"{nats:.4f}", f"{nats / math.log(2):.4f}", f"{judged.perplexity:.3f}"]
    assert [row[4:] for row in table.rows] == [row[3:] for row in compared.table()[1]]
    assert table.columns[4:] == compared.table()[0][3:]


def test_the_page_holds_everything_and_is_harmless(runs: dict[str, Run], tmp_path: Path) -> None:
    text = comparison_html(several(runs, "counts", TRAP), tmp_path)
    page = LinkedPage(text)
    assert page.headings == [
        "Language models",
        "Settings that differ: language models",
        "Reports of the runs",
    ]
    assert page.is_harmless() and TRAP in page.text and "Comparison of 2 runs" in page.text
    assert text.count('class="best"') == 1 and page.tags["img"] == 0
    assert "Samples of the same seed" in page.text
    assert "hidden size 4" in page.text and "splitting.split" not in page.text
    assert "http://" not in text and "https://" not in text
    assert all(run.test_looks() == [] for run in runs.values())


def test_other_tokens_are_compared_in_bits_per_byte(runs: dict[str, Run], tmp_path: Path) -> None:
    chosen = several(runs, "counts", TRAP, "bytes")
    assert evaluate_group({run.name: run for run in chosen}).unit == "bits per byte"
    page = LinkedPage(comparison_html(chosen, tmp_path))
    assert "bits per byte" in page.text and "nats per token" not in page.text
    labels = [str(value) for _, name, value in page.attributes if name == "aria-label"]
    assert any(label.startswith("Bits per byte on dev") for label in labels)


def test_runs_on_other_texts_are_apart(runs: dict[str, Run], tmp_path: Path) -> None:
    chosen = several(runs, "counts", "other", "bytes")
    groups = on_same_text({run.name: run for run in chosen})
    assert [list(group) for group in groups] == [["counts", "bytes"], ["other"]]
    page = LinkedPage(comparison_html(chosen, tmp_path))
    assert "only runs in the same table can be compared" in page.text
    assert "dev split of names.txt" in page.text and "dev split of others.txt" in page.text
    assert "dev (SHA-256)" in page.text


def test_classifiers_have_a_table_of_their_own(
    runs: dict[str, Run], classifier_of: MakeClassifier, tmp_path: Path
) -> None:
    chosen = [classifier_of("linear"), classifier_of("averaging"), runs["counts"]]
    # The text of each is a table in a folder of its own, the same to the letter.
    page = LinkedPage(comparison_html(chosen, tmp_path))
    assert page.headings[:2] == ["Language models", "Classifiers"]
    assert page.is_harmless() and "p (McNemar, Holm)" in page.text
    assert "Language models" in page.headings and "macro F1" in page.text
    table = evaluate_group({run.name: run for run in chosen[:2]})
    for row, name in zip(table.rows, table.runs, strict=True):
        run = next(run for run in chosen if run.name == name)
        judged = evaluate(run, "dev")
        assert row[4:6] == [f"{judged.macro_f1:.4f}", f"{100 * judged.accuracy:.2f} %"]


def test_classifiers_with_other_labels_are_not_compared(
    classifier_of: MakeClassifier, tmp_path: Path
) -> None:
    rows = [("new", text) for _, text in train_rows()] + train_rows()
    dev = write_table(tmp_path / "dev.csv", train_rows()[:5])
    one = train_on(tmp_path, "linear", rows, dev=str(dev))
    (tmp_path / "two").mkdir()
    two = train_on(tmp_path / "two", "linear", train_rows(), dev=str(dev))
    page = LinkedPage(comparison_html([one, two], tmp_path))
    assert "evaluated on different labels and texts" in page.text
    assert "two/linear-run" in page.text.replace("\\", "/")  # Names that are alike are paths.


def test_what_cannot_be_judged_is_shown_with_the_reason(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    folder, text = tmp_path / "all-train", runs["counts"].recipe.text
    undivided = thence.train(text, "bigram-counts", output=folder, split="100/0/0")
    ngram = thence.train(text, "ngram", output=tmp_path / "ngram", order=2, tokens="words")
    thence.export(ngram, tmp_path / "lm.arpa")
    imported = thence.import_arpa(tmp_path / "lm.arpa", tmp_path / "lm")
    page = LinkedPage(comparison_html([runs["counts"], undivided, imported], tmp_path))
    assert "Not evaluated, and so not compared" in page.text
    assert "it has no dev split" in page.text and "imported, and so without a text" in page.text


@pytest.mark.slow
def test_each_report_that_exists_is_linked(runs: dict[str, Run], tmp_path: Path) -> None:
    chosen = several(runs, TRAP, "counts")
    written = report(chosen[0])
    path = report(chosen, tmp_path / "sub folder" / "page.html")
    page = LinkedPage(path.read_text("utf-8"))
    (address,) = page.links()
    assert (path.parent / unquote(address)).resolve() == written.resolve()
    assert "none yet: thence report RUN" in page.text
    written.unlink()
    assert link(tmp_path / "a:b" / "report.html", tmp_path) == "./a%3Ab/report.html"


@pytest.mark.slow
def test_one_run_in_a_list_is_one_run(runs: dict[str, Run]) -> None:
    run = runs["counts"]
    path = report([run, run.folder])
    assert path == run.folder / "report.html"
    assert Page(path.read_text("utf-8")).headings[0] == "Samples"
    path.unlink()


def test_no_run_is_refused() -> None:
    with pytest.raises(RunError, match="There is no run to report on"):
        report([])


def test_the_default_place_is_the_working_directory(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = several(runs, "counts", "bytes")
    assert report(chosen) == report(chosen) == Path("comparison.html")  # Its own may be replaced.


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_a_file_of_another_kind_is_left_as_it_is(
    runs: dict[str, Run], tmp_path: Path, number: int
) -> None:
    path = tmp_path / "notes.html"
    path.write_text("<p>my notes</p>")
    with pytest.raises(RunError, match="no report that thence has made"):
        report(several(runs, "counts", "bytes")[:number], path)
    assert path.read_text() == "<p>my notes</p>"
    path.write_text("")
    assert report(several(runs, "counts", "bytes")[:number], path).stat().st_size > 0


def test_only_settings_that_differ_are_listed(runs: dict[str, Run]) -> None:
    rows = {row[0]: row[1:] for row in differing_settings(several(runs, "counts", "bytes"))}
    assert rows == {"tokens.tokens": ["characters", "bytes"]}
    assert differing_settings(several(runs, "counts", "counts")) == []
    rows = {row[0]: row[1:] for row in differing_settings(several(runs, "counts", "other"))}
    assert set(rows) == {"text", "train (SHA-256)", "dev (SHA-256)"}
    assert all(len(value) <= 81 for values in rows.values() for value in values)


def test_every_curve_is_named_as_it_is() -> None:
    metrics = [{"step": n, "seconds": n / 10, "dev_nats_per_token": 3.0 - n} for n in (1, 2, 3)]
    names = ["_hidden", "$x_1$", *map(str, range(20))]
    found = {name: run_with(metrics) for name in names}
    found["counted"] = run_with([{"step": 0, "seconds": 0.0, "dev_nats_per_token": 1.5}])
    for chart in curves(found, "nats per token"):
        assert isinstance(chart, Chart) and not chart.is_log
        assert [one.name for one in chart.series] == [*names, "counted"]
        assert [one.form for one in chart.series] == ["line"] * len(names) + ["dashes"]
        assert [y for _, y in chart.series[-1].points] == [1.5, 1.5]


def test_trainings_of_very_different_length_are_on_a_logarithmic_axis() -> None:
    found = {
        str(last): run_with(
            [{"step": s, "seconds": float(s), "dev_accuracy": 0.5} for s in (1, last)]
        )
        for last in (5, 500)
    }
    charts = curves(found, "accuracy")
    assert [isinstance(chart, Chart) and chart.is_log for chart in charts] == [True, True]
    assert isinstance(charts[0], Chart) and charts[0].y == "share of documents right"
