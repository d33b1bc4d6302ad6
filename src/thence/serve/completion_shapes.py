"""The shapes of completions: what may be asked for, and what comes back."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from thence.generation.sampling_filters import DecodingOptions
from thence.serve.body import Body
from thence.serve.limits import LONGEST_NAME, MOST_CHOICES, MOST_STOPS

TokenId = Annotated[int, Field(ge=0)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]
# A list that is wrong is so at its first wrong item: a million others need no error of their own.
Stops = Annotated[list[Stop], Field(fail_fast=True, max_length=MOST_STOPS)]
Texts = Annotated[list[str], Field(fail_fast=True, max_length=MOST_CHOICES)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True)]
ListsOfIds = Annotated[list[TokenIds], Field(fail_fast=True, max_length=MOST_CHOICES)]


class StreamOptions(Body):
    """What a stream tells beside the text."""

    include_usage: bool = False
    include_obfuscation: bool = False


def _is_nothing(given: Any) -> Any:
    """Refuse a value that asks for what is not offered."""
    if given not in (0, "", {}):
        raise PydanticCustomError("not_offered", "This is not offered here, so leave it out")
    return given


NotOffered = Annotated[Any, AfterValidator(_is_nothing)]


class CompletionRequest(Body):
    """What to go on from, and how."""

    model: str | None = Field(
        None, max_length=LONGEST_NAME, description="Name of a model; not needed if there is one."
    )
    prompt: str | Texts | TokenIds | ListsOfIds = Field(
        "", description="A text, several, its token ids, or several of those."
    )
    max_tokens: int = Field(16, ge=0, description="Tokens to add at most.")
    temperature: float = Field(1.0, ge=0, le=100, description="0 takes the likeliest token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Draw from the likeliest that have this.")
    top_k: int | None = Field(None, ge=1, description="Draw from the k likeliest tokens only.")
    n: int = Field(1, ge=1, le=MOST_CHOICES, description="Completions of each prompt.")
    best_of: int | None = Field(None, description="Not offered, unless it equals n.")
    echo: bool = Field(False, description="Give the prompt back before its completion.")
    logprobs: int | None = Field(None, ge=0, le=20, description="Likeliest tokens to tell of each.")
    stop: Stop | Stops | None = Field(None, description="Texts before which to stop.")
    stream: bool = Field(False, description="Send each token as it comes (server-sent events).")
    stream_options: StreamOptions | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="Same seed, same text.")
    user: str | None = Field(None, description="Not looked at.")
    suffix: NotOffered = Field(None, description="Not offered.")
    presence_penalty: NotOffered = Field(None, description="Not offered.")
    frequency_penalty: NotOffered = Field(None, description="Not offered.")
    logit_bias: NotOffered = Field(None, description="Not offered.")

    def stops(self) -> list[str]:
        """Return the texts before which to stop."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def decoding(self) -> DecodingOptions:
        """Return how each token is chosen."""
        if self.temperature == 0:
            return DecodingOptions(greedy=True)
        return DecodingOptions(self.temperature, self.top_k, self.top_p if self.top_p < 1 else None)


class TokenLogProbs(BaseModel):
    """What the model thought of each token, in nats; the lists are equally long."""

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
    """How many tokens were read and written."""

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
