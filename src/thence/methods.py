"""Methods that are functions of the package: ``run.evaluate()`` is ``thence.evaluate(run)``.

The functions are in packages above that of the class, which therefore imports nothing of them: a
method finds its function by name in ``thence`` when it is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from types import MethodType
from typing import Any


class PackageFunction:
    """A method that is a function of ``thence`` with the object as its first argument.

    Args:
        name: Of the function.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(import_module("thence"), self.name)
        return function if instance is None else MethodType(function, instance)
