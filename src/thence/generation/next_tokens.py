"""What comes next: the most probable tokens after a text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.errors import SettingError
from thence.evaluation.results import Listing
from thence.generation.sampling import encode_prefix, read_prefix
from thence.notebook import repr_html
from thence.runs.run import Run
from thence.tokens import BOUNDARY, UNKNOWN


@dataclass(frozen=True)
class NextTokens(Listing[tuple[str, float]]):
    """The most probable next tokens.

    Attributes:
        text: What they follow.
        tokens: Each token and its probability, the likeliest first.
        special: Which of the tokens are none that a text spells: the boundary, the unknown symbol.
    """

    _repr_html_ = repr_html

    text: str
    tokens: list[tuple[str, float]]
    special: frozenset[str] = frozenset((BOUNDARY, UNKNOWN))

    def items(self) -> list[tuple[str, float]]:
        """Return ``tokens``, over which this is iterated."""
        return self.tokens

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        tokens = [
            {"token": token, "probability": chance, "special": token in self.special}
            for token, chance in self.tokens
        ]
        return {"text": self.text, "next": tokens}

    def __str__(self) -> str:
        shown = [
            token if token in self.special else _visible(self.quoted(token))
            for token, _ in self.tokens
        ]
        width = max(map(len, shown))
        return "\n".join(
            f"{name:<{width}}  {chance:.4f}  {'█' * round(chance * 40)}"
            for name, (_, chance) in zip(shown, self.tokens, strict=True)
        )

    def quoted(self, token: str) -> str:
        """Return a token, in quotes if it is only a word of the text that is ``<boundary>``."""
        literal = token in (BOUNDARY, UNKNOWN) and token not in self.special
        return f'"{token}"' if literal else token


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
    vocabulary = run.tokenizer.vocabulary
    names = vocabulary.names()
    tokens = [(names[index], float(np.exp(log_probs[0, index]))) for index in likeliest]
    special = frozenset(names[index] for index in likeliest if vocabulary.is_special(int(index)))
    return NextTokens(text, tokens, special)


def _visible(token: str) -> str:
    shown = token.replace(" ", "␣")
    return shown if shown.isprintable() else repr(token)[1:-1]
