"""``thence mix RUN RUN ...``: average the models of several runs, with weights from dev."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.finish import finish
from thence.cli.output import progress_for
from thence.cli.streams import print_note
from thence.ensembles.mix import mix, weights_of
from thence.ensembles.recipe import train_mixture
from thence.errors import SettingError
from thence.models.language.mixture import Weights


def command(
    *runs: Path,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    config: Path | None = None,
    cache: int | None = None,
    neural_cache: int | None = None,
    dynamic: Annotated[bool, Parameter(negative=())] = False,
    weights: Weights | None = None,
    report: bool = True,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Mix runs of the same text into one, which is a run like any other.

    The runs are all of language models or all of classifiers, for which there is nothing to set.
    With --config, train the runs first: thence mix --config RECIPE -o RUN.

    Args:
        runs: Two or more run folders, or one and --cache, --neural-cache or --dynamic.
        output: Run folder to make.
        config: A recipe for the whole mixture: train the runs that it names and mix them as it
            says, in place of all the rest.
        cache: Mix in caches of the last so many symbols (running text).
        neural_cache: Mix in a cache of the last so many hidden states of a recurrent network
            (running text).
        dynamic: Let recurrent networks go on learning from the running text that is judged.
        weights: Let the weights follow how well each context is known and the place in its
            document (gated, the default), or its kind only, or use the same everywhere.
        report: Write report.html at the end.
        json: Print the result as JSON.
    """
    if config is None:
        made = mix(
            runs, output, cache=cache, neural_cache=neural_cache, dynamic=dynamic, weights=weights
        )
    elif runs:
        raise SettingError(f"--config {config} names the runs to mix itself; give none besides.")
    else:
        made = train_mixture(config, output, progress_for(json))
    members = weights_of(made)
    named = [{"name": name, "weight": weight} for name, weight in members]
    finish(made, report, json, {"members": named})
    for name, weight in members:
        print_note(f"weight {weight:.3f}  {name}")
