"""``thence find-lr TEXT``: sweep the learning rate, draw the curve, suggest a rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.atomic import write_atomically
from thence.commands.output import say_json
from thence.commands.recipe_flags import parse_recipe_command
from thence.commands.streams import is_at_terminal, remark, say
from thence.errors import SettingError
from thence.training import Recipe, sweep_learning_rate
from thence.training.families import is_classifier

SUMMARY = "Sweep the learning rate, one training step each, and suggest one for thence train --lr."
FORMATS = (".png", ".svg")


def command(arguments: Sequence[str]) -> None:
    """Parse the arguments and sweep."""
    parse_recipe_command("find-lr", _find, SUMMARY, arguments)


def _find(
    recipe: Recipe,
    *,
    low: Annotated[float, Parameter(help="First learning rate.")] = 1e-3,
    high: Annotated[float, Parameter(help="Last learning rate.")] = 1.0,
    sweep: Annotated[int, Parameter(help="How many rates, one step each.")] = 300,
    output: Annotated[
        Path, Parameter(name=("--output", "-o"), help="Picture to write (.png or .svg).")
    ] = Path("learning-rate.png"),
    json: Annotated[bool, Parameter(negative=(), help="Print the curve as JSON.")] = False,
) -> None:
    if output.suffix not in FORMATS:
        raise SettingError(f"--output is {output}; its name must end in {' or '.join(FORMATS)}.")
    if not json and is_at_terminal():
        remark(f"Reading {recipe.text}, then up to {sweep} steps ...")
    curve = sweep_learning_rate(recipe, low, high, sweep)
    # Drawing needs matplotlib, which takes its time to load.
    from thence.pictures.curves import learning_rate_curve
    from thence.pictures.drawing import to_png, to_svg

    figure = learning_rate_curve(curve, "document" if is_classifier(recipe.model) else "token")
    write_atomically(output, to_png(figure) if output.suffix == ".png" else to_svg(figure))
    if json:
        say_json(
            {
                "suggestion": curve.suggestion,
                "rates": curve.rates.tolist(),
                "losses": curve.losses.tolist(),
                "picture": str(output),
            }
        )
        return
    say(f"suggested learning rate  {curve.suggestion:.2g}")
    say(f"picture                  {output}")
