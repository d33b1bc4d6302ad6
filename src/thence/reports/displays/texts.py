"""Texts with each token shaded: by its surprisal, or by how much it speaks for a label."""

from itertools import islice

from thence.evaluation import Classification, Explanation
from thence.evaluation.classify import NOTHING_KNOWN
from thence.evaluation.results import Score
from thence.reports.displays.pieces import bars, escaped, note, running_text, shaded, short, title
from thence.reports.drawing import visible
from thence.reports.page import number
from thence.reports.surprisal import SHOWN_TOKENS, highest_bits

SURPRISING = "226 98 12"
SPEAKS_FOR = "0 158 115"
SPEAKS_AGAINST = "213 94 0"
EXCERPT = 200
"""Characters of a classified text that are shown."""


def score_html(score: Score) -> str:
    """Show how probable a text is, and which of its tokens surprise."""
    chance, about = score["log_probability"], f"{score['targets']:,} targets with its end"
    if chance is None:
        words = "impossible"
    else:
        words = f"{number(score['nats_per_token'])} nats per token"
        about = f"log-probability {chance:.2f}, {about}"
    if "tokens" not in score:
        return title(words, about) + running_text(escaped(short(score["text"], EXCERPT)))
    highest = highest_bits(score.vocabulary_size)
    spans = [
        _surprising(token["token"], token["surprisal_bits"], highest)
        for token in islice(score["tokens"], SHOWN_TOKENS)
    ]
    rest = len(score["tokens"]) - len(spans)
    more = note(f"… and {rest:,} more tokens") if rest else ""
    head = title(words, f"{about}; colour: surprisal")
    return head + running_text(score.separator.join(spans)) + more


def _surprising(token: str, bits: float | None, highest: float) -> str:
    name = visible(token)
    if bits is None:
        return shaded(token, SURPRISING, 1, f"{name}: impossible")
    about = f"{name}: {bits:.2f} bits, probability {2.0**-bits:.2g}"
    return shaded(token, SURPRISING, bits / highest, about)


def classification_html(found: Classification) -> str:
    """Show the labels of a text as bars."""
    labels = ", ".join(found.labels) or "no label"
    rows = [(label, chance, f"{chance:.4f}") for label, chance in found.probabilities.items()]
    warning = note(NOTHING_KNOWN) if found.nothing_known else ""
    return title(labels, short(found.text, EXCERPT)) + bars(rows) + warning


def explanation_html(explanation: Explanation) -> str:
    """Show which words speak for a label and which against."""
    largest = explanation.largest
    spans = "".join(
        shaded(
            text,
            SPEAKS_FOR if weight >= 0 else SPEAKS_AGAINST,
            abs(weight) / largest if largest else 0.0,
            f"{weight:+.2f} nats",
            underlined=weight < 0 and round(8 * -weight / largest) > 0,
        )
        for text, weight in explanation.pieces()
    )
    about = f"probability {explanation.probability:.4f}, largest weight {largest:.2f} nats"
    speaks_for = shaded("for the label", SPEAKS_FOR, 0.7, "its probability falls without it")
    against = shaded("against it", SPEAKS_AGAINST, 0.7, "its probability rises without it", True)
    legend = f"<small>speaks {speaks_for} or {against}</small>"
    return title(explanation.label, about) + running_text(spans) + legend
