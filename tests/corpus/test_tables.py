import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thence.corpus import ReadingOptions, read_documents
from thence.corpus.tables import line_table_rows
from thence.errors import SettingError, TextError

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)


def read(path: Path, data: str | bytes, **options: object) -> list[str]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_documents(path, ReadingOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "data", "column", "expected"),
    [
        ("a.csv", "name\nemma\nzoë\n", None, ["emma", "zoë"]),
        ("a.csv", "n,text\n1,emma\n2,zo", None, ["emma", "zo"]),
        ("a.csv", "n,text,city\r\n1,emma,Oslo\r\n", "city", ["Oslo"]),
        ("a.csv", '\ufeffcity,n\n"a,b",1\n"say ""hi""",2\n', "city", ["a,b", 'say "hi"']),
        ("a.csv", 'text,n\n"one\ntwo\r\nthree",1\n', None, ["one\ntwo\r\nthree"]),
        ("a.csv", 'text,n\n"a\x85b\u2028c\rd",1\n', None, ["a\x85b\u2028c\rd"]),
        ("a.csv", "text,n\nemma,1\n\nzo,2\n", None, ["emma", "zo"]),
        ("a.tsv", 'n\ttext\n1\tsay "hi\r\n2\t"x"\n', None, ['say "hi', '"x"']),
        ("a.tsv", "text\nem\rma\n", None, ["em\rma"]),
        ("A.CSV", "text,n\nemma,1\n", None, ["emma"]),
        ("a.jsonl", '{"text": "zo\\u00eb\\nx"}\n\n{"text": "b", "n": 1}', None, ["zoë\nx", "b"]),
        ("a.jsonl", '{"n": 1, "city": "Oslo"}\r\n', "city", ["Oslo"]),
        ("a.jsonl", '{"name": "a\u2028b"}\n', None, ["a\u2028b"]),
    ],
)
def test_columns(
    tmp_path: Path, name: str, data: str, column: str | None, expected: list[str]
) -> None:
    assert read(tmp_path / name, data, column=column) == expected


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".csv", 'n,text,city\n1,"a\nb",Oslo\n2,c,Rome\n'),
        (".tsv", "n\ttext\tcity\n\n1\ta b\tOslo\n"),
        (".jsonl", '{"n": 1, "city": ["Oslo"], "text": "a"}\n'),
    ],
)
def test_several_columns_in_one_pass(suffix: str, data: str) -> None:
    text = np.frombuffer(data.encode(), np.uint8)
    rows = line_table_rows(text, suffix, "a", lambda *_: ["text", "city", "n"], "strict")
    expected = {
        ".csv": [(2, "a\nb", ["Oslo", "1"]), (4, "c", ["Rome", "2"])],
        ".tsv": [(3, "a b", ["Oslo", "1"])],
        ".jsonl": [(1, "a", [["Oslo"], 1])],
    }
    assert list(rows) == expected[suffix]


def test_parquet_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"city": ["Oslo", None, "Rome"], "n": [1, 2, 3]}), path)
    assert list(read_documents(path, ReadingOptions(column="city"))) == ["Oslo", "Rome"]
    assert list(read_documents(tmp_path, ReadingOptions(column="city"))) == ["Oslo", "Rome"]
    every = ReadingOptions(column="city", keep_empty=True)
    assert list(read_documents(path, every)) == ["Oslo", "", "Rome"]
    with pytest.raises(TextError, match=r"a.parquet has the columns 'city', 'n', and which one"):
        read_documents(path)
    with pytest.raises(SettingError, match="document 'file' does not fit"):
        read_documents(path, ReadingOptions(document="file"))


def test_empty_cells_are_documents_only_on_request(tmp_path: Path) -> None:
    data = "text\nemma\n\nzo\n"
    assert read(tmp_path / "a.csv", data) == ["emma", "zo"]
    assert read(tmp_path / "a.csv", data, keep_empty=True) == ["emma", "", "zo"]
    data = '{"text": null}\n{"text": "emma"}\n'
    assert read(tmp_path / "a.jsonl", data) == ["emma"]
    assert read(tmp_path / "a.jsonl", data, keep_empty=True) == ["", "emma"]


def test_cells_above_the_limit_of_the_csv_module(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert read(tmp_path / "a.csv", f"text,n\n{'a' * 200_000},1\n") == ["a" * 200_000]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "data", "column", "message"),
    [
        (
            "a.csv",
            "city,country\na,b\n",
            None,
            "a.csv has the columns 'city', 'country', and which",
        ),
        ("a.csv", "city,country\na,b\n", "ctiy", "no column 'ctiy'; it has 'city', 'country'. Did"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "a", "a.csv, line 3: 3 cells, but the header has 2. Is the"),
        ("a.csv", 'a,b\n"x\ny",2\n1\n', "a", "a.csv, line 4: 1 cell, but the header has 2"),
        (
            "a.csv",
            'a\n1\n"x\ny\n',
            "a",
            r"line 3: the row that starts here is not proper CSV \(.*Is",
        ),
        ("a.csv", 'a\n"x"y\n', "a", "line 2: the row that starts here is not proper CSV"),
        ("a.csv", "a\n1\rx\n", "a", "line 2: the row that starts here is not proper CSV"),
        ("a.tsv", "a\tb\n1\t2\t3\n", "a", "a.tsv, line 2: 3 cells, but the header has 2"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": \n',
            None,
            r"a.jsonl, line 2 is not JSON \(.*JSONL is",
        ),
        ("a.jsonl", '["a"]\n', None, r'a.jsonl, line 1 is \["a"\], not an object. JSONL is one'),
        ("a.jsonl", "{}\n", None, "a.jsonl, line 1 has the columns none"),
        ("a.jsonl", '{"a": "", "b": ""}\n', None, "line 1 has the columns 'a', 'b', and which one"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"txt": "b"}\n',
            None,
            "line 2 has no column 'text'; it has 'tx",
        ),
        ("a.jsonl", '{"text": 3}\n', None, "line 1: field 'text' is 3, not a string. Put the text"),
        (
            "a.jsonl",
            '{"text": "\\u0000"}\n',
            None,
            r"field 'text' holds U\+0000, which is not text",
        ),
        (
            "a.jsonl",
            '{"text": "\\ud800"}\n',
            None,
            r"field 'text' holds U\+D800, which is not text",
        ),
    ],
)
def test_malformed_tables_are_refused_with_their_place(
    tmp_path: Path, name: str, data: str, column: str | None, message: str
) -> None:
    with pytest.raises(TextError, match=message):
        read(tmp_path / name, data, column=column)


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="line 1 is not JSON"):
        read(tmp_path / "a.jsonl", "[" * 100_000)


def test_json_escapes_that_are_not_text_are_mended_on_request(tmp_path: Path) -> None:
    data = '{"text": "a\\u0000b\\ud800c"}'
    assert read(tmp_path / "a.jsonl", data, errors="replace") == ["a\ufffdb\ufffdc"]
    assert read(tmp_path / "a.jsonl", data, errors="ignore") == ["abc"]


@same_folder
@given(st.lists(cells, min_size=1))
def test_written_cells_come_back(tmp_path: Path, strings: list[str]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows(
        [["text", "n"], *([s, 1] for s in strings)]
    )
    records = "".join(f"{json.dumps({'text': string})}\n" for string in strings)
    if any(strings):
        assert read(tmp_path / "a.csv", written.getvalue(), keep_empty=True) == strings
        assert read(tmp_path / "a.jsonl", records, keep_empty=True) == strings
