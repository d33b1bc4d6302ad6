"""Take the pictures of the page, light and dark: ``docs/images/page-look.png`` and so on.

    python docs/build_screenshots.py

Models of given names are trained here, served on a free port, and looked at by Chromium.
"""

import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import thence

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1280, "height": 760}
PHONE = {"width": 390, "height": 844}
SCALE = 1.25
COLOURS = 128
"""Of a picture: a page of few colours looks the same with so many, in a third of the bytes."""


def main() -> None:
    """Train, serve and take the pictures."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        gru = {"hidden_size": 96, "embedding_size": 24, "batch_size": 256, "lr": 0.01}
        counts = thence.train("given-names", "ngram", output=folder / "counts", order=6)
        network = thence.train("given-names", "gru", output=folder / "gru", steps=600, **gru)
        names = thence.mix([counts, network], output=folder / "names")
        runs = [str(run.folder) for run in (names, counts, network)]
        command = [sys.executable, "-m", "thence", "serve", *runs, "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                said = str(server.stderr and server.stderr.readline())
                found = re.search(r"http://\S+", said)
                if found is None:
                    raise SystemExit(f"The server did not start: {said}")
                take(found[0])
            finally:
                server.terminate()


def take(address: str) -> None:
    """Take the pictures of a server, in both colour schemes."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for scheme, suffix in (("light", ""), ("dark", "-dark")):
            context = browser.new_context(
                viewport=SIZE, color_scheme=scheme, device_scale_factor=SCALE
            )
            page = context.new_page()
            page.goto(address)
            look(page)
            save(page.screenshot(), IMAGES / f"page-look{suffix}.png")
            context.close()
        page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE)
        page.goto(f"{address}#m=counts&m=gru&text=Mar&samples=10&seed=3")
        page.get_by_role("button", name="Generate").click()
        page.locator(".tree").nth(1).wait_for()
        page.locator(".actions").scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        save(page.screenshot(), IMAGES / "page-generate.png")
        page = browser.new_page(viewport=PHONE, device_scale_factor=SCALE)
        page.goto(f"{address}#m=counts&m=gru&text=Annabel&place=4&lens=backoff")
        page.wait_for_timeout(2000)
        save(page.screenshot(), IMAGES / "page-phone.png")


def look(page: Page) -> None:
    """Let three models read a name, and show who of the mixture spoke."""
    page.get_by_label("gru").first.check()
    page.get_by_role("textbox").first.fill("Annabel")
    page.wait_for_timeout(2000)
    page.get_by_text("mixture", exact=True).first.click()
    page.wait_for_timeout(2000)


def save(picture: bytes, path: Path) -> None:
    """Write a picture with fewer colours."""
    image = Image.open(BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


if __name__ == "__main__":
    main()
