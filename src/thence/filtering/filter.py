"""Filtering files by perplexity: a first pass scores each document, a second copies those to keep.

Scores go into a journal on disk, so that quantiles are exact, memory is bounded, and a killed
filter continues from there. The second pass only copies; if it is killed, it is repeated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import Annotated, Any

import numpy as np

from thence.atomic import WriteError, new_folder, refuse_existing, whole_file
from thence.corpus import Documents
from thence.corpus.decoding import Errors
from thence.errors import SettingError, nearest
from thence.filtering.bounds import Bounds, Limits, Shares, quantiles
from thence.filtering.journal import Journal, journal_folder, open_journal
from thence.filtering.records import Part
from thence.filtering.result import SHOWN, Filtered, ModelCounts
from thence.filtering.scorer import ScoringRuns
from thence.filtering.sources import File, check_score_column, input_files, open_file
from thence.filtering.workers import ScoreParts, scoring
from thence.runs import ClassifierRun, LanguageRun
from thence.runs.run import Run
from thence.settings import PositiveInt, Range, validate

OnPart = Callable[[int, float], None]
"""Called after each part with the documents scored and the fraction done of all bytes."""
ONLY = ""
"""The label of the model if there is only one."""
LARGEST_TEST = 1 << 28
"""Bytes of texts up to which they are compared with the test split, as that reads them again."""


def filter_texts(
    run: Run | str | Path | Mapping[str, Run | str | Path],
    texts: str | Path | Sequence[str | Path],
    output: str | Path,
    below: Limits = None,
    above: Limits = None,
    quantile: Shares | Mapping[str, Shares] | None = None,
    by: Run | str | Path | None = None,
    certainty: float = 0.0,
    column: str | None = None,
    score_column: str | None = None,
    errors: Errors = "strict",
    processes: int = 1,
    cluster: str | None = None,
    progress: OnPart | None = None,
) -> Filtered:
    """Keep the documents of files whose perplexity is within bounds, in order and unchanged.

    Each document is scored by itself: it has no context from documents before it, and models do not
    adapt to the texts. If the process is killed, the same call continues where it was.

    Args:
        run: The run or its folder; several, by label, if ``by`` chooses among them.
        texts: A file (plain text, JSON lines, CSV, TSV, Parquet; compressed ones too), a
            folder, several files, or - for standard input, which has the format of ``output``.
        output: The file to make; a folder if the input is a folder or several files.
        below: Keep documents with a smaller perplexity per token (of each model, by its label).
        above: Keep documents with a larger one, likewise.
        quantile: Keep documents between two quantiles, such as 0.2 and 0.8, of the perplexities of
            all documents that the same model scores.
        by: The run of a classifier: its most probable label chooses the model of each document.
            Documents with a label without a model are dropped.
        certainty: Also drop documents whose label is less probable than this.
        column: Column of a table, field of JSON lines: the text; by default the only one, or
            'text'.
        score_column: Add a column, or field, of this name with the perplexity.
        errors: How to treat bytes that are not text: refuse, or let the model read U+FFFD (replace)
            or nothing (ignore) instead; kept documents keep their bytes.
        processes: Number of processes that score documents.
        cluster: Score on a Dask cluster: its scheduler's address, or local:2 for two workers here.
        progress: Called with the documents scored so far and the fraction of all bytes.

    Raises:
        TextError: A text cannot be read, or is malformed.
        SettingError: Settings contradict each other.
        ExistsError: The output exists already.
        BusyError: Another process is making it.
        MissingExtraError: A library for Parquet, or for a cluster, is not installed.
    """
    runs, output = _runs(run, by), Path(output)
    bounds = Bounds.of(list(runs), below, above, quantile)
    validate("processes", processes, PositiveInt)
    validate("certainty", certainty, Annotated[float, Range(ge=0, le=1)])
    if bounds.keep_all and score_column is None:
        raise SettingError(
            "Nothing says what to keep: give `below`, `above` or `quantile`, or a `score_column` "
            "to add."
        )
    if cluster is not None and processes > 1:
        raise SettingError("`cluster` brings its own processes; leave `processes` out.")
    scoring_runs = ScoringRuns(runs, None if by is None else ClassifierRun(by), certainty, errors)
    _check_labels(scoring_runs)
    if output.exists():
        rmtree(journal_folder(output), ignore_errors=True)  # Left by a process killed at its end.
    refuse_existing(output)
    names = [texts] if isinstance(texts, str | Path) else list(texts)
    with input_files(names, output) as inputs:
        files = {target: open_file(path, name, column) for path, name, target in inputs}
        for file in files.values():
            check_score_column(file, score_column)
        with open_journal(output, _about(scoring_runs, list(files.values()))) as journal:
            with scoring(scoring_runs, processes, cluster) as score_parts:
                _score(journal, list(files.values()), score_parts, progress)
            _record_looks(scoring_runs, list(files.values()), journal)
            bounds = bounds.at_quantiles(journal)
            _write(output, files, bounds, journal, score_column)
            return _result(output, runs, bounds, journal)


def _runs(
    run: Run | str | Path | Mapping[str, Run | str | Path], by: Run | str | Path | None
) -> dict[str, LanguageRun]:
    """Open the runs, by label."""
    if not isinstance(run, Mapping):
        if by is not None:
            raise SettingError(
                "`by` chooses among several language models; give each with its label "
                "(--model en=RUN --model de=RUN)."
            )
        return {ONLY: LanguageRun(run)}
    if by is None:
        raise SettingError(
            "Several language models need a classifier that chooses among them; name its run "
            "with `by`."
        )
    return {label: LanguageRun(one) for label, one in run.items()}


def _check_labels(scoring_runs: ScoringRuns) -> None:
    """Raise SettingError if a model is for a label that the classifier does not have."""
    known = [ONLY] if scoring_runs.by is None else scoring_runs.by.label_names
    for label in scoring_runs.runs:
        if label not in known:
            raise SettingError(
                f"There is a model for '{label}', which is no label of the classifier; it has "
                f"{', '.join(known[:20])}.{nearest(label, known)}"
            )


def _about(scoring_runs: ScoringRuns, files: Sequence[File]) -> dict[str, Any]:
    """Return the identity of models and files; a journal with the same identity is continued."""

    def state(path: Path) -> tuple[str, int, int]:
        status = path.stat()
        return str(path.absolute()), status.st_size, status.st_mtime_ns

    def weights(run: Run) -> list[Any]:
        return [run.identity, *state(run.weights)]

    by = scoring_runs.by
    return {
        "thence": version("thence"),  # Other versions may divide files into other parts.
        "models": {label: weights(run) for label, run in scoring_runs.runs.items()},
        "by": None if by is None else [*weights(by), scoring_runs.certainty],
        "files": [[*state(file.path), file.column] for file in files],
    }


def _score(
    journal: Journal, files: Sequence[File], score_parts: ScoreParts, progress: OnPart | None
) -> None:
    """Score the parts that the journal does not have yet, and append them."""
    total = max(sum(file.path.stat().st_size for file in files), 1)
    places: list[int] = []

    def parts() -> Iterator[Part]:
        before = 0
        for file in files:
            for part, position in file.parts():
                places.append(before + position)
                yield part
            before += file.path.stat().st_size

    for scores, num_bytes in score_parts(islice(parts(), len(journal.parts), None)):
        journal.append(scores, num_bytes)
        if progress is not None:
            progress(journal.documents, places[len(journal.parts) - 1] / total)


def _record_looks(scoring_runs: ScoringRuns, files: Sequence[File], journal: Journal) -> None:
    """Record a look at the test split if these are the documents of a run's test split."""
    size = sum(num_bytes for _, num_bytes in journal.parts)
    for run in scoring_runs.runs.values():
        if size <= LARGEST_TEST and run.may_be_test_split(journal.documents, size):
            parts = (part for file in files for part, _ in file.parts())
            documents = [part.documents(scoring_runs.errors) for part in parts]
            if documents:
                run.record_if_test(Documents.join(documents), "filter")


def _write(
    output: Path,
    files: Mapping[Path | None, File],
    bounds: Bounds,
    journal: Journal,
    score_column: str | None,
) -> None:
    """Copy the documents to keep into the output."""
    next_scores = journal.reader()

    def select(count: int) -> tuple[Any, Any]:
        scores = next_scores(count)
        return bounds.kept(scores), scores["perplexity"]

    def write(path: Path, file: File) -> None:
        with whole_file(path, new=True) as made:
            file.write(made, select, score_column)

    try:
        if None in files:
            write(output, files[None])
            return
        with new_folder(output) as new:
            for target, file in files.items():
                assert target is not None
                write(new.path / target, file)
    except OSError as error:
        raise WriteError(output, error, "The same command continues from here.") from error


def _result(
    output: Path, runs: Mapping[str, LanguageRun], bounds: Bounds, journal: Journal
) -> Filtered:
    """Return the counts of documents and the quantiles of each model."""
    counts = np.zeros((3, len(runs)), np.int64)
    for block in journal.blocks():
        own = block[block["model"] >= 0]
        for row, chosen in enumerate(
            (own, own[bounds.kept(own)], own[np.isinf(own["perplexity"])])
        ):
            counts[row] += np.bincount(chosen["model"], minlength=len(runs))
    models = []
    for number, (label, run) in enumerate(runs.items()):
        lowest = np.fmax(bounds.above[number], bounds.lowest[number])
        highest = np.fmin(bounds.below[number], bounds.highest[number])
        models.append(
            ModelCounts(
                label,
                str(run.folder),
                int(counts[0, number]),
                int(counts[1, number]),
                int(counts[2, number]),
                None if np.isnan(lowest) else float(lowest),
                None if np.isnan(highest) else float(highest),
                {
                    f"{share:g}": value
                    for share, value in zip(SHOWN, quantiles(journal, number, SHOWN), strict=False)
                },
            )
        )
    scored, kept, _ = counts.sum(axis=1).tolist()
    documents = journal.documents
    return Filtered(str(output), documents, kept, documents - scored, tuple(models))
