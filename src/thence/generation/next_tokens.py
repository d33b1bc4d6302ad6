"""What comes next: the most probable tokens after a text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.errors import SettingError
from thence.evaluation.results import Listing
from thence.generation.sampling import encode_prefix, read_prefix
from thence.notebook import repr_html
from thence.training.run import Run


@dataclass(frozen=True)
class NextTokens(Listing[tuple[str, float]]):
    """The most probable next tokens.

    Attributes:
        text: What they follow.
        tokens: Each token and its probability, the likeliest first.
    """

    _repr_html_ = repr_html

    text: str
    tokens: list[tuple[str, float]]

    def items(self) -> list[tuple[str, float]]:
        """Return ``tokens``, over which this is iterated."""
        return self.tokens

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        tokens = [{"token": token, "probability": chance} for token, chance in self.tokens]
        return {"text": self.text, "next": tokens}

    def __str__(self) -> str:
        width = max(len(_visible(token)) for token, _ in self.tokens)
        return "\n".join(
            f"{_visible(token):<{width}}  {chance:.4f}  {'█' * round(chance * 40)}"
            for token, chance in self.tokens
        )


def next_tokens(run: Run | str | Path, text: str = "", count: int = 10) -> NextTokens:
    """Return the most probable tokens after a text that begins a document.

    Args:
        run: The run or its folder.
        text: What has been written so far; empty for the first token.
        count: How many tokens to return.

    Raises:
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = run if isinstance(run, Run) else Run(run)
    if count < 1:
        raise SettingError(f"--count is {count}; it must be at least 1.")
    prefix = encode_prefix(run, text)
    log_probs, _ = read_prefix(run.model, prefix, 1, run.tokenizer.vocabulary.boundary_id)
    likeliest = np.argsort(-log_probs[0], kind="stable")[:count]
    names = run.tokenizer.vocabulary.names()
    return NextTokens(text, [(names[i], float(np.exp(log_probs[0, i]))) for i in likeliest])


def _visible(token: str) -> str:
    shown = token.replace(" ", "␣")
    return shown if shown.isprintable() else repr(token)[1:-1]
