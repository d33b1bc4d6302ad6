"""What the report of a language model shows: likelihood, samples, what follows what, surprisal."""

import html
from collections.abc import Sequence

from thence.evaluation.likelihood import evaluate_likelihood
from thence.generation import sample
from thence.models.ngram import NGram
from thence.reports.page import embedded, listed, note, number, section, table
from thence.reports.plot import heat_map_picture
from thence.reports.report_training import embedding_section, training_section
from thence.reports.surprisal import (
    LEVELS,
    JudgedDocument,
    extreme_documents,
    highest_bits,
    surprisal_html,
)
from thence.runs import Run

SAMPLES = 20
EXTREMES = 10
REPLACED = "\ufffd stands for an unknown symbol, or for bytes that make no character"


def language_sections(run: Run) -> list[str]:
    """Return the sections; not every run has its text here for all of them to be about."""
    training = training_section(run, counted_facts(run))
    if not run.has_text:
        return [training, samples_section(run), embedding_section(run)]
    return [
        score_section(run),
        training,
        samples_section(run),
        *([heat_map_section(run)] if run.train_text_is_here else []),
        embedding_section(run),
        surprisal_section(run),
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


def counted_facts(run: Run) -> str:
    """Return what an n-gram model knows of its counts, and dev's hit rate by order."""
    if not isinstance(run.model, NGram):
        return ""
    has_dev = run.has_text and len(run.documents("dev")) > 0
    dev = run.store("dev") if has_dev else None
    return table(run.model.facts(dev, run.recipe.training.carry_context))


def samples_section(run: Run) -> str:
    """Return texts drawn from the model."""
    drawn = sample(run, SAMPLES)
    text = f"{SAMPLES} texts drawn at temperature 1"
    if drawn.copies is not None:
        text += f"; {drawn.copies} of them are copies of train documents"
    if any("\ufffd" in text for text in drawn.texts):
        text += f". {REPLACED}"
    items = [html.escape(text) or "&nbsp;" for text in drawn.texts]
    return section("Samples", note(f"{text}.") + listed(items, max(map(len, drawn.texts))))


def heat_map_section(run: Run) -> str:
    """Return which symbol follows which."""
    return section("What follows what", embedded(heat_map_picture(run)))


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
