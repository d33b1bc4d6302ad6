"""The places Train and Runs in a browser: curves that grow, replays, grids and comparisons."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.locks import locked
from thence.runs.metrics import append_json_line
from thence.serve import open_runs

from .conftest import wait_for

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is missing"),
]
PHONE = {"width": 390, "height": 844}


def expect(thing: Any) -> Any:
    return sync_api.expect(thing)


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_curves_grow_and_runs_of_other_texts_have_their_own_axis(visit, runs_folder):
    live = runs_folder / "live"
    shutil.copytree(runs_folder / "names", live)
    try:
        (live / "last" / "checkpoint.safetensors").unlink()
        with locked(live):
            page = visit("train", r=["live", "names", "opinions"])
            line = page.locator('.series[data-name="live, dev"]')
            expect(line).to_have_count(1)
            before = int(line.get_attribute("data-points"))
            expect(page.locator(".run-words .tag.live")).to_have_text("in training")
            expect(
                page.get_by_role("region").or_(page.locator(".samples li")).first
            ).to_be_visible()
            look = thence.Run(live).metrics()[-1]
            append_json_line(live / "metrics.jsonl", look | {"step": look["step"] + 10})
            expect(line).to_have_attribute("data-points", str(before + 1))
        expect(page.locator(".run-words")).to_contain_text(["live ended at step 130", ""])
        panels = page.locator(".curves")
        expect(panels).to_have_count(2)  # Losses of names and of labels never share an axis.
        assert panels.nth(1).locator('.series[data-name^="opinions"]').count() > 0
        names = panels.first
        expect(names.locator('.baseline[data-name="bigram"]')).to_have_count(1)
        chart = names.locator(".chart").first
        chart.focus()
        page.keyboard.press("End")
        expect(names.locator(".readout").first).to_contain_text("step 130")
        page.keyboard.press("+")
        expect(names.get_by_role("button", name="Show all")).to_be_visible()
        page.keyboard.press("0")
        expect(names.get_by_role("button", name="Show all")).to_be_hidden()
        page.locator("summary").click()
        page.get_by_label("Smoothing of train").fill("0.8")
        expect(page.locator('.series.raw[data-name^="names"]')).to_have_count(1)
        page.get_by_label("Horizontal scale").select_option("log")
        page.get_by_label("Vertical axis", exact=True).select_option("accuracy")
        expect(panels.nth(1).locator('.series[data-name="opinions"]').first).to_be_attached()
        page.set_viewport_size(PHONE)
        assert fits(page)
    finally:
        shutil.rmtree(live)


def test_one_slider_moves_all_of_a_replay(visit, server):
    page = visit("train", r="names", text="Maria")
    found = server.ask("/playground/replay?run=names")
    slider = page.get_by_role("slider", name="Snapshot")
    samples = page.locator(".replay-samples li")
    expect(samples.first).to_have_text(found["samples"][-1][0])
    tokens = page.locator(".replay-tokens .token")
    expect(tokens).to_have_count(6)
    expect(page.locator("canvas.units")).to_have_attribute(
        "aria-label", "layer 1: 16 units over 5 tokens"
    )
    glider = page.locator('.glider[data-token="M"]')
    before = (tokens.first.get_attribute("title"), glider.get_attribute("style"))
    marker = page.locator(".cursor line").first
    at = float(marker.get_attribute("x1"))
    slider.focus()
    page.keyboard.press("Home")
    expect(samples.first).to_have_text(found["samples"][0][0])
    assert (tokens.first.get_attribute("title"), glider.get_attribute("style")) != before
    assert float(marker.get_attribute("x1")) < at
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"step 0 of 120, train \d"))
    page.get_by_role("button", name="Play").click()
    wait_for(page, lambda: slider.input_value() != "0")
    page.get_by_role("button", name=re.compile("Pause|Play")).click()  # It may be at the end.
    page.get_by_label("Text to read").fill("Ötto 😀 مرحبا")
    expect(tokens).to_have_count(13)
    page.set_viewport_size(PHONE)
    assert fits(page)


def test_runs_are_found_sorted_chosen_and_compared(visit, server, runs_folder):
    page = visit("runs")
    table = page.locator("table.runs", has=page.locator('tr[data-run="counts"]'))
    rows = table.locator("tbody tr")
    expect(rows.first).to_be_visible()
    shown = [row.get_attribute("data-run") for row in rows.all()]
    assert {"names", "counts"} <= set(shown) and "sentences" not in shown  # Of another text.
    expect(page.locator('[data-run="damaged"]')).to_contain_text("unusable config")
    expect(table.locator("td", has_text=re.compile("^…$"))).to_have_count(0)  # All are counted.
    table.get_by_role("button", name="Parameters").click()
    header = table.get_by_role("columnheader", name="Parameters")
    expect(header).to_have_attribute("aria-sort", "ascending")
    counted = [thence.Run(runs_folder / name).num_parameters for name in shown]
    title = rows.last.locator('[data-title="Parameters"] span').get_attribute("title")
    assert title == f"{max(counted):,}"
    page.get_by_label("Find runs").fill("onerror")
    expect(page.locator("tr[data-run]")).to_have_count(1)
    assert page.evaluate("document.querySelectorAll('main img').length") == 0
    page.get_by_label("Find runs").fill("")
    for name in ("names", "counts"):
        page.get_by_role("checkbox", name=f"Choose {name}", exact=True).check()
    page.get_by_role("button", name="Compare").click()
    answer = server.ask("/playground/compare", {"runs": ["names", "counts"]})
    best = ["names", "counts"][answer["runs"][0]["place"]]
    expect(page.locator(".differences tbody tr").first).to_contain_text(best)
    expect(page.locator(".scatter .dot")).to_have_count(2)
    expect(page.locator(".samples li")).to_have_count(16)
    page.set_viewport_size(PHONE)
    assert fits(page)
    document = page.locator(".apart .document").first.inner_text()
    page.locator(".apart").get_by_role("button", name="Look").first.click()
    expect(page.get_by_role("tab", name="Look")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("textbox", name="Text", exact=True)).to_have_value(document)
    page.go_back()
    expect(page.get_by_role("heading", name="2 runs compared")).to_be_visible()
    page.get_by_role("button", name="All runs").click()
    expect(rows.first).to_be_visible()
    page.get_by_role("button", name="Look at opinions").click()
    expect(page.get_by_role("heading", name="Labels")).to_be_visible()


def test_what_became_of_a_served_run_is_said(visit, runs_folder, tmp_path, start_server):
    for name in ("names", "counts"):
        shutil.copytree(runs_folder / name, tmp_path / name)
    models = open_runs([tmp_path / "names", tmp_path / "counts"])
    with start_server(models, folders=[tmp_path]) as started:
        page = visit("runs", address=started.address)
        expect(page.locator('tr[data-run="names"]')).to_be_visible()
        shutil.rmtree(tmp_path / "names")
        shutil.copy(runs_folder / "closed" / "config.toml", tmp_path / "counts" / "config.toml")
        expect(page.locator('tr[data-run="names"]')).to_contain_text("still answers from memory")
        expect(page.locator('tr[data-run="counts"]')).to_contain_text("the old weights")
        page.goto(f"{started.address}/#tab=train&r=names")
        page.reload()
        expect(page.locator(".chip", has_text="names")).to_contain_text("deleted")


def test_a_report_opens_from_the_grid(visit, runs_folder: Path):
    (runs_folder / "counts" / "report.html").write_text("<title>of counts</title>")
    page = visit("runs")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report of counts", exact=True).click()
    expect(opened.value).to_have_title("of counts")
    opened.value.close()
