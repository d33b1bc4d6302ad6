"""The lens ``shapes``: the shapes of a model's values by stage, and the context of each token."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.inspection.networks import NetworkPart, distinct_names, networks_of, trace
from thence.inspection.subject import Subject
from thence.models.language.bigram_counts import BigramCountsOptions
from thence.models.language.class_ngram import ClassNGramOptions
from thence.models.language.mixture import Mixture
from thence.models.ngram import NGramOptions
from thence.models.registry import get_family

ABOUT = {
    "ids": "numbers of the tokens, the boundary first",
    "logits": "the row of scores of each id",
    "embedding": "the row of the embedding table of each id",
    "concatenated": "the embeddings of the last {context} ids, in a row",
    "hidden": "{activation} units, which read all of the stage above",
    "recurrent": "{cell} units, read from above and from themselves",
    "attentive": "attention of {heads} heads, and the feed-forward part",
    "other": "the last hidden states",
    "projection": "units projected to the size of the embedding",
    "probabilities": "softmax over the vocabulary",
    "contexts": "up to {window} ids before, looked up in the counts",
    "answers": "of each token of the vocabulary",
}
"""Description of each kind of stage; settings of the model are filled in."""


@dataclass(frozen=True)
class Stage:
    """The values that a model computes at one stage.

    Attributes:
        name: Name of the stage, preceded by the member's name in a mixture.
        shape: Shape of the values: (texts, tokens, size of the stage).
        about: What they are, in words.
    """

    name: str
    shape: tuple[int, ...]
    about: str


@dataclass(frozen=True)
class Shapes:
    """The shapes of all stages of a model, and the context that it predicts each token from.

    Attributes:
        stages: From ids to probabilities.
        contexts: For each token that is shown, the tokens of its context; empty if the context is
            unlimited.
        places: First of the tokens that are shown, and the one after the last.
    """

    stages: tuple[Stage, ...]
    contexts: tuple[tuple[str, ...], ...]
    places: tuple[int, int]


def shapes(subject: Subject) -> Shapes:
    """Return the shapes of all stages for a text, and the context window of each token."""
    networks = {part.name: part for part in networks_of(subject.run, subject.model)}
    stages: list[Stage] = []
    windows: list[int | None] = []
    for name, options in _members(subject):
        if name in networks:
            part = networks[name]
            stages += _stages(subject, part)
            windows.append(getattr(part.model, "context_length", None))
        else:
            windows.append(_window(options))
            stages += _counted_stages(subject, name, windows[-1])
    if "" not in dict(_members(subject)):
        size = (1, subject.size + 1, subject.model.vocabulary_size)
        stages.append(Stage("probabilities", size, "the members' weighted average"))
    # If the members of a mixture have windows of different lengths, the longest one is shown.
    known = [window for window in windows if window is not None]
    shown = subject.shown
    sees_all = len(known) < len(windows)
    contexts = (
        () if sees_all else tuple(_context(subject, at, max(known), bool(networks)) for at in shown)
    )
    return Shapes(contexts=contexts, stages=tuple(stages), places=(shown.start, shown.stop))


def _members(subject: Subject) -> list[tuple[str, Any]]:
    """Return the names and options of a mixture's members; a single model has an empty name."""
    model = subject.model
    if not isinstance(model, Mixture):
        return [("", subject.run.recipe.options)]
    names = distinct_names([member.name for member in model.options.members])
    settings = (
        get_family(one.model).make_options(one.options) if one.model != "neural-cache" else None
        for one in model.options.members
    )
    return list(zip(names, settings, strict=True))


def _window(options: Any) -> int | None:
    """Return the context length of a count model in ids; None if unlimited, as for caches."""
    if isinstance(options, BigramCountsOptions):
        return 1
    return options.order - 1 if isinstance(options, NGramOptions | ClassNGramOptions) else None


def _counted_stages(subject: Subject, name: str, window: int | None) -> Iterator[Stage]:
    """Yield the stages of a model that is not a network."""
    label, size = f"{name}: " if name else "", (1, subject.size + 1)
    yield Stage(f"{label}ids", size, ABOUT["ids"])
    if window is not None:
        yield Stage(f"{label}contexts", (*size, window), ABOUT["contexts"].format(window=window))
    vocabulary_size = subject.model.vocabulary_size
    yield Stage(f"{label}probabilities", (*size, vocabulary_size), ABOUT["answers"])


def _stages(subject: Subject, part: NetworkPart) -> Iterator[Stage]:
    """Yield the stages of a network for a text as a batch of one."""
    options, vocabulary_size = part.options, subject.model.vocabulary_size
    said = {
        name: getattr(options, name, None) for name in ("context", "activation", "cell", "heads")
    }
    size, last = (1, subject.size + 1), 0

    def stage(name: str, kind: str, *numbers: int) -> Stage:
        return Stage(part.label(name), (*size, *numbers), ABOUT[kind].format(**said))

    yield stage("ids", "ids")
    found = trace(part, subject.store.ids[:1].astype(np.int64)).stages
    for name, values in found.items():
        last = values.shape[1]
        yield stage(name, _kind(name, options), last)
    if getattr(options, "tied", False) and last != options.embedding_size:
        yield stage("projection", "projection", options.embedding_size)
    yield stage("probabilities", "probabilities", vocabulary_size)


def _kind(name: str, options: Any) -> str:
    """Return the key of a stage in ``ABOUT``."""
    if not name.startswith("layer"):
        return name
    kinds = {"activation": "hidden", "cell": "recurrent", "heads": "attentive"}
    return next((kind for setting, kind in kinds.items() if hasattr(options, setting)), "other")


def _context(subject: Subject, place: int, size: int, padded: bool) -> tuple[str, ...]:
    """Return the context of a token: the texts of the last ``size`` ids before it in its document.

    With ``padded``, as networks need it, boundaries fill the window at the beginning of a document.
    """
    reach = place + 1 if subject.carries else int(subject.store.places[place]) + 1
    ids = subject.store.ids[max(place + 1 - size, place + 1 - reach) : place + 1].tolist()
    if padded:
        ids = [subject.store.boundary_id] * (size - len(ids)) + ids
    return tuple(subject.token_text(index) for index in ids)
