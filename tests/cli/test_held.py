"""Of two commands that want one output the second learns it at once, before it reads anything."""

from pathlib import Path

import pytest

from thence.atomic import new_folder, whole_file

SWEEP = 'text = "none"\n[[runs]]\nmodel = "ngram"\n[[runs]]\nmodel = "bigram-counts"\n'


@pytest.mark.parametrize(
    "command",
    [
        "train none -o new",
        "train none --model ngram -o new",
        "train none --model linear --label label -o new",
        "train none --model ngram --cluster local:1 --split 100/0/0 -o new",
        "best none --time 1h -o new",
        "best none --time 1h --label label -o new",
        "mix none nothing -o new",
        "mix --config mix.toml -o new",
        "import none.arpa -o new",
    ],
)
def test_a_run_that_is_being_made_is_refused_before_anything_is_read(
    thence, folder: Path, command: str
) -> None:
    (folder / "mix.toml").write_text(SWEEP)
    with new_folder(Path("new")) as new:
        outcome = thence(*command.split())
        assert outcome.code == 2
        assert outcome.err == (
            "thence: new is being made by another process; wait for it, or choose another name.\n"
        )
        assert list(new.path.iterdir()) == []


@pytest.mark.parametrize("name", ["words.arpa", "words.vec"])
def test_a_file_that_is_being_written_is_refused(thence, trained, folder: Path, name: str) -> None:
    run = trained.mlp
    if name.endswith(".arpa"):
        run = folder / "ngram"
        assert thence("train", trained.text, "--model", "ngram", "-o", run, "--no-report").code == 0
    with whole_file(Path(name)) as file:
        outcome = thence("export", run, name)
        assert outcome.code == 2
        assert f"{name} is being made by another process" in outcome.err
        file.write(b"whole")
    assert Path(name).read_bytes() == b"whole"


def test_without_output_the_next_free_name_is_taken(thence, trained, folder, small) -> None:
    with new_folder(Path("runs/text-mlp")):
        outcome = thence("train", trained.text, *small, "--json")
        assert outcome.json()["run"] == "runs/text-mlp-2"
