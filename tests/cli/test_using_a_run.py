"""The commands that read a run: evaluate, compare, score, next, complete, fill, sample,
report, plot."""

import shutil
from pathlib import Path

import pytest

from thence.evaluation.compare import compare
from thence.evaluation.evaluate import evaluate
from thence.evaluation.scoring import score
from thence.generation import complete, fill, next_tokens, sample
from thence.runs import Run
from thence.training import train

from .conftest import strict_json

pytestmark = pytest.mark.usefixtures("folder")


def test_evaluate_prints_the_report(thence, trained):
    outcome = thence("evaluate", trained.mlp)
    report = evaluate(trained.mlp)
    assert (outcome.code, outcome.err) == (0, "")
    for name, value in report.rows():
        assert any(
            line.startswith(name) and line.endswith(value) for line in outcome.out.split("\n")
        )


def test_evaluate_json(thence, trained):
    assert thence("evaluate", trained.mlp, "--json").json() == evaluate(trained.mlp).to_json()


def test_evaluate_records_looks_at_test(thence, trained, folder):
    run = shutil.copytree(trained.mlp, folder / "run")
    assert thence("evaluate", run, "--split", "test", "--json").json()["test_looks"] == 1
    assert "evaluations on test   2" in thence("evaluate", run, "--split=test").out


@pytest.mark.parametrize("run", ["mlp", "counts"])
def test_evaluate_reads_standard_input_and_files(thence, trained, folder, run):
    (folder / "other.txt").write_text("axa\nbyd\n")
    of_file = thence("evaluate", getattr(trained, run), "other.txt", "--json").json()
    of_input = thence("evaluate", getattr(trained, run), "-", "--json", stdin="axa\nbyd\n").json()
    assert of_file.pop("text") == "other.txt"
    assert of_input.pop("text") == "standard input"
    assert of_input == of_file
    assert of_file["documents"] == 2


def test_impossible_texts_are_json_too(thence, trained, folder):
    run = train(trained.text, "bigram-counts", output=folder / "run", add_k=0).folder
    (folder / "other.txt").write_text("xxx\n")
    outcome = thence("evaluate", run, "other.txt", "--json").json()
    assert outcome["impossible"] > 0 and outcome["nats"] is None
    line = thence("score", run, "other.txt", "--tokens").json()
    assert line["log_probability"] is None
    found = thence("compare", run, trained.counts, "--text", "other.txt", "--json").json()
    assert found["runs"][1]["bits_per_byte"] is None


def test_compare_prints_a_table_without_blanks_at_the_ends(thence, trained):
    outcome = thence("compare", trained.mlp, trained.counts)
    assert (outcome.code, outcome.err) == (0, "There is too little text for intervals.\n")
    lines = outcome.out.rstrip("\n").split("\n")
    assert lines == [line.rstrip() for line in lines] and lines[-1]
    assert lines[0] == f"dev split of {trained.text} (10 documents)"
    assert max(map(len, lines[1:])) <= 80
    rows = [line.split() for line in lines if line.startswith(("mlp", "counts"))]
    best = evaluate(trained.mlp), evaluate(trained.counts)
    assert sorted(row[3] for row in rows) == sorted(f"{r.nats_per_token:.4f}" for r in best)


def test_compare_json_and_another_text(thence, trained, folder):
    runs = [trained.mlp, trained.counts]
    assert thence("compare", *runs, "--json").json() == compare(runs).to_json()
    found = thence("compare", *runs, "--text", "-", "--json", stdin="axa\nbyd\n").json()
    assert (found["text"], found["documents"]) == ("standard input", 2)


def test_compare_says_what_to_know(thence, trained, folder):
    words = train(trained.text, "bigram-counts", output=folder / "words", tokens="words").folder
    outcome = thence("compare", words, trained.counts)
    assert "cut the text into different tokens" in outcome.err
    assert (
        "cut the text into different tokens"
        in strict_json(thence("compare", words, trained.counts, "--json").out)["remark"]
    )


def test_score_is_one_json_line_per_document(thence, trained, folder):
    (folder / "other.txt").write_text("axa\nbyd\nzoë\n")
    outcome = thence("score", trained.mlp, "other.txt")
    expected = list(score(Run(trained.mlp), ["axa", "byd", "zoë"]))
    assert (outcome.code, outcome.err) == (0, "")
    assert [strict_json(line) for line in outcome.out.splitlines()] == expected
    assert '"zoë"' in outcome.out
    assert thence("score", trained.mlp, "-", stdin="axa\nbyd\nzoë\n").out == outcome.out


def test_score_tokens_add_up(thence, trained, folder):
    line = thence("score", trained.mlp, "-", "--tokens", stdin="axa\n").json()
    assert [token["token"] for token in line["tokens"]] == ["a", "x", "a", "<boundary>"]
    total = sum(token["log_probability"] for token in line["tokens"])
    assert total == pytest.approx(line["log_probability"])


def test_score_reads_a_column(thence, trained, folder):
    (folder / "table.csv").write_text("id,name\n1,axa\n2,byd\n")
    outcome = thence("score", trained.mlp, "table.csv", "--column", "name")
    assert [strict_json(line)["text"] for line in outcome.out.splitlines()] == ["axa", "byd"]


def test_next(thence, trained):
    outcome = thence("next", trained.mlp, "ax", "-n", 3)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json() == next_tokens(trained.mlp, "ax", 3).to_json()
    assert thence("next", trained.mlp, "ax", "--count=3", "--json").json() == outcome.json()
    assert thence("next", trained.mlp).json()["text"] == ""


@pytest.mark.parametrize("text", ["-", "-x", "--json"])
def test_text_may_begin_with_a_hyphen(thence, trained, text):
    after = ["--", text] if len(text) > 1 else [text]
    assert thence("next", trained.mlp, *after).json() == next_tokens(trained.mlp, text).to_json()
    given = thence("sample", trained.mlp, f"--prefix={text}", "--json").json()
    assert given["texts"] == sample(trained.mlp, prefix=text).texts


def test_a_prefix_may_begin_with_a_hyphen_as_a_word_of_its_own(thence, trained):
    given = thence("sample", trained.mlp, "--prefix", "-x", "-n", 1, "--json").json()
    assert given["texts"] == sample(trained.mlp, 1, prefix="-x").texts


@pytest.mark.parametrize(
    "arguments", [["next", "RUN", "a\udcff"], ["sample", "RUN", "--prefix=\udcff"]]
)
def test_text_that_is_not_utf_8_is_a_sentence(thence, trained, arguments):
    outcome = thence(*(trained.mlp if word == "RUN" else word for word in arguments))
    assert outcome.code == 2
    assert "is not UTF-8: character" in outcome.err


def test_sample(thence, trained):
    flags = ["-n", 4, "--prefix", "a", "--temperature", 0.8, "--top-k", 5, "--top-p", 0.9]
    expected = sample(trained.mlp, 4, prefix="a", temperature=0.8, top_k=5, top_p=0.9, seed=3)
    outcome = thence("sample", trained.mlp, *flags, "--seed", 3)
    assert outcome.code == 0
    assert outcome.out == f"{expected}\n"
    assert outcome.err == f"{expected.copies} of 4 are copies of train documents.\n"
    outcome = thence("sample", trained.mlp, *flags, "--seed", 3, "--json")
    assert outcome.json() == expected.to_json()
    assert outcome.err == ""


def test_sample_says_what_was_cut(thence, trained):
    outcome = thence("sample", trained.mlp, "-n", 3, "--max-length", 1)
    assert outcome.err.startswith("3 cut at 1 tokens; ")


def test_sample_keeps_the_prefix_and_says_how_many_tokens_no_text_spells(thence, trained):
    outcome = thence("sample", trained.counts, "-n", 90, "--prefix", "ßa", "--temperature", 9)
    texts = outcome.out.splitlines()
    assert all(text.startswith("ßa") for text in texts)
    drawn = outcome.out.count("\ufffd")
    assert drawn > 1
    assert f"; {drawn} tokens are <unk>, which --bad-words '<unk>' keeps out." in outcome.err


def test_greedy_sample(thence, trained):
    texts = thence("sample", trained.mlp, "-n", 2, "--greedy", "--json").json()["texts"]
    assert texts[0] == texts[1]


def test_sample_without_the_train_text_has_nothing_to_remark(thence, trained, folder):
    shutil.copy(trained.text, "gone.txt")
    run = train("gone.txt", "bigram-counts", output="run").folder
    (folder / "gone.txt").unlink()
    outcome = thence("sample", run, "-n", 5, "--bad-words", "<unk>")
    assert (outcome.code, outcome.out.count("\n"), outcome.err) == (0, 5, "")
    assert thence("sample", run, "--json").json()["copies"] is None


@pytest.mark.slow
def test_report(thence, trained, folder):
    run = shutil.copytree(trained.counts, folder / "run")
    assert thence("report", "run").out == "run/report.html\n"
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert thence("report", "run", "--output", "page.html").out == "page.html\n"
    assert (folder / "page.html").exists()


@pytest.mark.slow
def test_report_of_several_runs(thence, trained, folder):
    outcome = thence("report", trained.mlp, trained.counts)
    assert (outcome.code, outcome.out) == (0, "comparison.html\n")
    assert "Comparison of 2 runs" in (folder / "comparison.html").read_text()
    (folder / "notes.txt").write_text("notes")
    outcome = thence("report", trained.mlp, trained.counts, "-o", "notes.txt")
    assert outcome.code == 2 and "notes.txt exists already" in outcome.err
    assert thence("report").err == (
        "thence: There is no run to report on; name one run folder or several.\n"
    )


@pytest.mark.slow
def test_plot(thence, trained, folder):
    shutil.copytree(trained.counts, folder / "run")
    outcome = thence("plot", "run")
    assert outcome.out.splitlines() == ["run/pictures/heat-map.png", "run/pictures/heat-map.svg"]
    outcome = thence("plot", "run", "--output", "pictures")
    assert all((folder / line).stat().st_size > 1000 for line in outcome.out.splitlines())


def test_mix_makes_a_run(thence, trained, folder):
    outcome = thence("mix", trained.mlp, trained.counts, "-o", "mixed", "--no-report")
    assert outcome.code == 0
    assert "mixture" in outcome.out
    assert outcome.err.count("weight ") == 2
    assert thence("evaluate", "mixed", "--json").json()["run"] == "mixed"
    assert thence("mix", trained.mlp, "-o", "other").code == 2
    assert not (folder / "other").exists()


def test_complete(thence, trained):
    outcome = thence("complete", trained.mlp, "ax", "-n", 3)
    expected = complete(trained.mlp, "ax", 3)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{expected}\n", "")
    assert thence("complete", trained.mlp, "ax", "-n3", "--json").json() == expected.to_json()
    greedy = thence("complete", trained.mlp, "ax", "--beam", 1, "--json").json()["completions"]
    assert [one["text"] for one in greedy] == sample(trained.mlp, 1, prefix="ax", greedy=True).texts
    flags = ["--temperature", 0.8, "--top-k", 5, "--top-p", 0.9, "--seed", 3]
    drawn = thence("complete", trained.mlp, "ax", *flags, "--json").json()["completions"]
    expected = sample(trained.mlp, 5, prefix="ax", temperature=0.8, top_k=5, top_p=0.9, seed=3)
    assert [one["text"] for one in drawn] == expected.texts


def test_complete_says_what_was_cut_and_what_it_cannot_read(thence, trained):
    outcome = thence("complete", trained.counts, "aß", "--max-length", 1, "--length-penalty", 1)
    assert outcome.err.startswith("1 of the symbols in 'aß' never occurs in the train text")
    assert outcome.err.endswith(" cut at 1 tokens.\n")
    assert all(line.split("  ")[1].startswith("aß") for line in outcome.out.splitlines())


def test_fill(thence, trained):
    outcome = thence("fill", trained.mlp, "a___a", "-n", 3)
    expected = fill(trained.mlp, "a___a", 3)
    assert (outcome.code, outcome.out) == (0, f"{expected}\n")
    assert outcome.err == f"Shares are among {expected.found:,} found by a beam.\n"
    flags = ["--blank", "-", "--longest", 1, "--open"]
    outcome = thence("fill", trained.mlp, "b-a", *flags)
    expected = fill(trained.mlp, "b-a", blank="-", longest=1, goes_on=True)
    assert outcome.out == f"{expected}\n"
    assert outcome.err == "Shares are among all 8 fillings.\n"
    assert thence("fill", trained.mlp, "b-a", *flags, "--json").json() == expected.to_json()
    narrow = thence("fill", trained.mlp, "a___a", "--beam", 1, "--json").json()
    assert (narrow["found"], narrow["exact"]) == (8, False)


def test_look_says_briefly_what_it_cannot_read(thence, trained):
    assert thence("look", trained.mlp, "a\nb").err == ""  # A line end is a boundary.
    assert thence("look", trained.mlp, "aß" * 600).err.startswith(
        f"600 of the symbols in '{'aß' * 29}a…' never occur in the train text"
    )


def test_fill_says_what_it_cannot_read(thence, trained):
    outcome = thence("fill", trained.mlp, "ß___ß", "--longest", 1, "--json")
    assert outcome.err == (
        "2 of the symbols in 'ß___ß' never occur in the train text: read as <unk>.\n"
    )
    assert all(one["text"][0] == one["text"][2] == "ß" for one in outcome.json()["fillings"])


MIXTURE = """
text = "lines.txt"
split = "60/20/20"
[[runs]]
model = "ngram"
order = 2
[[runs]]
model = "gru"
hidden_size = 8
embedding_size = 4
steps = 2
"""


def test_mix_trains_what_its_recipe_names(thence, trained, folder):
    Path("lines.txt").write_text("\n".join(f"{a}{b}x" for a in "abcdef" for b in "stuvwxyz"))
    Path("mixture.toml").write_text(MIXTURE)
    outcome = thence("mix", "--config", "mixture.toml", "-o", "both", "--no-report", "--json")
    assert outcome.code == 0
    names = [member["name"] for member in outcome.json()["members"]]
    assert names == ["ngram order 2", "gru"]
    assert Path("both-runs/2-gru/config.toml").exists()
    given = thence("mix", trained.mlp, "--config", "mixture.toml", "-o", "again")
    assert given.code == 2
    assert "--config mixture.toml names the runs to mix itself; give none besides." in given.err


def test_runs_are_listed(thence, trained, folder):
    assert thence("runs").err.startswith("thence: There is no folder runs to look for runs in")
    shutil.copytree(trained.mlp, "runs/names")
    (Path("runs") / "\x1b]52;evil").mkdir()
    (found, _) = sorted(thence("runs", "--json").json(), key=lambda run: run["state"])
    assert (found["name"], found["model"], found["state"]) == ("names", "mlp", "finished")
    shown = thence("runs").out
    assert "names" in shown and "nats per token" in shown and "\x1b" not in shown
    assert thence("evaluate", "names", "--json").json()["run"] == "names"
    (found,) = thence("runs", "runs/names", "--json").json()
    assert found["name"] == "names"
    Path("empty").mkdir()
    assert thence("runs", "empty").out == "There are no runs in empty.\n"
