"""What one client may ask of the server."""

from dataclasses import dataclass

from thence.errors import SettingError


@dataclass(frozen=True)
class Limits:
    """Bounds on requests; what is beyond them gets an answer that names the bound."""

    max_tokens: int = 2048
    """Tokens that a completion may ask for."""
    max_prompt: int = 16384
    """Tokens of a prompt, and of all prompts of a request together times 16."""
    max_body: int = 4 << 20
    """Bytes of a request."""
    max_requests: int = 64
    """Requests that are worked on at the same time."""
    timeout: float = 120.0
    """Seconds for a request."""

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_prompt", "max_body", "max_requests", "timeout"):
            if not 0 < getattr(self, name) < 1 << 31:
                raise SettingError(
                    f"--{name.replace('_', '-')} is {getattr(self, name):g}; it must be above 0 "
                    f"and below {1 << 31}."
                )


LONGEST_NAME = 255
"""Characters of a model's name: as many as a folder's has at most."""
MOST_STOPS = 16
"""Texts before which one request may ask to stop."""
MOST_CHOICES = 128
"""Completions that one request may ask for: prompts times ``n``."""
MOST_TOLD = 1 << 18
"""Log-probabilities that one request may ask for: tokens times one more than ``logprobs``."""
PROMPTS_TOGETHER = 16
"""All prompts of a request together may be so many times as long as one may be."""
