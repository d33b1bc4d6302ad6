"""What one client may ask of the server."""

from dataclasses import asdict, dataclass

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
    max_connections: int = 1000
    """Connections that are open at the same time, whether they ask for something or not."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 < value < 1 << 31:
                raise SettingError(
                    f"--{name.replace('_', '-')} is {value:g}; it must be above 0 "
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
CHARACTERS_OF_A_TOKEN = 16
"""A text that has more of them for each token that it may have is refused before it is cut into
tokens, which would occupy the model's thread. Words of most languages have half as many."""
SECONDS_BETWEEN_PIECES = 10.0
"""For the next piece of a request's body to come."""
SECONDS_WITHOUT_REQUEST = 10.0
"""For the whole head of a request to come on a connection, from its opening or its last answer on.
OpenAI's client lets go of a connection after 5 seconds without use, and must be the first to."""
SMALL_BODY = 1 << 16
"""Bytes of a body for which there is always room; what is beyond is counted, of all together."""
