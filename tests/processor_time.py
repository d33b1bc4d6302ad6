"""Says which tests take the most time of a processor: ``pytest --processor-time 30``.

Unlike pytest's ``--durations`` it does not depend on what else the machine does. Processes that a
test starts and waits for count; what a fixture of a module or session takes counts for the first
test that asks for it.
"""

import os
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import pytest

from .processes import ADDRESS


class ProcessorTime:
    """A plugin that measures tests and shows the most expensive ones.

    Args:
        shown: How many lines to show of files, of functions, and of tests.
    """

    def __init__(self, shown: int) -> None:
        self.shown = shown
        self.tests: Counter[str] = Counter()
        self.before = seconds_so_far()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Write into a report what was used since the last one."""
        report = yield
        now = seconds_so_far()
        report.processor_seconds, self.before = now - self.before, now
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up the preparation, the test and the cleaning up."""
        self.tests[report.nodeid] += report.processor_seconds

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the sum, and the most expensive files, functions and tests."""
        self.tests += forked_seconds()
        total = sum(self.tests.values())
        terminalreporter.section(f"{total:.0f} seconds of a processor in {len(self.tests)} tests")
        for what, end in (("file", "::"), ("function", "["), ("test", "\n")):
            sums: Counter[str] = Counter()
            for name, seconds in self.tests.items():
                sums[name.split(end)[0]] += seconds
            terminalreporter.write_line(f"by {what}")
            for name, seconds in sums.most_common(self.shown):
                terminalreporter.write_line(f"{seconds:8.2f}  {name}")


def seconds_so_far() -> float:
    """Return the processor seconds of this process and of those that it has waited for."""
    children = getrusage(RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def forked_seconds() -> Counter[str]:
    """Return what the processes used that the fork server made, for each test."""
    seconds: Counter[str] = Counter()
    path = Path(os.environ[ADDRESS], "seconds")
    for line in path.read_text().splitlines() if path.exists() else []:
        used, _, test = line.partition(" ")
        seconds[test] += float(used)
    return seconds
