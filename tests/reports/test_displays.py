"""What notebooks show: nothing that runs or is fetched, and the numbers as they are."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.autopilot import Best, Tried
from thence.corpus import MinimalPair
from thence.evaluation.classify import Classification
from thence.evaluation.compare import Compared, Comparison
from thence.evaluation.compare_labels import AgainstBest, ComparedClassifier, LabelComparison
from thence.evaluation.disagreements import Disagreement, Disagreements
from thence.evaluation.embeddings import SimilarWords
from thence.evaluation.explain import Contribution, Explanation
from thence.evaluation.pairs import PairScores, pair_report
from thence.evaluation.rescoring import Rescored, Rescoring, Utterance, Weights
from thence.evaluation.unusual import fit_calibration
from thence.filtering.result import SHOWN, Filtered, ModelCounts
from thence.generation import Completion, Completions, Filling, Fillings, NextTokens, Samples
from thence.hooks import repr_html
from thence.inspection import LabelLook, Look
from thence.inspection.examples import Examples, Line
from thence.inspection.result import MemberPrediction
from thence.inspection.tokens import Following, Likely, Tokens
from thence.reports.content import Bars, Plot
from thence.reports.displays import DISPLAYS, LONGEST_SAMPLE, MOST_RESULTS, display
from thence.reports.elements import escaped
from thence.reports.formatting import short
from thence.reports.markup import NOTEBOOK, STRONGEST, to_html
from thence.reports.run_card import chosen_settings
from thence.reports.style import new_figure
from thence.results import Result, Results, Score
from thence.sweeps import Sweep, Trial
from thence.training import find_learning_rate

from .conftest import SCRIPT, Page

SOURCES = Path(thence.__file__).parent
HOSTILE = (
    SCRIPT,
    '" onmouseover="alert(1)',
    "' style='position:fixed",
    "</span></div></table><b>",
    "&lt;already&gt;",
    "\u202egnirts\u202c \u2066x",
    "bell \x07 null \x00 escape \x1b[31m lone \ud800",
    "שלום עולם",
    "x" * 5000,
    "",
    "a\tb\r\nc\u2028d",
)


TEXTS = Plot | Explanation | Score | Look | LabelLook
"""Displays that show a whole text."""


def page_of(result: Any) -> Page:
    return Page(result._repr_html_())


def styles(page: Page, pattern: str) -> list[float]:
    """Return a number in the styles of the elements that have it."""
    found = [
        re.search(pattern, value or "") for _, name, value in page.attributes if name == "style"
    ]
    return [float(match[1]) for match in found if match]


def displayed(content: dict[str, Any], separator: str) -> Score:
    """Return a score of a run with 27 symbols."""
    score = Score(content)
    score.display = (27, separator, None)
    return score


def results_with(text: str) -> Iterator[Any]:
    """Yield a result of each kind in which a text stands wherever one can."""
    yield NextTokens(text, [(text, 0.5), ("a", 0.25)])
    yield Samples([text, "a"], [True, False], 1)
    yield Completions(text, [Completion(text, -1.0, True)])
    yield Fillings(text, [Filling([text], text, 0.5, -3.0)], 7, False)
    yield SimilarWords(text, [(text, 0.5), ("a", -0.5)])
    yield Classification(text, (text,), {text: 0.75, f"{text}2": 0.25})
    yield Explanation(text, text, 0.5, (Contribution(text, 0, len(text), -1.5),))
    yield displayed(score_of(text), "")
    yield look_at(text)
    parts = (Contribution(text, 0, len(text), -1.5),)
    says = (MemberPrediction(text, 0.5, {text: 0.75}),)
    yield LabelLook(text, text, text, text, {text: 0.75}, parts, says, False, False)
    of_model = ModelCounts(text, text, 4, 2, 0, None, 9.0, {f"{share:g}": 2.0 for share in SHOWN})
    yield Filtered(text, 4, 2, 0, (of_model,))
    yield fit_calibration(text, np.ones(4), np.full(4, 3))
    yield Results([Classification(text, (text,), {text: 0.75})])
    yield Comparison(text, 3, True, (Compared(text, text, 9, 0.0, 2.0, 1.5, None, 0),), text)
    yield Disagreements(text, [Disagreement(0, text, (2.0, 1.0))])
    against = AgainstBest(-0.5, (-0.75, -0.25), 3, 1, 0.5, 0.5)
    compared = (ComparedClassifier(text, 0.75, None), ComparedClassifier(text, 0.25, against))
    yield LabelComparison(text, 4, compared, text)
    pairs = [MinimalPair(text, "a", text, text)]
    judged = PairScores(np.array([[-1.0, -2.0]]), np.zeros(1, bool), np.zeros(1, bool))
    yield pair_report([text, text], pairs, [judged, judged])
    utterance = Utterance(text, (Rescored(text, -1.0, -2.0, (-3.0,)),), text)
    yield Rescoring((text,), Weights((0.5,), 0.0), text, None, (utterance,))
    trial = Trial(0, {text: text}, "finished", 2.0, 2.0, None, 1.0)
    yield Sweep(Path("sweep"), "token", {text: [text]}, (trial,))
    tried = Tried(text, text, {}, 0.1, 0.5, 2.0, 2.0)
    yield Best(Path("best"), "token", text, 10.0, None, 9.0, False, 2.0, tried=(tried,))
    yield Plot("name", text, text, new_figure(2, 1)[0])


def look_at(text: str) -> Look:
    following = Following(1.0, (Likely(text, 0, 0.5),), 1)
    spans = np.array([[0, len(text)]])
    tokens = Tokens(text, np.zeros(1, np.int64), spans, -np.ones(1), {}, 9, 8, {0: following})
    examples = [Examples(1, 0, 3, (Line(text, 0, len(text)),))]
    lenses = {"examples": examples, "of another package": text}
    return Look(
        text, text, text, True, False, (text,), 27, tokens, 1.0, following, (0, 1), (text,), lenses
    )


def score_of(text: str) -> dict[str, Any]:
    token = {"token": text, "log_probability": -math.log(2), "surprisal_bits": 1.0}
    impossible = {"token": text, "log_probability": None, "surprisal_bits": None}
    numbers = {"log_probability": -2.0, "targets": 2, "nats_per_token": 1.0}
    return {"text": text, **numbers, "tokens": [token, impossible]}


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_of_a_text_gets_out(text: str) -> None:
    expected = [Page(result._repr_html_()).tags for result in results_with("plain")]
    for result, tags in zip(results_with(text), expected, strict=True):
        shown = repr_html(result)
        page = Page(shown)
        assert page.is_harmless()
        assert not text or page.tags == tags, type(result)  # No element came or went.
        assert {name for _, name, _ in page.attributes} <= {
            "alt", "class", "dir", "scope", "src", "style", "title",
        }  # fmt: skip
        assert all(char.isprintable() or char == "\n" for char in shown)
        shown.encode("utf-8")
        assert len(shown) < 20_000 or isinstance(result, TEXTS)


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.isprintable()][:5])
def test_a_text_is_shown_as_it_is(text: str) -> None:
    for result in results_with(text):
        if not isinstance(result, Sweep | Plot | Best):
            assert text in page_of(result).text


def test_each_kind_has_a_display_and_no_other() -> None:
    lines = [path.read_text("utf-8") for path in SOURCES.rglob("*.py")]
    marked = sum(len(re.findall(r"^    _repr_html_ = repr_html$", text, re.M)) for text in lines)
    kinds = kinds_of(Result)
    assert kinds <= DISPLAYS.keys()
    assert marked - 1 + len(kinds) == len(DISPLAYS)  # One line is that of Result itself.
    assert all(kind._repr_html_ is repr_html for kind in DISPLAYS)
    with pytest.raises(TypeError, match="no display for int"):
        display(1)


def kinds_of(base: type) -> set[type]:
    """Return the classes that nothing inherits, of those below a base."""
    below = [kind for kind in base.__subclasses__() if kind.__module__.startswith("thence")]
    return set[type]().union(*map(kinds_of, below)) if below else {base}


def test_next_tokens_add_up() -> None:
    page = page_of(NextTokens("Mari", [("a", 0.5), (" ", 0.25), ("<boundary>", 0.125)]))
    assert "after “Mari”" in page.text
    assert [float(found) for found in re.findall(r"0\.\d{4}", page.text)] == [
        0.5,
        0.25,
        0.125,
        0.125,
    ]
    assert styles(page, r"width: ([\d.]+)%") == [50, 25, 12.5]  # As of all bars, of one scale.
    assert "␣" in page.text


def test_bars_are_in_proportion_whatever_comes() -> None:
    rows = [("a", 2.0, "2"), ("b", -1.0, "-1"), ("c", math.nan, "?"), ("d", 9.0, "9")]
    page = Page(to_html([Bars(rows, 4)], NOTEBOOK))
    assert styles(page, r"width: ([\d.]+)%") == [50, 0, 0, 100]
    assert Page(to_html([Bars([])], NOTEBOOK)).tags == {"table": 1}


def test_surprisal_is_in_the_shades_and_in_the_words(sentences: thence.Run) -> None:
    (score,) = found = list(thence.score(sentences, "the war", tokens=True))
    page = page_of(found[0])
    about = [value or "" for _, name, value in page.attributes if name == "title"]
    bits = [float(re.search(r"([\d.]+) bits", text)[1]) for text in about]  # type: ignore[index]
    assert len(bits) == score["targets"] == len("the war") + 1
    assert sum(bits) == pytest.approx(-score["log_probability"] / math.log(2), abs=0.05)
    highest = 1.5 * math.log2(len(sentences.tokenizer.vocabulary))
    strengths = [round(STRONGEST * min(one / highest, 1)) for one in bits]
    assert styles(page, r"226 98 12 / (\d+)%") == pytest.approx(strengths, abs=1)
    assert "the war■" in page.text
    assert f"{score['nats_per_token']:.4f} nats per token" in page.text


def test_an_impossible_text_is_said_to_be() -> None:
    page = page_of(
        displayed({**score_of("a"), "log_probability": None, "nats_per_token": None}, " ")
    )
    assert "impossible" in page.text
    assert "a a" in page.text  # Two words with what stands between them.
    assert styles(page, r"226 98 12 / (\d+)%")[1] == STRONGEST


def test_a_score_without_tokens_shows_them_too(sentences: thence.Run) -> None:
    plain = next(thence.score(sentences, "the war"))
    assert "tokens" not in plain
    with_tokens = next(thence.score(sentences, "the war", tokens=True))
    assert repr_html(plain) == repr_html(with_tokens)
    assert "tokens" not in plain  # Looking changes nothing.
    assert page_of(next(thence.score(sentences, "the <b>war</b>"))).tags["b"] == 1  # The title.
    long = next(thence.score(sentences, "a" * 5000))
    assert page_of(long).tags["span"] == 1  # What is said beside the title.


def test_a_score_is_a_plain_dictionary_still(sentences: thence.Run) -> None:
    (score,) = thence.score(sentences, "the war")
    assert repr(score) == repr(dict(score))
    assert json.loads(json.dumps(score)) == dict(score)


def test_long_texts_are_shortened() -> None:
    tokens = [{"token": "a", "log_probability": -1.0, "surprisal_bits": 1.4}] * 400
    page = page_of(displayed({**score_of("a"), "tokens": tokens}, ""))
    assert "… and 160 more tokens" in page.text
    assert len(page_of(Samples(["b" * 9000], [True], None)).text) < 2 * LONGEST_SAMPLE
    assert "… and 20 more" in page_of(Samples(["b"] * 120, [True] * 120, None)).text


@pytest.mark.slow
def test_showing_results_uses_none_up(opinions: thence.Run) -> None:
    texts = [f"a good film {number}" for number in range(MOST_RESULTS + 5)]
    found = thence.classify(opinions, texts)
    assert "there are more" in page_of(found).text
    assert "there are more" in page_of(found).text
    assert next(found).text == texts[0]
    assert [one.text for one in found] == texts
    assert "there are more" in page_of(found).text
    assert "There are no results" in page_of(thence.classify(opinions, [])).text


def test_looking_asks_for_no_more_than_is_shown() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    results = Results(items())
    assert asked == []
    assert results.first(3) == [0, 1, 2]
    assert results.first(2) == [0, 1]
    assert asked == [0, 1, 2]
    assert list(results) == list(range(100))


def test_a_look_shows_its_tokens_and_lenses(sentences: thence.Run) -> None:
    page = page_of(sentences.look("ab", lenses=["following", "examples"]))
    assert "2 tokens" in page.text
    assert "likeliest" in page.text
    assert page_of(look_at("ab")).text.count("[ab]") == 1
    assert "white-space: nowrap" in look_at("ab")._repr_html_().partition("<caption")[2][:60]


def test_labels_and_explanations_show_their_numbers(opinions: thence.Run) -> None:
    (found,) = thence.classify(opinions, "a good film")
    page = page_of(found)
    assert all(f"{chance:.4f}" in page.text for chance in found.probabilities.values())
    assert sum(map(float, re.findall(r"\d\.\d{4}", page.text))) == pytest.approx(1, abs=1e-3)
    explanation = thence.explain(opinions, "a good film")
    page = page_of(explanation)
    assert "a good film" in page.text
    about = [value for _, name, value in page.attributes if name == "title"]
    weights = [f"{part.weight:+.2f} nats" for part in explanation.tokens]
    assert [text for text in about if text in weights] == weights


def test_signs_of_weights_are_told_without_colours_too() -> None:
    parts = (Contribution("good", 0, 4, 2.0), Contribution("bad", 5, 8, -1.0))
    shown = repr_html(Explanation("good bad", "pos", 0.5, parts))
    assert re.search(r"underline dotted\" title=\"-1.00 nats\">bad<", shown)
    assert re.search(rf"0 158 115 / {STRONGEST}%[^<]*>good<", shown)
    # Without any weight at all nothing is divided by.
    assert (
        "good" in page_of(Explanation("good", "pos", 1.0, (Contribution("good", 0, 4, 0.0),))).text
    )


def test_reports_show_their_rows(sentences: thence.Run, opinions: thence.Run) -> None:
    for run in (sentences, opinions):
        report = thence.evaluate(run, "dev")
        page = page_of(report)
        assert all(name in page.text and value in page.text for name, value in report.rows())
    columns, rows = report.table()  # type: ignore[union-attr]
    assert page.tags["th"] >= len(columns)
    assert all(cell in page.text for row in rows for cell in row)


def test_comparisons_show_their_tables(sentences: thence.Run, opinions: thence.Run) -> None:
    for run in (sentences, opinions):
        compared = thence.compare([run, run])
        page = page_of(compared)
        columns, rows = compared.table()
        assert all(cell in page.text for row in [columns, *rows] for cell in row)


def test_the_card_of_a_run_shows_its_sizes_and_its_best_evaluation(sentences: thence.Run) -> None:
    page = page_of(sentences)
    best = min(sentences.metrics(), key=lambda line: line["dev_nats_per_token"])
    for words in (
        "mlp: ",
        "embedding size 3, hidden size 4",
        f"{sentences.num_parameters:,}",
        f"{len(sentences.tokenizer.vocabulary)} characters",
        f"{best['dev_nats_per_token']:.4f} nats per token",
        "2 steps",
    ):
        assert words in page.text
    assert page.tags["svg"] == 1
    assert "samples" not in page.text  # As by default.


def test_the_card_of_a_classifier_counts_labels(opinions: thence.Run) -> None:
    text = page_of(opinions).text
    assert re.search(r"labels\s*2", text)
    assert "% right, " in text


def test_a_damaged_run_has_a_card_that_says_so(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("ab\nba\n" * 10)
    run = thence.train(text, "bigram-counts", output=tmp_path / "run")
    assert "at once" in page_of(run).text
    (run.folder / "model.safetensors").write_bytes(b"damaged")
    assert "unknown: " in page_of(thence.Run(run.folder)).text
    (run.folder / "tokenizer.json").unlink()
    assert page_of(thence.Run(run.folder)).text.count("unknown: ") == 2


def test_settings_are_sizes_and_what_was_chosen(sentences: thence.Run) -> None:
    options = sentences.recipe.options
    assert chosen_settings(options) == "context 3, embedding size 3, hidden size 4, layers 1"


def test_a_sweep_shows_its_best_trials_first() -> None:
    trials = (
        Trial(0, {"lr": 0.1}, "finished", 2.5, 2.5, None, 1.0),
        Trial(1, {"lr": 0.2}, "finished", 2.25, 2.25, None, 1.0),
        Trial(2, {"lr": 0.3}, "failed", reason="no"),
    )
    text = page_of(Sweep(Path("sweep"), "token", {"lr": {"low": 0.1, "high": 0.3}}, trials)).text
    assert "3 trials" in text
    assert "2 finished, 1 failed" in text
    assert text.index("trial-0001") < text.index("2.2500") < text.index("trial-0000")
    nothing = Sweep(Path("sweep"), "token", {"lr": [1]}, (trials[2],))
    assert "No trial has finished" in page_of(nothing).text


def test_the_best_shows_what_was_tried() -> None:
    tried = (Tried("ngram 3", "ngram", {}, 0.1, 0.5, 2.5, 2.5), Tried("a", "gru", {}, 1, 7, 2, 2))
    best = Best(Path("best"), "token", "12 documents", 10.0, None, 9.0, False, 1.75, tried=tried)
    text = page_of(best).text
    assert "the best in 9.0 s" in text and "12 documents" in text
    assert text.index("1.7500") < text.index("ngram 3") < text.index("2.5000")
    assert "dropped" in text


@pytest.mark.slow
def test_the_finder_shows_its_suggestion(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("ab\nba\n" * 10)
    curve = find_learning_rate(thence.make_recipe(text, "bigram", {}), rates=20)
    page = page_of(curve)
    assert f"{curve.suggestion:.2g}" in page.text
    assert page.tags["svg"] == 1
    assert page.is_harmless()


# What everything is made of


def test_escaping_keeps_spaces_and_shows_the_rest() -> None:
    assert escaped(" a  <b>\n\x07\u202e\t") == " a  &lt;b&gt;\nU+0007U+202E⇥"
    assert short("abcdefgh", 4) == "ab…h"
    assert short("abcd", 4) == "abcd"


def test_no_colour_but_those_of_lines_hides_the_ground() -> None:
    # The text has the colour of the notebook, so grounds must let its ground through.
    everything = "".join(repr_html(result) for result in results_with("a"))
    grounds = set(re.findall(r"background: ([^;\"]+)", everything))
    assert all(ground == "none" or re.search(r"/ \d+%\)$", ground) for ground in grounds)
    assert set(re.findall(r"[; \"]color: ([^;\"]+)", everything)) == {"inherit"}


@pytest.mark.slow
def test_a_result_costs_nothing_where_no_notebook_is() -> None:
    code = (
        "import sys; sys.modules['IPython'] = None\n"
        "from thence.generation import NextTokens\n"
        "found = NextTokens('', [('a', 1.0)])\n"
        "assert not {'matplotlib', 'thence.reports'} & set(sys.modules)\n"
        "assert '1.0000' in found._repr_html_()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_random() -> None:
    first, second = ([repr_html(result) for result in results_with("a")] for _ in range(2))
    assert first == second
