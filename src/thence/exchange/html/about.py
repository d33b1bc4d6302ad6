"""What a page says of its model before any script runs: what it is, of what text, how good."""

import math
from pathlib import Path
from typing import cast

from thence.exchange.html import labels, language
from thence.models.registry import get_family
from thence.runs.metrics import best_line
from thence.runs.run import ClassifierRun, LanguageRun, Run


def left_out_of(run: Run) -> tuple[str, ...]:
    """Return the names of the parts of a run's model that its page has not."""
    if isinstance(run, ClassifierRun):
        return labels.asked_of(run)[1]
    return language.asked_of(cast(LanguageRun, run))[1]


def facts_of(run: Run) -> list[tuple[str, str]]:
    """Return names and values; no path is among them."""
    family = get_family(run.recipe.model)
    facts = [
        ("Model", f"{family.name}: {family.summary[0].lower()}{family.summary[1:]}"),
        ("Text", Path(run.text_name).name or run.text_name),
        ("Tokens", f"{run.recipe.tokens.tokens}, {len(run.tokenizer.vocabulary):,} in all"),
        ("Size", f"{run.num_parameters:,} numbers learned or counted"),
    ]
    if left_out := left_out_of(run):
        facts.append(("Not on this page", f"{', '.join(left_out)}: other parts have their weight"))
    if isinstance(run, ClassifierRun):
        facts.append(("Labels", f"{len(run.label_names):,}"))
    lines = run.metrics()
    if run.step is not None:  # A snapshot is judged where an evaluation was at its step.
        lines = [line for line in lines if line["step"] == run.step]
    best = best_line(lines)
    loss = best.get(f"dev_nats_per_{run.loss_unit}")
    if loss is not None:
        bits = loss / math.log(2)
        score = f"{bits:.3f} bits ({loss:.3f} nats) per {run.loss_unit}"
        accuracy = best.get("dev_accuracy")
        score += " for the whole run" if left_out else ""
        facts.append(("Dev", score if accuracy is None else f"{accuracy:.2%} right, {score}"))
    return facts
