"""The page in Chromium: first paint, from a key to the bars, long texts, replays.

    python benchmarks/page.py [--rounds 7]

Trains four models of the bundled names (half a minute) and a 2-gram of 52,000 made-up words,
serves them in a process of its own, and opens the page in Debian's Chromium without a window. A
first visit has an empty cache. A key is measured in the browser: from its event to the frame in
which the bars, strips and figures of all chosen models have been drawn. Takes two minutes; needs
Playwright.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import numpy as np
from measuring import Results
from playwright.sync_api import Page, sync_playwright

import thence

NAMES = ("katherine", "mohamed", "annabel", "christopher", "olivia")
ALONE, TOGETHER = ("names-ngram",), ("names-ngram", "names-mlp", "names-gru", "names-mixture")
WORDS, TOKENS = 52_000, 1_500_000
"""Words of the made-up text and its length: its frequencies fall as those of words do."""
LONG = 50_000
"""Characters of the long text."""
RESULTS = Results("page", "python benchmarks/page.py", ("fastapi", "uvicorn", "playwright"))

SERVER = """
import sys
from thence.serve import create_app, open_runs
from thence.serve.server import Server, _listen
models = open_runs(sys.argv[1:])
with _listen("127.0.0.1", 0) as listening:
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    Server(create_app(models), models=models).run(sockets=[listening])
"""
WATCH = """() => {
  window.waits = [];
  let began = 0;
  addEventListener("input", () => { began = performance.now(); }, true);
  new MutationObserver(() => {
    const mine = began;
    requestAnimationFrame(() => setTimeout(() => window.waits.push(performance.now() - mine)));
  }).observe(document.getElementById("panel-look"), { attributeFilter: ["data-read"] });
}"""
"""Notes the milliseconds from each input to the frame after everything has been drawn."""
PASTE = """text => {
  const field = document.querySelector("textarea.editor");
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="first visits")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        runs, text = train(Path(name))
        with serving(runs) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            visits = [first_visit(browser, address) for _ in range(given.rounds)]
            keep_visits(visits)
            for models in (ALONE, TOGETHER):
                keep_keys(browser, address, models)
            keep_long(browser, address, text)
            keep_whole_runs(address)
            browser.close()


def train(folder: Path) -> tuple[list[Path], str]:
    """Train all models; return their folders and a text that none has seen."""
    runs = [folder / name for name in (*TOGETHER[:-1], TOGETHER[-1], "words-2gram")]
    thence.train("given-names", "ngram", order=5, output=runs[0])
    thence.train("given-names", "mlp", steps=300, threads=1, output=runs[1])
    thence.train("given-names", "gru", steps=100, threads=1, snapshots=20, output=runs[2])
    thence.mix([runs[0], runs[2]], output=runs[3])
    ranks = np.arange(1, WORDS + 1)
    shares = 1 / (ranks + 2.7)
    drawn = np.random.default_rng(1).choice(WORDS, TOKENS, p=shares / shares.sum())
    drawn[:WORDS] = np.arange(WORDS)  # Each occurs.
    words = np.array([f"w{rank}" for rank in ranks])[drawn]
    lines = [" ".join(line) for line in words.reshape(-1, 20)]
    path = folder / "words.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    thence.train(path, "ngram", order=2, tokens="words", output=runs[4])
    return runs, "\n".join(lines[-2000:])[:LONG]


@contextmanager
def serving(runs: list[Path]) -> Iterator[str]:
    """Serve runs in a process of their own; give the address."""
    words = [sys.executable, "-c", SERVER, *map(str, runs)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def opened(page: Page, address: str, models: tuple[str, ...], text: str = "") -> None:
    """Open the page and wait until it has drawn what the models say of a text."""
    state = {"m": list(models), "text": text}
    page.goto(f"{address}/#{urlencode(state, doseq=True)}")
    read(page, text)


def read(page: Page, text: str) -> None:
    """Wait until all models have read a text."""
    while page.locator("#panel-look").get_attribute("data-read") != text:
        page.wait_for_timeout(5)


def first_visit(browser: Any, address: str) -> dict[str, float]:
    """Return milliseconds to the first paint and to the bars, requests, and bytes, of one visit."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page, requests = context.new_page(), list[str]()
    page.on("request", lambda request: requests.append(request.url))
    opened(page, address, TOGETHER[:2], "kath")
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    entries = "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
    found = {
        "paint": page.evaluate(paint),
        "bars": page.evaluate(f"Math.max(...{entries}.map((one) => one.responseEnd))"),
        "bytes": page.evaluate(f"{entries}.reduce((sum, one) => sum + one.transferSize, 0)"),
        "requests": len([url for url in requests if not url.startswith("data:")]),
    }
    context.close()
    return found


def keep_visits(visits: list[dict[str, float]]) -> None:
    """Keep what first visits took."""
    for key, claim, unit, goal in (
        ("paint", "first visit: until the first paint", "ms", "<= 500"),
        ("bars", "first visit: until the answer with the bars", "ms", ""),
        ("requests", "first visit: requests", "requests", "<= 5"),
        ("bytes", "first visit: sent over the network", "bytes", ""),
    ):
        RESULTS.add(key, claim, {"page": [visit[key] for visit in visits]}, unit, goal=goal)


def keep_keys(browser: Any, address: str, models: tuple[str, ...]) -> None:
    """Keep how long it takes from a key to the bars."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    opened(page, address, models)
    page.evaluate(WATCH)
    field = page.locator("textarea.editor").first
    for name in NAMES:
        field.press("Control+a")
        for place, letter in enumerate(name, 1):
            field.press(letter)
            read(page, name[:place])
            page.wait_for_timeout(60)
    waits = page.evaluate("window.waits")
    page.close()
    many = "one model" if len(models) == 1 else f"{len(models)} models"
    key, claim = f"key-{len(models)}", f"from a key to all bars, names, {many}"
    note = f"{len(waits)} keys; 95 of 100 within {np.quantile(waits, 0.95):.0f} ms"
    RESULTS.add(key, claim, {"page": [median(waits)]}, "ms", goal="<= 100", note=note)


def ask(url: str, content: Any = None) -> float:
    """Return the milliseconds of a request."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


def keep_whole_runs(address: str) -> None:
    """Keep how long replays and comparisons take, each of another seed, text or choice of runs."""
    replay = f"{address}/playground/replay"
    first, *others = (ask(f"{replay}?run=names-gru&seed={seed}") for seed in range(5))
    read = [ask(replay, {"run": "names-gru", "text": name, "view": "gates"}) for name in NAMES]
    pairs = [[TOGETHER[a], TOGETHER[b]] for a in range(4) for b in range(a)]
    compared = [ask(f"{address}/playground/compare", {"runs": pair}) for pair in pairs]
    for key, claim, times in (
        ("replay-first", "a replay of 20 snapshots, opened first", [first]),
        ("replay-seed", "its samples with another seed", others),
        ("replay-text", "its gates and surprisals for another name", read),
        ("compare", "two runs compared on 1,351 names of dev", compared),
    ):
        RESULTS.add(key, claim, {"page": times}, "ms")


def keep_long(browser: Any, address: str, text: str) -> None:
    """Keep how long a long text takes, by the server alone and in the page."""
    texts = (text + " w1" * more for more in range(5))
    strips = f"{address}/playground/strips"
    asked = [ask(strips, {"models": ["words-2gram"], "text": given}) for given in texts]
    claim = "50 kB read by a 2-gram of 52,000 words, by the server"
    RESULTS.add("long-server", claim, {"page": asked}, "ms", goal="<= 1000")
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    opened(page, address, ("words-2gram",))
    page.evaluate(WATCH)
    for more in range(5):
        given = text + " w1" * more
        page.evaluate(PASTE, given)
        read(page, given)
        page.wait_for_timeout(100)
    waits = page.evaluate("window.waits")
    page.close()
    claim = "50 kB pasted, then a word added four times, until all is drawn"
    RESULTS.add("long-page", claim, {"page": waits}, "ms", goal="<= 1000")


if __name__ == "__main__":
    main()
