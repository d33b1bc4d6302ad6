"""Files that are not what their names say."""

import gzip
import warnings
from pathlib import Path

import pytest

import thence
from thence.corpus import LabelOptions, ReadingOptions, read_documents, read_labelled
from thence.corpus.reading import parse
from thence.errors import SettingError, TextError, ThenceWarning

RECORDS = '{"text": "a b", "label": "x"}\n{"text": "c d", "label": "y"}\n'
ARRAY = '[{"text": "a b", "label": "x"},\n {"text": "c d", "label": "y"}]'


def read(name: str, text: str | bytes) -> list[str]:
    return list(parse(text.encode() if isinstance(text, str) else text, name, ReadingOptions()))


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "a.NDJSON.gz", "a.json.gz"])
@pytest.mark.parametrize("text", [RECORDS, ARRAY, '["a b", "c d"]', '\n [\n\n"a b"\n,"c d"]\n'])
def test_json_of_every_shape_is_read(tmp_path: Path, name: str, text: str) -> None:
    if text != RECORDS and "json.gz" not in name and name != "a.json":
        return
    if text != RECORDS and "NDJSON" in name:
        return
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert list(read_documents(path)) == ["a b", "c d"]
    if "label" in text:
        found = read_labelled(path, labelling=LabelOptions("label"))
        assert (list(found), found.labels.names) == (["a b", "c d"], ("x", "y"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "[1, 2]", "a.json, item 1 is 1, no object or string. A text in"),
        ("a.json", '["a"', "a.json is not JSON (Expecting"),
        ("a.json", '{\n "text": "a"\n}', "a.json, line 1 is not JSON (Expecting"),
        ("a.json", "Dear all,\n", "a.json, line 1 is not JSON (Expecting value"),
        ("a.json", '["a", {"b": "c"}]', "a.json, item 2 has no column 'text'; it has 'b'."),
        ("a.json", "[" * 100_000, "a.json is not JSON ("),
        ("a.jsonl", ARRAY, "a.jsonl, line 1 is not JSON"),
        ("a.csv", "text;label\na b;x\nc d;y\n", "a.csv seems to have semicolons between its "
         "columns, not commas: its first line is 'text;label'. Save it with commas."),
        ("a.csv", "label\ttext\nx\ta, b\n", "a.csv seems to have tabs between its columns, not "
         "commas: its first line is 'label\\ttext'. Save it as .tsv."),
        ("a.csv", "text|label\na b|x\n", "a.csv seems to have bars (|) between"),
        ("a.tsv", "text,label\na b,x\n", "a.tsv seems to have commas between its columns"),
        ("a.txt", b"PK\x03\x04 word/document.xml", "a.txt is a document of Word, not text."),
        ("a.txt", b"PK\x03\x04 x", "a.txt is a zip archive. Unpack it"),
        ("a.txt", b"%PDF-1.7", "a.txt is a PDF, not text. Unpack it to plain text, or save it"),
        ("a.txt", b"\x89PNG\r\n\x1a\n", "a.txt is a picture (PNG), not text."),
        ("a.csv", b"SQLite format 3\0", "a.csv is a database (SQLite), not text."),
        ("a.txt", gzip.compress(b"\xff\xd8\xff\xe0", mtime=0),
         "a.txt is a picture (JPEG), not text."),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n", "a.csv "
         "only points to the file that is meant, which is not here. Fetch it: git lfs pull"),
        ("a.txt", "../.git/annex/objects/Gx/2k/SHA256E-s3--ab.txt/SHA256E-s3--ab.txt\n",
         "Fetch it: git annex get"),
        ("a.txt", "emma\n".encode("utf-16-le"), "use `encoding='utf-16-le'`"),
        ("a.txt", "emma\n".encode("utf-16-be"), "use `encoding='utf-16-be'`"),
    ],
)  # fmt: skip
def test_what_is_no_text_of_its_name_is_refused(name: str, text: str | bytes, said: str) -> None:
    with pytest.raises(TextError) as refused:
        read(name, text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RECORDS, "seems to be JSON lines; name it .jsonl to have a field of each read."),
        (ARRAY, "seems to be a JSON array; name it .json to have its items read."),
        (
            "<!DOCTYPE html>\n<p>404\n",
            "seems to be a web page (HTML); is it the text that was",
        ),
        ("text\tlabel\na b\tx\nc d\ty\n", "a table with tabs between its columns; name it .tsv"),
        ("label,text\nx,a b\ny,c d\n", "a table with commas between its columns; name it .csv"),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "standard input", "a.dat", "a"])
def test_other_shapes_in_plain_text_are_remarked_on(name: str, text: str, said: str) -> None:
    with pytest.warns(ThenceWarning) as caught:
        assert read(name, text) == text.splitlines()
    assert len(caught) == 1 and said in str(caught[0].message)
    assert str(caught[0].message).startswith(f"{name} is read as plain text, line by line, but")


TEXTS = {
    "poem with semicolons": "O text; label of my days;\nthe rose; the thorn;\nthe end\n",
    "source code": "{\n  int a = 1;\n  [a, b] = c;\n}\n" * 10,
    "begins with a brace": "{chorus} we sing\n{verse} and drink\nto the end\n",
    "begins with a bracket": "[Enter Hamlet.] To be, or not to be\n[Exit.]\n",
    "log": "2026-01-01\tinfo\tstarted\n2026-01-01\tinfo\tdone\n2026-01-02\twarn\tlabel\n",
    "pairs": "go\tgeh\nstop\thalt\nrun\tlauf\n",
    "one line": "text, label\n",
    "prose": "Text, as we say, is all.\nA label, then, is none.\nNo, not one of them\n",
    "talk of version control": "version https://git-lfs is what it says\n",
    "path": "annex/objects\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_ordinary_texts_raise_no_alarm(text: str) -> None:
    assert read("a.txt", text) == text.splitlines()
    column = "text\n" + "\n".join(f'"{line}"' for line in text.splitlines() if '"' not in line)
    assert read("a.csv", column) == [line for line in text.splitlines() if '"' not in line]


def test_a_column_of_labels_is_remarked_on_in_training(tmp_path: Path) -> None:
    for name, text in (
        ("a.csv", "text,label\n" + "ab,x\nba,y\n" * 10),
        ("a.jsonl", RECORDS * 10),
        ("a.tsv.gz", gzip.compress(("label\ttext\n" + "x\tab\ny\tba\n" * 10).encode())),
    ):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.warns(
            ThenceWarning, match="has a column 'label', which a language model leaves"
        ):
            run = thence.train(path, "bigram-counts", output=tmp_path / f"run-{name}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            thence.evaluate(run, text=path)
            thence.train(path, "bigram-counts", column="text", output=tmp_path / f"run2-{name}")


def test_a_label_asked_of_plain_text_says_what_it_seems_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(RECORDS)
    with pytest.raises(SettingError, match="seems to be JSON lines; name it"):
        read_labelled(path, labelling=LabelOptions("label"))


def test_a_folder_reads_lines_of_json_but_no_other_json(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text(RECORDS)
    (tmp_path / "about.json").write_text('{"made": "by hand"}')
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7")
    assert list(read_documents(tmp_path)) == ["a b", "c d"]
