"""Limits of the server."""

from dataclasses import dataclass
from typing import Annotated

from thence.settings import Range, Settings

Limit = Annotated[int, Range(ge=1, le=(1 << 31) - 1)]


@dataclass(frozen=True)
class Limits(Settings):
    """Limits of requests; the error for a request beyond one names the flag that sets it."""

    max_tokens: Limit = 2048
    """Tokens that a completion may ask for."""
    max_prompt: Limit = 16384
    """Tokens of a prompt; all prompts of a request together may have 16 times as many."""
    max_body: Limit = 4 << 20
    """Bytes of a request."""
    max_requests: Limit = 64
    """Requests in progress at the same time."""
    timeout: Annotated[float, Range(gt=0, lt=1 << 31)] = 120.0
    """Seconds for a request."""
    max_connections: Limit = 1000
    """Connections open at the same time, idle ones included."""
    idle_timeout: Annotated[float, Range(gt=0, lt=1 << 31)] = 10.0
    """Seconds for the head of a request to come, after the opening of a connection or its last
    answer, and for each next chunk of its body. It must be above the 5 seconds after which OpenAI's
    client drops an idle connection itself."""
