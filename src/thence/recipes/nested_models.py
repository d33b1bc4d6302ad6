"""Checks of models within a model: the members of a mixture, and the encoder of a classifier.

A config has their settings as tables, which may come from an untrusted source.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from thence.errors import SettingError
from thence.models.labels.ensemble import Member as ClassifierMember
from thence.models.language.options import NeuralCacheOptions
from thence.models.registry import Family, Method, Task, get_family, is_known
from thence.settings import LONGEST_SHOWN, declared_types, validate


def check_nested_models(family: Family, options: Any) -> None:
    """Check the settings of a model's members and encoder.

    Raises:
        SettingError: If one is not the setting of its model, or the model cannot be nested.
    """
    members = options.members if family.method == "combine" else ()
    for place, member in enumerate(members):
        if isinstance(member, ClassifierMember):
            member_options = check_options(member.model, member.options, "labels")
            check_nested_models(get_family(member.model), member_options)
            continue
        if member.dynamic is not None and not _reads_sequences(member.model):
            raise SettingError(f"A member of {member.model[:LONGEST_SHOWN]} cannot be dynamic.")
        if member.model == "neural-cache":
            check_neural_cache(member.options, [other.model for other in members[:place]])
        else:
            check_options(member.model, member.options, "language")
    if family.pretrained and options.encoder is not None:
        encoder = options.encoder
        settings = {name: value for name, value in encoder.items() if name != "model"}
        model = validate("model", encoder.get("model"), str)
        check_options(model, settings, "language", ("train",))


def family_names(model: str, options: Any) -> set[str]:
    """Return the names of all families in a model: its own, its members', and its encoder's."""
    settings = options if isinstance(options, Mapping) else vars(options)
    family, names = get_family(model), {model}
    if family.method == "combine":
        members = [one for one in settings["members"] if one.model != "neural-cache"]
        names.update(*(family_names(one.model, one.options) for one in members))
    if family.pretrained and settings.get("encoder"):
        names.add(settings["encoder"]["model"])
    return names


def check_options(
    model: str,
    settings: Mapping[str, Any],
    task: Task,
    methods: Sequence[Method] = ("fit", "train"),
) -> Any:
    """Return the settings of a nested model as its options dataclass.

    Args:
        model: Name of the family.
        settings: Its settings by name.
        task: The task that the family must have.
        methods: The methods of learning it may have; ``combine`` is never allowed.

    Raises:
        SettingError: If the model cannot be nested here, or a setting is unknown or invalid.
    """
    family = get_family(model) if is_known(model) else None
    if family is None or family.task != task or family.method not in methods:
        raise SettingError(f"The model '{model[:LONGEST_SHOWN]}' cannot be part of another model.")
    return _options(family.options_class(), settings, model)


def check_neural_cache(settings: Mapping[str, Any], before: Sequence[str]) -> None:
    """Check the settings of a neural cache; ``before`` has the names of the members before it.

    Raises:
        SettingError: If a setting is missing or invalid, or its member is no recurrent network.
    """
    if missing := declared_types(NeuralCacheOptions).keys() - settings.keys():
        raise SettingError(f"A neural cache does not say its `{min(missing)}`.")
    options = _options(NeuralCacheOptions, settings, "neural-cache")
    sequences = [place for place, model in enumerate(before) if _reads_sequences(model)]
    if options.of not in sequences:
        raise SettingError(f"A neural cache is of member {options.of}, which is no such network.")


def _reads_sequences(model: str) -> bool:
    if not is_known(model):
        return False
    family = get_family(model)
    return family.task == "language" and family.reads_sequences


def _options(kind: Any, settings: Mapping[str, Any], model: str) -> Any:
    """Return the settings as the dataclass ``kind``, which checks their values."""
    if unknown := settings.keys() - declared_types(kind).keys():
        raise SettingError(f"There is no setting `{min(unknown)}` for the model '{model}'.")
    hints = declared_types(kind)
    return kind(**{name: validate(name, value, hints[name]) for name, value in settings.items()})
