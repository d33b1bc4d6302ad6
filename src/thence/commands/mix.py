"""``thence mix RUN RUN ...``: average the models of several runs, with weights from dev."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.commands.finish import finish
from thence.commands.streams import remark
from thence.models.mixture import Weights
from thence.training.mix import mix, weights_of


def command(
    *runs: Path,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    cache: int | None = None,
    weights: Weights = "gated",
    report: bool = True,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Mix runs of the same text into one, which is a run like any other.

    Args:
        runs: Two or more run folders, or one and --cache.
        output: Run folder to make.
        cache: Mix in caches of the last so many symbols (running text).
        weights: Let the weights follow how well each context is known and the place in its
            document, or its kind only, or use the same everywhere.
        report: Write report.html at the end.
        json: Print the result as JSON.
    """
    made = mix(runs, output, cache=cache, weights=weights)
    finish(made, report, json)
    for name, weight in weights_of(made):
        remark(f"weight {weight:.3f}  {name}")
