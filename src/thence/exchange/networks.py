"""Which runs have a network that other programs can take."""

from thence.errors import RunError
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import LANGUAGE_MODELS
from thence.runs.run import Run


def network_of(run: Run, what: str) -> NeuralLanguageModel:
    """Return a run's network.

    Args:
        run: The run.
        what: What can hold networks only, for the message.

    Raises:
        RunError: If the run has none, or is a classifier.
    """
    kind = "a classifier" if run.is_classifier else f"a run of the model '{run.recipe.model}'"
    if run.is_classifier or LANGUAGE_MODELS[run.recipe.model].method != "train":
        raise RunError(
            f"{run.folder} is {kind}; {what} can only hold a network that models language (such "
            "as thence train --model lstm)."
        )
    assert isinstance(run.model, NeuralLanguageModel)
    return run.model
