"""Take the pictures of the page, a report and pages of one file: ``docs/images/page-look.png``, ...

    python docs/build_screenshots.py [FOLDER]

Models of given names and cities are trained here, served on a free port, and looked at by Chromium.
If a folder is named, they are kept there, and taken from there the next time.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import thence

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1280, "height": 760}
PHONE = {"width": 390, "height": 844}
SCALE = 1.25
COLOURS = 256
"""Of a picture: a page of few colours looks the same with so many, in a third of the bytes."""
MODELS: dict[str, dict[str, Any]] = {
    "counts": {"model": "ngram", "order": 6},
    "pairs": {"model": "bigram-counts"},
    "mlp": {"model": "mlp", "steps": 400, "batch_size": 512},
    "lstm": {"model": "lstm", "steps": 300, "hidden_size": 64, "batch_size": 128, "lr": 0.01},
    "gru": {
        "model": "gru", "steps": 600, "hidden_size": 96, "embedding_size": 24, "batch_size": 256,
        "lr": 0.01, "snapshots": 20,
    },
}  # fmt: skip
SERVED = ("names", "counts", "gru")


def main() -> None:
    """Train, serve and take the pictures."""
    with TemporaryDirectory() as place:
        folder = Path(sys.argv[1] if sys.argv[1:] else place).resolve()
        make_runs(folder)
        runs = [str(folder / name) for name in SERVED]
        command = [sys.executable, "-m", "thence", "serve", *runs, "--port", "0"]
        with (
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server,
            sync_playwright() as playwright,
        ):
            try:
                said = str(server.stderr and server.stderr.readline())
                found = re.search(r"http://\S+", said)
                if found is None:
                    raise SystemExit(f"The server did not start: {said}")
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                take_look(browser, found[0])
                take_places(browser, found[0])
            finally:
                server.terminate()
            take_files(browser, folder)


def make_runs(folder: Path) -> None:
    """Make what is not in the folder yet: runs, a report and pages of one file."""
    make: dict[str, Callable[[], object]] = {
        name: lambda name=name, options=options: thence.train(
            "given-names", output=folder / name, **options
        )
        for name, options in MODELS.items()
    }
    make["names"] = lambda: thence.mix([folder / "counts", folder / "gru"], output=folder / "names")
    make["names/report.html"] = lambda: thence.report(folder / "names")
    make["names.html"] = lambda: thence.export(folder / "names", folder / "names.html")
    make["cities"] = lambda: thence.train(
        "cities", "linear", output=folder / "cities", label="country", tokens="characters", ngrams=5
    )
    make["cities.html"] = lambda: thence.export(folder / "cities", folder / "cities.html")
    for name, function in make.items():
        if not (folder / name).exists():
            function()


def take_look(browser: Browser, address: str) -> None:
    """Take the pictures of the place Look, in both colour schemes and on a telephone."""
    for scheme, suffix in (("light", ""), ("dark", "-dark")):
        models = "m=names&m=counts&m=gru&minus=gru&minus=names"
        page = opened(browser, f"{address}#{models}&text=Annabel&lens=mixture", scheme=scheme)
        page.locator(".ribbon-column").first.wait_for()
        page.wait_for_timeout(1000)
        save(page.screenshot(), f"page-look{suffix}")
    page = opened(browser, f"{address}#m=counts&m=gru&text=Mar&samples=10&seed=3")
    page.get_by_role("button", name="Generate").click()
    page.locator(".tree").nth(1).wait_for()
    page.locator(".actions").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    save(page.screenshot(), "page-generate")
    page = opened(browser, f"{address}#m=counts&m=gru&text=Annabel&place=4&lens=backoff", PHONE)
    page.wait_for_timeout(2000)
    save(page.screenshot(), "page-phone")


def take_places(browser: Browser, address: str) -> None:
    """Take the pictures of Train, of a replay, of Runs and of a comparison."""
    page = opened(browser, f"{address}#tab=train&r=gru&r=lstm&r=mlp&replay=gru&text=Annabel")
    page.locator(".replay-samples li").first.wait_for()
    page.wait_for_timeout(5000)  # For the text and the verdicts.
    page.get_by_label("Snapshot").focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(500)
    save(page.locator(".curves").first.screenshot(), "page-train")
    save(page.locator(".replay").screenshot(), "page-replay")
    page = opened(browser, f"{address}#tab=runs", {"width": 1440, "height": 590})
    page.wait_for_timeout(4000)  # For the intervals.
    save(page.screenshot(), "page-runs")
    size = {"width": 1160, "height": 1000}
    page = opened(browser, f"{address}#tab=runs&compare=1&r=names&r=counts&r=gru", size)
    page.get_by_text("Settings that differ").wait_for(timeout=120_000)
    page.wait_for_timeout(1000)
    save(page.screenshot(), "page-compare")


def take_files(browser: Browser, folder: Path) -> None:
    """Take the pictures of a report, and of two pages of one file side by side."""
    size = {"width": 960, "height": 800}
    page = opened(browser, (folder / "names" / "report.html").as_uri(), size, scale=1)
    save(page.screenshot(), "report")
    pages = [("names.html#Annabel", 1000, "light"), ("cities.html#Thessaloniki", 390, "dark")]
    pictures = []
    for name, width, scheme in pages:
        file, text = name.split("#")
        where, size = f"{(folder / file).as_uri()}#{text}", {"width": width, "height": 700}
        page = opened(browser, where, size, scheme=scheme, scale=1)
        if file == "names.html":
            page.locator(".token").nth(4).click()
        page.wait_for_timeout(1000)
        pictures.append(Image.open(BytesIO(page.screenshot())))
    both = Image.new("RGB", (sum(one.width for one in pictures) + 20, 700), "white")
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], (pictures[0].width + 20, 0))
    written = BytesIO()
    both.save(written, "PNG")
    save(written.getvalue(), "one-file")


def opened(
    browser: Browser,
    address: str,
    size: dict[str, int] = SIZE,
    scheme: Any = "light",
    scale: float = SCALE,
) -> Page:
    """Open a page, and wait until it is there."""
    page = browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=scale)  # type: ignore[arg-type]
    page.goto(address)
    page.wait_for_timeout(1500)
    return page


def save(picture: bytes, name: str) -> None:
    """Write a picture with fewer colours."""
    image = Image.open(BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
