"""Displays in notebooks: for each class of results, a function that describes it in blocks.

A display has inline styles, runs no script and loads nothing. Text has the colour of the notebook,
and all other colours are translucent, so that displays are readable in light and dark themes.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from thence.autopilot import Best
from thence.autopilot.result import COLUMNS, about_rows, tried_rows
from thence.autopilot.result import duration as time_taken
from thence.batches.examples import Examples
from thence.corpus.documents import joined_labels
from thence.evaluation.baselines import Baselines
from thence.evaluation.classify import NOTHING_KNOWN, Classification
from thence.evaluation.compare import Comparison
from thence.evaluation.compare_labels import LabelComparison
from thence.evaluation.disagreements import Disagreements
from thence.evaluation.embeddings import SimilarWords
from thence.evaluation.explain import Explanation
from thence.evaluation.labels import ClassificationReport
from thence.evaluation.language import LikelihoodReport
from thence.evaluation.metrics import nats_and_bits
from thence.evaluation.pairs import PairReport
from thence.evaluation.ranking import Ranking
from thence.evaluation.rescoring import Rescoring
from thence.evaluation.unusual import Calibration
from thence.evaluation.verdict import Verdict
from thence.filtering import Filtered
from thence.generation import Completions, Fillings, NextTokens, Samples
from thence.inspection import LabelLook, Look
from thence.reports.content import (
    Bars,
    Block,
    Caption,
    Note,
    Pairs,
    Plot,
    Plots,
    RunningText,
    Table,
    Texts,
)
from thence.reports.explanation import explanation_tokens, weight_legend
from thence.reports.formatting import number, short, visible
from thence.reports.look_displays import label_look, look
from thence.reports.markup import notebook_output
from thence.reports.run_card import run_card
from thence.reports.surprisal import MOST_TOKENS, surprisal_token
from thence.reports.sweep import BEST
from thence.reports.sweep_charts import what_matters
from thence.reports.training import finder_chart
from thence.results import Results, Score
from thence.runs import Run
from thence.sweeps import Sweep
from thence.training.lr_finder import LearningRateCurve

MOST_RESULTS = 20
"""Results of a ``Results`` iterator that are shown."""
MOST_SAMPLES = 100
LONGEST_SAMPLE = 400
LONGEST_TEXT = 200
"""Characters shown of a text that was scored or classified."""
LONGEST_SCORED = 2000
"""Longest text, in characters, that is scored token by token for its display."""
LONGEST_CELL = 120


def display(result: Any) -> str:
    """Return a result as HTML.

    Raises:
        TypeError: If there is no display for its class.
    """
    return notebook_output(describe(result))


def describe(result: Any) -> list[Block]:
    """Return the blocks that a notebook shows for a result.

    Raises:
        TypeError: If there is no display for its class.
    """
    for kind in type(result).__mro__:
        if kind in DISPLAYS:
            return DISPLAYS[kind](result)
    raise TypeError(f"There is no display for {type(result).__name__}.")


def results(found: "Results[Any]") -> list[Block]:
    """Show the first results of a series."""
    first = found.first(MOST_RESULTS + 1)
    blocks = [block for result in first[:MOST_RESULTS] for block in describe(result)]
    if len(first) > MOST_RESULTS:
        blocks.append(Note(f"The first {MOST_RESULTS}; there are more."))
    return blocks or [Note("There are no results.")]


def likelihood_report(report: LikelihoodReport) -> list[Block]:
    """Show the metrics of a language model on a text."""
    score = nats_and_bits(report.nats_per_token)
    return [Caption(score, report.run), Pairs(report.rows())]


def classification_report(report: ClassificationReport) -> list[Block]:
    """Show the metrics of a classifier, and precision, recall and F1 of each label."""
    score = f"{100 * report.accuracy:.2f} % right"
    return [Caption(score, report.run), Pairs(report.rows()), _table(*report.table())]


def comparison(compared: Comparison | LabelComparison) -> list[Block]:
    """Show several models evaluated on the same documents, best first."""
    words = 2 if isinstance(compared, Comparison) else 1
    remark = [Note(compared.remark)] if compared.remark else []
    caption = Caption(compared.text, f"{compared.documents:,} documents")
    return [caption, _table(*compared.table(), words), *remark]


def pair_report(report: PairReport) -> list[Block]:
    """Show the accuracies of models on minimal pairs."""
    caption = Caption("minimal pairs", f"{report.all.pairs:,}")
    blocks: list[Block] = [caption, _table(*report.table()), Note(report.remark())]
    return blocks if report.comparison is None else [*blocks, *comparison(report.comparison)]


def disagreed(found: Disagreements) -> list[Block]:
    """Show the documents that runs disagree on most, with the bits of each run."""
    of_runs = len(found.documents[0].bits) if found.documents else 0
    columns = ["document", *(f"bits, run {number + 1}" for number in range(of_runs))]
    rows = [[one.text, *(f"{bits:.1f}" for bits in one.bits)] for one in found.documents]
    return [Caption(found.text, f"{len(rows):,} documents"), _table(columns, rows)]


def filtered(found: Filtered) -> list[Block]:
    """Show how many documents a filter has kept, and the quantiles of perplexities."""
    return [_table(*found.table()), Note(found.in_words())]


def ranking(found: Ranking) -> list[Block]:
    """Show texts in the order of their probability."""
    return [_table(*found.table()), Note(found.in_words())]


def rescoring(found: Rescoring) -> list[Block]:
    """Show the weights of a rescoring, and the best hypothesis of each utterance."""
    columns, rows = found.table()
    blocks: list[Block] = [Pairs(found.rows()), _table(columns, rows[:MOST_RESULTS])]
    return blocks if len(rows) <= MOST_RESULTS else [*blocks, Note(f"of {len(rows):,} utterances")]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Table:
    names, *cells = ([short(cell, LONGEST_CELL) for cell in row] for row in (columns, *rows))
    return Table(names, cells, words)


def score(found: Score) -> list[Block]:
    """Show the score of a text, coloured by the surprisal of its tokens if it is short."""
    chance, about = found["log_probability"], f"{found['targets']:,} targets with its end"
    if chance is None:
        words = "impossible"
    else:
        words = f"{number(found['nats_per_token'])} nats per token"
        about = f"log-probability {chance:.2f}, {about}"
    vocabulary_size, separator, tokens_of = found.display
    told = found.get("tokens")
    if told is None and tokens_of is not None and len(found["text"]) <= LONGEST_SCORED:
        told = tokens_of(found["text"])
    if told is None:
        return [Caption(words, about), RunningText([short(found["text"], LONGEST_TEXT)])]
    tokens = []
    for token in told[:MOST_TOKENS]:
        bits = math.inf if token["surprisal_bits"] is None else token["surprisal_bits"]
        tokens.append(surprisal_token(token["token"], bits, vocabulary_size))
    rest = len(told) - len(tokens)
    more = [Note(f"… and {rest:,} more tokens")] if rest else []
    return [
        Caption(words, f"{about}; colour: surprisal"),
        RunningText(tokens, separator),
        *more,
    ]


def classification(found: Classification) -> list[Block]:
    """Show the labels of a text as bars."""
    rows = [(label, chance, f"{chance:.4f}") for label, chance in found.probabilities.items()]
    warning = [Note(NOTHING_KNOWN)] if found.nothing_known else []
    return [
        Caption(joined_labels(found.labels), short(found.text, LONGEST_TEXT)),
        _bars(rows),
        *warning,
    ]


def explanation(found: Explanation) -> list[Block]:
    """Show a text coloured by the weights of its words for a label."""
    about = f"probability {found.probability:.4f}, largest weight {found.largest:.2f} nats"
    text = RunningText(explanation_tokens(found))
    return [Caption(found.label, about), text, weight_legend()]


def next_tokens(found: NextTokens) -> list[Block]:
    """Show the distribution of the next token as bars."""
    rows = [
        (visible(found.quoted(token)), chance, f"{chance:.4f}") for token, chance in found.tokens
    ]
    rest = max(1 - math.fsum(chance for _, chance in found.tokens), 0.0)
    before = f"after “{short(found.text)}”" if found.text else "at the beginning"
    others = Note(f"all other tokens together: {rest:.4f}")
    return [Caption("next token", before), _bars(rows), others]


def samples(drawn: Samples) -> list[Block]:
    """Show samples, and how many of them are copies of train documents."""
    count = len(drawn.texts)
    about = "" if drawn.copies is None else f"{drawn.copies:,} of them copies of train documents"
    texts = [RunningText([short(text, LONGEST_SAMPLE)]) for text in drawn.texts[:MOST_SAMPLES]]
    more = [Note(f"… and {count - MOST_SAMPLES:,} more")] if count > MOST_SAMPLES else []
    return [Caption(f"{count:,} samples", about), Texts(texts), *more]


def completions(found: Completions) -> list[Block]:
    """Show completions of a text with their probabilities."""
    rows = []
    for completion in found.completions:
        # Imported models need not be normalised, so a probability may exceed 1.
        chance = math.exp(min(completion.log_probability, 0))
        rows.append((short(completion.text, LONGEST_SAMPLE), chance, f"{chance:.3g}"))
    return [Caption("completions", f"of “{short(found.text)}”"), _bars(rows)]


def fillings(found: Fillings) -> list[Block]:
    """Show ways to fill blanks with their shares of the probability."""
    rows = [
        (short(filling.text, LONGEST_SAMPLE), filling.share, f"{filling.share:.4f}")
        for filling in found.fillings
    ]
    how = "all there are" if found.exact else "found by a beam"
    about = f"shares among {found.found:,} candidates ({how})"
    return [Caption(short(found.text), about), _bars(rows)]


def similar_words(found: SimilarWords) -> list[Block]:
    """Show the nearest words with their cosines."""
    rows = [(visible(word), cosine, f"{cosine:.4f}") for word, cosine in found.words]
    return [Caption(found.word, "nearest words, cosine of the embeddings"), _bars(rows)]


def _bars(rows: Sequence[tuple[str, float, str]]) -> Bars:
    """Return bars of shares, all on the scale 0 to 1, so that outputs of cells compare."""
    return Bars([(short(name), length, text) for name, length, text in rows])


def sweep(found: Sweep) -> list[Block]:
    """Show the best trials of a sweep."""
    ranked = found.ranked()
    states = [trial.state for trial in found.trials]
    counts = ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states))
    caption = Caption(f"{len(states):,} trials", f"{found.folder}: {counts}")
    if not ranked:
        return [caption, Note("No trial has finished.")]
    blocks: list[Block] = [caption, _table(*found.table(ranked[:BEST]))]
    blocks += [Note(f"The best {BEST} of {len(ranked):,}.")] if len(ranked) > BEST else []
    blocks += [Note(f"The first was {found.chosen_on_dev}.")] if found.chosen_on_dev else []
    return [*blocks, *what_matters(found)]


def best(done: Best) -> list[Block]:
    """Show the result of the autopilot, and the models it tried."""
    caption = Caption(f"the best in {time_taken(done.seconds)}", str(done.folder))
    return [caption, Pairs(about_rows(done)), _table(COLUMNS, tried_rows(done))]


def learning_rate_curve(curve: LearningRateCurve) -> list[Block]:
    """Show the loss by learning rate, and the suggested rate."""
    return [Caption(f"suggested learning rate {curve.suggestion:.2g}"), finder_chart(curve)]


def cut_examples(found: Examples) -> list[Block]:
    """Show the contexts and targets of a batch, and the shapes of its arrays."""
    columns = ["context", "target"] if found.kind == "windows" else ["inputs", "targets"]
    table = _table(columns, [list(pair) for pair in found.pairs])
    return [Caption("examples", found.shapes()), table]


def known_losses(found: Baselines) -> list[Block]:
    """Show the baselines on dev."""
    names = ("uniform", "unigram", "pairs", "accuracy")
    values = ((name, getattr(found, name)) for name in names)
    rows = [(name, f"{value:.4f}") for name, value in values if value is not None]
    return [Caption("without training", f"nats per {found.unit}"), Pairs(rows)]


DISPLAYS: dict[type, Callable[[Any], list[Block]]] = {
    Baselines: known_losses,
    Best: best,
    Calibration: lambda known: [Pairs(known.rows())],
    Classification: classification,
    ClassificationReport: classification_report,
    Comparison: comparison,
    Disagreements: disagreed,
    Completions: completions,
    Examples: cut_examples,
    Explanation: explanation,
    Fillings: fillings,
    Filtered: filtered,
    LabelComparison: comparison,
    LabelLook: label_look,
    LearningRateCurve: learning_rate_curve,
    LikelihoodReport: likelihood_report,
    Look: look,
    NextTokens: next_tokens,
    PairReport: pair_report,
    Plot: lambda plot: [Plots([plot])],
    Ranking: ranking,
    Rescoring: rescoring,
    Results: results,
    Run: run_card,
    Samples: samples,
    Score: score,
    SimilarWords: similar_words,
    Sweep: sweep,
    Verdict: lambda found: [Caption(found.kind), Note(str(found))],
}
