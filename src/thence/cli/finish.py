"""What ``train`` and ``resume`` do at the end: the score on dev, the report, what to do next."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from thence.cli.output import say_json, say_pairs
from thence.cli.streams import print_note, say
from thence.evaluation import evaluate
from thence.evaluation.labels import cut_rows
from thence.processes import is_first_process
from thence.runs import ClassifierRun, Run
from thence.training.finetuning import parent_row


def finish(run: Run, report: bool, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """Show how good a trained run is and write its report; of several processes, one does.

    Args:
        run: The run.
        report: Write the report.
        as_json: Print the result as JSON.
        more: What the JSON has besides.
    """
    if not is_first_process():
        return
    judged = evaluate(run, "dev") if len(run.documents("dev")) else None
    path = _report(run) if report else None
    if as_json:
        say_json(
            {
                "run": str(run.folder),
                "model": run.recipe.model,
                "parameters": run.num_parameters,
                "dev": judged and judged.to_json(),
                "report": path and str(path),
                **(more or {}),
            }
        )
        return
    size = f"{run.recipe.model}, {run.num_parameters:,} parameters"
    vectors = run.provenance.get("vectors")
    about = [("run", str(run.folder)), ("model", size)]
    about += [("pretrained vectors", vectors)] if vectors else []
    about += parent_row(run)
    about += cut_rows(run)
    say_pairs([*about, *(judged.rows() if judged else [])])
    if path:
        say(f"\nPictures and all numbers: {path}")
    folder = quote(str(run.folder))
    judge = f"   thence evaluate {folder} --split test" if len(run.documents("test")) else ""
    use = f"classify {folder} -" if isinstance(run, ClassifierRun) else f"sample {folder}"
    print_note(f"Next: thence {use}{judge}")


def _report(run: Run) -> Path:
    from thence.reports import report

    return report(run)
