"""The place Look in a browser: what a reader does, with the mouse, the keyboard and a telephone.

Its pictures are written to the folder that THENCE_SCREENSHOTS names, or to artifacts/screenshots.
"""

import math
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.serve.page_files import page_file

from .conftest import wait_for

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "src" / "thence" / "serve" / "page"
SCREENSHOTS = Path(os.environ.get("THENCE_SCREENSHOTS") or ROOT / "artifacts" / "screenshots")
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
HOSTILE_SYMBOL = "<script>alert(2)</script>"
PHONE = {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is missing"),
]


def expect(thing: Any) -> Any:
    return sync_api.expect(thing)


def text_field(page: Any) -> Any:
    return page.get_by_role("textbox", name="Text", exact=True)


def read(page: Any, text: str) -> None:
    """Wait until every chosen model has read a text."""
    expect(page.locator("#panel-look")).to_have_attribute("data-read", text)


def cell(page: Any, token: str, column: int = 1) -> Any:
    """The cell of a token, by its name in the table, in the column of a model."""
    return page.locator(f'.inspector tr[data-name="{token}"] td').nth(column - 1)


def press(page: Any, token: str) -> None:
    page.locator(f'.inspector tr[data-name="{token}"] button').click()


def strip(page: Any, model: str) -> Any:
    return page.locator(f'.strip[aria-label="{model}"] .t')


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_bars_strips_and_figures_are_what_the_library_says(visit, runs_folder):
    page = visit(m=["names", "counts"])
    text_field(page).type("Mar")
    read(page, "Mar")
    for column, model in enumerate(("names", "counts"), 1):
        for name, true in thence.next_tokens(runs_folder / model, "Mar", 5).tokens:
            found = cell(page, "■" if name == "<boundary>" else name, column)
            assert float(found.get_attribute("data-probability")) == pytest.approx(true, rel=1e-4)
    assert strip(page, "names").all_inner_texts() == ["M", "a", "r"]
    [scored] = thence.score(runs_folder / "names", "Mar")
    shown = page.locator('.text-figures tr[data-model="names"] td').nth(2).inner_text()
    assert float(shown) == pytest.approx(-scored["log_probability"] / 0.6931472, abs=0.06)
    page.get_by_label("Unit").select_option("nats")
    shown = page.locator('.text-figures tr[data-model="names"] td').nth(2).inner_text()
    assert float(shown) == pytest.approx(-scored["log_probability"], abs=0.06)


def test_a_bar_appends_its_token_and_what_it_did_can_be_undone(visit):
    page = visit(m="names")
    text_field(page).type("Ann")
    read(page, "Ann")
    press(page, "a")
    read(page, "Anna")
    press(page, "■")
    read(page, "Anna\n")
    assert strip(page, "names").last.inner_text() == "■"
    text_field(page).focus()
    for expected in ("Anna", "Ann"):
        page.keyboard.press("Control+z")
        read(page, expected)
    page.keyboard.press("Control+Shift+z")
    read(page, "Anna")
    page.get_by_role("button", name="Clear").click()
    read(page, "")
    page.keyboard.press("Control+z")
    read(page, "Anna")


def test_a_token_is_chosen_and_another_put_in_its_place(visit):
    page = visit(m=["names", "sentences"], text="the dog sat")
    read(page, "the dog sat")
    assert strip(page, "sentences").all_inner_texts() == ["the", "dog", "sat"]
    strip(page, "names").nth(5).click()
    expect(page.locator(".inspector-title").first).to_contain_text("o after the d")
    expect(page.locator(".strip .t.on")).to_have_text(["o", "dog"])
    page.locator(".t.on").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".t.on").last).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".strip .t.on").last).to_have_text("sat")
    page.get_by_role("button", name="Token before").click()
    expect(page.locator(".strip .t.on").first).to_have_text("␣")
    strip(page, "sentences").nth(1).click()
    page.get_by_role("checkbox", name="names", exact=True).uncheck()
    page.locator('.inspector button[data-token="cat"]').click()
    read(page, "the cat sat")


def test_sliders_reshape_the_bars_as_sampling_does(visit, runs_folder):
    page = visit(m=["counts"], text="A")
    read(page, "A")
    raw = dict(thence.next_tokens(runs_folder / "counts", "A", 30).tokens)

    def shown(token: str) -> float:
        return float(cell(page, token).get_attribute("data-reshaped"))

    page.locator('input[name="temperature"]').fill("0.5")
    total = sum(p**2 for p in raw.values())
    assert shown("n") == pytest.approx(raw["n"] ** 2 / total, rel=1e-3)
    page.locator('input[name="temperature"]').fill("1")
    page.locator('input[name="top_k"]').fill("1")
    assert shown("n") == 1.0
    expect(cell(page, "r")).to_have_class(re.compile("cut"))
    page.get_by_role("button", name="Reset").click()
    page.locator('input[name="top_p"]').fill("0.5")
    ranked = sorted(raw.values(), reverse=True)
    most = next(k for k in range(len(ranked)) if sum(ranked[: k + 1]) >= 0.5) + 1
    assert shown("n") == pytest.approx(raw["n"] / sum(ranked[:most]), rel=1e-3)
    wait_for(page, lambda: "top_p=0.5" in page.url)
    page.reload()
    read(page, "A")
    assert shown("n") == pytest.approx(raw["n"] / sum(ranked[:most]), rel=1e-3)


def test_models_are_chosen_searched_and_kept_in_the_address(visit):
    page = visit(m="names", text="An")
    read(page, "An")
    page.get_by_role("checkbox", name="counts").check()
    expect(page.locator(".strip-name").nth(1)).to_have_text("counts")
    ruler = page.get_by_role("img", name=re.compile(r"^uniform .* pair counts .* best here"))
    expect(ruler.first).to_be_visible()
    page.get_by_role("checkbox", name="names", exact=True).uncheck()
    wait_for(page, lambda: "m=counts" in page.url and "m=names" not in page.url)
    page.reload()
    read(page, "An")
    expect(page.locator(".strip[role=group]")).to_have_count(1)
    page.get_by_label("Find models").fill("sent")
    expect(page.locator(".model")).to_have_count(1)
    expect(page.get_by_text("Another text: scores cannot be compared.")).to_be_visible()
    page.get_by_label("Find models").fill("nobody")
    expect(page.get_by_text("No model is called so.")).to_be_visible()


def test_what_became_of_a_run_on_disk_is_told(visit, runs_folder, start_server, monkeypatch):
    shutil.copytree(runs_folder / "counts", runs_folder / "soon-gone")
    with start_server("soon-gone") as started:
        shutil.rmtree(runs_folder / "soon-gone")
        page = visit(address=started.address, text="An")
        read(page, "An")
        expect(page.locator(".model .tag")).to_have_text("deleted on disk")
        page.close()


def test_an_older_answer_never_replaces_a_newer_one(visit):
    page = visit(m="names")
    read(page, "")
    delays = iter([1.0, 0.0])

    def answer_late(route: Any) -> None:
        response = route.fetch()
        page.wait_for_timeout(1000 * next(delays, 0.0))
        with suppress(sync_api.Error):  # The page may have given this question up.
            route.fulfill(response=response)

    page.route("**/playground/strips", answer_late)
    text_field(page).fill("A")
    page.wait_for_timeout(100)
    text_field(page).fill("Mar")
    read(page, "Mar")
    page.wait_for_timeout(1200)
    read(page, "Mar")
    assert strip(page, "names").count() == 3


def test_continuations_are_a_tree_whose_branches_are_taken(visit):
    page = visit(m="counts", text="An", samples="16", seed="1")
    read(page, "An")
    page.get_by_role("button", name="Generate").click()
    nodes = page.locator(".tree .node")
    expect(nodes.first).to_be_visible()
    texts = [node.get_attribute("data-text") for node in nodes.all()]
    assert len(set(texts)) == len(texts)
    expect(page.locator(".tag.copy").first).to_be_visible()
    page.get_by_role("button", name="Sample", exact=True).click()
    expect(nodes.first).to_be_visible()
    assert [node.get_attribute("data-text") for node in nodes.all()] == texts
    nodes.nth(1).click()
    read(page, "An" + texts[1])


def test_a_selected_span_is_filled_and_two_texts_are_compared(visit, runs_folder):
    page = visit(m="counts", text="M_rta")
    read(page, "M_rta")
    page.get_by_role("button", name="Fill selection").click()
    expect(page.get_by_text("Select a part of the text above")).to_be_visible()
    field = text_field(page)
    field.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_role("button", name="Fill selection").click()
    [best, *_] = thence.fill(runs_folder / "counts", "M___rta").fillings
    first = page.locator(".filling").first
    expect(first).to_have_attribute("data-text", best.text)
    first.click()
    read(page, best.text)
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Compare texts").click()
    page.get_by_label("The other text").fill("Anna")
    field.fill("Annabel")
    read(page, "Annabel")
    longer, shorter = thence.score(runs_folder / "counts", ["Annabel", "Anna"])
    factor = math.exp(shorter["log_probability"] - longer["log_probability"])
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("For counts the other text is")
    assert float(re.search(r"([\d.]+) times", verdict.inner_text())[1]) == pytest.approx(
        factor, rel=0.01
    )
    expect(page.locator(".action-panel tbody tr").last).to_contain_text("■ end")


def test_texts_are_classified_and_their_words_weighed(visit, runs_folder):
    page = visit(m="opinions")
    text_field(page).fill("a bad film")
    [expected] = thence.classify(runs_folder / "opinions", "a bad film")
    expect(page.locator(".verdict")).to_contain_text(expected.likeliest)
    words = thence.explain(runs_folder / "opinions", "a bad film").tokens
    expect(page.locator(".word")).to_have_count(len(words))
    shown = [
        (one.inner_text(), float(one.get_attribute("data-weight")))
        for one in page.locator(".word").all()
    ]
    assert shown == [(word.text, pytest.approx(word.weight, abs=1e-5)) for word in words]
    page.locator(".word").nth(1).click()
    expect(page.locator(".label-texts")).to_contain_text(
        re.compile(r"Most like bad: \w+ −?\d\.\d\d, \w+")
    )
    page.locator('button[data-label="pos"]').click()
    [*_, last] = thence.explain(runs_folder / "opinions", "a bad film", "pos").tokens
    wait_for(
        page,
        lambda: (
            abs(float(page.locator(".word").last.get_attribute("data-weight")) - last.weight) < 1e-5
        ),
    )
    text_field(page).fill("good film " * 1200)
    expect(page.locator(".words")).to_contain_text("too long to weigh its words")
    page.get_by_role("checkbox", name="names", exact=True).check()
    expect(page.locator(".inspector-table thead").first).to_contain_text("names")
    expect(page.locator(".label-texts")).to_be_hidden()


def test_everything_is_done_with_the_keyboard_alone(visit):
    page = visit(m="names")
    read(page, "")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Look")).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    for matches in ("textarea", ".token-button"):
        while not page.evaluate(f"document.activeElement.matches('{matches}')"):
            page.keyboard.press("Tab")
        if matches == "textarea":
            page.keyboard.type("Ma")
            read(page, "Ma")
    first = page.evaluate("document.activeElement.dataset.token")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.token") != first
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    read(page, "Ma" + first.replace("<boundary>", "\n"))
    assert page.evaluate("document.activeElement.matches('.token-button')")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".t.on")).to_have_count(1)


def test_going_back_and_links_of_version_0_1_open_their_place(visit):
    page = visit(m="names", text="An")
    read(page, "An")
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("table.runs").first).to_be_visible()
    page.go_back()
    expect(page.get_by_role("tab", name="Look")).to_have_attribute("aria-selected", "true")
    read(page, "An")
    for old, place in (("blanks", "Look"), ("curves", "Train")):
        page = visit(old)
        expect(page.get_by_role("tab", name=place)).to_have_attribute("aria-selected", "true")


def test_markup_of_a_reader_a_model_or_a_name_stays_text(visit):
    everywhere = f"{HOSTILE_SYMBOL}{HOSTILE_NAME}<svg onload=alert(3)>"
    page = visit(m=["names", HOSTILE_NAME], text=f"a {HOSTILE_SYMBOL}", seed="1")
    read(page, f"a {HOSTILE_SYMBOL}")
    expect(strip(page, HOSTILE_NAME.replace('"', "")).last).to_contain_text(HOSTILE_SYMBOL)
    text_field(page).fill(everywhere)
    read(page, everywhere)
    for lens in ("rank", "units", "why", "in train", "layers"):
        page.get_by_role("button", name=lens, exact=True).click()
        expect(page.get_by_role("button", name=lens, exact=True)).to_have_attribute(
            "aria-pressed", "true"
        )
        page.wait_for_timeout(150)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".tree .node").first).to_be_visible()
    made = "document.querySelectorAll('main script, main img, main svg[onload], main b').length"
    assert page.evaluate(made) == 0
    page = visit(m="opinions", text=everywhere)
    expect(page.locator(".words")).to_contain_text("svg")
    assert page.evaluate(made) == 0


def test_no_file_of_the_page_makes_markup_of_text_or_asks_elsewhere():
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    for path in [*PAGE.glob("*.js"), *PAGE.glob("*.html"), *PAGE.glob("*.css")]:
        content = path.read_text("utf-8")
        assert not re.search(forbidden, content), path.name
        links = re.findall(r"https?://[^\s\"'`)]+", content)
        assert [link for link in links if "www.w3.org" not in link] == [], path.name
        assert not re.search(r"<script(?! type=\"module\" src=\"/page/)", content), path.name
        assert not re.search(r"\son\w+=\"|\sstyle=\"|<style", content), path.name
        assert len(content.splitlines()) <= 400, path.name
    for name in ("page.js", "page.css"):
        assert page_file(name).content


def test_errors_are_said_where_they_happen(visit):
    page = visit(m=["closed", "names"], text="qq")
    problem = page.locator('.problem[data-model="closed"]')
    expect(problem).to_contain_text("'q'")
    expect(strip(page, "names")).to_have_count(2)
    text_field(page).fill("Anna")
    expect(problem).to_have_count(0)
    page.get_by_role("button", name="in train").click()
    text_field(page).fill("a" * 70_000)
    expect(problem).to_contain_text("has 70,000 tokens; this server reads at most 65,536")
    expect(page.locator(".lens-panel")).to_be_hidden()
    page.route("**/playground/strips", lambda route: route.abort())
    text_field(page).fill("An")
    expect(
        page.get_by_role("alert").filter(has_text="Is thence serve still running?")
    ).to_be_visible()
    page.unroute("**/playground/strips")
    text_field(page).fill("A")
    read(page, "A")


def test_a_token_is_asked_for_and_kept_for_the_tab(visit, start_server):
    with start_server("counts", token="gehëim") as protected:
        page = visit(address=protected.address, m="counts", text="An")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        assert page.locator("#token-field").get_attribute("type") == "password"
        page.locator("#token-field").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("That was not the token.")).to_be_visible()
        page.locator("#token-field").fill("gehëim")
        page.keyboard.press("Enter")
        read(page, "An")
        page.reload()
        read(page, "An")
        assert "geh" not in page.url
        page.close()
