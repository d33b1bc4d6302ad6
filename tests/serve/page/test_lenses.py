"""Every lens of every family in a browser, on a screen and a telephone; what axe says of them all.

Pictures are written to the folder that THENCE_SCREENSHOTS names, or to artifacts/screenshots.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.serve import open_runs

from .conftest import NAMES, REVIEWS, SENTENCES, SMALL, Server, running, wait_for

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
ROOT = Path(__file__).parents[3]
SCREENSHOTS = Path(os.environ.get("THENCE_SCREENSHOTS") or ROOT / "artifacts" / "screenshots")
PHONE, SCREEN = {"width": 390, "height": 844}, {"width": 1300, "height": 900}
ARABIC = ("محمد", "فاطمة", "علي", "خديجة", "عمر", "مريم", "حسن") * 8
JAPANESE = ("さくら", "はなこ", "たろう", "吾輩は猫である", "😀👍🏽笑", "café") * 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is missing"),
]

LENSES = {
    "rank": "",
    "back-off": "comes from",
    "mixture": "share of the probability",
    "cache": "has weight",
    "mixing": "What spoke for it",
    "gates": "Unit ",
    "units": "Unit ",
    "attention": "looks at",
    "why": "the tokens before it",
    "occlusion": "by leaving each out",
    "layers": "The most probable token of each layer",
    "gradient flow": "the gradient vanishes",
    "what units track": "",
    "shapes": "softmax over the vocabulary",
    "neighbours": "most like that of",
    "in train": "The train text",
}
"""Lenses of the switch, and what the panel says that each opens."""


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a small run of every family that has lenses of its own."""
    folder = tmp_path_factory.mktemp("families")

    def train(name: str, model: str, lines: tuple[str, ...], **settings: Any) -> Path:
        text = folder / f"{name}.txt"
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        thence.train(text, model, output=folder / "runs" / name, **settings)
        return folder / "runs" / name

    train("ngram", "ngram", NAMES, order=3)
    train("gru", "gru", NAMES, steps=20, lr=0.05, **SMALL)
    train("lstm", "lstm", SENTENCES, tokens="words", steps=20, lr=0.05, **SMALL)
    train("mlp", "mlp", NAMES, steps=20, lr=0.05, **SMALL)
    small = {"embedding_size": 8, "heads": 2, "layers": 2, "threads": 1}
    train("transformer", "transformer", NAMES, steps=20, lr=0.05, **small)
    train("context-mixing", "context-mixing", NAMES)
    table = folder / "reviews.csv"
    table.write_text("\n".join(("text,label", *REVIEWS)), encoding="utf-8")
    reviewed = {"label": "label", "epochs": 1, "split": "80/20/0", "threads": 1}
    thence.train(table, "recurrent", output=folder / "runs" / "reviews", **reviewed)
    train("cache", "cache", NAMES, carry_context=True)
    train("arabic", "ngram", ARABIC, order=2)
    train("japanese", "ngram", JAPANESE, order=2)
    thence.mix(
        [folder / "runs" / "ngram", folder / "runs" / "gru"], output=folder / "runs" / "mixture"
    )
    models = open_runs(sorted((folder / "runs").iterdir()))
    with running(models, folder / "runs") as started:
        yield started


def expect(thing: Any) -> Any:
    return sync_api.expect(thing)


def read(page: Any, text: str) -> None:
    expect(page.locator("#panel-look")).to_have_attribute("data-read", text)


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def shown_in(panel: Any) -> tuple[str, list[str]]:
    """Return the text of a lens, and of what is marked there."""
    return panel.inner_text(), panel.locator(".on, [aria-pressed=true]").all_inner_texts()


def complaints(page: Any) -> list[str]:
    """Return what axe finds wrong in a page; nothing where it is not installed."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


FAMILIES = {
    "ngram": ["rank", "back-off", "why", "in train"],
    "gru": ["gates", "why", "occlusion", "gradient flow"],
    "lstm": ["what units track", "neighbours"],
    "mlp": ["units", "shapes"],
    "transformer": ["attention", "layers"],
    "mixture": ["mixture"],
    "cache": ["cache"],
    "context-mixing": ["mixing"],
}
"""Of every family the lenses that are opened; what several share is opened where it may differ."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_lens_of_a_family_is_drawn_and_follows_the_token(visit, families, family):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    text = "the dog sat down" if family == "lstm" else "Marta"
    page = visit(address=families.address, m=[family], text=text, place="0", size=SCREEN)
    read(page, text)
    shown = page.locator(".lenses button").all_inner_texts()
    assert set(FAMILIES[family]) <= set(shown) and set(shown) <= {"surprise", "learning", *LENSES}
    panel = page.locator(".lens-panel")
    for lens in FAMILIES[family]:
        page.get_by_role("button", name=lens, exact=True).click()
        if lens == "rank":
            expect(page.locator(".strip .t").first).to_have_class(re.compile(r"\br\d"))
            continue
        expect(panel).to_contain_text(LENSES[lens])
        expect(panel.locator(".hint", has_text="Looking …")).to_have_count(0)
        before = shown_in(panel)
        page.get_by_role("button", name="Token after").click()
        if lens not in ("gradient flow", "what units track", "mixture", "shapes"):
            wait_for(page, lambda before=before: shown_in(panel) != before)
        assert panel.locator("svg, canvas, table, .token-row").count() or lens == "what units track"
        assert fits(page)
        page.get_by_role("button", name="Token before").click()
        expect(page.locator(".strip .t.on").first).to_have_text(re.compile("^(M|the)$"))
        wait_for(page, lambda before=before: shown_in(panel) == before)
        page.screenshot(path=SCREENSHOTS / f"lens-{family}-{lens}.png")
        assert complaints(page) == [], lens
    assert page.get_by_role("alert").filter(visible=True).count() == 0


def test_an_answer_is_shown_though_the_models_were_listed_again_meanwhile(visit, families):
    page = visit(address=families.address, m=["ngram"], text="Marta", place="0", size=SCREEN)
    listed, held = [], []

    def list_models(route: Any) -> None:
        """Answer twice: rulers are still computed, then a run has lost its training."""
        answer = route.fetch()
        found = answer.json() | {"waiting": not listed}
        if listed:
            found["models"][0]["state"] = "stopped"
        listed.append(route)
        route.fulfill(response=answer, json=found)

    page.route("**/playground/models", list_models)
    page.route("**/playground/look", lambda route: held.append(route))
    page.reload()
    read(page, "Marta")
    with page.expect_request("**/playground/look"):
        page.get_by_role("button", name="why", exact=True).click()
    expect(page.locator(".rail .tag", has_text="unfinished")).to_be_visible()
    for one in held:
        one.continue_()
    expect(page.locator(".lens-panel")).to_contain_text("the tokens before it")
    assert len(held) == 1  # It is not asked for again while it is waited for.


def test_a_lens_says_that_an_answer_was_cut_off_and_can_be_asked_again(visit, families):
    page = visit(address=families.address, m=["ngram"], text="Marta", place="0", size=SCREEN)
    read(page, "Marta")
    broken = {"body": '{"tokens": [', "content_type": "application/json"}
    page.route("**/playground/look", lambda route: route.fulfill(**broken))
    page.get_by_role("button", name="why", exact=True).click()
    expect(page.locator(".lens-panel .problem")).to_have_text("The connection to the server broke.")
    page.unroute("**/playground/look")
    page.get_by_role("button", name="why", exact=True).click()
    expect(page.locator(".lens-panel")).to_contain_text("the tokens before it")


def test_lenses_answer_to_the_keyboard_and_to_touch(visit, families):
    page = visit(
        address=families.address, m=["transformer"], text="Marta", place="2", lens="attention"
    )
    read(page, "Marta")
    page.locator('[data-head="0-1"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator('[data-head="0-1"]')).to_be_focused()
    expect(page.locator(".lens-panel")).to_contain_text("layer 1, head 2")
    page.locator('[data-head="1-0"] canvas').hover(position={"x": 4, "y": 1})
    expect(page.locator(".attention-of")).to_contain_text("After reading M, layer 2, head 1")
    expect(page.locator(".token-row .cell").last).to_have_class(re.compile("later"))
    page.locator(".attention-of").hover()
    expect(page.locator(".attention-of")).to_contain_text("layer 1, head 2")
    page.get_by_role("button", name="units", exact=True).focus()
    page.keyboard.press("Enter")
    slider = page.get_by_role("slider", name="Unit")
    slider.focus()
    before = page.locator(".lens-panel strong").first.inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".lens-panel strong").first).not_to_have_text(before)
    expect(slider).to_be_focused()
    page.locator("canvas.unit-canvas").click(position={"x": 4, "y": 1})
    expect(page.locator(".lens-panel strong").first).to_have_text("Unit 1 of 8")
    page.get_by_role("button", name="why", exact=True).click()
    page.get_by_label("And not another token").select_option(index=1)
    expect(page.locator(".lens-panel")).to_contain_text("likelier than")


def test_words_of_a_classifier_are_weighed_by_the_gradient(visit, families):
    page = visit(address=families.address, m=["reviews"], text="a bad film")
    expect(page.locator(".word")).to_have_count(3)
    page.get_by_role("checkbox", name="Weigh words by the gradient").check()
    found = thence.look(families.folder / "reviews", "a bad film", lenses=["gradient"])
    expected = [part.weight for part in found.lenses["gradient"]]
    expect(page.locator(".word").last).to_have_attribute("data-weight", str(expected[-1]))
    assert complaints(page) == []


def test_arabic_reads_from_right_to_left(visit, families):
    text = "فاطمة علي"
    page = visit(address=families.address, m=["arabic", "ngram"], text=text, size=SCREEN)
    read(page, text)
    places = [
        one.bounding_box()["x"] for one in page.locator('.strip[aria-label="arabic"] .t').all()
    ]
    assert places == sorted(places, reverse=True)
    field = page.get_by_role("textbox", name="Text", exact=True)
    assert field.evaluate("e => getComputedStyle(e).direction") == "rtl"
    page.locator(".strip .t").first.click()
    page.locator(".strip .t.on").first.focus()
    page.keyboard.press("ArrowLeft")  # Forward, as the eye goes.
    expect(page.locator(".strip .t.on").first).to_have_text("ا")
    page.get_by_role("button", name="back-off", exact=True).click()
    cells = page.locator(".lens-panel .cell")
    expect(cells.first).to_be_visible()
    assert cells.first.bounding_box()["x"] > cells.last.bounding_box()["x"]
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".tree").first).to_have_attribute("dir", "rtl")
    page.screenshot(path=SCREENSHOTS / "look-arabic.png")
    assert complaints(page) == []


def test_japanese_and_emoji_are_cut_where_the_model_cuts_them(visit, families):
    text = "猫😀👍🏽 cafe\u0301"
    page = visit(address=families.address, m=["japanese", "lstm"], text=text, size=SCREEN)
    read(page, text)
    tokens = page.locator('.strip[aria-label="japanese"] .t').all_inner_texts()
    assert "".join(tokens).replace("␣", " ") == text
    assert tokens[:4] == ["猫", "😀", "👍", "🏽"]
    page.locator(".strip .t").nth(1).click()
    expect(page.locator(".inspector-title").first).to_contain_text("😀 after 猫")
    expect(page.locator('.inspector tr.actual button[data-token="😀"]')).to_be_visible()
    page.get_by_role("button", name="End", exact=True).click()
    page.get_by_role("textbox", name="Text", exact=True).fill("")
    read(page, "")
    expect(page.locator(".inspector-title").first).to_have_text("How a document begins")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_text_strips_and_bars_at_once(visit, families, scheme):
    chosen = {"m": ["ngram", "gru"], "text": "Marta", "lens": "examples"}
    page = visit(address=families.address, size=PHONE, scheme=scheme, **chosen)
    read(page, "Marta")
    assert fits(page)
    expect(page.get_by_role("button", name="in train")).to_be_in_viewport(ratio=0.9)
    for shown in (".editor", ".strip .t", ".inspector tbody tr"):
        expect(page.locator(shown).first).to_be_in_viewport(ratio=0.99)
    assert page.locator(".rail .model").first.is_hidden()
    page.locator(".rail > summary").click()
    expect(page.locator(".rail .model").first).to_be_visible()
    assert fits(page)
    page.locator(".rail > summary").click()
    page.get_by_role("button", name="Fold the inspector").click()
    expect(page.locator(".inspector tbody").first).to_be_hidden()
    page.get_by_role("button", name="Unfold the inspector").click()
    page.locator(".strip .t").nth(2).click()
    expect(page.locator(".inspector-title").first).to_contain_text("r after Ma")
    page.get_by_role("button", name="back-off", exact=True).click()
    expect(page.locator(".lens-panel")).to_contain_text("comes from")
    assert fits(page)
    page.mouse.wheel(0, 600)
    for _ in range(600):  # The text sticks on top once the page has scrolled.
        if (top := page.locator(".editor").bounding_box()["y"]) < 10:
            break
        page.wait_for_timeout(100)
    assert top < 10
    page.screenshot(path=SCREENSHOTS / f"look-phone-{scheme}.png")
    assert complaints(page) == []


def test_long_texts_are_shown_in_part_and_zoomed_pages_fit(visit, families):
    text = "Anna Marta Otto " * 900
    page = visit(
        address=families.address, m=["ngram", "arabic"], size={"width": 650, "height": 450}
    )
    page.get_by_role("textbox", name="Text", exact=True).fill(text)
    read(page, text)
    assert page.locator(".block").count() <= 150
    expect(page.locator(".strips > .hint")).to_contain_text("characters before")
    assert fits(page)  # As at 200 % on a screen of 1300 pixels.


def test_the_last_token_of_a_long_text_is_explained(visit, families, monkeypatch):
    monkeypatch.setattr("thence.inspection.hidden.MOST_NUMBERS", 400)  # 12 tokens of 32 numbers.
    page = visit(address=families.address, m=["gru"], text="Marta " * 30, lens="why", size=SCREEN)
    expect(page.locator(".lens-panel")).to_contain_text("the tokens before it")
    page.get_by_role("button", name="gates", exact=True).click()
    expect(page.locator(".lens-panel")).to_contain_text("Unit ")
    expect(page.locator(".lens-panel .on").first).to_be_visible()
    page.locator(".strip .t").first.click()
    expect(page.locator(".inspector-title").first).to_contain_text("M at the beginning")
    expect(page.locator(".lens-panel.stale")).to_have_count(0)
    page.locator(".strip .t").nth(33).click()  # Asked for already, and not among the 12 that came.
    expect(page.locator(".inspector-title").first).to_contain_text("t after ")
    expect(page.locator(".lens-panel .on").first).to_be_visible()
