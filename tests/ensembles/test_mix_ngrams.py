"""thence mix --to arpa: several n-gram models as one ARPA file."""

from pathlib import Path

import numpy as np
import pytest

import thence
from thence.ensembles.mix import mix
from thence.ensembles.static import mix_ngrams
from thence.errors import RunError, SettingError, TextError
from thence.evaluation.language import LikelihoodReport
from thence.exchange import export, import_arpa
from thence.runs import Run
from thence.training import train

PETS = ["the cat sat", "the cat ran off", "a dog sat", "the dog sat on the cat", "a cat ran"] * 4
BIRDS = ["a bird sat", "the bird ran", "a bird flew off", "the cat flew", "birds flew"] * 4
DEV = ["the bird sat", "a cat flew off", "the dog ran", "a bird sat on the dog", "a fish"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two ARPA files, of which only the first knows <unk>."""
    folder = tmp_path_factory.mktemp("static")
    made = []
    for name, texts, unknown in (("pets", PETS, "symbol"), ("birds", BIRDS, "refuse")):
        run = train(
            texts, "ngram", output=folder / name, order=3, tokens="words", split="100/0/0",
            word_split="whitespace", unknown=unknown,
        )  # fmt: skip
        made.append(export(run, folder / f"{name}.arpa"))
    return made


def test_weights_are_learned_and_the_file_is_nearly_as_good_as_dynamic_mixing(
    models: list[Path], tmp_path: Path
) -> None:
    made = mix_ngrams(models, tmp_path / "mix.arpa", dev=DEV)
    assert made.dev is not None
    # "fish" is <unk>, which pets.arpa knows; all words but that are known to one of them.
    assert (made.dev.targets, made.dev.unknown) == (sum(len(t.split()) + 1 for t in DEV), 0)
    assert made.dev.static == pytest.approx(made.dev.dynamic, rel=0.05)
    assert sum(made.weights) == pytest.approx(1)
    other = [tuple(np.array(made.weights) + shift) for shift in ([0.1, -0.1], [-0.1, 0.1])]
    for number, weights in enumerate(other):
        changed = mix_ngrams(models, tmp_path / f"{number}.arpa", dev=DEV, lambdas=weights)
        assert changed.dev is not None and changed.dev.dynamic > made.dev.dynamic
    run = import_arpa(tmp_path / "mix.arpa", tmp_path / "run")  # Warnings are errors in tests.
    judged = thence.evaluate(run, text=DEV)
    assert isinstance(judged, LikelihoodReport)
    assert np.exp(judged.nats_per_token) == pytest.approx(made.dev.static, rel=1e-4)
    assert made.to_json()["dev"]["members"] == [None, None]  # Each lacks words of the other.


def test_kenlm_reads_it(models: list[Path], tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    mix_ngrams(models, tmp_path / "mix.arpa", lambdas=[1, 3])
    theirs = kenlm.Model(str(tmp_path / "mix.arpa"))
    run = import_arpa(tmp_path / "mix.arpa", tmp_path / "run")
    for text in DEV:
        ours = thence.score(run, [text])[0]["log_probability"] / np.log(10)
        assert theirs.score(text) == pytest.approx(ours, abs=1e-4)


def test_a_run_gives_its_dev_split_and_may_be_beside_a_file(
    models: list[Path], tmp_path: Path
) -> None:
    run = train(
        [*PETS, *BIRDS], "ngram", output=tmp_path / "both", order=2, tokens="words"
    )  # fmt: skip
    made = mix_ngrams([models[0], run], tmp_path / "mix.arpa", prune_entropy=0.01)
    assert made.dev is not None and made.members == (str(models[0]), str(run.folder))
    full = mix_ngrams([models[0], run], tmp_path / "full.arpa")
    assert sum(made.ngrams) < sum(full.ngrams)
    assert Run(run.folder).test_looks() == []


def test_targets_that_no_model_knows_are_left_out(models: list[Path], tmp_path: Path) -> None:
    made = mix_ngrams([models[1], models[1]], tmp_path / "mix.arpa", dev=DEV)
    assert made.dev is not None
    assert made.dev.unknown == 4  # dog twice, on and fish
    assert made.dev.static == pytest.approx(made.dev.members[0], rel=1e-5)


def test_whoever_mixes_models_of_other_texts_is_told_how(
    models: list[Path], tmp_path: Path
) -> None:
    imported = import_arpa(models[0], tmp_path / "imported")
    with pytest.raises(TextError, match=r"no text of its own; .*: thence mix --to arpa"):
        mix([imported, imported], tmp_path / "mix")
    with pytest.raises(
        RunError, match=r"or mix it with a run of another text .thence mix --to arpa"
    ):
        train(PETS, output=tmp_path / "on", from_run=imported)
    runs = [
        train(texts, "ngram", output=tmp_path / name, order=2) for name, texts in
        (("pets-run", PETS), ("birds-run", BIRDS))
    ]  # fmt: skip
    with pytest.raises(RunError, match=r"different texts or splits; .*: thence mix --to arpa"):
        mix(runs, tmp_path / "mix")


def test_what_cannot_be_mixed_is_said(models: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least two models"):
        mix_ngrams(models[:1], tmp_path / "mix.arpa", dev=DEV)
    with pytest.raises(TextError, match="name one with `dev`, or give the weights with `lambdas`"):
        mix_ngrams(models, tmp_path / "mix.arpa")
    with pytest.raises(SettingError, match="`lambdas` must be 2 numbers above 0"):
        mix_ngrams(models, tmp_path / "mix.arpa", lambdas=[1, 0])
    with pytest.raises(RunError, match="exists already"):
        mix_ngrams(models, models[0], dev=DEV)
    letters = train(PETS, "ngram", output=tmp_path / "letters", order=2)
    with pytest.raises(RunError, match="cut the text into different tokens"):
        mix_ngrams([models[0], letters], tmp_path / "mix.arpa", dev=DEV)
    assert not (tmp_path / "mix.arpa").exists()
