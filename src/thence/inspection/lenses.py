"""The table of lenses: what each shows, and which runs support it. To add one, add a line here.

A lens is a function of a ``Subject`` that returns plain data: dictionaries, lists, arrays and
dataclasses. Its list of tokens has an entry for each place of ``Subject.shown``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from thence.errors import SettingError, nearest
from thence.inspection.networks import has_networks, has_recurrent, has_transformers, is_network
from thence.models.registry import get_family
from thence.runs import ClassifierRun, LanguageRun
from thence.runs.run import Run

FOLLOWING = "following"
"""The lens of rank, entropy and the likeliest tokens; its result is merged into the tokens."""
COUNTS = ("ngram", "class-ngram", "bigram-counts")
"""Families of count models."""


@dataclass(frozen=True)
class Lens:
    """A way to look at a text.

    Attributes:
        name: Its name.
        summary: What it shows, in a few words.
        function: The function that computes it, as ``module:name`` in ``thence.inspection``.
        suits: Function from a run to whether it supports the lens.
        is_cheap: Whether it is fast enough to be shown by default.
    """

    name: str
    summary: str
    function: str
    suits: Callable[[Any], bool]
    is_cheap: bool = False

    def __call__(self, *what: Any) -> Any:
        """Compute the lens for a ``Subject``, or for a classifier's run, a text and a label."""
        module, _, name = self.function.partition(":")
        return getattr(import_module(f"thence.inspection.{module}"), name)(*what)


def _all(run: LanguageRun) -> bool:
    return True


def _families(run: LanguageRun) -> list[str]:
    """Return the family of a run's model, and those of a mixture's members."""
    members = getattr(run.recipe.options, "members", ())
    return [run.recipe.model, *(member.model for member in members)]


def _counts(run: LanguageRun) -> bool:
    return any(name in COUNTS for name in _families(run))


def _mixture(run: LanguageRun) -> bool:
    return run.recipe.model == "mixture"


def _cache(run: LanguageRun) -> bool:
    return any(name in ("cache", "neural-cache") for name in _families(run))


def _adapts(run: LanguageRun) -> bool:
    members = getattr(run.recipe.options, "members", ())
    dynamic = any(member.dynamic is not None for member in members)
    adapts = any(get_family(name).adapts for name in _families(run) if name != "neural-cache")
    return run.recipe.training.carry_context and (dynamic or adapts or _cache(run))


def _mixing(run: LanguageRun) -> bool:
    return "context-mixing" in _families(run)


def _has_gradients(run: LanguageRun) -> bool:
    return is_network(run.recipe.model)


def _train(run: LanguageRun) -> bool:
    return run.has_train_text


LENSES: Sequence[Lens] = (
    Lens(FOLLOWING, "rank, entropy and the likeliest tokens", "following:following", _all, True),
    Lens(
        "backoff", "contribution of each n-gram order, with counts", "counts:backoff", _counts, True
    ),
    Lens("mixture", "weight and share of each member", "mixtures:mixture", _mixture, True),
    Lens("cache", "content of caches, and how long ago", "caches:cache", _cache),
    Lens("learning", "gain from adapting to the text", "caches:learning", _adapts),
    Lens("mixing", "contributions of contexts to each token", "mixing:mixing", _mixing),
    Lens("examples", "the same tokens in the train text", "examples:examples", _train),
    Lens("shapes", "shapes of all stages, context of each token", "shapes:shapes", _all),
    Lens(
        "activations",
        "activation of each unit after each token",
        "hidden:activations",
        has_networks,
    ),
    Lens("gates", "gates of recurrent layers after each token", "hidden:gates", has_recurrent),
    Lens("attention", "attention weights of each head", "hidden:attention", has_transformers),
    Lens("why", "attribution of each token to earlier ones", "why:why", _all),
    Lens("occlusion", "the same by occlusion, for networks", "why:occlusion", _has_gradients),
    Lens("flow", "gradient norms by distance", "why:flow", has_recurrent),
    Lens("units", "units that correlate with features of the text", "units:units", has_networks),
    Lens("layers", "prediction of each layer (logit lens)", "hidden:layers", has_networks),
)


def _neural(run: ClassifierRun) -> bool:
    return run.recipe.model in ("convolution", "finetuned", "recurrent")


LABEL_LENSES: Sequence[Lens] = (
    Lens(
        "gradient",
        "weight of each token for the label",
        "label_gradients:label_gradient",
        _neural,
    ),
)
"""Lenses of classifiers."""


def lenses_of(run: LanguageRun) -> list[Lens]:
    """Return the lenses that a run supports."""
    return [lens for lens in LENSES if lens.suits(run)]


def label_lenses_of(run: ClassifierRun) -> list[Lens]:
    """Return the lenses that a classifier supports."""
    return [lens for lens in LABEL_LENSES if lens.suits(run)]


def choose_lenses(run: LanguageRun, names: Iterable[str] | None) -> list[Lens]:
    """Return the lenses of these names, or the cheap ones for None.

    Raises:
        SettingError: If there is no such lens, or the run does not support it.
    """
    return _chosen(run, lenses_of(run), names)


def choose_label_lenses(run: ClassifierRun, names: Iterable[str] | None) -> list[Lens]:
    """Return the lenses of a classifier; see ``choose_lenses``."""
    names = None if names is None else [name for name in names if name != FOLLOWING]
    return _chosen(run, label_lenses_of(run), names)


def _chosen(run: Run, available: list[Lens], names: Iterable[str] | None) -> list[Lens]:
    """Return the lenses of these names among those available; see ``choose_lenses``."""
    if names is None:
        return [lens for lens in available if lens.is_cheap]
    names, listed = list(names), [lens.name for lens in available]
    for name in names:
        if name in listed:
            continue
        family, has = run.recipe.model, ", ".join(listed) or "none"
        if name in [lens.name for lens in (*LENSES, *LABEL_LENSES)]:
            raise SettingError(
                f"{run.name} has no lens {name!r}, as its model is {family!r}; it has {has}."
            )
        raise SettingError(
            f"There is no lens {name!r}; {run.name} has {has}."
            + (" Name each lens by itself." if "," in name else nearest(name, listed))
        )
    return [lens for lens in available if lens.name in names]
