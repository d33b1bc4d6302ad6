"""``thence find-lr TEXT``: the learning-rate finder; draws its curve, suggests a rate."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.atomic import write_atomically
from thence.cli.output import say_json
from thence.cli.recipe_flags import parse_recipe_command
from thence.cli.streams import is_at_terminal, print_note, say
from thence.errors import RunError, SettingError
from thence.models.registry import is_classifier
from thence.recipes import Recipe
from thence.runs.sources import display_name
from thence.training import find_learning_rate

SUMMARY = "Train one step at each of many learning rates, and suggest one for thence train --lr."
FORMATS = (".png", ".svg")
DEFAULT_PICTURE = Path("learning-rate.png")


def command(arguments: Sequence[str]) -> None:
    """Parse the arguments and run the finder."""
    parse_recipe_command("find-lr", _find, SUMMARY, arguments)


def _find(
    recipe: Recipe,
    *,
    low: Annotated[float, Parameter(help="First learning rate.")] = 1e-3,
    high: Annotated[float, Parameter(help="Last learning rate.")] = 1.0,
    rates: Annotated[
        int | None,
        Parameter(help="How many rates, one step each (default: 100 for each factor of ten)."),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            name=("--output", "-o"),
            help="Picture to write, .png or .svg (default: learning-rate.png, or with a number "
            "after it where that is taken).",
        ),
    ] = None,
    json: Annotated[bool, Parameter(negative=(), help="Print the curve as JSON.")] = False,
) -> None:
    picture = _picture(output)
    if not json and is_at_terminal():
        print_note(f"Reading {display_name(recipe.text)}, then a step at each learning rate ...")
    curve = find_learning_rate(recipe, low, high, rates)
    # Drawing needs matplotlib, which takes its time to load.
    from thence.reports.plots.training import draw_learning_rate_finder
    from thence.reports.style import to_png, to_svg

    figure = draw_learning_rate_finder(
        curve, "document" if is_classifier(recipe.model) else "token"
    )
    write_atomically(picture, to_png(figure) if picture.suffix == ".png" else to_svg(figure))
    if json:
        say_json(
            {
                "suggestion": curve.suggestion,
                "rates": curve.rates.tolist(),
                "losses": curve.losses.tolist(),
                "still_falling": curve.still_falling,
                "picture": str(picture),
            }
        )
        return
    say(f"suggested learning rate  {curve.suggestion:.2g}")
    say(f"picture                  {picture}")
    if curve.still_falling:
        print_note(
            "The loss is lowest at the last rate: a higher one may be better. Try a larger --high."
        )


def _picture(output: Path | None) -> Path:
    """Return the file to write, which is not there yet.

    Raises:
        SettingError: If its format is unknown.
        RunError: If it exists.
    """
    if output is None:
        numbered = (Path(f"learning-rate-{number}.png") for number in count(2))
        return next(path for path in chain([DEFAULT_PICTURE], numbered) if not path.exists())
    if output.suffix not in FORMATS:
        raise SettingError(f"--output is {output}; its name must end in {' or '.join(FORMATS)}.")
    if output.exists():
        raise RunError(f"{output} exists already and is left as it is; choose another --output.")
    return output
