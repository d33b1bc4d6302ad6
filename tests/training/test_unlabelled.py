"""Classifiers that learn from text without labels, from files to the run."""

from pathlib import Path
from typing import Any

import pytest

import thence
from thence.errors import SettingError

TABLE = "text,label\n" + "a z,good\nf y,bad\nz a,good\ny f,bad\n" * 5
MORE = "a b c\nb c\nd e\nd e f\na b\n" * 9
LATENT: dict[str, Any] = {
    "label": "label", "model": "linear", "weighting": "tfidf", "ngrams": 1,
    "latent_dimensions": 2, "tokens": "words", "split": "80/20/0",
}  # fmt: skip


def test_a_classifier_learns_from_text_without_labels(tmp_path: Path) -> None:
    table, more = tmp_path / "table.csv", tmp_path / "more.txt"
    table.write_text(TABLE)
    more.write_text(MORE)
    run = thence.train(table, output=tmp_path / "run", unlabelled=str(more), **LATENT)
    # "c" and "e" are in no document with a label; they go with "a", which is good, and "f".
    assert [one.labels[0] for one in thence.classify(run, ["c", "e"])] == ["good", "bad"]
    about = run.provenance["unlabelled"]
    assert about["documents"] == 45
    more.unlink()  # Asking a run needs its labelled text only.
    assert thence.evaluate(thence.open_run(run.folder)).accuracy == 1.0


def test_unlabelled_text_in_memory_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    found = thence.best(
        table, label="label", tokens="words", steps=1, output=tmp_path / "run",
        unlabelled=MORE.splitlines(),
    )  # fmt: skip
    assert (found.folder / "unlabelled.jsonl").read_text().count("\n") == 45
    assert found.text.endswith("45 without labels")
    assert any("latent dimensions" in one.name and one.weight for one in found.tried)
    good, bad = (one.probabilities["good"] for one in thence.classify(found.run, ["c", "e"]))
    assert good > bad


def test_what_would_not_learn_from_unlabelled_text_says_so(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    for settings in ({"model": "averaging"}, {"model": "linear"}):
        with pytest.raises(SettingError, match=r"would not learn.*latent_dimensions=100"):
            thence.train(table, label="label", unlabelled="more.txt", **settings)
    with pytest.raises(SettingError, match=r"needs `loss='log_loss'`, not 'hinge'"):
        thence.train(table, **{**LATENT, "loss": "hinge"})
