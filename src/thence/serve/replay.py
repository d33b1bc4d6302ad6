"""Replays of trainings from their snapshots: samples, surprisal and activations at each step."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from thence.array_types import Float32, Float64
from thence.deadline import check_deadline
from thence.errors import RunError, SettingError
from thence.evaluation.embeddings import embedding_table
from thence.generation import DecodingOptions
from thence.generation.sampling import draw
from thence.inspection import look
from thence.inspection.hidden import Activations, GatedLayer, Gates
from thence.inspection.lenses import lenses_of
from thence.inspection.result import Look
from thence.runs import LanguageRun, Run
from thence.runs.snapshots import snapshot_bytes, snapshot_steps
from thence.serve.batching import Ids
from thence.serve.loaded_runs import REPLACEMENT

MOST_SNAPSHOTS = 60
"""Maximum number of snapshots in a replay; of more, evenly spaced ones are shown."""
MOST_BYTES = 512 << 20
"""Maximum size of all snapshots of a run, in bytes."""
MOST_POINTS = 60
"""Number of tokens whose embeddings are shown: those most frequent in samples of the last
snapshot."""
TEXTS_TO_COUNT = 64
"""Number of texts that are sampled to find these tokens."""
MOST_UNITS = 64
MOST_TOKENS = 60
"""Maximum number of tokens of a text whose activations are shown."""
SAMPLE_LENGTH = 80
VIEWS = {"activations": "activations", "gates": "gates"}
"""Views of a replay and their lenses: a matrix (tokens x units) for each snapshot."""
MOST_KEPT = 1200
"""Number of cached answers about single snapshots, a few kB each. For a training in progress, only
new snapshots need to be computed."""


class Replays:
    """Queries about snapshots, with a cache; ``RunQueries.answer`` calls its methods."""

    def __init__(self) -> None:
        self._kept = OrderedDict[object, Any]()

    def _each(self, run: Run, what: str, *arguments: Any) -> list[Any]:
        """Return the result of one of ``QUERIES`` for each snapshot, from the cache if known."""
        found = []
        for step, snapshot in _snapshots_of(run):
            check_deadline()
            key = (snapshot.weights, snapshot.weights.stat().st_mtime_ns, step, what, arguments)
            if key not in self._kept:
                self._kept[key] = QUERIES[what](snapshot, *arguments)
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            found.append(self._kept[key])
        return found

    def overview(self, runs: Sequence[Run], seed: int, count: int) -> dict[str, Any]:
        """Return the steps of a run's snapshots, samples of each, and their embeddings."""
        (run,) = runs
        ids = _frequent(_snapshots_of(run)[-1][1])
        tables = self._each(run, "embeddings", ids)
        return {
            "steps": [step for step, _ in _snapshots_of(run)],
            "samples": self._each(run, "samples", seed, count),
            "embeddings": None if tables[-1] is None else _projected(run, ids, tables),
            "views": _views(run),
        }

    def reading(
        self, runs: Sequence[Run], text: str, view: str | None, matrix: str | None
    ) -> dict[str, Any]:
        """Return the surprisal of a text by each snapshot of a run, and a matrix of the view."""
        (run,) = runs
        if view is not None and view not in _views(run):
            raise SettingError(f"{run.name} cannot show {view!r} over its training.")
        found = self._each(run, "reading", text, view)
        first = found[0]
        names = list(first["matrices"])
        chosen = matrix if matrix in names else (names[-1] if names else None)
        return {
            "tokens": first["tokens"],
            "end": [one["end"] for one in found],
            "bits": [one["bits"] for one in found],
            "next": [one["next"] for one in found],
            "names": names,
            "matrix": chosen,
            "values": [one["matrices"][chosen].round(3).tolist() for one in found if chosen],
        }


def _snapshots_of(run: Run) -> list[tuple[int, Run]]:
    """Return the steps and runs of the snapshots to show.

    Raises:
        RunError: If there are none, they are too large, or it is a classifier.
    """
    if not isinstance(run, LanguageRun):
        raise RunError(f"{run.name} is a classifier; trainings of language models are replayed.")
    steps = snapshot_steps(run.folder)
    if not steps:
        raise RunError(f"{run.name} has no snapshots: train with --snapshots 20 to replay it.")
    if snapshot_bytes(run.folder) > MOST_BYTES:
        raise RunError(f"The snapshots of {run.name} are too large to be played here.")
    places = np.linspace(0, len(steps) - 1, min(len(steps), MOST_SNAPSHOTS)).round().astype(int)
    return [(steps[place], run.at(steps[place])) for place in places]


def _views(run: Run) -> list[str]:
    names = [lens.name for lens in lenses_of(cast(LanguageRun, run))]
    return [view for view, lens in VIEWS.items() if lens in names]


def _draw(snapshot: Run, seed: int, count: int) -> list[Ids]:
    nothing, options = np.zeros(0, np.int64), DecodingOptions()
    running_text = snapshot.recipe.training.carry_context
    return draw(
        snapshot.model, nothing, count, SAMPLE_LENGTH, options, seed, past_boundary=running_text
    )


def _samples(snapshot: Run, seed: int, count: int) -> list[str]:
    """Return the texts of ``sample``, without counting copies of train, which needs the text."""
    boundary, decode = snapshot.tokenizer.vocabulary.boundary_id, snapshot.tokenizer.decode
    texts = []
    for ids in _draw(snapshot, seed, count):
        ends = np.flatnonzero(ids == boundary)
        texts.append("\n".join(decode(part[part != boundary]) for part in np.split(ids, ends)))
    return [text.removesuffix("\n") for text in texts]


def _frequent(snapshot: Run) -> tuple[int, ...]:
    """Return the most frequent ids in samples of a snapshot, in ascending order."""
    drawn = np.concatenate(_draw(snapshot, 0, TEXTS_TO_COUNT))
    counts = np.bincount(drawn)
    return tuple(sorted(np.argsort(-counts, kind="stable")[:MOST_POINTS].tolist()))


def _embeddings(
    snapshot: Run, ids: tuple[int, ...]
) -> Float64[np.ndarray, "tokens embedding"] | None:
    table = embedding_table(snapshot)
    return None if table is None else table[list(ids)].astype(np.float64)


def _projected(
    run: Run, ids: tuple[int, ...], tables: list[Float64[np.ndarray, "tokens embedding"]]
) -> dict[str, Any]:
    """Return all embedding tables projected on the first two principal axes of the last one."""
    last = tables[-1]
    centre = last.mean(axis=0)
    _, sizes, axes = np.linalg.svd(last - centre, full_matrices=False)
    variances = sizes**2 / max(float((sizes**2).sum()), 1e-300)
    names = [run.tokenizer.vocabulary.names()[index] for index in ids]
    decoded = (run.tokenizer.decode([index]) for index in ids)
    shown = zip(decoded, names, strict=True)
    texts = [name if text == "" or REPLACEMENT in text else text for text, name in shown]
    return {
        "tokens": texts,
        "points": [np.round((table - centre) @ axes[:2].T, 4).tolist() for table in tables],
        "shares": variances[:2].tolist(),
    }


def _reading(snapshot: Run, text: str, view: str | None) -> dict[str, Any]:
    lenses = ["following"] if view is None else ["following", VIEWS[view]]
    found = cast(Look, look(snapshot, text, lenses=lenses, top=1))
    ends = [0, *(token.end for token in found.tokens)]
    tokens = [
        {
            "text": token.text,
            "before": text[end : token.start],
            "is_boundary": token.is_boundary,
        }
        for token, end in zip(found.tokens, ends, strict=False)
    ]
    after = found.next
    likely = after.top[0] if after is not None and after.top else None
    return {
        "tokens": tokens,
        "bits": [_rounded(token.bits) for token in found.tokens],
        "end": _rounded(found.end_bits),
        "next": likely and {"text": likely.text, "probability": likely.probability},
        "matrices": {} if view is None else _matrices(found.lenses[VIEWS[view]]),
    }


def _matrices(lens: Activations | Gates) -> dict[str, Float32[np.ndarray, "tokens units"]]:
    """Return the matrices (tokens, units) of a lens by name, cut to what is shown."""
    found = {}
    for layer in lens.layers:
        parts = layer.gates if isinstance(layer, GatedLayer) else {"": layer.values}
        for name, values in parts.items():
            shown = values[:MOST_TOKENS, :MOST_UNITS].astype(np.float32)
            found[f"{layer.name} {name}".strip()] = shown
    return found


def _rounded(bits: float) -> float | None:
    return round(bits, 3) if math.isfinite(bits) else None


QUERIES: Mapping[str, Callable[..., Any]] = {
    "samples": _samples,
    "embeddings": _embeddings,
    "reading": _reading,
}
