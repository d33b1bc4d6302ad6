"""The order of candidates, their shares of steps and time, and the end, with made-up models."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest

from thence.autopilot.autopilot import (
    Autopilot,
    _newest_comparable,
    _Training,
    _worth_another_seed,
)
from thence.autopilot.budget import Budget
from thence.autopilot.candidates import Ensemble, ScheduledCandidate, TrainedCandidate, single
from thence.autopilot.pace import SAFETY
from thence.autopilot.result import Tried
from thence.autopilot.training import StoppingListener, TrainingEnded
from thence.deadline import DeadlineError, check_deadline
from thence.errors import TrainingError
from thence.models.language.cache import CacheOptions
from thence.signals import Interrupted, StopEvent
from thence.training.callbacks import SilentProgress, silent_progress


def candidate(name: str, nats: float, accuracy: float | None = None) -> TrainedCandidate:
    return TrainedCandidate(name, "fake", CacheOptions(1), None, np.zeros(1), nats, accuracy)


@dataclass
class Fake:
    """A strategy whose models are as good as given."""

    counted: Sequence[TrainedCandidate] = ()
    candidates: Sequence[ScheduledCandidate] = ()
    trained: Sequence[TrainedCandidate | None] = ()
    blended: Sequence[float] = ()
    asked: list[tuple[str, float | None, int | None]] = field(default_factory=list)
    allowed: list[float] = field(default_factory=list)
    after: Any = None
    at_once: TrainedCandidate | None = None
    unit = "token"
    tolerance = 0.005
    description = ""

    def first(self) -> TrainedCandidate | None:
        return self.at_once

    def count(self) -> Iterator[TrainedCandidate]:
        return iter(self.counted)

    def schedule(self, seconds: float) -> tuple[ScheduledCandidate, ...]:
        return tuple(self.candidates)

    def combining_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        return 0.0

    def train(
        self, chosen: ScheduledCandidate, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        self.asked.append((chosen.family, seconds, steps))
        if self.after is not None:
            self.after()
        made = self.trained[len(self.asked) - 1]
        return [] if made is None else [made]

    def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
        self.allowed.append(ends - time.monotonic())
        best = single(min(members, key=lambda one: one.nats))
        if not self.blended:
            return best
        nats = self.blended[min(len(self.allowed), len(self.blended)) - 1]
        weights = (1 / len(members),) * len(members)
        return Ensemble(tuple(members), weights, "mixture", None, None, nats, judged=1)

    def finish(self, best: Ensemble) -> Ensemble:
        return best

    def as_combined(self, one: Ensemble) -> Ensemble:
        return one


def autopilot_for(
    seconds: float = math.inf,
    steps: int | None = None,
    watch: Any = None,
    stop_event: StopEvent | None = None,
) -> Autopilot:
    budget = Budget(seconds, steps, time.monotonic())
    nothing = cast(Any, None)
    return Autopilot(nothing, nothing, budget, stop_event or StopEvent(), silent_progress, watch)


CANDIDATES = (
    ScheduledCandidate("small", 0.1),
    ScheduledCandidate("middle", 0.3),
    ScheduledCandidate("large", 0.6),
)
TRAINED = (candidate("small", 3.0), candidate("middle", 2.5), candidate("large", 2.0))


def test_steps_are_shared_as_the_schedule_says_and_none_is_lost() -> None:
    strategy = Fake(candidates=CANDIDATES, trained=TRAINED)
    made = autopilot_for(steps=1000).run(strategy)
    assert strategy.asked == [("small", None, 100), ("middle", None, 300), ("large", None, 600)]
    assert made.members == (TRAINED[2],)
    assert set(strategy.allowed) == {math.inf}


def test_a_single_step_is_still_a_training_of_one_step() -> None:
    strategy = Fake(candidates=CANDIDATES, trained=TRAINED)
    autopilot_for(steps=1).run(strategy)
    assert all(steps is not None and steps >= 1 for _, _, steps in strategy.asked)


def test_time_is_shared_and_what_one_leaves_goes_to_the_next() -> None:
    strategy = Fake(candidates=CANDIDATES, trained=TRAINED)
    autopilot_for(seconds=1000.0).run(strategy)
    first, second, third = (cast(float, seconds) for _, seconds, _ in strategy.asked)
    # Nothing takes any time here, so all is left each time: less what writing takes.
    assert first == pytest.approx(0.1 * third, rel=0.01)
    assert second == pytest.approx(third / 3, rel=0.01)
    assert 900 < third < 1000
    assert all(0 <= seconds < 1000 for seconds in strategy.allowed)


def test_counted_models_are_combined_once_pytorch_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    class Noting(Fake):
        def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
            done.append("combined")
            return super().combine(members, ends)

    def load() -> None:
        time.sleep(0.1)
        done.append("imported")

    monkeypatch.setattr("thence.autopilot.autopilot._load_torch", load)
    network = ScheduledCandidate("network", 1.0, trains=True)
    strategy = Noting(counted=TRAINED[:1], candidates=(network,), trained=(None,))
    autopilot_for(seconds=100.0).run(strategy)
    assert done[:2] == ["imported", "combined"]


def test_what_was_judged_on_less_of_dev_is_not_shown_as_combined_so_far() -> None:
    whole = replace(single(candidate("whole", 2.0)), judged=100)
    beginning, later = replace(whole, nats=1.0, judged=50), replace(whole, nats=1.9)
    assert _newest_comparable(None, beginning) is beginning
    assert _newest_comparable(whole, beginning) is whole
    assert _newest_comparable(whole, later) is later


def test_time_that_is_left_goes_to_other_seeds_the_best_first() -> None:
    took, clock = {"small": 20.0, "large": 30.0}, [0.0]

    class Slow(Fake):
        def train(
            self, chosen: ScheduledCandidate, seconds: float | None, steps: int | None
        ) -> list[TrainedCandidate]:
            clock[0] += took[chosen.family]
            seeds.append((chosen.family, chosen.seed))
            return [candidate(chosen.family, {"small": 3.0, "large": 2.0}[chosen.family])]

    seeds: list[tuple[str, int]] = []
    scheduled = [ScheduledCandidate(name, 0.5, trains=True) for name in took]
    autopilot = autopilot_for(seconds=130.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thence.autopilot.autopilot.Thread", NoThread)
        patch.setattr("time.monotonic", lambda: autopilot.budget.began + clock[0])
        autopilot.run(Slow(candidates=scheduled))
    # After 20 + 30 seconds 80 are left: for 30 and 20 again, then for 30 once more.
    assert seeds == [("small", 0), ("large", 0), ("large", 1), ("small", 1), ("large", 2)]


def test_a_network_is_trained_again_with_a_little_less_time_too() -> None:
    trained = [_Training(ScheduledCandidate("gru", 1.0, trains=True), 20.0, 2.0)]
    again = _worth_another_seed(trained, 14.1)  # 0.7 of 20 seconds are 14.
    assert again is not None and again.seed == 1
    assert _worth_another_seed(trained, 13.9) is None


class NoThread:
    """Loads nothing."""

    def __init__(self, target: Any, daemon: bool) -> None:
        pass

    def start(self) -> None:
        pass

    def join(self, timeout: float) -> None:
        pass

    def is_alive(self) -> bool:
        return False


def test_what_a_part_gave_is_the_result_if_there_is_time_for_nothing_else() -> None:
    first = candidate("of a part", 3.0)
    for counted, expected in [([], "of a part"), ([candidate("all", 2.0)], "all")]:
        strategy = Fake(counted, CANDIDATES, (None, None, None), at_once=first)
        made = autopilot_for(seconds=100.0).run(strategy)
        assert [one.name for one in made.members] == [expected]


def test_a_first_result_is_written_to_see_how_long_that_takes() -> None:
    autopilot = autopilot_for(seconds=100.0)
    autopilot.rehearse = lambda first: autopilot.pace.measured("saving", 4.0)
    before = autopilot.left()
    autopilot.run(Fake([candidate("all", 2.0)], at_once=candidate("of a part", 3.0)))
    assert autopilot.left() == pytest.approx(before - SAFETY * 4, abs=1)


def test_a_combination_that_is_late_leaves_what_was_before() -> None:
    class Late(Fake):
        def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
            raise DeadlineError

    made = autopilot_for(seconds=10.0).run(Late([candidate("a", 3.0), candidate("b", 2.0)]))
    assert [one.name for one in made.members] == ["b"]


def test_who_is_past_the_deadline_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Fake):
        def train(
            self, chosen: ScheduledCandidate, seconds: float | None, steps: int | None
        ) -> list[TrainedCandidate]:
            clock[0] += 20.0
            check_deadline()
            return super().train(chosen, seconds, steps)

    autopilot, clock = autopilot_for(seconds=10.0), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: autopilot.budget.began + clock[0])
    made = autopilot.run(Late([candidate("counts", 3.0)], CANDIDATES[:1], TRAINED[:1]))
    assert made.members[0].name == "counts"
    assert autopilot.failed == ["small: its time was up before it was of use"]


def test_a_network_that_had_too_little_time_is_left_out() -> None:
    strategy = Fake(candidates=CANDIDATES, trained=(TRAINED[0], None, None))
    autopilot = autopilot_for(steps=1000)
    made = autopilot.run(strategy)
    assert made.members == (TRAINED[0],) and [one.name for one in autopilot.tried] == ["small"]


def test_broken_off_before_anything_is_said() -> None:
    stop_event = StopEvent()
    stop_event.set()
    with pytest.raises(Interrupted, match="nothing was written"):
        autopilot_for(steps=10, stop_event=stop_event).run(
            Fake(candidates=CANDIDATES, trained=TRAINED)
        )


def test_too_little_time_for_anything_is_said() -> None:
    strategy = Fake(candidates=CANDIDATES, trained=(None, None, None))
    with pytest.raises(TrainingError, match="longer `time`"):
        autopilot_for(seconds=10.0).run(strategy)


def test_broken_off_after_something_gives_that() -> None:
    stop_event = StopEvent()
    strategy = Fake([candidate("counts", 4.0)], CANDIDATES, TRAINED, after=stop_event.set)
    made = autopilot_for(steps=10, stop_event=stop_event).run(strategy)
    assert len(strategy.asked) == 1 and made.members == (TRAINED[0],)


def test_counts_alone_are_mixed_where_no_network_is_worth_it() -> None:
    strategy = Fake([candidate("a", 3.0), candidate("b", 2.0)], blended=[1.5])
    autopilot = autopilot_for(seconds=100.0)
    assert autopilot.run(strategy).nats == 1.5
    assert autopilot.tried[-1].so_far == 1.5


def test_a_ensemble_combined_in_a_hurry_does_not_take_the_place_of_a_better_one() -> None:
    strategy = Fake([candidate("a", 3.0)], CANDIDATES[:1], TRAINED[:1], blended=[1.0, 2.0, 2.0])
    assert autopilot_for(steps=10).run(strategy).nats == 1.0


def test_of_classifiers_the_likelier_comes_first() -> None:
    sure, right = candidate("sure", 0.5, 0.7), candidate("right", 0.9, 0.8)
    autopilot = autopilot_for(steps=10)
    autopilot.run(Fake([right, sure]))
    assert [one.accuracy_so_far for one in autopilot.tried] == [0.8, 0.7]


def test_a_watcher_hears_of_each_model_once_with_its_place_in_time() -> None:
    heard: list[Tried] = []
    autopilot = autopilot_for(steps=1000, watch=heard.append)
    autopilot.run(Fake([candidate("counts", 4.0)], CANDIDATES, TRAINED))
    assert [one.name for one in heard] == ["counts", "small", "middle", "large"]
    assert [one.so_far for one in heard] == [4.0, 3.0, 2.5, 2.0]
    times = [time for one in heard for time in (one.began, one.ended)]
    assert times == sorted(times) and times[0] >= 0


def test_names_that_are_taken_get_a_number() -> None:
    autopilot = autopilot_for(steps=10)
    autopilot.run(Fake([candidate("a", 1.0)]))
    assert autopilot.unused_name("a") == "a (2)" and autopilot.unused_name("b") == "b"


def test_a_stop_ends_a_training_at_the_next_step() -> None:
    stop_event = StopEvent()
    listener = StoppingListener(SilentProgress(), stop_event)
    listener.on_step(1, 10.0, 0.1)
    listener.on_evaluation({})
    stop_event.set()
    with pytest.raises(TrainingEnded):
        listener.on_step(2, 20.0, 0.2)


def test_a_network_that_fails_is_left_out_and_the_reason_told() -> None:
    class Failing(Fake):
        def train(
            self, chosen: ScheduledCandidate, seconds: float | None, steps: int | None
        ) -> list[TrainedCandidate]:
            raise TrainingError("The training loss is nan.")

    autopilot = autopilot_for(steps=10)
    made = autopilot.run(Failing([candidate("counts", 3.0)], CANDIDATES[:1], TRAINED[:1]))
    assert made.members[0].name == "counts"
    assert autopilot.failed == [f"{CANDIDATES[0].family}: The training loss is nan."]
