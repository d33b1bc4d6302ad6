"""Optional libraries: imported where they are used; a missing one is a sentence with its remedy."""

from importlib import import_module
from typing import Any

from thence.errors import MissingExtraError


def import_extra(module: str, extra: str, purpose: str) -> Any:  # as untyped as the libraries are
    """Import a module of an optional library.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs {library}, which is not installed: pip install 'thence[{extra}]'"
        ) from None
