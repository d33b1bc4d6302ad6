"""The networks of a run, and traces of their intermediate values while they read a text.

A run's model may be a network, or a mixture with several; lenses then put their names before those
of the layers. Perceptrons and recurrent networks are run in NumPy, as in inference
(``models/language/inference.py``), transformers and networks of other packages in PyTorch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thence.array_types import Int64
from thence.inspection.tracing import BatchTrace, Trace
from thence.models.base import LanguageModel, State, read
from thence.models.language.inference import InferenceModel
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.language.options import RecurrentOptions
from thence.models.registry import Family, get_family
from thence.runs import LanguageRun

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel


READ_AT_ONCE = 256
"""Ids per call while only the state is needed: more would take memory and not be faster."""

BATCH_IDS = 1 << 12
"""Ids in a batch of documents, padding included."""


@dataclass(frozen=True)
class NetworkPart:
    """A network in a run: its model, or a member of its mixture.

    Attributes:
        name: Name of the member; empty if the network is the run's model.
        family: Its family.
        options: Its options.
        model: The network, in NumPy if its family has such a form, else a torch module.
        carries: Whether its context is carried across documents.
    """

    name: str
    family: Family
    options: Any
    model: LanguageModel
    carries: bool

    def label(self, stage: str) -> str:
        """Return the name of a stage, preceded by the member's name."""
        return f"{self.name}: {stage}" if self.name else stage


def is_network(family: str) -> bool:
    """Return whether models of a family are networks, trained by gradient steps."""
    found = get_family(family)
    return found.task == "language" and found.method == "train"


def _families(run: LanguageRun) -> list[str]:
    """Return the family of a run's model, or those of a mixture's members."""
    options = run.recipe.options
    if not isinstance(options, MixtureOptions):
        return [run.recipe.model]
    return [one.model for one in options.members if one.model != "neural-cache"]


def has_networks(run: LanguageRun) -> bool:
    """Return whether a run's model is a network, or a mixture with some."""
    return any(map(is_network, _families(run)))


def has_recurrent(run: LanguageRun) -> bool:
    """Return whether a network of a run is recurrent."""
    return any(
        issubclass(get_family(name).options_class(), RecurrentOptions) for name in _families(run)
    )


def has_transformers(run: LanguageRun) -> bool:
    """Return whether a network of a run is a transformer."""
    return "transformer" in _families(run)


def networks_of(run: LanguageRun, model: LanguageModel) -> list[NetworkPart]:
    """Return the networks of a run's model, those of a mixture in order.

    Args:
        run: The run.
        model: Its model, or the static part of it.
    """
    if not isinstance(model, Mixture):
        family, carries = get_family(run.recipe.model), run.recipe.training.carry_context
        known = is_network(run.recipe.model)
        return [_part("", family, run.recipe.options, model, carries)] if known else []
    members = model.options.members
    names = distinct_names([member.name for member in members])
    return [
        _member(name, member, one)
        for name, member, one in zip(names, members, model.models, strict=True)
        if member.model != "neural-cache" and is_network(member.model)
    ]


def _member(name: str, member: Member, model: LanguageModel) -> NetworkPart:
    family = get_family(member.model)
    return _part(name, family, family.make_options(member.options), model, member.carry_context)


def _part(
    name: str, family: Family, options: Any, model: LanguageModel, carries: bool
) -> NetworkPart:
    """Return a network, converted to its NumPy form if its family has one."""
    if family.inference and not isinstance(model, InferenceModel):
        asked = family.language_model(options, model.vocabulary_size, inference=True)
        asked.load_tensors(model.tensors())
        model = asked
    return NetworkPart(name, family, options, model, carries)


def distinct_names(names: list[str]) -> list[str]:
    """Return the names, with numbers added to repeated ones."""
    return [
        f"{name} ({names[:place].count(name) + 1})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def trace(
    part: NetworkPart, ids: Int64[np.ndarray, " time"], first: int = 0, attention: bool = False
) -> Trace:
    """Return the intermediate values of a network for a document.

    Args:
        part: The network.
        ids: The boundary, and then the tokens.
        first: The first id to trace; those before it only set the state.
        attention: Whether to record attention weights of a transformer.
    """
    state = state_after(part.model, ids[:first])
    (found,) = _read(part, ids[None, first:], state, attention).documents([len(ids) - first])
    return found


def traces(
    part: NetworkPart, documents: Sequence[Int64[np.ndarray, " _"]], attention: bool = False
) -> Iterator[Trace]:
    """Yield the trace of each document, computed in padded batches; see ``trace``."""
    longest = max(map(len, documents), default=1)
    at_once = max(1, BATCH_IDS // longest)
    for first in range(0, len(documents), at_once):
        some = documents[first : first + at_once]
        # Padded at the end, where it has no effect on the values before it.
        ids = np.full((len(some), max(map(len, some))), part.model.vocabulary_size - 1)
        for row, document in zip(ids, some, strict=True):
            row[: len(document)] = document
        found = _read(part, ids, part.model.start(len(some)), attention)
        yield from found.documents([len(document) for document in some])


def _read(
    part: NetworkPart, ids: Int64[np.ndarray, "batch time"], state: State, attention: bool
) -> BatchTrace:
    """Return the intermediate values of a network for a batch of ids that follow a state."""
    model = part.model
    if not isinstance(model, InferenceModel):
        from thence.inspection.torch_networks import trace_modules

        return trace_modules(cast("NeuralLanguageModel", model), ids, state, attention)
    found = model.trace(ids, state)
    size = found.stages[next(reversed(found.stages))].shape[2]
    readable = [
        stage
        for stage, values in found.stages.items()
        if values.shape[2] == size
        and (stage != "embedding" or getattr(part.options, "tied", False))
    ]
    predictions = partial(model.stage_log_probs, found)
    return BatchTrace(found.stages, predictions, tuple(readable), found.gates)


def state_after(model: LanguageModel, ids: Int64[np.ndarray, " time"]) -> State:
    """Return the state after the ids that begin a document; the initial state if there are none."""
    state = model.start(1)
    for begin in range(0, len(ids), READ_AT_ONCE):
        _, state = read(model, ids[None, begin : begin + READ_AT_ONCE], state, last=True)
    return state


def as_torch_module(part: NetworkPart) -> "NeuralLanguageModel":
    """Return a network as a torch module with its trained weights, for gradients."""
    if not isinstance(part.model, InferenceModel):
        return cast("NeuralLanguageModel", part.model)
    trained = part.family.language_model(part.options, part.model.vocabulary_size)
    trained.load_tensors(part.model.tensors())
    return cast("NeuralLanguageModel", trained)
