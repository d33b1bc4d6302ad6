import gzip
import io
import tarfile
import zipfile
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from thence.corpus.catalogue import (
    CATALOGUE,
    Unpack,
    copy,
    write_ag_news_table,
    write_imdb_table,
    write_zip_member,
)

REVIEWS = {
    "train/pos/7_9.txt": "good, très good",
    "train/neg/3_2.txt": 'it says "bad"\x85',
    "train/unsup/5_0.txt": "unlabelled",
    "test/pos/1_8.txt": "fine",
}


def unpacked(unpack: Unpack, source: Path) -> bytes:
    target = io.BytesIO()
    unpack(source, target)
    return target.getvalue()


def test_copy_and_zip_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("text8", b" anarchism")
        archive.writestr("../escape", b"elsewhere")
    assert unpacked(partial(write_zip_member, "text8"), tmp_path / "a.zip") == b" anarchism"
    assert unpacked(copy, tmp_path / "a.zip") == (tmp_path / "a.zip").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_imdb_reviews_become_a_table_in_order_of_their_hash(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name, text in REVIEWS.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    rows = {
        "train/pos/7_9.txt": '1,"good, très good",9,7',
        "train/neg/3_2.txt": '0,"it says ""bad""\x85",2,3',
    }
    ordered = [rows[name] for name in sorted(rows, key=lambda n: sha256(n.encode()).hexdigest())]
    expected = "\n".join(["label,text,rating,id", *ordered, ""]).encode()
    assert unpacked(partial(write_imdb_table, "train"), tmp_path / "a.tar.gz") == expected
    table = unpacked(partial(write_imdb_table, "test"), tmp_path / "a.tar.gz")
    assert table == b"label,text,rating,id\n1,fine,8,1\n"


def test_ag_news_becomes_label_and_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"3","Fears, they say","Unions ""representing"""\n')
    table = unpacked(write_ag_news_table, tmp_path / "a.csv")
    assert table == b'label,text\n2,"Fears, they say . Unions ""representing"""\n'


@pytest.mark.data
def test_ag_news_table_has_the_checksum_of_the_catalogue(real_data: Path, tmp_path: Path) -> None:
    packed = real_data / "ag_news" / "ag_news_csv_test.csv.gz"
    (tmp_path / "a.csv").write_bytes(gzip.decompress(packed.read_bytes()))
    table = unpacked(write_ag_news_table, tmp_path / "a.csv")
    assert sha256(table).hexdigest() == CATALOGUE["ag-news"].files[1].sha256
