"""How notebooks show results: what a class needs so that Jupyter and its like show it well.

A class that is shown has a line ``_repr_html_ = repr_html`` and an entry in
``thence.reports.displays``, which makes the HTML. That package is found by name when a notebook
asks, so that packages below ``pictures`` import nothing of it, and without a notebook a result
costs nothing.
"""

from importlib import import_module


def repr_html(result: object) -> str:
    """Return a result as HTML that runs no script and loads nothing; IPython asks for it."""
    shown: str = import_module("thence.reports.displays").display(result)
    return shown
