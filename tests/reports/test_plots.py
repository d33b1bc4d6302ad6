import re
from types import SimpleNamespace

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.models.memory_guard import within_memory
from thence.reports import plot, report
from thence.reports.content import SURPRISING, RunningText
from thence.reports.formatting import duration, symbol_text, visible
from thence.reports.markup import to_html, with_dark_colours
from thence.reports.plots import run_plots
from thence.reports.plots.bigrams import (
    has_context_of_one,
    model_probabilities,
    pair_counts,
    plot_bigrams,
)
from thence.reports.plots.charts import plot_loss, to_figure, training_plots
from thence.reports.plots.embeddings import draw_points, plot_embeddings
from thence.reports.reading import read_dev
from thence.reports.report import report_html, samples_section, splits_section
from thence.reports.style import drawable, to_svg
from thence.reports.surprisal import (
    document_tokens,
    extreme_documents,
    surprisal_section,
    surprisal_token,
)
from thence.reports.symbols import most_frequent, project
from thence.reports.training import finder_chart
from thence.tokens import TokenOptions, make_tokenizer

from .conftest import SCRIPT, Page, run_with

WORDS = ["emma", "olivia", "ava", "mia", "$x_1$", "日本", "a b", "tab\there", "&amp;", SCRIPT]
NAMES = [a + b for a in WORDS for b in ("", "a", "na", "el", "i")]
STEPS = [
    {
        "step": 5,
        "seconds": 0.1,
        "learning_rate": 0.1,
        "train_nats_per_token": 3.0,
        "dev_nats_per_token": 2.9,
    },
    {
        "step": 10,
        "seconds": 0.2,
        "learning_rate": 0.2,
        "train_nats_per_token": 2.0,
        "dev_nats_per_token": 2.5,
    },
    {
        "step": 15,
        "seconds": 0.3,
        "learning_rate": 0.0,
        "train_nats_per_token": 1.5,
        "dev_nats_per_token": 2.6,
    },
]


def make_run(folder, model, split="60/20/20", texts=NAMES, **settings):
    text = folder / f"{model}.txt"
    text.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return thence.train(text, model, output=folder / f"{model}-run", split=split, **settings)


@pytest.fixture(scope="module")
def mlp(tmp_path_factory):
    settings = {"embedding_size": 3, "hidden_size": 4, "steps": 3, "batch_size": 16}
    return make_run(tmp_path_factory.mktemp("mlp"), "mlp", evaluate_every=1, **settings)


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("counts"), "bigram-counts", add_k=0.0)


def title_of(figure):
    return figure.axes[0].get_title(loc="left")


# Curves


def test_the_loss_curve_marks_the_lowest_dev_loss():
    figure = plot_loss(run_with(STEPS)).figure
    assert title_of(figure) == "Loss, best on dev at step 10: 2.500"
    assert figure.axes[0].get_legend_handles_labels()[1] == ["train", "dev"]
    assert figure.axes[0].get_ylabel() == "nats per character"
    assert "15 in 0.3 s" in figure.axes[0].get_xlabel()


def test_without_dev_only_the_train_loss_is_drawn():
    steps = [{**line, "dev_nats_per_token": None} for line in STEPS]
    assert len(plot_loss(run_with(steps)).figure.axes[0].lines) == 1


def test_the_learning_rate_is_drawn_at_every_evaluation():
    (_, drawn) = training_plots(run_with(STEPS))
    assert list(drawn.figure.axes[0].lines[0].get_ydata()) == [0.1, 0.2, 0.0]


def test_the_finder_curve_marks_its_suggestion():
    rates = np.geomspace(1e-3, 1, 20)
    losses = 3 - np.sin(np.linspace(0, 3, 20))
    curve = SimpleNamespace(rates=rates, losses=losses, smoothed=losses, suggestion=0.05)
    axes = to_figure("finder", finder_chart(curve)).figure.axes[0]
    assert axes.get_xscale() == "log"
    assert "suggestion: 0.05" in axes.get_legend_handles_labels()[1]


def test_durations_have_the_unit_that_suits_them():
    shown = [duration(seconds) for seconds in (0.04, 72, 600, 7260)]
    assert shown == ["0.0 s", "72 s", "10 min", "2 h 1 min"]


# Symbols and frequencies


def test_spaces_and_control_characters_are_visible():
    assert visible("a b\n\t\r\x00\u200b") == "a␣b⏎⇥␍U+0000U+200B"


def test_a_character_without_a_glyph_is_its_code_point():
    assert drawable("é\U0001f9ff") == "éU+1F9FF"


@pytest.mark.parametrize("level", ["characters", "bytes", "words", "subwords"])
def test_every_token_has_a_text_or_a_name(level):
    documents = Documents.from_strings(["zoë <unk> x", "日"])
    tokenizer = make_tokenizer(documents, TokenOptions(tokens=level))
    texts = [symbol_text(tokenizer, index) for index in range(len(tokenizer.vocabulary))]
    assert all(texts) and "\ufffd" not in "".join(texts)
    assert texts[-1] == "<boundary>"


def test_frequencies_put_the_boundary_first_and_leave_out_what_never_occurs():
    # |ab|b| with a 0, b 1, c 2 (never seen), | 3: a once, b twice, the boundary twice.
    tokenizer = make_tokenizer(Documents.from_strings(["abc"]), TokenOptions(unknown="refuse"))
    store = tokenizer.encode(["ab", "b"])
    counts = store.id_counts(4)
    assert counts.tolist() == [1, 2, 0, 2]
    assert most_frequent(counts, 10, 3).tolist() == [3, 1, 0]
    assert most_frequent(counts, 2, 3).tolist() == [3, 1]
    # Pairs |a, ab, b|, |b, b|: rows and columns |, b, a.
    expected = [[0, 1, 1], [2, 0, 0], [0, 1, 0]]
    assert pair_counts(store, np.array([3, 1, 0]), 4).tolist() == expected


# Heat map


def test_the_count_model_shows_its_counts(tmp_path):
    run = make_run(tmp_path, "bigram-counts", texts=["ab", "ba", "aab", "bab", "b"])
    figure = plot_bigrams(run).figure
    assert "How often" in title_of(figure)
    cells = "".join(text.get_text() for text in figure.axes[0].texts)
    assert re.search(r"■[ab]\n\d", cells)


def test_a_model_that_has_context_of_one_is_asked_for_its_probabilities(tmp_path):
    run = make_run(tmp_path, "bigram", steps=2)
    ids = np.arange(len(run.tokenizer.vocabulary))
    assert has_context_of_one(run.model, ids)
    np.testing.assert_allclose(model_probabilities(run.model, ids).sum(axis=1), 1, atol=1e-5)
    assert "as the model predicts" in title_of(plot_bigrams(run).figure)


def test_for_a_model_with_more_context_train_is_counted(mlp):
    assert not has_context_of_one(mlp.model, np.arange(5))
    figure = plot_bigrams(mlp).figure
    assert "counted in the train split" in title_of(figure)
    shares = figure.axes[0].images[0].get_array()
    assert shares.max() <= 1


# Embeddings


def test_two_dimensions_are_drawn_as_they_are():
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    points, shares = project(table)
    assert points is table and shares is None


def test_wider_embeddings_are_projected_with_their_share_of_the_variance():
    # Points along (1, 1, 0) with variance 2 x 2^2 and along (0, 0, 1) with 2 x 1^2: 80 and 20 %.
    table = np.array([[2, 2, 0], [-2, -2, 0], [0, 0, 2], [0, 0, -2]]) / np.sqrt([2, 2, 4])
    points, shares = project(table + 7)
    np.testing.assert_allclose(shares, [0.8, 0.2])
    np.testing.assert_allclose(np.abs(points), [[2, 0], [2, 0], [0, 1], [0, 1]], atol=1e-12)


def test_an_embedding_of_one_number_lies_on_a_line():
    points, shares = project(np.array([[1.0], [2.0], [4.0]]))
    assert points.shape == (3, 2) and not points[:, 1].any()
    np.testing.assert_allclose(shares, [1, 0])


def test_labels_that_would_overlap_are_left_out():
    points = np.zeros((30, 2)) + np.linspace(0, 1e-3, 30)[:, None]
    points[0] = 1
    figure = draw_points(points, ["word"] * 30, "title", ("x", "y"))
    labels = figure.axes[0].texts
    boxes = [label.get_window_extent() for label in labels]
    assert 1 <= len(labels) < 30
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_model_without_embeddings_has_no_map(counts, mlp):
    assert plot_embeddings(counts) is None
    assert "of the variance" in plot_embeddings(mlp).figure.axes[0].get_xlabel()


# Surprisal


def test_each_different_document_is_shown_once_and_in_one_list(tmp_path):
    run = make_run(tmp_path, "bigram-counts", texts=["ab", "b"] * 20, split="50/50/0")
    reading = read_dev(run)
    most, least = extreme_documents(reading.store, reading.nats)
    shown = [run.tokenizer.decode(document.ids.tolist()) for document in most + least]
    assert sorted(shown) == ["ab", "b"]
    assert sum(document.times for document in most + least) == 20


def test_documents_come_in_order_of_surprise(counts):
    reading = read_dev(counts)
    most, least = extreme_documents(reading.store, reading.nats, 3)
    assert len(most) == len(least) == 3
    assert most[0].bits_per_target >= most[1].bits_per_target >= most[2].bits_per_target
    assert least[0].bits_per_target <= least[1].bits_per_target <= most[2].bits_per_target


def test_spans_escape_the_text_and_tell_bits_and_probability(counts):
    tokenizer = counts.tokenizer
    store = tokenizer.encode(["<a"])
    document = SimpleNamespace(ids=store.targets, nats=np.log([2.0, 4.0, np.inf]))
    content = to_html([RunningText(document_tokens(document, tokenizer))])
    assert ">&lt;</span>" in content and 'title="&lt;: 1.00 bits, probability 0.5"' in content
    assert "a: 2.00 bits, probability 0.25" in content
    assert "&lt;boundary&gt;: infinitely many bits, probability 0" in content
    assert Page(content).tags == {"div": 1, "span": 3}


def test_colours_grow_with_the_surprisal():
    # log2 of 16 symbols is 4 bits, so the colour is strongest from 6 bits on.
    tokens = [surprisal_token("a", bits, 16) for bits in (0, 0.75, 3, 6, np.inf, np.nan)]
    assert [token.share for token in tokens] == [0, 0.125, 0.5, 1, 1, 1]
    assert {token.colour for token in tokens} == {SURPRISING}


# Report and plot


@pytest.mark.slow
def test_the_report_is_whole_and_harmless(mlp):
    page = Page(report(mlp).read_text("utf-8"))
    assert page.tags["script"] == 0 and SCRIPT in page.text
    assert page.tags["h1"] == 1 and page.tags["img"] == 0 and page.is_harmless()
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == page.tags["svg"] >= 4 and all(labels)
    assert "counting pairs of characters needs" in page.text
    assert "has not been looked at" in page.text
    assert (mlp.folder / "report.html").stat().st_size < 2_000_000
    assert mlp.test_looks() == []


def test_a_symbol_that_is_a_script_is_escaped(tmp_path):
    settings = {"tokens": "words", "word_split": "whitespace", "steps": 2, "context": 1}
    run = make_run(tmp_path, "mlp", embedding_size=2, **settings)
    page = Page(to_html([samples_section(run), surprisal_section(read_dev(run))]))
    assert page.tags["script"] == 0 and SCRIPT in page.text
    with within_memory(100):  # Less than choosing from so many words takes.
        assert "None were drawn" in Page(to_html([samples_section(run)])).text
    assert to_svg(plot_embeddings(run).figure).count(b"<script") == 0


def test_the_report_of_a_count_model_has_no_empty_sections(counts, tmp_path):
    path = tmp_path / "deep" / "page.html"
    assert report(counts.folder, path) == path
    page = Page(path.read_text("utf-8"))
    assert page.tags["img"] == 0
    assert not {"Training", "Embeddings"}.intersection(page.headings)
    assert str(tmp_path) not in path.read_text("utf-8")
    assert str(counts.folder.parent) not in path.read_text("utf-8")


def test_the_report_of_a_run_without_dev(tmp_path):
    run = make_run(tmp_path, "bigram-counts", split="100/0/0", texts=["ab", "b", "ba"])
    page = Page(report_html(run))
    assert "There is no dev split to evaluate on." in page.text
    assert page.headings == ["Samples", "Splits", "Model and settings"]


def test_the_report_tells_how_often_test_was_looked_at(tmp_path):
    run = make_run(tmp_path, "bigram-counts")
    run.record_test_look("evaluate")
    run.record_test_look("evaluate")
    assert "looked at 2 times" in to_html([splits_section(run)])


def test_the_report_of_a_run_whose_text_changed_says_so(tmp_path):
    run = make_run(tmp_path, "bigram-counts")
    (tmp_path / "bigram-counts.txt").write_text("other\n" * 30, encoding="utf-8")
    with pytest.raises(TextError):
        report(thence.Run(run.folder))


def test_embedded_drawings_follow_light_and_dark():
    svg = with_dark_colours(to_svg(plot_loss(run_with(STEPS)).figure)).decode("utf-8")
    assert "prefers-color-scheme:dark" in svg and "var(--ink)" in svg


@pytest.mark.slow
def test_plot_writes_every_picture(counts):
    written = plot(counts)
    names = ["heat-map.png", "heat-map.svg"]
    assert written == [counts.folder / "pictures" / name for name in names]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    assert written[1].read_bytes().startswith(b"<?xml")


def test_every_picture_has_a_name_and_a_description(mlp):
    drawn = run_plots(mlp)
    names = ["loss", "learning-rate", "gradient-norm", "heat-map", "embedding-map"]
    assert [p.name for p in drawn] == names
    assert "best on dev at step" in drawn[0].description


def test_plot_refuses_an_unknown_format(counts):
    with pytest.raises(SettingError, match=r"'pgn'.*png, svg.*Did you mean 'png'"):
        plot(counts, formats=["pgn"])


def test_drawings_are_the_same_bytes_each_time():
    first, second = (plot_loss(run_with(STEPS)).figure for _ in range(2))
    assert to_svg(first) == to_svg(second)
