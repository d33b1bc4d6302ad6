import gzip
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thence.corpus import (
    LabelledDocuments,
    LabelOptions,
    ReadingOptions,
    SplitOptions,
    load_labelled,
    load_splits,
    read_documents,
    read_labelled,
)
from thence.errors import DownloadError, MissingExtraError, SettingError, TextError

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5)

Pairs = list[tuple[str, tuple[str, ...]]]


def pairs(documents: LabelledDocuments) -> Pairs:
    return [(text, documents.labels.of(index)) for index, text in enumerate(documents)]


def read(path: Path, data: str | bytes, **options: str) -> LabelledDocuments:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    named = {key: options.pop(key) for key in ("label", "label_separator") if key in options}
    return read_labelled(path, ReadingOptions(**options), LabelOptions(**named))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "data", "options", "expected"),
    [
        ("a.csv", "label,text,rating,id\n1,good,9,7\n", {}, [("good", ("1",))]),
        ("a.csv", "label,review\n01,good\n", {}, [("good", ("01",))]),
        ("a.csv", "text,label\ngood, very good \n", {}, [("good", ("very good",))]),
        ("a.csv", "city,country\nOslo,Norway\n", {"label": "country"}, [("Oslo", ("Norway",))]),
        (
            "a.csv",
            "a,b,c\n1,2,3\n",
            {"column": "c", "label": "a"},
            [("3", ("1",))],
        ),
        ("a.csv", "text,label\n,x\ngood,y\n\n", {}, [("", ("x",)), ("good", ("y",))]),
        ("a.csv", 'text,label\n"a\nb, ""c""",x\n', {}, [('a\nb, "c"', ("x",))]),
        ("a.tsv", 'text\tlabel\n"a\tx y\r\n', {}, [('"a', ("x y",))]),
        ("a.jsonl", '{"text": "a", "label": "x"}\n', {}, [("a", ("x",))]),
        (
            "a.jsonl",
            '{"body": "a", "label": 1}\n\n{"label": true, "body": "b"}\n',
            {},
            [("a", ("1",)), ("b", ("true",))],
        ),
        ("a.txt", "__label__x good film\n", {}, [("good film", ("x",))]),
        ("a.unknown", "__label__é\tzoë \r\n\n__label__b", {}, [("zoë ", ("é",)), ("", ("b",))]),
        ("a.txt", " __label__x  not a __label__y\n", {}, [("not a __label__y", ("x",))]),
    ],
)
def test_one_label_each(
    tmp_path: Path, name: str, data: str, options: dict[str, str], expected: Pairs
) -> None:
    for path, content in [(name, data.encode()), (f"{name}.gz", gzip.compress(data.encode()))]:
        documents = read(tmp_path / path, content, **options)
        assert pairs(documents) == expected
        assert not documents.labels.multilabel
        assert documents.labels.names == tuple(sorted({n for _, some in expected for n in some}))


@pytest.mark.parametrize(
    ("name", "data", "options", "expected"),
    [
        (
            "a.csv",
            "text,label\na,war ; peace;;war\nb,\nc,art\n",
            {"label_separator": ";"},
            [("a", ("war", "peace")), ("b", ()), ("c", ("art",))],
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": ["x", " y z "]}\n{"text": "b", "label": []}\n',
            {},
            [("a", ("x", "y z")), ("b", ())],
        ),
        (
            "a.txt",
            "__label__x __label__y a\n__label__x b\n",
            {},
            [("a", ("x", "y")), ("b", ("x",))],
        ),
        ("a.txt", "__label__x b\n", {"label_separator": ";"}, [("b", ("x",))]),
    ],
)
def test_several_labels(
    tmp_path: Path, name: str, data: str, options: dict[str, str], expected: Pairs
) -> None:
    documents = read(tmp_path / name, data, **options)
    assert pairs(documents) == expected
    assert documents.labels.multilabel


@pytest.mark.parametrize(
    ("name", "data", "options", "message"),
    [
        ("a.csv", "text,label\na,x\nb, \n", {}, r"a.csv, line 3: the label is empty. Write its"),
        ("a.csv", 'text,label\n"a\nb",x\nb,\n', {}, r"a.csv, line 4: the label is empty"),
        ("a.csv", "text,label\na,x\nb\n", {}, r"a.csv, line 3: 1 cell, but the header has 2"),
        ("a.csv", 'text,label\na,x\n"b,y\n', {}, r"a.csv, line 3: the row that starts here is not"),
        ("a.csv", b"text,label\na,x\nb\xe9,y\n", {}, r"a.csv, line 3: byte 0xe9 .* not UTF-8"),
        ("a.csv", "text,labels\na,x\n", {}, "no column 'label' for the labels; .*Did you mean 'la"),
        ("a.csv", "text,topic\na,x\n", {}, "it has 'text', 'topic'. Name the one with.*`label`"),
        ("a.csv", "text,label\na,x\n", {"label": "lable"}, "no column 'lable'.*Did you mean 'labe"),
        ("a.csv", "label\nx\n", {}, "a.csv has only the column 'label', which is the labels"),
        ("a.csv", "a,b,label\n1,2,3\n", {}, "has the columns 'a', 'b', and which one is the text"),
        ("a.csv", "a,label\n1,2\n", {"column": "b"}, "no column 'b'; it has 'a', 'label'"),
        ("a.csv", "text,label\n,x\n", {}, "a.csv holds no text: it is empty"),
        ("a.csv", "", {}, "a.csv holds no text: it is empty"),
        ("a.csv", "text,label\n", {}, "a.csv holds no text: it is empty"),
        ("a.jsonl", '{"text": "a", "label": null}', {}, "line 1: the label is null, not a string"),
        ("a.jsonl", '{"text": "a", "label": 1.5}', {}, "line 1: the label is 1.5, not a string"),
        ("a.jsonl", '{"text": "a", "label": [""]}', {}, "line 1: the label is empty"),
        ("a.jsonl", '{"text": "a", "label": "\\ud800"}', {}, r"line 1: the label holds U\+D800"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}', {}, "line 2 has no column 'label'"),
        ("a.jsonl", '{"text": 3, "label": "a"}', {}, "line 1: field 'text' is 3, not a string"),
        ("a.txt", "__label__x a\n\nb\n", {}, "a.txt, line 3 has no label. Begin the line with __l"),
        ("a.txt", "a\nb\n", {}, r"a.txt has no labels. Labelled text is a table \(.csv.*subfolder"),
        ("a.txt", "__label__x a\n__label__ b\n", {}, "a.txt, line 2: the label is empty"),
        ("a.txt", b"__label__x a\n__label__y \xff\n", {}, "a.txt, line 2: byte 0xff at byte off"),
        ("a.txt", "", {}, "a.txt holds no text"),
        ("a.txt", "__label__x\n", {}, "a.txt holds no text"),
    ],
)
def test_what_is_refused_with_its_place(
    tmp_path: Path, name: str, data: str | bytes, options: dict[str, str], message: str
) -> None:
    with pytest.raises(TextError, match=message):
        read(tmp_path / name, data, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.csv", {"column": "label"}, "column 'label' cannot be both the text and the labels"),
        ("a.csv", {"document": "file"}, "document 'file' does not fit .*a.csv: in a table one row"),
        ("a.txt", {"label": "x"}, "label 'x' names a column, but .*a.txt is plain text"),
        ("a.txt", {"column": "x"}, "column 'x' does not fit .*a.txt, which is plain text"),
        ("a.txt", {"document": "file"}, "document 'file' does not fit .*a.txt: in labelled plain"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        read(tmp_path / name, "text,label\na,x\n", **options)


def test_another_encoding(tmp_path: Path) -> None:
    data = "text,label\nzoë,é\n"
    expected = [("zoë", ("é",))]
    assert pairs(read(tmp_path / "a.csv", data.encode("latin-1"), encoding="latin-1")) == expected


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(b"__label__x a\n")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=data))
    assert pairs(load_labelled("-")) == [("a", ("x",))]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a\n")))
    with pytest.raises(TextError, match="standard input has no labels"):
        read_labelled("-")


@same_folder
@given(st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=3, unique=True))))
def test_marks_and_lists_come_back(tmp_path: Path, documents: list[tuple[str, list[str]]]) -> None:
    documents = [*documents, ("last", ["x", "y"])]
    marked = "".join(
        f"{' '.join(f'__label__{name}' for name in names)} {text}\n" for text, names in documents
    )
    records = "".join(
        f"{json.dumps({'text': text, 'label': names})}\n" for text, names in documents
    )
    expected = [(text, tuple(names)) for text, names in documents]
    assert pairs(read(tmp_path / "a.txt", marked)) == expected
    assert pairs(read(tmp_path / "a.jsonl", records)) == expected


# Folders.


def fill(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_folder_with_a_subfolder_for_each_label(tmp_path: Path) -> None:
    files = {
        "README.md": "not a document",
        "very good/1.txt": "one\ntwo",
        "very good/deeper/2.md": "three",
        "very good/.hidden.txt": "no",
        "bad/1.txt": "",
        "bad/2.csv": "no",
        "bad/3.log": "no",
    }
    expected = [("", ("bad",)), ("one\ntwo", ("very good",)), ("three", ("very good",))]
    fill(tmp_path, files)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "1.txt.gz").write_bytes(gzip.compress(b"packed"))
    expected.insert(1, ("packed", ("good",)))
    assert pairs(read_labelled(tmp_path)) == expected
    assert pairs(read_labelled(tmp_path, ReadingOptions(document="file"))) == expected
    multilabel = LabelOptions(label_separator=";")
    assert read_labelled(tmp_path, ReadingOptions(), multilabel).labels.multilabel
    with pytest.raises(SettingError, match=r"label 'x' names a column, but .* is a folder whose"):
        read_labelled(tmp_path, ReadingOptions(), LabelOptions(label="x"))


def test_a_folder_of_files_with_their_own_labels(tmp_path: Path) -> None:
    files = {
        "a.csv": "text,label\na,x\nb,y\n",
        "b.txt": "__label__y c\n",
        "more/c.jsonl": '{"text": "d", "label": "a"}\n',
    }
    documents = read_labelled(fill(tmp_path, files))
    assert pairs(documents) == [("a", ("x",)), ("b", ("y",)), ("c", ("y",)), ("d", ("a",))]
    assert documents.labels.names == ("a", "x", "y")
    assert not documents.labels.multilabel
    fill(tmp_path, {"more/d.jsonl": '{"text": "e", "label": ["x", "z"]}\n'})
    assert read_labelled(tmp_path).labels.multilabel
    fill(tmp_path, {"e.txt": "f\n"})
    with pytest.raises(TextError, match=r"e.txt has no labels"):
        read_labelled(tmp_path)


def test_folders_without_text(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="holds no text files"):
        read_labelled(tmp_path)
    with pytest.raises(TextError, match="holds no text: it is empty"):
        read_labelled(fill(tmp_path, {"a/1.txt": "", "b/1.txt": ""}))


# Parquet.


def write_parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("labels", "expected", "multilabel"),
    [
        (["x", " y z"], [("x",), ("y z",)], False),
        ([3, 0], [("3",), ("0",)], False),
        ([True, False], [("true",), ("false",)], False),
        ([["x", "y"], []], [("x", "y"), ()], True),
        (pa.array(["x", "y"]).dictionary_encode(), [("x",), ("y",)], False),
    ],
)
def test_parquet(
    tmp_path: Path, labels: object, expected: list[tuple[str, ...]], multilabel: bool
) -> None:
    path = write_parquet(tmp_path / "a.parquet", id=[1, 2], label=labels, text=["a", "zoë"])
    documents = read_labelled(path)
    assert pairs(documents) == list(zip(["a", "zoë"], expected, strict=True))
    assert documents.labels.multilabel == multilabel
    assert list(read_documents(path)) == ["a", "zoë"]


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([1, 2], ["x", "y"], "a.parquet, row 1: column 'text' is 1, not a string"),
        (["a", "b\0"], ["x", "y"], r"row 2: column 'text' holds U\+0000"),
        (["a", "b"], ["x", None], "a.parquet, row 2: the label is null, not a string"),
        (["a", "b"], [0.5, 1.0], "a.parquet, row 1: the label is 0.5, not a string"),
        (["a", "b"], ["x", " "], "a.parquet, row 2: the label is empty"),
    ],
)
def test_parquet_cells_that_are_refused(
    tmp_path: Path, texts: object, labels: object, message: str
) -> None:
    with pytest.raises(TextError, match=message):
        read_labelled(write_parquet(tmp_path / "a.parquet", text=texts, label=labels))


def test_broken_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=["a"] * 9, label=["x"] * 9)
    whole = path.read_bytes()
    for data in [b"text,label\na,x\n", whole[:-20], whole[:4] + b"\xff" * 80 + whole[84:]]:
        with pytest.raises(TextError, match=r"a.parquet is not a Parquet file, or broken"):
            read(path, data)


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=["a"], label=["x"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for reader in (read_labelled, read_documents):
        with pytest.raises(MissingExtraError, match=r"pyarrow.*pip install 'thence\[data\]'"):
            reader(path)


# Hugging Face.


@dataclass(frozen=True)
class FakeSet:
    """As much of ``datasets.Dataset`` as is used."""

    features: dict[str, object]
    rows: list[dict[str, object]]

    @property
    def column_names(self) -> list[str]:
        return list(self.features)

    def select_columns(self, names: list[str]) -> "FakeSet":
        kept = [{name: row[name] for name in names} for row in self.rows]
        return replace(self, features={name: self.features[name] for name in names}, rows=kept)

    def __iter__(self) -> Iterator[dict[str, object]]:
        return iter(self.rows)


class FakeDatasets:
    """A module ``datasets`` with a few sets of its own."""

    def __init__(self) -> None:
        value, topic = SimpleNamespace(dtype="string"), SimpleNamespace(names=["World", "Sports"])
        news = {"id": value, "text": value, "label": topic}
        tags = {"text": value, "label": SimpleNamespace(feature=topic)}
        self.sets: dict[tuple[str, ...], FakeSet] = {
            ("fancy/news", "train"): FakeSet(news, [{"id": 7, "text": "a", "label": 1}]),
            ("fancy/news", "test"): FakeSet(news, [{"id": 8, "text": "b", "label": 0}]),
            ("tasks", "tags", "dev"): FakeSet(tags, [{"text": "c", "label": [1, 0]}]),
            ("hidden", "train"): FakeSet(news, [{"id": 9, "text": "d", "label": -1}]),
        }

    def load_dataset(self, *name: str, split: str) -> FakeSet:
        if (*name, split) not in self.sets:
            raise ValueError(f"Unknown split {split!r}")
        return self.sets[*name, split]


@pytest.fixture
def hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeDatasets())


@pytest.mark.usefixtures("hugging_face")
def test_data_sets_of_hugging_face() -> None:
    assert pairs(read_labelled("hf:fancy/news")) == [("a", ("Sports",))]
    assert pairs(load_labelled("hf:fancy/news:test")) == [("b", ("World",))]
    tagged = read_labelled("hf:tasks:tags:dev")
    assert pairs(tagged) == [("c", ("Sports", "World"))]
    assert tagged.labels.multilabel
    assert list(read_documents("hf:fancy/news")) == ["a"]
    options = SplitOptions(dev="hf:fancy/news:test")
    parts = load_splits("hf:fancy/news", ReadingOptions(), options, labelling=LabelOptions())
    assert (parts.train.labels.names, parts.dev.labels.names) == (("Sports",), ("Sports", "World"))


@pytest.mark.usefixtures("hugging_face")
def test_data_sets_that_are_not_there_or_have_no_labels() -> None:
    with pytest.raises(DownloadError, match=r"hf:fancy/news:x cannot be loaded \(Unknown split"):
        read_labelled("hf:fancy/news:x")
    with pytest.raises(TextError, match="hf:hidden, row 1: column 'label' is -1, not the number"):
        read_labelled("hf:hidden")
    with pytest.raises(TextError, match="hf:fancy/news has no column 'topic'"):
        read_labelled("hf:fancy/news", ReadingOptions(), LabelOptions(label="topic"))


def test_hugging_face_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"datasets.*pip install 'thence\[hf\]'"):
        load_labelled("hf:fancy/news")


# Sources by name, and splits.


def test_bundled_tables_know_their_labels() -> None:
    documents = load_labelled("cities")
    place = list(documents).index("Oslo")
    assert documents.labels.of(place) == ("Norway",)
    with pytest.raises(TextError, match=r"given-names.txt has no labels"):
        load_labelled("given-names")
    with pytest.raises(SettingError, match="column 'country' cannot be both"):
        load_labelled("cities", ReadingOptions(column="country"))
    swapped = ReadingOptions(column="country"), LabelOptions(label="city")
    assert ("Norway", ("Oslo",)) in pairs(load_labelled("cities", *swapped))


def test_unknown_sources() -> None:
    with pytest.raises(TextError, match=r"'citis' is neither a file .*Did you mean 'cities'"):
        load_labelled("citis")


def test_dev_and_test_have_the_ids_of_train(tmp_path: Path) -> None:
    files = {
        "train.csv": "text,label\na,y\nb,x\n",
        "dev.txt": "__label__y c\n__label__a d\n",
        "test.csv": "text,label\ne,x\nf,z\n",
    }
    fill(tmp_path, files)
    options = SplitOptions(dev=str(tmp_path / "dev.txt"), test=str(tmp_path / "test.csv"))
    labelling = LabelOptions()
    parts = load_splits(tmp_path / "train.csv", ReadingOptions(), options, labelling=labelling)
    assert parts.train.labels.names == ("x", "y")
    assert parts.dev.labels.names == ("x", "y", "a")
    assert parts.test.labels.names == ("x", "y", "z")
    assert [part.labels.single.tolist() for part in (parts.train, parts.dev, parts.test)] == [
        [1, 0],
        [1, 2],
        [0, 2],
    ]
    fill(tmp_path, {"dev.txt": "__label__y __label__x c\n"})
    parts = load_splits(tmp_path / "train.csv", ReadingOptions(), options, labelling=labelling)
    assert parts.train.labels.multilabel
    assert parts.test.labels.multilabel


def test_labels_that_train_lacks_come_last(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n1,c\n2,b\n3,c\n4,b\n5,a\n")
    options = SplitOptions(split="80/20/0", by="position")
    parts = load_splits(tmp_path / "a.csv", splitting=options, labelling=LabelOptions())
    assert parts.train.labels.names == ("b", "c")
    assert (list(parts.dev), parts.dev.labels.names) == (["5"], ("b", "c", "a"))
    assert (len(parts.test), parts.test.labels.names) == (0, ("b", "c"))


@pytest.mark.data
def test_film_reviews(real_data: Path) -> None:
    documents = read_labelled(real_data / "imdb" / "train.csv.gz")
    assert documents.labels.names == ("0", "1")
    assert documents.labels.counts().tolist() == [12_500, 12_500]
    assert documents[0].startswith("Okay, truthfully, I saw the previews")
    assert documents.labels.of(0) == ("1",)
    texts = read_documents(real_data / "imdb" / "train.csv.gz")
    assert texts.content_hash() == documents.compact().content_hash()


@pytest.mark.data
def test_news(real_data: Path) -> None:
    documents = read_labelled(real_data / "ag_news" / "test.csv.gz")
    assert np.array_equal(documents.labels.counts(), [1_900] * 4)
