"""Every judgement on the test split is a look, whatever way its documents came."""

import ast
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import thence
from thence.atomic import WriteError
from thence.corpus import Documents
from thence.ensembles.mix import mix
from thence.errors import RunError
from thence.reports import report
from thence.runs import Run
from thence.runs.looks_at_test import Fingerprint
from thence.training import train

Counted = Callable[..., Run]
TEST = ("ba", "abb", "b")
OLD_RUNS = Path(__file__).parents[1] / "runs" / "runs-0.1"


@pytest.fixture
def run(counted: Counted) -> Run:
    return counted(test=TEST)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = ["a good film,pos", "a bad film,neg", "good and long,pos", "bad and long,neg"] * 5
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def looks(run: Run) -> list[str]:
    return [look["command"] for look in run.test_looks()]


def test_the_file_of_the_test_split_is_a_look(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "test.txt"
    assert thence.evaluate(run, text=file).test_looks == 1
    list(thence.score(run, Documents.from_strings(TEST)))
    thence.compare([run, run], text=file)
    run.model.score(run.store("test"))
    list(thence.score(run.folder, run.documents("test")))
    assert looks(run) == ["evaluate", "score", "compare", "store", "score"]


@pytest.mark.parametrize("content", ["b\nba\nabb\n", "ba\r\nabb\r\nb", "ba\n\nabb\n\nb\n"])
def test_the_same_documents_in_another_form_are_a_look(
    run: Run, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "copy.txt"
    file.write_bytes(content.encode())
    assert thence.evaluate(run, text=file).test_looks == 1


@pytest.mark.parametrize("content", ["ba\nabb\n", "ba\nabb\nab\n", "baabb\nb\n", "ba\nba\nabb\nb"])
def test_other_documents_are_none(run: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "other.txt"
    file.write_text(content)
    assert thence.evaluate(run, text=file).test_looks == 0


def test_surprisals_of_the_test_split_are_one_look_however_many_are_read_at_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[thence.surprisal.__module__], "AT_ONCE", 2)
    list(thence.surprisal(run, tmp_path / "test.txt", carry_context=False))
    list(thence.surprisal(run, ["ba", "ab"], carry_context=False))
    assert looks(run) == ["surprisal"]


def test_what_judges_nothing_on_test_is_no_look(run: Run) -> None:
    assert len(run.documents("test")) == 3
    thence.evaluate(run, "train")
    list(thence.score(run, "ba"))
    report(run)
    thence.score(run, run.documents("test"))  # Which scores nothing before it is asked for more.
    assert run.test_looks() == []


def test_classifying_the_test_split_is_a_look(table: Path, tmp_path: Path) -> None:
    run = train(table, "linear", label="label", output=tmp_path / "run", buckets=256, threads=1)
    documents = run.documents("test")
    list(thence.classify(run, documents))
    list(thence.classify(run, [*documents][::-1]))
    list(thence.classify(run, "a good film"))
    thence.evaluate(run, "test")
    rows = [f"{text},{'pos' if 'good' in text else 'neg'}" for text in documents]
    (tmp_path / "test.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    assert thence.evaluate(run, text=tmp_path / "test.csv").test_looks == 4
    thence.compare([run, run], "test")
    assert looks(run) == ["classify", "classify", "evaluate", "evaluate", "compare"]


def test_a_mixture_begins_with_the_looks_of_its_runs(counted: Counted, tmp_path: Path) -> None:
    runs = [counted(test=TEST, name="one"), counted(test=TEST, name="two", add_k=2.0)]
    thence.compare(runs, "test")
    thence.evaluate(runs[0], "test")
    mixed = mix(runs, tmp_path / "mixed")
    assert sorted(look["run"] for look in mixed.test_looks()) == ["one", "one", "two"]
    judged = thence.evaluate(mixed, "test")
    assert (judged.test_looks, judged.to_json()["test_looks_before"]) == (4, 3)
    said = dict(judged.rows())["evaluations on test"]
    assert said == "4 so far, 3 of them before this run was made: as one, two"
    assert "4 times, last " in report(mixed).read_text()


def test_a_run_of_0_1_knows_its_test_split(tmp_path: Path) -> None:
    expected = OLD_RUNS / "counts"
    shutil.copytree(expected, tmp_path / "old")
    run = Run(tmp_path / "old")
    assert "test" not in run.provenance
    test = Documents.from_strings(TEST)
    run.provenance["sha256"]["test"] = test.content_hash()
    assert run.is_test_split(test)
    assert not run.is_test_split(Documents.from_strings(TEST[1:]))


def test_a_look_that_may_not_be_written_is_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WriteError(run.folder / "test-looks.jsonl", PermissionError(13, "Permission denied"))

    monkeypatch.setattr("thence.runs.run.append_json_line", refuse)
    with pytest.raises(RunError, match=r"cannot be recorded, as you may not write there\. Copy"):
        thence.evaluate(run, "test")


def test_a_fingerprint_recognises_documents_by_their_content() -> None:
    expected = Fingerprint.of(Documents.from_strings(["ab", "", "c"]))
    assert (expected.documents, expected.bytes) == (2, 3)
    assert expected.matches(Documents.from_strings(["c", "ab"]))
    assert not expected.matches(Documents.from_strings(["a", "bc"]))
    assert not expected.matches(Documents.from_strings(["abc"]))


@pytest.mark.slow
def test_nothing_that_judges_goes_round_the_record() -> None:
    """What encodes documents with a run's tokenizer by itself is listed here, and why it may."""
    may = {
        "evaluation/classify.py": "records the look for all its blocks together",
        "evaluation/explain.py": "reads one document, and variants of it",
        "evaluation/similar.py": "reads one word",
        "evaluation/pairs.py": "records the look for all its blocks together",
        "evaluation/rescoring.py": "records the look for all its blocks together",
        "evaluation/surprisal.py": "records the look for all its blocks together",
        "generation/sampling_filters.py": "reads one word",
        "generation/infill.py": "reads candidates for a blank",
        "generation/sampling.py": "reads a prefix",
        "reports/comparison.py": "reads dev",
        "serve/loaded_runs.py": "reads prompts, one at a time",
        "exchange/hugging_face.py": "reads a text to try the tokenizer with",
        "exchange/pytorch_script.py": "reads train",
        "ensembles/members.py": "reads dev",
        "inspection/look.py": "reads one text, of which classify has recorded the look",
        "inspection/subject.py": "reads one token",
        "inspection/label_gradients.py": "reads one text, of which classify has recorded the look",
        "runs/run.py": "is what records",
    }
    source = Path(thence.__file__).parent
    found = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                written = ast.unparse(node)
                if written.startswith(("run.tokenizer.encode(", "self.run.tokenizer.encode(")) or (
                    written.startswith("encode_texts(") and "run" in written
                ):
                    found.add(path.relative_to(source).as_posix())
    assert found <= may.keys()
