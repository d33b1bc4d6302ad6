"""The order of a search, its shares of steps and time, and its end, with made-up models."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from thence.autopilot.clock import Budget
from thence.autopilot.parts import Blend, Part, Rung, alone
from thence.autopilot.result import Tried
from thence.autopilot.search import Enough, Search, UntilEnough
from thence.errors import TrainingError
from thence.signals import StopEvent
from thence.training.interrupts import Interrupted
from thence.training.progress import SilentProgress, silent_progress


def part(name: str, nats: float, accuracy: float | None = None) -> Part:
    return Part(name, "fake", {"size": 1}, None, cast(Any, None), nats, accuracy)


@dataclass
class Fake:
    """A road whose models are as good as they are told to be."""

    counted: Sequence[Part] = ()
    ladder: Sequence[Rung] = ()
    trained: Sequence[Part | None] = ()
    blended: Sequence[float] = ()
    asked: list[tuple[str, float | None, int | None]] = field(default_factory=list)
    allowed: list[float] = field(default_factory=list)
    after: Any = None
    mixed = "mixture"

    def at_once(self) -> Iterator[Part]:
        return iter(self.counted)

    def rungs(self, seconds: float) -> tuple[Rung, ...]:
        return tuple(self.ladder)

    def ending(self, parts: Sequence[Part]) -> float:
        return 0.0

    def train(self, rung: Rung, seconds: float | None, steps: int | None) -> list[Part]:
        self.asked.append((rung.model, seconds, steps))
        if self.after is not None:
            self.after()
        made = self.trained[len(self.asked) - 1]
        return [] if made is None else [made]

    def blend(self, parts: Sequence[Part], seconds: float = math.inf) -> Blend:
        self.allowed.append(seconds)
        single = alone(min(parts, key=lambda one: one.nats))
        if not self.blended:
            return single
        nats = self.blended[min(len(self.allowed), len(self.blended)) - 1]
        return Blend(tuple(parts), (1 / len(parts),) * len(parts), None, "options", nats)

    def described(self) -> str:
        return ""

    def about(self) -> dict[str, Any]:
        return {}

    def losses(self, made: Blend) -> dict[str, float]:
        return {}

    def options(self, part: Part) -> object:
        return None


def search_for(
    seconds: float = math.inf,
    steps: int | None = None,
    watch: Any = None,
    wish: StopEvent | None = None,
) -> Search:
    budget = Budget(seconds, steps, time.monotonic())
    nothing = cast(Any, None)
    return Search(nothing, nothing, budget, wish or StopEvent(), silent_progress, watch)


RUNGS = (Rung("small", 0.1), Rung("middle", 0.3), Rung("large", 0.6))
PARTS = (part("small", 3.0), part("middle", 2.5), part("large", 2.0))


def test_steps_are_shared_as_the_ladder_says_and_none_is_lost() -> None:
    road = Fake(ladder=RUNGS, trained=PARTS)
    made = search_for(steps=1000).follow(road)
    assert road.asked == [("small", None, 100), ("middle", None, 300), ("large", None, 600)]
    assert made.parts == (PARTS[2],)
    assert set(road.allowed) == {math.inf}


def test_a_single_step_is_still_a_training_of_one_step() -> None:
    road = Fake(ladder=RUNGS, trained=PARTS)
    search_for(steps=1).follow(road)
    assert all(steps is not None and steps >= 1 for _, _, steps in road.asked)


def test_time_is_shared_and_what_one_leaves_goes_to_the_next() -> None:
    road = Fake(ladder=RUNGS, trained=PARTS)
    search_for(seconds=1000.0).follow(road)
    first, second, third = (cast(float, seconds) for _, seconds, _ in road.asked)
    # Nothing takes any time here, so all is left each time: less what writing takes.
    assert first == pytest.approx(0.1 * third, rel=0.01)
    assert second == pytest.approx(third / 3, rel=0.01)
    assert 900 < third < 1000
    assert all(0 <= seconds < 1000 for seconds in road.allowed)


def test_a_network_that_had_too_little_time_is_left_out() -> None:
    road = Fake(ladder=RUNGS, trained=(PARTS[0], None, None))
    search = search_for(steps=1000)
    made = search.follow(road)
    assert made.parts == (PARTS[0],) and [one.name for one in search.tried] == ["small"]


def test_broken_off_before_anything_is_said() -> None:
    wish = StopEvent()
    wish.set()
    with pytest.raises(Interrupted, match="nothing was written"):
        search_for(steps=10, wish=wish).follow(Fake(ladder=RUNGS, trained=PARTS))


def test_too_little_time_for_anything_is_said() -> None:
    road = Fake(ladder=RUNGS, trained=(None, None, None))
    with pytest.raises(TrainingError, match="longer --time"):
        search_for(seconds=10.0).follow(road)


def test_broken_off_after_something_gives_that() -> None:
    wish = StopEvent()
    road = Fake([part("counts", 4.0)], RUNGS, PARTS, after=wish.set)
    made = search_for(steps=10, wish=wish).follow(road)
    assert len(road.asked) == 1 and made.parts == (PARTS[0],)


def test_counts_alone_are_mixed_where_no_network_is_worth_it() -> None:
    road = Fake([part("a", 3.0), part("b", 2.0)], blended=[1.5])
    search = search_for(seconds=100.0)
    assert search.follow(road).nats == 1.5
    assert search.tried[-1].so_far == 1.5


def test_a_blend_made_in_a_hurry_does_not_take_the_place_of_a_better_one() -> None:
    road = Fake([part("a", 3.0)], RUNGS[:1], PARTS[:1], blended=[1.0, 2.0, 2.0])
    assert search_for(steps=10).follow(road).nats == 1.0


def test_of_classifiers_the_likelier_comes_first() -> None:
    sure, right = part("sure", 0.5, 0.7), part("right", 0.9, 0.8)
    search = search_for(steps=10)
    search.follow(Fake([right, sure]))
    assert [one.accuracy_so_far for one in search.tried] == [0.8, 0.7]


def test_a_watcher_hears_of_each_model_once_with_its_place_in_time() -> None:
    heard: list[Tried] = []
    search = search_for(steps=1000, watch=heard.append)
    search.follow(Fake([part("counts", 4.0)], RUNGS, PARTS))
    assert [one.name for one in heard] == ["counts", "small", "middle", "large"]
    assert [one.so_far for one in heard] == [4.0, 3.0, 2.5, 2.0]
    times = [time for one in heard for time in (one.began, one.ended)]
    assert times == sorted(times) and times[0] >= 0


def test_names_that_are_taken_get_a_number() -> None:
    search = search_for(steps=10)
    search.follow(Fake([part("a", 1.0)]))
    assert search.name_for("a") == "a (2)" and search.name_for("b") == "b"


def test_a_wish_ends_a_training_at_the_next_step() -> None:
    wish = StopEvent()
    listener = UntilEnough(SilentProgress(), wish)
    listener.on_step(1, 10.0, 0.1)
    listener.on_evaluation({})
    wish.set()
    with pytest.raises(Enough):
        listener.on_step(2, 20.0, 0.2)


def test_a_network_that_fails_is_left_out_and_the_reason_told() -> None:
    class Failing(Fake):
        def train(self, rung: Rung, seconds: float | None, steps: int | None) -> list[Part]:
            raise TrainingError("The training loss is nan.")

    search = search_for(steps=10)
    made = search.follow(Failing([part("counts", 3.0)], RUNGS[:1], PARTS[:1]))
    assert made.parts[0].name == "counts"
    assert search.failed == [f"{RUNGS[0].model}: The training loss is nan."]
