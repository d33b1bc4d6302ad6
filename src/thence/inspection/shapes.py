"""The lens of what a model is given, and of the shape of what it makes of that at each stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.inspection.networks import Part, networks_of, trace
from thence.inspection.subject import Subject

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
}
"""What each stage is, with settings of the network."""


@dataclass(frozen=True)
class Stage:
    """What a network has computed of a text at one stage.

    Attributes:
        name: Of the stage, after the member's name where several networks are mixed.
        shape: Texts, tokens, and numbers for each token.
        about: What it is, in words.
    """

    name: str
    shape: tuple[int, ...]
    about: str


@dataclass(frozen=True)
class Shapes:
    """What networks are given, and the shape of everything they make of it.

    Attributes:
        stages: From ids to probabilities.
        contexts: Of each token that is shown, the texts of the ids that it is predicted from; empty
            where a network remembers all before.
        places: First of the tokens that are shown, and the one after the last.
    """

    stages: tuple[Stage, ...]
    contexts: tuple[tuple[str, ...], ...]
    places: tuple[int, int]


def shapes(subject: Subject) -> Shapes:
    """Return the shape of everything that networks make of a text, and the windows they see."""
    parts = networks_of(subject.run, subject.model)
    stages = tuple(stage for part in parts for stage in _stages(subject, part))
    windows = [getattr(part.model, "context_length", None) for part in parts]
    # Where networks see windows of several lengths, the longest holds the others.
    longest = 0 if None in windows else max(filter(None, windows))
    shown = subject.shown
    contexts = tuple(_context(subject, place, longest) for place in shown) if longest else ()
    return Shapes(contexts=contexts, stages=stages, places=(shown.start, shown.stop))


def _stages(subject: Subject, part: Part) -> Iterator[Stage]:
    """Yield the stages of a network that reads a text as one row."""
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
    """Return which words of ``ABOUT`` a stage has."""
    if not name.startswith("layer"):
        return name
    kinds = {"activation": "hidden", "cell": "recurrent", "heads": "attentive"}
    return next((kind for setting, kind in kinds.items() if hasattr(options, setting)), "other")


def _context(subject: Subject, place: int, size: int) -> tuple[str, ...]:
    """Return the texts of the ids before a token in its document, boundaries before its begin."""
    reach = place + 1 if subject.carries else int(subject.store.places[place]) + 1
    ids = subject.store.ids[max(place + 1 - size, place + 1 - reach) : place + 1].tolist()
    boundary = subject.store.boundary_id
    padded = [boundary] * (size - len(ids)) + ids
    return tuple(subject.token_text(index) for index in padded)
