"""The report of a run: one HTML file that holds everything, needs no network and runs no script."""

import base64
import html
import math
import tomllib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from thence.corpus import count_shared
from thence.evaluation.likelihood import evaluate_likelihood
from thence.generation import sample
from thence.models import FAMILIES
from thence.models.ngram import NGram
from thence.pictures.curves import readable_seconds
from thence.pictures.drawing import FAINT, INK, PAPER, Picture, to_png, to_svg
from thence.pictures.plot import (
    embedding_picture,
    heat_map_picture,
    learning_rate_picture,
    loss_picture,
)
from thence.pictures.surprisal import (
    LEVELS,
    JudgedDocument,
    extreme_documents,
    highest_bits,
    surprisal_html,
)
from thence.training import Run
from thence.training.files import write_atomically
from thence.training.run import now

SAMPLES = 20
EXTREMES = 10
METRICS_ROWS = 100
LARGEST_SVG = 600_000
"""Bytes from which a picture is embedded as PNG: one with many words in it is larger as SVG."""

DARK = {INK: ("--ink", "#e4e9ee"), FAINT: ("--faint", "#39414a"), PAPER: ("--paper", "#14181d")}
"""The colours of a drawing that change in the dark: the name and the dark colour of each."""

UNKNOWN_RULES = {
    "symbol": "become one unknown symbol, <unk>",
    "bytes": "are spelled in bytes",
    "refuse": "are refused (closed vocabulary)",
}


def report(run: Run | str | Path, path: Path | None = None) -> Path:
    """Write everything about a run as one self-contained HTML page.

    The test split is not looked at.

    Args:
        run: The run or its folder.
        path: The file to write; by default ``report.html`` in the run folder.

    Returns:
        The file.

    Raises:
        TextError: If the text of the run cannot be read again.
        RunError: If the file cannot be written.
    """
    run = run if isinstance(run, Run) else Run(run)
    path = run.folder / "report.html" if path is None else path
    write_atomically(path, report_html(run).encode("utf-8"))
    return path


def report_html(run: Run) -> str:
    """Return the page; an imported run has no text for some of its sections to be about."""
    of_the_text = (score_section, heat_map_section, surprisal_section, split_section)
    sections = (
        heading,
        score_section,
        training_section,
        samples_section,
        heat_map_section,
        embedding_section,
        surprisal_section,
        split_section,
        config_section,
        metrics_section,
    )
    template = Template((files("thence.pictures") / "report_template.html").read_text("utf-8"))
    shown = [part for part in sections if not (run.imported and part in of_the_text)]
    body = "\n".join(part(run) for part in shown)
    return template.substitute(title=f"{html.escape(run.name)}: report", body=body)


def heading(run: Run) -> str:
    """Return the name of the run and what was trained on what."""
    recipe, vocabulary = run.recipe, run.tokenizer.vocabulary
    summary = FAMILIES[recipe.model].summary
    rows = [
        ("model", f"{recipe.model}: {summary}"),
        ("parameters", f"{run.model.num_parameters():,}"),
        *text_rows(run),
        ("tokens are", recipe.tokens.tokens),
        ("vocabulary", f"{len(vocabulary):,} symbols, the special ones included"),
        ("other symbols", UNKNOWN_RULES[vocabulary.unknown]),
    ]
    lead = f"{recipe.model} on {Path(recipe.text).name}, made {run.provenance['made']}"
    return (
        f"<h1>{html.escape(run.name)}</h1>\n"
        f'<p class="lead">{html.escape(lead)} with thence {html.escape(run.provenance["thence"])}'
        f"</p>\n{table(rows)}"
    )


def text_rows(run: Run) -> list[tuple[str, str]]:
    """Return what a run was made from."""
    if run.imported:
        return [("imported from", run.recipe.text)]
    sizes = [f"{len(run.documents(name)):,} {name}" for name in ("train", "dev", "test")]
    tokens = f"{run.store('train').num_targets:,} (each document's end is one)"
    return [
        ("text", run.recipe.text),
        ("documents", ", ".join(sizes)),
        ("train tokens", tokens),
    ]


def score_section(run: Run) -> str:
    """Return how good the model is on dev."""
    if len(run.documents("dev")) == 0:
        return section("Score on dev", note("There is no dev split to judge on."))
    judged = evaluate_likelihood(run, "dev")
    best = (
        f'<p class="score"><b>{judged.nats_per_token:.4f}</b> nats per token, '
        f"{judged.interval_in_words()}</p>"
    )
    return section("Score on dev", best + table(judged.rows()))


def training_section(run: Run) -> str:
    """Return the curves of the training."""
    curves = [loss_picture(run), learning_rate_picture(run)]
    drawn = "\n".join(embedded(picture) for picture in curves if picture is not None)
    absent = "There are no curves: the model was made in one step, by counting or a single look."
    unfinished = (
        ""
        if run.finished
        else note(
            "The training was stopped before its end; these are the best weights so far. Go on "
            "with thence resume."
        )
    )
    facts = counted_facts(run) + trained_facts(run)
    return section("Training", unfinished + facts + (drawn or note(absent)))


def trained_facts(run: Run) -> str:
    """Return how a network was trained: how long, how fast, how often its steps were clipped."""
    metrics = run.metrics()
    if FAMILIES[run.recipe.model].kind != "trained" or not metrics:
        return ""
    last, training = metrics[-1], run.recipe.training
    seconds = max(last["seconds"], 1e-3)
    rows = [
        ("steps", f"{last['step']:,} ({last['epoch']:.1f} epochs)"),
        ("time", f"{readable_seconds(seconds)}, {last['tokens'] / seconds:,.0f} tokens a second"),
        ("computed in", f"{training.precision}, threads: {training.threads}"),
    ]
    if training.clip is not None:
        share = last["clipped_steps"] / last["step"]
        rows.append((f"steps clipped to {training.clip:g}", f"{share:.1%}"))
    if training.average != "none":
        rows.append(("weights", f"averaged ({training.average})"))
    return table(rows)


def counted_facts(run: Run) -> str:
    """Return what an n-gram model knows of its counts, and dev's hit rate by order."""
    if not isinstance(run.model, NGram):
        return ""
    dev = None if run.imported or not len(run.documents("dev")) else run.store("dev")
    return table(run.model.facts(dev, run.recipe.training.carry_context))


def samples_section(run: Run) -> str:
    """Return texts drawn from the model."""
    drawn = sample(run, SAMPLES)
    text = f"{SAMPLES} texts drawn at temperature 1"
    if drawn.copies is not None:
        text += f"; {drawn.copies} of them are copies of train documents"
    items = [html.escape(text) or "&nbsp;" for text in drawn.texts]
    return section("Samples", note(f"{text}.") + listed(items, max(map(len, drawn.texts))))


def heat_map_section(run: Run) -> str:
    """Return which symbol follows which."""
    return section("What follows what", embedded(heat_map_picture(run)))


def embedding_section(run: Run) -> str:
    """Return the map of the embeddings."""
    picture = embedding_picture(run)
    drawn = note("This model has no embeddings.") if picture is None else embedded(picture)
    return section("Embeddings", drawn)


def surprisal_section(run: Run) -> str:
    """Return the dev documents that surprise the model most and least, token by token."""
    title = "Surprising dev documents"
    if len(run.documents("dev")) == 0:
        return section(title, note("There is no dev split to look for them in."))
    most, least = extreme_documents(run, "dev", EXTREMES)
    explained = (
        "The stronger the colour of a token, the less the model expected it there; hold the "
        "pointer over one for its surprisal in bits and its probability."
    )
    content = note(explained) + colour_scale(len(run.tokenizer.vocabulary))
    content += "<h3>Most surprising</h3>" + judged_documents(run, most)
    if least:
        content += "<h3>Least surprising</h3>" + judged_documents(run, least)
    return section(title, content)


def colour_scale(vocabulary_size: int) -> str:
    """Return the colours of surprisal with the bits at which each begins."""
    step = highest_bits(vocabulary_size) / LEVELS
    cells = (f'<span class="s{level}">{level * step:.1f}</span>' for level in range(LEVELS))
    highest = f'<span class="s{LEVELS}">{LEVELS * step:.1f} and more bits</span>'
    return f'<p class="scale">from {"".join(cells)}{highest}</p>'


def judged_documents(run: Run, documents: Sequence[JudgedDocument]) -> str:
    """Return documents with their tokens coloured."""
    items: list[str] = []
    for document in documents:
        about = f"{number(document.nats_per_target)} nats per token"
        if document.times > 1:
            about += f", {document.times} times in this split"
        tokens = surprisal_html(document, run.tokenizer)
        items.append(f"{tokens}<small>{about}</small>")
    texts = (run.tokenizer.decode(document.ids.tolist()) for document in documents)
    return listed(items, max(map(len, texts)))


def split_section(run: Run) -> str:
    """Return how honest the splits are: looks at test, and documents in more than one split."""
    looks = run.test_looks()
    looked = f"The test split has not been looked at when this was written, {now()}."
    if looks:
        times = "once" if len(looks) == 1 else f"{len(looks)} times"
        looked = f"The test split was looked at {times}, last {looks[-1]['time']}."
    train = run.documents("train")
    rows = []
    for name in ("dev", "test"):
        documents = run.documents(name)
        if len(documents):
            shared = count_shared(train, documents)
            share = f"{shared:,} of {len(documents):,} ({shared / len(documents):.1%})"
            rows.append((f"{name} documents that are in train too", share))
    return section("Splits", f"<p>{html.escape(looked)}</p>" + (table(rows) if rows else ""))


def config_section(run: Run) -> str:
    """Return every setting."""
    content = tomllib.loads((run.folder / "config.toml").read_text("utf-8"))
    rows = [(name, str(value)) for name, value in flat(content)]
    return section("Settings", f"<details><summary>config.toml</summary>{table(rows)}</details>")


def flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested tables as dotted names and values.

    >>> flat({"model": "mlp", "training": {"lr": 0.1}})
    [('model', 'mlp'), ('training.lr', 0.1)]
    """
    rows: list[tuple[str, Any]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows


def metrics_section(run: Run) -> str:
    """Return the looks at dev, evenly thinned where there were very many."""
    metrics = run.metrics()
    if not metrics:
        return section("Metrics", note("No look at dev is recorded."))
    places = np.linspace(0, len(metrics) - 1, min(len(metrics), METRICS_ROWS)).round().astype(int)
    names = list(dict.fromkeys(name for line in metrics for name in line))
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
    rows = (
        "".join(f"<td>{html.escape(number(metrics[place].get(name)))}</td>" for name in names)
        for place in places
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    duration = readable_seconds(metrics[-1]["seconds"])
    caption = f"{len(places)} of {len(metrics)} looks; {duration} in all"
    return section(
        "Metrics",
        "<details><summary>metrics.jsonl</summary>"
        f'<div class="wide"><table class="numbers"><caption>{caption}</caption>'
        f"<tr>{head}</tr>{body}</table></div></details>",
    )


def section(title: str, content: str) -> str:
    """Return a section with its heading; the content is HTML."""
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{content}\n</section>"


def listed(items: Iterable[str], longest: int) -> str:
    """Return texts as a list, in columns if the longest is short; the items are HTML."""
    kind = "texts short" if longest <= 30 else "texts"
    return f'<ul class="{kind}">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def note(text: str) -> str:
    """Return a short remark."""
    return f'<p class="note">{html.escape(text)}</p>'


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return names and values as a table, escaped."""
    cells = (
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return f'<table class="values">{"".join(cells)}</table>'


def number(value: float | None) -> str:
    """Return a number short enough for a table; a dash for none.

    >>> number(2.456789), number(1234567), number(None), number(float("inf"))
    ('2.4568', '1,234,567', '–', '∞')
    """
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def embedded(picture: Picture) -> str:
    """Return a picture inside the page: SVG that follows light and dark, or PNG if smaller."""
    content, media = with_dark_colours(to_svg(picture.figure)), "image/svg+xml"
    if len(content) > LARGEST_SVG:
        content, media = to_png(picture.figure), "image/png"
    source = f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"
    alternative = html.escape(picture.description)
    inches = picture.figure.get_figwidth()
    widths = f"max-width: {5.5 * inches:.1f}rem; min-width: {2.6 * inches:.1f}rem"
    return f'<figure><img style="{widths}" alt="{alternative}" src="{source}"></figure>'


def with_dark_colours(svg: bytes) -> bytes:
    """Return an SVG whose ink, grid and paper change where the reader prefers dark pages."""
    text = svg.decode("utf-8")
    for color, (name, _) in DARK.items():
        text = text.replace(color, f"var({name})")
    light = ";".join(f"{name}:{color}" for color, (name, _) in DARK.items())
    dark = ";".join(f"{name}:{color}" for name, color in DARK.values())
    rules = f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return text.replace("<defs>", f"<style>{rules}</style><defs>", 1).encode("utf-8")
