"""Models as pages in Chromium, opened as files: the numbers of Python, and what a reader does.

The runs have random weights, so that log-probabilities differ from place to place.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.exchange import export
from thence.exchange.html import LARGEST, Page, build_page, labels, language, tokenizer_of_page
from thence.generation.sampling_filters import DecodingOptions, apply_filters, softmax
from thence.models.base import read, static_model
from thence.runs import ClassifierRun, LanguageRun, Run
from thence.tokens import encode_texts

from .conftest import OTHERWISE

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]

LINES = ("anna sat.", "an «old» dog ran", "der Ärger, naïve", "don't (not) go", "سلام يا عالم") * 5
REVIEWS = ("a good film,pos", "a bad film,neg", "good and long,pos;x", "bad and long,neg") * 10
TEXT = "an Old dog's  naïve… سلام 🎈 zoo.\nAnna"
SYMBOLS = [
    *"abAZ  \t\n'’.,-_<>[]({”«\"!09éßİıΣσǅ\0\x1c\x85\xa0\xad²½", "\u0301", "\u200d", "\u2028",
    "\u3000", "\ufeff", "\ufffd", "سل", "َ", "日本", "ｶﾞ", "🎈", "👩\u200d👧", "ﬁ", "A\u030a", "ᄀ",
    "ᅡ", "<unk>", "</s>", "[UNK]", "<a>", "don't", "ไท", "मा", "𝔘",
]  # fmt: skip
"""What random texts are made of: what programs cut, fold and compose in different ways."""
SMALL: dict[str, Any] = {"embedding_size": 6, "hidden_size": 8, "threads": 1, "steps": 3}
ATTENTIVE: dict[str, Any] = {
    "embedding_size": 8,
    "heads": 2,
    "layers": 2,
    "context": 4,
    "threads": 1,
    "steps": 3,
}
LANGUAGE: dict[str, tuple[str, dict[str, Any]]] = {
    "ngram": ("ngram", {"tokens": "words"}),
    "quantised": ("ngram", {"order": 3, "bits": 8, "smoothing": "witten-bell", "nfc": True}),
    "counts": ("bigram-counts", {"add_k": 0.0, "tokens": "words", "word_split": "whitespace"}),
    "classes": ("class-ngram", {"tokens": "words", "classes": 5}),
    "bigram": ("bigram", {"threads": 1, "steps": 3, "lowercase": True}),
    "mlp": ("mlp", SMALL | {"layers": 2, "direct": True, "activation": "gelu"}),
    "bytes": ("mlp", SMALL | {"tokens": "bytes", "context": 1}),
    "rnn": ("rnn", SMALL | {"tied": True, "tokens": "words", "unknown": "bytes"}),
    "lstm": ("lstm", SMALL | {"layers": 2, "tokens": "subwords", "max_size": 280}),
    "gru": ("gru", SMALL | {"softmax": "adaptive", "unknown": "bytes"}),
    "transformer": ("transformer", ATTENTIVE),
    "learned": ("transformer", ATTENTIVE | OTHERWISE),
    "alone": ("transformer", ATTENTIVE | {"context": 1}),
}
LABELS: dict[str, tuple[str, dict[str, Any]]] = {
    "averaging": ("averaging", {"character_ngrams": (1, 3), "hidden_sizes": (8,), "steps": 20,
                                "buckets": 512, "threads": 1}),
    "linear": ("linear", {"weighting": "tfidf", "character_ngrams": (2,), "strength": 1.0}),
    "letters": ("linear", {"tokens": "characters", "strength": 1.0}),
    "fasttext": ("fasttext", {"ngrams": 2, "shortest_subword": 2, "longest_subword": 3,
                              "buckets": 300, "embedding_size": 4, "lowercase": False}),
    "tree": ("fasttext", {"head": "hs", "embedding_size": 4, "passes": 20}),
    "several": ("averaging", {"label_separator": ";", "steps": 20, "ngrams": 1, "threads": 1}),
}  # fmt: skip
READ = """async (text) => {
    const { reader, tokenizer } = thence;
    const ids = tokenizer.encode(tokenizer.normal(text)).flatMap((piece) => piece.ids);
    await reader.read(ids.slice(0, -3).concat(0, 0));
    await reader.read(ids);
    const rows = Array.from({ length: ids.length + 1 }, (_, at) => Array.from(reader.after(at)[1]));
    return { ids, rows, nats: reader.nats };
}"""
ENCODE = """(texts) => texts.map((text) => {
    const normal = thence.tokenizer.normal(text);
    const pieces = thence.tokenizer.encode(normal);
    const isText = pieces.every(({ text, start, end }) => normal.slice(start, end) === text);
    return isText ? pieces.flatMap((piece) => piece.ids) : null;
})"""
NAMES = {"temperature": "temperature", "top_k": "topK", "top_p": "topP"}
FILTERED = """([row, options]) => {
    return Array.from(filtered(row.map((x) => x ?? -Infinity), options));
}"""
DECODE = "(rows) => rows.map((ids) => thence.tokenizer.written('', ids))"
EXPLAIN = """async ([text, label]) => {
    const logProbs = thence.classifier.classify(text);
    const parts = await thence.explain(text, label, logProbs, () => false);
    return {
        logProbs: Array.from(logProbs),
        parts: parts.map(({ start, weight }) => [start, weight]),
    };
}"""


@dataclass
class Opened:
    """A page, and whatever happened there that should not."""

    page: Any
    wrongs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.wrongs.append(message.text))
        self.page.on("pageerror", lambda error: self.wrongs.append(str(error)))
        self.page.on("request", self._on_request)

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.wrongs.append(f"request to {request.url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        settings = ["--no-sandbox", "--renderer-process-limit=1"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=settings)
        sync_api.expect.set_options(timeout=60_000)
        yield started.new_context()
        started.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a run as a page; whatever goes wrong there fails the test."""
    opened: list[Opened] = []

    def open_it(run: Run, made: Page | None = None, address: str = "", **size: int) -> Any:
        path = tmp_path / "pages" / f"{run.name}{len(opened)}.html"
        if made is None:
            export(run, path)
        else:
            path.write_bytes(made.content)
        page = browser.new_page()
        page.set_viewport_size({"width": 1200, "height": 900} | size)
        opened.append(Opened(page))
        page.goto(path.as_uri() + address)
        page.wait_for_selector("section")
        return page

    (tmp_path / "pages").mkdir()
    yield open_it
    for one in opened:
        one.page.close()
        assert one.wrongs == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
    (folder / "reviews.csv").write_text("\n".join(("text,label", *REVIEWS)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def language_run(folder: Path) -> Callable[[str], LanguageRun]:
    def make(name: str) -> LanguageRun:
        model, settings = LANGUAGE[name]
        run = thence.train(folder / "lines.txt", model, output=folder / name, **settings)
        if "steps" in settings:
            _scatter(run)
        return LanguageRun(run)

    return make


def _scatter(run: Run) -> None:
    """Give a network weights far from 0."""
    draw = np.random.default_rng(0)
    drawn = {
        n: np.asarray(draw.normal(0, 0.5, v.shape), v.dtype) for n, v in run.model.tensors().items()
    }
    run.model.load_tensors(drawn)


def check_language(page: Any, run: LanguageRun, text: str = TEXT) -> None:
    """Compare all next-token probabilities after each token, and the surprisals of a text."""
    found = page.evaluate(READ, text)
    store, model = run.tokenizer.encode(text), static_model(run.model)
    assert model is not None
    ids = np.asarray(store.ids[:-1], np.int64)
    assert found["ids"] == ids[1:].tolist()
    expected = np.asarray(read(model, ids[None], model.start(1))[0][0], np.float64)
    rows = np.array([[-np.inf if x is None else x for x in row] for row in found["rows"]])
    assert np.allclose(np.exp(rows), np.exp(expected), rtol=0, atol=1e-3)
    possible = expected > -20
    assert rows[possible] == pytest.approx(expected[possible], abs=1e-3)
    nats = -model.score(store)[:-1]
    assert [np.inf if x is None else x for x in found["nats"]] == pytest.approx(nats, abs=1e-3)


def check_tokens(page: Any, run: Run) -> None:
    """Compare the ids of random texts, and the texts of random ids."""
    draw, boundary = random.Random(1), run.tokenizer.vocabulary.boundary_id
    texts = ["".join(draw.choices(SYMBOLS, k=draw.randint(0, 20))) for _ in range(200)]
    encoded = [run.tokenizer.encode(text).targets[:-1].tolist() for text in texts]
    assert page.evaluate(ENCODE, texts) == encoded
    rows = [ids for ids in encoded if boundary not in ids]
    assert page.evaluate(DECODE, rows) == [run.tokenizer.decode(ids) for ids in rows]


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_page_says_what_the_run_says(
    visit: Callable[..., Any], language_run: Callable[[str], LanguageRun], name: str
) -> None:
    run = language_run(name)
    page = visit(run)
    check_language(page, run)
    check_tokens(page, run)


@pytest.fixture(scope="module")
def members(folder: Path) -> list[Run]:
    train = partial(thence.train, folder / "lines.txt")
    ngram = train("ngram", output=folder / "member-ngram", order=3)
    return [ngram, train("gru", output=folder / "member-gru", **SMALL | {"steps": 40})]


@pytest.mark.parametrize("weights", ["single", "buckets", "gated"])
def test_mixtures(
    visit: Callable[..., Any], members: list[Run], tmp_path: Path, weights: Any
) -> None:
    run = LanguageRun(thence.mix(members, tmp_path / "mix", weights=weights))
    page = visit(run)
    check_language(page, run)
    found = page.evaluate("thence.reader.model.shares(thence.reader.after(3)[2])")
    lens = thence.look(run, TEXT, lenses=["mixture"]).to_json()["lenses"]["mixture"]
    assert [name for name, _ in found] == lens["members"]
    assert [weight for _, weight in found] == pytest.approx(lens["tokens"][3]["weights"], abs=1e-3)


@pytest.mark.parametrize("name", LABELS)
def test_classifiers(visit: Callable[..., Any], folder: Path, tmp_path: Path, name: str) -> None:
    model, settings = LABELS[name]
    run = ClassifierRun(
        thence.train(
            folder / "reviews.csv", model, label="label", output=tmp_path / name, **settings
        )
    )
    page = visit(run)
    check_classifier(page, run)
    if name == "averaging":
        check_by_axe(page)


def test_an_ensemble(visit: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    train = partial(thence.train, folder / "reviews.csv", label="label")
    first = train("linear", output=tmp_path / "linear", strength=1.0)
    second = train("averaging", output=tmp_path / "averaging", threads=1, steps=20)
    third = train("convolution", output=tmp_path / "convolution", threads=1, steps=2, filters=2)
    run = ClassifierRun(thence.mix([first, second, third], tmp_path / "all"))
    page = visit(run)
    assert "convolution: other parts have their weight" in page.inner_text(".facts")
    run.__dict__["classifier"], left_out = labels.exportable_part(run)
    assert left_out == ("convolution",)
    check_classifier(page, run)


@pytest.mark.parametrize("name", ["pruned.ftz", "ova.bin", "hs.bin"])
def test_files_of_fasttext(visit: Callable[..., Any], tmp_path: Path, name: str) -> None:
    files = Path(__file__).parent / "fasttext_files"
    lines = json.loads((files / "expected.json").read_text(encoding="utf-8"))["lines"]
    run = ClassifierRun(cast(Run, thence.import_model(files / name, tmp_path / "run")))
    texts = encode_texts(run.tokenizer, Documents.from_strings(lines))
    found = visit(run).evaluate(
        "(lines) => lines.map((line) => Array.from(thence.classifier.classify(line)))", lines
    )
    expected = run.classifier.classify(texts)
    assert np.allclose(np.exp(found), np.exp(expected), rtol=0, atol=1e-3)
    assert np.allclose(found, expected, rtol=0, atol=1e-2)  # One has 200 times the same word.


def test_fewer_bits(visit: Callable[..., Any], members: list[Run], tmp_path: Path) -> None:
    """The page says what the model with rounded weights says, in any number of bits."""
    run = LanguageRun(thence.mix(members, tmp_path / "mix"))
    model, _ = language.exportable_part(run)
    tokenizer = tokenizer_of_page(run.tokenizer, "characters")
    for bits in (8, 12):
        made = build_page(run, tokenizer, bits, LARGEST)[1]
        assert made is not None and made.difference > 0
        run.__dict__["model"] = language.quantized(model, bits)
        check_language(visit(run, made), run)
        run.__dict__["model"] = model


def check_classifier(page: Any, run: ClassifierRun) -> None:
    """Compare the probabilities of labels and the weights of words, then type a text."""
    for text in ("A GOOD but long… film (zzz)  it's", "", "good good\0bad </s> film"):
        documents = Documents.from_strings([text])
        expected = run.classifier.classify(encode_texts(run.tokenizer, documents))[0]
        found = page.evaluate(EXPLAIN, [text, int(np.argmax(expected))])
        assert found["logProbs"] == pytest.approx(expected, abs=1e-3)
        parts = [(part.start, part.weight) for part in thence.explain(run, text).tokens]
        assert [start for start, _ in found["parts"]] == [start for start, _ in parts]
        assert [weight for _, weight in found["parts"]] == pytest.approx(
            [weight for _, weight in parts], abs=2e-3
        )
    page.fill("textarea", "a bad bad film")
    sync_api.expect(page.locator(".bar").first).to_contain_text("neg")
    sync_api.expect(page.locator(".part.for").first).to_be_visible()


@pytest.fixture
def names(folder: Path, tmp_path: Path) -> Run:
    return thence.train(folder / "lines.txt", "ngram", output=tmp_path / "n", unknown="refuse")


def test_a_reader_appends_chooses_and_writes_on_by_keys(
    visit: Callable[..., Any], names: Run
) -> None:
    page, expect = visit(names), sync_api.expect
    field, tokens, bars = page.locator("#text"), page.locator(".token"), page.locator(".bar")
    expect(page.locator(".figures")).to_contain_text("The text is empty")
    field.press_sequentially("an old do")
    expect(tokens).to_have_count(9)
    likeliest, probability = thence.next_tokens(names, "an old do").tokens[0]
    expect(bars.first).to_contain_text(f"{100 * probability:.1f} %")
    bars.first.press("Enter")
    expect(field).to_have_value(f"an old do{likeliest}")
    page.get_by_role("button", name="Undo").press("Enter")
    expect(field).to_have_value("an old do")
    page.locator(".tokens").press("ArrowLeft")
    expect(page.locator("[aria-selected=true]")).to_have_text("o")
    expect(page.locator(".next h2")).to_have_text("In place of o")
    expect(page.locator(".next .hint").first).to_contain_text("bits; ")
    page.locator('.bar[aria-label^="n,"]').click()
    expect(field).to_have_value("an old dn")
    page.get_by_role("button", name="Undo").click()
    page.locator(".tokens").press("ArrowLeft")
    page.locator(".tokens").press("Escape")
    expect(page.locator(".next h2")).to_have_text("Next token")
    page.get_by_label("Top-k").press("ArrowRight")
    expect(bars.first).to_contain_text("100.0 %")
    page.get_by_role("button", name="Generate").click()
    written = thence.sample(names, 1, prefix="an old do", greedy=True).texts[0]
    expect(field).to_have_value(written)
    expect(page.get_by_role("button", name="Generate")).to_be_visible()
    field.fill("an Q")
    expect(page.get_by_role("alert")).to_contain_text("The model has no “Q”")


def test_right_to_left_and_narrow(visit: Callable[..., Any], names: Run) -> None:
    page = visit(names, address="#سلام", width=390, height=800)
    sync_api.expect(page.locator(".token")).to_have_count(4)
    assert page.evaluate("getComputedStyle(document.querySelector('.tokens')).direction") == "rtl"
    page.locator(".tokens").press("ArrowLeft")
    sync_api.expect(page.locator("[aria-selected=true]")).to_have_text("س")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    check_by_axe(page)


def check_by_axe(page: Any) -> None:
    """Let axe find nothing, in the light and in the dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_what_was_read_is_not_read_again(visit: Callable[..., Any], names: Run) -> None:
    page = visit(names)
    steps = """async (text) => {
        const { model } = thence.reader;
        let steps = 0;
        const step = model.step.bind(model);
        model.step = (...given) => { steps += 1; return step(...given); };
        await thence.change(text);
        model.step = step;
        return steps;
    }"""
    assert page.evaluate(steps, "an old dog") == 10
    assert page.evaluate(steps, "an old dog ran") == 4
    assert page.evaluate(steps, "an old do") == 1


def test_sampling_filters(visit: Callable[..., Any], names: Run) -> None:
    page, draw = visit(names), np.random.default_rng(3)
    cases: tuple[dict[str, Any], ...] = (
        {"temperature": 0.5},
        {"temperature": 1.5, "top_k": 7},
        {"top_p": 0.6},
        {"temperature": 2.0, "top_k": 12, "top_p": 0.9},
    )
    for options in cases:
        log_probs = draw.normal(0, 2, (1, 30))
        log_probs[0, [3, 4]] = log_probs[0, 5], -np.inf
        expected = softmax(apply_filters(log_probs, DecodingOptions(**options)))[0]
        named = {NAMES[name]: value for name, value in options.items()}
        row = [None if np.isinf(x) else x for x in log_probs[0]]
        found = page.evaluate(FILTERED, [row, named])
        assert found == pytest.approx(expected, abs=1e-12)
