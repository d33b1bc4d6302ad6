"""Schemas of several endpoints: those of OpenAI's completions API, and the ruler of the page."""

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from thence.generation import DecodingOptions

MAX_CHOICES = 128
"""Completions, or texts to classify, of one request: prompts times ``n``."""
MAX_STOPS = 16
"""Stop sequences of one request."""
MAX_FIELDS = 64
"""Maximum number of names in an object of a request, since each unknown one makes an error
message."""
MAX_NAME = 255
"""Characters of a model's name: as many as a folder's name may have."""


class RequestModel(BaseModel):
    """An object in a request: unknown names are errors, and values are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        """Treat null as not given, as OpenAI's API does."""
        if not isinstance(given, dict):
            return given
        if len(given) > MAX_FIELDS:
            raise PydanticCustomError("too_many_names", f"it may have {MAX_FIELDS} names at most")
        return {name: value for name, value in given.items() if value is not None}


class ModelRequest(RequestModel):
    """A request to one of the models."""

    model: str | None = Field(
        None,
        max_length=MAX_NAME,
        description="Name of a model; not needed if there is only one of its kind.",
    )


TokenId = Annotated[int, Field(ge=0)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]
# Validation of a list ends at its first wrong item: a million items need no error each.
Stops = Annotated[list[Stop], Field(fail_fast=True, max_length=MAX_STOPS)]
Texts = Annotated[list[str], Field(fail_fast=True, max_length=MAX_CHOICES)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True)]
ListsOfIds = Annotated[list[TokenIds], Field(fail_fast=True, max_length=MAX_CHOICES)]


class StreamOptions(RequestModel):
    """What a stream contains beside the text."""

    include_usage: bool = False
    include_obfuscation: bool = False


def _reject_unless_empty(given: Any) -> Any:
    if given not in (0, "", {}):
        raise PydanticCustomError("not_offered", "This is not offered here, so leave it out")
    return given


NotOffered = Annotated[Any, AfterValidator(_reject_unless_empty)]


class CompletionRequest(ModelRequest):
    """Prompts to continue, and how."""

    prompt: str | Texts | TokenIds | ListsOfIds = Field(
        "", description="A text, several, its token ids, or several of those."
    )
    max_tokens: int = Field(16, ge=0, description="Tokens to add at most.")
    temperature: float = Field(1.0, ge=0, le=100, description="0 takes the most probable token.")
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Sample from the most probable tokens that together have this probability.",
    )
    top_k: int | None = Field(
        None, ge=1, description="Sample from the k most probable tokens only."
    )
    n: int = Field(1, ge=1, le=MAX_CHOICES, description="Completions of each prompt.")
    best_of: int | None = Field(None, description="Not offered, unless it equals n.")
    echo: bool = Field(False, description="Return the prompt before its completion.")
    logprobs: int | None = Field(
        None, ge=0, le=20, description="Most probable tokens to return at each position."
    )
    stop: Stop | Stops | None = Field(None, description="Texts before which to stop.")
    stream: bool = Field(False, description="Send each token as it comes (server-sent events).")
    stream_options: StreamOptions | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="Same seed, same text.")
    user: str | None = Field(None, description="Ignored.")
    suffix: NotOffered = Field(None, description="Not offered.")
    presence_penalty: NotOffered = Field(None, description="Not offered.")
    frequency_penalty: NotOffered = Field(None, description="Not offered.")
    logit_bias: NotOffered = Field(None, description="Not offered.")

    def stops(self) -> list[str]:
        """Return the stop sequences as a list."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def decoding(self) -> DecodingOptions:
        """Return how each token is chosen."""
        return _decoding(self.temperature, self.top_k, self.top_p)


@lru_cache
def _decoding(temperature: float, top_k: int | None, top_p: float) -> DecodingOptions:
    if temperature == 0:
        return DecodingOptions(greedy=True)
    return DecodingOptions(temperature, top_k, top_p if top_p < 1 else None)


class TokenLogProbs(BaseModel):
    """Log-probability of each token, in nats; the lists are equally long."""

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] = []
    text_offset: list[int] = []


class Choice(BaseModel):
    """One completion, or a piece of one in a stream."""

    index: int
    text: str
    logprobs: TokenLogProbs | None
    finish_reason: Literal["stop", "length"] | None


class Usage(BaseModel):
    """Numbers of tokens read and generated."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionAnswer(BaseModel):
    """The completions, or a piece of one in a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None


class Ruler(BaseModel):
    """Losses on dev that need no training, in nats per token or per document."""

    unit: Literal["token", "document"]
    uniform: float
    unigram: float = Field(description="By the frequencies of tokens, or of labels, in train.")
    pairs: float | None = Field(description="By pairs of tokens.")
    accuracy: float | None = Field(description="Of the most frequent label.")
