"""Filtering files by perplexity, against scores one by one."""

import csv
import gzip
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thence
from thence.cli.filtering import lines_of_progress
from thence.corpus.packing import packing, unpacking
from thence.corpus.reading import inner_suffix
from thence.errors import MissingExtraError, RunError, SettingError, TextError, ThenceError
from thence.filtering import filter_texts, records, workers
from thence.filtering.journal import journal_folder
from thence.locks import BusyError, locked
from thence.runs import LanguageRun
from thence.training import train

from .conftest import made_lines

Perplexity = Callable[[str], float]


def as_file(path: Path, lines: Sequence[str]) -> None:
    """Write lines as the kind of file that a name says, other columns beside the text."""
    suffix = inner_suffix(path)[1:]
    if suffix == "parquet":
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = arrow.table({"id": list(range(len(lines))), "text": list(lines)})
        parquet.write_table(table, path)
        return
    if suffix == "txt":
        content = "".join(f"{line}\n" for line in lines)
    elif suffix == "jsonl":
        rows = enumerate(lines)
        content = "".join(json.dumps({"id": at, "text": line}) + "\r\n" for at, line in rows)
    elif suffix == "tsv":
        content = "id\ttext\n" + "".join(f"{at}\t{line}\n" for at, line in enumerate(lines))
    else:
        written = io.StringIO()
        writer = csv.writer(written)
        writer.writerows([("id", "text"), *enumerate(lines)])
        content = written.getvalue()
    data = content.encode()
    try:
        with path.open("wb") as file, packing(path.suffix, file) as packed:
            packed.write(data)
    except MissingExtraError as error:
        pytest.skip(str(error))


def content(path: Path) -> Any:
    """Return what a file holds, unpacked; of Parquet its rows."""
    if path.suffix == ".parquet":
        return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    with path.open("rb") as file, unpacking(file, str(path)) as unpacked:
        return unpacked.read()


KINDS = ("x.txt", "x.jsonl", "x.csv", "x.tsv", "x.parquet", "x.csv.gz", "x.txt.xz", "x.jsonl.zst")


@pytest.mark.parametrize("name", KINDS)
def test_keeps_what_score_says_and_as_it_was(
    run: LanguageRun,
    perplexity: Perplexity,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "PART", 512)
    lines = made_lines(200)
    usual = [perplexity(line) < 12 for line in lines]
    assert 40 < sum(usual) < 160
    (tmp_path / "kept").mkdir()
    as_file(tmp_path / name, lines)
    # What is expected: the same file without the lines that are not usual, numbers as they were.
    expected: Any
    if name.endswith("parquet"):
        rows = enumerate(zip(lines, usual, strict=True))
        expected = [{"id": at, "text": line} for at, (line, kept) in rows if kept]
    else:
        whole = BytesIO(content(tmp_path / name)).readlines()
        header = whole[: len(whole) - len(lines)]
        expected = b"".join(
            [*header, *(a for a, kept in zip(whole[len(header) :], usual, strict=True) if kept)]
        )
    found = filter_texts(run, tmp_path / name, tmp_path / "kept" / name, below=12)
    assert content(tmp_path / "kept" / name) == expected
    assert (found.documents, found.kept, found.dropped) == (200, sum(usual), 200 - sum(usual))
    assert not journal_folder(tmp_path / "kept" / name).exists()


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv.gz", "x.parquet"])
def test_adds_a_column(run: LanguageRun, perplexity: Perplexity, tmp_path: Path, name: str) -> None:
    lines = made_lines(20)
    as_file(tmp_path / name, lines)
    out = tmp_path / f"out-{name}"
    assert filter_texts(run, tmp_path / name, out, score_column="ppl").kept == 20
    found = content(out)
    if name == "x.jsonl":
        assert found.startswith(b'{"id": 0, "text": ') and found.endswith(b"}\r\n")
        rows = [json.loads(line) for line in found.splitlines()]
    elif name == "x.parquet":
        rows = found
    else:
        separator = "," if name == "x.csv" else "\t"
        rows = list(csv.DictReader(io.StringIO(found.decode(), newline=""), delimiter=separator))
    assert [list(row) for row in rows] == [["id", "text", "ppl"]] * 20
    assert [row["text"] for row in rows] == lines
    expected = [perplexity(line) for line in lines]
    np.testing.assert_allclose([float(row["ppl"]) for row in rows], expected, rtol=1e-5)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@settings(max_examples=12)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_what_is_kept_is_kept_byte_for_byte(
    run: LanguageRun,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    end: str,
) -> None:
    """No perplexity is below one, so all is kept, in parts of any size."""
    folder = tmp_path_factory.mktemp("same")
    written = io.StringIO()
    csv.writer(written, lineterminator=end).writerows([("text", "b"), *rows])
    objects = [json.dumps({"text": a, "b": b}, ensure_ascii=len(a) > 5) for a, b in rows]
    plain = [a.replace("\n", "") for a, _ in rows]
    files = {"x.csv": written.getvalue(), "x.jsonl": end.join(objects), "x.txt": end.join(plain)}
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "PART", 20)
            found = filter_texts(run, folder / name, folder / f"out-{name}", above=0.5)
        assert (folder / f"out-{name}").read_bytes() == text.encode()
        if name != "x.txt":
            assert found.documents == len(rows)


def test_quantiles_are_those_of_numpy(
    run: LanguageRun, perplexity: Perplexity, lines_file: Path, tmp_path: Path
) -> None:
    lines = lines_file.read_text("utf-8").split("\n")
    values = np.array([perplexity(line) for line in lines])
    low, high = np.quantile(values, [0.2, 0.8], method="inverted_cdf")
    kept = [a for a, one in zip(lines, values, strict=True) if low <= one <= high]
    found = filter_texts(run, lines_file, tmp_path / "out.txt", quantile=(0.2, 0.8))
    assert (tmp_path / "out.txt").read_text("utf-8").rstrip("\n").split("\n") == kept
    (about,) = found.models
    shares = [float(share) for share in about.quantiles]
    expected = np.quantile(values, shares, method="inverted_cdf")
    np.testing.assert_allclose(list(about.quantiles.values()), expected, rtol=1e-9)
    assert (about.lowest, about.highest) == pytest.approx((low, high))
    assert 0.55 < found.kept / found.documents < 0.7


def test_other_processes_and_a_killed_one_give_the_same_bytes(
    run: LanguageRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PART", 700)
    text = tmp_path / "x.jsonl"
    as_file(text, made_lines(300))
    how: dict[str, Any] = {"quantile": (0.1, 0.7), "score_column": "ppl"}
    expected = filter_texts(run, text, tmp_path / "a.jsonl", **how)
    filter_texts(run, text, tmp_path / "b.jsonl", processes=2, **how)
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()

    class Killed(BaseException):
        pass

    seen: list[float] = []

    def kill(documents: int, share: float) -> None:
        seen.append(share)
        if len(seen) == 3:
            raise Killed

    out = tmp_path / "c.jsonl"
    with pytest.raises(Killed):
        filter_texts(run, text, out, progress=kill, **how)
    journal = journal_folder(out)
    kept = (journal / "judged").read_bytes()
    lost = bytes(50)  # What is written to a disk without power.
    (journal / "judged").write_bytes(kept[:-50] + lost + b"half of a part that was being written")
    again: list[float] = []
    found = filter_texts(
        run, text, out, progress=lambda documents, share: again.append(share), **how
    )
    assert out.read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    assert found.models == expected.models
    assert again[0] == seen[-1]  # Of what was kept nothing was judged twice.
    assert again[-1] == 1
    assert not journal.exists()


def test_a_changed_text_is_judged_anew(run: LanguageRun, tmp_path: Path) -> None:
    text, out = tmp_path / "x.jsonl", tmp_path / "out.jsonl"
    text.write_text('{"text": "the cat"}\n{"text": 3}\n')

    with pytest.raises(TextError, match=r"record 2: column 'text' is 3, not a string"):
        filter_texts(run, text, out, above=0.5)
    assert not journal_folder(out).exists()  # Nothing was judged that would be worth keeping.
    text.write_text('{"text": "the cat"}\n{"text": "a dog"}\n')
    assert filter_texts(run, text, out, above=0.5).kept == 2


def test_a_folder_and_several_files(run: LanguageRun, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    as_file(tmp_path / "in" / "a.txt", made_lines(30))
    as_file(tmp_path / "in" / "deep" / "b.jsonl.gz", made_lines(30, seed=3))
    (tmp_path / "in" / "picture.png").write_bytes(b"no text")
    found = filter_texts(run, tmp_path / "in", tmp_path / "out", quantile=(0, 0.5))
    assert found.documents == 60
    assert 30 <= found.kept < 40
    made = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert made == {"a.txt", "deep/b.jsonl.gz"}
    both = [tmp_path / "in" / "a.txt", tmp_path / "in" / "deep" / "b.jsonl.gz"]
    filter_texts(run, both, tmp_path / "flat", quantile=(0, 0.5))
    for name, other in (("a.txt", "a.txt"), ("b.jsonl.gz", "deep/b.jsonl.gz")):
        assert (tmp_path / "flat" / name).read_bytes() == (tmp_path / "out" / other).read_bytes()
    with pytest.raises(SettingError, match=r"Two of the files are called a\.txt"):
        filter_texts(run, [both[0], both[0]], tmp_path / "x", below=9)
    with pytest.raises(SettingError, match="is a folder"):
        filter_texts(run, [both[0], tmp_path / "in"], tmp_path / "x", below=9)


@pytest.fixture(scope="session")
def languages(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two language models, of letters a to c and x to z, and a classifier of three scripts."""
    folder = tmp_path_factory.mktemp("languages")
    texts = {"abc": ["ab ab", "abc", "cab"] * 10, "xyz": ["xy xy", "xyz", "zxy"] * 10}
    made = {}
    for label, lines in texts.items():
        path = folder / f"{label}.txt"
        path.write_text("\n".join(lines) + "\n")
        made[label] = train(path, "ngram", output=folder / label, order=2)
    rows = [(label, line) for label, lines in texts.items() for line in lines]
    rows += [("digits", line) for line in ("12 1", "123", "312") for _ in range(10)]
    table = folder / "labels.csv"
    table.write_text("label,text\n" + "".join(f"{label},{line}\n" for label, line in rows))
    by = train(table, "linear", output=folder / "by", label="label", threads=1, tokens="characters")
    return SimpleNamespace(runs=made, by=by)


def test_each_language_has_its_model_and_its_bounds(
    languages: SimpleNamespace, tmp_path: Path
) -> None:
    text = tmp_path / "x.txt"
    lines = ["abc", "xyz", "ccc", "123", "zzz", "cab"]
    text.write_text("\n".join(lines) + "\n")
    value = {
        line: np.exp(thence.score(languages.runs[label], line)[0]["nats_per_token"])
        for label, some in (("abc", ("abc", "ccc", "cab")), ("xyz", ("xyz", "zzz")))
        for line in some
    }
    assert value["ccc"] > value["abc"] + 1 and value["zzz"] > value["xyz"] + 1
    below = {"abc": value["ccc"] - 0.1, "xyz": value["zzz"] + 0.1}
    models = languages.runs
    out = tmp_path / "out.txt"
    found = filter_texts(models, text, out, by=languages.by, below=below)
    assert out.read_text().split() == ["abc", "xyz", "zzz", "cab"]
    assert (found.documents, found.kept, found.without_model) == (6, 4, 1)
    assert [(one.label, one.documents, one.kept) for one in found.models] == [
        ("abc", 3, 2),
        ("xyz", 2, 2),
    ]
    assert "no model is for 1" in str(found)
    filter_texts(
        {label: one.folder for label, one in models.items()},
        text,
        tmp_path / "two.txt",
        by=languages.by.folder,
        quantile={"xyz": (0, 0.5)},
        processes=2,
    )
    assert (tmp_path / "two.txt").read_text().split() == ["abc", "xyz", "ccc", "cab"]
    sure = filter_texts(
        models, text, tmp_path / "sure.txt", by=languages.by, above=0.5, certainty=0.999999
    )
    assert (sure.kept, sure.without_model) == (0, 6)
    with pytest.raises(SettingError, match="no label of the classifier; it has abc, digits, xyz"):
        filter_texts({"xyy": models["xyz"]}, text, tmp_path / "y", by=languages.by, below=9)
    with pytest.raises(SettingError, match="`below` is given for 'xyy'"):
        filter_texts(models, text, tmp_path / "y.txt", by=languages.by, below={"xyy": 3.0})
    with pytest.raises(SettingError, match="need a classifier"):
        filter_texts(models, text, tmp_path / "y.txt", below=3)
    with pytest.raises(SettingError, match="chooses among several"):
        filter_texts(models["abc"], text, tmp_path / "y.txt", by=languages.by, below=3)


def test_networks_and_what_adapts_read_each_document_by_itself(tmp_path: Path) -> None:
    text = tmp_path / "train.txt"
    text.write_text("\n".join(made_lines(60)) + "\n", "utf-8")
    small: dict[str, Any] = {"hidden_size": 4, "embedding_size": 3, "steps": 2, "threads": 1}
    how: dict[str, Any] = {"tokens": "words", "carry_context": True}
    members = [
        train(text, "gru", output=tmp_path / "gru", **small, **how),
        train(text, "cache", output=tmp_path / "cache", **how),
    ]
    mixed = thence.mix(members, tmp_path / "mixed")
    rows = [{"text": line} for line in made_lines(9, seed=4)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    filter_texts(mixed, tmp_path / "x.jsonl", tmp_path / "y.jsonl", score_column="ppl")
    found = [json.loads(line)["ppl"] for line in (tmp_path / "y.jsonl").read_text().splitlines()]
    alone = [thence.score(mixed, row["text"], static=True)[0] for row in rows]
    expected = np.exp([line["nats_per_token"] for line in alone])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_closed_vocabulary_and_the_impossible(tmp_path: Path) -> None:
    text = tmp_path / "train.txt"
    text.write_text("ab\nab\nba\n" * 5)
    run = train(text, "ngram", output=tmp_path / "run", order=2, unknown="refuse")
    (tmp_path / "in.txt").write_text("ab\nxx\nba\nax\n")
    found = filter_texts(run, tmp_path / "in.txt", tmp_path / "out.txt", below=1000)
    assert (tmp_path / "out.txt").read_text() == "ab\nba\n"
    (about,) = found.models
    assert about.impossible == 2
    assert about.quantiles["1"] == inf
    assert found.to_json()["models"][0]["quantiles"]["1"] is None


def test_bytes_that_are_no_text(run: LanguageRun, tmp_path: Path) -> None:
    lines = [b"the cat", b"the \xff dog", b"a\0mat", b"on"]
    (tmp_path / "x.txt").write_bytes(b"\n".join(lines))
    with pytest.raises(TextError, match=r"x\.txt, line 2: byte 0xff .*iconv"):
        filter_texts(run, tmp_path / "x.txt", tmp_path / "out.txt", above=0.5)
    filter_texts(run, tmp_path / "x.txt", tmp_path / "out.txt", above=0.5, errors="replace")
    assert (tmp_path / "out.txt").read_bytes() == b"\n".join(lines)
    (tmp_path / "x.jsonl").write_text('{"text": "a\\u0000b"}\n{"text": "\\ud800"}\n')
    with pytest.raises(TextError, match=r"record 1: column 'text' holds U\+0000"):
        filter_texts(run, tmp_path / "x.jsonl", tmp_path / "out.jsonl", above=0.5)
    found = filter_texts(
        run, tmp_path / "x.jsonl", tmp_path / "out.jsonl", above=0.5, errors="ignore"
    )
    assert found.kept == 2


def test_a_row_that_has_no_text_left_is_refused(run: LanguageRun, tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"text\tb\nthe cat\t1\n\xff\na mat\t2\n")
    how: dict[str, Any] = {"above": 0.5, "errors": "ignore"}
    with pytest.raises(TextError, match="3 records have 2 texts"):
        filter_texts(run, tmp_path / "x.tsv", tmp_path / "y.tsv", **how)


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("x.txt", "out.txt", {}, "Nothing says what to keep"),
    ("x.txt", "out.txt", {"below": -1.0}, "`below` is -1"),
    ("x.txt", "out.txt", {"above": 5, "below": 3}, r"`above` is 5 and `below` is 3: nothing"),
    ("x.txt", "out.txt", {"quantile": (0.8, 0.2)}, r"`quantile` is 0.8\.\.0.2"),
    ("x.txt", "out.txt", {"below": 9, "column": "text"}, "plain text without columns"),
    ("x.txt", "out.txt", {"score_column": "ppl"}, "has no columns"),
    ("x.txt", "out.jsonl", {"below": 9}, "give both names the same ending"),
    ("x.txt", "out.txt.gz", {"below": 9}, "give both names the same ending"),
    ("x.txt", "x.txt", {"below": 9}, "exists already"),
    ("x.txt", "out.txt", {"below": 9, "processes": 0}, "`processes` is 0"),
    ("x.txt", "out.txt", {"below": 9, "certainty": 50.0}, "`certainty` is 50"),
    ("x.txt", "out.txt", {"below": 9, "processes": 2, "cluster": "local:2"}, "leave `processes`"),
    ("none.txt", "out.txt", {"below": 9}, "does not exist"),
    ("x.jsonl", "out.jsonl", {"below": 9, "column": "txt"}, "has no column 'txt'; it has 'id'"),
    ("x.jsonl", "out.jsonl", {"score_column": "id"}, "has a column 'id' already"),
    ("x.csv", "out.csv", {"score_column": "a,b"}, "may not hold commas"),
    ("bad.csv", "out.csv", {"below": 9}, "3 cells, but the header has 2"),
    ("bad.jsonl", "out.jsonl", {"below": 9}, "is not JSON"),
    ("x.json", "out.json", {"below": 9}, "jq -c"),
    ("bad.txt.gz", "out.txt.gz", {"below": 9}, "compressed, but broken"),
]


@pytest.mark.parametrize(("name", "output", "how", "message"), REFUSED)
def test_what_cannot_be_done_says_why_and_leaves_nothing(
    run: LanguageRun,
    tmp_path: Path,
    name: str,
    output: str,
    how: dict[str, Any],
    message: str,
) -> None:
    for each in ("x.txt", "x.jsonl", "x.csv"):
        as_file(tmp_path / each, ["the cat", "a dog"])
    (tmp_path / "x.json").write_text('[{"text": "the cat"}]')
    (tmp_path / "bad.csv").write_text("text,b\na,b,c\n")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": \n')
    (tmp_path / "bad.txt.gz").write_bytes(gzip.compress(b"the cat\n" * 99)[:-9])
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(ThenceError, match=message):
        filter_texts(run, tmp_path / name, tmp_path / output, **how)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_another_process_makes_it(run: LanguageRun, lines_file: Path, tmp_path: Path) -> None:
    folder = journal_folder(tmp_path / "out.txt")
    folder.mkdir()
    with locked(folder), pytest.raises(BusyError, match=r"out\.txt is being made by another"):
        filter_texts(run, lines_file, tmp_path / "out.txt", below=9)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(RunError, match="nothing is written through it"):
        filter_texts(run, lines_file, tmp_path / "out.txt", below=9)
    assert {*tmp_path.iterdir()} == {folder, lines_file}


class Ended(subprocess.Popen[bytes]):
    """A process that has ended before anything is sent to it."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.wait()


@pytest.mark.parametrize("kind", [subprocess.Popen, Ended])
def test_a_process_that_ends_says_what_to_do(
    run: LanguageRun, lines_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.setattr(workers, "PROGRAM", "import sys; sys.exit(7)")
    monkeypatch.setattr(subprocess, "Popen", kind)
    with pytest.raises(ThenceError, match=r"has ended \(exit code 7\).*fewer `processes`"):
        filter_texts(run, lines_file, tmp_path / "out.txt", below=9, processes=2)
    monkeypatch.undo()
    with pytest.raises(TextError, match="not text in UTF-8"):
        lines_file.write_bytes(b"a\xff")
        filter_texts(run, lines_file, tmp_path / "out.txt", below=9, processes=2)


def test_the_test_split_counts_as_a_look(run: LanguageRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    copy = LanguageRun(folder)
    (tmp_path / "test.txt").write_text("\n".join(copy.splits.test) + "\n", "utf-8")
    filter_texts(copy, tmp_path / "test.txt", tmp_path / "out.txt", below=9)
    assert [look["command"] for look in copy.test_looks()] == ["filter"]


def test_the_command(
    run: LanguageRun,
    languages: SimpleNamespace,
    lines_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from thence.cli.main import main

    out = tmp_path / "out.txt"
    main(f"filter {run.folder} {lines_file} -o {out} --quantile 0.2..0.8 --json".split())
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] + found["dropped"] == found["documents"] == 299 + 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(BytesIO(lines_file.read_bytes())))
    main(f"filter {run.folder} - -o {tmp_path}/again.txt --quantile 0.2..0.8".split())
    assert (tmp_path / "again.txt").read_bytes() == out.read_bytes()
    shown = capsys.readouterr()
    assert shown.out.split()[:3] == ["model", "documents", "kept"]
    assert f"{found['kept']:,} of 300 documents kept" in shown.err
    lines_file.write_text("abc\nxyz\n")
    models = " ".join(f"--model {name}={one.folder}" for name, one in languages.runs.items())
    command = f"filter {lines_file} -o {tmp_path}/by.txt {models} --by {languages.by.folder}"
    main(f"{command} --below abc=0.5 --below xyz=1000".split())
    assert (tmp_path / "by.txt").read_text() == "xyz\n"
    for flags, message in (
        ("--below x", "--below is 'x'; write a number"),
        ("--quantile 0.2", "--quantile is '0.2'; write two shares"),
        ("--below =3", "write a label and a value"),
    ):
        with pytest.raises(SystemExit):
            main(f"filter {run.folder} {lines_file} -o {tmp_path}/n.txt {flags}".split())
        assert message in capsys.readouterr().err


def test_progress_in_a_file_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    show = lines_of_progress("x.txt", every=0)
    show(1200, 0.5)
    lines_of_progress("x.txt")(1200, 0.5)
    assert capsys.readouterr().err == "x.txt: 50 %, 1,200 documents judged\n"


def test_perplexities_are_kenlms(run: LanguageRun, lines_file: Path, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    thence.export(run, tmp_path / "x.arpa")
    theirs = kenlm.Model(str(tmp_path / "x.arpa"))
    rows = [{"text": line} for line in made_lines(50)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    filter_texts(run, tmp_path / "x.jsonl", tmp_path / "y.jsonl", score_column="ppl")
    found = [json.loads(line) for line in (tmp_path / "y.jsonl").read_text().splitlines()]
    expected = [theirs.perplexity(row["text"]) for row in rows]
    np.testing.assert_allclose([row["ppl"] for row in found], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Those of the engine are not ours.
def test_a_cluster_gives_the_same_bytes(
    run: LanguageRun, lines_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(records, "PART", 700)
    filter_texts(run, lines_file, tmp_path / "a.txt", quantile=(0.1, 0.7))
    filter_texts(run, lines_file, tmp_path / "b.txt", quantile=(0.1, 0.7), cluster="local:2")
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()


def test_parquet_keeps_its_schema_and_needs_pyarrow(
    run: LanguageRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    schema = arrow.schema(
        [
            arrow.field("words", arrow.large_string(), metadata={"of": "mine"}),
            arrow.field("tags", arrow.list_(arrow.int8())),
        ],
        metadata={"made": "by hand"},
    )
    lines = made_lines(3000)
    rows = [{"words": line, "tags": [len(line) % 7, None]} for line in lines]
    table = arrow.Table.from_pylist(rows, schema)
    parquet.write_table(table, tmp_path / "x.parquet", compression="zstd", row_group_size=700)
    how: dict[str, Any] = {"column": "words", "quantile": (0, 0.5)}
    filter_texts(run, tmp_path / "x.parquet", tmp_path / "y.parquet", **how)
    found = parquet.ParquetFile(tmp_path / "y.parquet")
    before = parquet.ParquetFile(tmp_path / "x.parquet")
    assert found.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert found.schema_arrow.metadata == {b"made": b"by hand"}
    assert found.metadata.row_group(0).column(0).compression == "ZSTD"
    kept = set(found.read().column("words").to_pylist())
    assert found.read().to_pylist() == [row for row in rows if row["words"] in kept]
    empty = arrow.table({"text": arrow.array([], arrow.string())})
    parquet.write_table(empty, tmp_path / "empty.parquet")
    found = filter_texts(run, tmp_path / "empty.parquet", tmp_path / "e.parquet", below=3)
    assert found.documents == 0
    nulls = arrow.table({"text": ["a", None]})
    parquet.write_table(nulls, tmp_path / "nulls.parquet")
    found = filter_texts(run, tmp_path / "nulls.parquet", tmp_path / "n.parquet", below=1e9)
    assert (found.documents, found.kept) == (2, 2)
    (tmp_path / "nulls.jsonl").write_text('{"text": "a"}\n{"text": null}\n')
    found = filter_texts(run, tmp_path / "nulls.jsonl", tmp_path / "n.jsonl", below=1e9)
    assert (found.documents, found.kept) == (2, 2)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"thence\[data\]"):
        filter_texts(run, tmp_path / "x.parquet", tmp_path / "z.parquet", **how)
