"""The page in a browser: what a reader does, with the mouse, the keyboard and a telephone.

Its pictures are written to the folder that THENCE_SCREENSHOTS names, or to artifacts/screenshots.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import thence

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "src" / "thence" / "serve" / "page"
SCREENSHOTS = Path(os.environ.get("THENCE_SCREENSHOTS") or ROOT / "artifacts" / "screenshots")
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
HOSTILE_SYMBOL = "<script>alert(2)</script>"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is missing"),
]


def expect(thing: Any) -> Any:
    return sync_api.expect(thing)


def card(page: Any, model: str) -> Any:
    return page.locator(f'section:not([hidden]) [data-model="{model}"]')


def wait_for(page: Any, condition: Callable[[], bool]) -> None:
    """Wait in Python, as the page allows no script but its own."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "this never came true"
        page.wait_for_timeout(20)


def text_field(page: Any) -> Any:
    return page.get_by_role("textbox", name="Text", exact=True)


def wait_until_read(page: Any, model: str, text: str) -> Any:
    found = card(page, model)
    expect(found).to_have_attribute("data-read", text)
    return found


def bars_of(found: Any) -> list[tuple[str, float]]:
    bars = found.locator(".bar")
    return [
        (bar.get_attribute("data-token"), float(bar.get_attribute("data-probability")))
        for bar in bars.all()
    ]


def test_the_bars_are_what_next_tokens_gives(visit, runs_folder):
    page = visit(m=["names", "counts"])
    text_field(page).type("Mar")
    for model in ("names", "counts"):
        found = bars_of(wait_until_read(page, model, "Mar"))[:10]
        expected = thence.next_tokens(runs_folder / model, "Mar", len(found)).tokens
        assert [name for name, _ in found] == [name for name, _ in expected]
        for (_, shown), (_, true) in zip(found, expected, strict=True):
            assert shown == pytest.approx(true, rel=1e-4)
    tokens = card(page, "names").locator(".tokens .token")
    assert tokens.all_inner_texts() == ["M", "a", "r"]
    [scored] = thence.score(runs_folder / "names", "Mar")
    whole = (
        card(page, "names")
        .locator(".figures div", has=page.get_by_text("Log-likelihood", exact=True))
        .locator("dd")
    )
    shown = float(whole.inner_text().replace("−", "-"))
    assert shown == pytest.approx(scored["log_probability"], abs=0.01)


def test_a_bar_appends_its_token_and_the_boundary_ends_the_document(visit):
    page = visit(m="names", text="Ann")
    found = wait_until_read(page, "names", "Ann")
    found.locator('.bar[data-token="a"]').click()
    wait_until_read(page, "names", "Anna")
    expect(text_field(page)).to_have_value("Anna")
    found.locator('.bar[data-token="<boundary>"]').click()
    wait_until_read(page, "names", "Anna\n")
    assert found.locator(".tokens .token").last.inner_text() == "■"


def test_words_get_their_spaces(visit):
    page = visit(m="sentences", text="the dog")
    found = wait_until_read(page, "sentences", "the dog")
    found.locator('.bar[data-token="sat"]').click()
    expect(text_field(page)).to_have_value("the dog sat")
    wait_until_read(page, "sentences", "the dog sat")
    assert found.locator(".tokens .token").all_inner_texts() == ["the", "␣dog", "␣sat"]


def test_a_token_tells_its_alternatives_on_hover_and_on_focus(visit):
    page = visit(m="counts", text="An")
    found = wait_until_read(page, "counts", "An")
    tooltip = page.locator("#tooltip")
    found.locator(".tokens .token").first.hover()
    expect(tooltip).to_be_visible()
    expect(tooltip).to_contain_text("bits")
    page.mouse.move(0, 0)
    expect(tooltip).to_be_hidden()
    found.locator(".tokens .token").first.focus()
    page.keyboard.press("ArrowRight")
    expect(tooltip).to_contain_text("n")
    expect(tooltip.locator("li")).to_have_count(5)
    page.keyboard.press("Escape")
    expect(tooltip).to_be_hidden()


def test_models_are_chosen_and_switched(visit):
    page = visit(m="names", text="An")
    wait_until_read(page, "names", "An")
    page.get_by_role("checkbox", name="counts").check()
    wait_until_read(page, "counts", "An")
    page.get_by_role("checkbox", name="names").uncheck()
    expect(card(page, "names")).to_have_count(0)
    wait_for(page, lambda: "m=counts" in page.url and "m=names" not in page.url)
    page.reload()
    wait_until_read(page, "counts", "An")
    expect(card(page, "names")).to_have_count(0)


def test_an_older_answer_never_replaces_a_newer_one(visit):
    page = visit(m="names")
    wait_until_read(page, "names", "")
    delays = iter([1.0, 0.0])

    def answer_late(route: Any) -> None:
        response = route.fetch()
        page.wait_for_timeout(1000 * next(delays, 0.0))
        with suppress(sync_api.Error):  # The page may have given this question up.
            route.fulfill(response=response)

    page.route("**/playground/read", answer_late)
    text = text_field(page)
    text.fill("A")
    page.wait_for_timeout(250)
    text.fill("Mar")
    found = wait_until_read(page, "names", "Mar")
    page.wait_for_timeout(1500)
    assert found.get_attribute("data-read") == "Mar"
    assert found.locator(".tokens .token").count() == 3


def test_a_text_is_written_on_and_stopped(visit, server, monkeypatch):
    model = server.models["running"].run.model
    read = model.read

    def read_slowly(*arguments: Any, **settings: Any) -> Any:
        time.sleep(0.03)
        return read(*arguments, **settings)

    page = visit(m="running", text="the", length="2000", seed="1")
    found = wait_until_read(page, "running", "the")
    monkeypatch.setattr(model, "read", read_slowly)
    page.get_by_role("button", name="Generate").click()
    wait_for(page, lambda: found.locator(".generated .token").count() > 5)
    page.get_by_role("button", name="Stop").click()
    expect(found.locator(".generation-state")).to_have_text("Stopped.")
    time.sleep(0.5)
    before = server.turns()
    time.sleep(0.5)
    assert server.turns() == before
    written = found.locator(".generated").inner_text()
    found.get_by_role("button", name="Use as text").click()
    value = text_field(page).input_value()
    assert value.replace(" ", "␣").replace("\n", "⏎") == written


def test_the_same_seed_writes_the_same_and_settings_count(visit, server):
    page = visit(m="names", text="M", seed="3", length="30")
    found = wait_until_read(page, "names", "M")
    page.get_by_role("button", name="Generate").click()
    expect(found.locator(".generation-state")).to_contain_text("tokens")
    completion = {"model": "names", "prompt": "M", "seed": 3, "max_tokens": 30}
    expected = server.ask("/v1/completions", completion)["choices"][0]["text"]
    assert found.locator(".generated").inner_text().strip("■") == "M" + expected
    slider = page.get_by_label(re.compile("Temperature"))
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("output").first).to_have_text("0, the most probable")
    page.get_by_role("button", name="Generate").click()
    greedy = server.ask("/v1/completions", completion | {"temperature": 0})["choices"][0]["text"]
    written = found.locator(".generated")
    wait_for(page, lambda: written.inner_text().strip("■") == "M" + greedy)


def test_blanks_are_filled_best_first(visit, runs_folder):
    page = visit("infill", m="counts")
    page.get_by_label("A document with blanks").fill("M_rta")
    page.keyboard.press("Enter")
    fillings = card(page, "counts").locator(".fillings li")
    expect(fillings.first).to_contain_text("Marta")
    expected = thence.fill(runs_folder / "counts", "M_rta", 10, blank="_").fillings
    found = [item.get_attribute("data-text") for item in fillings.all()]
    assert found == [one.text for one in expected]


def test_links_of_version_0_1_still_open_their_tab(visit):
    page = visit("blanks", m="counts", blanks="M_rta")
    expect(page.get_by_role("tab", name="Infill")).to_have_attribute("aria-selected", "true")
    expect(card(page, "counts").locator(".fillings li").first).to_contain_text("Marta")
    page = visit("no such tab")
    expect(page.get_by_role("tab", name="Text")).to_have_attribute("aria-selected", "true")


def test_two_texts_are_compared(visit, runs_folder):
    page = visit("compare", m="counts")
    page.get_by_role("textbox", name="The first text").fill("Anna")
    page.get_by_role("textbox", name="The second text").fill("Nannr")
    verdict = card(page, "counts").locator(".verdict")
    expect(verdict).to_contain_text("For counts the first is")
    first, second = (
        line["log_probability"] for line in thence.score(runs_folder / "counts", ["Anna", "Nannr"])
    )
    table = card(page, "counts").locator("table").first
    expect(table).to_contain_text(f"{first:.2f}".replace("-", "−"))
    expect(table).to_contain_text(f"{second:.2f}".replace("-", "−"))
    page.get_by_text("Token by token").click()
    expect(card(page, "counts").locator("details tbody tr").last).to_contain_text("■ end")


def test_a_text_is_classified_and_its_words_weighed(visit, runs_folder):
    page = visit("classify")
    page.get_by_label("Document").fill("a bad film")
    [expected] = thence.classify(runs_folder / "opinions", "a bad film")
    found = card(page, "opinions")
    expect(found.locator(".verdict")).to_contain_text(expected.likeliest)
    words = thence.explain(runs_folder / "opinions", "a bad film").tokens
    shown = [
        (word.inner_text(), float(word.get_attribute("data-weight")))
        for word in found.locator(".words .token").all()
    ]
    assert shown == [(word.text, pytest.approx(word.weight, abs=1e-5)) for word in words]
    bars = found.locator(".labels .bar")
    assert {bar.get_attribute("data-label") for bar in bars.all()} == {"pos", "neg"}
    found.locator('.labels .bar[data-label="pos"]').click()
    expect(found.locator('.labels .bar[data-label="pos"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    [*_, last] = thence.explain(runs_folder / "opinions", "a bad film", "pos").tokens
    shown = found.locator(".words .token").last.get_attribute("data-weight")
    assert float(shown) == pytest.approx(last.weight, abs=1e-5)
    page.get_by_label("Document").fill("good film " * 1200)
    expect(found.locator(".words")).to_contain_text("too long to weigh its words")


def test_embeddings_are_found_and_zoomed(visit):
    page = visit("embeddings", embedding="names")
    map_ = page.locator(".map")
    expect(map_.locator("circle").first).to_be_attached()
    page.get_by_label("Find").fill("M")
    expect(map_.locator("circle.found")).not_to_have_count(0)
    tokens = [circle.get_attribute("data-token") for circle in map_.locator("circle.found").all()]
    assert tokens and {token.lower() for token in tokens} == {"m"}
    page.get_by_label("Find").fill("qqq")
    expect(page.get_by_text("No token here contains “qqq”.")).to_be_visible()
    place = "document.querySelector('.map circle').getAttribute('cx')"
    before = page.evaluate(place)
    map_.focus()
    page.keyboard.press("ArrowLeft")
    wait_for(page, lambda: page.evaluate(place) != before)
    page.keyboard.press("0")
    wait_for(page, lambda: page.evaluate(place) == before)
    page.get_by_role("button", name="Zoom in").click()
    wait_for(page, lambda: page.evaluate(place) != before)
    page.get_by_label("Model").select_option("counts")
    expect(page.get_by_role("alert").filter(has_text="has no embeddings")).to_be_visible()


def test_everything_is_done_with_the_keyboard_alone(visit):
    page = visit(m="names")
    wait_until_read(page, "names", "")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Text")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Infill")).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_have_attribute("id", "panel-infill")
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    while not page.evaluate("document.activeElement.matches('textarea')"):
        page.keyboard.press("Tab")
    page.keyboard.type("Ma")
    wait_until_read(page, "names", "Ma")
    while not page.evaluate("document.activeElement.matches('.bar')"):
        page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.dataset.token")
    page.keyboard.press("Enter")
    wait_until_read(page, "names", "Ma" + first.replace("<boundary>", "\n"))
    assert page.evaluate("document.activeElement.matches('.bar')")


def test_going_back_goes_to_the_tab_before(visit):
    page = visit(m="names", text="An")
    wait_until_read(page, "names", "An")
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("tr[data-run]").first).to_be_visible()
    page.go_back()
    expect(page.get_by_role("tab", name="Text")).to_have_attribute("aria-selected", "true")
    wait_until_read(page, "names", "An")


TABS = {
    "text": {"m": ["names", "counts"], "text": "Marta"},
    "infill": {"m": ["names", "counts"], "infill": "Mar_a"},
    "compare": {"m": ["names", "counts"], "first": "Anna", "second": "Annabel"},
    "classify": {"document": "a good film, not too long and not bad"},
    "embeddings": {"embedding": "sentences", "find": "do"},
    "runs": {},
}


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_fits_a_telephone_and_is_pictured(visit, tab):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    phone, screen = {"width": 360, "height": 740}, {"width": 1200, "height": 900}
    looks = {"phone": ("light", phone), "light": ("light", screen)}
    if tab == "text":  # The colours of the others are defined by the same variables.
        looks["dark"] = ("dark", screen)
    page = visit(tab, size=phone, scheme="light", **TABS[tab])
    expect(page.get_by_role("tabpanel")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    for name, (scheme, size) in looks.items():
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        page.wait_for_timeout(200)
        page.screenshot(path=SCREENSHOTS / f"{tab}-{name}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def shown_in(panel: Any, text: str) -> bool:
    """Whether a panel shows a text, a field has it, or tokens make it up."""
    shown = panel.evaluate(
        """panel => panel.textContent
            + [...panel.querySelectorAll('input, textarea')].map((one) => one.value).join(' ')"""
    )
    return text in shown.replace("␣", " ")


def test_markup_of_a_reader_a_model_or_a_name_stays_text(visit, server):
    everywhere = f"{HOSTILE_SYMBOL}{HOSTILE_NAME}<svg onload=alert(3)>"
    page = visit(m=["names", HOSTILE_NAME], text=f"a {HOSTILE_SYMBOL}")
    found = page.locator("[data-model]").nth(1)
    expect(found.locator(".tokens .token").last).to_contain_text(HOSTILE_SYMBOL)
    expect(found.locator("h2")).to_have_text(HOSTILE_NAME)
    text_field(page).fill(everywhere)
    wait_until_read(page, "names", everywhere)
    found.locator(".bar").first.click()
    page.get_by_role("button", name="Generate").click()
    expect(found.locator(".generation-state")).to_contain_text("tokens")
    made = "document.querySelectorAll('main script, main img, main svg[onload], main b').length"
    assert page.evaluate(made) == 0
    states = {
        "infill": {"m": HOSTILE_NAME, "infill": "a ___ here"},
        "compare": {"m": HOSTILE_NAME, "first": everywhere, "second": f"a {HOSTILE_SYMBOL}"},
        "classify": {"document": everywhere},
        "embeddings": {"embedding": HOSTILE_NAME, "find": "<"},
        "runs": {},
    }
    pages = {tab: visit(tab, **state) for tab, state in states.items()}
    for tab, page in pages.items():
        panel = page.locator(f"#panel-{tab}")
        hostile = HOSTILE_SYMBOL if tab in ("infill", "compare", "classify") else HOSTILE_NAME
        wait_for(page, lambda: shown_in(panel, hostile))  # noqa: B023 (it is called here)
    page.wait_for_timeout(300)
    for tab, page in pages.items():
        assert page.evaluate(made) == 0, tab
    page = visit(path="/docs")
    expect(page.locator("article").first).to_be_visible()
    assert page.evaluate("document.querySelectorAll('main script, main img').length") == 0


def test_no_file_of_the_page_makes_markup_of_text_or_asks_elsewhere():
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    for path in [*PAGE.glob("*.js"), *PAGE.glob("*.html"), *PAGE.glob("*.css")]:
        content = path.read_text("utf-8")
        assert not re.search(forbidden, content), path.name
        links = re.findall(r"https?://[^\s\"'`)]+", content)
        assert [link for link in links if "www.w3.org" not in link] == [], path.name
        assert not re.search(r"<script(?! type=\"module\" src=\"/page/)", content), path.name
        assert not re.search(r"\son\w+=\"|\sstyle=\"|<style", content), path.name
        if path.suffix == ".js":
            assert len(content.splitlines()) < 300, path.name


def test_errors_are_said_where_they_happen(visit, server):
    page = visit(m="closed", text="qq")
    problem = card(page, "closed").get_by_role("alert")
    expect(problem).to_contain_text("'q'")
    text_field(page).fill("Anna")
    expect(problem).to_be_hidden()
    text_field(page).fill("a" * 20_000)
    expect(problem).to_contain_text("this server reads at most 16384")
    page.route("**/playground/read", lambda route: route.abort())
    text_field(page).fill("An")
    expect(problem).to_contain_text("The server does not answer. Is thence serve still running?")
    page.unroute("**/playground/read")
    page.get_by_label("Tokens at most").fill("99999")
    text_field(page).fill("A")
    page.get_by_role("button", name="Generate").click()
    expect(card(page, "closed").locator(".generation-state")).to_contain_text("--max-tokens")


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
        wait_until_read(page, "counts", "An")
        page.reload()
        wait_until_read(page, "counts", "An")
        assert "geh" not in page.url
        page.close()


def test_a_server_of_classifiers_alone_has_no_tabs_for_texts(visit, start_server):
    with start_server("opinions") as started:
        page = visit(address=started.address)
        expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tab", name="Text")).to_have_count(0)
        page.get_by_role("tab", name="Runs").click()
        expect(page.locator("tr[data-run]")).not_to_have_count(0)
        page.close()


def test_the_documentation_has_every_route_and_tries_it(visit, server):
    page = visit(path="/docs")
    paths = server.ask("/openapi.json")["paths"]
    expect(page.locator("article")).to_have_count(sum(map(len, paths.values())))
    route = page.locator('[data-path="/playground/fill"]')
    route.get_by_text("Try it").click()
    route.locator("textarea").fill('{"model": "counts", "text": "M___a", "count": 1}')
    expect(route.locator("pre").first).to_contain_text("curl")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".result")).to_contain_text('"fillings"')
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "docs-light.png")
    phone = visit(path="/docs", size={"width": 360, "height": 740})
    expect(phone.locator("article").first).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
