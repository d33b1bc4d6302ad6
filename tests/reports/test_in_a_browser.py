"""Reports in Chromium without a script: what axe finds, no overflow, texts that open by key."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.reports import report

pytestmark = pytest.mark.slow
FIRST = ("emma", "ava", "mia", "lea", "joan", "ليلى", "さくら", "<b>&")
NAMES = [first + last for first in FIRST for last in ("", "a", "na", "el", "o")] * 3
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of counts, a network with gates and a mixture, and of all three together."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    small: Any = {"embedding_size": 4, "hidden_size": 8, "steps": 6, "batch_size": 16}
    shared: Any = {"split": "50/50/0"}
    names = folder / "names.txt"
    runs = [
        thence.train(names, "ngram", output=folder / "counts", order=3, **shared),
        thence.train(names, "lstm", output=folder / "lstm", **small, **shared),
    ]
    runs.append(thence.mix(runs, folder / "mixed"))
    found = {run.name: report(run) for run in runs}
    return {**found, "all": report(runs, folder / "comparison.html")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium")
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize("name", ["counts", "lstm", "mixed", "all"])
def test_axe_finds_nothing_in_the_dark_on_a_telephone(
    name: str, pages: dict[str, Path], chromium: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = chromium.new_page(viewport=PHONE, color_scheme="dark", bypass_csp=True)
    page.goto(pages[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.close()


def test_a_text_opens_by_key_without_a_script(pages: dict[str, Path], chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["lstm"].as_uri())
    text = page.locator("details:has(ruby)").first
    assert not text.locator("rt").first.is_visible()
    text.locator("summary").press("Enter")
    notes = text.locator("rt")
    notes.first.wait_for(state="visible")
    assert float(notes.first.inner_text()) > 0
    context.close()


def test_arabic_runs_from_right_to_left(pages: dict[str, Path], chromium: Any) -> None:
    page = chromium.new_page()
    page.goto(pages["counts"].as_uri())
    shown = page.locator("summary:has-text('ليلى')").first
    assert page.evaluate("one => getComputedStyle(one).direction", shown.element_handle()) == "rtl"
    page.close()
