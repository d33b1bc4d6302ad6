import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from thence import atomic
from thence.atomic import (
    ExistsError,
    clear_leftovers,
    is_taken,
    new_folder,
    whole_file,
    write_atomically,
)
from thence.errors import RunError
from thence.locks import BusyError, locked


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the kernel's own kind of full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_makes_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b", b"one")
    write_atomically(tmp_path / "a" / "b", b"two")
    assert (tmp_path / "a" / "b").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_path_below_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(RunError, match=r"Cannot write .*file/below.*Choose another place"):
        write_atomically(tmp_path / "file" / "below", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(RunError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_real_limit_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with file_size_limit(1000), pytest.raises(RunError, match="File too large"):
        write_atomically(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    kept = [tmp_path / "model.safetensors", tmp_path / ".hidden", tmp_path / "notes.tmp"]
    stray = [tmp_path / ".config.toml.77.tmp", tmp_path / "last" / ".checkpoint.1.tmp"]
    for path in kept + stray:
        path.write_bytes(b"x")
    clear_leftovers(tmp_path)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in stray)


def test_a_whole_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as file:
        file.write(b"emma")
        assert not path.exists()
    assert path.read_bytes() == b"emma"
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_off_file_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def full(*arguments: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_new_folder_appears_whole_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "new"
    with new_folder(target) as new:
        (new.path / "a").write_text("one")
        assert not target.exists() and is_taken(target)
    assert (target / "a").read_text() == "one"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_fails_leaves_nothing_and_its_name_is_free(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_folder(tmp_path / "runs" / "deep" / "new") as new:
        (new.path / "a").write_text("one")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    assert not is_taken(tmp_path / "runs" / "deep" / "new")


def test_a_name_is_held_from_the_start(tmp_path: Path) -> None:
    with (
        new_folder(tmp_path / "new"),
        pytest.raises(BusyError, match="new is being made by another process; wait for it, or"),
        new_folder(tmp_path / "new"),
    ):
        pass
    with whole_file(tmp_path / "file"), pytest.raises(BusyError), whole_file(tmp_path / "file"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"new", "file"}


def test_a_folder_in_place_stays_locked_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new"
    with new_folder(target) as new:
        new.put_in_place()
        with pytest.raises(BusyError, match="being trained by another process"), locked(target):
            pass
    with locked(target):
        pass


def test_what_killed_processes_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".new.new").mkdir()
    (tmp_path / ".new.new" / "half").write_text("half")
    (tmp_path / ".file.new").write_text("half")
    assert not is_taken(tmp_path / "new")
    (tmp_path / ".new.new").mkdir()
    with new_folder(tmp_path / "new") as new:
        assert list(new.path.iterdir()) == []
    write_atomically(tmp_path / "file", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"new", "file"}


def test_leftovers_of_the_living_are_not_cleared(tmp_path: Path) -> None:
    with whole_file(tmp_path / "report.html") as file:
        clear_leftovers(tmp_path)
        file.write(b"whole")
    assert (tmp_path / "report.html").read_bytes() == b"whole"


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_no_link_is_written_through(tmp_path: Path, make: object) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    inside = tmp_path / "run"
    inside.mkdir()
    for name in ("file", ".file.new", ".new.new"):
        make(inside / name, outside)  # type: ignore[operator]
    write_atomically(inside / "file", b"new")
    with new_folder(inside / "new") as new:
        (new.path / "a").write_text("one")
    assert outside.read_text() == "mine"
    assert (inside / "file").read_text() == "new"


def test_no_linked_folder_is_written_into(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pictures").symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="pictures is a link"):
        write_atomically(tmp_path / "run" / "pictures" / "a.png", b"x", within=tmp_path / "run")
    assert list((tmp_path / "outside").iterdir()) == []


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with new_folder(tmp_path / "new") as new:
            write_atomically(new.path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "new" / "a").stat().st_mode) == 0o640


def test_folders_are_flushed_after_a_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def note_fsync(descriptor: int) -> None:
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def note_rename(source: str, target: str) -> None:
        done.append("rename")
        (rename if Path(source).is_dir() else replace)(source, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("names of open files are read from /proc")
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_rename)
    monkeypatch.setattr(os, "rename", note_rename)
    write_atomically(tmp_path / "file", b"x")
    assert done == [str(tmp_path / ".file.new"), "rename", str(tmp_path)]
    done.clear()
    with new_folder(tmp_path / "new") as new:
        (new.path / "a").write_text("one")
    place = tmp_path / ".new.new"
    assert done == [str(place / "a"), str(place), "rename", str(tmp_path)]


def test_what_took_long_is_kept_elsewhere_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(atomic, "gettempdir", lambda: str(elsewhere))
    (tmp_path / "disk").mkdir()

    def write(folder: Path) -> None:
        write_atomically(folder / "a", b"one")
        if folder.is_relative_to(tmp_path / "disk"):
            raise atomic.WriteError(folder / "b", OSError(errno.ENOSPC, "No space left"))

    with (
        pytest.raises(RunError, match=r"disk/new: No space left\. Free some space\.") as caught,
        new_folder(tmp_path / "disk" / "new") as new,
    ):
        new.fill(write)
    (kept,) = elsewhere.glob("*/new")
    assert f"is kept, whole, in {kept}; move it" in str(caught.value)
    assert (kept / "a").read_text() == "one"
    shutil.move(kept, tmp_path / "moved")
    assert list((tmp_path / "disk").iterdir()) == []


def test_what_took_long_is_kept_where_its_name_was_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "gettempdir", lambda: str(tmp_path))
    target = tmp_path / "new"
    with pytest.raises(ExistsError, match="is kept, whole, in"), new_folder(target) as new:
        target.write_text("of a program that asks nobody")
        new.fill(lambda folder: write_atomically(folder / "a", b"one"))
    assert target.read_text() == "of a program that asks nobody"
    (kept,) = tmp_path.glob("*/new")
    assert (kept / "a").read_text() == "one"


def test_where_nothing_has_room_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(RunError, match="No other place had room for what was made, so it is lost"),
        new_folder(tmp_path / "new") as new,
    ):
        new.fill(lambda folder: write_atomically(folder / "a", b"x"))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_said_of_the_name_that_the_user_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(RunError, match=r"Cannot write .*/new: No space left .* Nothing was made"),
        new_folder(tmp_path / "new") as new,
    ):
        write_atomically(new.path / "a", b"x")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_place_where_nothing_can_be_made_is_a_sentence() -> None:
    with pytest.raises((OSError, RunError)), new_folder(Path("/proc/no-such-run")):
        pass
    with pytest.raises(RunError, match="Cannot write /proc/no-such-file"):
        write_atomically(Path("/proc/no-such-file"), b"text")
