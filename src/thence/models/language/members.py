"""The members of a mixture: their settings, and the models made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from thence.errors import SettingError
from thence.models.base import Array, LanguageModel, check_weights
from thence.models.language.context_mixing import ContextMixing
from thence.models.language.options import NeuralCacheOptions
from thence.models.registry import get_family
from thence.settings import NonNegativeFloat, Settings

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel

Weights = Literal["gated", "buckets", "single"]


@dataclass(frozen=True)
class Member(Settings):
    """One model of a mixture.

    Attributes:
        model: Name of its family.
        options: The settings of the model.
        carry_context: Whether its context reaches across documents.
        dynamic: Learning rate of dynamic evaluation (see ``dynamic_evaluation``); None: its weights
            stay fixed.
        dynamic_decay: The decay of dynamic evaluation.
        dynamic_rule: The update rule of dynamic evaluation.
        inputs: Indexes of earlier members whose predictions are inputs of this one, which must be
            of ``context-mixing``.
    """

    model: str
    options: Mapping[str, Any]
    carry_context: bool = False
    dynamic: NonNegativeFloat | None = None
    dynamic_decay: NonNegativeFloat = 0.001
    dynamic_rule: Literal["sgd", "rms"] = "sgd"
    inputs: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Its family, and those settings by which members of one family usually differ."""
        named = ("order", "length", "discount", "theta")
        parts = [f"{key} {_short(self.options[key])}" for key in named if self.options.get(key)]
        if self.dynamic is not None:
            parts.append(f"dynamic {_short(self.dynamic)}")
        return " ".join([self.model, *parts])


@dataclass(frozen=True)
class MixtureOptions(Settings):
    """Settings of the ``mixture`` model, made by ``thence mix``."""

    members: tuple[Member, ...] = ()
    """The models that are mixed."""
    weights: Weights = "gated"
    """What the weights depend on: on how often each context was seen and on the position in the \
document (gated), on a bucket of contexts (buckets), or on nothing (single)."""
    adapt: NonNegativeFloat | None = None
    """Learning rate at which the gate goes on learning from running text that it scores; None: it
    stays fixed."""


def make_member(
    members: Sequence[Member], number: int, before: Sequence[LanguageModel], vocabulary_size: int
) -> LanguageModel:
    """Make the model of a member.

    Args:
        members: All members.
        number: Index of the member.
        before: The models of the members before it; a neural cache shares the network of one.
        vocabulary_size: Number of ids (V).

    Raises:
        SettingError: If its ``inputs`` do not fit.
    """
    member = members[number]
    if member.model == "neural-cache":
        from thence.models.language.neural_cache import NeuralCache

        options = NeuralCacheOptions(**member.options)
        return NeuralCache(options, cast("NeuralLanguageModel", before[options.of]))
    family = get_family(member.model)
    caches = [one.options["of"] for one in members if one.model == "neural-cache"]
    for_inference = member.dynamic is None and number not in caches
    settings = family.make_options(member.options)
    model = family.language_model(settings, vocabulary_size, inference=for_inference)
    if not member.inputs:
        return model
    if not isinstance(model, ContextMixing) or not 0 <= max(member.inputs) < number:
        raise SettingError(
            f"Member {number} of the mixture cannot have the inputs {member.inputs}."
        )
    return model.with_models(len(member.inputs))


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


GradientSizes = Mapping[int, Mapping[str, Array]]
"""Root mean square gradients of the members with the rms rule, by the member's index."""


def named_gradient_sizes(sizes: GradientSizes) -> dict[str, Array]:
    """Return the gradient sizes as tensors, by their names in files."""
    return {
        _name_of_sizes(number, name): size
        for number, named in sizes.items()
        for name, size in named.items()
    }


def pop_gradient_sizes(
    members: Sequence[Member], models: Sequence[LanguageModel], tensors: dict[str, Array]
) -> dict[int, Mapping[str, Array]]:
    """Remove the gradient sizes from some tensors, and return them.

    Raises:
        ValueError: If some are missing, have a wrong shape, or are negative.
    """
    taken: dict[int, Mapping[str, Array]] = {}
    for number, (model, member) in enumerate(zip(models, members, strict=True)):
        if member.dynamic is None or member.dynamic_rule != "rms":
            continue
        shapes = {name: value.shape for name, value in model.tensors().items()}
        sizes = {name: tensors.pop(_name_of_sizes(number, name), None) for name in shapes}
        found = {name: size for name, size in sizes.items() if size is not None}
        if {name: size.shape for name, size in found.items()} != shapes:
            raise ValueError(f"the sizes of gradients do not fit member {number}")
        check_weights(found)
        if any(size.min(initial=0) < 0 for size in found.values()):
            raise ValueError(f"a size of a gradient of member {number} is below 0")
        taken[number] = found
    return taken


def _name_of_sizes(number: int, name: str) -> str:
    """Return the name in files of the gradient sizes of a member's tensor."""
    return f"gradients.{number}.{name}"
