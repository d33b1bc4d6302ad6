"""Models within a model, the members of a mixture and the encoder of a classifier: their settings.

They stand in a config as tables, which anyone may have written.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from thence.errors import SettingError
from thence.models import FAMILIES, SEQUENCES
from thence.training.setting_types import LONGEST_SHOWN, check_type, within_64_bits


def check_parts(options: Any) -> None:
    """Refuse models within a model whose settings are not theirs: members, and an encoder.

    Raises:
        SettingError: If there is no such model, or a setting is unknown or of another type.
    """
    members = getattr(options, "members", ())
    for place, member in enumerate(members):
        if member.dynamic is not None:
            if not _reads_sequences(member.model):
                raise SettingError(f"A member of {member.model[:LONGEST_SHOWN]} cannot be dynamic.")
            if not 0 <= member.dynamic < float("inf"):
                raise SettingError(f"A member's rate is {member.dynamic}; it must be 0 or above.")
        if member.model == "neural-cache":
            check_neural_cache(member.options, [other.model for other in members[:place]])
        else:
            check_options(member.model, member.options, ("counted", "trained"))
    encoder = getattr(options, "encoder", None)
    if encoder is not None:
        settings = {name: value for name, value in encoder.items() if name != "model"}
        check_options(check_type("model", encoder.get("model"), str), settings, ("trained",))


def check_options(model: str, settings: Mapping[str, Any], kinds: Sequence[str]) -> None:
    """Refuse settings that are not those of a language model of one of the kinds.

    Raises:
        SettingError: Says which.
    """
    if model not in FAMILIES or FAMILIES[model].kind not in kinds:
        raise SettingError(f"The model '{model[:LONGEST_SHOWN]}' cannot be part of another model.")
    options_class = FAMILIES[model].options_class()
    options_class(**_checked(settings, get_type_hints(options_class), model))


def check_neural_cache(settings: Mapping[str, Any], before: Sequence[str]) -> None:
    """Refuse a neural cache whose settings are not its own, or that has no network before it.

    Raises:
        SettingError: Says what is wrong.
    """
    from thence.models.neural_cache import NeuralCacheOptions  # Torch, which counts never wait for.

    hints = get_type_hints(NeuralCacheOptions)
    if missing := hints.keys() - settings.keys():
        raise SettingError(f"A neural cache does not say its '{min(missing)}'.")
    options = NeuralCacheOptions(**_checked(settings, hints, "neural-cache"))
    sequences = [place for place, model in enumerate(before) if _reads_sequences(model)]
    if options.of not in sequences:
        raise SettingError(f"A neural cache is of member {options.of}, which is no such network.")


def _reads_sequences(model: str) -> bool:
    return model in FAMILIES and FAMILIES[model].defaults is SEQUENCES


def _checked(settings: Mapping[str, Any], hints: Mapping[str, Any], model: str) -> dict[str, Any]:
    for name in settings:
        if name not in hints:
            raise SettingError(f"There is no setting '{name}' for the model '{model}'.")
        within_64_bits(name, settings[name])
    return {name: check_type(name, value, hints[name]) for name, value in settings.items()}
