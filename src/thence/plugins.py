"""A table of entries to which other packages add: by an entry point, or by a call in a script.

An entry point is imported when its name is first looked up. Only installed packages have entry
points, so no run folder, recipe or text can name code of its own.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from thence.errors import SettingError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Allowed names of added entries: easy to type, and usable as a part of a folder's name."""

Entry = TypeVar("Entry", bound=Any)


class Plugins(Generic[Entry]):
    """A table of entries by name: the built-in ones, and those of other packages.

    Args:
        group: Group of the entry points, such as ``thence.models``.
        kind: Class of the entries: a frozen dataclass with a ``name`` and a ``supplier``.
        table: The built-in entries; those of other packages are added at their first look-up.
    """

    def __init__(self, group: str, kind: type[Entry], table: dict[str, Entry]) -> None:
        self.group, self.kind, self.table = group, kind, table
        self._built_in = set(table)

    def add_built_in(self, entries: Mapping[str, Entry]) -> None:
        """Add entries of thence's own."""
        self.table.update(entries)
        self._built_in.update(entries)

    def find(self, name: str) -> Entry | None:
        """Return the entry of that name, or None if there is none.

        Raises:
            SettingError: If the package that supplies it is broken.
        """
        if name not in self.table and NAME.fullmatch(name):
            for point in _points(self.group, name):
                self.add(name, self._load(point), _supplier_of(point))
        return self.table.get(name)

    def is_added(self, name: str) -> bool:
        """Return whether an entry comes from another package or a script."""
        return name not in self._built_in

    def names(self) -> list[str]:
        """Return all names, the built-in ones first, without importing entry points."""
        installed = {point.name for point in _points(self.group)}
        return [*self.table, *sorted(installed - self.table.keys())]

    def add(self, name: str, entry: Entry, supplier: str = "") -> Entry:
        """Add an entry and return it with its supplier; it replaces an added one of that name.

        Args:
            name: The name that the entry must have.
            entry: The entry.
            supplier: Package and version; by default found from the module of its ``make``.

        Raises:
            SettingError: If the name is a built-in one or unusable, or the entry has another name.
        """
        if name in self._built_in:
            raise SettingError(f"The name '{name}' is taken by thence; choose another.")
        if not isinstance(entry, self.kind) or entry.name != name or not NAME.fullmatch(name):
            raise SettingError(
                f"'{name}' must be a {self.kind.__name__} of that name, in small letters, digits "
                f"and hyphens, and is {entry!r:.80}."
            )
        added = replace(entry, supplier=supplier or _supplier_of_module(entry))
        self.table[name] = added
        return added

    def _load(self, point: "EntryPoint") -> Entry:
        try:
            entry: Entry = point.load()
            return entry
        except Exception as error:  # The module of another package may raise anything.
            raise SettingError(
                f"'{point.name}' of the package {_supplier_of(point)} cannot be loaded "
                f"({type(error).__name__}: {error}); install a working version of it."
            ) from error


def missing(what: str, supplier: str) -> str:
    """Return a sentence that says how to install what a missing package supplies.

    Args:
        what: What needs which entry: the beginning of the sentence.
        supplier: ``package==version`` when it was used; empty if a script had added the entry.

    >>> missing("The run r needs the model 'm'", "pack==0.1")
    "The run r needs the model 'm' of the package pack (0.1 when it was made): pip install pack."
    """
    package, _, version_then = supplier.partition("==")
    if package:
        made_with = f"{version_then} when it was made"
        return f"{what} of the package {package} ({made_with}): pip install {package}."
    return f"{what}, which a script added: call thence.register_model or register_tokenizer first."


def _points(group: str, name: str | None = None) -> "list[EntryPoint]":
    """Return the entry points of a group, all or those of one name."""
    # The times of the folders are part of the cache's key: an installation changes them.
    folders = tuple((folder, _time_of(folder)) for folder in sys.path)
    return [point for point in _scan(group, folders) if name in (None, point.name)]


@lru_cache(maxsize=8)
def _scan(group: str, folders: Sequence[tuple[str, int]]) -> "list[EntryPoint]":
    """Return the entry points of a group; cached, as scanning all packages takes 0.1 s."""
    from importlib.metadata import entry_points  # Slow; needed for names that are not built in.

    return list(entry_points(group=group))


def _time_of(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _supplier_of(point: "EntryPoint") -> str:
    return f"{point.dist.name}=={point.dist.version}" if point.dist else ""


def _supplier_of_module(entry: Any) -> str:
    """Return ``package==version`` of an entry's module, if the package has the module's name."""
    from importlib.metadata import PackageNotFoundError, version

    module = getattr(entry.make, "__module__", str(entry.make)).partition(".")[0]
    with suppress(PackageNotFoundError):
        return f"{module}=={version(module)}"
    return ""
