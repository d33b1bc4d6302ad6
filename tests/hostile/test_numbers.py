"""Absurd numbers in every setting that is one, given as flags: done, or refused with a sentence."""

import random
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from thence.corpus import SplitOptions
from thence.models.registry import get_family
from thence.recipes.options import TrainingOptions
from thence.tokens import TokenOptions

from .conftest import CLASSIFIERS, QUICK

Harmless = Callable[..., None]
HUGE = (f"{10**12}", f"{10**30}", "9" * 5000, "1e18")
ODD = ("1e400", "-1e400", "nan", "-0", "-1", "0", "1e-400", "10", "0x10", "1_0", "٣", "1e3", "½",
       "", " 1", "--", "inf,inf")  # fmt: skip
AS_LONG_AS_ASKED = ("sample", "best", "find-lr", "--steps", "--epochs")
"""Commands, and flags of the training, that may go on for as long as a huge number says."""
OTHERS = [
    ["sample", "RUN", "--count"], ["sample", "RUN", "--temperature"], ["sample", "RUN", "--top-k"],
    ["sample", "RUN", "--top-p"], ["sample", "RUN", "--max-length"], ["sample", "RUN", "--seed"],
    ["next", "RUN", "a", "--count"], ["complete", "RUN", "a", "--count"],
    ["complete", "RUN", "a", "--beam"], ["complete", "RUN", "a", "--length-penalty"],
    ["fill", "RUN", "a___", "--longest"], ["fill", "RUN", "a___", "--beam"],
    ["evaluate", "RUN", "--mistakes"], ["classify", "LABELS", "TEXT", "--top"],
    ["classify", "LABELS", "TEXT", "--threshold"], ["similar", "RUN", "a", "--count"],
    ["best", "TEXT", "--output", "new", "--steps"], ["best", "TEXT", "--output", "new", "--time"],
    ["find-lr", "TEXT", "--low"], ["find-lr", "TEXT", "--high"], ["find-lr", "TEXT", "--rates"],
    ["mix", "RUN", "-o", "new", "--cache"],
]  # fmt: skip
NUMBERS = (int, float)


def flags_of(model: str) -> list[str]:
    """Return the settings of a model that are numbers, as flags."""
    groups = (get_family(model).options_class(), TrainingOptions, SplitOptions, TokenOptions)
    hints = [
        (item.name, get_type_hints(group)[item.name]) for group in groups for item in fields(group)
    ]
    return [
        f"--{name.replace('_', '-')}"
        for name, kind in hints
        if kind in NUMBERS or any(each in NUMBERS for each in get_args(kind)) or name == "split"
    ]


def commands(sound: Path) -> list[list[str]]:
    """Return the beginnings of command lines, each to be ended by a number."""
    names = {"RUN": str(sound / "mlp"), "LABELS": str(sound / "linear"), "TEXT": "text.txt"}
    found = [[names.get(word, word) for word in line] for line in OTHERS]
    for model in ("ngram", "mlp", "lstm", "transformer", "linear", "averaging", "convolution"):
        is_classifier = model in CLASSIFIERS
        start = [
            "train",
            str(sound / ("table.csv" if is_classifier else "text.txt")),
            "--model",
            model,
        ]
        start += ["--label", "label"] if is_classifier else []
        quick = {
            f"--{name.replace('_', '-')}": value
            for name, value in QUICK[model].items()
            if value is not True
        }
        for flag in flags_of(model):
            others = [f"{name}={value}" for name, value in quick.items() if name != flag]
            found.append([*start, *others, "--no-report", "-o", "new", flag])
    return found


def try_out(sound: Path, harmless: Harmless, seed: int, number: int) -> None:
    draw = random.Random(seed)
    lines = commands(sound)
    for _ in range(number):
        *line, flag = draw.choice(lines)
        may_take_long = line[0] in AS_LONG_AS_ASKED or flag in AS_LONG_AS_ASKED
        value = draw.choice(ODD if may_take_long else (*ODD, *HUGE))
        try:
            harmless(*line, f"{flag}={value}")
        except BaseException as error:
            raise AssertionError(f"{' '.join(line)} {flag}={value[:40]}: {error!r}") from error
        for left in ("new", "learning-rate.png"):
            path = Path(left)
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("emma\nolivia\nava\nzoe\n" * 10)


@pytest.mark.slow
def test_absurd_numbers_do_no_harm(sound: Path, harmless: Harmless) -> None:
    try_out(sound, harmless, seed=1, number=50)


@pytest.mark.exhaustive
def test_more_absurd_numbers_do_no_harm(sound: Path, harmless: Harmless) -> None:
    try_out(sound, harmless, seed=2, number=200)
