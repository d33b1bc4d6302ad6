"""Exporting runs and importing ARPA files: the same scores, and what is refused."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thence.ensembles.mix import N_GRAMS, mix
from thence.errors import RunError, SettingError, TextError, ThenceWarning
from thence.exchange import arpa, export, import_arpa
from thence.generation import complete, next_tokens, sample
from thence.models.ngram import NGram
from thence.runs import Run
from thence.training import resume, train

TEXT = "the cat sat\nthe cat ran off\na dog sat\nthe dog sat on the cat\na cat ran\n" * 3
HELD_OUT = ["the dog ran", "a dog sat on a dog", "off off the", ""]
SMOOTHINGS = ["modified-kneser-ney", "kneser-ney", "absolute", "witten-bell", "add-k", "mle"]

Counted = Callable[..., Run]


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    """Count the text as words in a way that is given."""

    def make(**settings: object) -> Run:
        (tmp_path / "text.txt").write_text(TEXT)
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        given = {"tokens": "words", "model": "ngram", "order": 3, "split": "70/30/0"} | settings
        return train(tmp_path / "text.txt", output=folder, **given)

    return make


def log10_scores(run: Run) -> np.ndarray:
    return run.model.score(run.tokenizer.encode(HELD_OUT)) / np.log(10)


@pytest.mark.slow
@pytest.mark.parametrize("unknown", ["symbol", "refuse"])
@pytest.mark.parametrize(
    "settings",
    [
        *({"smoothing": name} for name in [*SMOOTHINGS, "jelinek-mercer"]),
        {"order": 1},
        {"order": 5},
        {"prune": (0, 1)},
        {"prune_entropy": 1e-3},
        {"order": 2, "carry_context": True},
    ],
    ids=str,
)
def test_the_scores_come_back(
    counted: Counted, tmp_path: Path, settings: dict[str, object], unknown: str
) -> None:
    run = counted(unknown=unknown, **settings)
    again = import_arpa(export(run, tmp_path / "a.arpa.gz"), tmp_path / "again")
    with np.errstate(invalid="ignore"):  # Both may be minus infinity.
        assert log10_scores(again) == pytest.approx(log10_scores(run), abs=1e-5)
    assert again.tokenizer.vocabulary.unknown == unknown
    assert Run(again.folder).finished


@pytest.mark.parametrize("smoothing", SMOOTHINGS[:-1])  # KenLM writes no -inf.
def test_kenlm_gives_the_same_scores(counted: Counted, tmp_path: Path, smoothing: str) -> None:
    kenlm = pytest.importorskip("kenlm")
    run = counted(smoothing=smoothing)
    theirs = kenlm.Model(str(export(run, tmp_path / "a.arpa")))
    expected = [score for text in HELD_OUT for score, _, _ in theirs.full_scores(text)]
    assert log10_scores(run) == pytest.approx(np.array(expected), abs=1e-5)


def test_what_an_imported_run_is(counted: Counted, tmp_path: Path) -> None:
    path = export(counted(order=3), tmp_path / "a.arpa")
    run = import_arpa(path, tmp_path / "imported")
    assert isinstance(run.model, NGram)
    assert run.imported and run.model.is_probability
    assert (run.recipe.text, run.recipe.model, run.recipe.options.order) == (str(path), "ngram", 3)
    files = {item.name for item in run.folder.iterdir()}
    assert files == {"config.toml", "tokenizer.json", "model.safetensors"}
    facts = dict(run.model.facts(None))
    assert facts["n-grams of order 1"] == f"{len(run.tokenizer.vocabulary)}"
    assert float(facts["sums of probabilities differ from 1 by at most"]) < 1e-5
    assert len(facts) == 4


def test_sums_that_are_not_one_are_told(counted: Counted, tmp_path: Path) -> None:
    path = export(counted(order=2), tmp_path / "a.arpa")
    lines = path.read_text().splitlines()
    start = lines.index("\\2-grams:") + 1
    lines[start] = "0" + lines[start][lines[start].index("\t") :]
    path.write_text("\n".join(lines))
    with pytest.warns(ThenceWarning):
        run = import_arpa(path, tmp_path / "imported", allow_unnormalized=True)
    facts = run.model.facts(None)  # type: ignore[attr-defined]
    assert float(dict(facts)["sums of probabilities differ from 1 by at most"]) > 0.1


def test_probabilities_without_bound_are_shown_as_one(tmp_path: Path) -> None:
    path = tmp_path / "a.arpa"
    path.write_text(
        "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-0.5 </s>\n-99 <s> 98\n-0.2 a -0.2\n\n"
        "\\2-grams:\n-0.1 a </s>\n\n\\end\\\n"
    )
    with pytest.warns(ThenceWarning):
        run = import_arpa(path, tmp_path / "imported", allow_unnormalized=True)
    assert {probability for _, probability in next_tokens(run, count=2).tokens} == {1}
    assert "1.0000  " in str(next_tokens(run))
    found = complete(run, max_length=1)
    assert "1.0000" in str(found)
    assert "a" in found._repr_html_()


@pytest.fixture
def imported(counted: Counted, tmp_path: Path) -> Run:
    return import_arpa(export(counted(), tmp_path / "a.arpa"), tmp_path / "imported")


def test_an_imported_run_has_no_text(imported: Run, counted: Counted, tmp_path: Path) -> None:
    own = counted()
    needing: list[Callable[[], object]] = [
        lambda: imported.splits,
        lambda: imported.documents("dev"),
        lambda: resume(imported.folder),
        lambda: mix([own, imported], tmp_path / "mixed"),
        lambda: mix([imported, imported], tmp_path / "mixed"),
    ]
    for need in needing:
        with pytest.raises(TextError) as caught:
            need()
        assert str(caught.value).removesuffix(f" {N_GRAMS}") == (
            f"The run {imported.folder} was imported from a.arpa and has no text of its own; "
            "evaluate it on another (thence evaluate RUN TEXT, thence compare --text TEXT)."
        )
    assert sample(imported, 3).copies is None


def test_weights_of_another_file_are_refused(
    imported: Run, counted: Counted, tmp_path: Path
) -> None:
    path = export(counted(prune=(1,)), tmp_path / "b.arpa")
    other = import_arpa(path, tmp_path / "other")
    shutil.copy(other.folder / "model.safetensors", imported.folder)
    with pytest.raises(RunError, match="belongs to another run"):
        _ = Run(imported.folder).model


def test_a_setting_that_only_imported_runs_have(counted: Counted, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        counted(smoothing="imported")
    assert str(caught.value).startswith(
        "`smoothing='imported'` marks a run that thence import made; to count a text, choose "
        "one of modified-kneser-ney, "
    )
    assert [item.name for item in tmp_path.iterdir()] == ["text.txt"]


def test_other_models_are_not_exported(counted: Counted, tmp_path: Path) -> None:
    run = train(tmp_path / "text.txt", "bigram-counts", output=counted().folder.parent / "pairs")
    with pytest.raises(RunError) as caught:
        export(run, tmp_path / "a.arpa")
    assert str(caught.value) == (
        f"{run.folder} is a run of the model 'bigram-counts'; an ARPA file can only hold an n-gram "
        "model (thence train --model ngram)."
    )


def test_scores_that_are_no_probabilities_are_not_exported(
    counted: Counted, tmp_path: Path
) -> None:
    run = counted(smoothing="stupid-backoff")
    with pytest.raises(SettingError) as caught:
        export(run, tmp_path / "a.arpa")
    assert str(caught.value) == (
        f"{run.folder} was made with `smoothing='stupid-backoff'`, whose scores do not sum to one, "
        "but an ARPA file holds probabilities; train with another `smoothing`."
    )


def test_ngrams_across_documents_are_not_exported(counted: Counted, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="reach across documents"):
        export(counted(carry_context=True), tmp_path / "a.arpa")


def test_an_unknown_format(counted: Counted, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        export(counted(), tmp_path / "a.arpa", to="arpo")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "`to` is 'arpo'; it must be one of arpa, kenlm, fst, fasttext, word2vec, onnx, "
        "huggingface, pytorch, html. Did you mean 'arpa'?"
    )


def test_nothing_is_written_over(counted: Counted, imported: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.arpa"
    before = path.read_bytes()
    with pytest.raises(RunError) as caught:
        export(imported, path)
    assert str(caught.value) == (
        f"{path} exists already and is left as it is; choose another name."
    )
    with pytest.raises(RunError, match="exists already and is left as it is"):
        import_arpa(path, imported.folder)
    assert path.read_bytes() == before


def test_an_export_is_whole_or_not_there(
    imported: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gzip.GzipFile, "writelines", full)
    folder = tmp_path / "new"
    with pytest.raises(RunError) as caught:
        export(imported, folder / "b.arpa.gz")
    assert str(caught.value) == (
        f"Cannot write {folder / 'b.arpa.gz'}: No space left on device. Free some space or choose "
        "another place."
    )
    assert list(folder.iterdir()) == []


def test_an_import_is_whole_or_not_there(
    imported: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RunError("Cannot write")

    monkeypatch.setattr(arpa, "save_model", full)
    with pytest.raises(RunError, match="Cannot write"):
        import_arpa(tmp_path / "a.arpa", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TextError) as caught:
        import_arpa(tmp_path / "none.arpa", tmp_path / "run")
    assert str(caught.value) == (
        f"The ARPA file {tmp_path / 'none.arpa'} cannot be read: No such file or directory."
    )
    assert not (tmp_path / "run").exists()


def test_a_model_of_characters_comes_back_as_one_of_words_and_that_is_said(tmp_path: Path) -> None:
    run = train("given-names", "ngram", order=2, output=tmp_path / "characters")
    path = export(run, tmp_path / "characters.arpa")
    with pytest.warns(ThenceWarning, match="every word is a single character.*'M a r i a'"):
        imported = import_arpa(path, tmp_path / "imported")
    apart, together = imported.score(["M a r i a"])[0], run.score(["Maria"])[0]
    assert apart["log_probability"] == pytest.approx(together["log_probability"], abs=1e-3)
