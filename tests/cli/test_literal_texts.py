"""Texts on the command line: scored, ranked, classified and filled in; and texts through pipes."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from thence.cli.texts import literal_texts
from thence.errors import SettingError, TextError
from thence.evaluation.ranking import rank
from thence.evaluation.scoring import score
from thence.runs import Run
from thence.training import train

from .conftest import strict_json

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def pipe() -> Callable[[str], str]:
    """Give a text through a pipe, which a second reader would find empty."""

    def make(content: str) -> str:
        reading, writing = os.pipe()
        os.write(writing, content.encode())
        os.close(writing)
        return f"/dev/fd/{reading}"

    return make


@pytest.mark.parametrize(
    "texts", [["emma"], ["the cat sat"], [""], ["and/or", "a b"], ["a.b"], ["é" * 300], ["notes"]]
)
def test_what_names_nothing_is_the_text(texts, folder):
    assert literal_texts(texts) == texts


@pytest.mark.parametrize("name", ["-", "given-names", "hf:imdb", "here.txt", "folder", "emma"])
def test_what_is_there_is_read(folder, name):
    Path("here.txt").write_text("a")
    Path("emma").write_text("a")
    Path("folder").mkdir()
    assert literal_texts([name]) is None
    with pytest.raises(SettingError, match=f"'{name}' names a file or a known text"):
        literal_texts(["a text", name])


@pytest.mark.parametrize("name", ["foo.txt", "foo.csv.gz", "/foo", "./foo", "~/foo", "folder/foo"])
def test_what_looks_like_a_path_is_not_taken_for_a_text(folder, name):
    Path("folder").mkdir()
    with pytest.raises(TextError, match=r"does not exist\. Is the path spelt right\?"):
        literal_texts([name])


def test_score_takes_a_text(thence, trained):
    line = thence("score", trained.mlp, "axa", "--tokens").json()
    assert line == score(trained.mlp, ["axa"], tokens=True)[0]
    outcome = thence("score", trained.mlp, "zoë")
    assert outcome.err == (
        "2 of the symbols in 'zoë' never occur in the train text: read as <unk>.\n"
    )
    refused = thence("score", trained.mlp, "foo.txt")
    assert refused.code == 2 and "does not exist" in refused.err
    refused = thence("score", trained.mlp, "axa", "--keep-empty")
    assert refused.code == 2 and "say how a file is read" in refused.err


def test_score_ranks_several_texts(thence, trained):
    found = rank(trained.mlp, ["axa", "eee", "byd"])
    outcome = thence("score", trained.mlp, "axa", "eee", "byd")
    assert outcome.code == 0
    shown = [line.split()[0] for line in outcome.out.splitlines()[2:]]
    assert shown == [one.text for one in found]
    assert f"{found[1].difference:.4f}" in outcome.out
    assert outcome.err == found.in_words() + "\n"
    lines = thence("score", trained.mlp, "axa", "eee", "byd", "--json").out.splitlines()
    assert [strict_json(line) for line in lines] == found.to_json()
    tokens = thence("score", trained.mlp, "axa", "eee", "--tokens").out.splitlines()
    assert [json.loads(line)["text"] for line in tokens] == ["axa", "eee"]


def test_ranked_texts_that_are_impossible_are_json_too(thence, trained, folder):
    run = train(trained.text, "bigram-counts", output=folder / "run", add_k=0).folder
    lines = thence("score", run, "xxx", "axa", "--json").out.splitlines()
    found = [strict_json(line) for line in lines]
    assert [line["log_probability"] is None for line in found] == [False, True]
    assert "impossible" in thence("score", run, "xxx", "axa").out


def test_classify_takes_texts(thence, opinions, monkeypatch):
    line = thence("classify", opinions.folder, "a good film").json()
    assert (line["text"], line["label"]) == ("a good film", "pos")
    outcome = thence("classify", opinions.folder, "a good film", "so bad")
    found = [strict_json(line) for line in outcome.out.splitlines()]
    assert [line["label"] for line in found] == ["pos", "neg"]
    assert thence("classify", opinions.folder, "a good film", "foo.txt").code == 2
    refused = thence("classify", opinions.folder, "a good film", "--column", "text")
    assert refused.code == 2 and "say how a file is read" in refused.err


def test_people_see_bars_or_a_table(thence, opinions, monkeypatch):
    monkeypatch.setattr("thence.cli.texts.shows_for_people", lambda: True)
    assert "█" in thence("classify", opinions.folder, "a good film").out
    table = thence("classify", opinions.folder, "a good film", "so bad").out
    assert [line.split()[-2] for line in table.splitlines()[2:]] == ["pos", "neg"]


@pytest.mark.parametrize("command", ["score", "classify", "evaluate"])
def test_a_pipe_is_read_once(thence, trained, opinions, pipe, command):
    run = opinions.folder if command == "classify" else trained.counts
    flags = ["--json"] if command != "classify" else []
    text = "a good film\nso bad\n" if command == "classify" else "axa\nbyd\n"
    of_pipe = thence(command, run, pipe(text), *flags)
    of_input = thence(command, run, "-", *flags, stdin=text)
    assert of_pipe.code == 0 and of_pipe.err == ""
    if command == "evaluate":
        assert {**of_pipe.json(), "text": ""} == {**of_input.json(), "text": ""}
    else:
        assert of_pipe.out == of_input.out


def test_several_runs_read_a_pipe_once(thence, trained, pipe):
    found = thence("compare", trained.mlp, trained.counts, "--text", pipe("axa\nbyd\n"), "--json")
    assert found.json()["documents"] == 2


def test_a_named_pipe_of_rows_is_classified(thence, folder, opinions):
    os.mkfifo("rows.csv")
    rows = b"label,text\npos,a good film\n"
    writer = threading.Thread(target=Path("rows.csv").write_bytes, args=(rows,), daemon=True)
    writer.start()
    line = thence("classify", opinions.folder, "rows.csv").json()
    writer.join(10)
    assert line["text"] == "a good film"


@pytest.mark.parametrize("role", ["text", "--dev", "--test"])
def test_train_copies_a_pipe(thence, trained, pipe, role):
    lines = trained.text.read_text()
    given = [pipe(lines)] if role == "text" else [trained.text, role, pipe(lines)]
    flags = ["--model", "bigram-counts", "--no-report", "--json", "-o", "run"]
    made = thence("train", *given, *flags).json()
    assert Path("run", role.strip("-")).read_text() == lines
    assert thence("evaluate", "run", "--json").json() == made["dev"]


def test_the_hash_of_standard_input_is_enough(thence, trained):
    lines = trained.text.read_text()
    flags = ["--model", "bigram-counts", "--no-report", "--json"]
    made = thence("train", "-", "--no-keep-text", "-o", "run", *flags, stdin=lines).json()
    assert made["dev"]["documents"] == 10
    assert not Path("run/text").exists()
    refused = thence("evaluate", "run")
    assert refused.code == 2 and "keeps only the hash of its text" in refused.err
    again = thence("resume", "run", "--text", "-", "--json", stdin=lines).json()
    assert again["nothing_to_do"]
    refused = thence("resume", "run", "--text", "-", stdin=lines[:-4])
    assert refused.code == 2 and "is not what run was trained on" in refused.err
    assert thence("evaluate", "run", trained.text, "--json").json()["documents"] == 105


def test_a_sweep_copies_standard_input(thence, trained, folder):
    space = "[sweep]\nsampler = 'grid'\n[sweep.space]\nadd_k = [0.1, 1.0]\n"
    Path("recipe.toml").write_text(f"text = '-'\nmodel = 'bigram-counts'\n{space}")
    lines = trained.text.read_text()
    flags = ["-o", "sweep", "--no-report", "--json"]
    done = thence("sweep", "recipe.toml", *flags, stdin=lines).json()
    assert len(done["trials"]) == 2
    assert Path("sweep/text").read_text() == lines
    assert Path(Run("sweep/best").recipe.text) == Path("sweep/text").resolve()
    refused = thence("sweep", "recipe.toml", *flags, stdin=lines[:-4])
    assert refused.code == 2 and "was started with another text" in refused.err


def test_fill_ranks_what_is_given(thence, trained):
    found = thence("fill", trained.counts, "a___a", "--among", "x,y", "--among", "z", "--json")
    content = found.json()
    assert {filling["text"] for filling in content["fillings"]} == {"axa", "aya", "aza"}
    assert (content["found"], content["exact"]) == (3, True)
    outcome = thence("fill", trained.counts, "a___a", "--among", "x, y ,z", "-n", "1")
    assert len(outcome.out.splitlines()) == 1
    assert outcome.err == "Shares are among all 3 fillings.\n"
    unknown = thence("fill", trained.counts, "a___a", "--among", "x,ö").err
    assert "in 'ö' never occurs in the train text" in unknown
