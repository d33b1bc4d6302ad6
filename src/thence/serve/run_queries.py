"""Queries of the page about whole runs, loaded or not: scores on dev, comparisons, samples.

One thread answers them, one after another, on runs that are read from the disk, so that no model
that serves requests is delayed. Answers are cached until the files of the runs change. The test
split is never used.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from thence.deadline import DeadlineError, deadline
from thence.errors import RunError, SettingError, ThenceError
from thence.evaluation.baselines import baselines
from thence.evaluation.compare import (
    Comparison,
    compare,
    compare_losses,
    model_losses,
    open_comparable,
    with_selection_remark,
)
from thence.evaluation.compare_labels import LabelComparison
from thence.evaluation.data import EvaluationData
from thence.evaluation.disagreements import disagreements, disputed_documents
from thence.evaluation.evaluate import evaluate
from thence.evaluation.language import LikelihoodReport
from thence.evaluation.verdict import Unit, verdict
from thence.generation import sample
from thence.results import json_value
from thence.runs import Run
from thence.serve.batching import Worker
from thence.serve.run_listing import RunListing

MAX_TEXT = 64 << 20
"""Largest text that is read for the page, in bytes; larger ones need the command line."""
MAX_MODEL = 1 << 30
"""Largest model that is loaded for the page, in bytes."""
MAX_REMEMBERED = 256
"""Number of answers in the cache."""
MAX_COMPARED = 12
"""Maximum number of runs in a comparison."""
MAX_DISAGREEMENTS = 20
MAX_SHOWN = 2000
"""Characters of a document that are shown at most."""
SAMPLE_LENGTH = 120
"""Maximum number of tokens of a sample."""
SECONDS = 100.0
"""Deadline for one answer, in seconds (``thence.deadline``)."""
Answer = TypeVar("Answer")


class RunQueries:
    """Answers queries about runs in a thread of its own, with a cache.

    Args:
        listing: The runs.
    """

    def __init__(self, listing: RunListing) -> None:
        self._listing = listing
        self._found = OrderedDict[object, Any]()
        self._worker = Worker("run queries")

    async def answer(
        self,
        query: Callable[..., Answer],
        names: Sequence[str],
        *more: Any,
        remember: bool = True,
    ) -> Answer:
        """Return the answer to a query about runs, from the cache if their files are unchanged.

        Args:
            query: A function of a list of runs, and of ``more``.
            names: The names of the runs.
            more: Further arguments of the function.
            remember: Whether to cache the answer; not worth it if it is large or quick to compute.

        Raises:
            UnknownModelError: If there is no run of a name.
            RunError: If a run cannot be read or evaluated.
        """
        if not 1 <= len(names) <= MAX_COMPARED:
            raise SettingError(f"Name one to {MAX_COMPARED} runs; these are {len(names)}.")
        stamps = await asyncio.to_thread(lambda: tuple(map(self._listing.stamps, names)))
        key = (query, tuple(names), stamps, more)
        if key not in self._found:
            answer: Answer = await self._worker.call(self._compute, key, query, names, more)
            if not remember:
                return answer
            self._found[key] = answer
            while len(self._found) > MAX_REMEMBERED:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        found: Answer = self._found[key]
        return found

    def _compute(
        self, key: object, query: Callable[..., Any], names: Sequence[str], more: Sequence[Any]
    ) -> Any:
        if key in self._found:  # An equal query was answered while this one waited.
            return self._found[key]
        runs = [self._listing.open(name) for name in names]
        try:
            with deadline(time.monotonic() + SECONDS):
                return query(runs, *more)
        except DeadlineError as error:
            raise RunError(f"That takes longer than {SECONDS:.0f} seconds here.") from error
        except ThenceError as error:
            said = str(error)
            for run in runs:  # Clients must not learn paths of this machine.
                said = said.replace(str(run.folder), run.name)
                said = said.replace(run.recipe.text, Path(run.text_name).name)
            raise RunError(said) from error
        except OSError as error:  # A training has removed a file meanwhile, for example.
            raise RunError(f"A file cannot be read: {error.strerror}. Try again.") from error
        except MemoryError as error:
            raise RunError("There is too little memory for that.") from error


def _check_model(run: Run) -> None:
    """Raise RunError if the model of a run is missing, or too large to be loaded here."""
    weights = run.folder / "model.safetensors"
    try:
        size = weights.stat().st_size
    except OSError as error:
        raise RunError(f"{run.name} has no weights yet.") from error
    if size > MAX_MODEL:
        raise RunError(f"The model of {run.name} is too large to be judged here.")


def _check_text(run: Run) -> None:
    """Raise RunError if the text of a run is too large to be read here."""
    text = Path(run.recipe.text)
    if text.is_file() and text.stat().st_size > MAX_TEXT:
        raise RunError(
            f"The text of {run.name} has {text.stat().st_size >> 20} MB, too much to be read here; "
            "use thence evaluate and thence compare."
        )


def dev_score(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the score of a run on dev, with its 95 % interval."""
    (run,) = runs
    _check_model(run)
    _check_text(run)
    report = evaluate(run, "dev")
    if isinstance(report, LikelihoodReport):
        score, interval = report.nats_per_token, report.interval
    else:
        score, interval = report.accuracy, report.accuracy_interval
    found = {"score": score, "low": interval[0], "high": interval[1]}
    return dict(json_value(found | {"documents": report.documents}))


def baselines_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the baselines for a run's loss: uniform, unigram and pair counts."""
    _check_text(runs[0])
    return dict(baselines(runs[0]).to_json())


def verdict_of(runs: Sequence[Run], unit: Unit) -> dict[str, Any]:
    """Return in words how a training went; empty for a model that was made in one step."""
    _check_text(runs[0])
    found = verdict(runs[0], unit)
    return (
        {"kind": None, "words": ""} if found is None else {"kind": found.kind, "words": str(found)}
    )


def comparison(runs: Sequence[Run]) -> dict[str, Any]:
    """Return a comparison of runs on dev, best first, and the documents they disagree on most."""
    for run in runs:
        _check_model(run)
        _check_text(run)
    opened = open_comparable(runs, "dev")
    kind = _compared_classifiers if opened[0].kind == "classifier" else _compared_models
    found, more = kind(opened)
    for document in more["disagreements"]:
        document["text"] = document["text"][:MAX_SHOWN]
    text = f"dev split of {Path(opened[0].text_name).name}"
    about = {"text": text, "documents": found.documents, "remark": found.remark}
    return dict(json_value(about | more))


def _compared_models(runs: list[Run]) -> tuple[Comparison, dict[str, Any]]:
    data = EvaluationData("dev")
    losses = model_losses(runs, data)
    found = with_selection_remark(compare_losses(runs, losses, data), runs)
    farthest = disputed_documents(losses, data.documents(runs[0]), found.text, MAX_DISAGREEMENTS)
    return found, {
        "unit": found.unit,
        "runs": _language_rows(found),
        "pairs": [losses.differences(place) for place in range(len(runs))],
        "disagreements": farthest.to_json()["documents"],
    }


def _compared_classifiers(runs: list[Run]) -> tuple[LabelComparison, dict[str, Any]]:
    found = compare(runs, "dev")
    assert isinstance(found, LabelComparison)
    return found, {
        "unit": "accuracy",
        "runs": _label_rows(found, runs),
        "pairs": None,
        "disagreements": disagreements(runs, "dev", MAX_DISAGREEMENTS).to_json()["documents"],
    }


def _language_rows(found: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "place": row.place,
            "score": row.bits_per_byte if row.nats_per_token is None else row.nats_per_token,
            "difference": row.difference,
        }
        for row in found.runs
    ]


def _label_rows(found: LabelComparison, runs: Sequence[Run]) -> list[dict[str, Any]]:
    places = {run.name: [at for at, one in enumerate(runs) if one.name == run.name] for run in runs}
    rows = []
    for row in found.runs:
        against = row.against_best
        difference = against and (against.difference, *against.interval)
        # Two folders may have the same name.
        place = places[row.run].pop(0)
        rows.append({"place": place, "score": row.accuracy, "difference": difference})
    return rows


def samples(runs: Sequence[Run], seed: int, count: int) -> dict[str, Any]:
    """Return texts sampled from a run's best weights so far, given a seed."""
    (run,) = runs
    if run.kind == "classifier":
        raise RunError(f"{run.name} is a classifier, which writes no texts.")
    _check_model(run)
    found = sample(run, count, seed=seed, max_length=SAMPLE_LENGTH)
    return {"texts": list(found), "copies": found.copies}
