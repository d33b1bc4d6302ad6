"""What thence rescore prints: hypotheses in their new order."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated

from cyclopts import Parameter

from thence.cli.judging import progress_bar, runs_and_files
from thence.cli.output import Json, print_json
from thence.cli.streams import print_note, print_text
from thence.errors import SettingError
from thence.evaluation import Rescoring
from thence.results import format_pairs
from thence.settings import PositiveInt


def print_rescoring(
    call: Callable[..., Rescoring],
    given: SimpleNamespace,
    *,
    top: Annotated[
        PositiveInt | None, Parameter(help="Print so many hypotheses of each utterance at most.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the hypotheses of each utterance, the best first, as a table of the same columns."""
    runs, files = runs_and_files(given.runs, "hypotheses")
    if len(files) != 1:
        raise SettingError(f"One table is rescored at a time; {len(files)} are named.")
    with progress_bar(str(runs[0])) as progress:
        found = call(runs=runs, nbest=files[0], progress=progress)
    if json:
        print_json(found.to_json())
        return
    columns = ["id", "score", "text"]
    columns += ["reference"] if found.word_error_rates is not None else []
    lines = ["\t".join(columns)]
    for utterance in found:
        for one in utterance.hypotheses[:top]:
            cells = utterance.id, f"{one.total:.4f}", one.text, utterance.reference or ""
            lines.append("\t".join(" ".join(cell.split()) for cell in cells[: len(columns)]))
    print_text("\n".join(lines))
    for line in format_pairs(found.rows()):
        print_note(line)
