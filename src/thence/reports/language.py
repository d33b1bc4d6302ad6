"""What the report of a language model shows: likelihood, samples, bigrams, surprising documents."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Float, Integer
from thence.evaluation.language import evaluate_language_model
from thence.generation import sample
from thence.models.ngram import NGram
from thence.reports.content import (
    SURPRISING,
    Block,
    Note,
    Pairs,
    Plots,
    RunningText,
    Score,
    Section,
    Subtitle,
    Texts,
    Token,
)
from thence.reports.formatting import number, symbol_text, visible
from thence.reports.plots.bigrams import plot_bigrams
from thence.reports.training import NO_DEV, embedding_section, training_section
from thence.runs import Run
from thence.runs.run import Split
from thence.tokens import Tokenizer, TokenStore

SAMPLES = 20
EXTREMES = 10
"""Documents of each list: the most and the least surprising."""
MOST_TOKENS = 300
"""Tokens of a document that are shown."""
SHORT_TEXT = 30
"""Characters up to which several texts have room beside each other."""
LEVELS = 8
"""Colours in the legend of surprisal besides none."""
REPLACED = "\ufffd stands for an unknown symbol, or for bytes that make no character"


def language_sections(run: Run) -> list[Section]:
    """Return the sections; a run without its text has nothing for some of them to be about."""
    training = training_section(run, count_facts(run))
    if not run.has_text:
        return [training, samples_section(run), embedding_section(run)]
    bigrams = [Section("Bigrams", [Plots([plot_bigrams(run)])])] if run.has_train_text else []
    return [
        score_section(run),
        training,
        samples_section(run),
        *bigrams,
        embedding_section(run),
        surprisal_section(run),
    ]


def score_section(run: Run) -> Section:
    """Return how good the model is on dev."""
    if len(run.documents("dev")) == 0:
        return Section("Score on dev", [NO_DEV])
    report = evaluate_language_model(run)
    about = f"nats per token, {report.interval_in_words()}"
    score = Score(f"{report.nats_per_token:.4f}", about)
    return Section("Score on dev", [score, Pairs(report.rows())])


def count_facts(run: Run) -> list[Block]:
    """Return the numbers of n-grams of a count model, and dev's hit rate by order."""
    if not isinstance(run.model, NGram):
        return []
    has_dev = run.has_text and len(run.documents("dev")) > 0
    dev = run.store("dev") if has_dev else None
    return [Pairs(run.model.facts(dev, run.recipe.training.carry_context))]


def samples_section(run: Run) -> Section:
    """Return texts drawn from the model."""
    drawn = sample(run, SAMPLES)
    about = f"{SAMPLES} texts drawn at temperature 1"
    if drawn.copies is not None:
        about += f"; {drawn.copies} of them are copies of train documents"
    if any("\ufffd" in text for text in drawn.texts):
        about += f". {REPLACED}"
    texts = Texts([RunningText([text]) for text in drawn.texts], _are_short(drawn.texts))
    return Section("Samples", [Note(f"{about}."), texts])


def _are_short(texts: Iterable[str]) -> bool:
    return max(map(len, texts)) <= SHORT_TEXT


def surprisal_section(run: Run) -> Section:
    """Return the dev documents that surprise the model most and least, token by token."""
    title = "Surprising dev documents"
    if len(run.documents("dev")) == 0:
        return Section(title, [Note("There is no dev split to look for them in.")])
    most, least = extreme_documents(run, "dev", EXTREMES)
    explained = (
        "The stronger the colour of a token, the less the model expected it there; hold the "
        "pointer over one for its surprisal in bits and its probability."
    )
    blocks = [Note(explained), surprisal_legend(len(run.tokenizer.vocabulary))]
    blocks += [Subtitle("Most surprising"), scored_texts(run, most)]
    if least:
        blocks += [Subtitle("Least surprising"), scored_texts(run, least)]
    return Section(title, blocks)


def surprisal_legend(vocabulary_size: int) -> RunningText:
    """Return the colours of some surprisals with their bits."""
    tokens: list[Token | str] = ["from "]
    for level in range(LEVELS + 1):
        bits = f"{level / LEVELS * highest_bits(vocabulary_size):.1f}"
        bits += " and more bits" if level == LEVELS else ""
        tokens.append(Token(f" {bits} ", bits, SURPRISING, level / LEVELS))
    return RunningText(tokens)


@dataclass(frozen=True)
class ScoredDocument:
    """A document and how surprising each of its targets was.

    Attributes:
        ids: Its targets; the last is the boundary.
        nats: Surprisal of each target, in nats.
        times: How often the same document occurs in the split.
    """

    ids: Integer[np.ndarray, " targets"]
    nats: Float[np.ndarray, " targets"]
    times: int

    @property
    def nats_per_target(self) -> float:
        """Mean surprisal."""
        return float(np.mean(self.nats, dtype=np.float64))


def scored_texts(run: Run, documents: Sequence[ScoredDocument]) -> Texts:
    """Return documents with their tokens coloured by surprisal."""
    items = []
    for document in documents:
        about = f"{number(document.nats_per_target)} nats per token"
        if document.times > 1:
            about += f", {document.times} times in this split"
        separator = " " if run.recipe.tokens.tokens == "words" else ""
        items.append(RunningText(document_tokens(document, run.tokenizer), separator, about))
    texts = (run.tokenizer.decode(document.ids.tolist()) for document in documents)
    return Texts(items, _are_short(texts))


def document_tokens(document: ScoredDocument, tokenizer: Tokenizer) -> list[Token | str]:
    """Return the first tokens of a document, each with a colour for its surprisal."""
    vocabulary = tokenizer.vocabulary
    tokens: list[Token | str] = []
    for index, nats in zip(document.ids[:MOST_TOKENS], document.nats[:MOST_TOKENS], strict=True):
        text = symbol_text(tokenizer, int(index))
        is_name = index >= len(vocabulary.symbols) and len(text) > 1  # Of one letter, it is a byte.
        tokens.append(surprisal_token(text, nats / math.log(2), len(vocabulary), bool(is_name)))
    rest = len(document.ids) - MOST_TOKENS
    return [*tokens, f" … and {rest:,} more tokens"] if rest > 0 else tokens


def surprisal_token(text: str, bits: float, vocabulary_size: int, is_name: bool = False) -> Token:
    """Return a token with a colour for its surprisal."""
    amount = f"{bits:.2f} bits" if math.isfinite(bits) else "infinitely many bits"
    about = f"{visible(text)}: {amount}, probability {2.0**-bits:.2g}"
    shown = visible(text).replace("␣", " ").replace("⏎", "⏎\n")
    # Weights so large that a network cannot compute with them give no number.
    share = 1.0 if math.isnan(bits) else min(bits / highest_bits(vocabulary_size), 1.0)
    return Token(shown, about, SURPRISING, share, is_name=is_name)


def highest_bits(vocabulary_size: int) -> float:
    """Return the surprisal in bits from which on the colour is strongest.

    It is one and a half times that of a uniform guess among all symbols.
    """
    return 1.5 * math.log2(max(vocabulary_size, 2))


def extreme_documents(
    run: Run, split: Split = "dev", count: int = 10
) -> tuple[list[ScoredDocument], list[ScoredDocument]]:
    """Return the most and the least surprising documents by nats per target.

    Each different document is shown once and in one list only; of equally surprising ones the
    earlier comes first.
    """
    store = run.store(split)
    nats = -run.model.score(store, run.recipe.training.carry_context)
    means = store.sum_by_document(nats) / store.target_counts
    shown: set[bytes] = set()
    most = _distinct(np.argsort(-means, kind="stable"), store, count, shown)
    least = _distinct(np.argsort(means, kind="stable"), store, count, shown)
    return _scored(store, nats, most), _scored(store, nats, least)


def _distinct(order: Iterable[int], store: TokenStore, count: int, shown: set[bytes]) -> list[int]:
    """Return the first documents in an order that were not shown, and note them as shown."""
    chosen: list[int] = []
    for index in order:
        content = store.document(index).tobytes()
        if content not in shown:
            shown.add(content)
            chosen.append(index)
        if len(chosen) == count:
            break
    return chosen


def _scored(
    store: TokenStore, nats: Float[np.ndarray, " targets"], chosen: list[int]
) -> list[ScoredDocument]:
    places = [slice(store.offsets[index] - 1, store.offsets[index + 1] - 1) for index in chosen]
    return [
        ScoredDocument(store.targets[place], nats[place], _times(store, index))
        for index, place in zip(chosen, places, strict=True)
    ]


def _times(store: TokenStore, index: int) -> int:
    """Return how often a document occurs in a store."""
    document = store.document(index)
    same_length = np.flatnonzero(store.target_counts == len(document) + 1)
    others = store.ids[store.offsets[same_length][:, None] + np.arange(len(document))]
    return int(np.sum(np.all(others == document, axis=1)))
