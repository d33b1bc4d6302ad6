"""Pages of ``thence export --to html`` in Chromium: size, how soon they are there, and a keystroke.

    python benchmarks/one_file.py RUN=TEXT...

Each run is exported and its page opened as a file, in a window of its own each time. ``TEXT`` is
what is typed, the last character of which is timed: until the bars, or the words of an explanation,
are drawn.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Results
from playwright.sync_api import Browser, sync_playwright

import thence

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
READY = "performance.now()"
KEYSTROKE = """async (text) => {
    await thence.change(text.slice(0, -1));
    const began = performance.now();
    await thence.change(text);
    return performance.now() - began;
}"""


@contextmanager
def opened(browser: Browser, path: Path) -> Iterator[Any]:
    """Open a page in a window of its own, until the model answers."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("section")
    yield page
    context.close()


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN=TEXT")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    results = Results("one_file", "python benchmarks/one_file.py RUN=TEXT...", ("playwright",))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for named in given.runs:
            name, _, text = named.partition("=")
            run = thence.open_run(name)
            path = thence.export(run, Path(folder, f"{run.name}.html"))
            times: dict[str, list[float]] = {"first paint": [], "answers": [], "a keystroke": []}
            for _ in range(given.rounds):
                with opened(browser, path) as page:
                    times["answers"].append(page.evaluate(READY))
                    times["first paint"].append(page.evaluate(FIRST_PAINT))
                    times["a keystroke"].append(page.evaluate(KEYSTROKE, text))
            size = path.stat().st_size / 1000
            about = f"{run.name}: {run.recipe.model}, {run.num_parameters:,} numbers"
            results.add(run.name, about, times, "ms", note=f"{size:,.0f} kB")


if __name__ == "__main__":
    main()
