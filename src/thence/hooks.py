"""Calls from a class to functions of packages above its own, without an import of them.

``run.evaluate()`` calls ``thence.evaluate(run)``, and a notebook shows a result as ``reports``
renders it. Those functions are in packages above the class's, so it must not import them.
``thence/__init__.py``, which stands above all packages and is always imported first, hands its
table of functions to ``set_lookup`` instead.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

Lookup = Callable[[str], Callable[..., Any]]
"""Returns a function by its name; imports its package only then."""
_lookups: list[Lookup] = []


def set_lookup(lookup: Lookup) -> None:
    """Set the table in which functions are found by name."""
    _lookups[:] = [lookup]


class PackageFunction:
    """A descriptor: the method calls a function of ``thence`` with the object as first argument.

    Args:
        name: Of the function.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> Callable[..., Any]:
        function = _lookups[0](self.name)
        return function if instance is None else MethodType(function, instance)


def repr_html(result: object) -> str:
    """Return a result as HTML without scripts or external resources, for IPython.

    A class that is shown in notebooks has a line ``_repr_html_ = repr_html`` and an entry in
    ``thence.reports.displays``.
    """
    html: str = _lookups[0]("display")(result)
    return html
