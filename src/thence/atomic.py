"""Writing files and folders atomically: they are there whole or not at all, whoever is killed.

A file or folder is built beside its target under a hidden name (``.NAME.new``), locked by the
process that builds it, flushed to the disk, and renamed to its target. What a killed process has
left, whose lock is released, is removed by the next one that wants the name. A symbolic link in the
place of the target is replaced, never written through.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from thence.errors import RunError
from thence.locks import NEW, BusyError, can_lock, lock_open

NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags of opening: a symbolic link is an error, and a pipe does not wait for its other end."""
ATTEMPTS = 1000
"""Attempts to create and lock a hidden file while other processes create and remove the same name.
The bound ends the attempts where no file can be created at all, as in /proc."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_FOLDER = (errno.EEXIST, errno.ENOTDIR)
"""Errors of creating a folder below a path that is a file."""


class ExistsError(RunError):
    """The target exists already; it was left as it is."""


class WriteError(RunError):
    """A file or folder could not be written.

    Args:
        path: The file or folder.
        error: The reason.
        way_out: A sentence on what was kept and how to go on; by default that nothing changed.
    """

    def __init__(self, path: Path, error: OSError, way_out: str = "") -> None:
        mend = "Choose another place"
        if error.errno in NO_SPACE:
            mend = "Free some space"
        elif error.errno in NOT_ALLOWED:
            mend = "You may not write there: ask for the right to, or choose another place"
        reason = error.strerror or error
        if error.errno in NO_FOLDER:
            blocking = next((place for place in path.parents if place.is_file()), None)
            reason = f"{blocking} is a file, not a folder" if blocking else reason
        what = way_out or "What was there before is unchanged."
        super().__init__(f"Cannot write {path}: {reason}. {mend}. {what}")
        self.path, self.error, self.way_out = path, error, way_out


def write_atomically(
    path: Path, content: bytes | Iterable[bytes | memoryview], within: Path | None = None
) -> None:
    """Replace a file, or leave it unchanged if writing fails.

    Args:
        path: The file; missing parent folders are made.
        content: The new content, whole or as an iterable of parts.
        within: A folder from an untrusted source: symbolic links below it are refused.

    Raises:
        RunError: If it cannot be written (no permission, disk full).
    """
    try:
        if within is not None:
            make_folders(path.parent, within)
        with whole_file(path, wait=True) as file:
            file.writelines([content] if isinstance(content, bytes) else content)
    except OSError as error:
        raise WriteError(path, error) from error


def make_folders(folder: Path, within: Path) -> None:
    """Make the folders that are missing between ``within`` and ``folder``.

    Raises:
        RunError: If one of them is a link, which may lead anywhere.
        OSError: If one cannot be made.
    """
    place = within
    for part in folder.relative_to(within).parts:
        place = place / part
        with suppress(FileExistsError):
            place.mkdir()
        if place.is_symlink():
            raise RunError(f"{place} is a link; nothing is written through it. Remove it.")


@contextmanager
def whole_file(path: Path, *, new: bool = False, wait: bool = False) -> Iterator[BufferedIOBase]:
    """Open a file for writing that appears under its name only when the block has ended.

    If the block raises, nothing is left behind and what was there before stays.

    Args:
        path: The file; missing parent folders are made.
        new: Refuse a file that exists already; by default it is replaced.
        wait: Wait while another process is writing it; by default that is an error.

    Raises:
        BusyError: Another process is writing the same file.
        ExistsError: If ``new`` is set and the file exists.
        OSError: The folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    building = _beside(path)
    with _taken(path, wait, _create_file) as descriptor:
        try:
            if new:
                refuse_existing(path)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            if not can_lock():  # Windows renames no open file: let another be open in its place.
                with Path(os.devnull).open("rb") as nothing:
                    os.dup2(nothing.fileno(), descriptor)
            building.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                building.unlink()
            raise


class NewFolder:
    """A folder that is being built beside its target; its name is locked for other processes.

    Attributes:
        target: The final path.
        path: The current path: hidden while it is being built, then ``target``.
    """

    def __init__(self, target: Path, path: Path) -> None:
        self.target, self.path = target, path

    @property
    def in_place(self) -> bool:
        """Whether the folder has its final name."""
        return self.path == self.target

    def put_in_place(self) -> None:
        """Flush everything to the disk and give the folder its name; it stays locked.

        Raises:
            ExistsError: If the target exists by now.
            WriteError: If renaming fails for another reason.
        """
        try:
            sync_tree(self.path)
            self.path.rename(self.target)
        except OSError as error:
            refuse_existing(self.target)
            raise WriteError(self.target, error) from error
        sync_folder(self.target.parent)
        self.path = self.target

    def fill(self, write: Callable[[Path], None]) -> None:
        """Write the result of long work, and put it in place; if that fails, keep it elsewhere.

        Args:
            write: Writes everything into the folder it is given, or raises ``WriteError``; called
                again with another folder if this one cannot be written.

        Raises:
            RunError: If it could not be written here; the message says where it is kept.
        """
        try:
            write(self.path)
            self.put_in_place()
        except (WriteError, ExistsError) as error:
            kept = _kept_elsewhere(self.target.name, write)
            what = "No other place had room for what was made, so it is lost."
            if kept is not None:
                what = f"What was made is kept, whole, in {kept}; move it where you want it."
            if isinstance(error, ExistsError):
                raise ExistsError(f"{error} {what}") from error
            raise WriteError(self.target, error.error, what) from error


@contextmanager
def new_folder(target: Path, *, wait: bool = False) -> Iterator[NewFolder]:
    """Context manager: reserve the name of a new folder, and yield a hidden folder to build it in.

    At the end of the block the folder is put in place, unless that was done; if the block raises
    before, it is removed. The folder stays locked until the end of the block, also once it is in
    place; the lock is the one that ``locked`` takes.

    Args:
        target: The folder to make; missing parent folders are made.
        wait: Wait while another process makes it; by default that is an error.

    Raises:
        BusyError: Another process is making it.
        ExistsError: Something is there already.
        WriteError: It cannot be made.
    """
    refuse_existing(target)
    missing = [folder for folder in target.parents if not folder.exists()]
    with ExitStack() as held:
        held.callback(_remove_empty, missing)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(_taken(target, wait, _create_folder))
        except OSError as error:
            raise WriteError(target, error) from error
        new = NewFolder(target, _beside(target))
        try:
            refuse_existing(target)
            yield new
            if not new.in_place:
                new.put_in_place()
        except WriteError as error:  # Name the target, which the user knows, not the hidden folder.
            if not error.path.is_relative_to(_beside(target)):
                raise
            raise WriteError(target, error.error, "Nothing was made.") from error
        finally:
            if not new.in_place:
                shutil.rmtree(new.path, ignore_errors=True)


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """Context manager: make a hidden folder, locked for other processes, and remove it afterwards.

    Args:
        place: The path that the folder is named after; missing parent folders are made.

    Raises:
        BusyError: Another process has it.
        OSError: It cannot be made.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with _taken(place, False, _create_folder):
        try:
            yield _beside(place)
        finally:
            shutil.rmtree(_beside(place), ignore_errors=True)


def refuse_existing(path: Path) -> None:
    """Raise ``ExistsError`` if the path exists; ``WriteError`` if that cannot be found out."""
    try:
        taken = path.exists()
    except OSError as error:  # A name that is too long, for example.
        raise WriteError(path, error) from error
    if taken:
        resume = f", or continue with: thence resume {path}" if (path / "last").exists() else ""
        raise ExistsError(
            f"{path} exists already and is left as it is; choose another `output`{resume}."
        )


def is_taken(path: Path) -> bool:
    """Return whether the path exists, or is being made by a process that is alive."""
    if path.exists():
        return True
    try:
        _clear_dead(_beside(path), wait=False)
    except BusyError:
        return True
    return False


def clear_leftovers(folder: Path) -> None:
    """Remove half-written files of killed processes, also of thence 0.1, in a locked folder."""
    clear_dead(folder)
    for path in (*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")):  # Version 0.1 had no locks.
        with suppress(OSError):
            path.unlink()


def clear_dead(folder: Path) -> None:
    """Remove half-written files of killed processes in a folder; those of living ones stay."""
    for path in (*folder.glob(f".*{NEW}"), *folder.glob(f"*/.*{NEW}")):
        with suppress(BusyError, OSError):  # A plot, for example, that is being written.
            _clear_dead(path, wait=False)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can do that."""
    with suppress(OSError):  # The file is there, and some file systems cannot flush folders.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until all files below a folder, and their names, are on the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            with Path(place, name).open("rb" if can_lock() else "r+b") as file:
                os.fsync(file.fileno())
        sync_folder(Path(place))


def _beside(path: Path) -> Path:
    """Return the hidden path at which a target is built, in the same folder."""
    # Without locks no process knows which others are alive, so each uses a name of its own.
    own = f".{os.getpid()}" if not can_lock() else ""
    return path.with_name(f".{path.name}{own}{NEW}")


def _create_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK, 0o666)


def _create_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY) if can_lock() else os.open(os.devnull, os.O_RDONLY)


@contextmanager
def _taken(target: Path, wait: bool, create: Callable[[Path], int]) -> Iterator[int]:
    """Context manager: create and lock the hidden file or folder; yield its descriptor."""
    building = _beside(target)
    failed: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for _ in range(ATTEMPTS):
        try:
            descriptor = create(building)
        except FileExistsError as error:
            failed = error
            _clear_dead(building, wait)
            continue
        except FileNotFoundError as error:
            # Another process removed it before it was locked, or removed its parent folder.
            failed = error
            building.parent.mkdir(parents=True, exist_ok=True)
            continue
        try:
            if lock_open(descriptor, building, wait):
                yield descriptor
                return
        finally:
            with suppress(OSError):
                os.close(descriptor)
    raise failed


def _clear_dead(building: Path, wait: bool) -> None:
    """Remove a hidden file or folder whose process was killed.

    Raises:
        BusyError: If the process is alive and ``wait`` is False.
    """
    if not can_lock() or building.is_symlink():  # The link is removed, not what it points to.
        _remove(building)
        return
    try:
        descriptor = os.open(building, (os.O_RDONLY if building.is_dir() else os.O_RDWR) | NO_LINK)
    except FileNotFoundError:
        return
    try:
        if lock_open(descriptor, building, wait):
            _remove(building)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove_empty(folders: list[Path]) -> None:
    """Remove the folders that are still empty, the innermost first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _kept_elsewhere(name: str, write: Callable[[Path], None]) -> Path | None:
    """Write a folder below the first of some places with room; return its path, or None."""
    for place in dict.fromkeys((gettempdir(), str(Path.cwd()), str(Path.home()))):
        outer: Path | None = None
        try:
            outer = Path(mkdtemp(prefix="thence-kept-", dir=place))
            kept = outer / name
            kept.mkdir()
            write(kept)
            sync_tree(kept)
            return kept
        except (OSError, WriteError):
            if outer is not None:
                shutil.rmtree(outer, ignore_errors=True)
    return None
