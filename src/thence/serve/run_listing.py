"""The table of all runs in some folders, loaded or not, cached until their files change."""

import hmac
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from time import monotonic
from typing import Any
from urllib.parse import urlencode

from thence.errors import RunError, ThenceError, nearest
from thence.runs import Run, open_run
from thence.runs.files import check_ordinary
from thence.serve.errors import UnknownModelError
from thence.serve.loaded_runs import LoadedRun, stamp_of
from thence.serve.run_entries import (
    PAGES,
    RunEntry,
    RunTable,
    about,
    parameters_of,
    read_entry,
    stamps_of,
    without_path,
)

MAX_RUNS = 2000
"""Maximum number of runs in the table."""
COUNTING_SECONDS = 0.3
"""Seconds per listing for counting parameters, which loads models."""
MAX_COUNTED = 1 << 30
"""Largest model that is loaded to count its parameters, in bytes."""
REPORTS = "/playground/report"
"""The path of reports on the server."""
MAX_REPORT = 64 << 20
"""Largest report that is sent, in bytes."""


@dataclass
class RunListing:
    """The runs in some folders by name, with a cache of their entries.

    Attributes:
        models: The loaded runs; no other run gets one of their names.
        folders: The folders that contain run folders directly.
    """

    models: Mapping[str, LoadedRun]
    folders: tuple[Path, ...]
    _cache: dict[Path, tuple[object, RunEntry]] = field(default_factory=dict)
    _parameters: dict[Path, tuple[object, int | None]] = field(default_factory=dict)
    _secret: bytes = field(default_factory=lambda: token_bytes(16))

    def paths(self) -> dict[str, Path]:
        """Return the folder of each run; a run whose name is taken gets ``parent/name``."""
        found = {name: loaded.run.folder for name, loaded in self.models.items()}
        seen = {folder.resolve() for folder in found.values()}
        for folder in self.folders:
            for run in _run_folders(folder):
                if run.resolve() in seen:
                    continue
                seen.add(run.resolve())
                # A folder's name may hold bytes that are no text.
                name, number = run.name.encode("utf-8", "replace").decode("utf-8"), 2
                if name in found:
                    name = f"{folder.resolve().name}/{name}"
                unnumbered = name
                while name in found:
                    name, number = f"{unnumbered} ({number})", number + 1
                found[name] = run
        return found

    def path(self, name: str) -> Path:
        """Return the folder of a run.

        Raises:
            UnknownModelError: If there is no run of that name.
        """
        paths = self.paths()
        if name not in paths:
            raise UnknownModelError(f"There is no run {name!r} here." + nearest(name, paths))
        return paths[name]

    def open(self, name: str) -> Run:
        """Return a run, read from the disk again.

        Raises:
            UnknownModelError: If there is no run of that name.
            RunError: If it cannot be read.
        """
        folder = self.path(name)
        try:
            return open_run(folder)
        except ThenceError as error:
            raise RunError(without_path(error, folder)) from error

    def stamps(self, name: str) -> object:
        """Return a value that changes when the files of a run do."""
        return tuple(stamps_of(self.path(name)))

    def entry(self, name: str) -> RunEntry:
        """Return a run by its name.

        Raises:
            UnknownModelError: If there is no run of that name.
        """
        return self._entry(name, self.path(name))

    def entries(self) -> RunTable:
        """Return all runs, also those whose files are damaged."""
        paths = self.paths()
        shown = list(paths.items())[:MAX_RUNS]
        runs = [self._entry(name, folder) for name, folder in shown]
        self._count_parameters(runs, dict(shown))
        return RunTable(runs=runs, left_out=len(paths) - len(shown))

    def _entry(self, name: str, folder: Path) -> RunEntry:
        stamps = stamps_of(folder)
        cached = self._cache.get(folder)
        if cached is None or cached[0] != stamps or cached[1].state in ("training", "stopped"):
            self._cache[folder] = cached = (stamps, read_entry(folder))
        loaded = self.models.get(name)
        changes: dict[str, Any] = {"name": name}
        if any(stamps[-len(PAGES) :]):
            changes["report"] = f"{REPORTS}?{urlencode({'run': name, 'key': self._key(name)})}"
        if loaded is not None:
            on_disk = loaded.on_disk()
            changes |= {"served": True, "on_disk": on_disk}
            if on_disk == "deleted":
                changes |= about(loaded.run)
                changes |= {"state": "deleted", "problem": "It was deleted from the disk."}
            if on_disk == "unchanged":
                changes["parameters"] = loaded.run.num_parameters
        return cached[1].model_copy(update=changes)

    def _key(self, name: str) -> str:
        return hmac.digest(self._secret, name.encode(), "sha256").hex()

    def report(self, name: str, key: str) -> bytes:
        """Return the report of a run, given the key from its address in the table of runs.

        Raises:
            UnknownModelError: If there is no run of that name, or the key is not its own.
            RunError: If it has no report, or one that is no ordinary file, or too large.
        """
        if not hmac.compare_digest(self._key(name).encode(), key.encode()):
            raise UnknownModelError("This is no address of a report; take it from the page.")
        folder = self.open(name).folder  # Opening a run refuses links in it.
        path = next(
            (folder / page for page in PAGES if (folder / page).exists()), folder / PAGES[0]
        )
        check_ordinary(path)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_REPORT:
                    raise RunError(f"The report of {name} is too large to be sent.")
                return file.read()
        except OSError as error:
            raise RunError(f"The report of {name} cannot be read: {error.strerror}.") from error

    def _count_parameters(self, runs: list[RunEntry], paths: Mapping[str, Path]) -> None:
        """Fill in the parameters of runs that are not loaded, within ``COUNTING_SECONDS``.

        Counting needs the model itself; the smallest models are loaded first.
        """
        ends = monotonic() + COUNTING_SECONDS
        unknown = [run for run in runs if run.parameters is None and run.bytes is not None]
        for entry in sorted(unknown, key=lambda entry: entry.bytes or 0):
            folder = paths[entry.name]
            stamp, known = stamp_of(folder / "model.safetensors"), self._parameters.get(folder)
            if (known is None or known[0] != stamp) and (entry.bytes or 0) <= MAX_COUNTED:
                if monotonic() > ends:
                    entry.counting = True
                    continue
                self._parameters[folder] = known = (stamp, parameters_of(folder))
            entry.parameters = None if known is None else known[1]


def _run_folders(folder: Path) -> Iterator[Path]:
    try:
        items = sorted(folder.iterdir())
    except OSError:
        return
    for item in items:
        try:
            if not item.name.startswith(".") and (item / "config.toml").is_file():
                yield item
        except OSError:
            continue
