"""thence export and thence import, and the other commands on an imported run."""

import re
from pathlib import Path

import numpy as np
import pytest

from thence.ensembles.mix import N_GRAMS
from thence.runs import Run
from thence.training import train

pytestmark = pytest.mark.usefixtures("folder")

TEXT = "the cat sat\nthe cat ran\na dog sat\nthe dog ran\na cat sat\n" * 4
NONE = (
    "thence: The run lm was imported from lm.arpa and has no text of its own; evaluate it on "
    "another (thence evaluate RUN TEXT, thence compare --text TEXT).\n"
)


@pytest.fixture
def counted(folder: Path) -> Run:
    (folder / "text.txt").write_text(TEXT)
    flags = {"order": 3, "tokens": "words", "split": "60/20/20"}
    return train("text.txt", "ngram", output="counted", **flags)


@pytest.fixture
def imported(thence, counted: Run) -> Run:
    thence("export", "counted", "lm.arpa")
    thence("import", "lm.arpa", "-o", "lm")
    return Run("lm")


@pytest.mark.parametrize("name", ["lm.arpa", "deep/lm.arpa.gz"])
def test_there_and_back(thence, counted: Run, name: str) -> None:
    outcome = thence("export", "counted", name, "--to", "arpa")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{name}\n", "")
    outcome = thence("import", name, "-o", "lm")
    size = counted.model.num_parameters()
    assert (outcome.code, outcome.err) == (0, "Next: thence evaluate lm TEXT\n")
    assert outcome.out == (
        "run         lm\n"
        f"model       ngram of order 3, {size} parameters\n"
        "vocabulary  6 words; all others are <unk>\n"
    )
    ours, theirs = (
        thence("evaluate", run, "text.txt", "--json").json() for run in ("counted", "lm")
    )
    assert theirs["nats_per_token"] == pytest.approx(ours["nats_per_token"], abs=1e-5)


def test_import_json_and_a_closed_vocabulary(thence, folder: Path) -> None:
    (folder / "one.arpa").write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3 </s>\n-0.3 a\n")
    assert thence("import", "one.arpa", "--output", "json", "--json").json() == {
        "run": "json",
        "model": "ngram",
        "order": 1,
        "parameters": 2,
        "words": 1,
        "unknown": "refuse",
    }
    said = thence("import", "one.arpa", "-o", "one").out
    assert "vocabulary  1 words; all others are refused\n" in said
    refused = thence("score", "one", "-", stdin="a b\n")
    assert (refused.code, "'b' (symbol 2 of document 1)" in refused.err) == (2, True)


def test_what_reads_a_run_reads_an_imported_one(thence, imported: Run) -> None:
    assert thence("next", "lm", "the cat", "-n", 1).code == 0
    outcome = thence("sample", "lm", "-n", 2)
    assert (outcome.code, outcome.err) == (0, "")
    line = thence("score", "lm", "-", stdin="the cat sat\n").json()
    assert (line["targets"], line["unknown"]) == (4, 0)
    assert thence("compare", "lm", "counted", "--text", "text.txt").code == 0
    assert thence("export", "lm", "again.arpa").code == 0


@pytest.mark.slow
def test_the_report_leaves_out_the_text(thence, imported: Run, folder: Path) -> None:
    assert thence("report", "lm").code == 0
    page = (folder / "lm" / "report.html").read_text()
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles == ["Samples", "The counts", "Model and settings"]
    assert "imported from" in page
    assert "sums of probabilities differ from 1" in page


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "lm"],
        ["evaluate", "lm", "--split", "test"],
        ["compare", "lm", "counted"],
        ["compare", "lm", "lm"],
        ["mix", "counted", "lm", "-o", "mixed"],
        ["resume", "lm"],
        ["plot", "lm"],
    ],
    ids=" ".join,
)
def test_what_needs_a_text_says_that_there_is_none(thence, imported: Run, arguments) -> None:
    outcome = thence(*arguments)
    more = f" {N_GRAMS}" if arguments[0] == "mix" else ""
    assert (outcome.code, outcome.out, outcome.err) == (2, "", NONE.strip() + more + "\n")
    assert not Path("lm/test-looks.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "counted"], "PATH is missing. (see: thence export --help)"),
        (
            ["export", "counted", "x", "--to", "gguf"],
            'Invalid value "gguf" for --to. Choose from: "arpa", "kenlm", "fst", "fasttext", '
            '"word2vec", "onnx", "huggingface", "pytorch", "html". '
            "(see: thence export --help)",
        ),
        (
            ["export", "counted", "text.txt"],
            "text.txt exists already and is left as it is; choose another name.",
        ),
        (
            ["import", "text.txt", "-o", "x"],
            "text.txt, line 1: an ARPA file begins with \\data\\; this is not one.",
        ),
        (["next", "lm.arpa"], "There is no file lm.arpa."),
        (
            ["import", "text.txt", "-o", "counted"],
            "counted exists already and is left as it is; choose another --output.",
        ),
    ],
)
def test_what_cannot_be_is_a_sentence(thence, counted: Run, arguments, message) -> None:
    outcome = thence(*arguments)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"thence: {message}\n")


def test_a_file_in_the_place_of_a_run_can_be_made_one(thence, counted: Run) -> None:
    thence("export", "counted", "lm.bin")  # An n-gram run: a binary file of KenLM.
    assert Path("lm.bin").read_bytes().startswith(b"mmap lm http://kheafield.com/code")
    outcome = thence("next", "lm.bin")
    said = "Make a run of it: thence import lm.bin --output NAME."
    assert outcome.err == f"thence: lm.bin is not a run folder but a file. {said}\n"


def test_an_mlp_is_not_exported(thence, trained) -> None:
    outcome = thence("export", trained.mlp, "x.arpa")
    assert outcome.code == 2
    assert outcome.err.startswith(f"thence: {trained.mlp} is a run of the model 'mlp'; an ARPA")
    assert not Path("x.arpa").exists()


def test_networks_for_other_programs(thence, trained, folder: Path) -> None:
    outcome = thence("export", trained.mlp, "mlp.onnx")
    assert (outcome.code, outcome.out) == (0, "mlp.onnx\n")
    said = r"Checked on random ids: log-probabilities differ from the run's by at most \S+\.\n"
    assert re.fullmatch(said, outcome.err)
    outcome = thence("export", trained.counts, "counts.onnx")
    assert outcome.code == 2
    assert outcome.err == (
        f"thence: {trained.counts} is a run of the model 'bigram-counts'; an ONNX file can only "
        "hold a network that models language (such as thence train --model lstm).\n"
    )
    assert [item.name for item in folder.iterdir()] == ["mlp.onnx"]


@pytest.mark.slow
def test_a_folder_of_hugging_face(thence, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    train("text.txt", "lstm", output="lstm", hidden_size=4, embedding_size=4, steps=2)
    outcome = thence("export", "lstm", "hf", "--to", "huggingface")
    assert (outcome.code, outcome.out) == (0, "hf\n")
    assert outcome.err.startswith("Checked on random ids: ") and outcome.err.count("\n") == 1
    assert (folder / "hf" / "config.json").exists()


ODD = """# made by hand
\\data\\
ngram 1=6
ngram 2=3

\\1-grams:
-1.0\t<unk>
0\t<s>\t-0.3
{end}\t</s>
-0.7\t10\u00a0km\t-0.2
-0.7\tthe\u3000cat\t-0.2
-0.7\trun\t-0.2

\\2-grams:
-0.3\t<s> 10\u00a0km
-0.3\t10\u00a0km run
-0.3\trun </s>

\\end\\
"""


@pytest.mark.slow
def test_words_with_a_no_break_space_are_reached_and_exported(thence, folder: Path) -> None:
    (folder / "odd.arpa").write_text(ODD.format(end="-0.7"), "utf-8")
    said = thence("import", "odd.arpa", "-o", "odd")
    assert said.code == 0
    assert "add up to 0.5667, not to 1 (6 of 6 contexts are below it). Likelihoods look" in said.err
    line = thence("score", "odd", "-", stdin="10\u00a0km run\n").json()
    assert line["log_probability"] == pytest.approx(-0.9 * np.log(10), abs=1e-4)  # As KenLM has it.
    assert (line["targets"], line["unknown"]) == (3, 0)
    assert thence("export", "odd", "again.arpa").code == 0
    written = (folder / "again.arpa").read_text("utf-8")
    assert "\t10\u00a0km\t" in written and "\tthe\u3000cat\t" in written


def test_probabilities_above_one_are_refused_unless_allowed(thence, folder: Path) -> None:
    (folder / "odd.arpa").write_text(ODD.format(end="-0.1"), "utf-8")
    refused = thence("import", "odd.arpa", "-o", "odd")
    assert (refused.code, refused.out) == (2, "")
    told = "odd.arpa: the probabilities without a context add up to 1.493, not to 1 (4 of 6"
    assert refused.err.startswith(f"thence: {told}")
    assert refused.err.endswith("or import it with --renormalize or --allow-unnormalized.\n")
    assert not (folder / "odd").exists()
    allowed = thence("import", "odd.arpa", "-o", "odd", "--allow-unnormalized")
    assert allowed.code == 0
    assert "Likelihoods look better than they are." in allowed.err
    renormalized = thence("import", "odd.arpa", "-o", "even", "--renormalize")
    assert (renormalized.code, "Likelihoods" in renormalized.err) == (0, False)


def test_training_tells_at_once_what_an_arpa_file_cannot_hold(thence, folder: Path) -> None:
    (folder / "marked.txt").write_text("<s> the cat sat\n<s> a dog\n<s> a cat\n<s> the dog\n" * 5)
    words = ("--tokens", "words", "--model", "ngram", "--split", "80/20/0", "--no-report")
    said = thence("train", "marked.txt", *words, "-o", "marked", "--json")
    assert said.json()["model"] == "ngram"  # The remark is no part of the result.
    assert "marked.txt holds <s> (16 times): words like all others here" in said.err
    assert "an ARPA file cannot hold the model" in said.err
    refused = thence("export", "marked", "marked.arpa")
    assert (refused.code, "has a symbol '<s>', a name" in refused.err) == (2, True)


FASTTEXT = Path(__file__).parents[1] / "exchange" / "fasttext_files"


def test_a_classifier_of_fasttext(thence, folder: Path) -> None:
    outcome = thence("import", FASTTEXT / "hs.bin", "-o", "languages")
    assert (outcome.code, outcome.err) == (0, "Next: thence classify languages TEXT\n")
    assert outcome.out == (
        "run     languages\nmodel   fasttext, 625 parameters\nlabels  4: de, ru, en, rare\n"
    )
    found = thence("import", FASTTEXT / "ova.bin", "-o", "others", "--json").json()
    assert found["labels"] == 4 and found["model"] == "fasttext"
    assert thence("classify", "languages", "the boat").json()["label"] == "en"
    assert thence("export", "languages", "again.bin").out == "again.bin\n"
    assert (folder / "again.bin").read_bytes() == (FASTTEXT / "hs.bin").read_bytes()


def test_a_label_is_shown_without_control_characters(thence, folder: Path) -> None:
    data = (FASTTEXT / "plain.bin").read_bytes().replace(b"__label__rare", b"__label__r\x1b[1m")
    (folder / "odd.bin").write_bytes(data)
    shown = thence("import", "odd.bin", "-o", "odd").out
    assert "\x1b" not in shown and "[1m" in shown


def test_vectors_and_damaged_files_of_fasttext(thence, folder: Path) -> None:
    outcome = thence("import", FASTTEXT / "cbow.bin", "-o", "words.vec")
    said = "Next: thence train TEXT --vectors words.vec\n"
    assert (outcome.code, outcome.out, outcome.err) == (0, "words.vec\n", said)
    again = thence("import", FASTTEXT / "cbow.bin", "-o", "words.vec")
    said = "thence: words.vec exists already and is left as it is; choose another --output.\n"
    assert (again.code, again.err) == (2, said)
    (folder / "cut.bin").write_bytes((FASTTEXT / "hs.bin").read_bytes()[:900])
    outcome = thence("import", "cut.bin", "-o", "cut")
    assert outcome.code == 2 and not (folder / "cut").exists()
    assert outcome.err.startswith("thence: cut.bin is no file of fastText, or damaged: it needs ")
    assert len(thence("similar", FASTTEXT / "cbow.bin", "boats", "-n", "3").out.splitlines()) == 3
