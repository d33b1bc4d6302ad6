"""Writing the result: the run folder and its page, and measuring how long both take here."""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from thence.atomic import NewFolder
from thence.autopilot.autopilot import Autopilot
from thence.autopilot.candidates import Ensemble
from thence.autopilot.reading import ReadText
from thence.autopilot.result import Best
from thence.autopilot.strategy import Strategy
from thence.deadline import DeadlineError, deadline
from thence.models.registry import get_family
from thence.runs.create import create_run
from thence.runs.run import Run
from thence.runs.sources import Sources
from thence.runs.weights import save_model
from thence.training.fitting import FittedModel, fitted_metrics, save_fitted
from thence.training.new_run import data_provenance, resolve_paths

MIN_TIME_FOR_PAGE = 2.0
"""Least budget in seconds for which a page about the result is written within the time."""
SAMPLES, MAX_SAMPLE = 8, 160
"""Number of texts that are sampled for the page, and most tokens of each."""
MIN_TIME_FOR_SAMPLES, MAX_TIME_FOR_SAMPLES = 0.3, 3.0
"""Sampling starts only if this many seconds are left, and takes at most this many."""
PROBED = np.zeros(1 << 21, np.float32)
"""Zeros (8 MB) that are written once to measure the speed of the disk."""


@dataclass
class RunWriter:
    """Writes the run folder of a search.

    Attributes:
        text: The text that was read.
        autopilot: The search.
        strategy: Its strategy.
        new: The run folder that is being created.
        sources: Copies of texts that can be read only once.
        page: Writes a page about the result, with texts sampled from it; None for no page.
    """

    text: ReadText
    autopilot: Autopilot
    strategy: Strategy
    new: NewFolder
    sources: Sources
    page: Callable[[Best, Sequence[str]], object] | None
    _best: Ensemble = field(init=False)

    @property
    def writes_page(self) -> bool:
        """Whether a page is to be written: only if the budget is long enough."""
        return self.page is not None and self.autopilot.budget.seconds >= MIN_TIME_FOR_PAGE

    @cached_property
    def about_text(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Metadata of the text for the run folder, and the hashes of its splits."""
        more = data_provenance(self.autopilot.recipe, self.autopilot.data)
        return more, self.text.splits.hashes()

    @property
    def _judged_by(self) -> str:
        """A phrase for the report if models are judged on a part of dev only; else empty."""
        part, whole = self.autopilot.data.dev.num_targets, self.text.data.dev.num_targets
        return "" if part == whole else f"judged by the first {part:,} of {whole:,} tokens of dev"

    def rehearse(self, first: Ensemble) -> None:
        """Write a run to a temporary folder to measure the time; then a page, in the background."""
        pace, folder = self.autopilot.pace, self.new.path / "rehearsal"
        _ = self.about_text  # Cached now, so that it takes no time at the end.
        began = time.monotonic()
        try:
            folder.mkdir()
            result = self._fill(folder, first)
            pace.measured("saving", time.monotonic() - began)
            began = time.monotonic()
            save_model(folder / "probe.safetensors", {"weights": PROBED}, {})
            pace.measured("writing", time.monotonic() - began, PROBED.nbytes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if self.writes_page:
            self.autopilot.in_background(lambda: self._rehearse_page(result))

    def _rehearse_page(self, result: Best) -> None:
        """Write a page to a temporary folder, twice, since the first time also imports modules.

        The processor time of this thread is measured, since other threads are busy meanwhile.
        """
        for _ in range(2):
            began = time.thread_time()
            with TemporaryDirectory() as folder:
                self._page(replace(result, folder=Path(folder)), [])
            self.autopilot.pace.measured("page", time.thread_time() - began)

    def write(self, best: Ensemble) -> Best:
        """Write the run folder of the final ensemble, whole or not at all."""
        self._best = best
        results: list[Best] = []
        self.new.fill(lambda folder: results.append(self._fill(folder, best)))
        return results[-1]

    def write_page(self, done: Best) -> None:
        """Write the page beside the run, if there is time; ``thence report`` shows the same."""
        budget, pace = self.autopilot.budget, self.autopilot.pace
        in_time = pace.rates.get("page", math.inf) <= budget.left()
        if self.writes_page and (budget.counts_steps or in_time):
            self._page(done, self._samples())

    def _page(self, done: Best, samples: Sequence[str]) -> None:
        if self.page is not None:
            self.page(done, samples)

    def _samples(self) -> list[str]:
        """Return texts sampled from the final language model, as many as there is time for."""
        budget, tokenizer, best = self.autopilot.budget, self.autopilot.data.tokenizer, self._best
        left = min(budget.left() - self.autopilot.pace.expected("page"), MAX_TIME_FOR_SAMPLES)
        drawn: list[str] = []
        if best.accuracy is not None or left < MIN_TIME_FOR_SAMPLES:
            return drawn
        from thence.generation.sampling import draw
        from thence.generation.sampling_filters import DecodingOptions

        none, carries = np.zeros(0, np.int64), any(one.carry_context for one in best.members)
        with suppress(DeadlineError), deadline(time.monotonic() + left):
            for seed in range(SAMPLES):
                (ids,) = draw(best.model, none, 1, MAX_SAMPLE, DecodingOptions(), seed, carries)
                drawn.append(tokenizer.decode(ids[ids != tokenizer.vocabulary.boundary_id]))
        return drawn

    def _interval(self, run: Run, best: Ensemble) -> tuple[float, float] | None:
        """Return the 95 % interval on dev; None if the budget is too short or it is unbounded."""
        if self.autopilot.budget.seconds < MIN_TIME_FOR_PAGE:
            return None
        if best.accuracy is not None:
            from thence.evaluation.intervals import wilson_interval

            number = len(best.members[0].scores)
            return wilson_interval(best.accuracy * number, number)
        from thence.evaluation.data import EvaluationData
        from thence.evaluation.language import loss_interval

        dev = self.autopilot.data.dev
        if best.held_out is None or len(best.held_out) > dev.num_targets:
            return None
        dev = dev.beginning(len(best.held_out))
        if dev.num_targets != len(best.held_out):
            return None
        found = loss_interval(dev, -best.held_out, EvaluationData(split="dev").is_in_order(run))
        return found if math.isfinite(found[0]) else None

    def _fill(self, folder: Path, best: Ensemble) -> Best:
        """Write the run and the result into a folder; return the result."""
        autopilot, strategy = self.autopilot, self.strategy
        if len(best.members) == 1 and get_family(best.family).method != "fit":
            # A run of a network promises that its training can be resumed; a mixture does not.
            best = strategy.as_combined(best)
        base, data = autopilot.recipe, autopilot.data
        carries = any(one.carry_context for one in best.members)
        recipe = replace(
            resolve_paths(base, self.sources.replacements),
            model=best.family,
            options=best.options,
            training=replace(base.training, carry_context=carries),
        )
        losses = {f"dev_nats_per_{strategy.unit}": best.nats}
        if best.accuracy is not None:
            losses["dev_accuracy"] = best.accuracy
        more, hashes = self.about_text
        line = fitted_metrics(data.train.num_targets, losses, autopilot.budget.began)
        run = create_run(folder, recipe, data.tokenizer, hashes, self.sources, more)
        save_fitted(run, FittedModel(best.model.tensors(), line), **losses)
        result = replace(self._result(best), interval=self._interval(run, best))
        replace(result, folder=folder).save()
        return result

    def _result(self, best: Ensemble) -> Best:
        autopilot, strategy = self.autopilot, self.strategy
        tried = autopilot.tried or [autopilot.tried_of(best.members[0], 0.0, best)]
        weights = {one.name: w for one, w in zip(best.members, best.weights, strict=True)}
        budget, data = autopilot.budget, autopilot.data
        unknown = 0.0
        if strategy.unit == "token" and data.dev.num_targets:
            unknown = float(data.tokenizer.vocabulary.are_unknown(data.dev.targets).mean())
        return Best(
            folder=self.new.target,
            unit=strategy.unit,
            text="; ".join(filter(None, (strategy.description, self.text.remark, self._judged_by))),
            limit=None if budget.counts_steps else budget.seconds,
            steps=budget.steps,
            seconds=budget.spent(),
            interrupted=autopilot.stop_event.is_set(),
            nats=best.nats,
            accuracy=best.accuracy,
            refit=best.refit,
            failed=tuple(autopilot.failed),
            spent=() if budget.counts_steps else tuple(autopilot.pace.totals.items()),
            tried=tuple(replace(one, weight=weights.get(one.name)) for one in tried),
            unknown_share=unknown,
        )
