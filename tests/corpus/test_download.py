import gzip
import os
import socket
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from thence.corpus import CATALOGUE, get
from thence.corpus.catalogue import DataFile, Dataset, Remote, copy, write_zip_member
from thence.errors import DownloadError

TEXT = b"emma\nolivia\nava\n" * 20_000
OTHER = TEXT[::-1]


class Handler(BaseHTTPRequestHandler):
    """Serves ``TEXT`` well or badly, by path, and counts the requests."""

    requests = 0
    silence_over = threading.Event()

    def do_GET(self) -> None:
        Handler.requests += 1
        if self.path.startswith("/status/"):
            self.send_error(int(self.path.removeprefix("/status/")))
            return
        self.send_response(200)
        body = {"/good": TEXT, "/wrong": OTHER, "/long": TEXT * 2}.get(self.path, TEXT)
        if self.path in ("/good", "/wrong", "/cut"):
            self.send_header("Content-Length", str(len(TEXT)))
        if self.path == "/offers-less":
            body = TEXT[:100]
            self.send_header("Content-Length", "100")
        self.end_headers()
        if self.path in ("/cut", "/cut-without-length"):
            body = TEXT[:100_000]
        if self.path == "/silent":
            self.silence_over.wait(60)
        self.wfile.write(body)
        if self.path == "/reset":
            # A linger of zero makes close() send a reset instead of an orderly end.
            linger = b"\1\0\0\0\0\0\0\0"
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def offer(monkeypatch: pytest.MonkeyPatch, *files: DataFile) -> None:
    monkeypatch.setitem(CATALOGUE, "toy", Dataset("a toy", "free", "us", files))


def text_file(url: str, role: str = "all", data: bytes = TEXT) -> DataFile:
    digest = sha256(data).hexdigest()
    remote = Remote(url, len(data), digest)
    return DataFile("toy.txt", role, remote, copy, len(data), digest, "toys/toy-train.txt")  # type: ignore[arg-type]


def everything_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_good_download_is_kept_and_not_fetched_again(
    server: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    offer(monkeypatch, text_file(f"{server}/good"))
    steps: list[tuple[int, int]] = []
    folder = get("toy", progress=lambda done, total: steps.append((done, total)))
    assert folder == cache / "data" / "toy"
    assert (folder / "toy.txt").read_bytes() == TEXT
    assert steps[-1] == (len(TEXT), len(TEXT))
    assert steps == sorted(steps)
    before = Handler.requests
    assert get("toy") == folder
    assert Handler.requests == before
    assert everything_in(cache) == ["toy.txt"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/cut", "broke off after 100,000 of 320,000 bytes. Try again later, or get the file"),
        ("/cut-without-length", "broke off after 100,000 of 320,000 bytes"),
        ("/wrong", "is not the expected file of 320,000 bytes with SHA-256 .*its SHA-256 is"),
        ("/long", "is not the expected file of 320,000 bytes .*: the server sent more"),
        ("/offers-less", "is not the expected file .*: the server offers 100 bytes"),
        ("/status/404", r"could not be downloaded: the server does not have it \(HTTP 404\)"),
        ("/status/503", r"the server is overloaded or down \(HTTP 503\)"),
        ("/status/418", r"the server would not serve it \(HTTP 418\)"),
    ],
)
def test_bad_downloads_are_refused_and_leave_nothing(
    server: str, monkeypatch: pytest.MonkeyPatch, cache: Path, path: str, message: str
) -> None:
    offer(monkeypatch, text_file(f"{server}{path}"))
    with pytest.raises(DownloadError, match=message):
        get("toy")
    assert everything_in(cache) == []


def test_a_server_that_falls_silent(
    server: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    offer(monkeypatch, text_file(f"{server}/silent"))
    with pytest.raises(DownloadError, match=r"broke off after 0 of 320,000 bytes \(timed out\)"):
        get("toy", timeout=0.5)
    Handler.silence_over.set()
    assert everything_in(cache) == []


def test_a_connection_that_is_reset(
    server: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    larger = TEXT * 50
    offer(monkeypatch, text_file(f"{server}/reset", data=larger))
    with pytest.raises(DownloadError, match="broke off after"):
        get("toy")
    assert everything_in(cache) == []


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    offer(monkeypatch, text_file(f"http://127.0.0.1:{port}/good"))
    with pytest.raises(DownloadError, match=r"could not be reached \(.*refused.*Is the network up"):
        get("toy")


def test_unknown_name() -> None:
    with pytest.raises(DownloadError, match=r"'text9' is not a set that .*Did you mean 'text8'\?"):
        get("text9")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["toys/toy-train.txt", "toy-train.txt", "toy.txt", "good.bin"])
@pytest.mark.parametrize("by", ["source", "file", "environment"])
def test_local_copies_are_taken_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str, name: str, packed: bool
) -> None:
    offer(monkeypatch, text_file("http://127.0.0.1:9/good.bin"))
    path = tmp_path / (name + ".gz" * packed)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(TEXT) if packed else TEXT)
    if by == "environment":
        monkeypatch.setenv("THENCE_DATA", str(tmp_path))
    source = {"source": tmp_path, "file": path, "environment": None}[by]
    assert (get("toy", source) / "toy.txt").read_bytes() == TEXT


def test_a_source_with_other_content_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    offer(monkeypatch, text_file("http://127.0.0.1:9/good"))
    (tmp_path / "toy.txt").write_bytes(OTHER)
    (tmp_path / "toy-train.txt.gz").write_bytes(gzip.compress(TEXT)[:-9])
    with pytest.raises(DownloadError, match="holds none of the files of toy with the right cont"):
        get("toy", tmp_path)
    assert everything_in(cache) == []


def test_a_shared_folder_with_other_content_is_passed_over(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, text_file(f"{server}/good"))
    (tmp_path / "toy.txt").write_bytes(OTHER)
    monkeypatch.setenv("THENCE_DATA", str(tmp_path))
    assert (get("toy") / "toy.txt").read_bytes() == TEXT


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_serves_all_of_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path, packed: bool
) -> None:
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as archive:
        archive.writestr("a", b"emma")
        archive.writestr("b", b"olivia")
    data = (tmp_path / "toy.zip").read_bytes()
    remote = Remote("http://127.0.0.1:9/toy.zip", len(data), sha256(data).hexdigest())
    offer(
        monkeypatch,
        DataFile(
            "a.txt", "train", remote, partial(write_zip_member, "a"), None, None, "toys/a.txt"
        ),
        DataFile("b.txt", "test", remote, partial(write_zip_member, "b"), None, None, "toys/b.txt"),
    )
    if packed:
        (tmp_path / "toy.zip.gz").write_bytes(gzip.compress(data))
        (tmp_path / "toy.zip").unlink()
    folder = get("toy", tmp_path)
    assert (folder / "a.txt").read_bytes() == b"emma"
    assert (folder / "b.txt").read_bytes() == b"olivia"
    assert everything_in(cache) == ["a.txt", "b.txt"]


def test_a_kept_file_of_the_wrong_size_is_fetched_again(
    server: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    offer(monkeypatch, text_file(f"{server}/good"))
    (cache / "data" / "toy").mkdir(parents=True)
    (cache / "data" / "toy" / "toy.txt").write_bytes(b"half")
    assert (get("toy") / "toy.txt").read_bytes() == TEXT


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "toy.txt").write_bytes(TEXT)
    (tmp_path / "occupied").touch()
    monkeypatch.setenv("THENCE_HOME", os.fspath(tmp_path / "occupied"))
    offer(monkeypatch, text_file("http://127.0.0.1:9/good"))
    with pytest.raises(DownloadError, match=r"cannot keep toy in .*THENCE_HOME to another folder"):
        get("toy", tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("name", ["names", "tiny-shakespeare", "ptb", "wikitext-2"])
def test_real_copies_have_the_checksums_of_the_catalogue(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", None)
    folder = get(name, real_data)
    for file in CATALOGUE[name].files:
        assert (folder / file.name).stat().st_size == file.size
