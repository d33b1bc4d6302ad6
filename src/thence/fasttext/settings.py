"""The arguments of fastText's training functions: their names, defaults and checks."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args

from thence.errors import SettingError
from thence.fasttext.errors import FastTextError
from thence.models.fasttext.contents import Arguments, Kind, Loss


class loss_name(Enum):  # noqa: N801  (fastText's names)
    """The losses, as fastText numbers them."""

    hs, ns, softmax, ova = 1, 2, 3, 4


class model_name(Enum):  # noqa: N801
    """The models, as fastText numbers them."""

    cbow, skipgram, supervised = 1, 2, 3


UNSUPERVISED: dict[str, Any] = {
    "input": "", "model": "skipgram", "lr": 0.05, "dim": 100, "ws": 5, "epoch": 5, "minCount": 5,
    "minCountLabel": 0, "minn": 3, "maxn": 6, "neg": 5, "wordNgrams": 1, "loss": "ns",
    "bucket": 2_000_000, "thread": max((os.cpu_count() or 2) - 1, 1), "lrUpdateRate": 100,
    "t": 1e-4, "label": "__label__", "verbose": 2, "pretrainedVectors": "", "seed": 0,
}  # fmt: skip
"""The arguments of ``train_unsupervised`` in their order, with fastText's defaults."""
AUTOTUNE: dict[str, Any] = {
    "autotuneValidationFile": "", "autotuneMetric": "f1", "autotunePredictions": 1,
    "autotuneDuration": 300, "autotuneModelSize": "",
}  # fmt: skip
"""The arguments of a search for settings: its duration in seconds, the limit of size such as 2M."""
SUPERVISED: dict[str, Any] = {
    **{name: value for name, value in UNSUPERVISED.items() if name != "model"},
    "lr": 0.1, "minCount": 1, "minn": 0, "maxn": 0, "loss": "softmax", **AUTOTUNE,
}  # fmt: skip
"""The arguments of ``train_supervised`` in their order, with fastText's defaults."""
OTHER_NAMES = {
    "min_count": "minCount", "word_ngrams": "wordNgrams", "lr_update_rate": "lrUpdateRate",
    "label_prefix": "label", "pretrained_vectors": "pretrainedVectors",
}  # fmt: skip
"""Older names of arguments that fastText still accepts."""
SHOWN = [name for name in UNSUPERVISED if name not in ("input", "model", "seed")]
"""The arguments that a trained model has as attributes."""


@dataclass(frozen=True)
class BoundArguments:
    """The arguments of a call of a training function.

    Attributes:
        values: Every argument by its name.
        given: The names of the arguments that were passed.
    """

    values: Mapping[str, Any]
    given: frozenset[str]

    def arguments(self, model: Kind, **changed: Any) -> Arguments:
        """Return the settings that are saved in a model file.

        Raises:
            FastTextError: If a loss is unknown or a number is out of range.
        """
        values = {**self.values, **changed}
        if values["loss"] not in get_args(Loss):
            raise FastTextError("Unrecognized loss name")
        hashes = values["wordNgrams"] > 1 or values["maxn"] > 0
        try:
            return Arguments(
                dim=values["dim"], ws=values["ws"], epoch=values["epoch"],
                min_count=values["minCount"], neg=values["neg"], word_ngrams=values["wordNgrams"],
                loss=values["loss"], model=model, bucket=values["bucket"] if hashes else 0,
                minn=values["minn"], maxn=values["maxn"], lr_update_rate=values["lrUpdateRate"],
                t=float(values["t"]),
            )  # fmt: skip
        except SettingError as error:
            raise FastTextError(str(error)) from None


def bind_arguments(
    defaults: Mapping[str, Any], in_order: Sequence[Any], named: Mapping[str, Any]
) -> BoundArguments:
    """Return the arguments of a call, with defaults.

    Args:
        defaults: All names in order, with their default values.
        in_order: Positional arguments.
        named: Keyword arguments.

    Raises:
        TypeError: If an argument is unknown, or passed twice.
    """
    if len(in_order) > len(defaults):
        raise TypeError(f"at most {len(defaults)} arguments, not {len(in_order)}")
    found = dict(zip(defaults, in_order, strict=False))
    for name, value in named.items():
        name = OTHER_NAMES.get(name, name)
        if name not in defaults:
            raise TypeError(f"unexpected keyword argument '{name}'")
        if name in found:
            raise TypeError(f"multiple values for argument '{name}'")
        found[name] = value
    return BoundArguments({**defaults, **found}, frozenset(found))
