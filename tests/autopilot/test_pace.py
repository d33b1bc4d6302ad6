"""What was measured, and how long to keep for more of it."""

import pytest

from thence.autopilot.pace import SAFETY, Pace


def test_more_of_the_same_is_expected_to_take_as_long_for_each_and_a_little_more() -> None:
    pace = Pace()
    assert pace.expected("writing", 100) == 0
    pace.measured("writing", 2.0, 10)
    assert pace.expected("writing", 100) == pytest.approx(SAFETY * 20)


def test_the_newest_counts_unless_more_was_measured_before() -> None:
    pace = Pace()
    pace.measured("learning", 1.0, 10)
    pace.measured("learning", 1.0, 1)
    assert pace.rates["learning"] == 0.1
    pace.measured("learning", 5.0, 10)
    assert pace.rates["learning"] == 0.5


def test_what_it_takes_to_begin_is_told_from_what_each_takes() -> None:
    pace = Pace()
    pace.measured("judging", 1.0, 100)
    pace.measured("judging", 1.9, 200)  # 0.9 for a hundred more: 0.009 each, and 0.1 to begin.
    assert pace.expected("judging", 1000) == pytest.approx(SAFETY * (0.1 + 9))
    pace.measured("judging", 1.9, 2000)  # No time for 1800 more is not to be believed:
    share = 0.3 * 1.9 / 2000  # three tenths of the mean are.
    assert pace.expected("judging", 4000) == pytest.approx(SAFETY * (1.9 + 2000 * share))


def test_the_time_of_each_work_adds_up() -> None:
    pace = Pace()
    for _ in range(2):
        with pace.timed("training"):
            pass
    assert pace.totals.keys() == {"training"} and 0 <= pace.totals["training"] < 1
