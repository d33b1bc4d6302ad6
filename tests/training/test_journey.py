"""The way of a text through the code: each module hands it on once or twice."""

import sys
from collections import Counter
from collections.abc import Callable
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import thence
from thence.corpus import Documents, Splits
from thence.runs.sources import Sources
from thence.tokens import TokenStore
from thence.training.data import TrainingData
from thence.training.setup import TrainingSetup
from thence.training.trainer import Trainer

FORMS = (Sources, Documents, Splits, TokenStore, TrainingData, TrainingSetup, Trainer)
"""What a text becomes on its way; their own methods are no stops on it."""


def stops(work: Callable[[], Any]) -> Counter[str]:
    """Return from how many lines of other modules each module is given the text, or asked for it.

    Functions inside others are read where they stand, and generators where they are first called.
    """
    found: set[tuple[str, str, str, int]] = set()

    def note(frame: FrameType, event: str, result: Any) -> None:
        code, caller = frame.f_code, frame.f_back
        if event not in ("call", "return") or caller is None or "<locals>" in code.co_qualname:
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        values = [result] if event == "return" else [frame.f_locals.get(name) for name in names]
        if code.co_flags & CO_GENERATOR and (event == "return" or frame.f_lasti > 0):
            return
        if names[:1] == ("self",) and isinstance(frame.f_locals["self"], FORMS):
            return
        parts = [part for one in values for part in (one if isinstance(one, tuple) else [one])]
        module, asker = (one.f_globals.get("__name__", "") for one in (frame, caller))
        ours = module.startswith("thence.") and asker.startswith("thence.") and module != asker
        if ours and any(isinstance(part, FORMS) for part in parts):
            found.add((module, code.co_qualname, asker, caller.f_lineno))

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return Counter(module for module, *_ in found)


@pytest.mark.parametrize("given", ["file", "memory"])
@pytest.mark.parametrize(("model", "settings"), [("mlp", {"steps": 2}), ("ngram", {})])
def test_no_module_is_visited_more_than_twice(
    given: str, model: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    lines = ["abab", "abba", "baba", "aabb", "ab", "ba"] * 10
    path = tmp_path / "text"
    path.write_text("\n".join(lines), encoding="utf-8")
    text = path if given == "file" else lines
    found = stops(lambda: thence.train(text, model, output=tmp_path / "run", **settings))
    assert {"thence.training.data", "thence.corpus.loading", "thence.tokens.tokenizer"} <= {*found}
    assert {module: count for module, count in found.items() if count > 2} == {}
